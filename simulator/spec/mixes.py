"""The named mixes of GGUF files, such as q4_k_m: which tensors get more or fewer bits than the rest.

Written after the rules of llama.cpp's quantisation tool (src/llama-quant.cpp), which are data of that program and not
in any document. Importance matrices are assumed for the IQ mixes, as published files have them, and not for the others.
A fused attn_qkv has rules of its own, as in files made before March 2026. Checked in the tests against the sizes of
published files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from simulator.errors import InputError, hint
from simulator.spec.quant import (
    FAMILIES,
    FORMATS,
    RARE,
    Format,
    Slot,
    Weights,
    format_called,
    is_kept,
    is_kept_wide,
    is_of_one_model,
    parse_bits,
    uniform,
)
from simulator.spec.recipes import PARTS, RECIPES, UNSLOTH, holds

SUPER_BLOCK = 256
# Where a row does not divide into super-blocks of 256, a format of blocks of 32 takes over.
_FALLBACK = {
    "tq1_0": "q4_0", "tq2_0": "q4_0", "q2_k": "iq4_nl", "q3_k": "iq4_nl", "iq1_s": "iq4_nl", "iq1_m": "iq4_nl",
    "iq2_xxs": "iq4_nl", "iq2_xs": "iq4_nl", "iq2_s": "iq4_nl", "iq3_xxs": "iq4_nl", "iq3_s": "iq4_nl", "iq4_xs": "iq4_nl",
    "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0",
}  # fmt: skip

# Mix: the format that most tensors get.
_BASE = {
    "q2_k": "q2_k", "q2_k_s": "q2_k", "q3_k_s": "q3_k", "q3_k_m": "q3_k", "q3_k_l": "q3_k", "q4_0": "q4_0", "q4_1": "q4_1",
    "q4_k_s": "q4_k", "q4_k_m": "q4_k", "q5_0": "q5_0", "q5_1": "q5_1", "q5_k_s": "q5_k", "q5_k_m": "q5_k", "q6_k": "q6_k",
    "q8_0": "q8_0", "iq1_s": "iq1_s", "iq1_m": "iq1_m", "iq2_xxs": "iq2_xxs", "iq2_xs": "iq2_xs", "iq2_s": "iq2_xs",
    "iq2_m": "iq2_s", "iq3_xxs": "iq3_xxs", "iq3_xs": "iq3_s", "iq3_s": "iq3_s", "iq3_m": "iq3_s", "iq4_nl": "iq4_nl",
    "iq4_xs": "iq4_xs", "tq1_0": "tq1_0", "tq2_0": "tq2_0", "mxfp4": "mxfp4",
}  # fmt: skip
MIXES = tuple(_BASE)

_TWO_BIT = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m")


# Every name of weights by what it is: where `list formats` and a runtime's `loads` find them.
GROUPS: dict[str, tuple[str, ...]] = {**FAMILIES, "mixes of llama.cpp": MIXES, "mixes by recipe": tuple(RECIPES)}
_NAMES = (*MIXES, *UNSLOTH, *FORMATS)  # in any spelling; other recipes are written out
_MADE_UP = re.compile(r"(?:mixed:)?(?:byteshape-)?(.+)")


@lru_cache(maxsize=1024)  # so that one name is one value, of which models are stored once
def parse_weights(text: str) -> Weights:
    """The formats of a whole model: a mix, a format, `2.70bpw`, or some parts in one and the rest in another.

    `mxfp4+bf16` is experts and rest, `head:q8_0+q4_0` names the part (one of PARTS), `q4_k@4.71bpw` is a format with
    what some of its tensors have more or less in it.
    """
    name = _without_collection(text)
    if "+" in name:
        return _by_parts(name, text)
    known = weights_called(name)
    if known in RECIPES:
        return _by_recipe(known)
    return mix(known) if known in _BASE else _whole(_parse_format(name, text))


def _whole(fmt: Format) -> Weights:
    """Every matrix in one format, or what takes its place where a row does not divide into super-blocks."""
    weights = uniform(fmt)
    if fmt.name not in _FALLBACK:
        return weights
    return Weights(fmt.name, lambda slot: _fitted(weights.choose(slot), slot.columns))


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
    rest = parse_weights(last)

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
        made_up, like = parse_bits(bits.strip()), FORMATS.get(weights_called(base) or "")
        if made_up is None or like is None:
            raise InputError(f"weights {text[:60]!r}: {name[:30]!r} is not of the form q4_k@4.71bpw")
        return Format(f"{like.name}@{made_up.name}", 1, made_up.block_bytes, like=like.name)
    fmt = parse_bits(base) or FORMATS.get(weights_called(base) or "")
    if fmt is None and is_of_one_model(name):
        raise InputError(
            f"weights {text[:60]!r}: which tensors get what differs by model in such mixes, so give the GGUF file, or its size "
            "as in 4.9bpw"
        )
    if fmt is None:
        guess = hint(name, sorted(each for each in _NAMES if each not in RARE))
        guess = f"; {guess}" if guess.startswith("did") else ""
        raise InputError(
            f"weights {text[:60]!r} are unknown (see roofcast list formats, or write a size such as 4.5bpw){guess}"
        )
    return fmt


def mix(name: str) -> Weights:
    """The mix called *name*, as llama.cpp's quantisation tool makes it."""
    return Weights(name, lambda slot: FORMATS[_choose(name, slot)])


