"""What memory has to hold of a model and its caches, and how much of a device's memory a runtime can have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.forecast.held import (
    cache_bytes_on_devices,
    cache_bytes_on_parts,
    weight_bytes_on_devices,
    weight_bytes_on_parts,
)
from simulator.forecast.working_memory import working_memory
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model, StoredTensor, looked_up_bytes, store, store_of, weight_bytes
from simulator.spec.placement import Placement
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload

INTERLEAVED_ROWS = 8  # that llama.cpp's kernels for rearranged weights take together; some take 4


@dataclass(frozen=True)
class Held:
    """What one part of a machine holds, in bytes; caches are a number, or an array over the grid."""

    part: Hardware
    weight_bytes: float
    cache_bytes: Any
    scratch_bytes: Any
    limit_bytes: float  # what the runtime can have there
    mapped_bytes: float = 0.0  # of the weights, those that a drive gives again whenever they are missing

    @property
    def needed_bytes(self) -> Any:
        """All of it."""
        return self.weight_bytes + self.scratch_bytes + self.cache_bytes

    @property
    def fits(self) -> Any:
        """Whether the part's memory holds all that no drive can give again."""
        return self.needed_bytes - self.mapped_bytes <= self.limit_bytes

    @property
    def room_bytes(self) -> Any:
        """What is left for the file's pages, beside what cannot be dropped: caches, working memory, copies."""
        return np.maximum(self.limit_bytes - (self.needed_bytes - self.mapped_bytes), 0.0)


def memory_of_parts(
    model: Model, load: Workload, runtime: Runtime, hardware: Hardware, placement: Placement | None = None
) -> tuple[Held, ...]:
    """What each part of the machine must hold, in their order."""
    scratch: list[Any] = [runtime.scratch_bytes(model.vocab), *(0.0 for _ in hardware.beside)]
    if placement is None or placement.is_whole:
        elsewhere = bytes_elsewhere(model, load, runtime, hardware)
        held = weight_bytes_on_devices(model, load.weights, hardware.layout, runtime)
        weights = [held - elsewhere, *(0.0 for _ in hardware.beside)]
        caches = [cache_held(model, load, runtime, hardware), *(0.0 for _ in hardware.beside)]
        if hardware.host is not None:
            weights[-1] += elsewhere
    else:
        weights = weights_placed(model, load, runtime, hardware, placement)
        caches = cache_bytes_on_parts(model, load, hardware, placement, runtime)
        if runtime.scratch_of_graph:
            scratch = working_memory(model, load, runtime, hardware, placement)
    limits = [memory_limit(part, runtime) for part in hardware.parts]
    mapped = [
        held - repacked_bytes(model, load, runtime, part, placement, place) if is_mapped(part) else 0.0
        for place, (part, held) in enumerate(zip(hardware.parts, weights, strict=True))
    ]
    return tuple(Held(*each) for each in zip(hardware.parts, weights, caches, scratch, limits, mapped, strict=True))


def is_mapped(part: Hardware) -> bool:
    """Whether weights of this part of a machine may be missing from its memory: a GPU's never are."""
    return part.kind == "cpu" and part.reads_from is not None


def weights_placed(
    model: Model, load: Workload, runtime: Runtime, hardware: Hardware, placement: Placement
) -> list[float]:
    """Bytes of weights on each part."""
    weights = weight_bytes_on_parts(model, load.weights, hardware, placement, runtime)
    if runtime.keeps_lookup_on_host and hardware.host:
        looked_up = looked_up_bytes(model, load.weights)
        weights[placement.head] -= looked_up
        weights[-1] += looked_up
    return weights


def cache_held(model: Model, load: Workload, runtime: Runtime, hardware: Hardware):
    """Bytes of the caches and states of all sequences, as the runtime keeps them on all devices together."""
    return cache_bytes_on_devices(model, load, runtime.cache_rules.on(hardware), hardware.layout, runtime)


def fixed_bytes(model: Model, load: Workload, runtime: Runtime, hardware: Hardware) -> float:
    """The part of it that no batch and no context changes, what several devices have each counted once."""
    elsewhere = bytes_elsewhere(model, load, runtime, hardware)
    return weight_bytes(model, load.weights) - elsewhere + runtime.scratch_bytes(model.vocab)


def bytes_elsewhere(model: Model, load: Workload, runtime: Runtime, hardware: Hardware) -> float:
    """Bytes of weights that lie in the memory of the machine around a card instead of its own."""
    return looked_up_bytes(model, load.weights) if runtime.keeps_lookup_on_host and hardware.has_own_memory else 0.0


def repacked_bytes(
    model: Model,
    load: Workload,
    runtime: Runtime,
    part: Hardware,
    placement: Placement | None = None,
    place: int = 0,
) -> float:
    """Bytes of matrices that a runtime copies out of the file's map, so that they cannot be read from a disk again.

    Of those that a *placement* has on a part of a machine; None: of all.
    """
    formats = runtime.repacked(part)
    head = "token_embd" if model.tied_head else "output"
    return sum(
        stored.total_bytes
        for stored in (store(model, load.weights) if placement is None else _stored_at(model, load, placement, place))
        if stored.format.kernel in formats
        and not stored.tensor.is_vector
        and stored.tensor.rows % INTERLEAVED_ROWS == 0
        and (stored.tensor.role == head or not stored.tensor.is_idle)
    )


def _stored_at(model: Model, load: Workload, placement: Placement, place: int) -> Iterator[StoredTensor]:
    """What one part of a machine computes with."""
    for group in placement.groups(model):
        found = store_of(model, load.weights, group.shape, group.indices)
        yield from (stored for stored in found if group.place_of(stored.tensor.role) == place)
    if placement.head == place:
        yield from (stored for stored in store(model, load.weights) if stored.shape == 0)


def memory_limit(hardware: Hardware, runtime: Runtime) -> float:
    """Bytes of the device's memory that the runtime can have: its share is of a GPU's."""
    return hardware.usable_bytes * (runtime.memory_share if hardware.kind == "gpu" else 1.0)
