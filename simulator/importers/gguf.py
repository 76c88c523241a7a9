"""A GGUF file as a model: the layers by the tensors they have, the rest by the keys of its architecture.

Every tensor keeps its own format, and every tensor of the file is one of the model's, or said to be left out: what is not understood
is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import InputError, describe, printable
from simulator.families.gguf import Architecture, architecture_of, why_no_forecast
from simulator.importers.gguf_file import MAX_POSITIONS, GgufFile, open_file_of
from simulator.importers.gguf_header import FileTensor, Header, read_header
from simulator.importers.gguf_layers import Read, check_known, read_layer
from simulator.importers.gguf_rest import (
    beside_layers,
    blocks_that_predict,
    held_remarks,
    roles_of_all_layers,
    streams_and_inputs,
    tensors_held,
)
from simulator.importers.gguf_stack import places
from simulator.spec.model import Loaded, Model, store, weight_bytes
from simulator.spec.quant import FORMATS, Format, Slot, Weights
from simulator.spec.schema import check
from simulator.units import counted, format_bytes


def load_gguf(path: Path) -> Loaded:
    """The model in a GGUF file, with every tensor in its own format; InputError if it is damaged, unknown or writes no text."""
    header = read_header(path)
    file = open_file_of(path, header, _architecture(path, header))
    _check_writes(file)
    return _Reader(file).load()


def _architecture(path: Path, header: Header) -> Architecture:
    name = header.keys.get("general.architecture")
    if not isinstance(name, str):
        raise InputError(f"{path}: general.architecture is missing, it names what the model is")
    reason = why_no_forecast(name)
    if reason:
        raise InputError(f"{path}: architecture {describe(name)} is {reason}")
    found = architecture_of(name)
    if found is None:
        raise InputError(
            f"{path}: architecture {describe(name)} is unknown, so its bytes per token would be a guess; describe the model in a "
            "YAML file like the shipped ones"
        )
    return found


def _check_writes(file: GgufFile) -> None:
    """InputError for decoders that a key turns into something else."""
    if file.key("attention.causal") is False:
        raise file.wrong(
            f"{file.kind.name}.attention.causal is false: the model sees a text in both directions, as what makes vectors of "
            "texts does, so there is no speed of writing to forecast"
        )
    if file.count("decision_block_count", 0):
        raise file.wrong(
            "a model with a head for decisions writes no text, so there is no speed of writing to forecast"
        )


@dataclass(frozen=True, eq=False)
class _Chooser:
    """The format in which a file has a tensor of the model; other processes can be sent it, without the file."""

    outside: Mapping[str, Format]  # by the file's names, as those of each stored layer
    layers: tuple[Mapping[str, Format], ...]
    norms: tuple[tuple[str, ...], ...]  # of each stored layer
    other: Format

    def __call__(self, slot: Slot) -> Format:
        there, role = self.layers[slot.layer], self.in_file(slot)
        return self.outside.get(role) or there.get(role) or there.get(role.removesuffix(".idle")) or self.other

    def in_file(self, slot: Slot) -> str:
        """The file's name of a tensor: norms of a layer have numbers in a model."""
        number, _, part = slot.role.removeprefix("norm_").partition(".")
        if number == slot.role or not number.isdecimal():
            return slot.role
        return ".".join(filter(None, [self.norms[slot.layer][int(number)], part]))


def _formats_of(tensors: Mapping[str, FileTensor]) -> dict[str, Format]:
    return {name: tensor.format for name, tensor in tensors.items()}


