"""Prompts and whole requests: the same operations at many tokens of one sequence, added up over passes and steps."""

import math
from dataclasses import replace

import numpy as np
import pytest

from simulator import Request, forecast_request, scenario
from simulator.errors import InputError
from simulator.forecast.decode import decode_ops, mean_over_tokens
from simulator.forecast.ops import total
from simulator.forecast.predict import predict
from simulator.forecast.request import SAMPLES, micro_batch_of, passes_of, sampled_depths
from simulator.forecast.scenario import Scenario
from simulator.importers.open import load_model
from simulator.spec.backend import SHORT_SUMS, usable_arithmetic
from simulator.spec.cache_rules import CacheRules
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import load_runtime
from simulator.spec.workload import PROMPT_TOKENS, Workload

F16 = parse_weights("f16")
KINDS = ("llama-3-8b", "qwen3-30b-a3b", "deepseek-v2-lite", "gemma-3-4b", "gemma-4-e4b", "nemotron-h-9b", "gpt-oss-20b")


@pytest.mark.parametrize("device", ["pi5-16gb", "rtx-4090", "h100-sxm", "m4-max-40"])
@pytest.mark.parametrize("model", KINDS)
def test_a_prompt_of_one_token_is_a_step_of_decoding(model, device):
    """Whatever the kind of layers: to the last bit."""
    base = scenario(model, device, runtime="llama.cpp", weights="q4_k_m" if model != "gpt-oss-20b" else "mxfp4_moe")
    read = forecast_request(base, Request(prompt=1001, cached=1000))
    step = base.at(1, 1000)
    assert read.reading.fits == bool(step.fits)
    if step.fits:
        assert read.seconds_to_first == float(step.seconds_per_step)
        low, high = read.reading.interval()
        assert (low, high) == pytest.approx((float(step.tokens_per_s_low), float(step.tokens_per_s_high)))


def test_operations_of_a_prompt_by_hand(tiny_dense):
    """Matrices work for every token, attention for those before each, the head for the last token only.

    One layer's matrices: query 256 x 256, key and value 128 x 256 each, output 256 x 256, three of 512 x 256:
    65,536 + 2 x 32,768 + 65,536 + 3 x 131,072 = 589,824 weights, two operations for each and each of 100 tokens.
    Attention: token t sees t + 1 entries; scores and values 2 x 4 heads x (64 + 64) operations for each: 1 + ... + 100 = 5,050.
    """
    ops = decode_ops(tiny_dense, Workload(F16, context=0, tokens=100))
    matrices = sum(op.count * op.cost.flops for op in ops if op.part in ("attention", "ffn"))
    assert matrices == 2 * 2 * 589_824 * 100
    cache = [op for op in ops if op.part == "cache"]
    assert sum(op.count * op.cost.flops for op in cache) == pytest.approx(2 * 2 * 4 * 128 * 5_050)
    assert sum(op.cost.flops for op in ops if op.part == "head") == 2 * 1000 * 256
    assert cache[0].sharers == 2 * 100  # two heads of queries share a key, and all tokens do
    # Each key and value is written once and read once for all: 100 entries of 2 heads x 128 values x 2 bytes.
    assert total(cache).cache_write_bytes == total(cache).cache_read_bytes == 2 * 100 * 2 * 128 * 2


def test_weights_are_read_once_in_a_pass(tiny_dense):
    """Of 512 tokens as of one."""
    many, one = (total(decode_ops(tiny_dense, Workload(F16, tokens=tokens))).weight_bytes for tokens in (512, 1))
    assert many == one


def test_a_window_ends_the_growth_of_attention(tiny_dense):
    """With a window of 16: 1 + ... + 16, then 16 for each of 84 more."""
    data = tiny_dense.model_dump(exclude_none=True)
    data["layers"][0]["attention"]["window"] = 16
    model = type(tiny_dense).model_validate(data)
    cache = [op for op in decode_ops(model, Workload(F16, context=0, tokens=60)) if op.part == "cache"]
    assert sum(op.count * op.cost.flops for op in cache) == pytest.approx(2 * 2 * 4 * 128 * (136 + 16 * 44))


def test_the_mean_over_many_tokens_is_near_that_of_all():
    """Of a cost in a straight line the same; of one with a kink within a hundredth."""
    load = Workload(F16, context=100, tokens=4096)
    depths = 100 + np.arange(4096)
    assert mean_over_tokens(load, lambda depth: 3 * depth + 1) == pytest.approx(np.mean(3 * depths + 1))
    kinked = np.mean(np.minimum(depths, 1000))
    assert mean_over_tokens(load, lambda depth: np.minimum(depth, 1000)) == pytest.approx(kinked, rel=0.01)


