"""Blocks of 4-bit codes for 16 numbers that stand closer together near 0: iq4_nl, iq4_xs."""

from __future__ import annotations

from llvmlite import ir

from simulator.engine.formats.blocks import add_block, dot_words
from simulator.engine.formats.lookups import looked_up
from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel
from simulator.engine.simd import I16, I32, lanes

_NUMBERS = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def _sums(panel: Panel, block: ir.Value, first: int, small: ir.Value) -> list:
    """Each token's sum over 32 numbers, whose codes are in the 16 bytes from word *first* on, halves as in q4_0."""
    signed = panel.v.path.signed
    numbers = _NUMBERS if signed else [number + 128 for number in _NUMBERS]
    sums = [panel.nothing() if signed else panel.start(t, small, 7) for t in panel.tokens]
    for group in range(4):
        words = panel.words("quants", block, first + group)
        for half in range(2):
            values = looked_up(panel.v, words, 4 * half, numbers)
            sums = dot_words(panel, sums, values, small, group + 4 * half, False)
    return sums


def _iq4_nl(panel: Panel, block: ir.Value) -> None:
    """A number times a scale."""
    add_block(panel, _sums(panel, block, 0, block), block, panel.scale("scale", block))


def _iq4_xs(panel: Panel, block: ir.Value) -> None:
    """A number times a scale of 6 bits minus 32, for each 32, times a scale."""
    v, at = panel.v, panel.v.at
    scale = panel.scale("scale", block)
    minus = at.fmul(scale, v.constant(-32.0, scale.type.element))
    low = panel.words("low", block, 0)
    high = at.zext(panel.field("high", block, 0, I16), lanes(I32))
    for number in range(8):
        small = panel.small(block, number)
        four = at.and_(at.lshr(low, v.constant(4 * number, I32)), v.constant(0x0F, I32))
        shift = 2 * number - 4
        two = at.lshr(high, v.constant(shift, I32)) if shift > 0 else at.shl(high, v.constant(-shift, I32))
        own = at.or_(four, at.and_(two, v.constant(0x30, I32)))
        sums = _sums(panel, block, 4 * number, small)
        add_block(panel, sums, small, v.multiply_add(scale, v.to_float(own), minus))


# Offsets are those of ggml's block structures.
LAYOUTS = (
    Layout("iq4_nl", (Plane("quants", 2, 16, 4), Plane("scale", 0, 2, 2)), _iq4_nl),
    Layout(
        "iq4_xs",
        (Plane("quants", 8, 128, 4), Plane("low", 4, 4, 4), Plane("high", 2, 2, 2), Plane("scale", 0, 2, 2)),
        _iq4_xs,
    ),
)
