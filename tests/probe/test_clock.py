"""Timing in rounds, by a clock that only the work itself advances."""

import math

import pytest

from simulator.probe.clock import (
    LEAST_ROUNDS,
    MAX_REPEATS,
    TICK_S,
    Probe,
    Sample,
    calibrate,
    difference_of,
    join,
    measure,
    repeats_of,
    spread_of,
    time_once,
    typical_of,
)


class World:
    """A clock and work that takes a known time; what was run is kept in order."""

    def __init__(self):
        self.now, self.runs = 0.0, []

    def __call__(self) -> float:
        return self.now

    def probe(self, name, seconds, **options):
        """Work that takes *seconds*, or what the function says of the time."""

        def run(repeats):
            self.runs.append((name, repeats))
            self.now += repeats * (seconds(self.now) if callable(seconds) else seconds)

        return Probe(name, run, **options)

    def timed(self, start=0):
        """Names of what was run, from some run on."""
        return "".join(name for name, _ in self.runs[start:])


@pytest.fixture
def world():
    """At time 0."""
    return World()


def test_rounds_go_forth_and_back(world):
    """After the first runs untimed, everything in turn, every other round backwards."""
    probes = [world.probe(name, 1.0) for name in "abc"]
    found = measure(probes, 4, world)
    assert world.timed() == "aabbcc" + "abc" + "cba" + "abc" + "cba"
    assert {name: sample.seconds for name, sample in found.items()} == dict.fromkeys("abc", (1.0,) * 4)


def test_a_steady_drift_meets_all_alike(world):
    """Work whose time grows with the clock: over two rounds, forth and back, all probes take the same."""
    start = 12.0  # when the rounds begin: twelve untimed runs of a second each

    def drifting(now):
        return 1.0 if now < start else 1.0 + 0.01 * round(now - start)

    found = measure([world.probe(name, drifting) for name in "abcdef"], 2, world)
    sums = [sum(sample.seconds) for sample in found.values()]
    assert max(sums) / min(sums) < 1.02
    assert max(sample.seconds[0] for sample in found.values()) > 1.04


def test_the_first_run_is_not_timed(world):
    """What has to be compiled takes a minute, once."""

    def first_slow(_now):
        return 60.0 if len(world.runs) == 1 else 1.0

    assert measure([world.probe("a", first_slow)], 3, world)["a"].seconds == (1.0,) * 3


@pytest.mark.parametrize(("seconds", "most"), [(1e-3, 3), (1e-4, 30), (1e-6, 3000), (3e-9, 900_000)])
def test_samples_last_as_long_as_a_burst(world, seconds, most):
    """2 ms at least, and not much more: the time of the work done once comes out."""
    probe = world.probe("a", seconds)
    repeats = repeats_of(probe, world)
    assert 2e-3 / seconds * (1 - 1e-9) <= repeats <= most
    assert time_once(probe, repeats, world) == pytest.approx(seconds, rel=1e-6)


def test_slow_work_is_done_once_a_sample(world):
    """A second is more than any burst; a burst of 10 s holds ten to twelve."""
    assert repeats_of(world.probe("a", 1.0), world) == 1
    assert 10 <= repeats_of(world.probe("b", 1.0, burst_s=10.0), world) <= 12


def test_work_that_takes_no_time_ends(world):
    """Its repeats are bounded, it counts as no less than a nanosecond, and has rates and a spread."""
    sample = measure([world.probe("a", 0.0, bytes=8.0)], 3, world)["a"]
    assert len(world.runs) < 20
    assert max(repeats for _, repeats in world.runs) == MAX_REPEATS
    assert sample.seconds == (TICK_S / MAX_REPEATS,) * 3
    assert sample.spread == 0
    assert math.isfinite(sample.bytes_per_s)


def test_a_budget_ends_the_rounds(world):
    """Rounds of 2 s begin at 0, 2, 4, 6 and 8; at 10 the ninth second is over."""
    probes = [world.probe(name, 1.0) for name in "ab"]
    found = measure(probes, 60, world, budget_s=9.0)
    assert {sample.count for sample in found.values()} == {5}


@pytest.mark.parametrize("budget_s", [0.0, 1e-9, 2.5])
def test_a_short_budget_still_gives_a_few_rounds(world, budget_s):
    """Three, since a spread needs them; or fewer if no more were asked for."""
    assert measure([world.probe("a", 1.0)], 60, world, budget_s=budget_s)["a"].count == LEAST_ROUNDS == 3
    assert measure([world.probe("a", 1.0)], 2, world, budget_s=budget_s)["a"].count == 2


