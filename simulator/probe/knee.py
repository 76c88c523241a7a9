"""Where a machine's last cache ends, found by reading twice as much again and again until reading gets no slower.

What the system says of its caches is a hint where to look, not what is found: a virtual machine may be told of a cache of 300 MiB, of
which it has a tenth, or of none at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from simulator.probe.caches import APART
from simulator.probe.clock import Deadline

SMALLEST = 2**14  # bytes
AGREES = 1.5  # a cache as found and as told: within this factor it is the one that the system tells of
FAR_ENOUGH = 2**26  # to stop at, however small the caches are said to be
TIMES_TOLD = 4  # the last cache that the system tells of
LOOKS = 3  # readings of each size, of which the fastest counts: interruptions only make them slower
LONG = 2**28  # bytes: what is larger is read once, after it was fetched; interruptions are short beside that
SLOWER = 1.25  # times that a byte may take longer than of the size before, for all that is known beforehand
FALLEN = (
    1.5  # times slower than before the step: there the cache ends, since of a little more already much is driven out
)
CONFIRM = 3  # pairs of readings that a knee is confirmed by


@dataclass(frozen=True)
class Knee:
    """What doubling showed."""

    cache_bytes: float | None  # that the last cache holds; None where no step was seen
    is_memory: bool  # whether the largest sizes lie behind every cache, as far as can be told
    largest: int  # bytes that were read
    bytes_per_s: float  # of the largest sizes


def find_knee(
    seconds_of: Callable[[int], float], most: int, told: float | None, inner: float, deadline: Deadline
) -> Knee:
    """Reads sizes from SMALLEST to *most* bytes, or as far as there is time.

    Args:
        seconds_of: of reading a working set of so many bytes once over.
        told: bytes of the last cache as the system says; None where it does not.
        inner: bytes of the caches before the last one, as it says.
    """
    rates: dict[int, float] = {}
    for size in _doubled(most):
        predicted = (1 + _looks(size)) * size * SLOWER / list(rates.values())[-1] if rates else 0.0
        if deadline.left_s < predicted:
            break
        seconds_of(size)  # fetches it
        rates[size] = size / min(seconds_of(size) for _ in range(_looks(size)))
        if size >= max(FAR_ENOUGH, TIMES_TOLD * (told or 0)) and _is_flat(list(rates.values())[-3:]):
            break
    sizes = list(rates)
    at = _last_step(sizes, rates, seconds_of, deadline)
    plateau = [rates[size] for size in sizes[at + 1 :]]
    memory = sorted(plateau)[len(plateau) // 2]
    knee = _refined(sizes, rates, at, memory, seconds_of, deadline) if at >= 0 else None
    # A cache that is said to be larger than what could be read is not seen to end, unless the one step that there is must be its own.
    beyond_told = told is None or sizes[-1] >= 2 * told or (knee is not None and knee > 2 * inner)
    return Knee(knee, beyond_told and len(plateau) > 1, sizes[-1], memory)


def _looks(size: int) -> int:
    return LOOKS if size <= LONG else 1


def _doubled(most: int) -> list[int]:
    """Sizes up to *most*, which is one of them where it lies well beyond the last."""
    sizes = [SMALLEST * 2**power for power in range(64) if SMALLEST * 2**power <= most]
    return [*sizes, most] if most > 1.3 * sizes[-1] else sizes


def _is_flat(rates: list[float]) -> bool:
    return len(rates) == 3 and max(rates) < APART**0.5 * min(rates)


def _last_step(sizes: list[int], rates: dict[int, float], seconds_of, deadline: Deadline) -> int:
    """Number of the last size that is read faster than those beyond it; -1 where none is.

    The memory of a machine that is shared has fast moments and slow ones: a step counts where readings in turn show it, too.
    """
    for at in range(len(sizes) - 2, -1, -1):
        behind = max(rates[size] for size in sizes[at + 1 :])
        if rates[sizes[at]] < APART * behind:
            continue
        if deadline.is_over or _is_faster(sizes[at], sizes[min(at + 2, len(sizes) - 1)], seconds_of):
            return at
    return -1


def _is_faster(near: int, far: int, seconds_of: Callable[[int], float]) -> bool:
    found = []
    for _ in range(CONFIRM):
        far_s = seconds_of(far)
        seconds_of(near)  # fetches what was just driven out
        found.append(far_s / far / (seconds_of(near) / near))
    return sorted(found)[CONFIRM // 2] >= APART


def _refined(sizes, rates, at: int, memory: float, seconds_of, deadline: Deadline) -> float:
    """Bytes from which on reading slows down, with sizes in between around the step."""
    points = dict(rates)
    for number in (at - 1, at, at + 1):
        if 0 <= number < len(sizes) - 1:
            between = int(math.sqrt(sizes[number] * sizes[number + 1])) // 4096 * 4096
            if deadline.left_s > (1 + _looks(between)) * between / memory:
                seconds_of(between)
                points[between] = between / min(seconds_of(between) for _ in range(_looks(between)))
    before = max(points[sizes[max(0, at - 1)]], points[sizes[at]])
    height = max(math.sqrt(before * memory), before / FALLEN)
    beyond = [size for size in sorted(points) if size >= sizes[max(0, at - 1)]]
    for near, far in pairwise(beyond):
        if points[near] >= height > points[far]:
            share = math.log(points[near] / height) / math.log(points[near] / points[far])
            return near * (far / near) ** share
    return float(sizes[at])
