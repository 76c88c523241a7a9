"""Configs as libraries save them: a text part within, keys left to the class, Infinity, contexts of ten million tokens."""

import json

from simulator.importers.open import load_model

GEMMA = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "model_type": "gemma3_text",
        "num_hidden_layers": 30,
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model", "num_hidden_layers": 27},
}
WRITTEN_OUT = {"vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256}
QWEN = {
    "architectures": ["Qwen3_5MoeForConditionalGeneration"],
    "model_type": "qwen3_5_moe",
    "tie_word_embeddings": False,
    "vision_config": {"depth": 27, "hidden_size": 1152, "model_type": "qwen3_5_moe"},
    "text_config": {
        "attn_output_gate": True, "full_attention_interval": 4, "head_dim": 256, "hidden_size": 1536,
        "layer_types": [*["linear_attention"] * 3, "full_attention"] * 2, "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_value_head_dim": 128,
        "max_position_embeddings": 262144, "model_type": "qwen3_5_moe_text", "moe_intermediate_size": 512,
        "mtp_num_hidden_layers": 1, "num_attention_heads": 16, "num_experts": 64, "num_experts_per_tok": 8,
        "num_hidden_layers": 8, "num_key_value_heads": 2, "shared_expert_intermediate_size": 512, "vocab_size": 248320,
    },
}  # fmt: skip
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "head_dim": 128, "hidden_size": 5120, "num_hidden_layers": 40,
    "intermediate_size": 13824, "num_attention_heads": 40, "num_key_value_heads": 8, "tie_word_embeddings": False, "vocab_size": 100352,
}  # fmt: skip


def saved(tmp_path, config):
    """The model of a folder with this config.json."""
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return load_model(tmp_path).model


def test_keys_left_to_the_class_are_those_of_the_class(tmp_path):
    """As published and written out: 262,208 x 2,048 of the embedding, which is the head, and 30 layers of heads of 256."""
    published = saved(tmp_path, GEMMA)
    written = saved(tmp_path, {**GEMMA, "text_config": {**GEMMA["text_config"], **WRITTEN_OUT}})
    assert published.total_params == written.total_params == 2_424_701_952
    assert published.stack == written.stack


def test_the_text_part_is_counted(tmp_path):
    """As many weights as transformers 5.24 builds of the text part on its meta device; prediction blocks are none of them."""
    model = saved(tmp_path, QWEN)
    assert model.total_params == 2_183_175_808
    assert [layer.attention.kind for layer in model.stack] == [*["gated_delta_net"] * 3, "grouped_query"] * 2


def test_infinity_is_read_in_both_spellings(tmp_path):
    """Python's word for it, which JSON does not know, and what transformers writes in its place."""
    counts = {
        saved(tmp_path, {**LLAMA, "time_step_limit": [0.0, each]}).total_params
        for each in (float("inf"), {"__float__": "Infinity"})
    }
    layer = 5120 * (2 * 40 + 2 * 8) * 128 + 3 * 5120 * 13824 + 2 * 5120
    assert counts == {40 * layer + 2 * 100352 * 5120 + 5120}


def test_a_context_of_ten_million_tokens_is_read(tmp_path):
    """It is no width: Llama 4 Scout states 10,485,760."""
    assert saved(tmp_path, {**LLAMA, "max_position_embeddings": 10_485_760}).max_context == 10_485_760
