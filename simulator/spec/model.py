"""A language model as its shapes: layers in order, the tensors of each, and how many weights that makes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal

from simulator.errors import printable
from simulator.spec.arguments import expect
from simulator.spec.layers.extra import Extra
from simulator.spec.layers.ffn import Experts
from simulator.spec.layers.layer import MAX_LAYERS, Item, Layer, Repeat, expand
from simulator.spec.layers.residual import AltUp, GatedResiduals, HyperConnections, PerLayerInput
from simulator.spec.layers.tensor import Tensor, Width, matrix, vector
from simulator.spec.quant import Format, Slot, Weights
from simulator.spec.schema import Field, OneOf, Spec, rule
from simulator.spec.stored import stored_layers, tensors_shared
from simulator.units import GIGA

Streams = Annotated[AltUp | HyperConnections | GatedResiduals, OneOf()]
Convention = Literal["with_both_embeddings", "without_input_embedding", "without_embeddings"]

CONVENTIONS = {
    "with_both_embeddings": "all weights but idle experts, input embedding and head included",
    "without_input_embedding": "what a token reads: the head counts, the embedding table does not",
    "without_embeddings": "layers only, neither embedding nor head",
}

# Held, not read in a step, and still among the weights that a token is said to use: embeddings, which the conventions above name, and
# what was made of a source.
_NAMED_APART = ("token_embd", "position_embd", "cross_attn_")


class PublishedCount(Spec):
    """A parameter count somebody else printed, in billions."""

    value: float = Field(gt=0)
    source: str
    rounded: bool = False
    counts: Convention | None = None  # which embeddings an active count includes
    deviation: float = Field(
        0.0, ge=-0.5, le=0.5
    )  # our count over it, minus 1, where no convention fits: see the notes


class Released(Spec):
    """When a model came out, or its paper did, where no more is known."""

    month: str
    source: str

    @rule
    def _check(self) -> None:
        if not re.fullmatch(r"(19|20)\d\d-(0[1-9]|1[0-2])", self.month):
            raise ValueError(f"month is a year and a month as in 2025-04, got {printable(self.month)!r}")


class Published(Spec):
    """What the model's makers, or tools that read its files, say of it."""

    released: Released | None = None
    measured: bool = False  # whether measurements of its speed are known, which says that people use it
    total_params_b: PublishedCount | None = None
    active_params_b: PublishedCount | None = None
    file_params_b: PublishedCount | None = None  # of a GGUF file, where it holds layers that no decoding step reads


