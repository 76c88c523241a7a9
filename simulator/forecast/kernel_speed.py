"""Seconds of an operation whose kernel was measured on the device itself, weights in each core's cache, in the shared one, in memory.

A kernel takes the time of a pure read and some more, in a proportion that depends on how fast the read is: where memory is slow,
computing hides behind it, where it is fast, it does not. So each kernel is known as a curve: its own time for a byte over that of
a pure read, straight lines between the three working sets that it was measured at. Where memory is slower or faster than it was
then, the curve still holds.

On a disturbed machine kernels seem to do what they cannot: to read faster than reading alone, or to take longer for a token of
many than for a token of few. Such figures are held to what can be (see `spec.doubt`), so a larger batch never lowers the total.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from simulator.forecast.ops import Cost, Op, Work
from simulator.spec.engine_speeds import EngineSpeeds, KernelSpeed
from simulator.spec.figure import Figure
from simulator.units import GIGA, MI, MICRO, NANO

_STANDS_FOR = {"sum": ("norm",)}  # where a file has no figure of its own for some work


def time_kernel(
    op: Op,
    speeds: EngineSpeeds,
    threads: int,
    s_per_byte,
    phases: float,
    read_s: Callable[[Any], Any] | None = None,
) -> tuple[Figure, Any, Any] | None:
    """What the time rests on, seconds that the operation would take in a cache, and that it takes; None if not measured.

    Args:
        s_per_byte: of a pure read of the working set with *threads* threads.
        phases: how often all threads begin something new for it.
        read_s: the same of any working set, in bytes; None: each is read from a core's own cache.
    """
    table = _table(op, speeds)
    measured = sorted(count for count, by_format in table.items() if op.format.name in by_format)
    if not measured or not all(count in speeds.read_gb_per_s for count in measured):
        return None
    lower = max((count for count in measured if count <= threads), default=measured[0])
    upper = min((count for count in measured if count >= threads), default=measured[-1])
    near = table[lower][op.format.name]
    figure = near[max(near)].cached_gop_per_s.times(GIGA)
    found = [
        _passes_at(op, table[count][op.format.name], speeds, count, s_per_byte, phases, read_s)
        for count in (lower, upper)
    ]
    if lower == upper:
        return figure, *found[0]
    # Between two measured counts of threads speeds grow in a straight line.
    share = (threads - lower) / (upper - lower)
    mixed = [1 / ((1 - share) / one + share / two) for one, two in zip(*found, strict=True)]
    return figure, *mixed


def _table(op: Op, speeds: EngineSpeeds) -> dict[int, dict[str, dict[int, KernelSpeed]]]:
    """By threads, format, and tokens at once or queries of a key."""
    if op.part == "cache":
        return speeds.attention
    if not op.by_column:
        return speeds.kernels
    is_known = any(op.format.name in by_format for by_format in speeds.small_tiles.values())
    return speeds.small_tiles if op.in_small_tiles and is_known else speeds.columns


def work_seconds(work: Work, speeds: EngineSpeeds | None, threads: int | None):
    """Seconds of small work that *threads* threads share, as far as it comes in pieces; 0 where it was not measured."""
    kind, measured = _measured_as(work.kind, speeds) if speeds else (work.kind, [])
    if not measured:
        return 0.0
    sharers = np.minimum(threads or 1, work.pieces)
    # Results passed from core to core take longer: a figure of as many threads as share the work, or the next fewer.
    at = np.clip(np.searchsorted(measured, sharers, side="right") - 1, 0, None)
    seconds = np.array([speeds.item_ns[count][kind].value * NANO for count in measured])[at]
    return seconds * work.items / sharers


def _measured_as(kind: str, speeds: EngineSpeeds) -> tuple[str, list[int]]:
    """The kind of work that stands for one, and the counts of threads that it was measured with."""
    for each in (kind, *_STANDS_FOR.get(kind, ())):
        measured = sorted(count for count, items in speeds.item_ns.items() if each in items)
        if measured:
            return each, measured
    return kind, []


def step_seconds(speeds: EngineSpeeds, tokens, cold, shared=0.0):
    """Seconds of a step outside its kernels; *cold*: share of the last cache that the step's own bytes have swept, *shared*: of
    each core's own caches."""

    def of(step: Figure | None, kind: str):
        once = step.value * MICRO if step else 0.0
        return once + work_seconds(Work(kind, tokens, 1), speeds, 1)

    found = of(speeds.step_us, "token")
    if speeds.shared_step_us is not None:
        found = shared * of(speeds.shared_step_us, "shared token") + (1 - shared) * found
    if speeds.cold_step_us is not None:
        found = cold * of(speeds.cold_step_us, "cold token") + (1 - cold) * found
    return found


