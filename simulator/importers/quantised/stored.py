"""The formats of a model as safetensors headers give them: the bytes of each tensor of the model, to the byte.

What a file holds for a module (values, scales, zero points, orders, tables) is that module's. Names that are unknown here in a
layer belong to those tensors of the layer which nothing else in the file is.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from simulator.importers.quantised.layouts import like_bits
from simulator.importers.quantised.modules import NORMS, Place, Roles, place_of
from simulator.importers.quantised.planes import exact
from simulator.importers.quantised.stated import Key, Table, slots
from simulator.importers.safetensors import HeldTensor
from simulator.spec.layers.tensor import Tensor
from simulator.spec.model import Model, tensor_bytes
from simulator.spec.quant import FORMATS, Format

PLAIN = {"F64": "f64", "F32": "f32", "F16": "f16", "BF16": "bf16"}
_FLOATS_8 = ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")
_ALIKE = 0.12  # how far bits may be from those that are stated, to be what is stated


@dataclass
class Held:
    """Bytes by tensor of the model, and what is none of them."""

    by_key: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    dtypes: dict[Key, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    predicting: int = 0  # of layers that predict further tokens
    elsewhere: int = 0  # of vision, audio and the like
    twice: int = 0  # of a head that is the embedding as well
    unknown: int = 0  # of tensors that the model has nothing for
    unknown_names: list[str] = field(default_factory=list)
    n_found: int = 0  # tensors whose names are known
    misshapen: list[tuple[str, int, int]] = field(
        default_factory=list
    )  # name, weights in the file, weights of the model

    @property
    def total_bytes(self) -> int:
        """Of the text model alone."""
        return sum(self.by_key.values())


def held_by(model: Model, tensors: Iterable[HeldTensor], numbers: Sequence[int]) -> Held:
    """Which bytes of a file belong to which tensor of the model, whose stored layers have these numbers in the file."""
    return _Sorting(model, numbers).sort(tensors)


Known = dict[str, list[tuple[Key, Tensor]]]  # by role; several where a layer of the file is several here


class _Sorting:
    """One pass over a header."""

    def __init__(self, model: Model, numbers: Sequence[int]):
        self.n_layers = 1 + max(numbers)
        self.layers: list[Known] = [{} for _ in range(self.n_layers)]
        self.outside: Known = {}
        for key, layer, tensor in slots(model):
            known = self.layers[numbers[key[0]]] if layer else self.outside
            known.setdefault(tensor.role, []).append((key, tensor))
        self.held = Held()
        self.left: dict[int | None, list[HeldTensor]] = defaultdict(list)
        # Of another size than what has their names, so they may be something else.
        self.doubtful: list[tuple[HeldTensor, Place, list[tuple[Key, Tensor]]]] = []

    def sort(self, tensors: Iterable[HeldTensor]) -> Held:
        """Every tensor to where it belongs."""
        heads = []
        for tensor in _experts_together(tensors):
            place = place_of(tensor.name, self.n_layers)
            if place.kind == "elsewhere":
                self.held.elsewhere += tensor.nbytes
            elif place.kind == "predicting":
                self.held.predicting += tensor.nbytes
            elif place.roles[:1] == (("output",),) and place.layer is None and "output" not in self.outside:
                heads.append(tensor)
            else:
                self._place(tensor, place)
        self._place_doubtful()
        self._place_heads(heads)
        self._share_out_left()
        return self.held

    def _known(self, layer: int | None) -> Known:
        return self.outside if layer is None else self.layers[layer]

    def _place_heads(self, heads: Sequence[HeldTensor]) -> None:
        """The head of a model whose head is its embedding: the same again, unless it stands there instead."""
        is_there = (0, "token_embd") in self.held.by_key
        for tensor in heads:
            same = self._free_and_as_large(tensor, self.outside)
            if same or not is_there:
                self.held.n_found += 1
                self._allot(tensor, [same] if same else self.outside["token_embd"])
            else:
                self.held.twice += tensor.nbytes

    def _place(self, tensor: HeldTensor, place: Place) -> None:
        known = self._known(place.layer)
        places = [each for role in _chosen(place, known) for each in known[role]]
        if not places:
            self.left[place.layer].append(tensor)
            return
        self.held.n_found += 1
        if _is_as_expected(tensor, place, [each for _, each in places]):
            self._allot(tensor, places)
        else:
            self.doubtful.append((tensor, place, places))

    def _place_doubtful(self) -> None:
        for tensor, place, places in self.doubtful:
            same = self._free_and_as_large(tensor, self._known(place.layer))
            if same is None and len(tensor.shape) > 1 and not places[0][1].is_vector:
                wanted = sum(each.params for _, each in places)
                self.held.misshapen.append((tensor.name, prod(tensor.shape), wanted))
            self._allot(tensor, [same] if same else places)

    def _free_and_as_large(self, tensor: HeldTensor, known: Known) -> tuple[Key, Tensor] | None:
        """A tensor of the model that has as many weights and nothing yet."""
        if tensor.dtype not in PLAIN:
            return None
        n_weights = prod(tensor.shape)
        places = (each for several in known.values() for each in several)
        return next((each for each in places if each[1].params == n_weights and each[0] not in self.held.by_key), None)

    def _allot(self, tensor: HeldTensor, places: Sequence[tuple[Key, Tensor]]) -> None:
        parts = _parts(tensor.nbytes, [each.params for _, each in places])
        for (key, _), part in zip(places, parts, strict=True):
            self.held.by_key[key] += part
            self.held.dtypes[key][tensor.dtype] += part

    def _share_out_left(self) -> None:
        """What has unknown names in a layer to those of its tensors that have nothing yet: of the same size, else by their sizes."""
        for layer, tensors in self.left.items():
            known, rest = self._known(layer), []
            for tensor in tensors:
                same = self._free_and_as_large(tensor, known) if self.held.n_found else None
                if same:
                    self._allot(tensor, [same])
                else:
                    rest.append(tensor)
            free = [each for places in known.values() for each in places if each[0] not in self.held.by_key]
            matrices = [each for each in free if not each[1].is_vector]
            for tensor in rest:
                if free and self.held.n_found:
                    self._allot(tensor, matrices or free)
                else:
                    self.held.unknown += tensor.nbytes
                    self.held.unknown_names.append(tensor.name)


def _is_as_expected(tensor: HeldTensor, place: Place, expected: Sequence[Tensor]) -> bool:
    """Whether what lies unpacked has as many weights as the model's, or as one of its experts; what is packed may be anything."""
    is_plain = tensor.dtype in PLAIN and place.suffix in ("weight", "", "linear.weight", "norm.scale")
    if not is_plain or 1 in tensor.shape[-1:]:
        return True
    n_weights, wanted = prod(tensor.shape), sum(each.params for each in expected)
    return any(n_weights * count == wanted for count in {1, *(each.copies for each in expected), len(expected)})