def test_over_a_grid_of_depths_each_is_what_it_is_alone(tiny_dense):
    """A prompt's passes at many depths at once."""
    depths = np.array([0, 512, 1024])
    cost = total(decode_ops(tiny_dense, Workload(F16, context=depths, tokens=512)))
    alone = [total(decode_ops(tiny_dense, Workload(F16, context=int(depth), tokens=512))).flops for depth in depths]
    assert cost.flops == pytest.approx(alone)


def test_all_experts_are_soon_touched():
    """Of 128 experts, 8 for each token, 512 tokens touch all but 128 x (120/128)^512, which is none."""
    base = scenario("qwen3-30b-a3b", "rtx-4090", weights="q4_k_m")
    point = predict(base.loaded.model, base.hardware, Workload(base.load.weights, tokens=512), base.runtime)
    assert float(point.distinct_experts) == pytest.approx(128, abs=1e-6)


def test_passes_add_up(tiny_dense, plain_device, perfect):
    """1,300 tokens in passes of 512: at depths 0 and 512, and 276 at 1,024; no runtime knows it otherwise."""
    base = Scenario(Loaded(tiny_dense), plain_device, perfect, Workload(F16))
    found = forecast_request(base, Request(1300, ubatch=512))
    alone = [
        float(predict(tiny_dense, plain_device, Workload(F16, context=depth, tokens=tokens), perfect).seconds_per_step)
        for depth, tokens in ((0, 512), (512, 512), (1024, 276))
    ]
    assert found.seconds_to_first == pytest.approx(sum(alone))
    assert found.reading.tokens_per_s == pytest.approx(1300 / sum(alone))
    assert sum(found.reading.parts.values()) == pytest.approx(found.seconds_to_first)
    cached = forecast_request(base, Request(1300, cached=512, ubatch=512))
    assert cached.seconds_to_first == pytest.approx(sum(alone[1:]))


@pytest.fixture
def plain_device():
    """A CPU without overhead between operations."""
    return load_hardware("pi5-16gb")


def test_passes_are_cut_as_runtimes_cut_them():
    """llama.cpp's n_ubatch, vLLM's steps; and whatever is asked."""
    assert micro_batch_of(load_runtime("llama.cpp")) == micro_batch_of(load_runtime("ollama")) == 512
    assert micro_batch_of(load_runtime("vllm")) == 8192
    assert micro_batch_of(load_runtime("mlx")) == 2048
    assert micro_batch_of(load_runtime("llama.cpp"), 2048) == 2048
    (full, tokens), (rest, left) = passes_of(1300, 100, 512)
    assert (full.tolist(), tokens, rest.tolist(), left) == ([100, 612], 512, [1124], 276)
    assert [(each.tolist(), n) for each, n in passes_of(512, 0, 512)] == [([0], 512)]
    assert [(each.tolist(), n) for each, n in passes_of(3, 7, 512)] == [([7], 3)]


def test_decoding_is_the_sum_of_its_steps():
    """Not the last step times all of them: the context grows."""
    base = scenario("llama-3-8b", "rtx-4090", weights="q4_k_m")
    found = forecast_request(base, Request(prompt=4096, generate=513))
    steps = sum(float(base.at(1, 4096 + number).seconds_per_step) for number in range(512))
    assert found.decoding.seconds == pytest.approx(steps)
    assert found.seconds == pytest.approx(found.seconds_to_first + steps)
    first, last = (float(each.seconds_per_step) for each in found.ends)
    assert first < found.decoding.seconds / 512 < last
    assert found.ends[1].load.context == 4096 + 511


def test_depths_stand_for_all_steps():
    """Few steps each for itself; of very many, evenly, so that a cost in a straight line comes out exactly."""
    depths, repeats = sampled_depths(1000, 5)
    assert (depths.tolist(), repeats) == ([1000, 1001, 1002, 1003, 1004], 1.0)
    depths, repeats = sampled_depths(0, 10 * SAMPLES)
    assert (len(depths), repeats) == (SAMPLES, 10.0)
    assert repeats * depths.sum() == pytest.approx(sum(range(10 * SAMPLES)), rel=1e-5)


def test_an_answer_of_one_token_comes_with_the_prompt():
    """There is nothing left to decode."""
    found = forecast_request(scenario("llama-3-8b", "rtx-4090", weights="q4_k_m"), Request(1000))
    assert found.decoding is None
    assert found.ends is None
    assert found.seconds == found.seconds_to_first


