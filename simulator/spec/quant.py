"""How a weight or a cached value is stored: so many elements in a block of so many bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from simulator.errors import InputError, hint
from simulator.spec.names import listed, words

# Groups of GPTQ and AWQ may end short: where a row does not divide, its last scale serves fewer weights.
GROUPED = ("int4-g128", "int4-g64", "int4-g32", "int3-g128", "int2-g128", "tmac-int2", "tmac-int4")


@dataclass(frozen=True)
class Format:
    """A number format: `block` elements, all of one row, share `block_bytes` bytes."""

    name: str
    block: int
    block_bytes: float  # fractional for packed zero points, a plain `2.70bpw` and the ideal ternary
    row_bytes: float = 0.0  # beside its blocks, once a row: a scale
    matrix_bytes: float = 0.0  # once a matrix: a codebook
    like: str = ""  # of a made-up format: the one that most of it is stored in, whose kernels run

    @property
    def bits(self) -> float:
        """Bits per element, scales of blocks included."""
        return 8 * self.block_bytes / self.block

    @property
    def kernel(self) -> str:
        """The name of the format whose kernels read it."""
        return self.like or self.name

    def nbytes(self, rows: float, columns: int) -> float:
        """Bytes of *rows* rows of *columns* elements; ValueError if the columns do not divide into blocks."""
        if columns % self.block and self.name not in GROUPED:
            raise ValueError(f"a row of {columns} elements does not divide into {self.name} blocks of {self.block}")
        return rows * (columns / self.block * self.block_bytes + self.row_bytes) + self.matrix_bytes


@dataclass(frozen=True)
class KeysAndValues(Format):
    """A cache whose keys and values differ: as a Format it is their mean, which holds where both are equally wide."""

    keys: Format = Format("f16", 1, 2)
    values: Format = Format("f16", 1, 2)

    @classmethod
    def of(cls, keys: Format, values: Format) -> Format:
        """A cache of these two; where they are the same, just that."""
        if keys == values:
            return keys
        mean = (keys.bits + values.bits) / 16
        narrower = min(keys, values, key=lambda each: each.bits)  # what has to be unpacked decides on the kernel
        return cls(f"{keys.name}/{values.name}", 1, mean, like=narrower.name, keys=keys, values=values)


def cache_bytes(fmt: Format, key_width: float, value_width: float) -> float:
    """Bytes of a cached token's keys and values, so many elements each.

    A head that does not divide into blocks is padded by runtimes; the average is what is counted.
    """
    keys, values = (fmt.keys, fmt.values) if isinstance(fmt, KeysAndValues) else (fmt, fmt)
    return (key_width * keys.bits + value_width * values.bits) / 8


# Name: (elements, bytes as the sum of their parts). GGUF's blocks are those of ggml's block structures:
# scales (2-byte floats) + packed scales + high bits + low bits.
_GGUF = {
    "f64": (1, 8), "f32": (1, 4), "f16": (1, 2), "bf16": (1, 2), "i8": (1, 1), "i16": (1, 2), "i32": (1, 4), "i64": (1, 8),
    "q1_0": (128, 2 + 16), "q2_0": (64, 2 + 16), "q4_0": (32, 2 + 16), "q4_1": (32, 2 + 2 + 16), "q5_0": (32, 2 + 4 + 16),
    "q5_1": (32, 2 + 2 + 4 + 16), "q8_0": (32, 2 + 32), "q8_1": (32, 2 + 2 + 32),
    "q2_k": (256, 2 + 2 + 16 + 64), "q3_k": (256, 2 + 12 + 32 + 64), "q4_k": (256, 2 + 2 + 12 + 128),
    "q5_k": (256, 2 + 2 + 12 + 32 + 128), "q6_k": (256, 2 + 16 + 64 + 128), "q8_k": (256, 4 + 256 + 32),
    "iq1_s": (256, 2 + 16 + 32), "iq1_m": (256, 8 + 16 + 32), "iq2_xxs": (256, 2 + 64), "iq2_xs": (256, 2 + 8 + 64),
    "iq2_s": (256, 2 + 8 + 8 + 64), "iq3_xxs": (256, 2 + 32 + 64), "iq3_s": (256, 2 + 4 + 8 + 32 + 64),
    "iq4_nl": (32, 2 + 16), "iq4_xs": (256, 2 + 2 + 4 + 128), "tq1_0": (256, 2 + 4 + 48), "tq2_0": (256, 2 + 64),
    "mxfp4": (32, 1 + 16), "nvfp4": (64, 4 + 32),
}  # fmt: skip
# ik_llama.cpp's own, from the structures in its ggml/src/ggml-common.h: scale and flags + packed scales + low bits + high
# bits; the third number is its row_meta_size (ggml.c), once a row. Other types of interleaved rows (_r4, _r8) have their base's
# bytes. q8_2 and the q8_k16 to q8_kr8 are what its kernels make of activations.
_IK = {
    "iq1_bn": (64, 1 + 12, 2), "iq2_bn": (64, 16, 4), "iq1_s_r4": (32, 4 + 2, 2), "iq1_m_r4": (32, 4 + 2 + 1, 2),
    "iq1_kt": (256, 8 + 32 + 16, 4), "iq2_kt": (256, 4 + 64, 4), "iq3_kt": (256, 4 + 64 + 32, 4), "iq4_kt": (256, 128, 4),
    "iq2_ks": (256, 2 + 4 + 64, 2), "iq2_k": (256, 4 + 8 + 64), "iq2_kl": (256, 2 + 4 + 64 + 16, 2),
    "iq3_ks": (256, 2 + 4 + 64 + 32, 2), "iq3_k": (256, 4 + 2 + 8 + 64 + 32), "iq4_kss": (256, 128, 4),
    "iq4_ks": (256, 8 + 128, 4), "iq4_k": (256, 4 + 4 + 8 + 128), "iq5_ks": (256, 8 + 128 + 32, 4),
    "iq5_k": (256, 4 + 4 + 8 + 128 + 32), "iq6_k": (256, 4 + 16 + 128 + 64), "q6_0": (32, 2 + 16 + 8), "q8_2": (32, 2 + 2 + 32),
    "q8_k16": (64, 64, 20), "q8_k32": (256, 4 + 4 + 256 + 32), "q8_k64": (64, 4 + 64), "q8_k128": (128, 4 + 8 + 128),
    "q8_kr8": (256, 4 + 4 + 256 + 32), "q8_k_r8": (256, 2 + 256), "q8_kv": (32, 32, 8), "q8_kv_r8": (32, 32, 4),
}  # fmt: skip
# Checkpoints of GPU runtimes. A scale per output channel or tile is below 0.1 % and left out of fp8 and int8.
_CHECKPOINTS = {
    "fp8": (1, 1),
    "int8": (1, 1),
    "int4": (2, 1),
    "int2": (4, 1),
    # GPTQ and AWQ: per group a 2-byte scale and a zero point as wide as a weight.
    "int4-g128": (128, 64 + 2 + 0.5),
    "int4-g64": (64, 32 + 2 + 0.5),
    "int4-g32": (32, 16 + 2 + 0.5),
    "int3-g128": (128, 48 + 2 + 0.375),
    "int2-g128": (128, 32 + 2 + 0.25),
    # 16-bit codes for 8 weights. AQLM's 1x16 has a codebook of 65,536 x 8 half floats in each matrix: with it, head and
    # embeddings Llama-2-7B has 2.38 GB (Vahe1994/AQLM says 2.4). QuIP#'s codebook is 1 KB; QTIP computes its own.
    "aqlm-2bit": (8, 2, 0, 2**16 * 8 * 2),
    "quip-2bit": (8, 2),
    "qtip-2bit": (8, 2),
    # log2(3) bits, what a ternary weight holds; files need more.
    "ternary": (1, 1.58 / 8),
}
# bitnet.cpp's: four weights in a byte, two in a 4-bit index, three in a 5-bit index (microsoft/BitNet, src and utils).
_BITNET = {"i2_s": (4, 1), "tl1": (4, 1), "tl2": (1, 5 / 8 / 3)}
# T-MAC's of GPTQ models: a 2-byte scale for 128 weights; so Llama-2-7B has 3.7 GB in 4 bits, as microsoft/T-MAC says.
_TMAC = {"tmac-int2": (128, 32 + 2), "tmac-int4": (128, 64 + 2)}
# Groups with a 2-byte scale and a 2-byte bias: MLX, and torchao's int4 in gpt-fast. Head and embeddings are quantised, too.
_AFFINE = {
    f"affine{bits}-g{group}": (group, group * bits / 8 + 2 + 2)
    for bits in (2, 3, 4, 5, 6, 8)
    for group in (32, 64, 128)
}
# MLC's q4f16_1 and q3f16_1: a 2-byte scale for 32 weights of 4 bits, for 40 of 3 bits, head and embeddings as well.
_MLC = {"q4f16_1": (32, 16 + 2), "q3f16_1": (1, (16 + 2) / 40)}
# ExLlamaV2's: so many bits on average over the matrices of the layers, as its converter is asked for, scales included.
EXL2_BITS = (2.0, 2.3, 2.4, 2.5, 2.55, 2.6, 2.7, 3.0, 3.5, 3.75, 4.0, 4.25, 4.5, 4.65, 5.0, 5.5, 6.0, 6.5, 7.0, 8.0)
_EXL2 = {f"exl2-{bits}": (1, bits / 8) for bits in EXL2_BITS}

_BLOCKS = {**_GGUF, **_IK, **_CHECKPOINTS, **_BITNET, **_TMAC, **_AFFINE, **_MLC, **_EXL2}

FORMATS = {name: Format(name, *numbers) for name, numbers in _BLOCKS.items()}
# The formats by the software that writes or reads them: what a runtime's `loads` may be made of.
FAMILIES: dict[str, tuple[str, ...]] = {
    "GGUF": tuple(_GGUF),
    "ik_llama.cpp": tuple(_IK),
    "checkpoints (GPTQ, AWQ, fp8, ...)": tuple(_CHECKPOINTS),
    "bitnet.cpp": tuple(_BITNET),
    "T-MAC": tuple(_TMAC),
    "MLX and gpt-fast": tuple(_AFFINE),
    "MLC": tuple(_MLC),
    "ExLlamaV2": tuple(_EXL2),
}
SERIES = ("MLX and gpt-fast", "ExLlamaV2")  # whose names say all: bits and groups
RARE = frozenset({*_IK, *_MLC, *_AFFINE, *_TMAC, "q1_0", "q2_0"})  # that nobody means who does not write them out
# Stored whole: every tensor is in this format, vectors and router too.
PLAIN = ("f64", "f32", "f16", "bf16")
# Embeddings, head, router and vectors stay in 16 bits.
LAYERS_ONLY = (*_CHECKPOINTS, "mxfp4", "nvfp4", *_BITNET)
# Types of tensors that no file is called after: what is typed for some of them is a mix of several.
TENSORS_ONLY = (
    "i8", "i16", "i32", "i64", "q3_k", "q4_k", "q5_k", "q8_1", "q8_k", "q8_2", "q8_k16", "q8_k32", "q8_k64", "q8_k128", "q8_kr8"
)  # fmt: skip
# One sequence's cache: what runtimes offer.
CACHE_FORMATS = (
    "f32", "f16", "bf16", "fp8", "int8", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl", "int4", "affine8-g64", "affine4-g64"
)  # fmt: skip


# Other spellings, their words joined: what each means, and what to know where that is not just it.
_GROUPS = "4 bits in groups of 128, as most such checkpoints are; others are int4-g64 and int4-g32"
_AFFINE_ONLY = "with a scale and a bias for each group, as MLX stores them"
_AS_LISTED, _EVERY = "which llama-quantize lists it as", "is every matrix in such blocks"
_REPACKED = "whose rows stand together by fours or eights, in as many bytes"
SPELLINGS: dict[str, tuple[str, str]] = {
    "fp16": ("f16", ""), "float16": ("f16", ""), "half": ("f16", ""), "bfloat16": ("bf16", ""),
    "fp32": ("f32", ""), "float32": ("f32", ""), "fp8e4m3": ("fp8", ""), "fp8e5m2": ("fp8", ""), "float8": ("fp8", ""),
    "q8": ("q8_0", ""), "q6": ("q6_k", ""), "awq": ("int4-g128", _GROUPS), "gptq": ("int4-g128", _GROUPS),
    "awq4bit": ("int4-g128", _GROUPS), "gptq4bit": ("int4-g128", _GROUPS), "w4a16": ("int4-g128", _GROUPS),
    "int5g32": ("affine5-g32", _AFFINE_ONLY), "int5g64": ("affine5-g64", _AFFINE_ONLY),
    "int6g64": ("affine6-g64", _AFFINE_ONLY), "int8g64": ("affine8-g64", _AFFINE_ONLY), "i2s": ("i2_s", ""),
    "q3k": ("q3_k_m", f"{_AS_LISTED}; pure:q3_k {_EVERY}"), "q4k": ("q4_k_m", f"{_AS_LISTED}; pure:q4_k {_EVERY}"),
    "q5k": ("q5_k_m", f"{_AS_LISTED}; pure:q5_k {_EVERY}"), "mxfp4moe": ("mxfp4_moe", ""),
    "q2kr4": ("q2_k_s", _REPACKED), "q3kr4": ("q3_k_s", _REPACKED), "q4kr4": ("q4_k_s", _REPACKED), "q5kr4": ("q5_k_s", _REPACKED),
    "q4044": ("q4_0", _REPACKED), "q4048": ("q4_0", _REPACKED), "q4088": ("q4_0", _REPACKED),
}  # fmt: skip
# What people type for any format of so many bits.
_BITS = {"4bit": ("q4_k_m", "q4_0", "int4-g128"), "8bit": ("q8_0", "int8", "fp8"), "16bit": ("f16", "bf16")}
_OF_ONE_MODEL = re.compile(r"(mixed[:-]|ud[-_]).*|.*[-_]xl")
_INTERLEAVED = re.compile(r"(.+)_r(4|8|16)")  # rows stored four by four or more: the bytes are the same


def _bare(text: str) -> str:
    """`Q4-K-M` and `q4_k_m` as q4km: a format's letters and numbers mean it however they are set apart."""
    return "".join(words(text))


