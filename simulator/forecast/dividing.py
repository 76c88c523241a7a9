"""Which of a row of layers lie on which GPU of several, so that each is filled and none overflows (llama.cpp's -ts)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.forecast.decode import cache_bytes_held
from simulator.forecast.fit import Held
from simulator.forecast.stages import by_shares
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model, looked_up_bytes, store, store_of
from simulator.spec.placement import Group, Placement
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload

ROUNDS = 3  # what a GPU works in depends on its layers, and its layers on the room beside that
HALVINGS = 30  # of the range in which the least filling lies


@dataclass(frozen=True)
class Sizes:
    """Bytes of each layer's tensors by their roles, and of its cache; and what lies with the head."""

    tensors: tuple[Mapping[str, float], ...]
    caches: tuple[float, ...]
    head: float

    def on_its_part(self, index: int, placement: Placement) -> float:
        """What of a layer lies on the part that computes it."""
        apart = {role for each, role in placement.apart if each == index}
        return self.caches[index] + sum(size for role, size in self.tensors[index].items() if role not in apart)


def sizes_of(model: Model, load: Workload, runtime: Runtime, hardware: Hardware) -> Sizes:
    """Of a model whose layers lie on one device each."""
    rules = runtime.cache_rules.on(hardware)
    tensors: list[Mapping[str, float]] = [{} for _ in model.stack]
    caches = [0.0 for _ in model.stack]
    for shape, (_, indices, _) in enumerate(model.shapes[1:], start=1):
        of_one = (Group(shape, indices[:1]),)
        cache = float(cache_bytes_held(model, load, rules, 1, of_one))
        for index in indices:
            found: dict[str, float] = {}
            for stored in store_of(model, load.weights, shape, (index,)):
                if not stored.tensor.is_again:
                    found[stored.tensor.role] = found.get(stored.tensor.role, 0.0) + stored.total_bytes
            tensors[index], caches[index] = found, cache
    outside = sum(each.total_bytes for each in store(model, load.weights) if each.shape == 0)
    is_on_host = runtime.keeps_lookup_on_host and hardware.host is not None
    head = outside + load.weights.held_bytes - (looked_up_bytes(model, load.weights) if is_on_host else 0.0)
    return Sizes(tuple(tensors), tuple(caches), head)


def divided(
    placement: Placement,
    hardware: Hardware,
    sizes: Sizes,
    held: Callable[[Placement], Sequence[Held]],
    n_gpus: int | None = None,
) -> Placement:
    """The same with its layers on GPUs as llama.cpp deals them by itself if each has room for its own, else as they all have.

    On the first *n_gpus* of them; None: on all.
    """
    every = [place for place, part in enumerate(hardware.parts) if part.kind == "gpu"]
    gpus = every[:n_gpus]
    on_gpus = [index for index, place in enumerate(placement.layers) if place in every]
    has_head = placement.head in every
    if len(every) < 2 or not on_gpus:
        return placement
    memories = [hardware.parts[place].usable_bytes for place in gpus]
    items = [sizes.on_its_part(index, placement) for index in on_gpus] + [sizes.head] * has_head
    found = _dealt(placement, on_gpus, [gpus[each] for each in by_shares(len(items), memories)])
    tried: list[tuple[float, Placement]] = []
    for _ in range(ROUNDS + 1):
        each_held = held(found)
        parts = [each_held[place] for place in gpus]
        lacking = sum(max(float(part.needed_bytes) - part.limit_bytes, 0.0) for part in parts)
        if not lacking:
            return found
        tried.append((lacking, found))
        rooms = [max(part.limit_bytes - float(part.scratch_bytes), 1.0) for part in parts]
        if sum(items) > sum(rooms):
            break
        found = _dealt(placement, on_gpus, [gpus[each] for each in evenly_filled(items, rooms)])
    return min(tried, key=lambda each: each[0])[1]


def _dealt(placement: Placement, on_gpus: Sequence[int], places: Sequence[int]) -> Placement:
    """With those layers in those places, and the head in what is left of them."""
    layers = list(placement.layers)
    for index, place in zip(on_gpus, places, strict=False):
        layers[index] = place
    head = places[-1] if len(places) > len(on_gpus) else placement.head
    return replace(placement, layers=tuple(layers), head=head)


def evenly_filled(sizes: Sequence[float], rooms: Sequence[float]) -> tuple[int, ...]:
    """The room of each item in a row, in the rooms' order, so that the one that is filled most is filled least."""
    sums = np.concatenate([[0.0], np.cumsum(sizes)])
    low, high = 0.0, float(sums[-1]) / min(rooms)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _ends(sums, rooms, middle)[-1] == len(sizes) else (middle, high)
    ends = [0, *_ends(sums, rooms, high)]
    return tuple(room for room in range(len(rooms)) for _ in range(ends[room + 1] - ends[room]))


def _ends(sums: np.ndarray, rooms: Sequence[float], share: float) -> list[int]:
    """Where each room's items end if it takes as many as go into such a share of it."""
    ends, start = [], 0
    for room in rooms:
        start = int(np.searchsorted(sums, sums[start] + share * room * (1 + 1e-12), side="right")) - 1
        ends.append(start)
    return ends
