"""The formats of a model as a statement gives them, matrix by matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from simulator.importers.quantised.modules import Module, module
from simulator.importers.quantised.statement import Rules
from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.listed import Parallel
from simulator.spec.layers.sparse import Compressed
from simulator.spec.layers.tensor import Tensor
from simulator.spec.model import Layer, Model
from simulator.spec.quant import Format, Slot

Key = tuple[int, str]  # stored layer and role; what stands outside has layer 0 and roles of its own
Table = Mapping[Key, Format]


def slots(model: Model) -> Iterator[tuple[Key, Layer | None, Tensor]]:
    """Every tensor that is stored, with its place: none that is an earlier layer's."""
    for layer, indices, tensors in model.shapes:
        for index in indices:
            number = model.stored_layers[index] if layer else index
            yield from (((number, tensor.role), layer, tensor) for tensor in tensors if not tensor.is_again)


def _module_of(
    model: Model, key: Key, layer: Layer | None, tensor: Tensor, numbers: Sequence[int], roles: frozenset[str]
) -> Module:
    """A matrix of the model by the names that Hugging Face may have for it; *numbers* are those of its stored layers there."""
    attention = layer.attention if layer else None
    is_recurrent = attention is not None and not isinstance(attention, GroupedQuery | Latent | Compressed)
    return module(
        tensor.role,
        numbers[key[0]] if layer else None,
        tensor.rows,
        tensor.columns,
        tensor.copies,
        None if attention is None or isinstance(attention, Parallel) else is_recurrent,
        model.architecture or "",
        roles,
    )


def by_rules(model: Model, rules: Rules | None, wide: Format, numbers: Sequence[int]) -> dict[Key, Format]:
    """The format of each tensor: vectors and what the rules leave out in *wide*."""
    roles = {layer: frozenset(tensor.role for tensor in tensors) for layer, _, tensors in model.shapes}
    found: dict[Key, Format] = {}
    for key, layer, tensor in slots(model):
        if rules is None or tensor.is_vector:
            found[key] = wide
        else:
            found[key] = rules.layout_of(_module_of(model, key, layer, tensor, numbers, roles[layer])) or wide
    return found


@dataclass(frozen=True, eq=False)
class Chooser:
    """What `Weights` asks for; other processes can be sent it."""

    table: Table
    wide: Format  # of what the table leaves out

    def __call__(self, slot: Slot) -> Format:
        return self.table.get((slot.layer, slot.role), self.wide)
