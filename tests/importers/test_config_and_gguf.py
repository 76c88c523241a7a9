"""A published model is the same by its config.json and by the header of its GGUF file."""

import json

import pytest
from bare_headers import write_header

from simulator.importers.gguf import load_gguf
from simulator.importers.huggingface import load_huggingface
from simulator.spec.runtime import load_runtime


def attention(d, n_heads, n_kv, head_dim, more):
    """Matrices of one layer, row length first, and *more* vectors by name."""
    q, kv = n_heads * head_dim, n_kv * head_dim
    matrices = {"attn_q": (d, q), "attn_k": (d, kv), "attn_v": (d, kv), "attn_output": (q, d)}
    return {f"{name}.weight": shape for name, shape in matrices.items()} | more


def network(d, width):
    """Three matrices."""
    return {"ffn_gate.weight": (d, width), "ffn_up.weight": (d, width), "ffn_down.weight": (width, d)}


def experts(d, width, n_experts):
    """A router and three matrices for each expert."""
    return {
        "ffn_gate_inp.weight": (d, n_experts),
        "ffn_gate_exps.weight": (d, width, n_experts),
        "ffn_up_exps.weight": (d, width, n_experts),
        "ffn_down_exps.weight": (width, d, n_experts),
    }


def norms(d, *names):
    """Vectors of the residual stream."""
    return {f"{name}.weight": (d,) for name in names}


def whole(d, vocab, layers, is_tied):
    """All tensors of a model; *layers* are those of each."""
    found = {"token_embd.weight": (d, vocab), "output_norm.weight": (d,)}
    found |= {} if is_tied else {"output.weight": (d, vocab)}
    return found | {f"blk.{i}.{name}": shape for i, layer in enumerate(layers) for name, shape in layer.items()}


def keys(config, **more):
    """What llama.cpp's converter writes of the usual keys of a config."""
    return {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "attention.head_count": config["num_attention_heads"],
        **({"attention.head_count_kv": config["num_key_value_heads"]} if "num_key_value_heads" in config else {}),
        **({"attention.key_length": config["head_dim"]} if "head_dim" in config else {}),
        **({"attention.value_length": config["head_dim"]} if "head_dim" in config else {}),
        **more,
    }


def usual(model_type, d, n_layers, n_heads, n_kv, width, vocab, positions, **more):
    """A config by the usual keys."""
    return {
        "model_type": model_type,
        "hidden_size": d,
        "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_kv,
        "intermediate_size": width,
        "vocab_size": vocab,
        "max_position_embeddings": positions,
        **more,
    }


TWO = ("attn_norm", "ffn_norm")
OF_HEADS = {"attn_q_norm.weight": (128,), "attn_k_norm.weight": (128,)}


def llama_3_2_1b():
    """Meta's smallest: the head is the embedding."""
    config = usual("llama", 2048, 16, 32, 8, 8192, 128256, 131072, head_dim=64, tie_word_embeddings=True)
    layer = attention(2048, 32, 8, 64, norms(2048, *TWO)) | network(2048, 8192)
    return config, "llama", keys(config), whole(2048, 128256, [layer] * 16, True)


def mistral_7b_v0_1():
    """A window in its config, of which GGUF files and llama.cpp know nothing."""
    config = usual("mistral", 4096, 32, 32, 8, 14336, 32000, 32768, sliding_window=4096, tie_word_embeddings=False)
    layer = attention(4096, 32, 8, 128, norms(4096, *TWO)) | network(4096, 14336)
    return config, "llama", keys(config), whole(4096, 32000, [layer] * 32, False)


