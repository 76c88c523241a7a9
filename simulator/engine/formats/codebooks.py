"""Codebooks: tables of 8 or 4 numbers for each code, as constants of the compiled module, and how 16 rows look theirs up.

The numbers are those of the formats, as the package gguf has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from simulator.engine.memory import LINE
from simulator.engine.panel import Panel
from simulator.engine.simd import I8, I32, I64, LANES, Emitter, lanes


@lru_cache
def grid(name: str) -> np.ndarray:
    """A format's codebook: int8 [codes, 8 or 4]."""
    from gguf import quants

    kind = getattr(quants, name.upper())
    kind.init_grid()
    return kind.grid.reshape(kind.grid_shape).astype(np.int8)


class Codebook:
    """A table in the module that is written."""

    def __init__(self, emitter: Emitter, label: str, numbers: np.ndarray):
        """*numbers*: int8 [codes, 8 or 4]; *label*: no other table's."""
        self._v, self._width = emitter, numbers.shape[1]
        module = emitter.at.module
        self._table = module.globals.get(label)
        if self._table is None:
            rest = bytes(2 if self._width == 2 else 0)  # what is gathered with the last entry
            content = numbers.tobytes() + rest
            content = ir.Constant(ir.ArrayType(I8, len(content)), bytearray(content))
            self._table = cgutils.global_constant(module, label, content)
            self._table.align = LINE

    def words(self, codes: ir.Value) -> list[ir.Value]:
        """What 16 rows' codes, 32-bit words, stand for: for each four columns 16 words, a row's four numbers as bytes."""
        if self._v.path.name == "avx512-vnni":
            return self._wide(codes)
        if self._v.path.name in ("avx-vnni", "avx2"):
            return self._narrow(codes)
        return self._one_by_one(codes)

    @property
    def _start(self) -> ir.Value:
        return self._v.at.bitcast(self._table, I8.as_pointer())

    def _wide(self, codes: ir.Value) -> list[ir.Value]:
        """Gathers of 64 bytes."""
        v, at = self._v, self._v.at
        if self._width <= 4:
            return [self._gather("llvm.x86.avx512.mask.gather.dpi.512", lanes(I32), codes, ir.IntType(1), I32)]
        halves = [pick(v, codes, codes, range(8 * half, 8 * half + 8)) for half in range(2)]
        name = "llvm.x86.avx512.mask.gather.dpq.512"
        parts = [at.bitcast(self._gather(name, lanes(I64, 8), half, ir.IntType(1), I32), lanes(I32)) for half in halves]
        return [pick(v, *parts, range(first, 2 * LANES, 2)) for first in range(2)]

    def _narrow(self, codes: ir.Value) -> list[ir.Value]:
        """Gathers of 32 bytes."""
        v, at = self._v, self._v.at
        found = []
        for half in range(2):
            own = pick(v, codes, codes, range(8 * half, 8 * half + 8))
            if self._width == 4:
                found.append([self._gather("llvm.x86.avx2.gather.d.d.256", lanes(I32, 8), own, I32, I8)])
                continue
            # Rows in this order are in theirs after a shuffle that does not cross the register's halves.
            parts = []
            for rows in ((0, 1, 4, 5), (2, 3, 6, 7)):
                four = self._gather("llvm.x86.avx2.gather.d.q.256", lanes(I64, 4), pick(v, own, own, rows), I64, I8)
                parts.append(at.bitcast(four, lanes(I32, 8)))
            odd = [0, 2, 8, 10, 4, 6, 12, 14]
            found.append([pick(v, *parts, [place + word for place in odd]) for word in range(2)])
        return [pick(v, low, high, range(LANES)) for low, high in zip(*found, strict=True)]

    def _gather(self, name: str, kind: ir.VectorType, codes: ir.Value, mask: ir.Type, scale: ir.Type) -> ir.Value:
        """Elements of a vector of *kind* at the numbers *codes* of the table, all of them."""
        all_on = ir.Constant(lanes(mask, kind.count), [-1] * kind.count)
        operands = [ir.Constant(kind, None), self._start, codes, all_on, ir.Constant(scale, self._width)]
        declared = self._v.declare(name, ir.FunctionType(kind, [each.type for each in operands]))
        return self._v.at.call(declared, operands)

    def _one_by_one(self, codes: ir.Value) -> list[ir.Value]:
        """A load for each row."""
        v, at = self._v, self._v.at
        element = I32 if self._width == 4 else I64
        start = at.ptrtoint(self._table, I64)
        found = ir.Constant(lanes(element), ir.Undefined)
        for lane in range(LANES):
            code = at.zext(at.extract_element(codes, ir.Constant(I32, lane)), I64)
            value = v.load(start, v.times(code, self._width), element, align=4)
            found = at.insert_element(found, value, ir.Constant(I32, lane))
        if self._width == 4:
            return [found]
        words = at.bitcast(found, lanes(I32, 2 * LANES))
        return [pick(v, words, words, range(first, 2 * LANES, 2)) for first in range(2)]


