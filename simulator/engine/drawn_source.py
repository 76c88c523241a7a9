"""Weights drawn at random, for a model of which there are only shapes."""

from __future__ import annotations

import numpy as np

from simulator.engine.formats.table import LAYOUTS
from simulator.engine.formats.ternary_codes import hide_scale
from simulator.engine.tensors import Stored, stored_tensors
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS, Weights

# Standard deviation of a block's numbers, minima taken off, when its bytes are uniform; and what a minimum has to take away.
_SPREAD = {
    "q8_0": 73.9, "q4_0": 4.61, "q4_1": 4.61, "q5_0": 9.23, "q5_1": 9.23, "q2_k": 13.9, "q3_k": 43.3, "q4_k": 195, "q5_k": 390,
    "q6_k": 1370, "iq4_nl": 67.1, "iq4_xs": 1247, "mxfp4": 2.93, "nvfp4": 2.93, "tq1_0": 0.817, "tq2_0": 0.707, "q1_0": 1,
    "q2_0": 0.707, "iq2_xxs": 53.2, "iq2_xs": 55.9, "iq2_s": 56.4, "iq3_xxs": 142, "iq3_s": 140, "iq1_s": 7.19, "iq1_m": 7.20,
}  # fmt: skip
_CENTRE = {"q4_1": -7.5, "q5_1": -15.5, "q2_k": 1.5, "q4_k": 7.5, "q5_k": 15.5}
# Uniform ones of these are a tenth of their spread below 0 on average, which would add up from layer to layer, to a residual stream
# of thousands: of every other block the scale has the other sign.
_LOPSIDED = ("q4_0", "q5_0", "q3_k", "q6_k", "iq4_nl", "iq4_xs")
_TERNARY = ("tq2_0", "q2_0")  # in pairs of bits, of which the fourth, for 2, is not drawn: the mean would not be 0


class DrawnSource:
    """Random weights of any model's shapes, drawn as blocks of their format: nothing passes through float32.

    Quants are uniform; scales are such that a matrix keeps the size of its input.
    """

    def __init__(self, model: Model, weights: Weights, seed: int = 0):
        self.name = f"{model.name}, random weights"
        self._seed = seed
        self.tensors = tuple(stored_tensors(model, weights))

    @property
    def place(self) -> tuple:
        """Nowhere but in what draws them: shapes, formats and the seed."""
        return ("drawn", self._seed, self.tensors)

    @property
    def identity(self) -> tuple:
        """Nothing else says what is drawn."""
        return self.place

    def raw(self, tensor: Stored) -> np.ndarray:
        """The tensor's bytes: uint8 [copies * rows, bytes of a row]."""
        if tensor.is_vector:
            is_zero = tensor.role.endswith(".bias") or tensor.role == "ffn_gate_inp_shexp"
            fill = -1.0 if tensor.role == "ssm_a" else 0.0 if is_zero else 1.0  # states decay
            return np.full((1, tensor.copies * tensor.columns), fill, np.float32).view(np.uint8)
        key = [self._seed, tensor.layer + 1, *tensor.role.encode()]
        rng = np.random.Generator(np.random.SFC64(key))
        words = rng.integers(0, 2**64, -(-tensor.nbytes // 8), np.uint64)
        raw = words.view(np.uint8)[: tensor.nbytes].reshape(tensor.rows * tensor.copies, -1)
        _set_scales(raw, tensor.format, tensor.columns)
        return raw

    def release(self) -> None:
        """Nothing is held."""


def _set_scales(raw: np.ndarray, name: str, columns: int) -> None:
    """Writes scales into random blocks so that weights have a standard deviation of about columns ** -0.5."""
    spread = columns**-0.5
    if name in ("f32", "f16", "bf16"):
        _set_exponents(raw, name, spread)
        return
    layout = LAYOUTS[name]
    blocks = raw.reshape(len(raw), -1, int(FORMATS[name].block_bytes))
    if name in _TERNARY:
        blocks &= ~((blocks >> 1 & blocks & 0x55) << 1)
    scale = spread / _SPREAD[name]
    if name == "iq1_m":
        hide_scale(blocks, scale)
    halves = {"scale": scale, "minimum": scale * _CENTRE.get(name, 0.0)}
    for plane in layout.planes:
        value = None
        if plane.name in halves:
            value = np.array([halves[plane.name]], np.float16).view(np.uint8)
        elif plane.name == "exponent":  # of mxfp4
            value = np.round(np.log2(scale)) + 127
        elif name == "nvfp4" and plane.name == "scales":
            value = _unsigned_float(scale)
        if value is not None:
            blocks[:, :, plane.offset : plane.offset + plane.nbytes] = value
        if plane.name == "scale" and name in _LOPSIDED:
            blocks[:, 1::2, plane.offset + plane.nbytes - 1] ^= 0x80  # the sign of a half


def _unsigned_float(value: float) -> int:
    """The nearest float of 4 bits of exponent and 3 of fraction, of those that are no subnormals."""
    codes = np.arange(8, 0x7F)
    return int(codes[np.argmin(np.abs((1 + codes % 8 / 8) * 2.0 ** (codes // 8 - 7) - value))])


def _set_exponents(raw: np.ndarray, name: str, spread: float) -> None:
    """Keeps sign and fraction of random floats, and sets their exponent: |w| between 0.7 and 1.4 of the spread."""
    bits = {"f32": (np.uint32, 23, 8, 127), "f16": (np.uint16, 10, 5, 15), "bf16": (np.uint16, 7, 8, 127)}[name]
    kind, fraction, width, bias = bits
    words = raw.view(kind)
    exponent = round(np.log2(spread / 1.53)) + bias  # fractions between 1 and 2 have a root mean square of 1.53
    words &= kind(~(((1 << width) - 1) << fraction) & ((1 << 8 * words.itemsize) - 1))
    words |= kind(max(exponent, 1) << fraction)
