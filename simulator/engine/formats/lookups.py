"""Tables of 16 numbers that 4-bit codes stand for, in every byte of 16 words at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import cgutils

from simulator.engine.cpu import features
from simulator.engine.simd import I8, I32, LANES, Emitter, lanes


def looked_up(v: Emitter, words: ir.Value, shift: int, numbers: Sequence[int]) -> ir.Value:
    """For the code in bits *shift* (0 or 4) to *shift* + 3 of every byte, its number, a byte: 16 words.

    *numbers*: 16 of them, -128 to 255.
    """
    name, table = v.path.name, [number & 0xFF for number in numbers]
    if name == "avx512-vnni" and "avx512vbmi" in features():
        # This one looks at six bits of a code: in a table that repeats itself, those above the lower four do not matter.
        if shift:
            words = v.at.lshr(words, v.constant(shift, I32))
        return _in_pieces(v, words, table, 1, lambda table, codes: _call(v, _PERMUTE, table, codes))
    codes = v.shift_bytes(words, shift, 0x0F)
    if name == "avx512-vnni":
        return _in_pieces(v, codes, table, 1, lambda table, codes: _call(v, _SHUFFLE_512, table, codes))
    if name in ("avx-vnni", "avx2"):
        return _in_pieces(v, codes, table, 2, lambda table, codes: _call(v, _SHUFFLE_256, table, codes))
    if name == "neon-dotprod":
        return _in_pieces(v, codes, table, 4, lambda table, codes: _call(v, _TABLE_128, table, codes))
    return _chosen_by_bits(v, codes, table)


_PERMUTE = "llvm.x86.avx512.permvar.qi.512"
_SHUFFLE_512 = "llvm.x86.avx512.pshuf.b.512"
_SHUFFLE_256 = "llvm.x86.avx2.pshuf.b"
_TABLE_128 = "llvm.aarch64.neon.tbl1.v16i8"


def _call(v: Emitter, name: str, table: ir.Value, codes: ir.Value) -> ir.Value:
    kind = codes.type
    function = cgutils.get_or_insert_function(v.at.module, ir.FunctionType(kind, [kind, kind]), name)
    return v.at.call(function, [table, codes])


def _in_pieces(v: Emitter, words: ir.Value, table: list[int], pieces: int, look: Callable) -> ir.Value:
    """The look-up in *pieces* registers."""
    width = LANES // pieces
    kind, done = lanes(I8, 4 * width), []
    numbers = ir.Constant(kind, table * (width // 4))
    for piece in range(pieces):
        order = ir.Constant(lanes(I32, width), list(range(piece * width, (piece + 1) * width)))
        codes = v.at.shuffle_vector(words, ir.Constant(words.type, ir.Undefined), order)
        done.append(v.at.bitcast(look(numbers, v.at.bitcast(codes, kind)), lanes(I32, width)))
    while len(done) > 1:
        order = ir.Constant(lanes(I32, 2 * done[0].type.count), list(range(2 * done[0].type.count)))
        done = [v.at.shuffle_vector(low, high, order) for low, high in zip(done[::2], done[1::2], strict=True)]
    return done[0]


def _chosen_by_bits(v: Emitter, codes: ir.Value, table: list[int]) -> ir.Value:
    """Of two numbers the one that the lowest bit says, of two such the one that the next says, and so on."""
    at = v.at
    found = [v.constant(number * 0x01010101, I32) for number in table]
    for bit in range(4):
        mask = at.mul(v.shift_bytes(codes, bit, 1), v.constant(0xFF, I32))
        found = [at.xor(a, at.and_(at.xor(a, b), mask)) for a, b in zip(found[::2], found[1::2], strict=True)]
    return found[0]
