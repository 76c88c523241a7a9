"""Seconds of an operation whose kernel was measured on the device itself, weights in each core's cache, in the shared one, in memory.

A kernel takes the time of a pure read and some more, in a proportion that depends on how fast the read is: where memory is slow,
computing hides behind it, where it is fast, it does not. So each kernel is known as a curve: its own time for a byte over that of
a pure read, straight lines between the three working sets that it was measured at. Where memory is slower or faster than it was
then, the curve still holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.hardware import EngineSpeeds, Figure, KernelSpeed
from simulator.ops import Op, Work
from simulator.units import GIGA, MI, MICRO, NANO


def time_kernel(
    op: Op, speeds: EngineSpeeds, threads: int, s_per_byte, phases: float
) -> tuple[Figure, Any, Any] | None:
    """What the time rests on, seconds that the operation would take in a cache, and that it takes; None if not measured.

    Args:
        s_per_byte: of a pure read of the working set with *threads* threads.
        phases: how often all threads begin something new for it.
    """
    table = speeds.attention if op.part == "cache" else speeds.columns if op.by_column else speeds.kernels
    measured = sorted(count for count, by_format in table.items() if op.format.name in by_format)
    if not measured or not all(count in speeds.read_gb_per_s for count in measured):
        return None
    lower = max((count for count in measured if count <= threads), default=measured[0])
    upper = min((count for count in measured if count >= threads), default=measured[-1])
    near = table[lower][op.format.name]
    figure = near[max(near)].cached_gop_per_s.times(GIGA)
    found = [_at(op, table[count][op.format.name], speeds, count, s_per_byte, phases) for count in (lower, upper)]
    if lower == upper:
        return figure, *found[0]
    # Between two measured counts of threads speeds grow in a straight line.
    share = (threads - lower) / (upper - lower)
    mixed = [1 / ((1 - share) / one + share / two) for one, two in zip(*found, strict=True)]
    return figure, *mixed


def work_seconds(work: Work, speeds: EngineSpeeds | None, threads: int | None):
    """Seconds of small work that *threads* threads share, as far as it comes in pieces; 0 where it was not measured."""
    measured = sorted(count for count, items in speeds.item_ns.items() if work.kind in items) if speeds else []
    if not measured:
        return 0.0
    sharers = np.minimum(threads or 1, work.pieces)
    # Results passed from core to core take longer: a figure of as many threads as share the work, or the next fewer.
    at = np.clip(np.searchsorted(measured, sharers, side="right") - 1, 0, None)
    seconds = np.array([speeds.item_ns[count][work.kind].value * NANO for count in measured])[at]
    return seconds * work.items / sharers


def step_seconds(speeds: EngineSpeeds, tokens, cold):
    """Seconds of a step outside its kernels; *cold*: share of the last cache that the step's own bytes have swept."""

    def of(step: Figure | None, kind: str):
        once = step.value * MICRO if step else 0.0
        return once + work_seconds(Work(kind, tokens, 1), speeds, 1)

    if speeds.cold_step_us is None:
        return of(speeds.step_us, "token")
    return cold * of(speeds.cold_step_us, "cold token") + (1 - cold) * of(speeds.step_us, "token")


def _at(
    op: Op, kernel: dict[int, KernelSpeed], speeds: EngineSpeeds, threads: int, s_per_byte, phases: float
) -> tuple[Any, Any]:
    """Seconds in cache, and at a pure read's *s_per_byte*."""
    cached_s = op.cost.flops / op.sharers * _over_tokens(op.sharers, _seconds_of_token(kernel)) / GIGA
    reads = [1 / (figure.value * GIGA) for figure in speeds.read_gb_per_s[threads]]
    streamed = op.cost.streamed_bytes
    knots = [(reads[0], cached_s, 0.0)]
    if all(speed.cache_share for speed in kernel.values()):
        shares = {n: 1 / speed.cache_share.value for n, speed in kernel.items()}
        starts_s = _starts(op, speeds.shared_start_us.get(threads), speeds.shared_matrix_mib, phases)
        knots.append((reads[1], streamed * reads[1] * _over_tokens(op.sharers, shares), starts_s))
    shares = {n: 1 / speed.memory_share.value for n, speed in kernel.items()}
    beside = next((speed.memory_gb_per_s for speed in kernel.values() if speed.memory_gb_per_s), None)
    read_s = 1 / (beside.value * GIGA) if beside else reads[2]
    starts_s = _starts(op, speeds.start_us.get(threads), speeds.matrix_mib, phases)
    if op.part == "cache":
        starts_s = sum((work_seconds(work, speeds, threads) for work in op.work if work.kind == "run"), 0.0)
    knots.append((read_s, streamed * read_s * _over_tokens(op.sharers, shares), starts_s))
    # Where sharing a machine made a kernel seem to read faster than reading alone does, it is not.
    return cached_s, np.maximum(_along(knots, s_per_byte), streamed * s_per_byte)


def _starts(op: Op, figure: Figure | None, matrix_mib: float, phases: float):
    """What beginning with its matrices takes more than it did where kernels were measured, on matrices of another size."""
    if figure is None or op.part == "cache":
        return 0.0
    return figure.value * MICRO * (phases - op.cost.streamed_bytes / (matrix_mib * MI))


def _seconds_of_token(kernel: dict[int, KernelSpeed]) -> dict[int, float]:
    return {n: n / speed.cached_gop_per_s.value for n, speed in kernel.items()}


def _over_tokens(tokens, values: dict[int, float]):
    """Interpolated over the tokens at once; beyond what was measured, kernels pass over the weights again."""
    counts = sorted(values)
    inside = np.clip(tokens, counts[0], counts[-1])
    return np.interp(inside, counts, [values[n] for n in counts]) * np.maximum(np.asarray(tokens) / counts[-1], 1.0)


def _along(knots: list[tuple[float, Any, Any]], read_s) -> Any:
    """Straight lines through points (read, kernel, starts) whose kernel and starts together never fall.

    Beyond the last point the last line goes on, without the starts: those do not grow as memory gets slower.
    A point where reading was no faster than at one further out is left out: that cache was not seen.
    """
    (_, least, _), kept = knots[0], [knots[-1]]
    for knot in knots[-2::-1]:
        if knot[0] < kept[0][0]:
            kept.insert(0, knot)
    knots = kept if len(kept) > 1 else [(0.0, least, 0.0), *kept]
    reads, kernels, starts = zip(*knots, strict=True)
    seconds = [np.maximum(least, kernels[0] + starts[0])]
    for number in range(1, len(knots)):
        seconds.append(np.maximum(seconds[-1], kernels[number] + starts[number]))
    growth = np.maximum(np.maximum(kernels[-1], least) - np.maximum(kernels[-2], least), 0.0)
    result = seconds[0] + 0.0 * np.asarray(read_s)
    for number in range(1, len(knots)):
        share = (np.asarray(read_s) - reads[number - 1]) / (reads[number] - reads[number - 1])
        result = result + np.clip(share, 0.0, 1.0) * (seconds[number] - seconds[number - 1])
    return result + np.maximum(share - 1.0, 0.0) * growth