class _Reader:
    """From a file to a model, checked tensor by tensor against the file."""

    def __init__(self, file: GgufFile):
        self.file = file
        self.places = places(file)
        self.stored = [place.block for place in self.places if not place.is_again]  # blocks of the stored layers
        self.norms: list[tuple[str, ...]] = []  # of each stored layer
        self.outside: dict[str, FileTensor] = dict(
            file.outside
        )  # and what is held, under the names it has in the model

    def load(self) -> Loaded:
        """The model, its formats, and remarks."""
        check_known(self.file)
        model = self._model()
        weights = self._weights()
        try:
            store(model, weights)
        except ValueError as error:
            raise self.file.damaged(str(error)) from None
        notes = (*self._check(model, weights), *held_remarks(self.file), *self.file.header.notes)
        return Loaded(model, weights, notes, self.file.path)

    # ---- the model ----

    def _model(self) -> Model:
        file, outside = self.file, self.file.outside
        embedding = file.need(outside, "token_embd", "")
        name = file.header.keys.get("general.name")
        beside = streams_and_inputs(file, embedding.columns)
        layers = self._layers(embedding.columns, roles_of_all_layers(beside, embedding.columns, str(file.path)))
        self.norms = [layer.norms for layer, place in zip(layers, self.places, strict=True) if not place.is_again]
        norm_bias = "output_norm.bias" in outside and all(layer.has_norm_biases for layer in layers)
        held = tensors_held(file)
        self.outside |= held
        data = {
            "name": printable(file.path.stem, 100),
            "title": printable(name if isinstance(name, str) and name.strip() else file.path.stem, 100),
            "d_model": embedding.columns,
            "vocab": embedding.rows,
            "architecture": file.kind.family,
            "tied_head": "output" not in outside,
            "max_context": file.count("context_length", 0, at_most=MAX_POSITIONS) or None,
            "layers": [layer.data(norm_bias) for layer in layers],
            "repeats": [self.stored.index(place.block) for place in self.places if place.is_again],
            "norm_bias": norm_bias,
            "final_norm": "output_norm" in outside,
            "head_bias": "output.bias" in outside,
            "learned_positions": outside["position_embd"].rows if "position_embd" in outside else 0,
            **blocks_that_predict(file),
            **beside,
        }
        data["beside"] = beside_layers(file, data, held)
        return check(data, Model, str(file.path))

    def _layers(self, d_model: int, of_model: frozenset[str]) -> list[Read]:
        seen: dict[int, Read] = {}
        found = []
        for index, place in enumerate(self.places):
            if place.block not in seen:
                seen[place.block] = read_layer(self.file, place, index, len(self.places), d_model, of_model)
            found.append(seen[place.block].again() if place.is_again else seen[place.block])
        return found

    # ---- the formats, and whether the model is the file ----

    def _block(self, number: int) -> dict[str, FileTensor]:
        return self.file.blocks.get(number, {})

    def _weights(self) -> Weights:
        blocks = {number: _formats_of(self._block(number)) for number in self.stored}
        layers = tuple(blocks[number] for number in self.stored)
        norm = self.outside["output_norm"].format if "output_norm" in self.outside else FORMATS["f32"]
        choose = _Chooser(_formats_of(self.outside), layers, tuple(self.norms), norm)
        kinds: dict[str, float] = {}
        for tensor in self.file.header.tensors:
            kinds[tensor.format.name] = kinds.get(tensor.format.name, 0.0) + tensor.nbytes
        return Weights(f"{max(kinds, key=kinds.__getitem__)} file", choose)

    def _check(self, model: Model, weights: Weights) -> list[str]:
        """Every tensor of the model must be in the file with its size, and the other way round; returns remarks."""
        for layer, indices, tensors in model.shapes:
            for index in indices:
                number = self.places[index].block
                place, where = (self._block(number), f"blk.{number}.") if layer else (self.outside, "")
                self._check_block(place, tensors, where)
        file = self.file
        senses = sum(tensor.nbytes for tensor in file.senses)
        extra = file.header.tensor_bytes - senses - weight_bytes(model, weights)
        if abs(extra) > 0.5:
            raise file.wrong(f"{format_bytes(abs(extra))} of its tensors are not those of a {file.kind.name} model")
        window = file.key("attention.sliding_window")
        if window and not any(
            getattr(layer.attention, "window", None) or getattr(layer.attention, "chunk", None) for layer in model.stack
        ):
            return [
                f"the file states a window of {describe(window)} tokens; all layers are counted as seeing everything"
            ]
        return []

    def _check_block(self, place: dict[str, FileTensor], tensors, where: str) -> None:
        for tensor in tensors:
            found = place.get(tensor.role) or place.get(tensor.role.removesuffix(".idle"))
            if found is None:
                if not (tensor.is_vector and tensor.role.startswith("norm_")):
                    raise self.file.wrong(
                        f"tensor {where}{tensor.role} is missing, a {self.file.kind.name} model needs it"
                    )
            elif found.rows * found.columns != tensor.params or not (
                tensor.is_vector or found.columns == tensor.columns
            ):
                wanted = f"{counted(tensor.rows * tensor.copies, 'row')} of {tensor.columns:,}"
                raise self.file.wrong(
                    f"tensor {printable(found.name)} has {counted(found.rows, 'row')} of {found.columns:,}, "
                    f"{wanted} were expected from the other tensors and keys"
                )
