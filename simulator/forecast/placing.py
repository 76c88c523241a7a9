"""Placements that take nothing but numbers: layers over the GPUs of a machine, and the first ones in the memory of its host."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from simulator.forecast.stages import layer_split
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model
from simulator.spec.placement import Placement


def layers_in_ram(base: Placement, n: int, host: int) -> Placement:
    """The first *n* layers with all that is theirs in RAM, and computed there (llama.cpp's -ngl); one more than there are: the head too."""
    n_layers = min(n, len(base.layers))
    layers = (*(host for _ in range(n_layers)), *base.layers[n_layers:])
    apart = {key: place for key, place in base.apart.items() if key[0] >= n_layers}
    return replace(base, layers=layers, head=base.head if n == n_layers else host, apart=MappingProxyType(apart))


def over_gpus(model: Model, hardware: Hardware) -> Placement:
    """Layers in a row over the GPUs of a machine, each as many as its memory is of all theirs, as llama.cpp divides them."""
    *layers, head = layer_split(model, [part for part in hardware.parts if part.kind == "gpu"])
    return Placement(tuple(layers), head)
