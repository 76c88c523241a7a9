"""What published work says of these systems, and a simulator of them must reproduce: numbered claims, each with its source.

A number without a source in its sentence is worked by hand from the numbers beside it.
"""

import pytest

from simulator import (
    Hardware,
    Loaded,
    Model,
    Workload,
    load_hardware,
    load_model,
    load_runtime,
    prompt_seconds,
    scenario,
)
from simulator.errors import InputError
from simulator.forecast.decode import cache_bytes_held, cache_bytes_per_token
from simulator.forecast.prediction import bandwidth_utilisation
from simulator.spec.layers.attention import GroupedQuery
from simulator.spec.layers.ffn import Experts
from simulator.spec.mixes import parse_weights
from simulator.spec.model import weight_bytes
from simulator.spec.quant import FORMATS
from simulator.spec.routing import (
    Capacity,
    ExpertChoice,
    Uniform,
    dropped_share,
    parse_routing,
    repeat_chance,
)
from simulator.spec.sparsity import (
    PUBLISHED_OPTIMUM,
    PUBLISHED_OPTIMUM_TERNARY,
    optimal_sparsity,
    parse_sparsity,
    q_sparse_loss,
    total_over_active,
)

GIB = 2**30
GIGA = 1e9
MICROSD, NVME_GEN3 = 0.085 * GIGA, 0.837 * GIGA  # bytes per second, both secondary sources


def shipped(name):
    return load_model(name).model


def billions(name):
    return shipped(name).total_params / GIGA


def active_billions(name, counts="with_both_embeddings"):
    return shipped(name).active_params(counts) / GIGA


def file_bytes(name, weights):
    return weight_bytes(shipped(name), parse_weights(weights))


def rate(model, device, weights, context=128, **options):
    given = Loaded(model) if isinstance(model, Model) else model
    return float(scenario(given, device, weights=weights, **options).at(1, context).tokens_per_s)


def pi_rate(model, weights, context=128, **options):
    return rate(model, "pi5-16gb", weights, context, runtime="llama.cpp", **options)


def equal_layers(name, d_model, vocab, n_layers, attention, ffn):
    layer = {"count": n_layers, "attention": {"kind": "grouped_query", **attention}, "ffn": ffn}
    return Model.model_validate({"name": name, "d_model": d_model, "vocab": vocab, "layers": [layer]})


@pytest.fixture
def dense_30b():
    """Qwen3-30B-A3B with its 128 experts of width 768 as one feed-forward network that every token uses: 30.52B weights."""
    attention = {"n_heads": 32, "n_kv_heads": 4, "head_dim": 128, "qk_norm": "head"}
    return equal_layers("dense-30b", 2048, 151936, 48, attention, {"kind": "gated", "d_ff": 128 * 768})


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


# ---- routing ----


def test_switch_experts_take_their_capacity_and_drop_the_rest():
    """Claim 19: 128 experts at factor 1.25 take 1.25 T / 128 tokens each, rounded; the rest is dropped (arXiv 2101.03961, s2.2)."""
    ffn = Experts(n_experts=128, n_active=1, d_expert=2048)
    routing = Capacity("switch:1.25", 1.25)
    assert routing.per_expert(ffn, 1024) == 10  # 1280 / 128
    assert routing.per_expert(ffn, 1000) in (9, 10)  # 1250 / 128 = 9.77, down or up
    # Two tokens, two experts, one place in each: half the time both want the same, and one of the two is dropped.
    assert dropped_share(batch=2, n_experts=2, n_active=1, capacity=1) == pytest.approx(1 / 4)
    kept = Capacity("switch:1", 1.0).served(Experts(n_experts=2, n_active=1, d_expert=8), 2)
    assert float(kept) == pytest.approx(3 / 4)


def test_gshard_capacity_is_that_of_a_group():
    """Claim 20: an expert takes 2N/(G E) tokens of a group: 2 * 4096 / (4 * 64) = 32 (GShard, arXiv 2006.16668, s2.2)."""
    group = 4096 // 4
    assert float(parse_routing("gshard:2").per_expert(Experts(n_experts=64, n_active=2, d_expert=1), group)) == 32


def test_expert_choice_fills_every_expert_alike():
    """Claim 21: of 1024 tokens each of 64 experts takes 1024 * 2 / 64 = 32, so a token has 2 on average (arXiv 2202.09368, eq 1)."""
    routing = ExpertChoice("expert-choice:2", 2.0)
    ffn = Experts(n_experts=64, n_active=2, d_expert=2048)
    assert routing.tokens_per_expert(1024, 64) == 32
    assert routing.served(ffn, 1024) == 2
    with pytest.raises(InputError, match="cannot decode token by token"):
        routing.distinct(ffn, 1)


