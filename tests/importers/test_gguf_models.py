"""Every architecture of llama.cpp, with the tensors, windows and caches that llama.cpp itself gives it: counted, or refused by name."""

from math import prod

import pytest
from bare_headers import recorded, write_header

from simulator.errors import InputError
from simulator.families.gguf import architecture_of, why_no_forecast
from simulator.importers.gguf import load_gguf
from simulator.spec.model import weight_bytes

CONTEXT = 4096  # tokens for which the recorded caches were allocated, those of windows as if they saw everything
MODELS = recorded()
READ = [
    model
    for model in MODELS
    if not why_no_forecast(model["architecture"]) and "attn_v_exps" not in str(model["tensors"])
]
MIB = 2**20


def name_of(model):
    """What tells recorded models of an architecture apart."""
    keys = model["keys"]
    return "-".join(
        map(
            str,
            (
                model["architecture"],
                keys["block_count"],
                keys.get("expert_count", 0),
                keys.get("nextn_predict_layers", 0),
            ),
        )
    )


@pytest.fixture
def load(tmp_path):
    """The model of a recorded one's header."""

    def of(model):
        path = write_header(tmp_path / "m.gguf", model["architecture"], model["keys"], model["tensors"])
        return load_gguf(path)

    return of


@pytest.mark.parametrize("model", READ, ids=name_of)
def test_every_tensor_is_counted(load, model):
    """All weights of the file, each once, and their bytes in f16."""
    loaded = load(model)
    n_weights = sum(map(prod, model["tensors"].values()))
    assert loaded.model.total_params == n_weights
    assert weight_bytes(loaded.model, loaded.weights) == 2 * n_weights


# Of Ling 3.0 llama.cpp allocates the cache of the prediction block, too, though nothing attends to it.
WITH_CACHES = [
    model
    for model in READ
    if "caches" in model and not (model["architecture"] == "bailingmoe3" and "nextn_predict_layers" in model["keys"])
]


@pytest.mark.parametrize("model", WITH_CACHES, ids=name_of)
def test_caches_are_as_large_as_llama_cpp_allocates_them(load, model):
    """Keys and values for 4,096 tokens in f16, states in f32; it tells hundredths of a MiB of each cache."""
    stack = [layer.attention for layer in load(model).model.stack if layer.attention is not None]
    kept = sum(2 * -(-CONTEXT // each.every) * each.width for part in stack for each in part.cached if each.is_own)
    states = sum(part.state_bytes for part in stack)
    attention = [cache for cache in model["caches"] if cache[0] != "llama_memory_recurrent"]
    if model["architecture"] == "minimax-m3":  # its index has keys alone, for which values are allocated as well
        attention[-1] = [*attention[-1][:4], 0.0]
    assert kept / MIB == pytest.approx(sum(k + v for *_, k, v in attention), abs=0.011 * len(model["caches"]))
    assert states / MIB == pytest.approx(
        sum(k + v for kind, *_, k, v in model["caches"] if kind == "llama_memory_recurrent"), abs=0.011
    )


@pytest.mark.parametrize(
    "model",
    [model for model in READ if model["architecture"] not in ("nanbeige", "hrm_text", "deepseek4")],
    ids=name_of,
)
def test_windows_are_where_llama_cpp_has_them(load, model):
    """Layer by layer, by the list or the period in the file, or by what the architecture has without."""
    stack = [layer.attention for layer in load(model).model.stack]
    found = [int(bool(getattr(part, "window", None) or getattr(part, "chunk", None))) for part in stack]
    assert found == model["windows"][: len(found)]


def test_most_architectures_are_among_them():
    """120 of the 156 are decoders that are counted; the rest write no text, or are refused by name."""
    assert len({model["architecture"] for model in READ}) >= 118


@pytest.mark.parametrize("model", [model for model in MODELS if model not in READ], ids=name_of)
def test_what_is_not_counted_says_why(load, model):
    """One sentence with the name, and what it is or what is missing."""
    with pytest.raises(InputError) as raised:
        load(model)
    reason, said = why_no_forecast(model["architecture"]), str(raised.value)
    if reason:
        assert said.endswith(f"m.gguf: architecture '{model['architecture']}' is {reason}")
    else:
        assert "value projections (attn_v_exps), which cannot be counted yet" in said
    assert "did you mean" not in said


@pytest.mark.parametrize(("name", "family"), [
    ("gptoss", "gpt-oss"), ("gpt_oss", "gpt-oss"), ("falcon_h1", "falcon-h1"), ("cohere2_moe", "cohere2moe"), ("olmo3", "olmo2"),
    ("qwen25vl", "qwen2vl"), ("glmocr", "glm4"), ("deepseekocr", "deepseek2-ocr"), ("glm4moelite", "deepseek2"),
    ("nemotron-h", "nemotron_h"), ("bitnet-b1.58", "bitnet"), ("Qwen3", "qwen3"), ("granite-swa", "granite_swa"),
])  # fmt: skip
def test_other_names_of_an_architecture(name, family):
    """Ollama's, ik_llama.cpp's, and other ways to set a name."""
    assert architecture_of(name).family == family


def test_a_name_that_nobody_has_is_no_other():
    """Neither near ones nor beginnings of others."""
    assert [architecture_of(name) for name in ("llama5", "qwen", "qwe", "gpt", "")][0:1] == [None]
    assert architecture_of("qwe") is None
    assert architecture_of("gpt") is None
