"""Blocks of numbers of one or two bits, or of three values, with one scale: tq1_0, tq2_0, q1_0, q2_0."""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from simulator.engine.formats.blocks import add_block, dot_words, stays
from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel
from simulator.engine.simd import F32, I8, I32, lanes


def _q1_0(panel: Panel, block: ir.Value) -> None:
    """A bit for each of 128 weights: the scale, or minus the scale."""
    v, scale = panel.v, panel.scale("scale", block)
    for number in range(4):
        small = panel.small(block, number)
        words = panel.words("quants", block, number)
        sums = [panel.start(t, small, 0) for t in panel.tokens]
        for group in range(8):  # twice the bit, minus one
            sums = dot_words(panel, sums, v.shift_bytes(words, group - 1, 2), small, group, True)
        add_block(panel, sums, small, scale)


def _q2_0(panel: Panel, block: ir.Value) -> None:
    """2-bit value minus 1, times a scale; value 4 i + k of 16 in bits 2 k and 2 k + 1 of byte i, once packed of byte k."""
    v, scale = panel.v, panel.scale("scale", block)
    for number in range(2):
        small = panel.small(block, number)
        sums = [panel.start(t, small, 0) for t in panel.tokens]
        for group in range(8):
            words = panel.words("quants", block, 2 * number + group // 4)
            sums = dot_words(panel, sums, v.shift_bytes(words, 2 * (group % 4), 3), small, group, True)
        add_block(panel, sums, small, scale)


def _tq2_0(panel: Panel, block: ir.Value) -> None:
    """2-bit value minus 1, times a scale: bits 2 k and 2 k + 1 of 32 bytes are 32 values that follow each other."""
    v, at = panel.v, panel.v.at
    scale = panel.scale("scale", block)
    for number in range(8):
        half, quarter = divmod(number, 4)
        small = panel.small(block, number)
        left = stays(v, 2 * quarter, 2)
        sums = [panel.start(t, small, left) for t in panel.tokens]
        for group in range(8):
            words = panel.words("quants", block, 8 * half + group)
            values = v.shift_bytes(words, 2 * quarter - left, 3 << left)
            sums = dot_words(panel, sums, values, small, group, True)
        add_block(panel, sums, small, at.fmul(scale, v.constant(2.0**-left, F32)))


def _tq1_0(panel: Panel, block: ir.Value) -> None:
    """A value of 0, 1 or 2, minus 1, times a scale.

    A byte holds five values as a fraction of 256 in base 3: the first are those of 32 bytes, then the second; likewise those
    of 16 bytes more, and four values each of the last 4 bytes.
    """
    scale = panel.scale("scale", block)
    long = [panel.words("quants", block, word) for word in range(8)]
    for digit in range(5):
        small = panel.small(block, digit)
        sums = [panel.start(t, small, 0) for t in panel.tokens]
        for group in range(8):
            value, long[group] = _next_digit(panel, long[group])
            sums = dot_words(panel, sums, value, small, group, True)
        add_block(panel, sums, small, scale)
    short = [panel.words("quants", block, word) for word in range(8, 12)]
    last = panel.words("last", block, 0)
    for number in range(5, 8):
        small = panel.small(block, number)
        sums = [panel.start(t, small, 0) for t in panel.tokens]
        for group in range(8):
            if number == 7 and group >= 4:
                value, last = _next_digit(panel, last)
            else:
                value, short[group % 4] = _next_digit(panel, short[group % 4])
            sums = dot_words(panel, sums, value, small, group, True)
        add_block(panel, sums, small, scale)


def _next_digit(panel: Panel, words: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The first digit in base 3 of every byte as a fraction of 256, and three times the byte, without that digit."""
    at, kind = panel.v.at, lanes(I8, 64)
    fraction = panel.v.bytes_of(words)

    def reaches(least: int) -> ir.Value:
        return at.zext(at.icmp_unsigned(">=", fraction, panel.v.constant(least, I8, 64)), kind)

    digit = at.add(reaches(86), reaches(171))  # thirds of 256
    rest = at.add(fraction, at.add(fraction, fraction))
    return at.bitcast(digit, lanes(I32)), at.bitcast(rest, lanes(I32))


def values_of(raw: np.ndarray, name: str) -> np.ndarray:
    """Blocks of q1_0 or q2_0, which the package gguf does not read, as float32; uint8 [..., bytes of a row]."""
    bits = {"q1_0": 1, "q2_0": 2}[name]
    blocks = raw.reshape(*raw.shape[:-1], -1, 18)
    fields = blocks[..., 2:, None] >> np.arange(0, 8, bits, dtype=np.uint8) & (2**bits - 1)
    values = fields.reshape(*blocks.shape[:-1], -1) * np.float32(3 - bits) - np.float32(1)
    scale = np.ascontiguousarray(blocks[..., :2]).view(np.float16).astype(np.float32)
    return (values * scale).reshape(*raw.shape[:-1], -1)


# Offsets are those of ggml's block structures.
LAYOUTS = (
    Layout("tq1_0", (Plane("quants", 0, 48, 4), Plane("last", 48, 4, 4), Plane("scale", 52, 2, 2)), _tq1_0),
    Layout("tq2_0", (Plane("quants", 0, 64, 4), Plane("scale", 64, 2, 2)), _tq2_0),
    Layout("q1_0", (Plane("quants", 2, 16, 4, "bits"), Plane("scale", 0, 2, 2)), _q1_0),
    Layout("q2_0", (Plane("quants", 2, 16, 4, "pairs"), Plane("scale", 0, 2, 2)), _q2_0),
)