def _passes_at(
    op: Op,
    kernel: dict[int, KernelSpeed],
    speeds: EngineSpeeds,
    threads: int,
    s_per_byte,
    phases: float,
    read_s: Callable[[Any], Any] | None,
) -> tuple[Any, Any]:
    """Seconds in cache, and at a pure read's *s_per_byte*, of the first token of each sequence and of further ones.

    The engine goes through a sequence's cache for each token of its own. The first finds it where the working set lies, the next
    ones where one layer's cache of one sequence does: mostly in a core's own. A file of before that was timed counts one pass.
    """
    if op.part != "cache" or op.passes <= 1 or not all(speed.again_gop_per_s for speed in kernel.values()):
        return _at(op, kernel, speeds, threads, s_per_byte, phases)
    passes, cost = op.passes, op.cost
    first = replace(op, cost=replace(cost, flops=cost.flops / passes), sharers=op.sharers / passes,
                    work=tuple(replace(work, items=work.items / passes) for work in op.work))  # fmt: skip
    more = Cost(flops=first.cost.flops, cache_read_bytes=cost.cache_read_bytes)
    again_s = read_s(cost.cache_read_bytes / op.sequences) if read_s else 0.0
    speeds_again = {
        n: speed.model_copy(update={"cached_gop_per_s": speed.again_gop_per_s}) for n, speed in kernel.items()
    }
    once = _at(first, kernel, speeds, threads, s_per_byte, phases)
    again = _at(replace(first, cost=more, work=()), speeds_again, speeds, threads, again_s, phases)
    cached_s, seconds = (one + (passes - 1) * two for one, two in zip(once, again, strict=True))
    return cached_s, seconds


def _at(
    op: Op, kernel: dict[int, KernelSpeed], speeds: EngineSpeeds, threads: int, s_per_byte, phases: float
) -> tuple[Any, Any]:
    """Seconds in cache, and at a pure read's *s_per_byte*."""
    cached = _held(op, _seconds_of_token(kernel), 0.0)
    cached_s = op.cost.flops / op.sharers * _over_tokens(op.sharers, cached) / GIGA
    reads = [1 / (figure.value * GIGA) for figure in speeds.read_gb_per_s[threads]]
    streamed, passes = op.cost.streamed_bytes, _passes(op.sharers, kernel)
    knots = [(reads[0], cached_s, 0.0)]
    if all(speed.cache_share for speed in kernel.values()):
        found = {n: (speed.cache_share, speed.cache_gb_per_s) for n, speed in kernel.items()}
        start_s = _start_s(op, speeds.shared_start_us.get(threads))
        start_per_byte = start_s / (speeds.shared_matrix_mib * MI)
        starts_s = _starts_s(start_s * phases - streamed * start_per_byte, passes)
        knots.append((*_beside_reads(op, found, reads[1], start_per_byte), starts_s))
    found = {n: (speed.memory_share, speed.memory_gb_per_s) for n, speed in kernel.items()}
    start_s = _start_s(op, speeds.start_us.get(threads))
    start_per_byte = start_s / (speeds.matrix_mib * MI)
    starts_s = _starts_s(start_s * phases - streamed * start_per_byte, passes)
    starts = {n: speed.start_us.value * MICRO for n, speed in kernel.items() if speed.start_us}
    is_apart = op.by_column and len(starts) == len(kernel)
    if is_apart:
        start_per_byte, starts_s = 0.0, op.launches * op.matrices * _between(op.sharers, starts)
    if op.part == "cache":
        starts_s = sum((work_seconds(work, speeds, threads) for work in op.work if work.kind == "run"), 0.0)
    beside, kernel_s = _beside_reads(op, found, reads[2], start_per_byte)
    # Columns lie apart and come one by one: beside reads of 45 and of 80 GB/s on one machine they came at 35 of it either time.
    knots.append((reads[2] if is_apart else beside, kernel_s, starts_s))
    # Where sharing a machine made a kernel seem to read faster than reading alone does, it is not.
    return cached_s, np.maximum(_along(knots, s_per_byte), streamed * s_per_byte)


