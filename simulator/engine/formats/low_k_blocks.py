"""Blocks of 256 with a scale for each 16 inside: q2_k, q3_k."""

from __future__ import annotations

from llvmlite import ir

from simulator.engine.formats.blocks import add_block, dot_pairs, dot_words, stays
from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel
from simulator.engine.simd import F32, I32


def _q2_k(panel: Panel, block: ir.Value) -> None:
    """2-bit value times a scale of 4 bits times a scale, minus a minimum of the same kind.

    Of 16 products the sum has 14 bits, so it is multiplied by its scale as an integer; likewise sums of activations by minima.
    """
    v, at = panel.v, panel.v.at
    scale, minimum = panel.scale("scale", block), panel.scale("minimum", block)
    for number in range(8):  # 32 values each: two bits of 32 bytes
        half, quarter = divmod(number, 4)
        small = panel.small(block, number)
        left = 2 if quarter == 1 else 0  # further, and a sum would have too many bits
        packed = panel.words("scales", block, number // 2)  # of each 16 a byte: its scale below, its minimum above
        first = 16 * (number % 2)
        totals = [panel.nothing() for _ in panel.tokens]
        for part in range(2):
            sums = [panel.nothing() for _ in panel.tokens]
            for group in range(4 * part, 4 * part + 4):
                words = panel.words("quants", block, 8 * half + group)
                values = v.shift_bytes(words, 2 * quarter - left, 3 << left)
                sums = dot_words(panel, sums, values, small, group, True)
            own = at.and_(at.lshr(packed, v.constant(first + 8 * part, I32)), v.constant(15, I32))
            totals = [dot_pairs(v, total, each, own) for total, each in zip(totals, sums, strict=True)]
        add_block(panel, totals, small, at.fmul(scale, v.constant(2.0**-left, F32)))
        least = at.and_(at.lshr(packed, v.constant(first + 4, I32)), v.constant(15, I32))
        shift = first - 4  # the second minimum begins at bit first + 12 and goes to bit 16
        second = at.lshr(packed, v.constant(shift, I32)) if shift > 0 else at.shl(packed, v.constant(-shift, I32))
        pairs = at.or_(least, at.and_(second, v.constant(15 << 16, I32)))
        halves = [dot_pairs(v, panel.nothing(), pairs, panel.minus_sums(t, small)) for t in panel.tokens]
        add_block(panel, halves, small, minimum)


def _q3_k(panel: Panel, block: ir.Value) -> None:
    """3-bit value minus 4, times a scale of 6 bits minus 32, times a scale; the third bits stand apart."""
    v, at = panel.v, panel.v.at
    scale = panel.scale("scale", block)
    scales = _signed_scales(panel, block)
    for number in range(8):
        half, quarter = divmod(number, 4)
        small = panel.small(block, number)
        left = stays(v, 2 * quarter, 3)
        factor = at.fmul(scale, v.constant(2.0**-left, F32))
        for part in range(2):
            sums = [panel.start_of_half(t, small, part, 2 + left) for t in panel.tokens]
            for group in range(4 * part, 4 * part + 4):
                low = v.shift_bytes(panel.words("quants", block, 8 * half + group), 2 * quarter - left, 3 << left)
                third = v.shift_bytes(panel.words("high", block, group), number - 2 - left, 4 << left)
                sums = dot_words(panel, sums, at.or_(low, third), small, group, True)
            word, byte = divmod(2 * number + part, 4)
            own = at.ashr(at.shl(scales[word], v.constant(24 - 8 * byte, I32)), v.constant(24, I32))
            add_block(panel, sums, small, at.fmul(factor, v.to_float(own)))


def _signed_scales(panel: Panel, block: ir.Value) -> list[ir.Value]:
    """16 scales of -32 to 31, four to a word.

    Of scale i the lower four bits are in byte i modulo 8, below or above, the upper two in byte 8 + i modulo 4.
    """
    v, at = panel.v, panel.v.at
    upper = panel.words("scales", block, 2)
    found = []
    for word in range(4):
        low = v.shift_bytes(panel.words("scales", block, word % 2), 4 * (word // 2), 0x0F)
        high = v.shift_bytes(upper, 2 * word - 4, 0x30)
        # A byte of 0 to 63, minus 32, without a borrow: with its sixth bit turned over it has a sign of 6 bits, then of 8.
        turned = at.xor(at.or_(low, high), v.constant(0x20202020, I32))
        sign = v.shift_bytes(turned, 0, 0x20)
        found.append(at.or_(turned, at.or_(at.shl(sign, v.constant(1, I32)), at.shl(sign, v.constant(2, I32)))))
    return found


# Offsets are those of ggml's block structures.
LAYOUTS = (
    Layout(
        "q2_k",
        (
            Plane("quants", 16, 64, 4),
            Plane("scales", 0, 16, 4),
            Plane("scale", 80, 2, 2),
            Plane("minimum", 82, 2, 2),
        ),
        _q2_k,
    ),
    Layout(
        "q3_k",
        (
            Plane("quants", 32, 64, 4),
            Plane("high", 0, 32, 4),
            Plane("scales", 96, 12, 4),
            Plane("scale", 108, 2, 2),
        ),
        _q3_k,
    ),
)