@pytest.mark.parametrize(
    ("n_experts", "n_active", "batch", "touched"), [(128, 8, 16, 82.4), (256, 8, 32, 163.3), (8, 2, 8, 7.20)]
)
def test_uniform_routing_touches_the_closed_form(n_experts, n_active, batch, touched):
    """Claim 22: E (1 - (1 - k/E)^B) experts: 82.4 for Qwen3, 163.3 for DeepSeek-V3, 7.20 for Mixtral (formula)."""
    ffn = Experts(n_experts=n_experts, n_active=n_active, d_expert=8)
    assert Uniform().distinct(ffn, batch) == pytest.approx(touched, abs=0.05)


@pytest.mark.parametrize(
    ("name", "uniform", "measured"),
    [("deepseek-v2-lite", 57.2, 53.05), ("qwen1.5-moe-a2.7b", 47.6, 46.79), ("deepseek-v3", 24.2, 18.44)],
)
def test_uniform_routing_touches_at_least_what_was_measured(name, uniform, measured):
    """Claim 23: at batch 8 uniform choice reads 57.2, 47.6 and 24.2 % of the layers, above what MoE-CAP measured (2412.07067, s4.3)."""
    model = shipped(name)
    read = scenario(name, "h200", weights="bf16", runtime="roofline").at(8, 128).cost.weight_bytes
    head = 2 * model.vocab * model.d_model  # bytes of one table in bf16; head and input embedding are not counted
    percent = 100 * (read - head) / (2 * model.total_params - 2 * head)
    assert percent == pytest.approx(uniform, abs=0.1)
    assert percent >= measured


def test_consecutive_tokens_repeat_experts_more_than_chance():
    """Claim 24: chance repeats 1/8 and 1 - (6/8)(5/7) = 46.4 %, layer 15 of Mixtral at least 23.6 and 61.6 % (2401.04088, Table 5)."""
    assert repeat_chance(8, 1) == pytest.approx(0.125)
    assert repeat_chance(8, 2) == pytest.approx(0.464, abs=0.0005)
    assert repeat_chance(8, 1) < 0.236
    assert repeat_chance(8, 2) < 0.616


def test_activated_utilisation_of_a_dense_model_is_the_plain_one():
    """Claim 25: with one expert S-MBU is MBU, all weights and the cache over time and bandwidth (MoE-CAP, arXiv 2412.07067, eq 4)."""
    point = scenario("llama-2-7b", "rtx-4090", weights="f16", runtime="llama.cpp").at(1, 1023)
    weights = 2 * (6_738_415_616 - 32_000 * 4096)  # all but the embedding table
    cache = 524_288 * (1024 + 1)  # read for 1024 tokens, written for one
    expected = (weights + cache) / (point.seconds_per_step * 1008e9)
    assert point.bandwidth_utilisation == pytest.approx(expected, rel=1e-6)
    attention = {"n_heads": 32, "n_kv_heads": 32, "head_dim": 128}
    expert = {"kind": "experts", "n_experts": 1, "n_active": 1, "d_expert": 11008}
    one_expert = Loaded(equal_layers("one-expert", 4096, 32_000, 32, attention, expert))
    streamed = scenario(one_expert, "rtx-4090", weights="f16", runtime="llama.cpp").at(1, 1023).cost.streamed_bytes
    assert streamed - point.cost.streamed_bytes == pytest.approx(32 * 4096 * 2)  # the routers


def test_bandwidth_of_all_experts_over_that_of_one_token():
    """Claim 26: R1 at 0.1 s a token needs 18,901 GB/s for all experts and 1,040 for one token's, 18.2 to 1 (MoE-CAP, 2412.07067)."""
    step = scenario("deepseek-v3", "h200", weights="bf16", runtime="roofline")
    one, everything = (step.at(batch, 0).cost.weight_bytes for batch in (1, 4096))  # 4096 tokens touch every expert
    ratio = bandwidth_utilisation(everything, 0.1, 1) / bandwidth_utilisation(one, 0.1, 1)
    assert ratio == pytest.approx(18_901 / 1_040, rel=0.02)
    assert ratio == pytest.approx(671 / 37, rel=0.02)


