"""Forecasts of a combination over a grid of batches and contexts, timed only where something of it fits in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.boxes import Box, boxes_of, pieces_of
from simulator.forecast.fastest_on_grid import AllWays, all_ways, fastest_on_grid, is_for_grids
from simulator.forecast.fit import Held
from simulator.forecast.placed_memory import fits as fitting
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario, scenario
from simulator.spec.hardware import Hardware
from simulator.spec.model import Loaded
from simulator.spec.placement import by_layers
from simulator.sweeping.axes import Sweep
from simulator.sweeping.file import AskedPlacement
from simulator.sweeping.parts import Part

NAMES = ("hardware", "runtime", "weights", "cache", "routing", "placement")  # of a combination

AT_ONCE = 2**17  # points that are placed together, for which some dozens of arrays are needed
MOST_PLACED = 300  # times that a machine which is not for grids is placed anew for a combination


@dataclass(frozen=True)
class Found:
    """What rows have of a forecast of a box of the grid, for those of its points where it holds."""

    box: Box
    rates: tuple[Any, Any, Any, Any]  # forecast, both ends of its interval, ceiling
    largest_part: Any  # of the step, by its place in BOUNDS
    is_upper_bound: bool
    where: Any = True  # over the box

    @classmethod
    def of(cls, box: Box, point: Prediction, where: Any = True) -> Found:
        """Worked out at once: the forecast itself holds many times as much."""
        rates = (point.tokens_per_s, *point.interval(), point.tokens_per_s_ceiling)
        return cls(box, rates, point.timed.largest_part, point.is_upper_bound, where)


@dataclass(frozen=True)
class Timed:
    """What is known of a combination that is not refused."""

    memory_bytes: np.ndarray  # (batches, contexts)
    memory_limit_bytes: float
    fits: np.ndarray  # (batches, contexts)
    found: list[Found]  # nothing fits outside of these

    @property
    def is_upper_bound(self) -> bool:
        """Whether rates are, and not forecasts."""
        return self.found[0].is_upper_bound


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
        timed = _timed(sweep, model, combination, base, batches, contexts)
    except InputError as error:
        routed = routing.name if routing else "uniform"
        names = (device.label, runtime and runtime.name, fmt, cache, routed, str(placement))
        return Combined(names, str(error).split("\n")[0], None)
    load = base.load
    names = (base.hardware.label, base.runtime.name, load.weights.name, load.cache.name, load.routing.name)
    return Combined((*names, str(placement)), f"{base.hardware.label} has no memory for it", timed)


def _timed(
    sweep: Sweep, model: int, combination: int, base: Scenario, batches: np.ndarray, contexts: np.ndarray
) -> Timed:
    """Each point as it is placed for itself, where nobody named a placement and there are several."""
    *_, placement = _settings(sweep, combination)
    if base.placement is None or not placement.options.is_empty:
        return _placed_alike(base, batches, contexts)
    if is_for_grids(base.hardware, base.runtime):
        return _placed_each(_ways_of(sweep, model, combination, base), base, batches, contexts)
    return _placed_anew(base, batches, contexts)


def _placed_alike(base: Scenario, batches: np.ndarray, contexts: np.ndarray) -> Timed:
    shape = (len(batches), contexts.shape[1])
    held = base.held(batches, contexts)
    fits = np.broadcast_to(fitting(held), shape)
    found = [Found.of(box, base.at(batches[box[0]], contexts[:, box[1]])) for box in boxes_of(fits)]
    return Timed(_memory_bytes(held, shape), sum(each.limit_bytes for each in held), fits, found)


def _placed_each(ways: AllWays, base: Scenario, batches: np.ndarray, contexts: np.ndarray) -> Timed:
    """The fastest for each point, some batches at once."""
    shape = (len(batches), contexts.shape[1])
    memory, fits, found = np.empty(shape), np.empty(shape, bool), []
    step = max(1, AT_ONCE // shape[1])
    for start in range(0, shape[0], step):
        rows = slice(start, min(start + step, shape[0]))
        placed = fastest_on_grid(ways, replace(base.load, batch=batches[rows], context=contexts))
        fits[rows], memory[rows] = fitting(placed.held), sum(each.needed_bytes for each in placed.held)
        for own, columns in pieces_of(fits[rows]):
            box = slice(start + own.start, start + own.stop), columns
            found.append(Found.of(box, placed.within((own, columns))))
    return Timed(memory, sum(each.limit_bytes for each in placed.held), fits, found)


def _placed_anew(base: Scenario, batches: np.ndarray, contexts: np.ndarray) -> Timed:
    """As for the smallest point, and from each point on where that does not fit any more, anew."""
    timed = _placed_alike(base, batches, contexts)
    memory, fits, found = timed.memory_bytes.copy(), timed.fits.copy(), list(timed.found)
    is_open, order = ~fits & _may_fit(base, batches, contexts), timed.memory_bytes
    for _ in range(MOST_PLACED):
        if not is_open.any():
            break
        row, column = np.unravel_index(np.argmin(np.where(is_open, order, np.inf)), order.shape)
        point = int(batches[row, 0]), int(contexts[0, column])
        placed = replace(base, placed_for=point).in_weights(base.load.weights)
        held = placed.held(batches, contexts)
        is_new = is_open & fitting(held)
        is_larger = is_open & (batches >= point[0]) & (contexts >= point[1])
        taken = is_new if is_new[row, column] else is_larger
        memory = np.where(taken, _memory_bytes(held, memory.shape), memory)
        is_open &= ~taken
        if is_new[row, column]:
            fits |= is_new
            found += [
                Found.of(box, placed.at(batches[box[0]], contexts[:, box[1]]), is_new[box]) for box in boxes_of(is_new)
            ]
    return Timed(memory, timed.memory_limit_bytes, fits, found)


def _may_fit(base: Scenario, batches: np.ndarray, contexts: np.ndarray) -> np.ndarray | bool:
    """Where all parts together have room for the weights and caches, wherever those lie; a drive gives room to any weights."""
    if base.hardware.reads_from is not None:
        return True
    held = base.held(batches, contexts)
    return sum(each.weight_bytes + each.cache_bytes for each in held) <= sum(each.limit_bytes for each in held)


def _memory_bytes(held: Sequence[Held], shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(sum(each.needed_bytes for each in held), shape)


@lru_cache(maxsize=64)  # the tiles of one grid follow each other
def _base(sweep: Sweep, model: int, combination: int) -> Scenario | InputError:
    """What the points of a combination share, or why there are none."""
    device, runtime, fmt, cache, routing, placement = _settings(sweep, combination)
    batch, context = sweep.smallest
    try:
        return scenario(
            sweep.models[model], device, weights=fmt, cache=cache, runtime=runtime, routing=routing,
            parallel=placement.parallel, placement=_placement(sweep.models[model], device, fmt, placement),
            storage=placement.storage, batch=batch, context=context,
        )  # fmt: skip
    except InputError as error:
        return error


def _placement(loaded: Loaded, device: Hardware, fmt: str | None, asked: AskedPlacement) -> Any:
    """As somebody named it; else any, where each point is placed for itself anyway, or None to have one chosen."""
    if not asked.options.is_empty:
        return asked.options
    n_gpus = sum((part.asked or 1) for part in device.parts if part.kind == "gpu")
    is_free = device.host is not None and n_gpus == 1 and asked.storage is None
    return by_layers((len(loaded.model.stack),)) if is_free and (fmt or loaded.weights) else None


def _ways_of(sweep: Sweep, model: int, combination: int, base: Scenario) -> AllWays:
    """All placements of a combination: those of the first that differs in its cache and routing alone, where that has the same weights."""
    n_caches, n_routings, n_placements = (len(axis) for axis in sweep.settings[3:])
    above, placement = combination // (n_caches * n_routings * n_placements), combination % n_placements
    first = above * n_caches * n_routings * n_placements + placement
    other = _base(sweep, model, first)
    is_same = isinstance(other, Scenario) and other.load.weights.name == base.load.weights.name
    return _ways(sweep, model, first if is_same else combination)


@lru_cache(maxsize=32)
def _ways(sweep: Sweep, model: int, combination: int) -> AllWays:
    base = _base(sweep, model, combination)
    return all_ways(base.loaded.model, base.hardware, base.runtime, base.load.weights)


def _settings(sweep: Sweep, combination: int) -> tuple[Any, ...]:
    return tuple(axis[place] for axis, place in zip(sweep.settings, sweep.parts.places(combination), strict=True))