def test_times_lie_in_their_intervals_and_below_no_ceiling():
    """Of the first token and of all; both phases together are surer than either alone."""
    found = forecast_request(scenario("qwen3-30b-a3b", "rtx-4090", weights="q4_k_m"), Request(8192, 1024))
    for seconds, (low, high) in (
        (found.seconds_to_first, found.first_between()),
        (found.seconds, found.seconds_between()),
    ):
        assert low < seconds < high
    assert found.reading.tokens_per_s <= found.reading.tokens_per_s_ceiling
    widest = max(found.reading.spread(), found.decoding.spread())
    assert math.log(found.seconds_between()[1] / found.seconds) < widest
    narrow, wide = found.first_between(0.8), found.first_between(0.95)
    assert wide[0] < narrow[0]
    assert narrow[1] < wide[1]


def test_a_longer_prompt_takes_longer_per_token(tiny_dense, plain_device, perfect):
    """Attention grows with depth: 4,000 tokens take more than twice as long as 2,000."""
    base = Scenario(Loaded(tiny_dense), plain_device, perfect, Workload(F16))
    one, two = (forecast_request(base, Request(n, ubatch=500)).seconds_to_first for n in (2000, 4000))
    assert two > 2 * one


def test_what_does_not_fit_has_no_time():
    """A prompt that memory cannot hold, and an answer that it cannot."""
    base = scenario("llama-3-8b", "rtx-4090", weights="q4_k_m")
    assert not forecast_request(base, Request(1_000_000)).fits
    found = forecast_request(base, Request(1000, 1_000_000))
    assert found.reading.fits
    assert not found.fits
    assert found.reading.bound != "does_not_fit" == found.decoding.bound


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"prompt": 0}, "prompt must be between 1 and"),
        (
            {"prompt": 10, "cached": 10},
            "cached must be at most 9 of a prompt of 10 tokens, got 10: the last one",
        ),
        ({"prompt": 10, "generate": 0}, "generate must be between 1 and"),
        ({"prompt": 10, "ubatch": 0}, "ubatch must be between 1 and"),
        (
            {"prompt": 60_000_000, "generate": 60_000_000},
            "prompt must be at most 40,000,000 beside generate 60,000,000, got 60,000,000",
        ),
        ({"prompt": 1.5}, "prompt must be a whole number"),
    ],
)
def test_requests_that_nobody_can_make(asked, told):
    """One sentence each."""
    with pytest.raises(InputError, match=told):
        Request(**asked)


def test_very_many_passes_are_refused():
    """100,000,000 of them are no forecast."""
    with pytest.raises(InputError, match="read in 100,000 passes, at most 65,536 are forecast; give more tokens"):
        passes_of(100_000, 0, 1)


def test_latents_are_expanded_for_prompts_where_the_runtime_does():
    """DeepSeek-V2-Lite, one layer, 512 tokens after 1,024: llama.cpp attends over latents, vLLM with each head's keys and values.

    Of 16 heads: over latents 512 + 64 + 512 values, expanded 128 + 64 + 128, two operations each, at 1,024 + 256.5 entries in the
    mean; and keys and values of the 1,024 are made once more: 2 x 512 x 16 x 256 operations for each.
    """
    model = load_model("deepseek-v2-lite").model
    load = Workload(F16, context=1024, tokens=512)

    def attended(rules):
        return sum(op.cost.flops for op in decode_ops(model, load, rules) if op.part == "cache") / len(
            [op for op in decode_ops(model, load, rules) if op.part == "cache"]
        )

    seen = 1024 + 256.5
    assert attended(CacheRules()) == pytest.approx(2 * 16 * (512 + 64 + 512) * seen * 512)
    whole = 2 * 16 * (128 + 64 + 128) * seen * 512 + 2 * 512 * 16 * 256 * 1024
    assert attended(CacheRules(expands_prompts=True)) == pytest.approx(whole)
    assert load_runtime("vllm").cache_rules.expands_prompts
    assert not load_runtime("llama.cpp").cache_rules.expands_prompts


def test_layers_that_share_a_cache_are_passed_by_the_last_token_only_where_the_runtime_does():
    """Gemma 4 E4B in mistral.rs: 18 of 42 layers write no keys of their own, and cost what one token costs."""
    model = load_model("gemma-4-e4b").model
    n_shared = sum(layer.attention.shares_cache for layer in model.stack)
    assert (len(model.stack), n_shared) == (42, 18)

    def flops(rules, tokens):
        ops = decode_ops(model, Workload(F16, tokens=tokens), rules)
        return sum(op.count * op.cost.flops for op in ops if op.name == "ffn_down")

    one, all_of, some = flops(CacheRules(), 1), flops(CacheRules(), 512), flops(CacheRules(skips_shared=True), 512)
    shared = flops(CacheRules(skips_shared=True), 1)
    assert shared == one
    assert all_of == 512 * one
    assert one < some < all_of
    assert load_runtime("mistral.rs").cache_rules.skips_shared
    assert not load_runtime("llama.cpp").cache_rules.skips_shared


