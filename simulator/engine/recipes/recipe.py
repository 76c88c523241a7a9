"""The arithmetic of one model: what a recipe can say of the whole, of its router, and of each layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from simulator.spec.layers.attention import GroupedQuery
from simulator.spec.layers.layer import Layer
from simulator.spec.model import Model

ACTIVATIONS = ("silu", "gelu")  # by the number that kernels know them by; gelu in its tanh form
NORMS = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")  # of a layer, as most files call them


@dataclass(frozen=True)
class Rotation:
    """How queries and keys of a layer turn with their position."""

    base: float = 10_000.0
    factor: float = 1.0  # positions are divided by it (linear scaling)
    rotated: int | None = None  # dimensions of a head that turn; None is all
    halves: bool = True  # pairs are (i, i + half) as in NeoX; otherwise neighbours, as llama's files have them
    table: str = "rope_freqs"  # the vector whose factors divide the frequencies, where the file has it; empty for none

    def pairs(self, head_dim: int) -> int:
        """Pairs of dimensions that turn."""
        return (self.rotated or head_dim) // 2

    def frequencies(self, head_dim: int, factors: np.ndarray | None = None) -> np.ndarray:
        """Radians a position, of each pair: float64 [pairs]; *factors* are those of the table."""
        rotated = self.rotated or head_dim
        found = self.base ** (-np.arange(0, rotated, 2) / rotated) / self.factor
        return found if factors is None else found / factors[: len(found)]


@dataclass(frozen=True)
class LayerRecipe:
    """What may differ from layer to layer."""

    rotation: Rotation | None = Rotation()  # None: nothing turns
    attention_scale: float | None = None  # None: head_dim ** -0.5


@dataclass(frozen=True)
class RouterRecipe:
    """How a router's logits become the experts' shares."""

    renormalise: bool = True  # the chosen experts' shares add up to 1
    scale: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """The arithmetic of one model."""

    layers: tuple[LayerRecipe, ...]
    epsilon: float = 1e-6  # of norms
    embedding_scale: float = 1.0
    activation: str = "silu"  # of feed-forward networks, one of ACTIVATIONS
    router: RouterRecipe = field(default_factory=RouterRecipe)
    norms: tuple[str, ...] = NORMS  # what the file calls those of a layer, in the model's order

    def table_lengths(self, model: Model) -> Iterator[tuple[str, int]]:
        """The tables of factors that its rotations use, and how many factors each has."""
        for own, layer in zip(self.layers, model.stack, strict=True):
            if own.rotation and own.rotation.table and isinstance(layer.attention, GroupedQuery):
                yield own.rotation.table, own.rotation.pairs(layer.attention.head_dim)


def usual_recipe(model: Model) -> Recipe:
    """The arithmetic of a model that no file tells anything of: what most of its kind do."""

    def of(layer: Layer) -> LayerRecipe:
        window = getattr(layer.attention, "window", None)
        return LayerRecipe(Rotation(table="" if window else "rope_freqs"))

    return Recipe(tuple(of(layer) for layer in model.stack))