def format_called(text: str, known: Iterable[str]) -> str | None:
    """The one of the *known* formats that is meant, in any spelling; None where none is, InputError where several may be."""
    names = tuple(dict.fromkeys(known))
    name, bare = text.strip().lower(), _bare(text.strip())
    if name in names:
        return name
    if SPELLINGS.get(bare, ("",))[0] in names:
        return SPELLINGS[bare][0]
    if (rows := _INTERLEAVED.fullmatch(name)) and rows[1] in names:
        return rows[1]
    found = [each for each in names if _bare(each) == bare]
    if len(found) == 1:
        return found[0]
    several = [each for each in _BITS.get(bare, ()) if each in names] or [
        each
        for each in names
        if len(bare) > 1 and _bare(each).startswith(bare) and bare[-1].isdigit() and each not in RARE
    ]
    if len(several) > 1:
        raise InputError(f"format {text[:60]!r} could be {listed(several)}: write one of them")
    return None


def is_of_one_model(name: str) -> bool:
    """Whether a mix of that name is made anew for each model, as those of Unsloth are."""
    return bool(_OF_ONE_MODEL.fullmatch(name.strip().lower()))


def format_remark(text: str) -> str:
    """What to know of the format that *text* means; empty where its name says all."""
    *blocks, whole = text.split("+")
    meant = [(each, *SPELLINGS.get(_bare(each), ("", ""))) for each in (*blocks, whole)]
    # A part is of blocks, and of these alone: its name is never a mix.
    return "; ".join(
        f"{each.strip()}: {name}, {remark}"
        for each, name, remark in meant
        if remark and (name in FORMATS or each is whole)
    )


