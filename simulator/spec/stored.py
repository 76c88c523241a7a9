"""Which stored layer's weights each layer reads: its own, or an earlier one's where layers run again or share tensors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.spec.model import Layer, Model

Shape = tuple[tuple[str, int, int, int], ...]


def stored_layers(stack: Sequence[Layer], repeats: Sequence[int], d_model: int) -> tuple[int, ...]:
    """For each layer of *stack*, which of the stored layers it is; *repeats* tells it of those that share weights, in order.

    With nothing told, they repeat the layers before them that have the same tensors, in order and over and over.
    """
    n_shared = sum(layer.shares_weights for layer in stack)
    if repeats and len(repeats) != n_shared:
        raise ValueError(
            f"repeats has {len(repeats)} numbers, one for each of {n_shared} layers with shares_weights is needed"
        )
    shapes = _Shapes(d_model)
    alike: dict[Shape, list[int]] = defaultdict(list)
    turns: Counter[Shape] = Counter()
    told, found, n_stored = iter(repeats), [], 0
    for index, layer in enumerate(stack):
        if not layer.shares_weights:
            if n_shared:
                alike[shapes[layer]].append(n_stored)
            found.append(n_stored)
            n_stored += 1
            continue
        shape = shapes[layer]
        if not alike[shape]:
            raise ValueError(
                f"layer {index} shares an earlier layer's weights, but none before it has the same tensors"
            )
        number = next(told) if repeats else alike[shape][turns[shape] % len(alike[shape])]
        if number not in alike[shape]:
            raise ValueError(
                f"repeats: layer {index} has other tensors than layer {number} of those that are stored before it"
            )
        turns[shape] += 1
        found.append(number)
    return tuple(found)


class _Shapes(dict):
    """The tensors of layers, worked out once for equal ones, which are one object."""

    def __init__(self, d_model: int):
        super().__init__()
        self.d_model = d_model

    def __getitem__(self, layer: Layer) -> Shape:
        if id(layer) not in self:
            tensors = layer.tensors(self.d_model, False)
            self[id(layer)] = tuple((each.role, each.rows, each.columns, each.copies) for each in tensors)
        return super().__getitem__(id(layer))


def tensors_shared(model: Model) -> Mapping[tuple[int, str], int]:
    """Single tensors that are an earlier layer's, by stored layer and role: the stored layer that has them.

    Where several have one, they take turns (Zamba 2).
    """
    found: dict[tuple[int, str], int] = {}
    again = {(tensor.role, tensor.rows, tensor.columns) for _, _, tensor in _stored(model) if tensor.is_again}
    for key in again:
        places = sorted(
            (model.stored_layers[index], tensor.is_again)
            for layer, indices, tensor in _stored(model)
            if (tensor.role, tensor.rows, tensor.columns) == key
            for index in indices
        )
        holders = [number for number, is_again in places if not is_again]
        takers = [number for number, is_again in places if is_again]
        found |= {(number, key[0]): holders[turn % len(holders)] for turn, number in enumerate(takers) if holders}
    return found


def _stored(model: Model) -> Iterator[tuple]:
    for layer, indices, tensors in model.shapes:
        if layer is not None and not layer.shares_weights:
            yield from ((layer, indices, tensor) for tensor in tensors)
