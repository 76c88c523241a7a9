"""What several devices hold of a model and its caches, counted on all of them as if each had as much as the fullest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from simulator.forecast.decode import cache_bytes_held, part_of, pieces_of
from simulator.forecast.parallel import copies_held, sharing
from simulator.forecast.stages import equal_split, stage_layers
from simulator.spec.cache_rules import CacheRules
from simulator.spec.hardware import Hardware
from simulator.spec.layers.layer import Layer
from simulator.spec.layout import Layout
from simulator.spec.model import Model, StoredTensor, store, store_of
from simulator.spec.placement import Placement
from simulator.spec.quant import Weights
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload


def weight_bytes_on_devices(model: Model, weights: Weights, layout: Layout, runtime: Runtime) -> float:
    """Bytes of weights on all devices together; what several need for themselves counts on each of them."""
    return layout.pipeline * max(_stage_bytes(model, weights, layout, runtime)) + weights.held_bytes


def free_in_last_stage(model: Model, load: Workload, rules: CacheRules, layout: Layout, runtime: Runtime) -> Any:
    """Bytes that its devices hold less of weights and caches than is counted for each stage, that is what the fullest holds."""
    weights, layers = _stage_bytes(model, load.weights, layout, runtime), _stages(model, layout, runtime)
    caches = cache_bytes_on_devices(model, load, rules, layout, runtime) / layout.pipeline
    return max(weights) - weights[-1] + caches * (1 - layers[-1] / max(layers))


def _stage_bytes(model: Model, weights: Weights, layout: Layout, runtime: Runtime) -> list[float]:
    of_layer = np.zeros(len(model.stack))
    for stored in store(model, weights):
        layer, indices, _ = model.shapes[stored.shape]
        if layer is not None and not stored.tensor.is_again:
            of_layer[list(indices)] += (
                stored.total_bytes * _copies(model, stored, layer, layout, runtime) / len(indices)
            )
    first, last = _outside(model, weights, layout, runtime)
    return _bytes_of_stages(of_layer, _stages(model, layout, runtime), first, last)


def _outside(model: Model, weights: Weights, layout: Layout, runtime: Runtime) -> tuple[float, float]:
    """Bytes outside the layers with the first stage and with the last: what the one looks up, a tied head multiplies with in the other."""
    first = last = 0.0
    for stored in store(model, weights):
        if stored.tensor.is_again or stored.shape:
            continue
        n_bytes = stored.total_bytes * _copies(model, stored, None, layout, runtime)
        is_twice = model.tied_head and stored.tensor.role == "token_embd" and layout.pipeline > 1
        first += n_bytes if stored.tensor.is_idle else 0.0
        last += n_bytes if is_twice or not stored.tensor.is_idle else 0.0
    return first, last


def _bytes_of_stages(of_layer: np.ndarray, counts: tuple[int, ...], first: float, last: float) -> list[float]:
    """Bytes of each stage, of so many layers."""
    stages = [float(part.sum()) for part in np.split(of_layer, np.cumsum(counts)[:-1])]
    stages[0] += first
    stages[-1] += last
    return stages


def cache_bytes_on_devices(model: Model, load: Workload, rules: CacheRules, layout: Layout, runtime: Runtime) -> Any:
    """Bytes of the caches and states of all sequences, as the runtime keeps them by *rules* on all devices together."""
    fullest = replace(load, batch=-(-load.batch // layout.data) * layout.data)
    held = cache_bytes_held(model, fullest, rules, layout.tensor)
    return held * (layout.pipeline * max(_stages(model, layout, runtime)) / len(model.stack))


def weight_bytes_on_parts(
    model: Model, weights: Weights, hardware: Hardware, placement: Placement, runtime: Runtime
) -> list[float]:
    """The same of each part of a machine, with what a placement has there; what is looked up lies with the head.

    Of weights that cross, RAM holds what each of the devices that bring them would hold.
    """
    parts = hardware.parts
    of_layer = np.zeros((len(parts), len(model.stack)))
    for group in placement.groups(model):
        layer = model.shapes[group.shape][0]
        for stored in store_of(model, weights, group.shape, group.indices):
            if not stored.tensor.is_again:
                place = group.place_of(stored.tensor.role)
                layout = parts[0 if placement.crosses else place].layout
                n_bytes = stored.total_bytes * _copies(model, stored, layer, layout, runtime)
                of_layer[place, list(group.indices)] += n_bytes / len(group.indices)
    found = []
    for place, part in enumerate(parts):
        has_head = place == placement.head
        first, last = _outside(model, weights, part.layout, runtime) if has_head else (0.0, 0.0)
        here = _here(of_layer[place], place, placement)
        stages = _bytes_of_stages(here, _divided(len(here), part.layout, runtime), first, last)
        n_bytes = len(stages) * max(stages)
        found.append(n_bytes + float(of_layer[place].sum() - here.sum()) + has_head * weights.held_bytes)
    return found


def cache_bytes_on_parts(
    model: Model, load: Workload, hardware: Hardware, placement: Placement, runtime: Runtime
) -> list[Any]:
    """Bytes of caches and states on each part: with the layer, or with the device that computes what crosses."""
    rules, groups = runtime.cache_rules.on(hardware), placement.groups(model)
    caches: list[Any] = [0.0 for _ in hardware.parts]
    for place, part in enumerate(hardware.parts):
        own = [each for each in groups if (0 if placement.crosses else each.place) == place]
        n_layers = sum(len(each.indices) for each in own)
        if own:
            fullest = replace(load, batch=-(-load.batch // part.layout.data) * part.layout.data)
            held = cache_bytes_held(model, fullest, rules, part.layout.tensor, own)
            stages = _divided(n_layers, part.layout, runtime)
            caches[place] = held * (len(stages) * max(stages) / n_layers)
    return caches


def _here(of_layer: np.ndarray, place: int, placement: Placement) -> np.ndarray:
    """Of the layers that a part computes; those whose weights cross are the first device's."""
    return of_layer[[(0 if placement.crosses else each) == place for each in placement.layers]]


def _stages(model: Model, layout: Layout, runtime: Runtime) -> tuple[int, ...]:
    """Layers of each stage."""
    return _divided(len(model.stack), layout, runtime)


def _divided(n_layers: int, layout: Layout, runtime: Runtime) -> tuple[int, ...]:
    """The same of some of the layers."""
    if layout.pipeline == 1 or n_layers == 0:
        return (n_layers,)
    divide = equal_split if runtime.split == "layers" else stage_layers
    return divide(n_layers, layout.pipeline)


def _copies(model: Model, stored: StoredTensor, layer: Layer | None, layout: Layout, runtime: Runtime) -> float:
    """How often the devices of a stage together hold a tensor, where each has as much as the one with most."""
    tensor, exchange = stored.tensor, runtime.exchange
    part = part_of(tensor) if layer is not None else "head"
    n_sharing = sharing(part, layout, exchange, bool(model.experts))
    groups = layout.n_at_once // n_sharing
    if part == "experts":
        n_experts = tensor.copies
        return layout.expert * -(-n_experts // layout.expert) / n_experts
    if layer is None:
        return groups * (n_sharing if tensor.is_vector or not exchange.splits_head else 1)
    return groups * copies_held(1 if tensor.is_vector else pieces_of(layer, tensor), n_sharing)
