"""Blocks of 256 with scales of their own inside: q4_k, q5_k, q6_k."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from simulator.engine.formats.blocks import add_block, dot_words, fifth, stays
from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel
from simulator.engine.simd import F32, I8, I32, lanes


def _k_scales(panel: Panel, block: ir.Value, number: int) -> ir.Value:
    """6-bit number *number* of 16 (8 scales, then 8 minima) as floats: five to a word, the last one spread over three."""
    v, at = panel.v, panel.v.at
    if number < 15:
        words = panel.words("scales", block, number // 5)
        shifted = at.lshr(words, v.constant(6 * (number % 5), I32))
        return v.to_float(at.and_(shifted, v.constant(63, I32)))
    value = panel.nothing()
    for word in range(3):
        two = at.lshr(panel.words("scales", block, word), v.constant(30, I32))
        value = at.or_(value, at.shl(two, v.constant(2 * word, I32)))
    return v.to_float(value)


def _k_block(panel: Panel, block: ir.Value, with_fifth: Callable | None = None) -> None:
    """256 values in 4 runs of 64: the low halves of 32 bytes, then the high ones; a scale and minimum for each 32."""
    v, at = panel.v, panel.v.at
    scale, minimum = panel.scale("scale", block), at.fneg(panel.scale("minimum", block))
    for run in range(4):
        for half in range(2):
            number = 2 * run + half
            left = 0 if with_fifth else stays(v, 4 * half, 4)
            small = panel.small(block, number)
            sums = [panel.nothing() for _ in panel.tokens]
            for group in range(8):
                values = v.shift_bytes(panel.words("quants", block, 8 * run + group), 4 * half - left, 0x0F << left)
                values = with_fifth(values, group, number) if with_fifth else values
                sums = dot_words(panel, sums, values, small, group, True)
            own = at.fmul(scale, v.constant(2.0**-left, F32))
            add_block(panel, sums, small, at.fmul(own, _k_scales(panel, block, number)))
            least = at.fmul(minimum, _k_scales(panel, block, 8 + number))
            for t in panel.tokens:
                panel.accumulate(t, least, panel.scaled_sum(t, small))


def _q4_k(panel: Panel, block: ir.Value) -> None:
    """Value times a scale of 6 bits times a scale, minus a minimum of the same kind."""
    _k_block(panel, block)


def _q5_k(panel: Panel, block: ir.Value) -> None:
    """The same with a fifth bit."""
    _k_block(
        panel,
        block,
        lambda values, group, number: panel.v.at.or_(values, fifth(panel, panel.words("high", block, group), number)),
    )


def _q6_k(panel: Panel, block: ir.Value) -> None:
    """6-bit value minus 32, times a scale of 8 bits for each 16, times a scale."""
    v, at = panel.v, panel.v.at
    scale = panel.scale("scale", block)
    for number in range(8):  # 32 values each: 4 to a half of 64 low bytes and 32 high ones
        half, quarter = divmod(number, 4)
        small = panel.small(block, number)
        for part in range(2):
            sums = [panel.start_of_half(t, small, part, 5) for t in panel.tokens]
            for group in range(4 * part, 4 * part + 4):
                low = panel.words("quants", block, 16 * half + 8 * (quarter % 2) + group)
                low = v.shift_bytes(low, 4 * (quarter // 2), 0x0F)
                high = v.shift_bytes(panel.words("high", block, 8 * half + group), 2 * quarter - 4, 0x30)
                sums = dot_words(panel, sums, at.or_(low, high), small, group, True)
            own = at.sext(panel.field("scales", block, 2 * number + part, I8), lanes(I32))
            add_block(panel, sums, small, at.fmul(scale, v.to_float(own)))


# Offsets are those of ggml's block structures.
LAYOUTS = (
    Layout(
        "q4_k",
        (
            Plane("quants", 16, 128, 4),
            Plane("scales", 4, 12, 4, "six"),
            Plane("scale", 0, 2, 2),
            Plane("minimum", 2, 2, 2),
        ),
        _q4_k,
    ),
    Layout(
        "q5_k",
        (
            Plane("quants", 48, 128, 4),
            Plane("high", 16, 32, 4),
            Plane("scales", 4, 12, 4, "six"),
            Plane("scale", 0, 2, 2),
            Plane("minimum", 2, 2, 2),
        ),
        _q5_k,
    ),
    Layout(
        "q6_k",
        (
            Plane("quants", 0, 128, 4),
            Plane("high", 128, 64, 4),
            Plane("scales", 192, 16, 1),
            Plane("scale", 208, 2, 2),
        ),
        _q6_k,
    ),
)
