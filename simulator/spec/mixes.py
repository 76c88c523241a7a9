"""The formats of a whole model by a name: one of a file's mixes, a checkpoint's format, or parts in a format each.

A name means the file that the tool of that name makes: `q4_k` is the mix q4_k_m, as llama-quantize has it, and `pure:q4_k`
every matrix in blocks of that type.
"""

from __future__ import annotations

import re
from functools import lru_cache

from simulator.errors import InputError, hint
from simulator.spec.ik_mixes import IK_MIXES, ik_format
from simulator.spec.llama_mixes import FALLBACK, LLAMA_MIXES, fitting, llama_format
from simulator.spec.quant import (
    FAMILIES,
    FORMATS,
    PLAIN,
    RARE,
    TENSORS_ONLY,
    Format,
    Slot,
    Weights,
    every_matrix,
    format_called,
    is_of_one_model,
    parse_bits,
    uniform,
)
from simulator.spec.recipes import PARTS, RECIPES, UNSLOTH, holds

PURE = "pure:"  # before a type of blocks: every matrix in it, as llama-quantize --pure makes it
MIXES = (*LLAMA_MIXES, *IK_MIXES)
# Every name of weights by what it is: where `list formats` and a runtime's `loads` find them.
GROUPS: dict[str, tuple[str, ...]] = {
    **FAMILIES,
    "mixes of llama.cpp": tuple(LLAMA_MIXES),
    "mixes of ik_llama.cpp": tuple(IK_MIXES),
    "mixes by recipe": tuple(RECIPES),
}
# In any spelling; other recipes are written out.
_NAMES = tuple(dict.fromkeys([*MIXES, *UNSLOTH, *(name for name in FORMATS if name not in TENSORS_ONLY)]))
_MADE_UP = re.compile(r"(?:mixed:)?(?:byteshape-)?(.+)")


@lru_cache(maxsize=1024)  # so that one name is one value, of which models are stored once
def parse_weights(text: str) -> Weights:
    """The formats of a whole model: a mix, a format, `2.70bpw`, or some parts in one and the rest in another.

    `mxfp4+bf16` is experts and rest, `head:q8_0+q4_0` names the part (one of PARTS), `q4_k@4.71bpw` is a format with
    what some of its tensors have more or less in it, `pure:q4_k` every matrix in blocks of that type.
    """
    name = _without_collection(text)
    if "+" in name:
        return _by_parts(name, text)
    if name.startswith(PURE):
        return _pure(_parse_format(name.removeprefix(PURE), text))
    known = weights_called(name)
    if known in RECIPES:
        return _by_recipe(known)
    if known in MIXES:
        return mix(known)
    _refuse_type_of_tensors(name, text)
    return uniform(FORMATS[known] if known else _parse_format(name, text))


def _pure(fmt: Format) -> Weights:
    """Every matrix in one format, embeddings and head as well, or what takes its place where a row does not divide."""
    if fmt.name in PLAIN:
        return uniform(fmt)
    weights = every_matrix(fmt)
    return Weights(f"{PURE}{fmt.name}", lambda slot: _fitted(weights.choose(slot), slot.columns))


def _refuse_type_of_tensors(name: str, text: str) -> None:
    found = format_called(name, TENSORS_ONLY)
    if found:
        raise InputError(
            f"weights {text[:60]!r}: {found} is a type of single tensors, of which no tool makes a whole file; for every matrix in it "
            f"write {PURE}{found}"
        )


def _without_collection(text: str) -> str:
    """A name without what collections of measurements put before it: `mixed:ud-q4_k_xl`, `byteshape-3.87bpw`."""
    match = _MADE_UP.fullmatch(text.strip().lower())
    return match[1].strip() if match else ""


