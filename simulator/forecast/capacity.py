"""How many sequences, and how deep, fit in memory; how many get a rate each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.forecast.fastest_on_grid import all_ways, fastest_on_grid, is_for_grids
from simulator.forecast.fit import cache_held
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario, expect_scenario
from simulator.spec.arguments import between, whole
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

MOST_BATCH = 10**6
AT_ONCE = 16  # batches that are looked at together
LEAST_EACH, MOST_EACH = 1e-6, 1e9  # tokens per second that can be asked for
Ends = Callable[[Prediction], Any]


@dataclass(frozen=True)
class Users:
    """How many sequences at once get a rate each: as forecast, and by both ends of the 80 % interval."""

    tokens_per_s_each: float
    context: int
    most: int
    low: int | None  # None: the forecast is an upper bound, without a slow end
    high: int
    room: int  # sequences that memory holds
    alone: float  # tokens per second of a single one; NaN where not even one fits
    split: str | None = None  # between unlike devices: "anew" for each number of them, or "kept"; None: there is none


def most_users(base: Scenario, tokens_per_s_each: float, context: int) -> Users:
    """The largest batches at which every sequence still decodes at *tokens_per_s_each*, its cache holding *context* tokens.

    0 where even one is slower; bounded by memory. Where rates rise again beyond a batch that is too slow, as where other kernels
    begin, a few more may get it. A decode is what is forecast: no prompts of others come between. What nobody
    placed is placed anew for each number of them on one GPU, or cards that share matrices, beside RAM; elsewhere it lies as it does.
    """
    each = between("tokens_per_s_each", tokens_per_s_each, LEAST_EACH, MOST_EACH)
    context, is_anew = whole("context", context, 0, MAX_CONTEXT), _is_placed_anew(base)
    at = _placed_anew(base, context) if is_anew else lambda batches: base.at(batches, context)
    room = _most_at(lambda batches: np.ravel(at(batches).fits), MOST_BATCH) if is_anew else largest_batch(base, context)
    split = "anew" if is_anew else "kept" if base.placement else None
    if not room:
        return Users(each, context, 0, 0, 0, 0, math.nan, split)
    first = at(np.array([1]))

    def most(rate: Ends) -> int:
        return _most_at(lambda batches: np.ravel(rate(at(batches))) >= each * batches, room)

    return Users(
        each,
        context,
        most=most(lambda point: point.tokens_per_s),
        low=None if first.is_upper_bound else most(lambda point: point.tokens_per_s_low),
        high=most(lambda point: point.tokens_per_s_high),
        room=room,
        alone=float(np.ravel(first.tokens_per_s)[0]),
        split=split,
    )


def for_users(base: Scenario, n: int, context: int) -> Scenario:
    """As it lies where so many users are counted."""
    if not _is_placed_anew(base):
        return base
    return replace(base, placed_for=(n, context)).in_weights(base.load.weights)


def _is_placed_anew(base: Scenario) -> bool:
    return base.placed_for is not None and is_for_grids(base.hardware, base.runtime)


def _placed_anew(base: Scenario, context: int) -> Callable[[np.ndarray], Prediction]:
    """The forecasts of batches, each as it is placed for itself; (batches, 1)"""
    ways = all_ways(base.loaded.model, base.hardware, base.runtime, base.load.weights)

    def at(batches: np.ndarray) -> Prediction:
        load = replace(base.load, batch=batches[:, None], context=np.array([[context]]))
        return fastest_on_grid(ways, load).within((slice(None), slice(None)))

    return at


def _most_at(is_enough: Callable[[np.ndarray], np.ndarray], room: int) -> int:
    """The last of the batches up to *room* for which that holds: between the last power of two and the next, some at once.

    Rates of a sequence need not fall all the way, so all powers are looked at.
    """
    tried = np.unique([*(1 << n for n in range(room.bit_length())), room])
    enough = np.flatnonzero(is_enough(tried))
    if not enough.size:
        return 0
    last = int(enough[-1])
    if last == len(tried) - 1:
        return room
    low, high = int(tried[last]), int(tried[last + 1])
    while high - low > 1:
        tried = np.unique(np.linspace(low + 1, high - 1, AT_ONCE).round().astype(int))
        enough = np.flatnonzero(is_enough(tried))
        last = int(enough[-1]) if enough.size else -1
        low, high = int(tried[last]) if enough.size else low, int(tried[last + 1]) if last + 1 < len(tried) else high
    return low


def largest_batch(base: Scenario, context: int) -> int:
    """The most sequences of *context* tokens that fit in memory at once; 0 if not even one does."""
    expect_scenario(base)
    context = whole("context", context, 0, MAX_CONTEXT)
    return _largest(lambda batch: base.fits(batch, context), MOST_BATCH)


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
