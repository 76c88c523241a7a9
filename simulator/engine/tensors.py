"""The tensors of a model, one by one: what each is, and where its bytes come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulator.engine.formats import few_bits
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.recipes.recipe import NORMS
from simulator.errors import InputError
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS, Weights

SCALE = ".scale"  # after a matrix's role: what its results are multiplied by, one number for each copy
# What may have one, as llama.cpp b11549 has it (the end of load_tensors in src/llama-model.cpp).
SCALED = frozenset(
    ("attn_q", "attn_k", "attn_v", "attn_output", "attn_qkv", "attn_gate", "ssm_in", "ssm_out", "ssm_alpha", "ssm_beta", "output",
     *(f"ffn_{each}{end}" for each in ("gate", "up", "down") for end in ("", "_shexp", "_exps")))
)  # fmt: skip
UNREAD = ".input_scale"  # what others round inputs of a matrix by; llama.cpp b11549 loads it and reads it nowhere


@dataclass(frozen=True)
class Stored:
    """One tensor of a model as its source has it."""

    role: str  # GGUF's name without block and `.weight`
    layer: int  # -1 outside the layers
    format: str
    rows: int  # of one copy
    columns: int
    copies: int  # experts; 1 for anything else
    is_vector: bool  # norms, biases and tables: kept as float32, not packed

    @property
    def nbytes(self) -> int:
        """Bytes of its data."""
        return int(FORMATS[self.format].nbytes(self.rows * self.copies, self.columns))

    @property
    def place(self) -> str:
        """Its name as a file has it."""
        return f"blk.{self.layer}.{self.role}" if self.layer >= 0 else self.role


class Source(Protocol):
    """Where weights come from."""

    name: str
    tensors: tuple[Stored, ...]

    @property
    def place(self) -> object:
        """Where they are, whatever stands there now."""

    @property
    def identity(self) -> tuple:
        """What no source of other weights has in common with it."""

    def raw(self, tensor: Stored) -> np.ndarray:
        """The tensor's bytes: uint8 [copies * rows, bytes of a row]."""

    def release(self) -> None:
        """Lets go of the memory that reading took."""


def stored_tensors(model: Model, weights: Weights, norms: tuple[str, ...] = NORMS) -> Iterator[Stored]:
    """The tensors of a model as a file has them; InputError if the engine has no kernel for one's format.

    *norms*: what the file calls the norms of a layer, in the model's order; "" where there is none.
    """
    names = {
        f"norm_{number}{end}": name + end for number, name in enumerate(filter(None, norms)) for end in ("", ".bias")
    }
    for layer, indices, tensors in model.shapes:
        for index in indices:
            for tensor in tensors:
                fmt = weights.choose(model.slot(index, layer, tensor)).name
                role = names.get(tensor.role, tensor.role) if layer else tensor.role
                where = index if layer else -1
                if tensor.is_vector:
                    fmt = "f32"
                if fmt not in LAYOUTS:
                    raise InputError(
                        f"weights {weights.name}: the engine has no kernel for {fmt}, only for {', '.join(LAYOUTS)}"
                    )
                if tensor.columns % FORMATS[fmt].block:
                    raise InputError(
                        f"weights {weights.name}: rows of {tensor.columns} ({tensor.role}) do not divide into {fmt} blocks of "
                        f"{FORMATS[fmt].block}"
                    )
                yield Stored(role, where, fmt, tensor.rows, tensor.columns, tensor.copies, tensor.is_vector)


def dequantise(raw: np.ndarray, name: str) -> np.ndarray:
    """Blocks of a format as float32."""
    if name == "f32":
        return raw.view(np.float32)
    if name in ("q1_0", "q2_0"):
        return few_bits.values_of(raw, name)
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    return dequantize(raw, GGMLQuantizationType[name.upper()]).astype(np.float32, copy=False)
