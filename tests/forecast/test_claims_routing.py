"""What published work says of how experts are chosen and what that reads, and forecasts must reproduce.

Claims are numbered, each with its source. A number without a source in its sentence is worked by hand from the numbers beside it.
"""

import numpy as np
import pytest
from claimed import equal_layers, shipped

from simulator import Loaded, scenario
from simulator.errors import InputError
from simulator.forecast.prediction import bandwidth_utilisation
from simulator.spec.layers.ffn import Experts
from simulator.spec.routing import Capacity, ExpertChoice, Popular, Uniform, dropped_share, parse_routing, repeat_chance

# ---- capacities ----


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


# ---- distinct experts ----


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


@pytest.mark.parametrize(
    ("name", "measured"), [("deepseek-v2-lite", 53.05), ("qwen1.5-moe-a2.7b", 46.79), ("deepseek-v3", 18.44)]
)
def test_real_text_lies_between_two_laws_of_zipf(name, measured):
    """Exponents of 0.25 and 0.9 enclose what MoE-CAP measured at batch 8 (2412.07067, s4.3)."""
    model = shipped(name)
    head = 2 * model.vocab * model.d_model
    laws = [scenario(name, "h200", weights="bf16", runtime="roofline", routing=f"zipf:{law}") for law in (0.25, 0.9)]
    read = [base.at(8, 128).cost.weight_bytes for base in laws]
    most, least = (100 * (each - head) / (2 * model.total_params - 2 * head) for each in read)
    assert least < measured < most


def test_popularity_of_recorded_text_is_that_of_a_law_of_zipf():
    """128 experts, 8 of them: an exponent of 0.78 falls 11 % short of the largest entropy, 0.91 by 15 % (Qwen3-30B-A3B, recorded)."""
    ffn = Experts(n_experts=128, n_active=8, d_expert=1)
    for exponent, missing in ((0.78, 0.111), (0.91, 0.154)):
        share = Popular("", exponent=exponent).chances(ffn) / 8
        assert 1 + (share * np.log(share)).sum() / np.log(128) == pytest.approx(missing, abs=0.005)


def test_consecutive_tokens_repeat_experts_more_than_chance():
    """Claim 24: chance repeats 1/8 and 1 - (6/8)(5/7) = 46.4 %, layer 15 of Mixtral at least 23.6 and 61.6 % (2401.04088, Table 5)."""
    assert repeat_chance(8, 1) == pytest.approx(0.125)
    assert repeat_chance(8, 2) == pytest.approx(0.464, abs=0.0005)
    assert repeat_chance(8, 1) < 0.236
    assert repeat_chance(8, 2) < 0.616


# ---- bandwidth ----


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
