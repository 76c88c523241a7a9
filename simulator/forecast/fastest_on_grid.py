"""The fastest placement that fits for each point of a grid: what `fastest` chooses of one, chosen for all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from simulator.forecast.boxes import Box, pieces_of
from simulator.forecast.fastest import ALIKE, ways
from simulator.forecast.fit import Held
from simulator.forecast.placed_memory import HeldByEach, Tried, fits, lacking_bytes
from simulator.forecast.placing import over_gpus
from simulator.forecast.prediction import Prediction
from simulator.forecast.step import placed_seconds, time_step
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model
from simulator.spec.placement import Placements
from simulator.spec.quant import Weights
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload

COLUMNS = 64  # of a grid at which all ways are timed; of one that has no more, at all
FEW = 0.25  # share of a grid's points that are looked at one by one, and no longer as a grid
_ENDS = slice(None, -1), slice(1, None)


def is_for_grids(hardware: Hardware, runtime: Runtime) -> bool:
    """Whether placements on such a machine can be chosen for all points at once: of one GPU, or an equal group, beside RAM."""
    n_gpus = sum(part.kind == "gpu" for part in hardware.parts)
    is_plain = hardware.reads_from is None and all(part.layout.pipeline == 1 for part in hardware.parts)
    return hardware.host is not None and n_gpus == 1 and bool(runtime.uses_host) and is_plain


@dataclass(frozen=True, eq=False)
class _Row:
    """A way by its placements: where they begin and end among all, one for each number of layers that it takes."""

    start: int
    end: int  # the last of them


@dataclass(frozen=True, eq=False)
class AllWays:
    """Placements of a model in some formats on a machine: all on the GPU, and behind it those of all ways."""

    tried: Tried
    placements: Placements  # on no grid yet
    rows: tuple[_Row, ...]


@dataclass(frozen=True, repr=False)
class _Placed(Prediction):
    """A forecast whose points have placements of their own, of which it is known what they hold."""

    holding: tuple[Held, ...] = ()

    @property
    def held(self) -> tuple[Held, ...]:
        """What each part of the machine holds."""
        return self.holding


@dataclass(frozen=True, eq=False)
class OnGrid:
    """A placement for each point of a grid, and what each part of the machine holds there."""

    tried: Tried
    load: Workload  # whose batch is a column, and whose context a row
    placements: Placements
    held: tuple[Held, ...]

    def within(self, box: Box) -> Prediction:
        """The forecast of a part of the grid."""
        tried, shape = self.tried, self.placements.which.shape
        load, placements = _cut(self.load, box), self.placements.on(self.placements.which[box])
        step = time_step(tried.model, tried.hardware, tried.runtime, load, placements)
        held = [
            replace(each, **{name: np.broadcast_to(getattr(each, name), shape)[box] for name in _OF_POINTS})
            for each in self.held
        ]
        return _Placed(tried.model, tried.hardware, tried.runtime, load, step, placements, tuple(held))


_OF_POINTS = ("weight_bytes", "cache_bytes", "scratch_bytes")


def all_ways(model: Model, hardware: Hardware, runtime: Runtime, weights: Weights) -> AllWays:
    """Those of a machine that `is_for_grids`; worked out once for all caches, routings and grids."""
    gpus = over_gpus(model, hardware)
    found = ways(model, hardware, replace(gpus, crosses=runtime.uses_host == "crosses"))
    starts = accumulate(map(len, found), initial=1)
    rows = tuple(_Row(start, start + len(way) - 1) for start, way in zip(starts, found, strict=False))
    each = (gpus, *(way[index] for way in found for index in range(len(way))))
    placements = Placements(each, np.zeros((0, 0), int))
    return AllWays(Tried(model, hardware, runtime, weights, each), placements, rows)


def fastest_on_grid(ways: AllWays, load: Workload) -> OnGrid:
    """The fastest placements, for a workload whose batch is a column and whose context is a row."""
    order = np.argsort(load.context[0], kind="stable")
    search = _Search(ways, replace(load, context=load.context[:, order]))
    which = np.empty(search.shape, int)
    which[:, order] = search.chosen()
    memory = search.memory if (np.diff(order) == 1).all() else HeldByEach(ways.tried, load)
    return OnGrid(ways.tried, load, ways.placements.on(which), memory.of(which))


@dataclass(frozen=True, eq=False)
class _Compared:
    """What came of all ways at each point."""

    firsts: list[np.ndarray]  # of each way
    way: np.ndarray  # that is chosen
    is_lost: np.ndarray  # whether none fits
    chosen: np.ndarray  # the placement
    is_further: bool  # whether somewhere one behind the first of its way is faster


class _Search:
    """What is asked of all placements of all ways, which are told by their places among them, on a grid of growing contexts."""

    def __init__(self, ways: AllWays, load: Workload, memory: HeldByEach | None = None):
        self.ways, self.tried, self.load = ways, ways.tried, load
        self.shape = (len(load.batch), load.context.shape[1])
        self.memory = memory or HeldByEach(ways.tried, load)
        self.gpu = next(place for place, part in enumerate(ways.tried.hardware.parts) if part.kind == "gpu")

    def chosen(self) -> np.ndarray:
        """The placement of each point: all on the GPU where that holds it."""
        is_alone = fits(self.memory.of(np.zeros(self.shape, int)))
        if is_alone.all():
            return np.zeros(self.shape, int)
        columns = np.unique(np.linspace(0, self.shape[1] - 1, COLUMNS).round().astype(int))
        few = None if len(columns) == self.shape[1] else _Search(self.ways, _cut(self.load, (slice(None), columns)))
        compared = few and few._compared(few._firsts())
        if compared and not compared.is_further:
            found = self._between(columns, compared, ~is_alone)
        else:
            found = self._compared(self._firsts()).chosen
        return np.where(is_alone, 0, found)

    def _between(self, columns: np.ndarray, ends: _Compared, is_asked: np.ndarray) -> np.ndarray:
        """The placements where those at some columns are known: of the way of the column before, or compared where that has no room."""
        stretch = np.clip(np.searchsorted(columns, np.arange(self.shape[1]), side="right") - 1, 0, len(columns) - 2)
        low, high = (np.choose(ends.way[:, :-1], [each[:, end] for each in ends.firsts]) for end in _ENDS)
        starts = np.array([row.start for row in self.ways.rows])[ends.way[:, :-1]]
        found = self._first_of(starts[:, stretch], low[:, stretch], np.maximum(low, high)[:, stretch])
        is_open = is_asked & ~ends.is_lost[:, stretch] & ~self._fits(self.memory.of(found))
        if is_open.any():
            points, (rows, places) = self._points(is_open), np.nonzero(is_open)
            left = stretch[places]
            bounds = [(each[rows, left][:, None], each[rows, left + 1][:, None]) for each in ends.firsts]
            found[is_open] = points._compared(points._firsts(bounds), is_further=False).chosen[:, 0]
        return found

    def _compared(self, firsts: list[np.ndarray], is_further: bool = True) -> _Compared:
        """All ways by their seconds; *is_further*: also placements behind the first of each."""
        held = [self.memory.of(each) for each in firsts]
        seconds = np.stack([self._seconds(first, self._fits(each)) for first, each in zip(firsts, held, strict=True)])
        places, has_further = np.stack(firsts), False
        if is_further:
            is_best = np.arange(len(firsts))[:, None, None] == np.argmin(seconds, axis=0)
            place, least = self._best_of(firsts, seconds)
            has_further = bool((least < seconds.min(axis=0)).any())
            places, seconds = np.where(is_best, place, places), np.where(is_best, least, seconds)
        least = seconds.min(axis=0)
        way, is_lost = np.argmax(seconds <= ALIKE * least, axis=0), ~np.isfinite(least)
        if is_lost.any():
            lacking = np.stack([np.broadcast_to(lacking_bytes(each), self.shape) for each in held])
            way = np.where(is_lost, np.argmin(lacking, axis=0), way)
        return _Compared(firsts, way, is_lost, np.choose(way, list(places)), has_further)

    def _firsts(self, between: Sequence[tuple[np.ndarray, np.ndarray]] | None = None) -> list[np.ndarray]:
        """Of each way the first placement that the GPU holds, or its last; *between*: two of which it is known that it lies there."""
        rows = self.ways.rows
        ends = between or [(np.full(self.shape, row.start), np.full(self.shape, row.end)) for row in rows]
        return [self._first_of(row.start, *each) for row, each in zip(rows, ends, strict=True)]

    def _first_of(self, start: Any, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        # More in RAM needs less of the GPU, but for the first layer's room to come over.
        is_none = low == start
        if is_none.any():
            is_none &= self._fits_gpu(np.minimum(low, start))
        low = np.where(is_none, start, np.maximum(low, start + 1))
        return self._first(low, np.where(is_none, start, np.maximum(low, high)), _Search._fits_gpu)

    def _first(self, low: np.ndarray, high: np.ndarray, is_enough: Callable[[_Search, np.ndarray], np.ndarray]) -> Any:
        """The first place from *low* on at which that holds, or *high*; at each point, by halves."""
        while (is_open := low < high).any():
            if self.shape[1] > 1 and np.count_nonzero(is_open) < FEW * is_open.size:
                few = self._points(is_open)._first(low[is_open][:, None], high[is_open][:, None], is_enough)
                low[is_open] = few[:, 0]
                return low
            middle = (low + high) // 2
            is_there = is_enough(self, middle) | ~is_open
            low, high = np.where(is_there, low, middle + 1), np.where(is_there, middle, high)
        return low

    def _points(self, is_asked: np.ndarray) -> _Search:
        """The same of some points of the grid, in a row for each."""
        rows, places = np.nonzero(is_asked)
        load = replace(self.load, batch=self.load.batch[rows], context=self.load.context[0, places][:, None])
        return _Search(self.ways, load, self.memory.at(load, is_asked))

    def _lasts(self, firsts: list[np.ndarray]) -> list[np.ndarray]:
        """Of each way the last placement from the first on that all parts hold; before it where none does."""

        def last(first: np.ndarray, end: int) -> np.ndarray:
            def lacks(search: _Search, which: np.ndarray) -> np.ndarray:
                return ~search._fits(search.memory.of(np.minimum(which, end)))

            return self._first(first.copy(), np.full(self.shape, end + 1), lacks) - 1

        return [last(first, row.end) for first, row in zip(firsts, self.ways.rows, strict=True)]

    def _fits(self, held: Sequence[Held]) -> np.ndarray:
        return np.broadcast_to(fits(held), self.shape)

    def _fits_gpu(self, which: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.memory.on(self.gpu, which).fits, self.shape)

    def _seconds(self, which: np.ndarray, is_asked: np.ndarray) -> np.ndarray:
        """Of a step at the points that are asked for; infinite at others."""
        found, tried = np.full(self.shape, np.inf), self.tried
        if not is_asked.any():
            return found
        boxes = pieces_of(is_asked) if self.shape[1] > 1 else [(np.flatnonzero(is_asked), slice(0, 1))]
        for box in boxes:
            placements = self.ways.placements.on(which[box])
            found[box] = placed_seconds(tried.model, tried.hardware, tried.runtime, _cut(self.load, box), placements)
        return np.where(is_asked, found, np.inf)

    def _best_of(self, firsts: list[np.ndarray], seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the fastest way the fastest placement that fits, and its seconds.

        All are tried where the second or the last is faster than the first.
        """
        best, least = np.argmin(seconds, axis=0), seconds.min(axis=0)
        first, last = (np.choose(best, each) for each in (firsts, self._lasts(firsts)))
        is_open = np.isfinite(least) & (last > first)
        behind = np.where(is_open, first + 1, first), np.where(is_open, last, first)
        ahead = np.minimum(*(self._seconds(each, is_open) for each in behind))
        is_open &= ahead < least
        found = first
        for step in range(1, int((last - first)[is_open].max(initial=0)) + 1):
            is_there = is_open & (first + step <= last)
            place = np.where(is_there, first + step, first)
            took = self._seconds(place, is_there)
            is_better = took < least
            found, least = np.where(is_better, place, found), np.where(is_better, took, least)
        return found, least


def _cut(load: Workload, box: tuple[Any, Any]) -> Workload:
    """Of a grid some rows and columns, or of points, a row each, some of them."""
    context = load.context[:, box[1]]
    return replace(load, batch=load.batch[box[0]], context=context if len(context) == 1 else context[box[0]])
