"""A key that is left out of a config: its class says what that means, or a table does, or it is refused; it is never guessed."""

import json
from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.families.config import config_classes
from simulator.families.remote_defaults import ABSENT_IS_NONE, REMOTE_DEFAULTS
from simulator.families.unnamed import named
from simulator.importers.huggingface import load_huggingface

HUB = json.loads(Path(__file__).with_name("hub_configs.json").read_text(encoding="utf-8"))
PARTS = ("text_config", "llm_config")


def count(folder, config):
    """The weights that this config has."""
    file = folder / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    return load_huggingface(file).model.total_params


def without_one(config):
    """Each key of a config, and of the mappings in it, with the config that lacks it."""
    for key, value in config.items():
        yield (key,), {other: config[other] for other in config if other != key}
        if isinstance(value, dict):
            yield from (((key, *path), {**config, key: rest}) for path, rest in without_one(value))


def is_told(config, path):
    """Whether a class of transformers has the key, or the table of remote code."""
    whole_type = named(Path("config.json"), config)["model_type"] if "model_type" in config else "mamba-ssm"
    types = [whole_type, *(config[part].get("model_type") for part in PARTS if part in config)]
    if whole_type in config_classes():
        types += [part["model_type"] for part in config_classes()[whole_type].get("sub_configs", {}).values()]
        if path[-1] == "head_dim":  # transformers: `getattr(config, "head_dim", hidden_size // num_attention_heads)`
            return True
        known = [config_classes()[each] for each in types if each in config_classes()]
        parts = [each.get(part, {}) for each in known for part in ("defaults", "attribute_map", "older", "sub_configs")]
        return any(path[0] in part or path[0] in part.values() for part in parts if isinstance(part, dict))
    return path[-1] in ABSENT_IS_NONE or any(path[-1] in REMOTE_DEFAULTS.get(each, {}) for each in types)


@pytest.mark.parametrize("name", HUB)
def test_a_key_left_out_changes_nothing_unseen(name, tmp_path):
    """The count stays, or the key is refused or stands in a table."""
    row = HUB[name]
    for path, config in without_one(row["config"]):
        try:
            found = count(tmp_path, config)
        except InputError:
            continue
        assert found == row["params"] or is_told(row["config"], path), (".".join(path), found)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("deepseek-moe-16b", "moe_intermediate_size"),
        ("Ling-mini-2.0", "moe_intermediate_size"),
        ("MiniMax-Text-01", "num_local_experts"),
        ("MiniMax-Text-01", "attn_type_list"),
        ("MiniMax-M3", "sparse_attention_config"),
        ("Hunyuan-Large", "num_experts"),
        ("Yi-34B", "intermediate_size"),
        ("Yi-34B", "num_key_value_heads"),
        ("internlm2.5", "intermediate_size"),
        ("Phi-3-vision", "tie_word_embeddings"),
        ("Phi-4-multimodal", "tie_word_embeddings"),
        ("MiniCPM-V-2_6", "hidden_size"),
        ("MiniCPM-V-2_6", "num_hidden_layers"),
        ("MiniCPM-V-2_6", "vocab_size"),
    ],
)
def test_what_remote_code_needs_is_refused_by_name(name, key, tmp_path):
    """No value of ours stands in."""
    config = {other: value for other, value in HUB[name]["config"].items() if other != key}
    with pytest.raises(InputError, match=rf"{key} is missing, a \w+ model needs it"):
        count(tmp_path, config)


def test_an_expert_is_as_wide_as_its_class_says(tmp_path):
    """GLM-4.5's class has a width of 1,408 for experts: that of the dense layers does not stand in for it."""
    config = HUB["glm-4.5-air"]["config"]
    bare = {key: value for key, value in config.items() if key != "moe_intermediate_size"}
    assert count(tmp_path, bare) == count(tmp_path, {**config, "moe_intermediate_size": 1408})


def test_sizes_of_a_part_are_not_those_of_its_own_class(tmp_path):
    """Where transformers does not know the whole, the default of the part's type is not the whole's."""
    config = HUB["Moonlight in Kimi-VL"]["config"]
    part = {key: value for key, value in config["text_config"].items() if key != "hidden_size"}
    with pytest.raises(InputError, match="hidden_size is missing, a deepseek_v3 model needs it"):
        count(tmp_path, {**config, "text_config": part})
