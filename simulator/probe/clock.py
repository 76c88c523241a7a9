"""Timing in interleaved rounds: everything is sampled in turn, again and again, so that a drifting machine meets all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from simulator.progress import Progress
from simulator.spec.figure import WIDEST_SPREAD

Clock = Callable[[], float]  # seconds from some start

BURST_S = 2e-3  # what one sample lasts at least: far above a timer's step, far below the drift of a machine
MAX_REPEATS = 1_000_000
TICK_S = 1e-9  # what anything takes at least: no timer sees less
LEAST_DIFFERENCE_S = 1e-8  # what one thing takes longer than another where that is lost in noise
MOST_SPREAD = 1.0  # of a difference: beyond it no more is known than that it is about so large
LEAST_ROUNDS = 3
Z_QUARTILE = 0.6745  # a normal variable lies within this many standard deviations with 50 % probability


@dataclass(frozen=True)
class Sample:
    """Every timing of one piece of work, in the order taken."""

    seconds: tuple[float, ...]  # of the work done once
    bytes: float = 0.0  # that it moves
    flops: float = 0.0  # operations that it makes
    at: tuple[float, ...] = field(
        default=(), compare=False
    )  # by the clock, when each was begun; none where nobody noted it

    @property
    def count(self) -> int:
        """How often it was timed."""
        return len(self.seconds)

    @property
    def median_s(self) -> float:
        """Seconds, typically."""
        return statistics.median(self.seconds)

    @property
    def typical_s(self) -> float:
        """Seconds on average, see `typical_of`."""
        return typical_of(self.seconds)

    @property
    def bytes_per_s(self) -> float:
        """Bytes a second, typically."""
        return self.bytes / self.median_s

    @property
    def spread(self) -> float:
        """How the timings scatter, see `spread_of`."""
        return spread_of(self.seconds)


def typical_of(values: Sequence[float]) -> float:
    """Geometric mean without the tenth at either end, which interruptions make.

    A machine that changes between two states gives medians of one state for some probes and of the other for others; means of
    the same rounds hold the same mixture of both, so they can be put together.
    """
    logs = sorted(math.log(value) for value in values)
    beyond = len(logs) // 10
    return math.exp(statistics.fmean(logs[beyond : len(logs) - beyond]))


def spread_of(values: Sequence[float]) -> float:
    """Standard deviation of the logarithm, from the quartiles, so that a single interruption does not count; 0 of one value."""
    if len(values) < 2:
        return 0.0
    return _deviation_of([math.log(value) for value in values])


def spread_fields(spread: float, count: int) -> dict[str, Any]:
    """The fields of a figure that say how its timings scatter: a single one shows no spread, which is not one of 0."""
    return ({"spread": round(min(spread, WIDEST_SPREAD), 4)} if count > 1 else {}) | {"count": count}


def difference_of(sample: Sample) -> tuple[float, float]:
    """Seconds by which one thing takes longer than another, and their spread as a share of them.

    Single differences may be below 0. They stay what they are until the middle one is taken: raised to a least value each, those
    that noise has made small would drag down the mean of the logarithms.
    """
    value = max(LEAST_DIFFERENCE_S, sample.median_s)
    deviation = _deviation_of(sample.seconds) if sample.count > 1 else 0.0
    return value, min(MOST_SPREAD, deviation / value)


def _deviation_of(values: Sequence[float]) -> float:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / (2 * Z_QUARTILE)


@dataclass(frozen=True)
class Probe:
    """A piece of work that can be timed: `run(n)` does it *n* times, `bytes` and `flops` are those of once."""

    name: str
    run: Callable[[int], object]
    bytes: float = 0.0
    flops: float = 0.0
    burst_s: float = BURST_S
    is_warmed: bool = False  # done once before each sample, untimed: what lies in a cache then is its own


@dataclass(frozen=True)
class Deadline:
    """When something has to be done."""

    clock: Clock
    at: float

    @property
    def left_s(self) -> float:
        """Seconds until then, below 0 after it."""
        return self.at - self.clock()

    @property
    def is_over(self) -> bool:
        """Whether it is too late."""
        return self.left_s <= 0

    def share(self, part: float) -> Deadline:
        """When that part of what is left is over."""
        now = self.clock()
        return Deadline(self.clock, now + part * max(0.0, self.at - now))


def in_seconds(seconds: float, clock: Clock = time.perf_counter) -> Deadline:
    """So long from now."""
    return Deadline(clock, clock() + seconds)


FOREVER = Deadline(lambda: 0.0, math.inf)


def until_over(deadline: Deadline, most: int, work: Callable[[], Any]) -> list:
    """What the work gives each time, at *most* so often: once at least, and no more once there is no time."""
    found = [work()]
    while len(found) < most and not deadline.is_over:
        found.append(work())
    return found


@dataclass(frozen=True)
class Group:
    """Probes that are timed together or not at all."""

    what: str  # in words, for whoever reads what was left out
    build: Callable[[], Sequence[Probe]]


@dataclass(frozen=True)
class Admitted:
    """Probes that there is time for, how often each has to run for a sample, and what there is none for."""

    probes: tuple[Probe, ...]
    repeats: dict[str, int]
    left_out: tuple[str, ...]
    round_s: float  # that a round takes, as far as was seen


def admit(groups: Sequence[Group], deadline: Deadline, progress: Progress | None = None) -> Admitted:
    """The first groups, as many as can be timed LEAST_ROUNDS times until the deadline; of the first one in any case.

    Groups stand by importance: once one has no time, nor have those after it.
    """
    probes, repeats, round_s = [], {}, 0.0
    for number, group in enumerate(groups):
        found, mine, mine_s = group.build(), {}, 0.0
        for probe in found:
            if progress:
                progress(number / len(groups), probe.name)
            if probe.name in repeats or probe.name in mine:
                raise ValueError(f"two probes have the name {probe.name}")
            mine[probe.name], taken = _calibrated(probe, deadline.clock)
            mine_s += taken
            if number and deadline.left_s < LEAST_ROUNDS * (round_s + mine_s):
                return Admitted(tuple(probes), repeats, tuple(each.what for each in groups[number:]), round_s)
        probes, repeats, round_s = [*probes, *found], repeats | mine, round_s + mine_s
    return Admitted(tuple(probes), repeats, (), round_s)


def _calibrated(probe: Probe, clock: Clock) -> tuple[int, float]:
    """How often a probe has to run, and seconds that a sample takes."""
    probe.run(1)
    repeats, taken = _burst_of(probe, clock)
    return repeats, 2 * taken if probe.is_warmed and repeats == 1 else taken


def measure(
    probes: Sequence[Probe],
    rounds: int,
    clock: Clock = time.perf_counter,
    progress: Progress | None = None,
    budget_s: float | None = None,
    repeats: Mapping[str, int] | None = None,
) -> dict[str, Sample]:
    """Samples of every probe by name, one in each of at most *rounds* rounds.

    A round that would not end within *budget_s* seconds, as long as the longest one took, is not begun; one that has been begun
    is broken off then, and does not count. The first round ends in any case. Every other round goes
    backwards, so that a drift in one direction cancels. *repeats*: what `calibrate` found, where that was done before.
    """
    if repeats is None:
        repeats = calibrate(probes, clock)
    whole: list[dict[str, tuple[float, float]]] = []  # of each round, when each sample was begun, and its seconds
    start, longest = clock(), 0.0
    for number in range(rounds):
        began, found = clock(), {}
        if budget_s is not None and number and began - start + longest > budget_s:
            break
        for probe in probes if number % 2 == 0 else reversed(probes):
            now = clock()
            if budget_s is not None and number and now - start > budget_s:
                break
            if progress:
                by_time = (now - start) / budget_s if budget_s else 0.0
                done = (number + len(found) / len(probes)) / rounds
                progress(min(1.0, max(by_time, done)), probe.name)
            found[probe.name] = now, time_once(probe, repeats[probe.name], clock)
        if len(found) == len(probes):
            whole.append(found)
        longest = max(longest, clock() - began)
    if progress and probes:
        progress(1.0, probes[-1].name)
    return {probe.name: _sample(probe, [found[probe.name] for found in whole]) for probe in probes}


def _sample(probe: Probe, found: Sequence[tuple[float, float]]) -> Sample:
    at, seconds = zip(*found, strict=True) if found else ((), ())
    return Sample(seconds, probe.bytes, probe.flops, at)


def calibrate(probes: Sequence[Probe], clock: Clock = time.perf_counter) -> dict[str, int]:
    """How often each probe has to run for a sample to last as long as its burst.

    Each first runs once untimed: what has to be compiled, mapped or fetched is.
    """
    repeats = {}
    for probe in probes:
        if probe.name in repeats:
            raise ValueError(f"two probes have the name {probe.name}")
        probe.run(1)
        repeats[probe.name] = repeats_of(probe, clock)
    return repeats


def join(samples: Sequence[Sample]) -> Sample:
    """Samples of the same work as one."""
    seconds, at = (tuple(each for sample in samples for each in getattr(sample, name)) for name in ("seconds", "at"))
    return replace(samples[0], seconds=seconds, at=at)


def repeats_of(probe: Probe, clock: Clock) -> int:
    """How often a probe has to run for a sample to last as long as its burst."""
    return _burst_of(probe, clock)[0]


def _burst_of(probe: Probe, clock: Clock) -> tuple[int, float]:
    """How often a probe has to run, and seconds of that."""
    repeats = 1
    while True:
        taken = repeats * time_once(probe, repeats, clock)
        if taken >= probe.burst_s or repeats >= MAX_REPEATS:
            return repeats, taken
        factor = 1.1 * probe.burst_s / taken
        repeats = min(MAX_REPEATS, math.ceil(repeats * min(10.0, max(1.2, factor))))


def time_once(probe: Probe, repeats: int, clock: Clock) -> float:
    """Seconds of the work done once, from *repeats* of it in a row."""
    if probe.is_warmed and repeats == 1:  # otherwise its first turn is one of several
        probe.run(1)
    start = clock()
    probe.run(repeats)
    return max(TICK_S, clock() - start) / repeats
