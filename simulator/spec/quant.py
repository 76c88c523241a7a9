"""How a weight or a cached value is stored: so many elements in a block of so many bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from simulator.errors import InputError, hint
from simulator.spec.names import listed, words


@dataclass(frozen=True)
class Format:
    """A number format: `block` elements, all of one row, share `block_bytes` bytes."""

    name: str
    block: int
    block_bytes: float  # fractional for packed zero points, a plain `2.70bpw` and the ideal ternary

    @property
    def bits(self) -> float:
        """Bits per element, scales included."""
        return 8 * self.block_bytes / self.block

    def nbytes(self, rows: float, columns: int) -> float:
        """Bytes of *rows* rows of *columns* elements; ValueError if the columns do not divide into blocks."""
        if columns % self.block:
            raise ValueError(f"a row of {columns} elements does not divide into {self.name} blocks of {self.block}")
        return rows * (columns // self.block) * self.block_bytes


# Name: (elements, bytes as the sum of their parts). GGUF's blocks are those of ggml's block structures:
# scales (2-byte floats) + packed scales + high bits + low bits.
_BLOCKS = {
    "f64": (1, 8),
    "f32": (1, 4),
    "f16": (1, 2),
    "bf16": (1, 2),
    "i8": (1, 1),
    "i16": (1, 2),
    "i32": (1, 4),
    "i64": (1, 8),
    "q1_0": (128, 2 + 16),
    "q4_0": (32, 2 + 16),
    "q4_1": (32, 2 + 2 + 16),
    "q5_0": (32, 2 + 4 + 16),
    "q5_1": (32, 2 + 2 + 4 + 16),
    "q8_0": (32, 2 + 32),
    "q8_1": (32, 4 + 4 + 32),
    "q2_k": (256, 2 + 2 + 16 + 64),
    "q3_k": (256, 2 + 12 + 32 + 64),
    "q4_k": (256, 2 + 2 + 12 + 128),
    "q5_k": (256, 2 + 2 + 12 + 32 + 128),
    "q6_k": (256, 2 + 16 + 64 + 128),
    "q8_k": (256, 4 + 256 + 32),
    "iq1_s": (256, 2 + 16 + 32),
    "iq1_m": (256, 8 + 16 + 32),
    "iq2_xxs": (256, 2 + 64),
    "iq2_xs": (256, 2 + 8 + 64),
    "iq2_s": (256, 2 + 8 + 8 + 64),
    "iq3_xxs": (256, 2 + 32 + 64),
    "iq3_s": (256, 2 + 4 + 8 + 32 + 64),
    "iq4_nl": (32, 2 + 16),
    "iq4_xs": (256, 2 + 2 + 4 + 128),
    "tq1_0": (256, 2 + 4 + 48),
    "tq2_0": (256, 2 + 64),
    "mxfp4": (32, 1 + 16),
    "nvfp4": (64, 4 + 32),
    # Formats of GPU runtimes. A scale per output channel or tile is below 0.1 % and left out of fp8 and int8.
    "fp8": (1, 1),
    "int8": (1, 1),
    "int4": (2, 1),
    # GPTQ and AWQ: 4-bit weights, per group a 2-byte scale and a 4-bit zero point.
    "int4-g128": (128, 64 + 2 + 0.5),
    "int4-g64": (64, 32 + 2 + 0.5),
    "int4-g32": (32, 16 + 2 + 0.5),
    # log2(3) bits, what a ternary weight holds; files need more: tq1_0 1.69, tq2_0 2.06, bitnet.cpp's i2_s 2.
    "ternary": (1, 1.58 / 8),
}

FORMATS = {name: Format(name, block, block_bytes) for name, (block, block_bytes) in _BLOCKS.items()}

# Stored whole: every tensor is in this format, vectors and router too.
PLAIN = ("f64", "f32", "f16", "bf16")
# GPU runtimes quantise the matrices inside the layers; embeddings, head, router and vectors stay in bf16.
LAYERS_ONLY = ("fp8", "int8", "int4", "int4-g128", "int4-g64", "int4-g32", "nvfp4", "ternary")
# One sequence's cache: what runtimes offer.
CACHE_FORMATS = ("f32", "f16", "bf16", "fp8", "int8", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl", "int4")


# Other spellings, their words joined: what each means, and what to know where that is not just it.
_GROUPS = "4 bits in groups of 128, as most such checkpoints are; others are int4-g64 and int4-g32"
SPELLINGS: dict[str, tuple[str, str]] = {
    "fp16": ("f16", ""), "float16": ("f16", ""), "half": ("f16", ""), "bfloat16": ("bf16", ""),
    "fp32": ("f32", ""), "float32": ("f32", ""), "fp8e4m3": ("fp8", ""), "float8": ("fp8", ""),
    "q8": ("q8_0", ""), "q6": ("q6_k", ""), "awq": ("int4-g128", _GROUPS), "gptq": ("int4-g128", _GROUPS),
    "awq4bit": ("int4-g128", _GROUPS), "gptq4bit": ("int4-g128", _GROUPS), "w4a16": ("int4-g128", _GROUPS),
}  # fmt: skip
# What people type for any format of so many bits.
_BITS = {"4bit": ("q4_k_m", "q4_0", "int4-g128"), "8bit": ("q8_0", "int8", "fp8"), "16bit": ("f16", "bf16")}
_OF_ONE_MODEL = re.compile(r"(mixed[:-]|ud[-_]).*|.*[-_]xl")


def _bare(text: str) -> str:
    """`Q4-K-M` and `q4_k_m` as q4km: a format's letters and numbers mean it however they are set apart."""
    return "".join(words(text))