# ---- the Raspberry Pi 5 ----


@pytest.mark.parametrize("context", [128, 1024])
def test_pi_5_decodes_the_30b_mixture_between_7_and_10(context):
    """Claim 27: between 7 and 10.3 tokens/s at 2.70 bpw; measured 8.03 (ByteShape) and 7.99 (geerlingguy/ai-benchmarks issue 47)."""
    point = scenario("qwen3-30b-a3b", "pi5-16gb", weights="2.70bpw", runtime="llama.cpp").at(1, context)
    assert 7 < point.tokens_per_s < 10.3
    assert point.tokens_per_s_low < 7.99 < 8.03 < point.tokens_per_s_high


# Format, GB of its file, tokens/s measured: Qwen2.5-0.5B on a Pi 5 with four threads, llama.cpp issue 26484.
PI_FILES = [
    ("q2_k", 0.339, 30.39),
    ("q3_k_m", 0.355, 28.39),
    ("q4_k_m", 0.398, 25.77),
    ("q5_k_m", 0.420, 23.23),
    ("q8_0", 0.531, 19.87),
]


@pytest.mark.parametrize(("weights", "file_gb", "measured"), PI_FILES)
def test_pi_5_streams_a_dense_file_at_10_gb_per_s(weights, file_gb, measured):
    """Claim 28: a dense file of X GB gives 10.2/X tokens/s within 5 %, measured and forecast (llama.cpp issue 26484)."""
    assert measured == pytest.approx(10.2 / file_gb, rel=0.05)
    assert pi_rate("qwen2.5-0.5b", weights) == pytest.approx(10.2 / file_gb, rel=0.05)


def test_pi_5_orders_dense_files_by_their_size():
    """Claim 28: of five formats of one dense model the smaller file is always the faster one (llama.cpp issue 26484)."""
    rates = [pi_rate("qwen2.5-0.5b", weights) for weights, _, _ in PI_FILES]
    assert rates == sorted(rates, reverse=True)


def test_pi_5_bandwidth_is_not_monotone_in_threads():
    """Claim 29: a Pi 5 reads 9.26, 13.23 and 11.59 GB/s with 1, 2 and 4 threads, and decodes in that order (llama.cpp 26484)."""
    board = load_hardware("pi5-16gb")
    read = [board.main_memory.sustained(board.device_class, threads).value / GIGA for threads in (1, 2, 4)]
    assert read == pytest.approx([9.26, 13.23, 11.59])
    one, two, four = (pi_rate("llama-3-8b", "q4_0", threads=threads) for threads in (1, 2, 4))
    assert one < four < two


@pytest.mark.parametrize(
    ("weights", "size", "fits"), [("2.695bpw", 10.29, True), ("4.67bpw", 17.8, False), ("q8_0", 32, False)]
)
def test_pi_5_holds_the_small_file_only(weights, size, fits):
    """Claim 30: 16 GB hold the file of 9.58 GiB (10.29 GB), not those of 17.8 GB (IQ4_XS) and 32 GB (Q8_0) (Hugging Face sizes)."""
    point = scenario("qwen3-30b-a3b", "pi5-16gb", weights=weights, runtime="llama.cpp").at(1, 128)
    assert point.weight_bytes / GIGA == pytest.approx(size, rel=0.02)
    assert bool(point.fits) is fits


def test_dense_30b_on_a_pi_5_is_eight_to_nine_times_slower_than_the_mixture(dense_30b):
    """Claim 31: a dense 30B at 2.70 bpw gives about 1.0 token/s, 10.3 GB at 10.2 GB/s, the mixture 8 to 9 times that (27 and 28)."""
    dense = pi_rate(dense_30b, "2.70bpw")
    assert dense == pytest.approx(1.0, abs=0.1)
    assert 8 <= pi_rate("qwen3-30b-a3b", "2.70bpw") / dense <= 9


def test_four_pi_5_prefer_the_mixture_to_a_dense_8b():
    """Claim 32: four boards measured 5.70 tokens/s with Llama-3.1-8B and 13.15 to 15.14 with Qwen3-30B-A3B (D. Correa Villa)."""
    dense, mixture = (
        rate(name, "pi5-16gb", "q4_0", runtime="roofline", devices=4) for name in ("llama-3-8b", "qwen3-30b-a3b")
    )
    assert dense > 5.70  # communication is left out: an upper bound
    assert mixture > 15.14
    assert 13.15 / 5.70 <= mixture / dense <= 15.14 / 5.70