def _choose(name: str, slot: Slot) -> str:
    if is_kept(slot):
        return "f32"
    if is_kept_wide(slot.role):
        return "bf16"
    if name == "mxfp4":  # llama.cpp's MXFP4_MOE: routed experts alone
        return "mxfp4" if slot.role.endswith("_exps") else "q8_0"
    return _fitting(_wanted(name, slot), slot.columns)


def _fitted(fmt: Format, columns: int) -> Format:
    """A format, or what llama.cpp's tool takes where a row does not divide into its super-blocks."""
    return FORMATS[_fitting(fmt.name, columns)] if fmt.name in _FALLBACK else fmt


def _fitting(fmt: str, columns: int) -> str:
    if columns % FORMATS[fmt].block == 0:
        return fmt
    fmt = _FALLBACK.get(fmt, fmt)
    return fmt if columns % FORMATS[fmt].block == 0 else "f16"


@dataclass(frozen=True)
class _Where:
    """A tensor's place, in the terms of the rules."""

    role: str
    layer: int
    n_layers: int
    many_queries: bool  # at least four query heads share a key and value head
    eight_experts: bool

    def first(self, part: int) -> bool:
        """Whether it stands in the first n/part layers."""
        return self.layer < self.n_layers // part

    @property
    def matters_more(self) -> bool:
        """The first and last eighth of the layers, and every third between them."""
        eighth = self.n_layers // 8
        return self.layer < eighth or self.layer >= 7 * self.n_layers // 8 or (self.layer - eighth) % 3 == 2


def _wanted(name: str, slot: Slot) -> str:
    base = _BASE[name]
    role = slot.role.removesuffix("_exps").removesuffix("_shexp")
    if role == "output" or (role in ("token_embd", "per_layer_token_embd") and slot.tied):
        return _head(name, base, slot.columns)
    if role in ("token_embd", "position_embd", "per_layer_token_embd"):
        return _embedding(name, base)
    where = _Where(role, slot.layer, slot.n_layers, slot.queries_per_kv >= 4, slot.n_experts == 8)
    if name in _TWO_BIT:
        return _two_bit(name, base, where, slot.n_experts)
    rule = _RULES.get(role)
    return (rule(name, where) if rule else None) or base


def _head(name: str, base: str, columns: int) -> str:
    if columns % SUPER_BLOCK:
        return "q8_0"
    if name in _TWO_BIT or name == "iq3_xxs":
        return "q5_k"
    return base if base == "q8_0" else "q6_k"


def _embedding(name: str, base: str) -> str:
    if name in ("iq2_xxs", "iq2_xs", "iq1_s", "iq1_m"):
        return "q2_k"
    if name in ("iq2_s", "iq2_m", "iq3_xxs"):
        return "iq3_s"
    return "q4_k" if name in ("tq1_0", "tq2_0") else base


