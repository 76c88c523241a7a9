"""Blocks of 256 whose numbers are -1, 0 or 1 by a codebook, moved up or down by an eighth: iq1_s, iq1_m."""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from simulator.engine.formats.blocks import add_block, dot_words
from simulator.engine.formats.codebooks import Codebook, field, grid, unit
from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel
from simulator.engine.simd import F32, I8, I16, I32, I64, lanes


def _codes(panel: Panel, low: ir.Value, high: list[ir.Value]) -> list[ir.Value]:
    """The four codes of 32 columns: a word of low bytes, and three bits more for each."""
    v, at = panel.v, panel.v.at
    return [at.or_(field(v, low, 8 * k, 8), at.shl(bits, v.constant(8, I32))) for k, bits in enumerate(high)]


def _odd(panel: Panel, words: ir.Value, start: int) -> ir.Value:
    """2 s + 1 as floats, of the three bits s of 16 words."""
    v, at = panel.v, panel.v.at
    return v.to_float(at.or_(at.shl(field(v, words, start, 3), v.constant(1, I32)), v.constant(1, I32)))


def _iq1_s(panel: Panel, block: ir.Value) -> None:
    """A number plus or minus 1/8, the same for 32 columns, times 2 s + 1 times a scale: multiplied as eighths."""
    v, at = panel.v, panel.v.at
    table = Codebook(v, "codebook_iq1_s", grid("iq1_s") + 1)
    scale = at.fmul(panel.scale("scale", block), v.constant(1 / 8, F32))
    with v.loop(ir.Constant(I64, 8)) as number:
        small = at.add(v.times(block, 8), number)
        high = unit(panel, "high", block, number, I16)
        codes = _codes(panel, unit(panel, "quants", block, number), [field(v, high, 3 * k, 3) for k in range(4)])
        negatives = [panel.start(t, small, 0) for t in panel.tokens]  # minus the sums of the activations
        sums = list(negatives)
        for four, words in enumerate(word for code in codes for word in table.words(code)):
            sums = dot_words(panel, sums, words, small, four, True)
        is_down = at.icmp_unsigned("!=", field(v, high, 15, 1), panel.nothing())
        for t, negative in enumerate(negatives):
            moved = at.select(is_down, negative, at.sub(panel.nothing(), negative))
            sums[t] = at.add(at.shl(sums[t], v.constant(3, I32)), moved)
        add_block(panel, sums, small, at.fmul(scale, _odd(panel, high, 12)))


def _iq1_m(panel: Panel, block: ir.Value) -> None:
    """The same, with one sign of the eighth for 8 columns and one s for 16; the scale is in the tops of four words."""
    v, at = panel.v, panel.v.at
    # Nine eighths more than is meant: -1, 0, 1 are 0, 8, 16, and an eighth up is 2, one down 0.
    table = Codebook(v, "codebook_iq1_m", 8 * (grid("iq1_s") + 1))
    scale = at.fmul(_hidden_scale(panel, block), v.constant(1 / 8, F32))
    with v.loop(ir.Constant(I64, 8)) as number:
        small = at.add(v.times(block, 8), number)
        two = v.times(number, 2)
        high = [unit(panel, "high", block, v.add(two, k // 2), I8) for k in range(4)]
        bits = [field(v, high[k], 4 * (k % 2), 3) for k in range(4)]
        codes = _codes(panel, unit(panel, "quants", block, number), bits)
        own = _own_scales(panel, block, number)
        for half in range(2):
            sums = [
                at.add(panel.start_of_half(t, small, half, 3), panel.start_of_half(t, small, half, 0))
                for t in panel.tokens
            ]
            for k in range(2 * half, 2 * half + 2):
                is_down = field(v, high[k], 4 * (k % 2) + 3, 1)
                up = at.and_(at.sub(is_down, v.constant(1, I32)), v.constant(0x02020202, I32))
                for four, words in enumerate(table.words(codes[k])):
                    sums = dot_words(panel, sums, at.or_(words, up), small, 2 * k + four, True)
            add_block(panel, sums, small, at.fmul(scale, _odd(panel, own, 3 * half)))


def _own_scales(panel: Panel, block: ir.Value, number: ir.Value) -> ir.Value:
    """Twice 3 bits for 32 columns in the low bits of 16 words: those of 64 columns are in 12 of every 16 bits."""
    v, at = panel.v, panel.v.at
    words = unit(panel, "scales", block, at.lshr(number, ir.Constant(I64, 2)))  # the tops follow
    pair = at.and_(at.lshr(number, ir.Constant(I64, 1)), ir.Constant(I64, 1))
    shift = at.add(v.times(pair, 16), v.times(at.and_(number, ir.Constant(I64, 1)), 6))
    return at.lshr(words, v.splat(at.trunc(shift, I32)))


def _hidden_scale(panel: Panel, block: ir.Value) -> ir.Value:
    """The scale, whose four bits each are the top of one of four 16-bit words, the lowest first."""
    v, at = panel.v, panel.v.at
    words, tops = panel.words("scales", block, 0), panel.words("tops", block, 0)
    found = panel.nothing()
    for source, shift, mask in ((words, 12, 0x000F), (words, 24, 0x00F0), (tops, 4, 0x0F00), (tops, 16, 0xF000)):
        moved = at.lshr(source, v.constant(shift, I32))
        found = at.or_(found, at.and_(moved, v.constant(mask, I32)))
    return v.half_to_float(at.trunc(found, lanes(I16)))


def hide_scale(blocks: np.ndarray, scale: float) -> None:
    """Writes one scale into blocks of iq1_m, uint8 [..., 56]."""
    words = blocks[..., 48:].view(np.uint16)
    bits = int(np.float16(scale).view(np.uint16))
    words &= 0x0FFF
    words |= np.array([bits >> 4 * k << 12 & 0xF000 for k in range(4)], np.uint16)


# Offsets are those of ggml's block structures. Of iq1_m's four words with scales, the tops of the last two are the upper half of the
# block's scale, which is looked at while packing.
LAYOUTS = (
    Layout("iq1_s", (Plane("quants", 2, 32, 4), Plane("high", 34, 16, 2), Plane("scale", 0, 2, 2)), _iq1_s),
    Layout(
        "iq1_m",
        (Plane("quants", 0, 32, 4), Plane("high", 32, 16, 1), Plane("scales", 48, 4, 4), Plane("tops", 52, 4, 4)),
        _iq1_m,
    ),
)
