"""How many sequences, and how deep, fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulator.forecast.fit import cache_held
from simulator.forecast.scenario import Scenario, expect_scenario
from simulator.spec.arguments import whole
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT


def largest_batch(base: Scenario, context: int) -> int:
    """The most sequences of *context* tokens that fit in memory at once; 0 if not even one does."""
    expect_scenario(base)
    context = whole("context", context, 0, MAX_CONTEXT)
    return _largest(lambda batch: base.fits(batch, context), 10**6)


def largest_context(base: Scenario, batch: int) -> int | None:
    """The deepest context at which *batch* sequences fit; None where the cache does not grow, 0 if none fits."""
    expect_scenario(base)
    load, batch = base.load, whole("batch", batch, 1, MAX_BATCH)
    shallow, deep = (
        cache_held(base.loaded.model, replace(load, batch=batch, context=depth), base.runtime, base.hardware)
        for depth in (10**7, 10**8)
    )
    if deep <= shallow:
        return None
    return _largest(lambda context: base.fits(batch, context), 10**8)


def _largest(fits: Callable[[int], bool], highest: int) -> int:
    if not fits(1):
        return 0
    low, high = 1, highest
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
