"""Where a model goes on a machine of several parts when nobody says it: on the GPUs as much as fits there, the rest in RAM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from simulator.forecast.stages import layer_split
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model
from simulator.spec.placement import Placement, by_layers, experts_apart


def usual_placement(
    model: Model, hardware: Hardware, crosses: bool, fits: Callable[[Placement], bool]
) -> Placement | None:
    """The first of these that fits: all on the first device, layers over all GPUs, experts of the fewest layers in RAM, layers in RAM.

    None for a device alone; where nothing fits, that which needs least of the GPUs. *crosses*: what lies in RAM is brought over in
    each step, by software that takes whole layers.
    """
    if not hardware.beside:
        return None
    n_layers, host = len(model.stack), len(hardware.parts) - 1
    alone, gpus = by_layers((n_layers,)), over_gpus(model, hardware)
    whole = next((each for each in (alone, gpus) if fits(each)), None)
    if whole is not None or hardware.host is None:
        return whole or gpus
    if crosses:
        base = replace(gpus, crosses=True)
        return first_that_fits([layers_in_ram(base, n, host) for n in range(n_layers + 1)], fits)
    experts = [experts_apart(model, n, host, gpus) for n in range(n_layers + 1)]
    if model.experts and fits(experts[-1]):
        return first_that_fits(experts, fits)
    return first_that_fits([layers_in_ram(gpus, n, host) for n in range(n_layers + 1)], fits)


def first_that_fits(found: Sequence[Placement], fits: Callable[[Placement], bool]) -> Placement:
    """Of placements that need less and less of the GPUs the first that fits, or else the last."""
    low, high = 0, len(found) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(found[middle]) else (middle + 1, high)
    return found[low]


def layers_in_ram(base: Placement, n_layers: int, host: int) -> Placement:
    """The first *n_layers* layers with all that is theirs in the host's memory, and computed there (llama.cpp's -ngl)."""
    layers = (*(host for _ in range(n_layers)), *base.layers[n_layers:])
    return replace(base, layers=layers, head=base.head if n_layers < len(layers) else host)


def over_gpus(model: Model, hardware: Hardware) -> Placement:
    """Layers in a row over the GPUs of a machine, each as many as its memory is of all theirs, as llama.cpp divides them."""
    *layers, head = layer_split(model, [part for part in hardware.parts if part.kind == "gpu"])
    return Placement(tuple(layers), head)