def test_a_model_that_streams_from_storage_is_slow():
    """Claim 33: 1.13 GB a token give 0.085 / 1.13 < 0.1 tokens/s from microSD and 0.837 / 1.13 < 0.75 from NVMe, nothing cached."""
    board = load_hardware("pi5-16gb").model_dump(by_alias=True, exclude_none=True)
    board["memory"][-1]["reserved_gib"]["value"] = 15.999
    point = scenario("qwen3-30b-a3b", Hardware.model_validate(board), weights="2.70bpw", runtime="roofline").at(1, 0)
    assert point.cost.weight_bytes / GIGA == pytest.approx(1.13, rel=0.06)  # 1.13 counts the embedding table too
    assert point.tokens_per_s_from(MICROSD) == pytest.approx(0.085 / 1.13, rel=0.06)
    assert point.tokens_per_s_from(NVME_GEN3) == pytest.approx(0.837 / 1.13, rel=0.06)
    assert point.tokens_per_s_from(MICROSD) < 0.1
    assert point.tokens_per_s_from(NVME_GEN3) < 0.75


def test_a_file_of_twice_the_memory_crawls_from_storage():
    """Claim 33: Q8_0 of Qwen3-30B-A3B, twice a Pi 5's 16 GB, stays below 0.1 tokens/s from microSD and 0.75 from NVMe."""
    point = scenario("qwen3-30b-a3b", "pi5-16gb", weights="q8_0", runtime="roofline").at(1, 128)
    assert point.weight_bytes / point.memory_limit_bytes == pytest.approx(2, abs=0.05)
    assert point.tokens_per_s_from(MICROSD) < 0.1
    assert point.tokens_per_s_from(NVME_GEN3) < 0.75


# ---- activation sparsity ----


@pytest.mark.parametrize(
    ("written", "percent", "active"),
    [("q-sparse:0.514,0.5,0.5,0.5,0.8", 58.2, 2.9), ("q-sparse:0.42,0.4,0.4,0.4,0.604", 45.7, 3.8)],
)
def test_overall_sparsity_is_the_average_by_weight_count(written, percent, active):
    """Claim 34: Q-Sparse's tuples on Mistral-7B make 58.2 and 45.7 %, 2.9 and 3.8 of 7.0B active (arXiv 2407.10969v3, Table 2)."""
    counts = {}
    for _, indices, tensors in shipped("mistral-7b").shapes:
        for tensor in tensors:
            counts[tensor.role] = counts.get(tensor.role, 0) + len(indices) * tensor.params
    overall = parse_sparsity(written).overall(counts)
    assert 100 * overall == pytest.approx(percent, abs=0.1)
    assert 7.0 * (1 - overall) == pytest.approx(active, abs=0.05)


def test_the_printed_law_and_the_published_optimum_differ():
    """Claim 35: the printed constants are lowest at S = 0.50, not 0.4558, in a flat basin (arXiv 2407.10969v3, s3.6)."""
    assert optimal_sparsity() == pytest.approx(0.50, abs=0.005)
    assert PUBLISHED_OPTIMUM == 0.4558
    assert total_over_active(PUBLISHED_OPTIMUM) == pytest.approx(1.84, abs=0.005)
    assert total_over_active(PUBLISHED_OPTIMUM_TERNARY) == pytest.approx(2.58, abs=0.005)
    # f(S) = A(S) (1-S)^a at S = 0, the published optimum and the printed law's, worked by hand.
    loss = q_sparse_loss(1.0, [0, PUBLISHED_OPTIMUM, 0.5024]) - 1.86
    assert list(loss) == pytest.approx([1.9969, 1.9590, 1.9582], abs=0.0001)


def test_q_sparse_at_99_per_cent_is_unsupported():
    """Claim 36: 99 % sparsity is in no version of Q-Sparse, whose sparsest model has 58.2 % overall (arXiv 2407.10969v3, Table 2)."""
    with pytest.raises(InputError, match=r"unsupported.*58\.2%"):
        parse_sparsity("q-sparse:0.99")