def bits_per_weight(bits: float) -> Format:
    """A made-up format of exactly *bits* bits an element, for files known by their size only."""
    return Format(f"{bits:.2f}bpw", 1, bits / 8)


_PAIR = re.compile(r"(?:mixed:)?k-(?P<keys>[^/]+)-v-(?P<values>[^/]+)")


def parse_cache_format(name: str) -> Format:
    """The format called *name*, if a cache can be held in it; `q8_0/f16` (or k-q8_0-v-f16) is one of keys and one of values."""
    pair = _PAIR.fullmatch(name.strip().lower())
    keys, slash, values = (pair["keys"], "/", pair["values"]) if pair else name.partition("/")
    if slash:
        return KeysAndValues.of(_cache_format(keys), _cache_format(values))
    return _cache_format(name)


def _cache_format(name: str) -> Format:
    key = format_called(name, CACHE_FORMATS)
    if key is None:
        raise InputError(f"cache {name[:60]!r} is unknown, {hint(name.strip().lower(), CACHE_FORMATS)}")
    return FORMATS[key]


class Slot(NamedTuple):
    """One tensor of a model, seen by whoever decides its format."""

    role: str  # GGUF's name without block number and ".weight": attn_q, ffn_down_exps, output, attn_q.bias
    columns: int  # length of a row: what a matrix multiplies
    layer: int  # of those that are stored, 0-based; 0 outside the layers
    n_layers: int  # that are stored
    n_experts: int  # 0 in a dense layer
    queries_per_kv: int  # heads that share one key and value head; 1 without grouped queries
    is_vector: bool  # norms, biases: never quantised
    tied: bool  # this model's head is its embedding
    is_mixture: bool = False  # whether any layer of the model has experts
    vocab: int = 0  # tokens that the model knows
    n_runs: int = 0  # layers that run, where some run more than once


