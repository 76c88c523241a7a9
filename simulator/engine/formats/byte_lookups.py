"""Codebooks in registers, for AVX-512 with VBMI and GFNI, which look up 64 bytes at a time among 128 and turn bits into numbers.

A codebook's numbers are few, so an entry fits two bytes: 2 bits for each of 8 numbers, or 4 for each of 4. What is looked up is
turned into numbers one number of every entry at a time: the four bytes of a row are then four columns apart. Activations are put
into that order, 32 at a time. Measured on one core of an Intel server with AMX, billions of weights a second by gathers of 8
entries and so: iq2_xxs 30 and 46, iq2_xs 28 and 31, iq3_xxs 21 and 37, iq3_s 20 and 26.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from simulator.engine.cpu import Path, features
from simulator.engine.formats.codebooks import Codebook, pick
from simulator.engine.panel import Panel
from simulator.engine.simd import I8, I32, I64, LANES, Emitter, lanes

MOST_IN_REGISTERS = 512  # entries; of iq2_s's 1024, gathers of 16 make 28, and registers 24

_BYTES = lanes(I8, 64)


def has_byte_lookups(path: Path) -> bool:
    """Whether this processor has the instructions, and the path the width."""
    return path.name == "avx512-vnni" and {"avx512vbmi", "gfni"} <= features()


class RegisterBook:
    """A codebook as 64-byte constants, and the maps from bits of its entries to numbers, with 128 added."""

    def __init__(self, emitter: Emitter, codebook: str, numbers: np.ndarray):
        self._v = emitter
        values = np.unique(numbers)
        codes = np.searchsorted(values, numbers).astype(np.uint8)
        width = 16 // codes.shape[1]  # bits of a code
        if width == 4:
            codes |= (codes == 7).astype(np.uint8) << 3  # what the largest number has of its own
        per_byte = 8 // width
        shifts = width * np.arange(per_byte, dtype=np.uint8)
        entries = (codes.reshape(len(codes), 2, per_byte) << shifts).sum(axis=2, dtype=np.uint8)
        self._tables = entries.T
        self._entries = Codebook(emitter, f"entries_{codebook}", entries.view(np.int8))
        self._maps = [_number_map(values, width, shift) for shift in shifts]
        self._is_paired = width == 2
        self.is_gathered = len(codes) > MOST_IN_REGISTERS

    def words(self, low: ir.Value, tops: list[ir.Value]) -> list[ir.Value]:
        """Numbers of 64 entries: 64 bytes for each number of four of them (or all of two).

        Args:
            low: 64 bytes, the low bits of the codes.
            tops: for each bit above them, lowest first, 64 conditions.
        """
        v = self._v
        first, second = (self._look_up(table, low, tops) for table in self._tables)
        if self._is_paired:
            places = [16 * lane + k for lane in range(4) for k in range(8)]
            halves = [[place + 8 * half + 64 * side for place in places for side in range(2)] for half in range(2)]
            sources = [pick(v, first, second, places) for places in halves]
            return [[_affine(v, source, *one) for one in self._maps] for source in sources]
        return [[_affine(v, source, *one) for source in (first, second) for one in self._maps]]

    def gathered_words(self, codes: list[ir.Value]) -> list[list[ir.Value]]:
        """The same for four groups of 16 codes, 32-bit words, by gathers."""
        v, at = self._v, self._v.at
        found = [self._entries.words(each)[0] for each in codes]
        low = v.constant(0xFFFF, I32)
        sources = [
            at.or_(at.and_(a, low), at.shl(b, v.constant(16, I32)))
            for a, b in zip(found[::2], found[1::2], strict=True)
        ]
        return [[_affine(v, v.bytes_of(source), *one) for one in self._maps] for source in sources]

    def _look_up(self, table: np.ndarray, low: ir.Value, tops: list[ir.Value]) -> ir.Value:
        v, at = self._v, self._v.at
        name = "llvm.x86.avx512.vpermi2var.qi.512"
        declared = v.declare(name, ir.FunctionType(_BYTES, [_BYTES] * 3))
        pieces = [ir.Constant(_BYTES, piece.tolist()) for piece in table.reshape(-1, 64)]
        found = [at.call(declared, [a, low, b]) for a, b in zip(pieces[::2], pieces[1::2], strict=True)]
        for is_upper in (at.icmp_signed("<", low, v.constant(0, I8, 64)), *tops):
            found = [at.select(is_upper, b, a) for a, b in zip(found[::2], found[1::2], strict=True)]
        return found[0]


def _number_map(values: np.ndarray, width: int, shift: int) -> tuple[list[int], int]:
    """The matrix over bits, and the constant, that turn a code at *shift* of a byte into its number."""
    values = [int(each) & 255 for each in values]
    columns = [values[0] ^ values[1], values[0] ^ values[2]]
    if width == 4:
        columns.append(values[0] ^ values[4])
        columns.append(values[0] ^ columns[0] ^ columns[1] ^ columns[2] ^ values[7])
    rows = [sum((column >> bit & 1) << (shift + j) for j, column in enumerate(columns)) for bit in range(8)]
    return rows[::-1], values[0]


def _affine(v: Emitter, source: ir.Value, rows: list[int], constant: int) -> ir.Value:
    """Every byte times a matrix over bits (the row of the highest bit first), plus a constant."""
    kind = ir.FunctionType(_BYTES, [_BYTES, _BYTES, I8])
    declared = v.declare("llvm.x86.vgf2p8affineqb.512", kind)
    return v.at.call(declared, [source, ir.Constant(_BYTES, rows * 8), ir.Constant(I8, constant)])


def sevens_as_bytes(v: Emitter, words: ir.Value) -> ir.Value:
    """The low 28 bits of 16 words as 64 bytes of 7 bits, above which a bit of the next one stands."""
    name = "llvm.x86.avx512.pmultishift.qb.512"
    declared = v.declare(name, ir.FunctionType(_BYTES, [_BYTES] * 2))
    starts = [32 * word + 7 * byte for word in range(2) for byte in range(4)]
    return v.at.call(declared, [ir.Constant(_BYTES, starts * 8), v.bytes_of(words)])


def eight_signs(v: Emitter, sevens: ir.Value, start: int = 0) -> ir.Value:
    """7 bits of each byte from bit *start* on as signs, with an eighth so that the number of ones is even."""
    return _affine(v, sevens, [0x7F << start, *(1 << (start + bit) for bit in reversed(range(7)))], 0)


def negated(v: Emitter, words: list[ir.Value], signs: ir.Value, half: int) -> list[ir.Value]:
    """Numbers with their signs: bytes of word k are columns 16 half + k, + 4, + 8 and + 12 more.

    signs: 64 bytes, four of each row, a bit for each of 32 columns.
    """
    at = v.at
    own = pick(v, signs, signs, [4 * row + 2 * half + k // 2 for row in range(LANES) for k in range(4)])
    found = []
    for k, numbers in enumerate(words):
        bits = ir.Constant(_BYTES, [1 << (4 * (b % 2) + k) for b in range(4)] * LANES)
        is_negative = at.icmp_unsigned("!=", at.and_(own, bits), v.constant(0, I8, 64))
        found.append(at.select(is_negative, at.sub(v.constant(0, I8, 64), numbers), numbers))
    return found


def inputs_across(panel: Panel, token: int, small: ir.Value) -> list[ir.Value]:
    """32 activations as 8 words in that order: number 4 half + k has columns 16 half + k, + 4, + 8 and + 12 more."""
    v, at = panel.v, panel.v.at
    values = v.load(v.add(panel.inputs[token], v.times(small, 32)), 0, lanes(I8, 32))
    places = [16 * half + 4 * b + k for half in range(2) for k in range(4) for b in range(4)]
    with at.goto_entry_block():
        room = at.alloca(lanes(I8, 32), name=f"across{token}")
    room.align = 32
    # Two names for one address, of which the compiler knows nothing: words are to be broadcast out of memory, which costs no
    # shuffles, and not out of the register that was stored.
    write = _hidden(at, at.ptrtoint(room, I64))
    v.store(pick(v, values, values, places), write)
    read = _hidden(at, write)
    return [v.load(read, 4 * number, I32) for number in range(8)]


def _hidden(at: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return at.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [address], side_effect=False)
