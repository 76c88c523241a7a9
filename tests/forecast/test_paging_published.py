"""Published hit rates of LRU caches of experts beside the forecast of a text's, which they are the ground of."""

import statistics

import numpy as np
import pytest

from simulator.forecast.paging import ExpertGroup, Pages
from simulator.spec.routing import inclusion_chances
from simulator.spec.storage import ALIKE, TEXT, VARIED

ON_EDGE = "https://github.com/Helldez/BigMoeOnEdge README.md, docs/benchmarks.md, docs/bench-data/2026-07-15-route-trace/findings.md"
# Experts, those of a token, share of all that the cache held, hit rate, source.
PUBLISHED = (
    (128, 8, 0.119, 0.53, f"Qwen3-30B-A3B, 2,000 of 16,740 MiB, {ON_EDGE}"),
    (128, 8, 0.239, 0.765, f"Qwen3-30B-A3B, 4,000 MiB, {ON_EDGE}"),
    (128, 8, 0.40, 0.933, "Qwen3-30B-A3B, mean of three prompts, https://github.com/kekzl/imp/pull/1359"),
    (128, 8, 0.139, 0.58, f"Gemma 4 26B-A4B, 2,000 of 14,429 MiB, {ON_EDGE}"),
    (128, 8, 0.277, 0.82, f"Gemma 4 26B-A4B, 4,000 MiB, {ON_EDGE}"),
    (128, 4, 0.0344, 0.271, f"gpt-oss-120b, 2,000 of 58,092 MiB, {ON_EDGE}"),
    (256, 8, 0.10, 0.56, f"Qwen3.6-35B-A3B, 2,000 MiB, {ON_EDGE}"),
    (256, 8, 0.15, 0.65, f"Qwen3.6-35B-A3B, 3,000 MiB, {ON_EDGE}"),
    (256, 8, 0.13, 0.60, "Qwen3.6-35B-A3B, 2 of 15 GB, https://github.com/manjunathshiva/turboquant-mlx/pull/11"),
    (256, 8, 0.53, 0.91, "Qwen3.6-35B-A3B, 8 of 15 GB, https://github.com/manjunathshiva/turboquant-mlx/pull/11"),
    (512, 10, 0.182, 0.435, "Qwen3.8-Flash-Next, 93 of 512, https://github.com/kekzl/imp/pull/2061"),
    (512, 10, 0.363, 0.620, "Qwen3.8-Flash-Next, 186 of 512, https://github.com/kekzl/imp/pull/2061"),
    (512, 10, 0.545, 0.720, "Qwen3.8-Flash-Next, 279 of 512, https://github.com/kekzl/imp/pull/2061"),
    (512, 10, 0.727, 0.789, "Qwen3.8-Flash-Next, 372 of 512, https://github.com/kekzl/imp/pull/2061"),
    (64, 8, 0.125, 0.277, "OLMoE, 8 of 64, https://github.com/JustVugg/colibri docs/experiments/olmoe-tier-caching-2026-09-29.md"),
    (64, 8, 0.375, 0.684, "OLMoE, 24 of 64, the same"),
    (512, 4, 0.17, 0.71, "Qwen3.5-397B-A17B, page cache of 35 of 209 GB, https://github.com/danveloper/flash-moe CLAUDE.md"),
)  # fmt: skip


def hit_rate(exponent, n_experts, n_active, share):
    """That of experts as popular as Zipf's law with this exponent has it."""
    chances = tuple(inclusion_chances(np.arange(1, n_experts + 1) ** -exponent, n_active))
    return 1 - Pages(0.0, (ExpertGroup(1.0, chances),)).lru(share * n_experts).experts


def exponent_of(n_experts, n_active, share, published):
    """The exponent with which the forecast is what was published."""
    low, high = 0.0, 3.0
    for _ in range(30):
        middle = (low + high) / 2
        if hit_rate(middle, n_experts, n_active, share) < published:
            low = middle
        else:
            high = middle
    return low


@pytest.fixture(scope="module")
def exponents():
    """Of each published hit rate."""
    return [exponent_of(*each[:4]) for each in PUBLISHED]


def test_a_text_is_the_median_of_what_is_published(exponents):
    """zipf:1.1, as the forecast takes it."""
    assert statistics.median(exponents) == pytest.approx(TEXT.exponent, abs=0.05)
    assert min(exponents) == pytest.approx(0.44, abs=0.03)
    assert max(exponents) == pytest.approx(1.76, abs=0.03)


def test_four_in_five_lie_between_the_two_ends(exponents):
    """zipf:0.7 and zipf:1.4."""
    inside = [VARIED.exponent - 0.05 <= each <= ALIKE.exponent + 0.05 for each in exponents]
    assert len(inside) == 17
    assert 0.75 <= sum(inside) / len(inside) <= 0.9


def test_no_forecast_is_far_off():
    """The mean error is below 0.12, that of equally likely experts more than twice as large."""
    errors = [abs(hit_rate(TEXT.exponent, *each[:3]) - each[3]) for each in PUBLISHED]
    flat = [abs(hit_rate(0.0, *each[:3]) - each[3]) for each in PUBLISHED]
    assert max(errors) < 0.3
    assert statistics.mean(errors) < 0.12
    assert statistics.mean(flat) > 2.5 * statistics.mean(errors)