def qwen3_30b_a3b():
    """Norms of heads, 128 experts."""
    more = {"head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
    config = usual("qwen3_moe", 2048, 48, 32, 4, 6144, 151936, 40960, tie_word_embeddings=False, **more)
    layer = attention(2048, 32, 4, 128, norms(2048, *TWO) | OF_HEADS) | experts(2048, 768, 128)
    own = {"expert_count": 128, "expert_used_count": 8, "expert_feed_forward_length": 768}
    return config, "qwen3moe", keys(config, **own), whole(2048, 151936, [layer] * 48, False)


def gemma_3_1b():
    """Four norms, a window in five of six layers, by a period that the file does not hold."""
    config = usual("gemma3_text", 1152, 26, 4, 1, 6912, 262144, 32768, head_dim=256, sliding_window=512)
    vectors = norms(1152, *TWO, "post_attention_norm", "post_ffw_norm")
    vectors |= {"attn_q_norm.weight": (256,), "attn_k_norm.weight": (256,)}
    layer = attention(1152, 4, 1, 256, vectors) | network(1152, 6912)
    own = {"attention.sliding_window": 512}
    return config, "gemma3", keys(config, **own), whole(1152, 262144, [layer] * 26, True)


def olmo_3_7b():
    """Norms after each half and over all heads, a window in three of four layers; its files are those of an OLMo 2."""
    config = usual("olmo3", 4096, 32, 32, 32, 11008, 100278, 65536, sliding_window=4096, tie_word_embeddings=False)
    vectors = norms(4096, "post_attention_norm", "post_ffw_norm", "attn_q_norm", "attn_k_norm")
    layer = attention(4096, 32, 32, 128, vectors) | network(4096, 11008)
    own = {"attention.sliding_window": 4096}
    return config, "olmo2", keys(config, **own), whole(4096, 100278, [layer] * 32, False)


def gpt_oss_20b():
    """Biases everywhere, sinks, a window in every other layer."""
    more = {"head_dim": 64, "num_local_experts": 32, "num_experts_per_tok": 4, "sliding_window": 128}
    config = usual("gpt_oss", 2880, 24, 64, 8, 2880, 201088, 131072, tie_word_embeddings=False, **more)
    vectors = norms(2880, "attn_norm", "post_attention_norm") | {"attn_sinks.weight": (64,)}
    vectors |= {"attn_q.bias": (4096,), "attn_k.bias": (512,), "attn_v.bias": (512,), "attn_output.bias": (2880,)}
    layer = attention(2880, 64, 8, 64, vectors) | experts(2880, 2880, 32)
    layer |= {f"ffn_{each}_exps.bias": (2880, 32) for each in ("gate", "up", "down")} | {"ffn_gate_inp.bias": (32,)}
    own = {"expert_count": 32, "expert_used_count": 4, "attention.sliding_window": 128}
    own["expert_feed_forward_length"] = 2880
    return config, "gpt-oss", keys(config, **own), whole(2880, 201088, [layer] * 24, False)


def deepseek_v2_lite():
    """Latents, the first layer dense, two shared experts."""
    more = {
        "kv_lora_rank": 512,
        "q_lora_rank": None,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
    }
    more |= {"first_k_dense_replace": 1, "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6}
    more |= {"moe_intermediate_size": 1408, "tie_word_embeddings": False}
    config = usual("deepseek_v2", 2048, 27, 16, 16, 10944, 102400, 163840, **more)
    layer = {"attn_q.weight": (2048, 3072), "attn_kv_a_mqa.weight": (2048, 576), "attn_kv_a_norm.weight": (512,)}
    layer |= {"attn_k_b.weight": (128, 512, 16), "attn_v_b.weight": (512, 128, 16), "attn_output.weight": (2048, 2048)}
    layer |= norms(2048, *TWO)
    shared = {f"{name.replace('.', '_shexp.')}": shape for name, shape in network(2048, 2816).items()}
    layers = [layer | network(2048, 10944), *[layer | experts(2048, 1408, 64) | shared] * 26]
    own = {"expert_count": 64, "expert_used_count": 6, "expert_shared_count": 2, "expert_feed_forward_length": 1408}
    own |= {"attention.kv_lora_rank": 512, "attention.key_length_mla": 192, "attention.value_length_mla": 128}
    own |= {"rope.dimension_count": 64, "attention.key_length": 576, "attention.value_length": 512}
    own |= {"attention.head_count_kv": 1, "leading_dense_block_count": 1}
    return config, "deepseek2", keys(config) | own, whole(2048, 102400, layers, False)


@pytest.mark.parametrize(
    "published",
    [llama_3_2_1b, mistral_7b_v0_1, qwen3_30b_a3b, gemma_3_1b, olmo_3_7b, gpt_oss_20b, deepseek_v2_lite],
    ids=lambda each: each.__name__,
)
def test_both_files_of_a_model_are_one_model(published, tmp_path):
    """Under the same architecture, and layer by layer as llama.cpp runs it, which leaves out a window that only the config tells."""
    config, architecture, named, tensors = published()
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    by_config = load_huggingface(tmp_path / "config.json").model
    by_file = load_gguf(write_header(tmp_path / "m.gguf", architecture, named, tensors)).model
    assert by_config.architecture == by_file.architecture == architecture
    assert by_config.total_params == by_file.total_params
    assert run(by_config) == run(by_file)


def run(model):
    """Of each layer the attention as llama.cpp keeps its cache, its network, and its vectors."""
    rules = load_runtime("llama.cpp").cache_rules
    return [(rules.attention_of(model, layer.attention), joined(layer.ffn), layer.norms) for layer in model.stack]


def joined(ffn):
    """Shared experts as one, as which GGUF files have them: d_shared is the width of all."""
    return ffn.model_copy(update={"n_shared": 1}) if getattr(ffn, "n_shared", 0) else ffn
