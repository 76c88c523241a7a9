"""What each part of a machine holds where points of a grid have placements of their own: each is looked at once, not at every point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from simulator.forecast.decode import cache_bytes_held
from simulator.forecast.dividing import sizes_of
from simulator.forecast.fit import Held, memory_limit, memory_of_parts, weights_placed
from simulator.forecast.working_memory import working_memory
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model, looked_up_bytes
from simulator.spec.placement import Group, Placement
from simulator.spec.quant import FORMATS, Weights
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload


@dataclass(frozen=True, eq=False)
class Tried:
    """Some placements of a model in some formats on a machine, with what no batch and no context changes of them.

    Of machines without a drive to read from, and without stages of layers on one part.
    """

    model: Model
    hardware: Hardware
    runtime: Runtime
    weights: Weights
    each: tuple[Placement, ...]

    @cached_property
    def weight_bytes(self) -> np.ndarray:
        """(placements, parts)"""
        return np.array([self._weights_of(each) for each in self.each])

    def _weights_of(self, placement: Placement) -> Sequence[float]:
        args = (self.model, self._load, self.runtime, self.hardware, placement)
        if placement.is_whole:
            return [each.weight_bytes for each in memory_of_parts(*args)]
        if any(part.n_devices > 1 for part in self.hardware.parts):
            return weights_placed(*args)
        roles, sizes = self._bytes_by_role
        places = np.tile(placement.layers, (len(roles), 1))
        rows = {role: row for row, role in enumerate(roles)}
        for (layer, role), place in placement.apart.items():
            places[rows[role], layer] = place
        found = np.bincount(places.ravel(), sizes.ravel(), len(self.hardware.parts))
        found[placement.head] += self._sizes.head
        if self.runtime.keeps_lookup_on_host and self.hardware.host is not None:
            found[-1] += looked_up_bytes(self.model, self.weights)
        return found

    @cached_property
    def _sizes(self) -> Any:
        return sizes_of(self.model, self._load, self.runtime, self.hardware)

    @cached_property
    def _load(self) -> Workload:
        """Any: weights are the same for all."""
        return Workload(weights=self.weights, cache=FORMATS["f16"])

    @cached_property
    def _bytes_by_role(self) -> tuple[list[str], np.ndarray]:
        """Roles of the layers' tensors; (roles, layers)"""
        roles = list(dict.fromkeys(role for layer in self._sizes.tensors for role in layer))
        return roles, np.array([[layer.get(role, 0.0) for layer in self._sizes.tensors] for role in roles])

    @cached_property
    def layers(self) -> np.ndarray:
        """(placements, shapes, parts): layers of each shape whose caches lie there."""
        found = np.zeros((len(self.each), len(self.model.shapes), len(self.hardware.parts)))
        for number, placement in enumerate(self.each):
            for group in placement.groups(self.model):
                found[number, group.shape, 0 if placement.crosses else group.place] += len(group.indices)
        return found

    @cached_property
    def kinds(self) -> np.ndarray:
        """Which placements need the same working memory: which layers lie where, and of those in RAM the first and the largest tensor."""
        found: dict[Any, int] = {}
        return np.array([found.setdefault(self._kind(each), len(found)) for each in self.each])

    def _kind(self, placement: Placement) -> Any:
        if placement.is_whole or not self.runtime.scratch_of_graph:
            return None
        host, kept, first = len(self.hardware.parts) - 1, [], None
        roles, sizes = self._bytes_by_role
        for group in placement.groups(self.model):
            apart = dict(group.apart)
            is_there = np.array([apart.get(role, group.place) == host for role in roles])
            largest = [
                float(sizes[np.ix_(is_there & is_asked, group.indices)].max(initial=0)) for is_asked in self._matrices
            ]
            kept.append((group[0], *group[2:], *largest))
            if largest[0] or group.place == host:
                first = min(filter(None, (first, (group.indices[0], group.place != host))))
        return tuple(sorted(kept)), first, placement.head

    @cached_property
    def _matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """Which of the roles are of matrices, and which of those of single ones, not of experts."""
        tensors = {tensor.role: tensor for _, _, each in self.model.shapes[1:] for tensor in each}
        roles = [tensors[role] for role in self._bytes_by_role[0]]
        is_matrix = np.array([not tensor.is_vector for tensor in roles])
        return is_matrix, is_matrix & np.array([tensor.copies == 1 for tensor in roles])

    def of_kind(self, kind: int) -> Placement:
        """The first of them."""
        return self.each[int(np.argmax(self.kinds == kind))]


