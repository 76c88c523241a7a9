"""Floats of 4 bits (sign, two of exponent, one of fraction) with a scale of 8 bits: mxfp4, nvfp4."""

from __future__ import annotations

from llvmlite import ir

from simulator.engine.formats.blocks import add_block, dot_words
from simulator.engine.formats.lookups import looked_up
from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel
from simulator.engine.simd import F32, I8, I16, I32, lanes

# Twice the 16 floats, plus 16: so they are whole, and small.
_OFFSET = 4  # as a power of two
_NUMBERS = [16 + sign * size for sign in (1, -1) for size in (0, 1, 2, 3, 4, 6, 8, 12)]


def _mxfp4(panel: Panel, block: ir.Value) -> None:
    """32 floats and a power of two, of which the file has the exponent plus 127."""
    v, at = panel.v, panel.v.at
    sums = [panel.start(t, block, _OFFSET) for t in panel.tokens]
    for group in range(4):
        words = panel.words("quants", block, group)
        for half in range(2):
            values = looked_up(v, words, 4 * half, _NUMBERS)
            sums = dot_words(panel, sums, values, block, group + 4 * half, True)
    exponent = at.zext(panel.field("exponent", block, 0, I8), lanes(I32))
    power = at.bitcast(at.shl(exponent, v.constant(23, I32)), lanes(F32))  # of 0, which is 2**-127, it makes 0
    add_block(panel, sums, block, at.fmul(power, v.constant(0.5, F32)))


def _nvfp4(panel: Panel, block: ir.Value) -> None:
    """64 floats and for each 16 a scale: a float of 4 bits of exponent and 3 of fraction, without a sign."""
    v, at = panel.v, panel.v.at
    for part in range(4):
        small, half = panel.small(block, part // 2), part % 2
        sums = [panel.start_of_half(t, small, half, _OFFSET) for t in panel.tokens]
        for group in range(4):  # eight codes in the low halves of 8 bytes, eight in the high ones
            words = panel.words("quants", block, 2 * part + group % 2)
            values = looked_up(v, words, 4 * (group // 2), _NUMBERS)
            sums = dot_words(panel, sums, values, small, 4 * half + group, True)
        # As a half its exponent is off by 8; and the numbers are twice the floats.
        byte = at.and_(panel.field("scales", block, part, I8), v.constant(0x7F, I8))
        size = v.half_to_float(at.shl(at.zext(byte, lanes(I16)), v.constant(7, I16)))
        add_block(panel, sums, small, at.fmul(size, v.constant(2.0**7, F32)))


# Offsets are those of ggml's block structures.
LAYOUTS = (
    Layout("mxfp4", (Plane("quants", 1, 16, 4), Plane("exponent", 0, 1, 1)), _mxfp4),
    Layout("nvfp4", (Plane("quants", 4, 32, 4), Plane("scales", 0, 4, 1)), _nvfp4),
)
