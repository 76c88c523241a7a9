"""Figures of a measuring that cannot be: what a disturbed machine seems to do, and no machine does.

A kernel reads its weights, so it is no faster than a pure read of them; with more tokens at once it does no less in a second, or it
would be given fewer at a time; and more threads read no slower than fewer. Forecasts hold the kernels' figures to that, see
`kernel_speed`; here it is said which ones are further from it than noise explains.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from simulator.spec.engine_speeds import EngineSpeeds, KernelSpeed
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.units import counted, format_number

RESTLESS = 0.08  # standard deviation of the logarithm: beyond it, single runs of a machine say little
LEAST_NOISE, MOST_NOISE = 0.05, 0.25  # of a logarithm; a figure that scatters by more is no better for that
MOST_NAMED = 4
REMEDY = "measure again when the machine is calm"


def told_doubts(hardware: Hardware) -> str:
    """One sentence that names the figures that cannot be, with what to do; empty where there are none."""
    found = list(doubts(hardware))
    if not found:
        return ""
    more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"figures that cannot be (forecasts hold kernels to what can be): {'; '.join(found[:MOST_NAMED])}{more}; {REMEDY}"


def doubts(hardware: Hardware) -> Iterator[str]:
    """Each figure that cannot be, in words: memory and caches, then kernels of the most threads first."""
    for level in hardware.memory:
        for count, less, most in _fallen(level.gb_per_s_by_threads):
            rates = f"{format_number(less.value)} GB/s with {counted(count, 'thread')}, {format_number(most.value)} with fewer"
            yield f"{level.name} {rates}"
    if hardware.engine:
        yield from _of_engine(hardware.engine)


def _of_engine(engine: EngineSpeeds) -> Iterator[str]:
    for threads in sorted(engine.kernels, reverse=True):
        for fmt, kernel in engine.kernels[threads].items():
            what = f"{fmt} on {counted(threads, 'thread')}"
            for tokens, speed in kernel.items():
                for share, where in ((speed.cache_share, "the shared cache"), (speed.memory_share, "memory")):
                    if share and math.log(share.value) > _noise(share):
                        told = f"{format_number(share.value)} of a pure read's speed"
                        yield f"{what}, {counted(tokens, 'token')}, in {where}: {told}"
            for tokens, less, most in _fallen(_rates(kernel)):
                rates = f"{format_number(less.value)} Gop/s, {format_number(most.value)} with fewer"
                yield f"{what}, {counted(tokens, 'token')}: {rates}"


def _rates(kernel: Mapping[int, KernelSpeed]) -> dict[int, Figure]:
    return {tokens: speed.cached_gop_per_s for tokens, speed in kernel.items()}


def _fallen(figures: Mapping[int, Figure]) -> Iterator[tuple[int, Figure, Figure]]:
    """(count, its figure, the highest of smaller counts) where that is higher by more than noise."""
    most = None
    for count, figure in sorted(figures.items()):
        if most and math.log(most.value / figure.value) > _noise(figure, most):
            yield count, figure, most
        most = figure if most is None or figure.value > most.value else most


def _noise(*figures: Figure) -> float:
    """How far a logarithm may be off by chance: two spreads, of all figures together; the most where one is not known."""
    if any(figure.spread is None for figure in figures):
        return MOST_NOISE
    return min(max(2 * math.hypot(*(figure.spread for figure in figures)), LEAST_NOISE), MOST_NOISE)