def test_calibration_may_be_done_before(world):
    """Then nothing runs untimed."""
    probes = [world.probe("a", 1e-3), world.probe("b", 1.0)]
    repeats = calibrate(probes, world)
    assert repeats == {"a": 3, "b": 1}
    before = len(world.runs)
    measure(probes, 2, world, repeats=repeats)
    assert world.runs[before:] == [("a", 3), ("b", 1), ("b", 1), ("a", 3)]


def test_names_are_given_once(world):
    """Samples are told apart by them."""
    with pytest.raises(ValueError, match="two probes have the name a"):
        measure([world.probe("a", 1.0), world.probe("b", 1.0), world.probe("a", 1.0)], 1, world)


@pytest.mark.parametrize("budget_s", [None, 4.0, 100.0])
def test_progress_goes_from_nothing_to_all(world, budget_s):
    """By the rounds done or by the time gone, whichever is further; it never goes back."""
    told = []
    probes = [world.probe(name, 1.0) for name in "ab"]
    measure(probes, 5, world, lambda share, what: told.append((share, what)), budget_s)
    shares = [share for share, _ in told]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [what for _, what in told[:4]] == ["a", "b", "b", "a"]
    if budget_s == 4.0:
        assert shares[:4] == [0, 0.25, 0.5, 0.75]


def test_nothing_to_time_is_nothing():
    """No probes, no samples, no progress."""
    assert measure([], 3, lambda: 0.0, lambda *_: pytest.fail("nothing to tell")) == {}


def test_bytes_and_operations_are_kept(world):
    """Eight bytes and six operations in 2 s."""
    sample = measure([world.probe("a", 2.0, bytes=8.0, flops=6.0)], 3, world)["a"]
    assert (sample.bytes_per_s, sample.flops, sample.median_s, sample.count) == (4, 6, 2, 3)


def test_a_spread_is_that_of_the_quartiles():
    """ln 1, 2, 3, 4 and 5: quartiles 2 and 4 apart by 2, over 2 * 0.6745. One wild value changes nothing; one value has none."""
    values = [math.e**power for power in (3, 1, 5, 2, 4)]
    assert spread_of(values) == pytest.approx(1 / 0.6745)
    assert spread_of([*values[:2], math.e**50, *values[3:]]) == pytest.approx(1 / 0.6745)
    assert spread_of([7.0]) == 0
    assert spread_of([7.0, 7.0]) == 0
    assert spread_of([1.0, math.e]) == pytest.approx(
        0.5 / (2 * 0.6745)
    )  # quartiles of two values: 1/4 and 3/4 of the way


def test_a_typical_value_is_the_mean_of_logarithms():
    """Of 1, 4 and 16 it is 4. Of ten values the smallest and the largest are left out, of nine none."""
    assert typical_of([16.0, 1.0, 4.0]) == pytest.approx(4)
    assert typical_of([1e-9, *[5.0] * 8, 1e9]) == pytest.approx(5)
    assert typical_of([5.0] * 8 + [5.0 * 2**9]) == pytest.approx(10)
    assert Sample((1.0, 4.0)).typical_s == pytest.approx(2)


def test_a_difference_is_the_middle_one():
    """Two of these lie below nothing and three more below 0.1 us, 0.43 us is in the middle."""
    found = Sample(tuple(each * 1e-6 for each in (-2.0, 0.83, 0.43, 0.03, 3.0, -1.0, 0.09, 0.63, 0.73, 0.03, 0.93)))
    value, spread = difference_of(found)
    assert value == pytest.approx(0.43e-6)
    assert spread == 1.0  # at most


def test_the_spread_of_a_difference_is_a_share_of_it():
    """Quartiles of 1, 2, 3, 4 and 5 us are 2 and 4, the middle is 3: a standard deviation of 1 / 0.6745."""
    value, spread = difference_of(Sample((5e-6, 1e-6, 4e-6, 2e-6, 3e-6)))
    assert (value, spread) == pytest.approx((3e-6, 1 / 0.6745 / 3))
    assert difference_of(Sample((3e-6,))) == (3e-6, 0.0)


def test_a_difference_that_is_lost_in_noise_is_the_least_one():
    """Half of it below 0: ten nanoseconds, of which nothing more is known."""
    assert difference_of(Sample((-3e-6, -1e-6, 2e-6))) == (1e-8, 1.0)


def test_samples_of_the_same_work_are_one():
    """Timings one after the other; bytes and operations stay those of once."""
    one, two = Sample((1.0, 2.0), 8.0, 6.0), Sample((3.0,), 8.0, 6.0)
    assert join([one, two]) == Sample((1.0, 2.0, 3.0), 8.0, 6.0)
