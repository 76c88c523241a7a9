"""Kernels timed from disordered measurements: what was seen on a restless machine never makes a forecast absurd."""

import amount
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiled import figure, kernel
from timed_kernels import WEIGHTS, matrix, seconds

from simulator.forecast.kernel_speed import time_kernel
from simulator.spec.engine_speeds import EngineSpeeds
from simulator.units import GIGA, MI

SLACK = 1 + 1e-9
rates = st.floats(0.5, 500)
shares = st.floats(0.02, 2.0)


# ---- some of each kind ----


def disordered(*reads, share=0.5):
    """Two threads whose pure reads went at these rates, kernels at half of each."""
    data = {
        "read_gb_per_s": {2: [figure(rate) for rate in reads]},
        "kernels": {2: {"q8_0": {1: kernel(400, share, share)}}},
    }
    return EngineSpeeds.model_validate(data)


@pytest.mark.parametrize(
    ("reads", "exact"),
    [
        ((200, 100, 20), (100, 20)),
        (
            (42, 91, 11),
            (91, 11),
        ),  # from a restless machine: the cache's own read was slower than that of the shared one
        ((200, 20, 20), (20,)),  # no such cache: the second set lay in memory
        ((200, 15, 20), (20,)),
        ((10, 15, 20), (20,)),
        ((20, 20, 20), (20,)),
    ],
)
def test_a_cache_that_was_not_seen_is_left_out(reads, exact):
    """What is slower than what lies behind it tells nothing; the memory's own figure holds, and slower reads take longer."""
    speeds = disordered(*reads)
    for rate in exact:
        assert seconds(matrix(), rate, speeds=speeds) == pytest.approx(WEIGHTS / (rate / 2 * 1e9))
    falling = seconds(matrix(), [1000, 100, 50, 20, 15, 10, 5, 1], speeds=speeds)
    assert (np.diff(falling) >= 0).all()
    assert (np.diff(falling[4:]) > 0).all()


def test_no_kernel_reads_faster_than_reading():
    """A share of 1.7, measured while something else slowed the pure read down."""
    found = seconds(matrix(), [200, 100, 20, 10], speeds=disordered(200, 100, 20, share=1.7))
    assert found == pytest.approx(WEIGHTS / (np.array([200, 100, 20, 10]) * 1e9))


def disturbed(*gop_per_s, memory):
    """Kernels of 1, 8 and 16 tokens, with these rates in cache and shares of a read of memory."""
    table = {n: kernel(rate, None, share) for n, rate, share in zip((1, 8, 16), gop_per_s, memory, strict=True)}
    data = {"read_gb_per_s": {2: [figure(200), figure(100), figure(20)]}, "kernels": {2: {"q8_0": table}}}
    return EngineSpeeds.model_validate(data)


def test_a_token_of_many_takes_no_longer_than_one_of_few():
    """400 Gop/s with 8 tokens and 100 with 16: 16 take twice as long as 8, in cache; so do they in memory, where they seemed slower."""
    speeds = disturbed(200, 400, 100, memory=(0.9, 0.8, 0.1))
    assert seconds(matrix(16.0), [1e6, 20], speeds=speeds) * GIGA / WEIGHTS == pytest.approx([32 / 400, 2 / 16])
    assert seconds(matrix(8.0), [1e6, 20], speeds=speeds) * GIGA / WEIGHTS == pytest.approx([16 / 400, 1 / 16])


def test_a_share_above_one_is_one_where_memory_is_slower_too():
    """3.64 of a read of 20 GB/s is all of it: from 100 Gop/s in cache, 2/100 a byte, to 1/20, and further on the same line."""
    speeds = disturbed(200, 200, 200, memory=(3.64, 3.64, 3.64))
    line = 1 / 20 + (1 / 20 - 2 / 200) / (1 / 20 - 0) * (1 / 10 - 1 / 20)
    assert seconds(matrix(), 20, speeds=speeds) * GIGA / WEIGHTS == pytest.approx(1 / 20)
    assert seconds(matrix(), 10, speeds=speeds) * GIGA / WEIGHTS == pytest.approx(max(line, 1 / 10))


# ---- whatever was measured ----


@settings(max_examples=amount.of(60), deadline=None)
@given(
    st.lists(rates, min_size=3, max_size=3),
    shares,
    shares,
    rates,
    st.floats(0.5, 40),
    st.lists(rates, min_size=2, max_size=9),
    st.none() | st.tuples(rates, rates, rates, rates),
)
def test_more_bandwidth_is_never_slower_for_a_kernel(reads, shared, memory, cached, tokens, faster, beside):
    """Whatever was measured, in whatever disorder: nor does a kernel ever take less than reading its weights, or than computing."""
    own = [{}, {}]
    if beside:
        pairs = beside[:2], beside[2:]
        own = [{"cache_gb_per_s": figure(one), "memory_gb_per_s": figure(two)} for one, two in pairs]
    table = {1: kernel(cached, shared, memory) | own[0], 8: kernel(2 * cached, shared, memory) | own[1]}
    data = {"read_gb_per_s": {2: [figure(rate) for rate in reads]}, "start_us": {2: figure(3)},
            "kernels": {2: {"q8_0": table}}}  # fmt: skip
    speeds, faster = EngineSpeeds.model_validate(data), np.sort(faster)
    op = matrix(tokens)
    found = seconds(op, faster, speeds=speeds)
    assert (np.diff(found) <= 1e-9 * found[:-1]).all()
    assert (found * SLACK >= WEIGHTS / (faster * 1e9)).all()
    _, cached_s, _ = time_kernel(op, speeds, 2, 1.0, 1.0)
    assert (found * SLACK >= cached_s).all()


@settings(max_examples=amount.of(60), deadline=None)
@given(
    st.lists(rates, min_size=3, max_size=3),
    *[st.lists(each, min_size=4, max_size=4) for each in (shares, shares, st.floats(1, 500))],
    st.floats(1, 50),
    st.floats(0.1, 20),
)
def test_a_larger_batch_never_lowers_the_total(reads, shared, memory, cached, faster, start):
    """However much noise moved its figures, a kernel does no fewer tokens in a second where it has more at once."""
    table = {n: kernel(*each) for n, *each in zip((1, 4, 8, 16), cached, shared, memory, strict=True)}
    data = {
        "read_gb_per_s": {2: [figure(rate) for rate in reads]},
        "kernels": {2: {"q8_0": table}},
        "start_us": {2: figure(start)},
    }
    tokens = np.array([0.5, 1, 2, 3, 4, 6, 8, 12, 16, 17, 40])
    taken = seconds(matrix(tokens, nbytes=16 * MI), reads[2] * faster, speeds=EngineSpeeds.model_validate(data))
    assert (np.diff(tokens / taken) * SLACK >= -1e-9 * (tokens / taken)[:-1]).all()