@dataclass(frozen=True)
class Weights:
    """Which format each tensor of a model is stored in."""

    name: str
    choose: Callable[[Slot], Format]
    held_bytes: float = 0.0  # of what a file holds beside the model's tensors, which memory holds and no step reads
    kernels: tuple[str, ...] = ()  # formats whose kernels read its matrices, where its name is none of a format

    def __repr__(self) -> str:
        return f"Weights({self.name!r})"


EMBEDDINGS = ("token_embd", "output", "position_embd", "per_layer_token_embd")


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
    if fmt.name in _EXL2 or fmt.name in _TMAC:
        return _with_head(fmt)
    return every_matrix(fmt)


def every_matrix(fmt: Format) -> Weights:
    """Every matrix in *fmt*, embeddings and head as well."""
    return Weights(fmt.name, lambda slot: _wide(slot) or fmt)


def _is_outside(slot: Slot) -> bool:
    return is_kept(slot) or slot.role in EMBEDDINGS or is_kept_wide(slot.role)


def _wide(slot: Slot) -> Format | None:
    return FORMATS["f32"] if is_kept(slot) else FORMATS["bf16"] if is_kept_wide(slot.role) else None


def _with_head(fmt: Format) -> Weights:
    """A head in another format, embeddings in f16.

    ExLlamaV2 gives 6 bits to the head (its default; people take 8 above 6), T-MAC converts it to q6_k.
    """
    head = FORMATS["q6_k" if fmt.name in _TMAC else "exl2-8.0" if fmt.bits > 6 else "exl2-6.0"]

    def choose(slot: Slot) -> Format:
        if slot.role in EMBEDDINGS:
            return head if slot.role == "output" or slot.tied else FORMATS["f16"]
        return FORMATS["f16"] if is_kept(slot) else fmt

    return Weights(fmt.name, choose)


def is_kept(slot: Slot) -> bool:
    """Whether a tensor is never quantised."""
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
