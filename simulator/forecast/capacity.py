"""How many sequences, and how deep, fit in memory; how many get a rate each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.forecast.fit import cache_held
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario, expect_scenario
from simulator.spec.arguments import between, whole
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

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


def most_users(base: Scenario, tokens_per_s_each: float, context: int) -> Users:
    """The largest batches at which every sequence still decodes at *tokens_per_s_each*, its cache holding *context* tokens.

    0 where even one is slower; bounded by memory. A decode is what is forecast: no prompts of others come between.
    """
    each = between("tokens_per_s_each", tokens_per_s_each, LEAST_EACH, MOST_EACH)
    room = largest_batch(base, context)
    if not room:
        return Users(each, context, 0, 0, 0, 0, math.nan)
    first = base.at(1, context)

    def most(rate: Ends) -> int:
        return _most_at(lambda batches: rate(base.at(batches, context)) >= each * batches, room)

    return Users(
        each,
        context,
        most=most(lambda point: point.tokens_per_s),
        low=None if first.is_upper_bound else most(lambda point: point.tokens_per_s_low),
        high=most(lambda point: point.tokens_per_s_high),
        room=room,
        alone=float(first.tokens_per_s),
    )


def _most_at(is_enough: Callable[[np.ndarray], np.ndarray], room: int) -> int:
    """The last of the batches up to *room* for which that holds: between the last power of two and the next, by halves.

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
        middle = (low + high) // 2
        low, high = (middle, high) if is_enough(np.array([middle]))[0] else (low, middle)
    return low


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