class Model(Spec):
    """A language model: `layers` decode; `encoder`, where there is one, only occupies memory while they do."""

    name: str = Field(min_length=1, max_length=200)
    title: str = ""
    aliases: tuple[str, ...] = Field((), max_length=20)  # other names of models with these shapes
    sources: tuple[str, ...] = Field((), max_length=200)
    d_model: Width
    vocab: Width
    d_embed: Width | None = None  # width of embedding and head, where it is not d_model
    tied_head: bool = False
    has_head: bool = True
    head_rows: Width | None = None  # where the head has not a row for each of the embedding
    max_context: int | None = Field(None, ge=1, le=10**10)
    layers: tuple[Item, ...] = Field(min_length=1, max_length=MAX_LAYERS)
    repeats: tuple[int, ...] = Field(
        (), max_length=MAX_LAYERS
    )  # stored layers that those with shares_weights run again
    encoder: tuple[Item, ...] = Field((), max_length=MAX_LAYERS)
    norm_bias: bool = False
    final_norm: bool = True
    head_bias: bool = False
    learned_positions: int = Field(0, ge=0, le=10_000_000)
    per_layer_input: PerLayerInput | None = None
    streams: Streams | None = None  # several residual streams in place of one
    beside: tuple[Extra, ...] = Field((), max_length=100)  # further tensors outside the layers
    mtp_blocks: int | None = Field(None, ge=0, le=100)  # that predict further tokens and are no layers; None: not known
    mtp_layer: int | None = Field(None, ge=0, le=MAX_LAYERS)  # whose shape they have; None: the last
    unstored_params: int = Field(0, ge=0, le=10**15)  # weights that a library makes, no file holds and no token reads
    native_weights: str | None = None
    architecture: str | None = None  # what GGUF files of it call themselves, where a runtime goes by that
    published: Published = Published.model_construct()
    notes: str = ""

    @rule
    def _check(self) -> None:
        n_layers = sum(
            item.repeat * sum(layer.count for layer in item.layers) if isinstance(item, Repeat) else item.count
            for item in (*self.layers, *self.encoder)
        )
        if n_layers > MAX_LAYERS:
            raise ValueError(f"{n_layers} layers are too many (at most {MAX_LAYERS})")
        if not any(layer.tensors(self.d_model, False) for layer in self.stack):
            raise ValueError("a model needs a layer with attention or ffn")
        if self.mtp_layer is not None and self.mtp_layer >= len(self.stack):
            raise ValueError(f"mtp_layer {self.mtp_layer}: layers are numbered from 0 to {len(self.stack) - 1}")
        stored_layers(self.stack, self.repeats, self.d_model)

    @cached_property
    def stored_layers(self) -> tuple[int, ...]:
        """For each layer of the stack, which of the stored layers it is: one that runs again is an earlier one's."""
        return stored_layers(self.stack, self.repeats, self.d_model)

    @cached_property
    def n_stored_layers(self) -> int:
        """Layers with weights of their own."""
        return max(self.stored_layers) + 1

    @cached_property
    def _tensors_shared(self) -> Mapping[tuple[int, str], int]:
        return tensors_shared(self.shapes, self.stored_layers)

    @cached_property
    def stack(self) -> tuple[Layer, ...]:
        """The decoding layers one by one, from the input; equal ones are the same object."""
        seen: dict[Layer, Layer] = {}
        return tuple(seen.setdefault(layer, layer) for layer in expand(self.layers))

    @cached_property
    def shapes(self) -> tuple[tuple[Layer | None, tuple[int, ...], tuple[Tensor, ...]], ...]:
        """Every distinct layer as (layer, the indices at which it stands, its tensors).

        Entry 0 holds what stands outside the decoding layers, an encoder included: its layer is None.
        """
        outside = (None, (0,), tuple(self._outside()))
        places: dict[int, list[int]] = defaultdict(list)
        for index, layer in enumerate(self.stack):
            places[id(layer)].append(index)
        layers = [(self.stack[indices[0]], tuple(indices)) for indices in places.values()]
        beside = [tensor for part in self._beside for tensor in part.tensors(self.d_model)]
        return outside, *(
            (layer, indices, (*layer.tensors(self.d_model, self.norm_bias), *beside)) for layer, indices in layers
        )

    @property
    def embedding_width(self) -> int:
        """Values of a token's embedding."""
        return self.d_embed or self.d_model

    @property
    def n_logits(self) -> int:
        """Rows of the head."""
        return self.head_rows or self.vocab

    @property
    def _beside(self) -> tuple[PerLayerInput | AltUp | HyperConnections | GatedResiduals, ...]:
        return tuple(part for part in (self.per_layer_input, self.streams) if part is not None)

    @property
    def launches_beside(self) -> int:
        """Kernels of a layer for its own inputs and for several residual streams, beside those of their matrices."""
        return sum(part.launches for part in self._beside)

    def _outside(self) -> Iterator[Tensor]:
        yield matrix("token_embd", self.vocab, self.embedding_width, is_idle=True)
        if self.learned_positions:
            yield matrix("position_embd", self.learned_positions, self.d_model, is_idle=True)
        for layer in expand(self.encoder):
            for tensor in layer.tensors(self.d_model, self.norm_bias):
                yield replace(tensor, role=f"enc.{tensor.role}", is_idle=True)
        if self.final_norm:
            yield vector("output_norm", self.d_model)
            if self.norm_bias:
                yield vector("output_norm.bias", self.d_model)
        if self.has_head and not self.tied_head:
            yield matrix("output", self.n_logits, self.embedding_width)
        if self.head_bias:
            yield vector("output.bias", self.n_logits)
        if self.per_layer_input:
            yield from self.per_layer_input.outside(self.d_model, len(self.stack))
        if self.streams:
            yield from self.streams.outside(self.d_model)
        for each in self.beside:
            yield each.tensor()

    @cached_property
    def total_params(self) -> int:
        """Every weight, each once."""
        return self.unstored_params + sum(
            len(indices) * tensor.params
            for _, indices, tensors in self.shapes
            for tensor in tensors
            if not (tensor.is_again or tensor.is_buffer)
        )

    @property
    def params_of_file(self) -> float:
        """Weights that a GGUF file of it holds: with a layer for multi-token prediction, where there is one."""
        count = self.published.file_params_b
        return count.value * GIGA if count else self.total_params

    def active_params(self, counts: Convention) -> int:
        """Weights that one token uses, by the convention *counts*; an encoder's are left out."""
        active = sum(
            len(indices) * tensor.params * _active_share(layer, tensor)
            for layer, indices, tensors in self.shapes
            for tensor in tensors
            if not (tensor.role.startswith("enc.") or tensor.is_again or tensor.is_buffer or _rests(tensor))
        )
        embedding = self.vocab * self.embedding_width
        if counts == "with_both_embeddings":
            return round(active + self._table)
        if counts == "without_input_embedding":
            return round(active - (0 if self.tied_head else embedding) - self.learned_positions * self.d_model)
        head = 0 if self.tied_head or not self.has_head else self.n_logits * self.embedding_width
        return round(active - embedding - head - self.learned_positions * self.d_model)

    @property
    def _table(self) -> int:
        """Weights of the embeddings of each layer's own."""
        return sum(tensor.params for tensor in self.shapes[0][2] if tensor.role == "per_layer_token_embd")

    @cached_property
    def experts(self) -> tuple[Experts, ...]:
        """The expert networks of the decoding layers, in order; empty for a dense model."""
        return tuple(layer.ffn for layer in self.stack if isinstance(layer.ffn, Experts))

    def slot(self, index: int, layer: Layer | None, tensor: Tensor) -> Slot:
        """What a choice of formats may look at for one tensor: what is read again has the format it is stored in."""
        attention = layer.attention if layer else None
        stored = self.stored_layers[index] if layer else index
        return Slot(
            role=tensor.role,
            columns=tensor.columns,
            layer=self._tensors_shared.get((stored, tensor.role), stored) if layer else stored,
            n_layers=self.n_stored_layers,
            n_experts=layer.ffn.n_experts if layer and isinstance(layer.ffn, Experts) else 0,
            queries_per_kv=attention.queries_per_kv if attention else 1,
            is_vector=tensor.is_vector,
            tied=self.tied_head,
            is_mixture=bool(self.experts),
            vocab=self.vocab,
            n_runs=len(self.stack),
        )


