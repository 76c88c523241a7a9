"""Configs of published models, shortened to what decides shapes, give the parameter counts that their files hold."""

import json

import pytest

from simulator.importers.huggingface import load_huggingface

# Worked by hand from the shapes of the checkpoints.
GPT2 = 50257 * 768 + 1024 * 768 + 12 * (12 * 768 * 768 + 13 * 768) + 2 * 768
OPT_350M = (
    50272 * 512 + 2 * 512 * 1024 + 2050 * 1024  # embedding, both projections, positions with two rows more
    + 24 * (4 * 1024 * 1024 + 4 * 1024 + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024)
)  # fmt: skip
BLOOM_560M = 250880 * 1024 + 2 * 1024 + 24 * (12 * 1024 * 1024 + 13 * 1024) + 2 * 1024
FALCON_7B = 65024 * 4544 + 32 * (4544 * (4544 + 2 * 64) + 4544 * 4544 + 8 * 4544 * 4544 + 2 * 4544) + 2 * 4544


@pytest.mark.parametrize(
    ("config", "n_params"),
    [
        ({"model_type": "gpt2"}, GPT2),
        (
            {
                "model_type": "opt", "hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
                "word_embed_proj_dim": 512, "do_layer_norm_before": False, "vocab_size": 50272,
            },
            OPT_350M,
        ),
        ({"model_type": "bloom", "n_embed": 1024, "n_layer": 24, "num_attention_heads": 16}, BLOOM_560M),
        ({"model_type": "falcon"}, FALCON_7B),
    ],
)  # fmt: skip
def test_counts_of_published_models(config, n_params, tmp_path):
    """To the weight, as the sums above."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    assert load_huggingface(file).model.total_params == n_params


def test_gemma4_shares_keys_of_its_last_layers(tmp_path):
    """The last two of six layers hold no projections of key and value, read an earlier cache, and are twice as wide."""
    config = {
        "model_type": "gemma4_text", "hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 16, "global_head_dim": 32, "intermediate_size": 96, "vocab_size": 100, "num_kv_shared_layers": 2,
        "hidden_size_per_layer_input": 0, "use_double_wide_mlp": True, "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention"] * 3,
    }  # fmt: skip
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    stack = load_huggingface(file).model.stack
    assert [layer.attention.shares_cache for layer in stack] == [False] * 4 + [True] * 2
    assert [layer.attention.window for layer in stack] == [8, None] * 3
    assert [layer.attention.head_dim for layer in stack] == [16, 32] * 3
    assert [layer.ffn.d_ff for layer in stack] == [96] * 4 + [192] * 2
    assert {tensor.role for tensor in stack[5].attention.tensors(64)} == {"attn_q", "attn_output", "attn_q_norm"}
