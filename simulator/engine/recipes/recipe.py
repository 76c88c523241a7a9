"""The arithmetic of one model: what a recipe can say of the whole, of its router, and of each layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.ffn import Plain
from simulator.spec.layers.layer import Layer
from simulator.spec.model import Model

# By the number that kernels know them by; gelu in its tanh form, clipped_swiglu as gpt-oss has it.
ACTIVATIONS = ("silu", "gelu", "relu_squared", "clipped_swiglu")
# What most files call the norms of a layer: those before attention and feed-forward network, and those of what these put out.
NORMS = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")

ROUTER_SCALE = "ffn_gate_inp.scale"  # of what a router reads, which is normed by it (Gemma 4)

ALONE = ("attn_norm", "", "", "")  # where a layer is one block


@dataclass(frozen=True)
class Yarn:
    """Scaling that spares the pairs that turn often (arXiv 2309.00071)."""

    original: float  # positions that the model was first trained with
    fast: float = 32.0  # pairs that turn more often in these are not stretched at all
    slow: float = 1.0  # those that turn less often are stretched by the whole factor

    def kept(self, base: float, rotated: int) -> np.ndarray:
        """The share of each pair's frequency that is not stretched: float64 [pairs]."""
        turns = np.array([self.fast, self.slow])
        first, last = rotated * np.log(self.original / (2 * np.pi * turns)) / (2 * np.log(base))
        first, last = max(0.0, np.floor(first)), min(rotated - 1.0, np.ceil(last))
        return 1 - np.clip((np.arange(rotated // 2) - first) / max(0.001, last - first), 0, 1)


@dataclass(frozen=True)
class Rotation:
    """How queries and keys of a layer turn with their position."""

    base: float = 10_000.0
    factor: float = 1.0  # positions are divided by it (linear scaling)
    rotated: int | None = None  # dimensions of a head that turn; None is all
    halves: bool = True  # pairs are (i, i + half) as in NeoX; otherwise neighbours, as llama's files have them
    table: str = "rope_freqs"  # the vector whose factors divide the frequencies, where the file has it; empty for none
    long_table: str = ""  # the one in its place, where sequences may have more tokens than *original*
    original: float = 0.0
    yarn: Yarn | None = None
    magnitude: float = 1.0  # what turns is also multiplied by it

    def pairs(self, head_dim: int) -> int:
        """Pairs of dimensions that turn."""
        return (self.rotated or head_dim) // 2

    def table_for(self, context: int) -> str:
        """The table for sequences of so many tokens."""
        return self.long_table if self.long_table and context > self.original else self.table

    def frequencies(self, head_dim: int, factors: np.ndarray | None = None) -> np.ndarray:
        """Radians a position, of each pair: float64 [pairs]; *factors* are those of the table."""
        rotated = self.rotated or head_dim
        found = self.base ** (-np.arange(0, rotated, 2) / rotated)
        kept = self.yarn.kept(self.base, rotated) if self.yarn else 0.0
        found = found * kept + found / self.factor * (1 - kept)
        return found if factors is None else found / factors[: len(found)]


@dataclass(frozen=True)
class LayerRecipe:
    """What may differ from layer to layer."""

    rotation: Rotation | None = Rotation()  # None: nothing turns
    attention_scale: float | None = None  # None: head_dim ** -0.5


@dataclass(frozen=True)
class Temperature:
    """Queries that grow with their position: times 1 + scale * ln(1 + the whole lengths before it)."""

    scale: float
    length: float

    def at(self, positions: np.ndarray) -> np.ndarray:
        """What queries at these positions are multiplied by."""
        return 1 + self.scale * np.log1p(np.floor(positions / self.length))


@dataclass(frozen=True)
class RouterRecipe:
    """How a router's logits become the experts' shares."""

    renormalise: bool = True  # the chosen experts' shares add up to 1
    scale: float = 1.0
    sigmoid: bool = False  # a share is the sigmoid of the expert's own logit, not the softmax among all
    balances: bool = False  # a bias beside the router takes part in the choice only, not in the shares
    n_bands: int = 1  # experts fall into so many, of which only those are chosen from
    n_bands_used: int = 1  # whose two best add up to most


@dataclass(frozen=True)
class Recipe:
    """The arithmetic of one model."""

    layers: tuple[LayerRecipe, ...]
    epsilon: float = 1e-6  # of norms
    embedding_scale: float = 1.0
    activation: str = "silu"  # of feed-forward networks, one of ACTIVATIONS
    router: RouterRecipe = field(default_factory=RouterRecipe)
    norms: tuple[str, ...] = (
        NORMS  # what the file calls those of a layer, by their place as in NORMS; "" where there is none
    )
    expert_norms: tuple[
        str, ...
    ] = ()  # where experts stand beside a dense network: before them, of its output, of theirs
    norm: str = "rms"  # "layer" takes the mean out, too
    bare_norms: bool = False  # norms before the blocks have no weights
    is_parallel: bool = False  # attention and feed-forward network read the same state of the residual stream
    residual_scale: float = 1.0  # of what blocks put out
    logit_scale: float = 1.0  # logits are multiplied by it
    logit_cap: float = 0.0  # logits bend towards it: cap * tanh(logit / cap); 0 is none
    attention_cap: float = 0.0  # the same of scores
    clamp: float = 0.0  # queries, keys and values are kept within it, before all else; 0 is none
    norms_turned: bool = False  # queries and keys are normed after they are turned
    values_normed: bool = False  # each head of values is normed, without weights
    temperature: Temperature | None = None
    keys_in_turn: bool = False  # key heads of delta nets serve value heads in turn, otherwise as many side by side each
    scaled: bool = field(default=False, compare=False)  # whether a file may have scales of matrices' results
    renamed: tuple[tuple[str, str], ...] = ()  # what the file calls a tensor, and what it is called elsewhere
    notes: tuple[str, ...] = ()  # what a user should know of how the file was read

    def table_lengths(self, model: Model) -> Iterator[tuple[str, int]]:
        """The tables of factors that its rotations use, and how many factors each has."""
        for own, layer in zip(self.layers, model.stack, strict=True):
            if own.rotation and isinstance(layer.attention, GroupedQuery | Latent):
                width = getattr(layer.attention, "head_dim", own.rotation.rotated)
                for table in filter(None, (own.rotation.table, own.rotation.long_table)):
                    yield table, own.rotation.pairs(width)


def usual_norms(model: Model) -> tuple[str, ...]:
    """One for each layer where a layer is one block, or those of most files."""
    return ALONE if all(layer.norms == 1 for layer in model.stack) else NORMS


def usual_recipe(model: Model) -> Recipe:
    """The arithmetic of a model that no file tells anything of: what most of its kind do."""

    def of(layer: Layer) -> LayerRecipe:
        window = getattr(layer.attention, "window", None)
        return LayerRecipe(None if model.learned_positions else Rotation(table="" if window else "rope_freqs"))

    is_plain = any(isinstance(layer.ffn, Plain) for layer in model.stack)
    return Recipe(
        tuple(of(layer) for layer in model.stack),
        norms=usual_norms(model),
        norm="layer" if model.norm_bias else "rms",
        activation="gelu" if is_plain else "silu",
    )
