"""Formats that give a model the size its file has: a mix by name is rarely the whole truth, the size is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from simulator.errors import InputError
from simulator.importers.records import Unusable
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, Model, weight_bytes
from simulator.spec.quant import FORMATS, Format, Weights, bits_per_weight
from simulator.spec.recipes import RECIPES, holds
from simulator.spec.textfiles import read_csv

SAME_SIZE = 0.03  # the named mixes reproduce published file sizes within 0.6 %: what differs more is another mix
CLOSE = 0.006  # of a mix with another head, which is searched for
# What a part of a mix may have, times what its name says: beyond, it is something else.
LEAST, MOST = 0.8, 1.4
HEADS = ("q8_0", "q6_k", "f16", "bf16", "q5_k", "q4_k")  # that people give to embeddings and head
_FILES = {"mxfp4": "mxfp4_moe"}  # what GGUF files of a checkpoint in such a format are, whose experts alone are in it
FIRST_DYNAMIC = "2026-01"  # since when Unsloth's files hold what their recipe says
_SIZES = Path(__file__).with_name("file_sizes.csv")


@dataclass(frozen=True)
class Choice:
    """The model that is meant, and its formats."""

    loaded: Loaded
    weights: str | None  # None: the loaded file's own
    assumed: tuple[str, ...] = ()


def with_formats(loaded: Loaded, label: str | None, bits: float | None, date: str = "") -> Choice:
    """A model in the formats that a label and a number of bits for each weight mean together; one of them may be None.

    *date*: when it was measured, as 2026-02, where that is known.
    """
    return _with_formats(loaded, label, bits, _is_recent(loaded.model, date))


@lru_cache(maxsize=4096)  # rows of one series ask the same
def _with_formats(loaded: Loaded, label: str | None, bits: float | None, is_recent: bool) -> Choice:
    if label and bits is None:
        return _by_name(loaded, label, is_recent)
    if label and label not in RECIPES and suits(loaded, label, bits):
        return Choice(loaded, label)
    # A checkpoint whose experts come quantised keeps them so: gpt-oss files labelled F16 hold mxfp4.
    native = loaded.model.native_weights
    for name in (_FILES.get(native, native), f"{native}+{label}", f"{native}+bf16") if native else ():
        if suits(loaded, name, bits):
            return Choice(loaded, name)
    if not 0.1 <= bits <= 64:
        raise Unusable("the size of the weights does not suit the model")
    target = bits * loaded.model.total_params / 8
    for name in _variants(loaded.model, label, target, is_recent) if label else ():
        return Choice(loaded, name, (f"{label} as large as the file is: {name}",))
    odd = f"labelled {label}, but of another size: counted by it" if label else "weights known by their size"
    return Choice(loaded, bits_per_weight(bits).name, (f"{odd}, the same for every tensor",))


def suits(loaded: Loaded, name: str | None, bits: float, within: float = SAME_SIZE) -> bool:
    """Whether a model in these formats has *bits* for each weight."""
    ours = _size(loaded.model, parse(name) if name else loaded.weights)
    return ours is not None and abs(8 * ours / loaded.model.total_params / bits - 1) <= within


def parse(name: str) -> Weights | None:
    """The formats of that name; None where there are none."""
    try:
        return parse_weights(name)
    except InputError:
        return None


def _size(model: Model, weights: Weights | None) -> float | None:
    try:
        return weight_bytes(model, weights) if weights else None
    except ValueError:  # rows that do not divide into its blocks
        return None


def _by_name(loaded: Loaded, label: str, is_recent: bool) -> Choice:
    recipe = RECIPES.get(label)
    if recipe is None:
        return Choice(loaded, label)
    if recipe.before and not is_recent:
        assumed = f"size of {label} not stated: as {recipe.before}, close to which such files made before 2026 are"
        return Choice(loaded, recipe.before, (assumed,))
    return Choice(loaded, label, (f"size of {label} not stated: by the formats that such files have",))


def _is_recent(model: Model, date: str) -> bool:
    """Whether a file of a model is of 2026, by when it was measured, or else by when the model came out."""
    released = model.published.released
    return (date or (released.month if released else FIRST_DYNAMIC)) >= FIRST_DYNAMIC


# ---- a mix that has the size ----


def _variants(model: Model, label: str, target: float, is_recent: bool) -> Iterator[str]:
    """Ways in which a mix of that name comes to *target* bytes, the likeliest first."""
    recipe = RECIPES.get(label)
    if recipe is None:
        yield from _with_other_head(model, label, target)
        mixes = (label,)
    else:
        plain = recipe.before or label
        mixes = (label, plain) if is_recent else (plain, label)
    for name in mixes:
        yield from _with_bulk(model, "experts" if model.experts else "layers", name, target)


def _with_other_head(model: Model, label: str, target: float) -> Iterator[str]:
    for fmt in HEADS:
        name = f"head:{fmt}+{label}" if model.tied_head else f"head:{fmt}+embedding:{fmt}+{label}"
        size = _size(model, parse(name))
        if size is not None and abs(size / target - 1) <= CLOSE:
            yield name


def _with_bulk(model: Model, part: str, rest: str, target: float) -> Iterator[str]:
    """The mix with one part in what is left of *target*, where that is near what the mix has there."""
    weights = parse(rest)
    size = _size(model, weights)
    if size is None:
        return
    usual, formats = 0.0, Counter[Format]()
    for layer, indices, tensors in model.shapes:
        for tensor in tensors:
            slots = [model.slot(index, layer, tensor) for index in indices]
            for slot in (slot for slot in slots if holds(part, slot)):
                fmt = weights.choose(slot)
                formats[fmt] += tensor.params
                usual += fmt.nbytes(tensor.rows, tensor.columns) * tensor.copies
    n_weights, left = formats.total(), target - (size - usual)
    if n_weights and _least(formats) <= left / usual <= MOST:
        most = formats.most_common(1)[0][0].kernel
        base = f"{most}@" if most in FORMATS else ""
        yield f"{part}:{base}{bits_per_weight(8 * left / n_weights).name}+{rest}".removeprefix("experts:")


def _least(formats: Counter[Format]) -> float:
    """How much less a part may have than its formats say: mixes from 4 bits on give more than their base, never less."""
    base = min(formats, key=lambda each: each.bits)
    usual = sum(fmt.bits * n for fmt, n in formats.items()) / formats.total()
    return 0.99 * base.bits / usual if base.bits > 4 else LEAST


# ---- sizes that others know ----


@lru_cache(maxsize=1)
def _published() -> dict[tuple[str, str], tuple[float, str]]:
    rows = read_csv(_SIZES, 10_000)[1]
    return {(row["model"], row["weights"]): (float(row["bytes"]), row["source"]) for _, row in rows}


def published_size(model: Model, weights: str) -> tuple[float, str] | None:
    """Bytes of the published file of a model in a mix, and where it is; None where none is known."""
    return _published().get((model.name, weights))