def _beside_reads(
    op: Op, found: dict[int, tuple[Figure, Figure | None]], read_s: float, start_per_byte: float
) -> tuple[Any, Any]:
    """Seconds for a byte of a pure read, and the kernel's seconds; *found*: its share of a read, and that read if not *read_s*.

    Each number of tokens was timed beside a read of its own, so it is seconds that lie between them, not shares.
    """
    reads = {n: 1 / (beside.value * GIGA) if beside else read_s for n, (_, beside) in found.items()}
    kernels = {n: reads[n] / min(share.value, 1.0) for n, (share, _) in found.items()}
    kernels = _held(op, kernels, start_per_byte)
    return _between(op.sharers, reads), op.cost.streamed_bytes * _over_tokens(op.sharers, kernels)


def _start_s(op: Op, figure: Figure | None) -> float:
    """Seconds that beginning with a matrix takes: what differs from those measured has more or fewer beginnings for its bytes."""
    return 0.0 if figure is None or op.part == "cache" else figure.value * MICRO


def _starts_s(more_s, passes):
    """What beginning takes more than it did where kernels were measured; what a large matrix saves, it saves in each pass."""
    return more_s * np.where(np.asarray(more_s) < 0, passes, 1.0)


def _held(op: Op, seconds: dict[int, float], start: float) -> dict[int, float]:
    """A kernel's seconds by tokens at once, with a token of many taking no longer than one of fewer.

    *start*: what of them is beginning with a matrix, whatever the tokens. Attention counts heads of a key instead of tokens, and
    what is left out by column differs by tokens: these stay as they are.
    """
    if op.part == "cache" or op.by_column:
        return seconds
    start = min(start, *(each / 2 for each in seconds.values()))
    each = accumulate(((seconds[n] - start) / n for n in sorted(seconds)), min)
    return {n: start + n * one for n, one in zip(sorted(seconds), each, strict=True)}


def _seconds_of_token(kernel: dict[int, KernelSpeed]) -> dict[int, float]:
    return {n: n / speed.cached_gop_per_s.value for n, speed in kernel.items()}


def _over_tokens(tokens, values: dict[int, float]):
    """Interpolated over the tokens at once; beyond what was measured, kernels pass over the weights again."""
    return _between(tokens, values) * _passes(tokens, values)


def _passes(tokens, measured: Collection[int]):
    """How often kernels pass over the weights for so many tokens."""
    return np.maximum(np.asarray(tokens) / max(measured), 1.0)


def _between(tokens, values: dict[int, float]):
    counts = sorted(values)
    return np.interp(tokens, counts, [values[n] for n in counts])


def _along(knots: list[tuple[Any, Any, Any]], read_s) -> Any:
    """Straight lines through points (read, kernel, starts) whose kernel and starts together never fall.

    Beyond the last point the last line goes on, without the starts: those do not grow as memory gets slower.
    """
    read_s, least = np.asarray(read_s), knots[0][1]
    (near, kernel, starts), *further = _in_order(knots)
    reached = np.maximum(least, kernel + starts)
    seconds, slope = reached + 0.0 * read_s, 0.0
    for far, following, starts in further:
        width = far - near
        is_line, width = width > 0, np.where(width > 0, width, 1.0)
        growth = np.maximum(following + starts - reached, 0.0)
        seconds = seconds + np.clip((read_s - near) / width, 0.0, 1.0) * growth
        rise = np.maximum(np.maximum(following, least) - np.maximum(kernel, least), 0.0)
        slope = np.where(is_line, rise / width, slope)
        near, kernel, reached = far, following, reached + growth
    return seconds + slope * np.maximum(read_s - near, 0.0)


def _in_order(knots: list[tuple[Any, Any, Any]]) -> list[tuple[Any, Any, Any]]:
    """The points with the next one in place of each where reading was no faster than further out: that cache was not seen.

    Where none was, the line to memory begins with what a kernel takes in a cache.
    """
    kept, any_seen = [knots[-1]], False
    for knot in knots[-2::-1]:
        seen = knot[0] < kept[0][0]
        any_seen = any_seen | seen
        kept.insert(0, _where(seen, knot, kept[0]))
    return [_where(any_seen, kept[0], (0.0, knots[0][1], 0.0)), *kept[1:]]


def _where(condition, one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    return tuple(np.where(condition, *pair) for pair in zip(one, other, strict=True))
