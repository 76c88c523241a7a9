"""Configs of models whose code comes with the checkpoint, by the keys that they have on the hub."""

import json

import pytest

from simulator.errors import InputError
from simulator.importers.huggingface import load_huggingface
from simulator.importers.open import load_model

QWEN_7B = {
    "model_type": "qwen", "hidden_size": 4096, "intermediate_size": 22016, "num_attention_heads": 32, "num_hidden_layers": 32,
    "vocab_size": 151936, "kv_channels": 128, "no_bias": True, "tie_word_embeddings": False, "seq_length": 8192,
}  # fmt: skip
BAICHUAN2_7B = {
    "model_type": "baichuan", "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32,
    "num_hidden_layers": 32, "vocab_size": 125696, "tie_word_embeddings": False, "model_max_length": 4096,
}  # fmt: skip
CHATGLM3_6B = {
    "model_type": "chatglm", "add_bias_linear": False, "add_qkv_bias": True, "ffn_hidden_size": 13696, "hidden_size": 4096,
    "kv_channels": 128, "multi_query_attention": True, "multi_query_group_num": 2, "num_attention_heads": 32, "num_layers": 28,
    "padded_vocab_size": 65024, "post_layer_norm": True, "rmsnorm": True, "seq_length": 8192, "tie_word_embeddings": False,
}  # fmt: skip
INTERNLM2_1_8B = {
    "model_type": "internlm2", "bias": False, "hidden_size": 2048, "intermediate_size": 8192, "num_attention_heads": 16,
    "num_hidden_layers": 24, "num_key_value_heads": 8, "vocab_size": 92544, "tie_word_embeddings": False,
}  # fmt: skip


def read(tmp_path, config):
    """The model of this config."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    return load_huggingface(file).model


@pytest.mark.parametrize(("config", "n_params"), [(QWEN_7B, 7_721_324_544), (BAICHUAN2_7B, 7_505_973_248)])
def test_counts_are_those_of_the_hubs_files(config, n_params, tmp_path):
    """Qwen-7B and Baichuan2-7B, as their safetensors metadata say."""
    assert read(tmp_path, config).total_params == n_params


@pytest.mark.parametrize(("config", "name"), [(CHATGLM3_6B, "chatglm3-6b"), (INTERNLM2_1_8B, "internlm2-1.8b")])
def test_a_config_gives_the_shipped_model(config, name, tmp_path):
    """Both shipped models equal their published counts."""
    ours, shipped = read(tmp_path, config), load_model(name).model
    assert ours.total_params == shipped.total_params
    assert ours.stack == shipped.stack


def test_the_first_chatglm_is_not_read_as_the_second(tmp_path):
    """It shares the model_type and nothing else."""
    with pytest.raises(InputError, match="first ChatGLM-6B"):
        read(tmp_path, {**CHATGLM3_6B, "inner_hidden_size": 16384})


def test_layers_of_nemotron_super_may_lack_a_half(tmp_path):
    """Widths by Nemotron's rule: 2 * 5.25 * 8192 / 3 = 28,672, 2 * 1.3125 * 8192 / 3 = 7,168; 64 heads by 8 are 8 keys."""
    nothing, linear = {"no_op": True}, {"no_op": False, "replace_with_linear": True}
    blocks = [
        {"attention": {"n_heads_in_group": 8}, "ffn": {"ffn_mult": 5.25}},
        {"attention": {**nothing, "n_heads_in_group": None}, "ffn": {"ffn_mult": 1.3125}},
        {"attention": linear, "ffn": {**nothing, "ffn_mult": None}},
    ]
    config = {
        "model_type": "nemotron-nas", "hidden_size": 8192, "num_attention_heads": 64, "num_hidden_layers": 3, "vocab_size": 128,
        "block_configs": blocks, "tie_word_embeddings": False,
    }  # fmt: skip
    first, second, third = read(tmp_path, config).stack
    assert (first.attention.n_kv_heads, first.ffn.d_ff, first.norms) == (8, 28672, 2)
    assert (second.attention, second.ffn.d_ff, second.norms) == (None, 7168, 1)
    assert (third.attention, third.ffn, third.norms) == (None, None, 1)
    assert [tensor.params for tensor in third.tensors(8192, norm_bias=False)] == [8192, 8192 * 8192]
