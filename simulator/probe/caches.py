"""The caches of a machine, read off how its speed falls as the working set grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FLAT = 1.15  # neighbouring points of a plateau differ by less than this factor
LEAST_POINTS = 3  # of a plateau
SEEN = 1.5  # times faster than what is behind it a cache has to be read, for its end to be looked for with one thread
APART = 1.25  # two plateaus differ by more than this factor


@dataclass(frozen=True)
class Level:
    """A plateau of the curve: a cache, or the memory behind them."""

    bytes_per_s: float
    capacity: float | None  # bytes at which the curve has fallen half-way to the next plateau; None for the last one


def find_levels(sizes: Sequence[float], rates: Sequence[float]) -> tuple[Level, ...]:
    """The plateaus of a curve of rates over working sets of growing size, nearest first.

    Rates are first made to fall (a cache is never slower than what is behind it, so what rises is noise); a plateau is a
    run of points that differ little from their neighbours.
    """
    if len(sizes) != len(rates) or sorted(sizes) != list(sizes) or min(rates, default=1.0) <= 0:
        raise ValueError("a curve needs a positive rate for each of some growing sizes")
    falling = [math.exp(value) for value in _falling([math.log(rate) for rate in rates])]
    plateaus = _plateaus(falling)
    heights = [_middle(falling[first:last]) for first, last in plateaus]
    levels = []
    for number, height in enumerate(heights):
        if number + 1 == len(heights):
            levels.append(Level(height, None))
        else:
            start, end = plateaus[number][1] - 1, plateaus[number + 1][0]
            half = math.sqrt(height * heights[number + 1])
            levels.append(Level(height, _crossing(sizes[start : end + 1], falling[start : end + 1], half)))
    return tuple(levels)


def share_of_one(sizes: Sequence[float], rates: Sequence[float], capacity: float, n_threads: int) -> float | None:
    """What of a cache of *capacity* bytes, all threads' together, one of them can use; None where that is not to be seen.

    Read off the curve of one thread, which slows down where the cache ends that it has for itself: 1/n of them all where each core
    has one, all where they share it, and a fraction in between where some cores do.
    """
    falling = [math.exp(value) for value in _falling([math.log(rate) for rate in rates])]
    inside = [rate for size, rate in zip(sizes, falling, strict=True) if size <= capacity / n_threads / 2**0.5]
    beyond = [rate for size, rate in zip(sizes, falling, strict=True) if size >= capacity * 2**0.5]
    if not inside or not beyond or inside[-1] < SEEN * beyond[0]:
        return None
    first = len(inside) - 1
    # Of the first step: behind it may lie another cache.
    height = max(math.sqrt(inside[-1] * beyond[0]), inside[-1] / SEEN)
    ends = _crossing(sizes[first:], falling[first:], height)
    shares = (1 / parts for parts in range(1, n_threads + 1) if n_threads % parts == 0)  # groups of as many cores each
    return min(shares, key=lambda share: abs(math.log(ends / capacity / share)))


def _falling(values: list[float]) -> list[float]:
    """The nearest sequence that never rises: neighbours that do are put together at their mean."""
    blocks: list[list[float]] = []  # mean, count
    for value in values:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-1][0] > blocks[-2][0]:
            mean, count = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + mean * count) / (before[1] + count)
            before[1] += count
    return [mean for mean, count in blocks for _ in range(int(count))]


def _plateaus(rates: list[float]) -> list[tuple[int, int]]:
    """(first, end) of each run of flat points; runs of nearly the same height are one."""
    runs, first = [], 0
    for at in range(1, len(rates) + 1):
        if at == len(rates) or rates[at - 1] > FLAT * rates[at]:
            if at - first >= LEAST_POINTS:
                runs.append((first, at))
            first = at
    merged: list[tuple[int, int]] = []
    for run in runs:
        if merged and _middle(rates[slice(*merged[-1])]) < APART * _middle(rates[slice(*run)]):
            merged[-1] = (merged[-1][0], run[1])
        else:
            merged.append(run)
    return merged


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _crossing(sizes: Sequence[float], rates: Sequence[float], height: float) -> float:
    """Where the curve falls through a height, between two of its points on logarithmic axes."""
    for number in range(1, len(sizes)):
        if rates[number] <= height:
            above, below = math.log(rates[number - 1] / height), math.log(height / rates[number])
            share = above / (above + below) if above + below > 0 else 0.5
            return sizes[number - 1] * (sizes[number] / sizes[number - 1]) ** share
    return sizes[-1]