@pytest.mark.parametrize(("zeros", "ideal", "measured", "reached"), [(0.4, 1.67, 1.53, 0.92), (0.5, 2.0, 1.8, 0.90)])
def test_teal_reaches_nine_tenths_of_the_traffic_it_saves(zeros, ideal, measured, reached):
    """Claim 37: TEAL's 40 and 50 % save 1.67x and 2.0x traffic; 1.53x and 1.8x were measured (arXiv 2408.14690 and its repository)."""
    dense, sparse = (
        scenario("llama-3-8b", "a100-80gb-sxm", weights="f16", runtime="roofline", sparsity=sparsity).at(1, 128)
        for sparsity in (None, f"teal:{zeros}")
    )
    layers = [
        sum(timed.op.count * timed.op.cost.weight_bytes for timed in point.ops if timed.op.part in ("attention", "ffn"))
        for point in (dense, sparse)
    ]
    assert layers[0] / layers[1] == pytest.approx(ideal, abs=0.005)
    assert measured / ideal == pytest.approx(reached, abs=0.005)
    # The head stays dense, so the whole model gains less than its layers, and more than was measured.
    assert measured <= sparse.tokens_per_s / dense.tokens_per_s < ideal


def test_sparsity_of_one_part_is_bounded_by_the_rest():
    """Claim 38: CATS at 50 % measured about 15 % less latency; skipping half of up and down saves at most 27 % (arXiv 2404.08763)."""
    dense, sparse = (
        scenario("mistral-7b", "a100-80gb-sxm", weights="f16", runtime="roofline", sparsity=sparsity).at(1, 128)
        for sparsity in (None, "cats:0.5")
    )
    # Mistral-7B: up and down have 117.44M of a layer's 218.1M weights, 3.758B of the 7.11B that a token reads.
    assert sparse.cost.weight_bytes / dense.cost.weight_bytes == pytest.approx(1 - 0.5 * 3.758 / 7.111, abs=0.001)
    saved = 1 - float(sparse.seconds_per_step / dense.seconds_per_step)
    assert 0.15 < saved < 0.5 * 117.44 / 218.1


def test_turbosparse_reads_few_per_cent_of_the_experts():
    """Claim 39: 2 of 8 experts and 15 % of their neurons are 3.75 % of Mixtral's expert weights (TurboSparse, 2406.05955, s6.2)."""
    point = scenario("mixtral-8x7b", "h200", weights="f16", runtime="roofline", sparsity="turbosparse:0.85").at(1, 128)
    all_experts = 32 * 8 * 3 * 4096 * 14336 * 2  # layers, experts, matrices, bytes
    assert point.bytes["experts"] / all_experts == pytest.approx(0.0375)


# ---- measurements on other machines ----

# Device, tokens/s measured with Llama-3-8B F16, bandwidth over 16.06 GB.
GPUS = [("m3-max-40", 22.39, 25), ("rtx-3090", 46.51, 58), ("rtx-4090", 54.34, 63)]


@pytest.mark.parametrize(("device", "measured", "over_file"), GPUS)
def test_llama_3_8b_in_f16_stays_below_the_ceiling(device, measured, over_file):
    """Claim 40: 46.5, 54.3 and 22.4 tokens/s were measured below bandwidth over file, 58, 63 and 25 (XiongjieDai/GPU-Benchmarks)."""
    point = scenario("llama-3-8b", device, weights="f16", runtime="llama.cpp").at(1, 512)
    bandwidth = load_hardware(device).main_memory.ceiling_bytes_per_s()
    assert bandwidth / point.weight_bytes == pytest.approx(over_file, abs=0.6)
    assert measured < over_file < point.tokens_per_s_ceiling  # which leaves the embedding table out of the file
    assert point.tokens_per_s < point.tokens_per_s_ceiling


def test_three_gpus_come_in_the_measured_order():
    """Claim 40: the M3 Max is the slowest, the RTX 4090 the fastest with Llama-3-8B F16 (XiongjieDai/GPU-Benchmarks)."""
    rates = [rate("llama-3-8b", device, "f16", 512, runtime="llama.cpp") for device, _, _ in GPUS]
    assert rates == sorted(rates)


def test_more_threads_need_not_be_faster():
    """Claim 41: a Pi 5 loses from 2 to 4 threads, an i9-13900K is best with 8 (llama.cpp issue 34: 18.27, with more 15.66 to 16.71)."""
    two, four = (pi_rate("llama-2-7b", "q4_0", threads=threads) for threads in (2, 4))
    assert four < two
    by_threads = {
        threads: rate("llama-2-7b", "i9-13900k", "q4_0", runtime="llama.cpp", threads=threads)
        for threads in (4, 8, 16, 24, 32)
    }
    assert by_threads[4] < by_threads[8] == max(by_threads.values())