class HeldByEach:
    """What the parts of a machine hold by each of some placements, at each point of a grid: as `memory_of_parts` has it of one."""

    def __init__(self, tried: Tried, load: Workload):
        self.tried, self.load = tried, load
        self._scratches: dict[int, list[Any]] = {}

    def at(self, load: Workload, is_asked: np.ndarray) -> HeldByEach:
        """The same of some points of the grid, a row for each in their own workload."""
        found = HeldByEach(self.tried, load)
        found._scratches = {
            kind: [np.broadcast_to(each, is_asked.shape)[is_asked][:, None] for each in parts]
            for kind, parts in self._scratches.items()
        }
        return found

    def of(self, which: np.ndarray) -> tuple[Held, ...]:
        """By the placement of each point, told by its place among them."""
        return tuple(self.on(place, which) for place in range(len(self.tried.hardware.parts)))

    def on(self, place: int, which: np.ndarray) -> Held:
        """The same of one part."""
        part = self.tried.hardware.parts[place]
        limit = memory_limit(part, self.tried.runtime)
        weights = np.take(self.tried.weight_bytes[:, place], which)
        return Held(part, weights, self._cache(place, which), self._scratch(place, which), limit)

    def _cache(self, place: int, which: np.ndarray) -> Any:
        total: Any = 0.0
        for shape, of_one in self._caches[place].items():
            layers = self.tried.layers[:, shape, place]
            is_same = (layers == layers[0]).all()
            total = total + (layers[0] if is_same else np.take(layers, which)) * of_one
        return total

    @cached_property
    def _caches(self) -> list[dict[int, Any]]:
        """Of each part, by shape: bytes of the caches and states of one such layer, at each point."""
        tried, found = self.tried, []
        for place, part in enumerate(tried.hardware.parts):
            rules, layout = tried.runtime.cache_rules.on(tried.hardware), part.layout
            fullest = replace(self.load, batch=-(-self.load.batch // layout.data) * layout.data)
            shapes = [shape for shape in range(1, len(tried.model.shapes)) if tried.layers[:, shape, place].any()]
            one = {shape: (Group(shape, tried.model.shapes[shape][1][:1]),) for shape in shapes}
            found.append(
                {shape: cache_bytes_held(tried.model, fullest, rules, layout.tensor, one[shape]) for shape in shapes}
            )
        return found

    def _scratch(self, place: int, which: np.ndarray) -> Any:
        kinds = np.take(self.tried.kinds, which)
        used = np.flatnonzero(np.bincount(kinds.ravel()))
        total = self._of_kind(int(used[0]))[place]
        for kind in used[1:].tolist():
            total = np.where(kinds == kind, self._of_kind(kind)[place], total)
        return total

    def _of_kind(self, kind: int) -> list[Any]:
        if kind not in self._scratches:
            tried, example = self.tried, self.tried.of_kind(kind)
            if example.is_whole or not tried.runtime.scratch_of_graph:
                args = (tried.model, self.load, tried.runtime, tried.hardware, example)
                self._scratches[kind] = [each.scratch_bytes for each in memory_of_parts(*args)]
            else:
                self._scratches[kind] = self._working_memory(example)
        return self._scratches[kind]

    def _working_memory(self, example: Placement) -> list[Any]:
        """Where contexts fill a micro-batch by themselves, batches make no difference: those columns apart from the others."""
        tried = self.tried
        if len(self.load.context) > 1:
            return working_memory(tried.model, self.load, tried.runtime, tried.hardware, example)
        is_full = self.load.context[0] >= tried.runtime.scratch_tokens
        shape = np.broadcast_shapes(np.shape(self.load.batch), np.shape(self.load.context))
        found = [np.empty(shape) for _ in tried.hardware.parts]
        for columns in filter(np.any, (is_full, ~is_full)):
            load = replace(self.load, context=self.load.context[:, columns])
            parts = working_memory(tried.model, load, tried.runtime, tried.hardware, example)
            for whole, part in zip(found, parts, strict=True):
                whole[:, columns] = part
        return found


def fits(held: Sequence[Held]) -> np.ndarray:
    """Whether every part's memory has room, at each point."""
    return np.logical_and.reduce(np.broadcast_arrays(*(each.fits for each in held)))


def lacking_bytes(held: Sequence[Held]) -> np.ndarray:
    """By how much the memory of all parts is too small, at each point."""
    return sum(np.maximum(each.needed_bytes - each.limit_bytes, 0.0) for each in held)
