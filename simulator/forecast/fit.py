"""What memory has to hold of a model and its caches, and how much of a device's memory a runtime can have."""

from __future__ import annotations

from simulator.forecast.decode import cache_bytes_held
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model, looked_up_bytes, store, weight_bytes
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload

INTERLEAVED_ROWS = 8  # that llama.cpp's kernels for rearranged weights take together; some take 4


def memory_needed(model: Model, load: Workload, runtime: Runtime, hardware: Hardware):
    """Bytes of weights, cache and working memory that the device's memory must hold."""
    return fixed_bytes(model, load, runtime, hardware) + cache_held(model, load, runtime, hardware)


def cache_held(model: Model, load: Workload, runtime: Runtime, hardware: Hardware):
    """Bytes of the caches and states of all sequences, as the runtime keeps them on all devices together."""
    n_sharing = hardware.n_devices if runtime.split == "tensors" else 1
    return cache_bytes_held(model, load, runtime.cache_rules.on(hardware), n_sharing)


def fixed_bytes(model: Model, load: Workload, runtime: Runtime, hardware: Hardware) -> float:
    """The part of it that no batch and no context changes."""
    elsewhere = bytes_elsewhere(model, load, runtime, hardware)
    return weight_bytes(model, load.weights) - elsewhere + runtime.scratch_bytes(model.vocab)


def bytes_elsewhere(model: Model, load: Workload, runtime: Runtime, hardware: Hardware) -> float:
    """Bytes of weights that lie in the memory of the machine around a card instead of its own."""
    return looked_up_bytes(model, load.weights) if runtime.keeps_lookup_on_host and hardware.has_own_memory else 0.0


def repacked_bytes(model: Model, load: Workload, runtime: Runtime, hardware: Hardware) -> float:
    """Bytes of matrices that a runtime copies out of the file's map, so that they cannot be read from a disk again."""
    formats = runtime.repacked(hardware)
    head = "token_embd" if model.tied_head else "output"
    return sum(
        stored.total_bytes
        for stored in store(model, load.weights)
        if stored.format.kernel in formats
        and not stored.tensor.is_vector
        and stored.tensor.rows % INTERLEAVED_ROWS == 0
        and (stored.tensor.role == head or not stored.tensor.is_idle)
    )


def memory_limit(hardware: Hardware, runtime: Runtime) -> float:
    """Bytes of the device's memory that the runtime can have."""
    return hardware.usable_bytes * runtime.memory_share