def _rests(tensor: Tensor) -> bool:
    """Whether no token uses it whole: a row is looked up, an earlier layer's keys and values serve, or it is never read."""
    return tensor.is_idle and not tensor.role.startswith(_NAMED_APART)


def _active_share(layer: Layer | None, tensor: Tensor) -> float:
    """The share of a tensor that one token uses: n_active of n_experts, or all."""
    if layer is None or tensor.copies == 1 or not isinstance(layer.ffn, Experts):
        return 1.0
    return layer.ffn.n_active / layer.ffn.n_choices


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in one format, and in how many equal layers it is stored so."""

    tensor: Tensor
    shape: int  # which entry of the model's shapes it belongs to
    format: Format
    count: int
    nbytes: float  # of one of them, all its copies

    @property
    def total_bytes(self) -> float:
        """In all its layers."""
        return self.count * self.nbytes


@lru_cache(maxsize=2048)  # a score asks for some hundred models and formats, each several times
def store(model: Model, weights: Weights) -> tuple[StoredTensor, ...]:
    """The whole model in these formats, layer shapes and tensors in order; equal tensors of equal layers together.

    ValueError names a tensor whose rows do not divide into the blocks of its format.
    """
    return tuple(
        stored
        for shape, tensor, slots in _slots(model)
        for stored in _stored(shape, tensor, map(weights.choose, slots))
    )


@lru_cache(maxsize=256)
def store_of(model: Model, weights: Weights, shape: int, indices: tuple[int, ...]) -> tuple[StoredTensor, ...]:
    """The same of the layers of one shape that stand at *indices*."""
    places = [model.shapes[shape][1].index(index) for index in indices]
    return tuple(
        stored
        for each, tensor, slots in _slots(model)
        if each == shape
        for stored in _stored(shape, tensor, (weights.choose(slots[place]) for place in places))
    )


def _stored(shape: int, tensor: Tensor, formats: Iterable[Format]) -> list[StoredTensor]:
    return [StoredTensor(tensor, shape, fmt, n, tensor_bytes(tensor, fmt)) for fmt, n in Counter(formats).items()]


@lru_cache(maxsize=256)
def _slots(model: Model) -> tuple[tuple[int, Tensor, tuple[Slot, ...]], ...]:
    """Every tensor with the shape it belongs to, and what decides its format in each layer of that shape."""
    return tuple(
        (shape, tensor, tuple(model.slot(index, layer, tensor) for index in indices))
        for shape, (layer, indices, tensors) in enumerate(model.shapes)
        for tensor in tensors
    )


def weight_bytes(model: Model, weights: Weights) -> float:
    """Bytes of the whole model in these formats: what a file of it holds and what memory must hold."""
    return (
        sum(stored.total_bytes for stored in store(model, weights) if not stored.tensor.is_again) + weights.held_bytes
    )


def looked_up_bytes(model: Model, weights: Weights) -> float:
    """Bytes of embeddings of which a step only looks up rows: none of a head that is tied to them."""
    roles = ("position_embd", "per_layer_token_embd", "ngram_embd", *(() if model.tied_head else ("token_embd",)))
    return sum(stored.total_bytes for stored in store(model, weights) if stored.tensor.role in roles)


def tensor_bytes(tensor: Tensor, fmt: Format) -> float:
    """Bytes of one tensor, all copies, in one format; ValueError names the tensor whose rows do not divide."""
    try:
        return fmt.nbytes(tensor.rows, tensor.columns) * tensor.copies
    except ValueError as error:
        raise ValueError(f"{tensor.role}: {error}") from None


@dataclass(frozen=True)
class Loaded:
    """A model with what came beside its shapes: a file's own formats, and remarks for the reader."""

    model: Model
    weights: Weights | None = None  # None: the source has no weights, only shapes
    notes: tuple[str, ...] = ()
    path: Path | None = None  # the file that holds the weights, where one was read
    cache: str | None = None  # the format that the checkpoint is made to keep its cache in
    choice: str = "the file's own formats"  # why these weights
    is_own: bool = False  # somebody's own description of the layers, which may have misprints
    refusal: str = ""  # why what the source states of its weights is not understood, so that somebody must name them

    def __post_init__(self):
        expect("model", self.model, Model, "a Model, as load_model(...).model is")
        expect("weights", self.weights, (Weights, type(None)), "a Weights or None")
        expect("notes", self.notes, tuple, "a tuple of texts")
        expect("path", self.path, (Path, type(None)), "a Path or None")
        expect("cache", self.cache, (str, type(None)), "the name of a format or None")
        expect("choice", self.choice, str, "a text")
        expect("refusal", self.refusal, str, "a text")
        expect("is_own", self.is_own, bool, "True or False")