def _two_bit(name: str, base: str, where: _Where, n_experts: int) -> str:
    richer = name in ("iq2_s", "iq2_m")
    if where.role == "attn_v":
        return "q4_k" if where.many_queries or n_experts >= 4 else "iq3_s" if richer else "q2_k"
    if where.role == "attn_k" and where.eight_experts:
        return "q4_k"
    if where.role == "ffn_down" and where.first(8):
        return "iq3_s" if richer else "q2_k"
    if where.role == "attn_output":
        if where.eight_experts:
            return "q5_k"
        return "iq2_xxs" if name in ("iq1_s", "iq1_m") else "iq3_s" if richer else base
    return base


def _attn_v(name: str, where: _Where) -> str | None:
    found = None
    if name == "q2_k":
        found = "q4_k" if where.many_queries else "q3_k"
    elif (name in ("q2_k_s", "iq3_xxs", "iq3_xs", "iq3_s") and where.many_queries) or name == "iq3_m":
        found = "q4_k"
    elif name == "q3_k_m":
        found = "q5_k" if where.layer < 2 else "q4_k"
    elif name == "q3_k_l" or (name in ("iq4_nl", "iq4_xs") and where.many_queries):
        found = "q5_k"
    elif name in ("q4_k_m", "q5_k_m") and where.matters_more:
        found = "q6_k"
    elif name == "q4_k_s" and where.layer < 4:
        found = "q5_k"
    if where.n_layers == 80 and where.many_queries and (found or _BASE[name]) in ("q3_k", "q4_k"):
        found = "q5_k"  # the 70B models: eight query heads share one, so the tensor is small
    return "q8_0" if where.eight_experts else found


def _attn_k(name: str, where: _Where) -> str | None:
    if where.eight_experts:
        return "q8_0"
    return {"iq3_xs": "iq3_xxs", "iq3_xxs": "iq2_s"}.get(name)


def _attn_q(name: str, _: _Where) -> str | None:
    return {"iq3_xs": "iq3_xxs", "iq3_xxs": "iq2_s"}.get(name)


def _attn_output(name: str, where: _Where) -> str | None:
    if where.eight_experts:
        raised = (
            "q2_k",
            "iq3_xs",
            "iq3_xxs",
            "q3_k_s",
            "q3_k_m",
            "iq4_nl",
            "q4_k_s",
            "q4_k_m",
            "iq3_s",
            "iq3_m",
            "iq4_xs",
        )
        return "q5_k" if name in raised else None
    return {"q2_k": "q3_k", "iq3_xxs": "iq3_s", "q3_k_m": "q4_k", "q3_k_l": "q5_k", "iq3_m": "q4_k"}.get(name)


def _attn_qkv(name: str, _: _Where) -> str | None:
    return {"q3_k_m": "q4_k", "q3_k_l": "q4_k", "iq3_m": "q4_k", "q4_k_m": "q5_k", "q5_k_m": "q6_k"}.get(name)


def _ffn_down(name: str, where: _Where) -> str | None:
    if name == "q3_k_m":
        return "q5_k" if where.first(16) else "q4_k"
    if name == "q2_k_s":
        return "q4_k" if where.first(8) else None
    if name == "iq3_m":
        return "q4_k" if where.first(8) or (where.eight_experts and where.matters_more) else None
    if name in ("q4_k_m", "q5_k_m"):
        return "q6_k" if where.matters_more else None
    if name == "q4_k_s":
        return "q5_k" if where.first(8) else None
    return {"q2_k": "q3_k", "q3_k_l": "q5_k"}.get(name)


def _ffn_gate_up(name: str, where: _Where) -> str | None:
    middle = where.n_layers // 8 <= where.layer < 7 * where.n_layers // 8
    return "iq3_xxs" if name == "iq3_xs" and middle else None


_RULES = {
    "attn_v": _attn_v,
    "attn_k": _attn_k,
    "attn_q": _attn_q,
    "attn_output": _attn_output,
    "attn_qkv": _attn_qkv,
    "ffn_down": _ffn_down,
    "ffn_gate": _ffn_gate_up,
    "ffn_up": _ffn_gate_up,
}


def base_format(name: str) -> Format:
    """What most tensors of the mix called *name* are stored in."""
    return FORMATS[_BASE[name]]
