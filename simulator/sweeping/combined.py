"""Forecasts of a combination over a grid of batches and contexts, timed only where something of it fits in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario, scenario
from simulator.sweeping.axes import Sweep
from simulator.sweeping.parts import Part

NAMES = ("hardware", "runtime", "weights", "cache", "routing", "placement")  # of a combination

WORTH = 2**15  # points that can be left out for which one more call is worth its while

Box = tuple[slice, slice]  # of a grid's batches and contexts


@dataclass(frozen=True)
class Timed:
    """What is known of a combination that is not refused."""

    memory_bytes: np.ndarray  # (batches, contexts)
    memory_limit_bytes: float
    fits: np.ndarray  # (batches, contexts)
    found: list[tuple[Box, Prediction]]  # nothing fits outside of these boxes

    @property
    def is_upper_bound(self) -> bool:
        """Whether rates are, and not forecasts."""
        return self.found[0][1].is_upper_bound


@dataclass(frozen=True)
class Combined:
    """A combination: what it is called, its forecasts, and why there are none where there are none."""

    names: tuple[str | None, ...]  # as NAMES
    reason: str
    timed: Timed | None  # None: refused


def combinations_of(sweep: Sweep, part: Part) -> list[Combined]:
    """Every combination of a part, over its batches and contexts."""
    batches, contexts = sweep.batches[part.batches, None], sweep.contexts[None, part.contexts]
    return [_combined(sweep, part.model, each, batches, contexts) for each in range(part.first, part.last)]


def _combined(sweep: Sweep, model: int, combination: int, batches: np.ndarray, contexts: np.ndarray) -> Combined:
    device, runtime, fmt, cache, routing, placement = _settings(sweep, combination)
    base = _base(sweep, model, combination)
    try:
        if isinstance(base, InputError):
            raise base
        timed = _timed(base, batches, contexts)
    except InputError as error:
        routed = routing.name if routing else "uniform"
        names = (device.label, runtime and runtime.name, fmt, cache, routed, str(placement))
        return Combined(names, str(error).split("\n")[0], None)
    load = base.load
    names = (base.hardware.label, base.runtime.name, load.weights.name, load.cache.name, load.routing.name)
    return Combined((*names, str(placement)), _no_room(base), timed)


def _no_room(base: Scenario) -> str:
    """Why a point does not fit; alone it may be placed otherwise, where nobody named a placement and smaller ones fit."""
    told = f"{base.hardware.label} has no memory for it"
    if base.placement is None or base.placed_for is None or not base.fits(*base.placed_for):
        return told
    batch, context = base.placed_for
    return (
        f"{told} as it is placed for batch {batch:,} and context {context:,}: simulate places it for this point alone"
    )


def _timed(base: Scenario, batches: np.ndarray, contexts: np.ndarray) -> Timed:
    shape = (len(batches), contexts.shape[1])
    held = base.held(batches, contexts)
    fits = np.broadcast_to(np.logical_and.reduce(np.broadcast_arrays(*(each.fits for each in held))), shape)
    memory_bytes = np.broadcast_to(sum(each.needed_bytes for each in held), shape)
    found = [(box, base.at(batches[box[0]], contexts[:, box[1]])) for box in boxes_of(fits)]
    return Timed(memory_bytes, sum(each.limit_bytes for each in held), fits, found)


def boxes_of(fits: np.ndarray) -> list[Box]:
    """Boxes that hold all that fits, and little else; where nothing does, one point, which tells whether it can be timed at all.

    Larger batches fit at fewer contexts, so that what fits of a grid is often the smaller part of the box around it.
    """
    rows = np.flatnonzero(fits.any(axis=1))
    if not rows.size:
        return [(slice(0, 1), slice(0, 1))]
    starts = np.argmax(fits, axis=1)
    stops = np.where(fits.any(axis=1), fits.shape[1] - np.argmax(fits[:, ::-1], axis=1), 0)
    starts = np.where(stops, starts, fits.shape[1])
    return list(_boxes(int(rows[0]), int(rows[-1]) + 1, starts, stops))


def _boxes(first: int, last: int, starts: np.ndarray, stops: np.ndarray) -> Iterator[Box]:
    """Of rows from *first* to before *last*: one box, or where that leaves out much more, those of two groups of them."""
    above = _widths(starts[first:last], stops[first:last])
    below = _widths(starts[first:last][::-1], stops[first:last][::-1])[::-1]
    n_rows = np.arange(1, last - first)
    areas = n_rows * above[:-1] + n_rows[::-1] * below[1:]
    if areas.size and (last - first) * above[-1] - areas.min() > WORTH:
        middle = first + 1 + int(np.argmin(areas))
        yield from _boxes(first, middle, starts, stops)
        yield from _boxes(middle, last, starts, stops)
        return
    yield slice(first, last), slice(int(starts[first:last].min()), int(stops[first:last].max()))


def _widths(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Of boxes around the first row, the first two and so on."""
    return np.maximum(np.maximum.accumulate(stops) - np.minimum.accumulate(starts), 0)


@lru_cache(maxsize=64)  # the tiles of one grid follow each other
def _base(sweep: Sweep, model: int, combination: int) -> Scenario | InputError:
    """What the points of a combination share, or why there are none."""
    device, runtime, fmt, cache, routing, placement = _settings(sweep, combination)
    batch, context = sweep.smallest
    try:
        return scenario(
            sweep.models[model], device, weights=fmt, cache=cache, runtime=runtime, routing=routing,
            parallel=placement.parallel, placement=None if placement.options.is_empty else placement.options,
            storage=placement.storage, batch=batch, context=context,
        )  # fmt: skip
    except InputError as error:
        return error


def _settings(sweep: Sweep, combination: int) -> tuple[Any, ...]:
    return tuple(axis[place] for axis, place in zip(sweep.settings, sweep.parts.places(combination), strict=True))
