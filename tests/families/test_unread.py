"""Keys of a config.json that nobody reads: what may shape weights is refused by name, the rest is listed."""

import json

import pytest

from simulator.errors import InputError
from simulator.importers.huggingface import load_huggingface

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 128, "tie_word_embeddings": False,
}  # fmt: skip
KIMI = {
    "model_type": "kimi_linear", "hidden_size": 64, "intermediate_size": 96, "moe_intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 4, "num_experts": 4, "num_experts_per_token": 2, "num_shared_experts": 1,
    "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16, "vocab_size": 128,
    "linear_attn_config": {
        "kda_layers": [1], "full_attn_layers": [2], "num_heads": 4, "head_dim": 16, "short_conv_kernel_size": 4,
    },
}  # fmt: skip


def notes(tmp_path, config):
    """What is said about this config."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    return load_huggingface(file).notes


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("routed_hidden_size", 32),
        ("shared_intermediate_size", 48),
        ("o_lora_rank", 8),
        ("value_head_dim", 24),
        ("num_memory_heads", 3),
        ("num_loop_layers", 2),
        ("num_hash_experts", 8),
        ("latent_width", 12),
        ("d_conv", 4),
        ("attn_layer_period", 8),
        ("moe_every_n_layers", 2),
        ("use_output_gate", True),
        ("use_qk_norm", True),
        ("attn_out_bias", True),
        ("kinds_of_layers", ["a", "b", "a", "b"]),
        ("memory_config", {"hidden_size": 32}),
    ],
)
def test_what_may_shape_weights_is_refused_by_name(key, value, tmp_path):
    """Each would change the count, were it read."""
    with pytest.raises(
        InputError, match=rf"{key} is .*: llama as known here has no such key, .* describe the model in a YAML"
    ):
        notes(tmp_path, {**LLAMA, key: value})


@pytest.mark.parametrize("value", [None, 0, False])
def test_what_is_nothing_is_not_refused(value, tmp_path):
    """Off is off under any name."""
    assert notes(tmp_path, {**LLAMA, "routed_hidden_size": value, "use_output_gate": value}) == ()


def test_the_same_fact_told_again_is_no_other(tmp_path):
    """A width, a number of heads, of layers, that a key in use has as well; the width of a head that follows from both."""
    again = {
        "n_embd": 64,
        "n_heads": 4,
        "num_decoder_layers": 4,
        "kv_channels": 16,
        "mlp_hidden_size": 96,
        "moe_layer_freq": 1,
    }
    assert notes(tmp_path, {**LLAMA, **again}) == ()


def test_a_number_of_another_kind_is_no_excuse(tmp_path):
    """4 layers do not make 4 experts known."""
    with pytest.raises(InputError, match="num_hash_experts is 4"):
        notes(tmp_path, {**LLAMA, "num_hash_experts": 4})


def test_keys_of_every_model_are_no_remark(tmp_path):
    """How text is drawn, training, formats, positions, pictures, and how a library runs it."""
    harmless = {
        "architectures": ["LlamaForCausalLM"], "auto_map": {"AutoConfig": "x.Y"}, "torch_dtype": "bfloat16", "use_cache": True,
        "rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0}, "attention_dropout": 0.1, "initializer_range": 0.02,
        "bos_token_id": 1, "num_beams": 4, "top_k": 50, "vision_start_token_id": 9, "mm_hidden_size": 1024, "image_size": 448,
        "_attn_implementation": "sdpa", "pretraining_tp": 2, "rms_norm_eps": 1e-5, "transformers_version": "4.40.1",
        "num_labels": 2, "chunk_size_feed_forward": 0, "ep_size": 1, "aux_loss_alpha": 0.1, "logit_scale": 0.5,
    }  # fmt: skip
    assert notes(tmp_path, {**LLAMA, **harmless}) == ()


def test_the_rest_is_listed(tmp_path):
    """What is neither known nor looks like a shape is said once, with no more than eight names."""
    unknown = {f"trait_{letter}": "on" for letter in "abcdefghij"}
    (note,) = notes(tmp_path, {**LLAMA, **unknown})
    assert note.startswith("keys that nothing here reads: trait_a, trait_b,")
    assert note.endswith("trait_h and 2 more")


def test_blocks_that_predict_further_tokens_are_said(tmp_path):
    """They are none of the layers, whatever they are called."""
    assert notes(tmp_path, {**LLAMA, "num_mtp_blocks": 2}) == (
        "num_mtp_blocks 2: blocks that predict further tokens are not counted",
    )


def test_keys_of_a_part_are_looked_at_too(tmp_path):
    """A mapping that the family asks by its keys is no cover for others."""
    config = {**KIMI, "linear_attn_config": {**KIMI["linear_attn_config"], "num_memory_heads": 2}}
    assert notes(tmp_path, KIMI) == ()
    with pytest.raises(InputError, match=r"linear_attn_config\.num_memory_heads is 2"):
        notes(tmp_path, config)


def test_keys_of_the_class_are_known(tmp_path):
    """A field of transformers' class is no riddle, read or not: tests/importers/census.json.xz has the counts with all of them."""
    assert notes(tmp_path, {**LLAMA, "mlp_bias": False, "head_dim": 16, "rope_parameters": {"rope_theta": 1.0}}) == ()


def test_a_config_of_thousands_of_such_keys_is_none(tmp_path):
    """Nor is anybody made to wait for what each of them may mean."""
    with pytest.raises(InputError, match="has 5,000 keys that llama as known here has not"):
        notes(tmp_path, {**LLAMA, **{f"mine_{number}": 1 for number in range(5_000)}})
