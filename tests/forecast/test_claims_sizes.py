"""What published work says of the sizes of models and of their caches, and forecasts must reproduce.

Claims are numbered, each with its source. A number without a source in its sentence is worked by hand from the numbers beside it.
"""

import pytest
from claimed import GIGA, shipped

from simulator import Model, Workload
from simulator.forecast.decode import cache_bytes_held, cache_bytes_per_token
from simulator.spec.layers.attention import GroupedQuery
from simulator.spec.mixes import parse_weights
from simulator.spec.model import weight_bytes
from simulator.spec.quant import FORMATS

GIB = 2**30


def billions(name):
    return shipped(name).total_params / GIGA


def active_billions(name, counts="with_both_embeddings"):
    return shipped(name).active_params(counts) / GIGA


def file_bytes(name, weights):
    return weight_bytes(shipped(name), parse_weights(weights))


# ---- dense models: sizes and caches ----


def test_gpt_3_has_175_billion_weights():
    """Claim 1: GPT-3's largest row multiplies out to the 174.6 to 175B of its name (arXiv 2005.14165, Table 2.1)."""
    assert billions("gpt-3-175b") == pytest.approx(174.6, rel=0.01)
    assert billions("gpt-3-175b") == pytest.approx(175, rel=0.01)


def test_the_misprinted_width_of_gpt_3_13b_is_flagged():
    """Claim 2: d_model 5140 is not 40 heads x 128 (arXiv 2005.14165, Table 2.1), misses Table D.1's 12,850M, and the notes say so."""
    model = shipped("gpt-3-13b")
    attention = model.stack[0].attention
    assert (attention.n_heads, attention.head_dim) == (40, 128)
    assert attention.n_heads * attention.head_dim == model.d_model != 5140
    assert "5140" in model.notes
    assert "inconsistent" in model.notes
    printed = model.model_dump(exclude_none=True) | {"d_model": 5140}
    printed["layers"][0]["ffn"]["d_ff"] = 4 * 5140
    assert model.total_params / 12.85e9 == pytest.approx(1, abs=0.001)
    assert Model.model_validate(printed).total_params / 12.85e9 > 1.006


@pytest.mark.parametrize(("name", "total"), [("llama-3-8b", 8.03), ("llama-3-70b", 70.55), ("llama-3.1-405b", 405.85)])
def test_llama_3_has_its_published_sizes(name, total):
    """Claim 3: Llama 3's three shapes hold 8.03, 70.55 and 405.85B weights (arXiv 2407.21783, Table 3)."""
    assert billions(name) == pytest.approx(total, rel=0.001)


def test_llama_2_7b_has_its_size_and_cache():
    """Claim 4: Llama-2-7B has 6.738B weights and caches 32 layers * 2 * 32 heads * 128 * 2 bytes a token (its config.json)."""
    assert billions("llama-2-7b") == pytest.approx(6.738, rel=0.001)
    assert cache_bytes_per_token(shipped("llama-2-7b"), FORMATS["f16"]) == 524_288


def test_grouped_queries_quarter_the_cache_of_llama():
    """Claim 5: Llama-3-8B caches 131,072 bytes a token, a quarter of Llama-2-7B, with 8 key/value heads for 32 (arXiv 2407.21783)."""
    cached = cache_bytes_per_token(shipped("llama-3-8b"), FORMATS["f16"])
    assert cached == 131_072
    assert cache_bytes_per_token(shipped("llama-2-7b"), FORMATS["f16"]) == 4 * cached


# ---- mixtures of experts: sizes ----


def test_mixtral_8x7b_has_its_published_sizes():
    """Claim 6: Mixtral 8x7B holds 46.7B weights and uses 12.9B, stated as 47B and 13B (arXiv 2401.04088)."""
    assert billions("mixtral-8x7b") == pytest.approx(46.7, abs=0.05)
    assert active_billions("mixtral-8x7b") == pytest.approx(12.9, abs=0.05)


def test_mixtral_8x22b_has_its_published_sizes():
    """Claim 7: Mixtral 8x22B holds 140.6B weights and uses 39.15B, stated as 141B and 39B (mistral.ai/news/mixtral-8x22b)."""
    assert billions("mixtral-8x22b") == pytest.approx(140.6, abs=0.05)
    assert active_billions("mixtral-8x22b") == pytest.approx(39.15, abs=0.01)


def test_qwen3_30b_has_its_published_sizes():
    """Claim 8: llama-bench counts 30.53B weights (geerlingguy/ai-benchmarks issue 47), of which the card calls 3.3B active."""
    assert billions("qwen3-30b-a3b") == pytest.approx(30.53, abs=0.005)
    assert active_billions("qwen3-30b-a3b") == pytest.approx(3.3, rel=0.02)


def test_qwen3_235b_has_the_bytes_of_its_checkpoint():
    """Claim 9: 235.09B weights, and the 470,187,269,120 bytes that the index of its bf16 checkpoint on Hugging Face states."""
    assert billions("qwen3-235b-a22b") == pytest.approx(235.09, abs=0.005)
    assert file_bytes("qwen3-235b-a22b", "bf16") == pytest.approx(470_187_269_120, rel=1e-4)


def test_deepseek_v3_has_its_published_sizes():
    """Claim 10: DeepSeek-V3 holds 671.0B weights and uses 37.55B with both embeddings, stated as 37B (its README)."""
    assert billions("deepseek-v3") == pytest.approx(671.0, abs=0.05)
    assert active_billions("deepseek-v3") == pytest.approx(37.55, abs=0.005)


