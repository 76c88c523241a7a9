"""How many users get a rate each: no more would, memory bounds them, and the ends of the interval."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.forecast.capacity import _most_at, for_users, largest_batch, most_users
from simulator.forecast.scenario import scenario
from simulator.forecast.split_options import SplitOptions


@pytest.fixture(scope="module")
def deepseek():
    """In 4 bits on eight H100s."""
    return scenario("deepseek-v3", "8xh100-sxm", weights="int4-g128")


def test_one_more_user_is_too_many(deepseek):
    """At 30 tokens/s each in caches of 8,192 tokens; so by both ends of the interval, the slow one before the fast one."""
    found = most_users(deepseek, 30, 8192)
    for users, rate in (
        (found.most, "tokens_per_s"),
        (found.low, "tokens_per_s_low"),
        (found.high, "tokens_per_s_high"),
    ):
        enough, too_many = (float(getattr(deepseek.at(n, 8192), rate)) / n for n in (users, users + 1))
        assert enough >= 30 > too_many
    assert 0 < found.low < found.most < found.high < found.room == largest_batch(deepseek, 8192)


def test_memory_bounds_the_users(deepseek):
    """At a token in ten seconds each there are as many as it holds."""
    found = most_users(deepseek, 0.1, 8192)
    assert found.most == found.low == found.high == found.room > 0


def test_nobody_gets_what_one_alone_does_not(deepseek):
    """1,000 tokens/s are more than a single sequence has; what does not fit serves nobody."""
    found = most_users(deepseek, 1000, 8192)
    assert (found.most, found.low, found.high) == (0, 0, 0)
    assert found.alone == pytest.approx(float(deepseek.at(1, 8192).tokens_per_s))
    nothing = most_users(scenario("deepseek-v3", "8xh100-sxm", weights="fp8"), 1, 8192)
    assert (nothing.most, nothing.room) == (0, 0)


def test_a_rate_that_rises_again_is_seen():
    """Enough for one, for 8 to 21, and for none beside: 21; all of ten: 10."""
    assert _most_at(lambda n: (n == 1) | ((n >= 8) & (n <= 21)), 100) == 21
    assert _most_at(lambda n: n > 0, 10) == 10
    assert _most_at(lambda n: np.zeros(len(n), bool), 10) == 0


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), "30", 1e30])
def test_a_rate_that_nothing_has_is_refused(deepseek, wrong):
    """By name."""
    with pytest.raises(InputError, match="tokens_per_s_each must be"):
        most_users(deepseek, wrong, 8192)


@pytest.mark.parametrize(
    ("model", "machine", "weights", "context", "each"),
    [
        ("qwen3-30b-a3b", "rtx-3060+ryzen-7950x", "q8_0", 4096, 5),
        ("llama-3-70b", "rtx-4090+ryzen-7950x", "q4_k_m", 2048, 0.5),
    ],
)
def test_beside_ram_a_model_is_split_anew_for_each_number_of_users(model, machine, weights, context, each):
    """As `scenario` splits it for so many, whatever it was split for before; one more is too many, or has no room."""
    base = scenario(model, machine, weights=weights, batch=1, context=context)
    found = most_users(base, each, context)
    assert found.split == "anew"
    assert found.most > largest_batch(base, context)  # as it is split for one

    def rate(n, name="tokens_per_s"):
        own = scenario(model, machine, weights=weights, batch=n, context=context)
        assert for_users(base, n, context).placement == own.placement
        return float(getattr(own.at(n, context), name)) / n

    assert rate(found.most) >= each > rate(found.most + 1)
    assert rate(found.low, "tokens_per_s_low") >= each > rate(found.low + 1, "tokens_per_s_low")
    assert found.alone == pytest.approx(rate(1))
    assert scenario(model, machine, weights=weights, batch=found.room, context=context).fits(found.room, context)
    more = found.room + 1
    assert not scenario(model, machine, weights=weights, batch=more, context=context).fits(more, context)


def test_a_split_that_is_named_or_of_several_cards_is_kept():
    """A server is started with it; a single device has none."""
    named = scenario("qwen3-30b-a3b", "rtx-3060+ryzen-7950x", weights="q4_k_m", placement=SplitOptions(n_cpu_moe=30))
    several = scenario("mixtral-8x7b", "2xrtx-3090+ryzen-7950x", weights="q4_k_m")
    assert [most_users(each, 1, 1024).split for each in (named, several)] == ["kept", "kept"]
    assert for_users(named, 4, 1024) is named
    assert most_users(scenario("llama-3-8b", "rtx-3090", weights="q4_k_m"), 1, 1024).split == ""
