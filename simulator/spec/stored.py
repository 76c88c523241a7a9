"""Which stored layer's weights each layer reads: its own, or an earlier one's where layers run again or share tensors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from simulator.spec.layers.layer import Layer
from simulator.spec.layers.tensor import Tensor

Placed = tuple[Layer | None, tuple[int, ...], tuple[Tensor, ...]]  # equal layers, where they stand, their tensors
Shape = tuple[tuple[str, int, int, int], ...]
_Kind = tuple[str, int, int]  # role, rows, columns


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


def tensors_shared(placed: Sequence[Placed], numbers: Sequence[int]) -> Mapping[tuple[int, str], int]:
    """Single tensors that are an earlier layer's, by stored layer and role: the stored layer that has them.

    *numbers* are those of the stored layers of the whole stack. Where several layers have one, they take turns (Zamba 2).
    """
    holders: dict[_Kind, list[int]] = defaultdict(list)
    takers: dict[_Kind, list[int]] = defaultdict(list)
    for layer, indices, tensors in placed:
        if layer is None or layer.shares_weights:
            continue
        for each in tensors:
            places = takers if each.is_again else holders
            places[each.role, each.rows, each.columns] += [numbers[index] for index in indices]
    return {
        (number, kind[0]): sorted(holders[kind])[turn % len(holders[kind])]
        for kind, several in takers.items()
        if holders[kind]
        for turn, number in enumerate(sorted(several))
    }
