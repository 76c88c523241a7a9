"""Timing in interleaved rounds: everything is sampled in turn, again and again, so that a drifting machine meets all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

Clock = Callable[[], float]  # seconds from some start
Progress = Callable[[float, str], None]  # (share done, what is being done)

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


def measure(
    probes: Sequence[Probe],
    rounds: int,
    clock: Clock = time.perf_counter,
    progress: Progress | None = None,
    budget_s: float | None = None,
    repeats: Mapping[str, int] | None = None,
) -> dict[str, Sample]:
    """Samples of every probe by name, one in each of at most *rounds* rounds.

    After *budget_s* seconds no further round is begun, but there are at least LEAST_ROUNDS. Every other round goes
    backwards, so that a drift in one direction cancels. *repeats*: what `calibrate` found, where that was done before.
    """
    if repeats is None:
        repeats = calibrate(probes, clock)
    seconds: dict[str, list[float]] = {probe.name: [] for probe in probes}
    start, done = clock(), 0
    for number in range(rounds):
        if budget_s is not None and number >= LEAST_ROUNDS and clock() - start >= budget_s:
            break
        for probe in probes if number % 2 == 0 else reversed(probes):
            if progress:
                by_time = (clock() - start) / budget_s if budget_s else 0.0
                progress(min(1.0, max(by_time, done / (rounds * len(probes)))), probe.name)
            seconds[probe.name].append(time_once(probe, repeats[probe.name], clock))
            done += 1
    if progress and probes:
        progress(1.0, probes[-1].name)
    return {probe.name: Sample(tuple(seconds[probe.name]), probe.bytes, probe.flops) for probe in probes}


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
    return replace(samples[0], seconds=tuple(each for sample in samples for each in sample.seconds))


def repeats_of(probe: Probe, clock: Clock) -> int:
    """How often a probe has to run for a sample to last as long as its burst."""
    repeats = 1
    while True:
        taken = repeats * time_once(probe, repeats, clock)
        if taken >= probe.burst_s or repeats >= MAX_REPEATS:
            return repeats
        factor = 1.1 * probe.burst_s / taken
        repeats = min(MAX_REPEATS, math.ceil(repeats * min(10.0, max(1.2, factor))))


def time_once(probe: Probe, repeats: int, clock: Clock) -> float:
    """Seconds of the work done once, from *repeats* of it in a row."""
    start = clock()
    probe.run(repeats)
    return max(TICK_S, clock() - start) / repeats