def _by_parts(name: str, text: str) -> Weights:
    """Parts in a format each, `experts` where none is named, and what is left as the last name has it."""
    *named, last = name.split("+")
    formats: dict[str, Format] = {}
    for each in named:
        part, colon, fmt = each.rpartition(":")
        part = part.strip() if colon else "experts"
        if part not in PARTS:
            raise InputError(f"weights {text[:60]!r}: {part[:30]!r} is no part of a model, {hint(part, PARTS)}")
        if part in formats:
            twice = f"{part} {'are' if part.endswith('s') else 'is'} named twice"
            raise InputError(f"weights {text[:60]!r}: {twice}, write parts as in head:q8_0+mxfp4+bf16")
        formats[part] = _parse_format(fmt, text)
    rest = parse_weights(last.strip())

    def choose(slot: Slot) -> Format:
        found = next((fmt for part, fmt in formats.items() if holds(part, slot)), None)
        return _fitted(found, slot.columns) if found else rest.choose(slot)

    written = (fmt.name if part == "experts" else f"{part}:{fmt.name}" for part, fmt in formats.items())
    return Weights("+".join([*written, rest.name]), choose)


def _by_recipe(name: str) -> Weights:
    mixture, dense = parse_weights(RECIPES[name].mixture), parse_weights(RECIPES[name].dense)
    return Weights(name, lambda slot: (mixture if slot.is_mixture else dense).choose(slot))


def weights_called(text: str) -> str | None:
    """The mix or format that *text* means in any spelling; None where none is, InputError where several may be."""
    name = _without_collection(text)
    if parse_bits(name):
        return None
    return name if name in RECIPES else format_called(name, _NAMES)


def formats_in(name: str) -> tuple[str, ...]:
    """The formats and mixes that a name is made of, those of a recipe for it: what a runtime must load."""
    found: list[str] = []
    for written in _without_collection(name).split("+"):
        plain = written.rpartition(":")[2].partition("@")[0].strip()
        recipe = RECIPES.get(plain)
        found += (*formats_in(recipe.mixture), *formats_in(recipe.dense)) if recipe else (plain,)
    return tuple(dict.fromkeys(found))


def _parse_format(name: str, text: str) -> Format:
    base, at, bits = name.strip().partition("@")
    if at:
        made_up, like = parse_bits(bits.strip()), FORMATS.get(format_called(base, FORMATS) or "")
        if made_up is None or like is None:
            raise InputError(f"weights {text[:60]!r}: {name[:30]!r} is not of the form q4_k@4.71bpw")
        return Format(f"{like.name}@{made_up.name}", 1, made_up.block_bytes, like=like.name)
    fmt = parse_bits(base) or FORMATS.get(format_called(base, FORMATS) or "")
    if fmt is None and is_of_one_model(name):
        raise InputError(
            f"weights {text[:60]!r}: which tensors get what differs by model in such mixes, so give the GGUF file, or its size "
            "as in 4.9bpw"
        )
    if fmt is None and "," in text:
        raise InputError(
            f"weights {text[:60]!r} are several formats, and one is needed here: give one, and run it again for the next"
        )
    if fmt is None:
        guess = hint(name, sorted({*_NAMES, *FORMATS} - RARE))
        guess = f"; {guess}" if guess.startswith("did") else ""
        raise InputError(
            f"weights {text[:60]!r} are unknown (see roofcast list formats, or write a size such as 4.5bpw){guess}"
        )
    return fmt


def mix(name: str) -> Weights:
    """The mix called *name*, as the quantisation tool of llama.cpp or ik_llama.cpp makes it."""
    chosen = llama_format if name in LLAMA_MIXES else ik_format
    return Weights(name, lambda slot: FORMATS[chosen(name, slot)])


def _fitted(fmt: Format, columns: int) -> Format:
    """A format, or what llama.cpp's tool takes where a row does not divide into its super-blocks."""
    return FORMATS[fitting(fmt.name, columns)] if fmt.name in FALLBACK else fmt


def base_format(name: str) -> Format:
    """What most tensors of the mix called *name* are stored in."""
    return FORMATS[LLAMA_MIXES.get(name) or IK_MIXES[name]]
