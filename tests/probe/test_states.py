"""Whether readings are of one speed or of two: made-up samples of each kind."""

import math

import numpy as np
import pytest

from simulator.probe.states import find_states

RNG = np.random.default_rng(11)


def one_heap(n):
    """What a machine of one speed gives, in logarithms: noise, tails of all sorts, interruptions, drift."""
    return {
        "noise": RNG.normal(0, 0.1, n),
        "even": RNG.uniform(0, 1, n),
        "heavy tails": np.clip(0.1 * RNG.standard_cauchy(n), -20, 20),
        "a long tail": 0.1 * np.exp(RNG.normal(0, 1, n)),
        "interruptions": np.where(RNG.random(n) < 0.05, RNG.uniform(0.5, 2, n), RNG.normal(0, 0.05, n)),
        "drift": np.linspace(0, 0.5, n) + RNG.normal(0, 0.02, n),
    }


@pytest.mark.parametrize("n", [20, 60, 300])
def test_one_heap_of_readings_is_one_state(n):
    """However wide or lopsided."""
    for _ in range(5):
        for name, logs in one_heap(n).items():
            assert find_states(list(np.exp(logs))) is None, name


def test_two_states_have_their_speeds_and_shares():
    """70 readings around 10 and 30 around 16, noise of 5 %, in turns of 7 and 3: 19 changes."""
    slow, fast = 10 * np.exp(RNG.normal(0, 0.05, 70)), 16 * np.exp(RNG.normal(0, 0.05, 30))
    values = [value for turn in range(10) for value in (*slow[7 * turn : 7 * turn + 7], *fast[3 * turn : 3 * turn + 3])]
    found = find_states(values)
    assert (found.low.count, found.low.share, found.high.count, found.high.share) == (70, 0.7, 30, 0.3)
    assert found.low.value == pytest.approx(10, rel=0.03)
    assert found.high.value == pytest.approx(16, rel=0.03)
    assert found.changes == 19


def test_two_states_without_any_noise():
    """12 readings of 1, then 12 of 2: one change."""
    found = find_states([1.0] * 12 + [2.0] * 12)
    assert (found.low.value, found.high.value, found.changes) == (1, pytest.approx(2), 1)


def test_nothing_is_told_from_few_readings():
    """Nine and ten as far apart as can be are fewer than twenty; no readings, and equal ones, are no states."""
    assert find_states([1.0] * 9 + [8.0] * 10) is None
    assert find_states([]) is None
    assert find_states([3.0] * 50) is None


def test_interruptions_and_near_speeds_are_no_states():
    """One reading in twenty is rare; a tenth more is near."""
    assert find_states([1.0] * 57 + [3.0] * 3) is None
    assert find_states([1.0] * 30 + [1.1] * 30) is None


def test_the_unit_does_not_matter():
    """Of seconds instead of rates the shares change places."""
    values = [1.0, 1.01, 1.02] * 10 + [1.5, 1.51] * 10
    rates, seconds = find_states(values), find_states([1 / value for value in values])
    assert (rates.low.share, rates.high.share) == (seconds.high.share, seconds.low.share) == (0.6, 0.4)
    assert math.isclose(seconds.low.value, 1 / rates.high.value)
