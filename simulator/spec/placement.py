"""Which part of a machine holds and computes what of a model: layers, and tensors that lie apart from their layer.

A part is a place in `Hardware.parts`: the first device is 0, its host the last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from simulator.spec.layers.ffn import Experts
from simulator.spec.layers.layer import Layer
from simulator.spec.model import Model

EXPERTS = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_up_exps")  # a mixture's large tensors


class Move(NamedTuple):
    """What passes from one part to another for each token."""

    place: int
    to: int
    values: int


class Group(NamedTuple):
    """Equal layers that lie in the same places."""

    shape: int  # which entry of the model's shapes they belong to
    indices: tuple[int, ...]  # where they stand
    place: int = 0  # the part that computes them
    apart: tuple[tuple[str, int], ...] = ()  # roles of tensors on other parts, and which

    def place_of(self, role: str) -> int:
        """The part on which a tensor lies."""
        return dict(self.apart).get(role, self.place)

    @property
    def experts_place(self) -> int:
        """The part on which most of the experts' tensors lie, which computes what lies between them."""
        found = [place for role, place in self.apart if role in EXPERTS]
        return max(set(found), key=found.count) if len(found) > 1 else self.place


@dataclass(frozen=True)
class Placement:
    """For each layer the part that it lies on and is computed by, and what of it lies elsewhere.

    `crosses`: weights that lie in the host's memory are brought over the link in each step and computed by the device, as vLLM's
    offload has it, instead of being computed where they lie.
    """

    layers: tuple[int, ...]
    head: int = 0
    apart: Mapping[tuple[int, str], int] = field(default_factory=lambda: MappingProxyType({}))
    crosses: bool = False

    @cached_property
    def is_whole(self) -> bool:
        """Whether everything lies on the first part."""
        return not any((*self.layers, self.head, *self.apart.values()))

    @cached_property
    def _by_layer(self) -> dict[int, tuple[tuple[str, int], ...]]:
        found: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for (layer, role), place in self.apart.items():
            if place != self.layers[layer]:
                found[layer].append((role, place))
        return {layer: tuple(sorted(roles)) for layer, roles in found.items()}

    @cached_property
    def _worked_out(self) -> dict[Model, tuple[tuple[Group, ...], dict[Move, int]]]:
        return {}

    def _of(self, model: Model) -> tuple[tuple[Group, ...], dict[Move, int]]:
        """Its groups and moves, which are asked for again and again while placements are tried."""
        if model not in self._worked_out:
            self._worked_out[model] = self._find_groups(model), self._find_moves(model)
        return self._worked_out[model]

    def groups(self, model: Model) -> tuple[Group, ...]:
        """The model's layers, those together that are equal and lie in the same places; in the order of its shapes."""
        return self._of(model)[0]

    def moves(self, model: Model) -> dict[Move, int]:
        """What passes through the layers from one part to another in a step, and how often."""
        return self._of(model)[1]

    def _find_groups(self, model: Model) -> tuple[Group, ...]:
        found = []
        for shape, (_, indices, _) in enumerate(model.shapes[1:], start=1):
            alike: dict[tuple, list[int]] = defaultdict(list)
            for index in indices:
                alike[self.layers[index], self._by_layer.get(index, ())].append(index)
            found += [Group(shape, tuple(where), *key) for key, where in alike.items()]
        return tuple(found)

    def _find_moves(self, model: Model) -> dict[Move, int]:
        found: dict[Move, int] = defaultdict(int)
        at = self.layers[0]
        for index, layer in enumerate(model.stack):
            for place, copies in self._route(index, layer):
                if place != at:
                    found[Move(at, place, copies * model.d_model)] += 1
                at = place
        if self.head != at:
            found[Move(at, self.head, model.d_model)] += 1
        return dict(found)

    def _route(self, index: int, layer: Layer) -> list[tuple[int, int]]:
        """The parts that a layer's work passes through, in order, with how many rows of d_model reach each for a token."""
        own, apart = self.layers[index], self._by_layer.get(index, ())
        route = [(own, 1)]
        if isinstance(layer.ffn, Experts) and apart:
            # What comes back are the results of each expert, which are weighed and summed where the router is.
            route += [(Group(0, (index,), own, apart).experts_place, 1), (own, layer.ffn.n_active)]
        elif apart:
            route += [(place, 1) for role, place in apart if role.startswith("ffn")][:1]
        return route


@dataclass(frozen=True, eq=False)
class Placements:
    """A placement of one model for each point of a grid, all on the same machine and all crossing, or none."""

    each: tuple[Placement, ...]
    which: np.ndarray  # the place among them of each point's
    known: dict[Any, Any] = field(default_factory=dict)  # what was worked out of them all, whatever the grid

    @property
    def crosses(self) -> bool:
        """As of each that has anything in RAM."""
        if "crosses" not in self.known:
            self.known["crosses"] = any(each.crosses for each in self.each)
        return self.known["crosses"]

    def on(self, which: np.ndarray) -> Placements:
        """The same placements on another grid, or a part of it."""
        return replace(self, which=which)

    def at(self, values: np.ndarray) -> np.ndarray:
        """What is told of each placement, at each point."""
        return np.take(values, self.which)

    @cached_property
    def used(self) -> np.ndarray:
        """Those among them that some point has."""
        return np.flatnonzero(np.bincount(self.which.ravel(), minlength=len(self.each)))

    def counts(self, key: Any, count: Callable[[Placement], Mapping[Any, int]]) -> Iterator[tuple[Any, np.ndarray]]:
        """What is counted in each placement, at each point, without what no point has; it is counted once for a *key*."""
        if key not in self.known:
            found = [count(each) for each in self.each]
            names = sorted(set(chain(*found)))
            self.known[key] = {name: np.array([each.get(name, 0) for each in found], float) for name in names}
        for name, values in self.known[key].items():
            if values[self.used].any():
                yield name, self.at(values)

    def moves(self, model: Model) -> dict[Move, np.ndarray]:
        """What passes through the layers, and how often at each point."""
        return dict(self.counts("moves", lambda each: each.moves(model)))


def whole(model: Model) -> tuple[Group, ...]:
    """The groups of a model that lies in one place."""
    return tuple(Group(shape, indices) for shape, (_, indices, _) in enumerate(model.shapes) if shape)


def by_layers(counts: Sequence[int]) -> Placement:
    """The first layers on the first part, so many of them as *counts* says, the next on the next; the head with the last."""
    layers = tuple(place for place, count in enumerate(counts) for _ in range(count))
    return Placement(layers, head=layers[-1])


def experts_apart(model: Model, n_layers: int, part: int, base: Placement | None = None) -> Placement:
    """The experts of the first *n_layers* layers on another part (llama.cpp's --n-cpu-moe), all else as in *base*."""
    base = base or Placement((0,) * len(model.stack))
    apart = {
        (index, tensor.role): part
        for layer, indices, tensors in model.shapes[1:]
        for index in indices
        if index < n_layers and isinstance(layer.ffn, Experts)
        for tensor in tensors
        if tensor.copies > 1
    }
    return Placement(base.layers, base.head, MappingProxyType({**base.apart, **apart}), base.crosses)
