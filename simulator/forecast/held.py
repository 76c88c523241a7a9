"""What several devices hold of a model and its caches, counted on all of them as if each had as much as the fullest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from simulator.forecast.decode import cache_bytes_held, part_of, pieces_of
from simulator.forecast.parallel import copies_held, sharing
from simulator.forecast.stages import equal_split, stage_layers
from simulator.spec.cache_rules import CacheRules
from simulator.spec.layers.layer import Layer
from simulator.spec.layout import Layout
from simulator.spec.model import Model, StoredTensor, store
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
    first = last = 0.0
    for stored in store(model, weights):
        if stored.tensor.is_again:
            continue
        layer, indices, _ = model.shapes[stored.shape]
        n_bytes = stored.total_bytes * _copies(model, stored, layer, layout, runtime)
        if layer is not None:
            of_layer[list(indices)] += n_bytes / len(indices)
            continue
        # What the first stage looks up, a tied head multiplies with in the last.
        is_twice = model.tied_head and stored.tensor.role == "token_embd" and layout.pipeline > 1
        first += n_bytes if stored.tensor.is_idle else 0.0
        last += n_bytes if is_twice or not stored.tensor.is_idle else 0.0
    stages = [float(part.sum()) for part in np.split(of_layer, np.cumsum(_stages(model, layout, runtime))[:-1])]
    stages[0] += first
    stages[-1] += last
    return stages


def cache_bytes_on_devices(model: Model, load: Workload, rules: CacheRules, layout: Layout, runtime: Runtime) -> Any:
    """Bytes of the caches and states of all sequences, as the runtime keeps them by *rules* on all devices together."""
    fullest = replace(load, batch=-(-load.batch // layout.data) * layout.data)
    held = cache_bytes_held(model, fullest, rules, layout.tensor)
    return held * (layout.pipeline * max(_stages(model, layout, runtime)) / len(model.stack))


def _stages(model: Model, layout: Layout, runtime: Runtime) -> tuple[int, ...]:
    """Layers of each stage."""
    divide = equal_split if runtime.split == "layers" else stage_layers
    return divide(len(model.stack), layout.pipeline)


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
