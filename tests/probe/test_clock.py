"""Timing in rounds, by a clock that only the work itself advances."""

import math
from dataclasses import replace

import pytest

from simulator.probe.clock import (
    FOREVER,
    MAX_REPEATS,
    TICK_S,
    Group,
    Probe,
    Sample,
    admit,
    calibrate,
    difference_of,
    in_seconds,
    join,
    measure,
    repeats_of,
    spread_fields,
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


@pytest.mark.parametrize(("budget_s", "rounds"), [(9.0, 4), (8.0, 4), (7.9, 3), (2.0, 1), (0.0, 1), (1e-9, 1)])
def test_a_round_that_would_not_end_in_time_is_not_begun(world, budget_s, rounds):
    """Rounds of 2 s end at 2, 4, 6 and 8; the first one ends in any case."""
    probes = [world.probe(name, 1.0) for name in "ab"]
    found = measure(probes, 60, world, budget_s=budget_s)
    assert {sample.count for sample in found.values()} == {rounds}


def test_a_round_that_takes_longer_than_thought_is_broken_off(world):
    """The machine gets five times as slow at 10 s: the second round began at 8 for 4 s, and at 12.5 s it counts for nothing."""
    start = 8.0  # untimed runs take four seconds, the first round as long

    def slower(now):
        return 1.0 if now < start + 2 else 5.0

    found = measure([world.probe(name, slower) for name in "abcd"], 60, world, budget_s=8.0 + 0.1)
    assert {sample.count for sample in found.values()} == {1}


def test_every_timing_knows_when_it_was_begun(world):
    """By the clock, after two untimed runs of each; joined samples keep their times."""
    found = measure([world.probe(name, 1.0) for name in "ab"], 2, world)
    assert found["a"].at == (4.0, 7.0)
    assert found["b"].at == (5.0, 6.0)
    assert join([found["a"], found["b"]]).at == (4.0, 7.0, 5.0, 6.0)


def test_what_lies_in_a_cache_is_read_once_before_it_is_timed(world):
    """Unless one sample is several turns anyway."""
    probe = replace(world.probe("a", 1.0), is_warmed=True)
    time_once(probe, 1, world)
    time_once(probe, 2, world)
    assert world.runs == [("a", 1), ("a", 1), ("a", 2)]


# ---- by importance ----


def groups(world, *sizes):
    """A group for each number: so many probes of a second."""
    return [
        Group(f"group {at}", lambda at=at, n=n: [world.probe(f"{at} {each}", 1.0) for each in range(n)])
        for at, n in enumerate(sizes)
    ]


def test_groups_are_admitted_while_three_rounds_of_all_fit(world):
    """Two probes of a second calibrate in 4 s, and three rounds take 6; with the second group 8 s and 12: 20 in all."""
    admitted = admit(groups(world, 2, 2, 2), in_seconds(20.0, world))
    assert [probe.name for probe in admitted.probes] == ["0 0", "0 1", "1 0", "1 1"]
    assert admitted.left_out == ("group 2",)
    assert admitted.round_s == 4
    assert admitted.repeats == dict.fromkeys(("0 0", "0 1", "1 0", "1 1"), 1)


def test_after_a_group_without_time_none_is_tried(world):
    """Though the last one would fit: it matters less."""
    admitted = admit(groups(world, 1, 30, 1), in_seconds(20.0, world))
    assert [probe.name for probe in admitted.probes] == ["0 0"]
    assert admitted.left_out == ("group 1", "group 2")
    assert world.now < 20 - 3


def test_the_first_group_is_admitted_whatever_it_takes(world):
    """Without it there is no profile."""
    assert len(admit(groups(world, 3, 1), in_seconds(0.0, world)).probes) == 3


def test_a_deadline_is_shared(world):
    """Half of ten seconds; nothing of what is over."""
    deadline = in_seconds(10.0, world)
    assert (deadline.left_s, deadline.share(0.5).left_s) == (10, 5)
    world.now = 12.0
    assert deadline.is_over
    assert (deadline.left_s, deadline.share(0.5).left_s) == (-2, 0)
    assert math.isinf(FOREVER.share(0.5).left_s)


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
    twice = Group("twice", lambda: [world.probe("a", 1.0), world.probe("a", 1.0)])
    with pytest.raises(ValueError, match="two probes have the name a"):
        admit([twice], in_seconds(9.0, world))
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


def test_a_single_timing_is_written_without_a_spread():
    """How one scatters is not known, which is not the same as 0."""
    assert spread_fields(0.0, 1) == {"count": 1}
    assert spread_fields(0.12345, 2) == {"spread": 0.1235, "count": 2}
