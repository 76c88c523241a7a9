"""Configs of checkpoints on the hub, by their own keys: code of their own, older layouts, models that see around one that writes."""

import json
from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.importers.huggingface import load_huggingface

# `params` is what this program works out; `published`, where there is such, billions as `source` has them. Configs are shortened to
# what shapes weights and a few keys that do not.
HUB = json.loads(Path(__file__).with_name("hub_configs.json").read_text(encoding="utf-8"))


def loaded(tmp_path, config):
    """The model of this config with its notes."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    return load_huggingface(file)


@pytest.mark.parametrize("name", [name for name, row in HUB.items() if "published" in row])
def test_published_counts(name, tmp_path):
    """To the last digit that the source has."""
    row = HUB[name]
    digits = len(row["published"].partition(".")[2])
    assert f"{loaded(tmp_path, row['config']).model.total_params / 1e9:.{digits}f}" == row["published"]


@pytest.mark.parametrize("name", HUB)
def test_counts_stay_as_they_are(name, tmp_path):
    """Regression values: what was worked out once, whether or not a count is published. They prove nothing but that it stays so."""
    assert loaded(tmp_path, HUB[name]["config"]).model.total_params == HUB[name]["params"]


@pytest.mark.parametrize("name", HUB)
def test_no_key_of_theirs_is_refused_or_puzzles(name, tmp_path):
    """A key that is known to change nothing is no remark."""
    config = {**HUB[name]["config"], "use_cache": True, "initializer_range": 0.02, "torch_dtype": "bfloat16"}
    assert not [note for note in loaded(tmp_path, config).notes if "nothing here reads" in note]


def test_kimi_k3_has_what_kimi_linear_lacks(tmp_path):
    """Gates of both mixers, narrow routed experts with a norm, and scores of earlier blocks: 4 vectors a layer, 2 at the end."""
    model = loaded(tmp_path, HUB["Kimi-K3"]["config"]).model
    first, fourth = model.stack[0], model.stack[3]
    roles = {tensor.role: tensor for layer in (first, fourth) for tensor in layer.tensors(7168, norm_bias=False)}
    assert (roles["ssm_g"].rows, roles["ssm_g"].columns) in {(12288, 7168), (7168, 12288)}
    assert roles["attn_gate"].params == 7168 * 96 * 128
    assert roles["ffn_gate_exps"].params == 896 * 3584 * 3072
    assert roles["ffn_latent_norm"].params == 3584
    assert roles["attn_res_score"].params == roles["ffn_res_norm"].params == 7168


def test_grok_2_is_no_writer_of_captions(tmp_path):
    """Its config states the model_type of another: the class it names decides."""
    with pytest.raises(InputError, match="a writer of captions"):
        loaded(tmp_path, {**HUB["grok-2"]["config"], "architectures": ["GitForCausalLM"]})


def test_hunyuan_large_shares_keys_by_pairs(tmp_path):
    """Every second layer has queries alone and reads the cache of the one before."""
    stack = loaded(tmp_path, HUB["Hunyuan-Large"]["config"]).model.stack
    assert [layer.attention.shares_cache for layer in stack[:4]] == [False, True, False, True]


def test_windows_of_smallthinker(tmp_path):
    """As sliding_window_layout lists them."""
    stack = loaded(tmp_path, HUB["SmallThinker-21BA3B"]["config"]).model.stack
    assert [layer.attention.window for layer in stack[:5]] == [None, 4096, 4096, 4096, None]


def test_rwkv7_keeps_a_matrix_for_each_head(tmp_path):
    """12 heads of 64 by 64 values and the last token's inputs to both halves, in float32."""
    layer = loaded(tmp_path, HUB["rwkv7-0.1b"]["config"]).model.stack[0]
    assert layer.attention.state_bytes == 4 * (12 * 64 * 64 + 2 * 768)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"ssm_cfg": {"layer": "Mamba2"}, "attn_layer_idx": [9, 18]}, "Mamba with attention"),
        ({"vocab_size": None}, "vocab_size and pad_vocab_size_multiple"),
        ({"ssm_cfg": {"layer": "Mamba2", "headdim": 48}}, "headdim of ssm_cfg is 48"),
        ({"ssm_cfg": {"expand": "two"}}, "d_model and expand"),
        ({"ssm_cfg": {"expand": 10**9}, "d_model": [7]}, "d_model and expand"),
    ],
)
def test_what_the_mamba_package_saves_is_checked(changes, what, tmp_path):
    """It has no model_type: ssm_cfg tells it."""
    with pytest.raises(InputError, match=what):
        loaded(tmp_path, {**HUB["mamba-2.8b"]["config"], **changes})


