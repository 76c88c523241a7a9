"""What formats of blocks share: dot products of groups of four, nibbles, and what a block adds to the totals."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils

from simulator.engine.panel import Panel
from simulator.engine.simd import I16, I32, LANES, Emitter, lanes


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


def stays(v: Emitter, low: int, width: int) -> int:
    """How far to the left bits *low* to low + width - 1 of every byte are left for a dot product: where they are, or at 0.

    The sum is 2**low times as large then, which a scale makes up for exactly. Only where weights are unsigned may they
    reach into the highest bit.
    """
    return low if low + width <= (7 if v.path.signed else 8) else 0


def dot_pairs(v: Emitter, total: ir.Value, left: ir.Value, right: ir.Value) -> ir.Value:
    """In each lane, total + the sum of 2 products of signed 16-bit numbers, the halves of 32-bit words."""
    if v.path.name == "avx512-vnni":
        return v.at.add(total, _pair_products(v, "llvm.x86.avx512.pmaddw.d.512", left, right))
    if v.path.name in ("avx-vnni", "avx2"):
        parts = [
            _pair_products(v, "llvm.x86.avx2.pmadd.wd", *(_eight(v, words, first) for words in (left, right)))
            for first in (0, 8)
        ]
        whole = ir.Constant(lanes(I32), list(range(LANES)))
        return v.at.add(total, v.at.shuffle_vector(*parts, whole))
    for away in (16, 0):  # of the lower half the upper one is shifted out
        factors = [v.at.ashr(v.at.shl(each, v.constant(away, I32)), v.constant(16, I32)) for each in (left, right)]
        total = v.at.add(total, v.at.mul(*factors))
    return total


def _eight(v: Emitter, words: ir.Value, first: int) -> ir.Value:
    order = ir.Constant(lanes(I32, 8), list(range(first, first + 8)))
    return v.at.shuffle_vector(words, ir.Constant(words.type, ir.Undefined), order)


def _pair_products(v: Emitter, name: str, left: ir.Value, right: ir.Value) -> ir.Value:
    halves, kind = lanes(I16, 2 * left.type.count), left.type
    function = cgutils.get_or_insert_function(v.at.module, ir.FunctionType(kind, [halves, halves]), name)
    return v.at.call(function, [v.at.bitcast(each, halves) for each in (left, right)])