def test_kimi_k2_has_its_published_sizes():
    """Claim 11: Kimi-K2 holds 1.026T weights and uses 31.7 or 32.9B, without and with the input embedding (README: 1T and 32B)."""
    assert billions("kimi-k2") == pytest.approx(1026, abs=0.5)
    assert active_billions("kimi-k2", "without_input_embedding") == pytest.approx(31.7, abs=0.05)
    assert active_billions("kimi-k2") == pytest.approx(32.9, abs=0.05)


def test_olmoe_has_its_published_sizes():
    """Claim 12: OLMoE-1B-7B holds 6.92B weights and uses 1.28B (github.com/allenai/OLMoE, arXiv 2409.02060)."""
    assert billions("olmoe-1b-7b") == pytest.approx(6.92, abs=0.005)
    assert active_billions("olmoe-1b-7b") == pytest.approx(1.28, abs=0.005)


def test_gpt_oss_120b_counts_the_head_and_not_the_input_embedding():
    """Claim 13: gpt-oss-120b holds 116.8B weights and uses 5.13B, input embedding not counted (arXiv 2508.10925, Table 1)."""
    assert billions("gpt-oss-120b") == pytest.approx(116.8, abs=0.05)
    assert active_billions("gpt-oss-120b", "without_input_embedding") == pytest.approx(5.13, abs=0.005)


def test_gpt_oss_20b_has_its_published_sizes_and_checkpoint():
    """Claim 14: 20.91B weights, 3.61B active, 12.8 GiB: 19.12B at 4.25 bit and 1.8B at 16 (arXiv 2508.10925, Table 1)."""
    assert billions("gpt-oss-20b") == pytest.approx(20.91, abs=0.005)
    assert active_billions("gpt-oss-20b", "without_input_embedding") == pytest.approx(3.61, abs=0.005)
    assert file_bytes("gpt-oss-20b", "mxfp4+bf16") / GIB == pytest.approx(12.8, abs=0.05)


def test_gpt_oss_120b_has_the_size_of_its_checkpoint():
    """Claim 15: gpt-oss-120b takes 60.8 GiB: 114.71B at 4.25 bit and 2.12B at 16 (arXiv 2508.10925, Table 1)."""
    assert file_bytes("gpt-oss-120b", "mxfp4+bf16") / GIB == pytest.approx(60.8, abs=0.1)


@pytest.mark.parametrize(("name", "total"), [("llama-4-scout", 107.8), ("llama-4-maverick", 400.7)])
def test_llama_4_has_its_published_sizes(name, total):
    """Claim 16: the text models of Scout and Maverick hold 107.8 and 400.7B weights, both use 17.2B (model card: 109, 400, 17)."""
    assert billions(name) == pytest.approx(total, abs=0.05)
    assert active_billions(name) == pytest.approx(17.2, abs=0.05)


@pytest.mark.parametrize(
    ("name", "total", "active"), [("granite-3.1-1b-a400m", 1.33, 0.43), ("granite-3.1-3b-a800m", 3.30, 0.88)]
)
def test_granite_counts_its_tied_embedding_once(name, total, active):
    """Claim 17: Granite 3.1, whose head is its embedding, holds 1.33 and 3.30B weights and uses 0.43 and 0.88B (config.json)."""
    assert billions(name) == pytest.approx(total, abs=0.005)
    assert active_billions(name) == pytest.approx(active, abs=0.005)


def test_phi_3_5_moe_is_smaller_than_its_name():
    """Claim 18: Phi-3.5-MoE's 16x3.8B are 41.9B, not 60.8B, since experts share all else; 6.64B are active (model card)."""
    assert billions("phi-3.5-moe") == pytest.approx(41.9, abs=0.05)
    assert active_billions("phi-3.5-moe") == pytest.approx(6.64, abs=0.005)


# ---- caches that do not grow like the others ----


def test_latent_attention_caches_a_quarter_of_grouped_queries():
    """Claim 45: DeepSeek-V3 caches 576 values a token and layer, 8 key/value heads would cache 8 * 128 * 2 = 2048 (its config)."""
    model = shipped("deepseek-v3")
    assert {layer.attention.cache_width for layer in model.stack} == {512 + 64}
    assert cache_bytes_per_token(model, FORMATS["bf16"]) == 61 * 576 * 2
    assert GroupedQuery(n_heads=128, n_kv_heads=8, head_dim=128).cache_width == 2048


@pytest.mark.parametrize("name", ["gpt-oss-20b", "gpt-oss-120b"])
def test_sliding_layers_halve_the_cache_of_gpt_oss(name):
    """Claim 46: half the layers keep 128 of 131,072 tokens, (1 + 1/1024) / 2 = 50.05 % of an all-full cache (gpt-oss config)."""
    model = shipped(name)
    held = cache_bytes_held(model, Workload(weights=parse_weights("mxfp4"), context=131_071))
    all_full = len(model.stack) * 131_072 * 2 * 8 * 64 * 2  # key and value, heads, width, bytes
    assert held / all_full == pytest.approx(0.5005, abs=0.00005)


def test_linear_layers_keep_the_cache_of_qwen3_next_small():
    """Claim 47: Qwen3-Next caches 12 * 2 * 2 * 256 = 12,288 values a token, Qwen3-30B 48 * 2 * 4 * 128 = 49,152 (model cards)."""
    values = [
        cache_bytes_per_token(shipped(name), FORMATS["f16"]) / 2 for name in ("qwen3-next-80b-a3b", "qwen3-30b-a3b")
    ]
    assert values == [12_288, 49_152]