def test_an_unknown_version_of_minicpm_v_is_refused(tmp_path):
    """Its version tells which decoder is inside."""
    with pytest.raises(InputError, match=r"version is 9.9: of minicpmv 2.0, 2.5, 2.6, 4.0, 4.5 are known"):
        loaded(tmp_path, {**HUB["MiniCPM-V-2_6"]["config"], "version": 9.9})


TINY = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "vocab_size": 128, "tie_word_embeddings": False,
}  # fmt: skip
TINY_LAYER = 64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64  # attention, network, norms
TINY_COUNT = 2 * 128 * 64 + 64 + 2 * TINY_LAYER  # embedding and head, last norm


@pytest.mark.parametrize(
    ("keys", "beside"),
    [
        ({"model_type": "Yi"}, 0),
        ({"model_type": "solar", "bskcn_1": [12], "bskcn_tv": [0.9, 0.8]}, 0),
        ({"model_type": "step1", "num_attention_groups": 2}, 0),
        ({"model_type": "maincoder"}, 2 * 2 * 16),  # norms of query and key
        (
            {"model_type": "telechat", "n_layer": 2, "n_head": 4, "ffn_hidden_size": 96},
            2 * 2 * 64,
        ),  # biases of o and down
        ({"model_type": "PanguEmbedded", "bias": True}, 2 * (64 + 2 * 32 + 64)),  # biases of q, k, v and o
        ({"model_type": "spark2_5", "headwise_attn_output_gate": True}, 2 * 4 * 64),  # a gate for each head
        (
            {"model_type": "k2_horizon", "query_key_norm": True, "attention_gate_func": "softplus"},
            2 * (64 + 32 + 64 * 64),
        ),
    ],
)
def test_small_models_worked_by_hand(keys, beside, tmp_path):
    """A Llama of two layers and what each has beside it."""
    assert loaded(tmp_path, {**TINY, **keys}).model.total_params == TINY_COUNT + beside


def test_nanbeige_runs_its_layers_again(tmp_path):
    """Twice the layers, stored once, each with a cache of its own."""
    model = loaded(tmp_path, {**TINY, "model_type": "nanbeige", "num_loops": 2}).model
    assert model.total_params == TINY_COUNT
    assert [layer.shares_weights for layer in model.stack] == [False, False, True, True]


def test_values_chosen_among_experts_are_refused(tmp_path):
    """K2 Horizon's larger model has them."""
    with pytest.raises(InputError, match="mova_num_experts is 8"):
        loaded(tmp_path, {**TINY, "model_type": "k2_horizon", "mova_num_experts": 8})


def test_an_unknown_type_is_read_as_the_class_that_it_names(tmp_path):
    """Runtimes choose the model by architectures; it is said, and what the file leaves out is no default of that class."""
    config = {**TINY, "model_type": "house_llama", "architectures": ["LlamaForCausalLM"]}
    found = loaded(tmp_path, config)
    assert found.model.total_params == TINY_COUNT
    assert found.notes == (
        "model_type 'house_llama' is unknown here: read as LlamaForCausalLM, the class under architectures",
    )
    with pytest.raises(InputError, match="vocab_size is missing"):
        loaded(tmp_path, {key: value for key, value in config.items() if key != "vocab_size"})


@pytest.mark.parametrize("classes", [None, [], ["HouseForCausalLM"], "LlamaForCausalLM", [7]])
def test_an_unknown_type_without_a_known_class_is_refused(classes, tmp_path):
    """No guess by a name that looks alike."""
    with pytest.raises(InputError, match="model_type 'house_llama' is unknown") as refusal:
        loaded(tmp_path, {**TINY, "model_type": "house_llama", "architectures": classes})
    assert "did you mean" not in str(refusal.value)


def test_what_runtimes_know_and_is_not_counted_is_said(tmp_path):
    """With what is missing, and what to give instead."""
    config = {**TINY, "model_type": "grove_moe", "architectures": ["GroveMoeForCausalLM"]}
    with pytest.raises(
        InputError, match=r"experts that pairs of experts share are not counted here; .* a GGUF file of it"
    ):
        loaded(tmp_path, config)


def test_a_latent_that_is_missing_is_no_null(tmp_path):
    """DeepSeek-VL2 tiny states kv_lora_rank as null and has keys and values; a file that leaves it out is incomplete."""
    sparse = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_shared_experts": 1}
    config = {**TINY, **sparse, "qk_nope_head_dim": 0, "qk_rope_head_dim": 0, "v_head_dim": 0, "q_lora_rank": None}
    found = loaded(tmp_path, {**config, "model_type": "deepseek_v2", "kv_lora_rank": None, "use_mla": False})
    assert {layer.attention.kind for layer in found.model.stack} == {"grouped_query"}
    with pytest.raises(InputError, match="kv_lora_rank is missing"):
        loaded(tmp_path, {**config, "model_type": "pangu_ultra_moe"})
