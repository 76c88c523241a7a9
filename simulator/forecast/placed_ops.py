"""The operations of a step where each point of a grid has a placement of its own: on every part, with how many there are at each point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from simulator.forecast.decode import decode_ops, head_ops, layer_ops, place_of, worked_with
from simulator.forecast.ops import Op
from simulator.spec.cache_rules import CacheRules
from simulator.spec.model import Model, store_of
from simulator.spec.placement import Placement, Placements, whole
from simulator.spec.quant import Weights
from simulator.spec.workload import Workload


def placed_ops(
    model: Model, load: Workload, rules: CacheRules, placement: Placement | Placements | None
) -> tuple[Op, ...]:
    """As `decode_ops` has them of one placement; of several one for each part that any of them puts it on, with counts as arrays."""
    if not isinstance(placement, Placements):
        return decode_ops(model, load, rules, placement)
    by_shape, ops = worked_with(model, load), []
    for group in whole(model):
        for op in layer_ops(model, load, rules, group, by_shape[group.shape]):
            count = partial(_counts, op, model, load.weights, group.shape, placement.known)
            key = (group.shape, op.part, op.name, op.format.name)
            ops += [replace(op, place=place, count=each) for place, each in placement.counts(key, count)]
    for place, each in placement.counts("head", lambda each: {each.head: 1}):
        ops += [replace(op, place=place, count=op.count * each) for op in head_ops(model, load, by_shape[0])]
    return tuple(ops)


def _counts(
    op: Op, model: Model, weights: Weights, shape: int, known: dict[Any, Any], placement: Placement
) -> Mapping[int, int]:
    """By part, how many there are of an operation of the layers of a shape: of a tensor in its format those that have it so, or all."""
    found: dict[int, int] = {}
    for group in placement.groups(model):
        if group.shape == shape:
            key = ("stored", shape, group.indices)
            if key not in known:
                known[key] = _stored(model, weights, shape, group.indices, known)
            place, n = place_of(op, group), known[key].get((op.name, op.format.name), len(group.indices))
            found[place] = found.get(place, 0) + n
    return found


def _stored(
    model: Model, weights: Weights, shape: int, indices: tuple[int, ...], known: dict[Any, Any]
) -> dict[tuple[str, str], int]:
    """How many of the layers at *indices* have a tensor in a format; 0 of one that others of their shape have."""
    if shape not in known:
        layers = model.shapes[shape][1]
        of_layers = [
            Counter(
                {(each.tensor.role, each.format.name): each.count for each in store_of(model, weights, shape, (index,))}
            )
            for index in layers
        ]
        names = list(dict.fromkeys(chain(*of_layers)))
        places = {index: place for place, index in enumerate(layers)}
        known[shape] = names, np.array([[each[name] for each in of_layers] for name in names]), places
    names, counts, places = known[shape]
    found = counts[:, [places[index] for index in indices]].sum(axis=1).tolist()
    return dict(zip(names, found, strict=True))