def format_called(text: str, known: Iterable[str]) -> str | None:
    """The one of the *known* formats that is meant, in any spelling; None where none is, InputError where several may be."""
    names = tuple(dict.fromkeys(known))
    name, bare = text.strip().lower(), _bare(text.strip())
    if name in names:
        return name
    found = [each for each in names if _bare(each) == bare or each == SPELLINGS.get(bare, ("",))[0]]
    if len(found) == 1:
        return found[0]
    several = [each for each in _BITS.get(bare, ()) if each in names] or [
        each for each in names if len(bare) > 1 and _bare(each).startswith(bare) and bare[-1].isdigit()
    ]
    if len(several) > 1:
        raise InputError(f"format {text[:60]!r} could be {listed(several)}: write one of them")
    return None


def is_of_one_model(name: str) -> bool:
    """Whether a mix of that name is made anew for each model, as those of Unsloth are."""
    return bool(_OF_ONE_MODEL.fullmatch(name.strip().lower()))


def format_remark(text: str) -> str:
    """What to know of the format that *text* means; empty where its name says all."""
    return "; ".join(
        f"{part.strip()}: {SPELLINGS[_bare(part)][0]}, {SPELLINGS[_bare(part)][1]}"
        for part in text.split("+")
        if SPELLINGS.get(_bare(part.strip()), ("", ""))[1]
    )


def bits_per_weight(bits: float) -> Format:
    """A made-up format of exactly *bits* bits an element, for files known by their size only."""
    return Format(f"{bits:.2f}bpw", 1, bits / 8)


def parse_cache_format(name: str) -> Format:
    """The format called *name*, if a cache can be held in it."""
    key = format_called(name, CACHE_FORMATS)
    if key is None:
        raise InputError(f"cache format {name[:60]!r} is unknown, {hint(name.strip().lower(), CACHE_FORMATS)}")
    return FORMATS[key]


class Slot(NamedTuple):
    """One tensor of a model, seen by whoever decides its format."""

    role: str  # GGUF's name without block number and ".weight": attn_q, ffn_down_exps, output, attn_q.bias
    columns: int  # length of a row: what a matrix multiplies
    layer: int  # 0-based; 0 outside the layers
    n_layers: int
    n_experts: int  # 0 in a dense layer
    queries_per_kv: int  # heads that share one key and value head; 1 without grouped queries
    is_vector: bool  # norms, biases: never quantised
    tied: bool  # this model's head is its embedding


@dataclass(frozen=True)
class Weights:
    """Which format each tensor of a model is stored in."""

    name: str
    choose: Callable[[Slot], Format]

    def __repr__(self) -> str:
        return f"Weights({self.name!r})"


_EMBEDDINGS = ("token_embd", "output", "position_embd", "per_layer_token_embd")


def is_router(role: str) -> bool:
    """Whether a tensor routes tokens to experts: tiny, and never quantised."""
    return role.startswith("ffn_gate_inp")


# What joins residual streams, and what makes inputs of each layer: too small to be worth quantising.
_KEPT_WIDE = ("altup", "laurel", "per_layer_model_proj", "hc_", "output_hc")


def is_kept_wide(role: str) -> bool:
    """Whether quantised files keep a matrix as the checkpoint has it (llama.cpp's src/llama-quant.cpp leaves these out)."""
    return role.startswith(_KEPT_WIDE)


def uniform(fmt: Format) -> Weights:
    """Every matrix in *fmt*; what is never quantised stays as the files of that format keep it."""
    if fmt.name in PLAIN:
        return Weights(fmt.name, lambda _: fmt)
    if fmt.name in LAYERS_ONLY:
        return Weights(fmt.name, lambda slot: FORMATS["bf16"] if _is_outside(slot) else fmt)
    return Weights(fmt.name, lambda slot: _wide(slot) or fmt)


def _is_outside(slot: Slot) -> bool:
    return _stays(slot) or slot.role in _EMBEDDINGS or is_kept_wide(slot.role)


def _wide(slot: Slot) -> Format | None:
    return FORMATS["f32"] if _stays(slot) else FORMATS["bf16"] if is_kept_wide(slot.role) else None


def experts_and_rest(experts: Format, rest: Weights) -> Weights:
    """Routed experts in one format, everything else as *rest* has it (gpt-oss: `mxfp4+bf16`)."""
    return Weights(
        f"{experts.name}+{rest.name}",
        lambda slot: experts if slot.role.endswith("_exps") and not slot.is_vector else rest.choose(slot),
    )


def _stays(slot: Slot) -> bool:
    return slot.is_vector or is_router(slot.role)


_BPW = re.compile(r"(\d+(?:\.\d+)?)\s*bpw")


def parse_bits(text: str) -> Format | None:
    """The format written `2.70bpw`; None where the text is something else."""
    match = _BPW.fullmatch(text)
    if not match:
        return None
    bits = float(match[1])
    if not 0.1 <= bits <= 64:
        raise InputError(f"weights {text!r}: bits per weight must be between 0.1 and 64")
    return bits_per_weight(bits)
