"""Whether a machine flips between two speeds: readings of one thing over and over, of which some are slow, some fast, few between.

A single speed with noise, a drift, or interruptions gives one heap of readings, however wide or lopsided: no place has fewer than
both a slower and a faster one. That is what is tested, so nothing has to be assumed of the noise.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from simulator.units import counted

LEAST_COUNT = 20  # readings: of fewer, no pattern can be told from chance
LEAST_SHARE = 0.1  # of the readings: what is rarer are interruptions
LEAST_FACTOR = 1.15  # between the speeds: what is nearer needs no name
VALLEY = 0.5  # as many readings half-way between the speeds as around the rarer one, at most
# Of so few half-way if they were no rarer there. None of 3,000 samples (of 20, 60 and 300 values) passes for one heap of each kind:
# even, normal, exponential, Cauchy, log-normal, Pareto, a ramp. Of two normal heaps, 1.3 times apart, that scatter by 5 %, eight
# in ten samples of 60 values do.
CHANCE = 0.01


@dataclass(frozen=True)
class State:
    """One of two speeds, in the unit of the readings."""

    value: float  # the median
    share: float  # of the readings
    count: int


@dataclass(frozen=True)
class States:
    """Two speeds between which a machine changes."""

    low: State
    high: State
    changes: int  # from one to the other, in the order taken

    def told(self, speed: Callable[[float], str], readings: str) -> str:
        """Both, in words: *speed* writes a speed with its unit, *readings* says what was read."""
        return (
            f"at {speed(self.low.value)} {self.low.share:.0%} of the time and at {speed(self.high.value)} {self.high.share:.0%}, "
            f"with {counted(self.changes, 'change')} in {self.low.count + self.high.count} {readings}"
        )


def find_states(values: Sequence[float]) -> States | None:
    """The two states that readings above 0, in the order taken, fall into; None where they need not be of more than one."""
    logs = sorted(math.log(value) for value in values)
    if len(logs) < LEAST_COUNT:
        return None
    place = _parting(logs)
    low, high = logs[:place], logs[place:]
    if not _has_valley(logs, statistics.median(low), statistics.median(high)):
        return None
    middle = (low[-1] + high[0]) / 2
    is_high = [math.log(value) > middle for value in values]
    return States(_state(low, len(logs)), _state(high, len(logs)), sum(one != two for one, two in pairwise(is_high)))


def _state(logs: Sequence[float], n: int) -> State:
    return State(math.exp(statistics.median(logs)), len(logs) / n, len(logs))


def _parting(logs: Sequence[float]) -> int:
    """How many of the sorted values make up the lower part: there the variance between both is the largest (Otsu 1979)."""
    n, total, least = len(logs), math.fsum(logs), math.ceil(LEAST_SHARE * len(logs))
    most, place, below = -1.0, least, math.fsum(logs[:least])
    for count in range(least, n - least + 1):
        between = (below / count - (total - below) / (n - count)) ** 2 * count * (n - count)
        if between > most:
            most, place = between, count
        below += logs[count]
    return place


def _has_valley(logs: Sequence[float], low: float, high: float) -> bool:
    """Whether values half-way between two places are too rare, beside those around either, to be of one heap."""
    if high - low < math.log(LEAST_FACTOR):
        return False
    reach = (high - low) / 6  # three stretches of one length
    at_low, between, at_high = (_count(logs, place, reach) for place in (low, (low + high) / 2, high))
    rarer = min(at_low, at_high)
    return between <= VALLEY * rarer and _chance(between, between + rarer) < CHANCE


def _count(logs: Sequence[float], place: float, reach: float) -> int:
    return sum(abs(each - place) <= reach for each in logs)


def _chance(count: int, n: int) -> float:
    """That of *n* tosses of a coin *count* or fewer are heads."""
    return sum(math.comb(n, k) for k in range(count + 1)) / 2**n
