"""What formats of blocks share: dot products of groups of four, nibbles, and what a block adds to the totals."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from simulator.engine.panel import Panel


def dot_words(panel: Panel, sums: list, words: ir.Value, small: ir.Value, group: int, is_small: bool) -> list:
    """Each token\'s sum, plus the products of a group of four weights, 64 bytes of 16 rows, with its activations."""
    weights = panel.v.bytes_of(words)
    return [panel.v.dot(total, weights, panel.four(t, small, group), is_small) for t, total in enumerate(sums)]


def add_block(panel: Panel, sums: list, small: ir.Value, scale: ir.Value) -> None:
    """total += scale of the weights * scale of the activations * integer sum."""
    for t, value in enumerate(sums):
        product = panel.v.at.fmul(panel.v.to_float(value), panel.input_scale(t, small))
        panel.accumulate(t, product, scale)


def nibbles(panel: Panel, block: ir.Value, sums: list, high: Callable) -> list:
    """32 values of 4 bits, value i in the low half of byte i or the high half of byte i - 16, and their fifth bits."""
    v = panel.v
    for group in range(4):
        words = panel.words("quants", block, group)
        for half in range(2):
            values = v.shift_bytes(words, 4 * half, 0x0F)
            values = high(values, group + 4 * half)
            sums = dot_words(panel, sums, values, block, group + 4 * half, True)
    return sums


def fifth(panel: Panel, words: ir.Value, bit: int) -> ir.Value:
    """Bit number *bit* of every byte, moved to bit 4."""
    return panel.v.shift_bytes(words, bit - 4, 0x10)