_EXPERT = re.compile(r"(?<=experts)\.\d+(?=\.)")


def _experts_together(tensors: Iterable[HeldTensor]) -> list[HeldTensor]:
    """The same with one tensor in place of each expert's, which has the shape of one and the bytes of all."""
    found: dict[tuple[str, str], HeldTensor] = {}
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for tensor in tensors:
        key = (_EXPERT.sub("", tensor.name), tensor.dtype)
        found.setdefault(key, tensor)
        sums[key] += tensor.nbytes
    return [HeldTensor(name, dtype, found[name, dtype].shape, n_bytes) for (name, dtype), n_bytes in sums.items()]


def _chosen(place: Place, known: Known) -> Sequence[str]:
    """The roles of the first alternative that this layer has; a bias without a tensor of its own goes with its matrix."""
    if place.is_bias:
        for alternative in place.roles:
            biases = [f"{role}.bias" for role in _written_out(alternative, known) if f"{role}.bias" in known]
            if biases:
                return biases
    for alternative in place.roles:
        found = [role for role in _written_out(alternative, known) if role in known]
        if found:
            return found
    return ()


def _written_out(alternative: Roles, known: Known) -> Sequence[str]:
    if NORMS in alternative:
        return [role for role in known if role.startswith("norm_") and not role.endswith(".bias")]
    return alternative


def _parts(n_bytes: int, weights: Sequence[int]) -> list[int]:
    """Whole bytes in proportion to *weights*."""
    total, done, found = sum(weights), 0, []
    given = 0
    for weight in weights:
        done += weight
        found.append(n_bytes * done // total - given)
        given += found[-1]
    return found


def formats_of(model: Model, held: Held, stated: Table, is_complete: bool) -> dict[Key, Format]:
    """The format of every tensor that the files hold; kernels are those of what is stated where the bits agree.

    Where all files are there, what they do not hold has no bytes.
    """
    found: dict[Key, Format] = {}
    for key, _, tensor in slots(model):
        if key in held.by_key:
            found[key] = _format(tensor, held.by_key[key], held.dtypes[key], stated[key])
        elif is_complete:
            found[key] = exact("absent", stated.get(key, FORMATS["bf16"]).kernel, 0.0, tensor.params)
    return found


def _format(tensor: Tensor, n_bytes: int, dtypes: Counter[str], stated: Format) -> Format:
    main = max(dtypes, key=dtypes.__getitem__)
    if main in PLAIN and tensor_bytes(tensor, FORMATS[PLAIN[main]]) == n_bytes:
        return FORMATS[PLAIN[main]]
    name, like = _called(8 * n_bytes / tensor.params, main, dtypes, stated)
    return exact(name, like, n_bytes / tensor.copies, tensor.params / tensor.copies)


def _called(bits: float, main: str, dtypes: Counter[str], stated: Format) -> tuple[str, str]:
    """A name, and whose kernels read it."""
    if main in PLAIN and bits > 12:
        return PLAIN[main], PLAIN[main]
    if abs(bits / stated.bits - 1) < _ALIKE:
        return stated.name, stated.kernel
    if main in _FLOATS_8:
        return "fp8", "fp8"
    if main == "I8" and bits > 7:
        return "int8", "int8"
    name = f"{bits:.2f} bits"
    if 4 <= bits < 6 and any(each in dtypes for each in _FLOATS_8):
        return name, "nvfp4"
    return name, like_bits(bits)
