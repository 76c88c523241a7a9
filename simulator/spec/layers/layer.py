"""One layer of a model: what mixes its tokens, its feed-forward half and what stands beside them; and how runs of layers are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Annotated

from simulator.spec.layers.attention import CrossAttention, GroupedQuery, Latent
from simulator.spec.layers.extra import Extra
from simulator.spec.layers.ffn import Experts, Gated, Plain
from simulator.spec.layers.listed import Parallel, Recurrence, mixers_of
from simulator.spec.layers.recurrent import GatedDeltaNet, Mamba2, ShortConv
from simulator.spec.layers.sparse import Compressed
from simulator.spec.layers.tensor import Tensor, vector
from simulator.spec.schema import Field, OneOf, Spec, rule

Attention = Annotated[
    GroupedQuery | Latent | Compressed | GatedDeltaNet | Mamba2 | ShortConv | Recurrence | Parallel, OneOf()
]
FeedForward = Annotated[Plain | Gated | Experts, OneOf()]
MAX_LAYERS = 1000  # published models have up to 126


class Layer(Spec):
    """`count` equal layers in a row."""

    count: int = Field(1, ge=1, le=MAX_LAYERS)
    attention: Attention | None = None
    cross_attention: CrossAttention | None = None
    ffn: FeedForward | None = None
    norms: int = Field(2, ge=0, le=16)  # norm vectors of width d_model
    beside: tuple[Extra, ...] = Field((), max_length=100)  # further tensors, each read in every step
    shares_weights: bool = False  # its weights are an earlier layer's: read once more, stored with that

    @rule
    def _check(self) -> None:
        halves = (self.attention, self.cross_attention, self.ffn)
        if all(half is None for half in halves) and self.norms and not self.beside:
            raise ValueError("a layer needs attention or ffn")
        n_experts = self.ffn.n_experts if isinstance(self.ffn, Experts) else 0
        for each in self._extras:
            if each.copies not in (1, n_experts):
                raise ValueError(
                    f"{each.role} has {each.copies:,} copies, one for each of the layer's {n_experts:,} experts is needed"
                )

    @property
    def _extras(self) -> Iterator[Extra]:
        return chain(*(getattr(part, "listed", ()) for part in mixers_of(self.attention)), self.beside)

    def tensors(self, d_model: int, norm_bias: bool) -> tuple[Tensor, ...]:
        """Every tensor of one of these layers."""
        parts = [part for part in (self.attention, self.cross_attention, self.ffn) if part is not None]
        found = [tensor for part in parts for tensor in part.tensors(d_model)]
        found += [vector(f"norm_{number}", d_model) for number in range(self.norms)]
        if norm_bias:
            found += [vector(f"norm_{number}.bias", d_model) for number in range(self.norms)]
        found += [each.tensor() for each in self.beside]
        return tuple(replace(each, is_again=True) for each in found) if self.shares_weights else tuple(found)


class Repeat(Spec):
    """A run of layers that stands `repeat` times, one after the other."""

    repeat: int = Field(ge=1, le=MAX_LAYERS)
    layers: tuple[Layer, ...] = Field(min_length=1, max_length=MAX_LAYERS)


def _kind_of_item(item) -> str:
    return "repeat" if isinstance(item, Repeat) or (isinstance(item, dict) and "repeat" in item) else "layer"


Item = Annotated[Layer | Repeat, OneOf(_kind_of_item, layer=Layer, repeat=Repeat)]


def expand(items: tuple[Item, ...]) -> Iterator[Layer]:
    """Layers one by one."""
    for item in items:
        if isinstance(item, Repeat):
            for _ in range(item.repeat):
                yield from expand(item.layers)
        else:
            one = item.model_copy(update={"count": 1})
            for _ in range(item.count):
                yield one