def test_geforce_cards_sum_in_sixteen_bits_twice_as_fast():
    """The ceiling of f16 weights on them is that; on an RTX 6000 Ada both are one."""
    assert usable_arithmetic(FORMATS["f16"])[0] == SHORT_SUMS not in usable_arithmetic(FORMATS["bf16"])
    runtime = load_runtime("llama.cpp")
    for name, factor in (("rtx-4090", 2.0), ("rtx-6000-ada", 1.0)):
        hardware = load_hardware(name)
        found = runtime.backend(hardware).peak_of(FORMATS["f16"], hardware, None)
        assert found.value == factor * hardware.peak("f16").value


def test_a_step_of_few_tokens_is_no_prompt():
    """Verifying a draft runs as decoding does."""
    assert not Workload(F16, tokens=PROMPT_TOKENS - 1).is_prompt
    assert Workload(F16, tokens=PROMPT_TOKENS).is_prompt
    assert not Workload(F16, tokens=PROMPT_TOKENS, verifies=True).is_prompt
    base = scenario("llama-3-8b", "h100-sxm", runtime="vllm", weights="bf16")
    few, many = (
        predict(base.loaded.model, base.hardware, Workload(base.load.weights, tokens=n), base.runtime) for n in (31, 32)
    )
    kernels = base.runtime.backend(base.hardware).kernels
    n_kernels = sum(timed.op.count * timed.op.launches for timed in many.ops)
    assert few.step_overhead_s == kernels.overhead_s(1)
    assert many.step_overhead_s == pytest.approx(kernels.overhead_s(1) + n_kernels * kernels.submit_s)


def test_an_encoder_is_said_to_be_left_out():
    """Of the time to the first token, and only where there is one."""
    (told,) = forecast_request(scenario("switch-base", "rtx-3090"), Request(512, 64)).remarks
    assert "the encoder of switch-base is left out: the first token comes later" in told
    assert forecast_request(scenario("llama-3-8b", "rtx-3090"), Request(512)).remarks == ()


def test_a_larger_micro_batch_takes_more_memory():
    """Logits of 4,096 tokens instead of 512, each of 128,256 values of 4 bytes; and whoever places the model leaves room for it."""
    base = scenario("llama-3-8b", "rtx-3090", weights="q4_k_m")
    small, large = (forecast_request(base, Request(8192, ubatch=n)).reading for n in (512, 4096))
    scratch = [float(each.stretches[0].point.held[0].scratch_bytes) for each in (small, large)]
    assert scratch[1] - scratch[0] == 4 * 128_256 * (4096 - 512)


def test_a_placement_for_a_request_holds_its_buffer():
    """More experts lie in RAM for larger micro-batches; a placement that somebody named stays, and fits no more."""
    base = scenario("gpt-oss-120b", "rtx-3090+ryzen-7950x", context=8192)
    small, large = (forecast_request(base, Request(8192, ubatch=n)) for n in (512, 4096))
    placed = [each.reading.stretches[0].point.placement for each in (small, large)]
    assert placed[0] == base.placement
    assert len(placed[1].apart) > len(placed[0].apart)
    assert small.fits
    assert large.fits
    assert not forecast_request(replace(base, placed_for=None), Request(8192, ubatch=4096)).fits


def test_formats_that_nobody_named_are_chosen_for_the_request():
    """The first that fits with the buffer of 8,192 tokens at once is a smaller one."""
    base = scenario("qwen3.8-27b", "rtx-3090", context=16384)
    found = forecast_request(base, Request(16384, ubatch=8192))
    assert found.fits


def test_a_prompt_of_weights_that_cross_takes_what_the_link_takes_and_the_gpu():
    """vLLM brings what lies in RAM to the GPU in each pass, which computes all of it: at 63 GB/s of PCIe 5.0."""
    base = scenario("llama-3-70b", "h100-sxm+epyc-9654", weights="bf16", runtime="vllm")
    crossing = base.held(1, 1024)[1].weight_bytes
    alone = forecast_request(scenario("llama-3-70b", "2xh100-sxm", weights="bf16", runtime="vllm"), Request(4096))
    found = forecast_request(base, Request(4096)).seconds_to_first
    assert crossing / 63e9 + alone.seconds_to_first < found < crossing / 63e9 + 3 * alone.seconds_to_first