def test_fewer_bits_can_be_slower_on_a_gpu():
    """Claim 42: on an RTX 5090 a product in iq3_xxs takes 62 us and 54 us in iq4_xs, with more bytes (ByteShape via banandre)."""
    three, four = (
        next(
            timed
            for timed in scenario("qwen3-30b-a3b", "rtx-5090", weights=weights, runtime="llama.cpp").at(1, 128).ops
            if timed.op.name == "ffn_up_exps"
        )
        for weights in ("iq3_xxs", "iq4_xs")
    )
    assert three.op.cost.weight_bytes < 0.75 * four.op.cost.weight_bytes
    assert float(three.memory_s / four.memory_s) == pytest.approx(62 / 54, rel=0.03)


def test_the_gpu_of_a_pi_5_is_slower_than_its_cpu():
    """Claim 43: the GPU moves 8.28 GB/s (py-videocore7), the CPU reads 11.6 (llama.cpp 26484), so it decodes more slowly."""
    devices = [load_hardware(name) for name in ("pi5-videocore7", "pi5-16gb")]
    moved = [device.main_memory.sustained(device.device_class, device.threads).value / GIGA for device in devices]
    assert moved == pytest.approx([8.28, 11.59])
    gpu, cpu = (rate("qwen3-30b-a3b", device, "2.70bpw", runtime="roofline") for device in devices)
    assert gpu < cpu


def test_prompts_on_a_pi_5_are_read_little_faster_than_answers():
    """Claim 44: 10.91 tokens/s of a 512-token prompt, 8.62 of 4096, 7.99 decoded: falling, near decode (ai-benchmarks issue 47)."""
    model, board, runtime = shipped("qwen3-30b-a3b"), load_hardware("pi5-16gb"), load_runtime("llama.cpp")
    weights = parse_weights("2.70bpw")
    short, long = (
        tokens / prompt_seconds(model, board, Workload(weights=weights, tokens=tokens), runtime)
        for tokens in (512, 4096)
    )
    assert long < short
    assert short == pytest.approx(10.91, rel=0.15)
    assert long == pytest.approx(8.62, rel=0.15)
    assert 1 < short / pi_rate("qwen3-30b-a3b", "2.70bpw") < 1.5


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


# ---- what the forecast as a whole has to give ----


@pytest.mark.parametrize("context", [128, 1024])
def test_pi_5_runs_the_mixture_at_eight_and_its_gpu_more_slowly(context):
    """Acceptance: at 2.70 bpw Qwen3-30B-A3B decodes 7 to 9 tokens/s, more than on the board's GPU."""
    mixture = pi_rate("qwen3-30b-a3b", "2.70bpw", context)
    assert 7 <= mixture <= 9
    assert rate("qwen3-30b-a3b", "pi5-videocore7", "2.70bpw", context, runtime="roofline") < mixture


@pytest.mark.parametrize(("name", "context"), [("llama-30b", 128), ("qwen3-32b", 128), ("qwen3-32b", 1024)])
def test_pi_5_runs_a_dense_30b_at_one(name, context):
    """Acceptance: at 2.70 bpw a dense model of 30 to 33B weights decodes about 1 token/s, 0.8 to 1.3."""
    assert 0.8 <= pi_rate(name, "2.70bpw", context) <= 1.3


def test_pi_5_runs_the_mixture_at_eight_by_default():
    """Acceptance: the same 7 to 9 tokens/s where no runtime is named."""
    assert 7 <= rate("qwen3-30b-a3b", "pi5-16gb", "2.70bpw", context=1024) <= 9


@pytest.mark.parametrize(("batch", "ceiling"), [(1, 261.4), (8, 629.2), (32, 2200.4)])
def test_mixtral_on_two_h100_comes_near_the_ceiling(batch, ceiling):
    """Acceptance: perfect software gets 0.85 to 1 of what 6.70 TB/s allow Mixtral 8x7B in f16 at context 1024."""
    # By hand at batch 1: 1.475B weights outside the experts and 32 * 2 experts of 176.2M, 2 bytes each, with 1025 * 131,072
    # bytes of cache are 25.63 GB; at batch 8 and 32 a layer reads 7.199 and 7.999 experts.
    point = scenario("mixtral-8x7b", "h100-sxm", weights="f16", runtime="roofline", devices=2).at(batch, 1024)
    assert point.fits
    assert point.tokens_per_s_ceiling == pytest.approx(ceiling, rel=0.001)
    assert 0.85 * ceiling <= point.tokens_per_s < ceiling
