"""One list of architectures: what files of llama.cpp, configs and shipped models name are the same names, each of one family."""

import json
from pathlib import Path

import pytest
from places import ROOT

from simulator.errors import InputError
from simulator.families.all import ARCHITECTURES, FAMILIES, family_of
from simulator.families.config import Config
from simulator.families.family import BY_CLASS, Family
from simulator.families.gguf import architecture_of, names_in_files, tensors_of_llama_cpp, why_no_forecast
from simulator.families.refused import REASONS_OF_GGUF
from simulator.families.wrappers import architecture_of_whole, text_part
from simulator.importers.huggingface import load_huggingface
from simulator.spec.library import RUNTIMES, names
from simulator.spec.runtime import load_runtime

# By tests/recorded/converted.py, from llama.cpp's converter and transformers.
RECORDED = json.loads((ROOT / "tests" / "families" / "converted.json").read_text(encoding="utf-8"))
# Types whose class in transformers is another model's, while published checkpoints name one of their own.
OF_PUBLISHED = {"exaone": "ExaoneForCausalLM", "sarvam_moe": "SarvamMoEForCausalLM"}
# Of these the converter decides by what no class shows: experts, or what stands around the text part.
BY_KEYS = {"DeepseekOCRForCausalLM": "deepseek2-ocr", "BailingMoeV2ForCausalLM": "bailingmoe"}


def test_every_architecture_of_llama_cpp_is_of_one_family_or_refused():
    """None twice, none left out, and none read that is refused."""
    assert ARCHITECTURES.keys() | REASONS_OF_GGUF.keys() >= tensors_of_llama_cpp().keys()
    assert not ARCHITECTURES.keys() & REASONS_OF_GGUF.keys()


def test_every_name_of_a_family_is_one_of_llama_cpp():
    """But for those of other programs, which say which one of llama.cpp's they are."""
    known = tensors_of_llama_cpp()
    for family in {*FAMILIES.values(), *ARCHITECTURES.values()}:
        named = [*family.gguf, *family.gguf_also.values(), *filter(None, [family.converted])]
        assert [name for name in named if name not in known] == [], family
        assert not family.gguf_also.keys() & known.keys(), family


def test_every_name_in_files_is_read_or_refused():
    """With its tensors, or with the reason."""
    for name in names_in_files():
        found, reason = architecture_of(name), why_no_forecast(name)
        assert (found is None) == (reason is not None), name
        assert reason or found.tensors, name


def test_what_is_told_of_files_is_not_inherited():
    """A subclass is another architecture: it has other windows, or none."""

    class Other(ARCHITECTURES["gemma2"]):
        """Of no type and no file."""

    assert (Other.gguf, Other.gguf_files, Other.converted) == ((), Family.gguf_files, None)


@pytest.mark.parametrize("model_type", [each for each in RECORDED["types"] if each not in OF_PUBLISHED])
def test_a_config_becomes_the_architecture_that_the_converter_makes(model_type, tmp_path):
    """By the defaults of its class."""
    whole = {"model_type": model_type}
    text, _ = text_part(Path("config.json"), whole)
    family = family_of(text.type)
    if family is None or model_type.endswith("_assistant"):  # drafts around a decoder's config
        (tmp_path / "config.json").write_text(json.dumps(whole))
        with pytest.raises(InputError, match=f"model_type '{model_type}' is "):
            load_huggingface(tmp_path)
        return
    assert architecture_of_whole(whole, text, family(text).architecture()) == RECORDED["types"][model_type]


@pytest.mark.parametrize("name", sorted(BY_CLASS.keys() & RECORDED["other_classes"].keys()))
def test_a_class_of_the_hub_becomes_the_architecture_that_the_converter_makes(name):
    """The family that a class under architectures names."""
    family = BY_CLASS[name]
    config = Config(Path("config.json"), family.types[0], {})
    assert family(config).architecture() == BY_KEYS.get(name, RECORDED["other_classes"][name])


@pytest.mark.parametrize(("model_type", "name"), OF_PUBLISHED.items())
def test_published_checkpoints_have_the_architecture_of_their_own_class(model_type, name):
    """Where transformers has another class for them."""
    config = Config(Path("config.json"), model_type, {})
    assert family_of(model_type)(config).architecture() == RECORDED["other_classes"][name]


@pytest.mark.parametrize(
    ("model_type", "keys", "architecture"),
    [
        ("bailing_moe", {}, "bailingmoe"),
        ("bailing_moe_v2", {"use_qk_norm": True}, "bailingmoe2"),
        ("nemotron_h", {"num_experts_per_tok": 6}, "nemotron_h_moe"),
        ("granitemoehybrid", {"layer_types": ["attention"] * 32}, "granitemoe"),
        ("granitemoehybrid", {"layer_types": ["attention"] * 32, "num_experts_per_tok": 0}, "granite"),
        ("granitemoehybrid", {"layer_types": ["mamba"] * 32}, "granitehybrid"),
        ("kimi_linear", {"attn_res_block_size": 12}, "kimi-k3"),
        ("minimax_text_01", {}, "minimax-01"),
        ("kimi_k2", {}, "deepseek2"),
        ("cwm", {}, None),
        ("ministral", {}, None),
    ],
)
def test_keys_decide_where_the_converter_goes_by_them(model_type, keys, architecture):
    """Experts, layers of Mamba, attention to earlier blocks; None where llama.cpp converts no such class."""
    assert family_of(model_type)(Config(Path("config.json"), model_type, keys)).architecture() == architecture


def test_shipped_models_name_architectures_of_the_list():
    """Their windows are left out or applied by that name."""
    files = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "models").glob("*.yaml"))]
    named = [line.split()[1] for text in files for line in text.splitlines() if line.startswith("architecture:")]
    assert len(named) > 20
    assert [name for name in named if name not in tensors_of_llama_cpp() or name not in ARCHITECTURES] == []


def test_rules_of_runtimes_name_architectures_of_the_list():
    """Whose windows they apply, and of which they keep no latents."""
    rules = [load_runtime(name).cache_rules for name in names(RUNTIMES)]
    named = [name for each in rules for name in each.applies_windows_of + each.expands_latents_of]
    assert len(named) > 40
    assert [name for name in named if name not in ARCHITECTURES] == []