def pick(v: Emitter, left: ir.Value, right: ir.Value, places: Sequence[int]) -> ir.Value:
    """Elements of two vectors by their places."""
    return v.at.shuffle_vector(left, right, ir.Constant(lanes(I32, len(places)), list(places)))


def field(v: Emitter, words: ir.Value, start: int, bits: int) -> ir.Value:
    """So many bits of each of 16 words."""
    if start:
        words = v.at.lshr(words, v.constant(start, I32))
    return words if start + bits == 32 else v.at.and_(words, v.constant((1 << bits) - 1, I32))


def negate(v: Emitter, numbers: ir.Value, signs: ir.Value, group: int, half: int) -> ir.Value:
    """16 words of four numbers, those whose bit is set with their sign turned: bits 4 *half* on of byte *group* of the signs."""
    at = v.at
    own = at.bitcast(signs, lanes(I8, 64))
    own = pick(v, own, own, [4 * lane + group for lane in range(LANES) for _ in range(4)])
    bits = ir.Constant(lanes(I8, 64), [1 << (4 * half + k) for k in range(4)] * LANES)
    is_negative = at.icmp_unsigned("!=", at.and_(own, bits), v.constant(0, I8, 64))
    numbers = v.bytes_of(numbers)
    return at.bitcast(at.select(is_negative, at.sub(v.constant(0, I8, 64), numbers), numbers), lanes(I32))


def spread_sevens(v: Emitter, words: ir.Value) -> ir.Value:
    """The low 28 bits of 16 words as four bytes of 7 bits."""
    found = field(v, words, 0, 7)
    for byte in range(1, 4):
        moved = v.at.shl(words, v.constant(byte, I32))
        found = v.at.or_(found, v.at.and_(moved, v.constant(0x7F << 8 * byte, I32)))
    return found


def with_eighth(v: Emitter, sevens: ir.Value) -> ir.Value:
    """Each byte of 7 bits with an eighth: the number of ones is even."""
    count = v.declare("llvm.ctpop.v64i8", ir.FunctionType(lanes(I8, 64), [lanes(I8, 64)]))
    ones = v.at.bitcast(v.at.call(count, [v.bytes_of(sevens)]), lanes(I32))
    eighths = v.at.and_(v.at.shl(ones, v.constant(7, I32)), v.constant(0x80808080, I32))
    return v.at.or_(sevens, eighths)


def unit(panel: Panel, name: str, block: ir.Value, number: ir.Value, element: ir.Type = I32) -> ir.Value:
    """Unit *number* of a plane in one block, of all 16 rows, as 16 words."""
    v = panel.v
    plane, offset = panel.planes[name]
    start = v.add(panel.address, v.add(v.times(block, panel.block_bytes), offset))
    nbytes = LANES * plane.unit
    found = v.load(v.add(start, v.times(number, nbytes)), 0, lanes(element), align=min(32, nbytes))
    return found if element == I32 else v.at.zext(found, lanes(I32))
