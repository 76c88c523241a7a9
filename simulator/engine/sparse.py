"""Matrices that are read column by column, so that an input of zero saves the reading of its weights (Q-Sparse).

A matrix is cut into tiles of rows. In a tile, the weights of one column lie side by side: 256 rows (or 128, or 64) of
int8 or 4-bit values, with the rows' scales before each block of 32 columns. What an inactive input would multiply is
never touched. Sizes are those of the file's blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.compiled import helper
from simulator.engine.cpu import Path, path_of
from simulator.engine.simd import F32, I8, I16, I32, I64, LANES, Emitter, floats_at, integers_at, lanes, words_at
from simulator.errors import InputError
from simulator.spec.quant import FORMATS

FORMATS_BY_COLUMN = ("q8_0", "q4_0", "f32", "f16", "bf16")
LINE = 64  # bytes of a cache line
_SUB = 64  # rows whose four columns are interleaved at a time
_TILES = (256, 128, 64)


def tile_rows(rows: int) -> int:
    """Rows of a tile: the most that divide a matrix of so many; InputError if none does."""
    for size in _TILES:
        if rows % size == 0:
            return size
    raise InputError(f"sparse inputs need matrices whose rows divide by {_SUB}; one has {rows}")


@dataclass(frozen=True)
class ColumnMatrix:
    """A matrix packed by column, or as many of equal shape as there are experts."""

    format: str
    rows: int
    columns: int
    copies: int
    data: np.ndarray  # uint8

    @property
    def address(self) -> int:
        """Where its first tile is."""
        return self.data.ctypes.data

    @property
    def tile(self) -> int:
        """Rows of a tile."""
        return tile_rows(self.rows)

    @property
    def tile_bytes(self) -> int:
        """Bytes of a tile."""
        return int(FORMATS[self.format].nbytes(self.tile, self.columns))

    @property
    def copy_bytes(self) -> int:
        """Bytes of one copy."""
        return self.rows // self.tile * self.tile_bytes

    @property
    def is_quantised(self) -> bool:
        """Whether inputs are int8."""
        return FORMATS[self.format].block > 1


def pack_columns(raw: np.ndarray, name: str, columns: int, out: np.ndarray, signed: bool) -> None:
    """Rows of blocks as tiles.

    Args:
        raw: uint8 [rows, bytes of a row].
        name: format, one of FORMATS_BY_COLUMN.
        columns: length of a row.
        out: uint8, as large as *raw*; written.
        signed: whether the CPU path takes signed weights.
    """
    if name not in FORMATS_BY_COLUMN:
        raise InputError(f"sparse inputs run with weights in {', '.join(FORMATS_BY_COLUMN)}, not in {name}")
    rows, size = len(raw), tile_rows(len(raw))
    if FORMATS[name].block == 1:
        element = FORMATS[name].block_bytes
        values = raw.reshape(rows // size, size, columns, int(element))
        out.reshape(rows // size, columns, size, int(element))[:] = values.transpose(0, 2, 1, 3)
        return
    n_blocks = columns // 32
    blocks = raw.reshape(rows // size, size, n_blocks, -1)
    tiles = out.reshape(rows // size, n_blocks, -1)
    scales = blocks[..., :2].reshape(rows // size, size // _SUB, 4, 4, 4, n_blocks, 2)  # [tile, sub, chunk, k, i]
    tiles[..., : 2 * size] = scales.transpose(0, 5, 1, 3, 2, 4, 6).reshape(rows // size, n_blocks, 2 * size)
    quants = blocks[..., 2:]
    if name == "q4_0":
        quants = np.concatenate([quants & 15, quants >> 4], axis=-1)  # [tile, row, block, 32 columns]
        pairs = quants.reshape(rows // size, size // _SUB, 2, 32, n_blocks, 32)  # rows i and i + 32 share a byte
        by_column = (pairs[:, :, 0] | pairs[:, :, 1] << 4).transpose(0, 3, 4, 1, 2)
    else:
        by_column = (quants if signed else quants ^ 0x80).transpose(0, 2, 3, 1)
    tiles[..., 2 * size :] = by_column.reshape(rows // size, n_blocks, -1)


# A list of active inputs. int8: their number of blocks, then for each block its number, the quads of columns in it, the scale, and
# minus the sum; then the quads, each four columns (one byte each) and four values. float32: their number, then column and value.


def list_bytes(columns):
    """Room for the list of one row's active inputs, whichever kind."""
    return (16 + 8 * columns + 63) // 64 * 64


@helper
def _threshold(bits, n, keep, counts):
    """The *keep*-th largest of n non-negative floats, given as their bits, and how many equal ones belong to it."""
    low, high = np.int64(0), np.int64(0x7FFFFFFF)
    while low < high:  # the smallest value such that fewer than *keep* are larger
        middle = (low + high) // 2
        above = 0
        for i in range(n):
            above += bits[i] > middle
        if above < keep:
            high = middle
        else:
            low = middle + 1
    above = 0
    for i in range(n):
        above += bits[i] > low
    counts[0] = keep - above
    return low


@helper
def keep_largest(values, n, keep, bits, counts):
    """Sets all but the *keep* largest absolute values to 0; of equal ones the first stay."""
    for i in range(n):
        bits[i] = np.int32(bits[i] & np.int32(0x7FFFFFFF))
    limit = _threshold(bits, n, keep, counts)
    equal = counts[0]
    for i in range(n):
        if bits[i] > limit:
            continue
        if bits[i] == limit and equal > 0:
            equal -= 1
        else:
            values[i] = np.float32(0.0)


@helper
def list_floats(values, n, place):
    """Writes the list of a row's inputs that are not 0, for float formats."""
    columns, kept = words_at(place + 16, 2 * n), floats_at(place + 16, 2 * n)
    count = 0
    for i in range(n):
        if values[i] != np.float32(0.0):
            columns[2 * count] = i
            kept[2 * count + 1] = values[i]
            count += 1
    integers_at(place, 1)[0] = count


@helper
def list_blocks(record, quants, n, place):
    """Writes the list of a row's inputs that are not 0, for formats of blocks, from its int8 record."""
    n_blocks = n // 32
    scales, sums = floats_at(record + n, n_blocks), words_at(record + n + 8 * n_blocks, n_blocks)
    entries, entry_scales = words_at(place + 16, 4 * n_blocks), floats_at(place + 16, 4 * n_blocks)
    quads = place + 16 + 16 * n_blocks
    words = words_at(quads, 2 * 8 * n_blocks)
    count, n_quads = 0, 0
    for block in range(n_blocks):
        filled, columns, values = 0, np.int64(0), np.int64(0)
        first = n_quads
        for i in range(32):
            value = np.int64(quants[32 * block + i])
            if value != 0:
                columns |= np.int64(i) << (8 * filled)
                values |= (value & 255) << (8 * filled)
                filled += 1
            if filled == 4 or (i == 31 and filled > 0):  # a quad that is not full points at column 0, with inputs of 0
                words[2 * n_quads], words[2 * n_quads + 1] = np.int32(columns), np.int32(values)
                n_quads += 1
                filled, columns, values = 0, np.int64(0), np.int64(0)
        if n_quads > first:
            entries[4 * count], entries[4 * count + 1] = block, n_quads - first
            entry_scales[4 * count + 2], entries[4 * count + 3] = scales[block], sums[block]
            count += 1
    integers_at(place, 1)[0] = count


@helper
def union_bytes(lists, count, columns, rows, nibbles, is_float, seen):
    """Bytes of a tile that the active inputs of some rows touch between them.

    Args:
        lists: int64 [count], addresses of the rows' lists.
        nibbles: half bytes of a weight.
        seen: int8 [columns], scratch.
    """
    for i in range(columns):
        seen[i] = 0
    for row in range(count):
        n = integers_at(lists[row], 1)[0]
        if is_float:
            pairs = words_at(lists[row] + 16, 2 * n)
            for i in range(n):
                seen[pairs[2 * i]] = 1
            continue
        entries = words_at(lists[row] + 16, 4 * n)
        quads = words_at(lists[row] + 16 + 16 * (columns // 32), columns // 2)
        at = 0
        for entry in range(n):
            for _ in range(entries[4 * entry + 1]):
                for k in range(4):
                    if (quads[2 * at + 1] >> (8 * k)) & 255:
                        seen[32 * entries[4 * entry] + ((quads[2 * at] >> (8 * k)) & 255)] = 1
                at += 1
    total, last = 0, -1
    for i in range(columns):
        if seen[i]:
            total += nibbles * rows // 2
            if not is_float and i // 32 != last:
                last = i // 32
                total += 2 * rows
    return total


@intrinsic(prefer_literal=True)
def multiply_tile(typing_context, format_name, target, tile, active, columns, rows, out):  # noqa: ARG001
    """out[row] = sum over a row's active inputs of tile[row, c] * input c.

    Args (the first two are literals):
        format_name: of the weights.
        target: name of the path to compile for.
        tile: address of the tile.
        active: address of the list of active inputs.
        columns: length of a row of the matrix.
        rows: rows of the tile, a multiple of 64.
        out: address of `rows` float32.
    """
    name, path = format_name.literal_value, path_of(target.literal_value)

    def emit(_context, builder, _signature, args):
        label = f"roofcast_columns_{name}"
        function = builder.module.globals.get(label) or _emit_tile(builder.module, label, name, path)
        return builder.call(function, args[2:])

    return types.int64(format_name, target, *[types.int64] * 5), emit


def _emit_tile(module: ir.Module, label: str, name: str, path: Path) -> ir.Function:
    """A function that handles a tile 64 rows at a time, or all 256 at once where the registers hold the sums."""
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 5), label)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    v = Emitter(builder, path)
    tile, active, columns, rows, out = function.args
    subs = 4 if path.max_tokens == 8 else 1
    passes = builder.udiv(rows, ir.Constant(I64, _SUB * subs))
    emit = _emit_floats if FORMATS[name].block == 1 else _emit_blocks
    with v.loop(passes) as index:
        emit(v, name, tile, active, columns, rows, out, v.times(index, _SUB * subs), subs)
    rest = builder.mul(passes, ir.Constant(I64, _SUB * subs))
    with v.loop(builder.udiv(builder.sub(rows, rest), ir.Constant(I64, _SUB))) as index:
        emit(v, name, tile, active, columns, rows, out, builder.add(rest, v.times(index, _SUB)), 1)
    builder.ret(ir.Constant(I64, 0))
    return function


def _emit_floats(v: Emitter, name: str, tile, active, columns, rows, out, first, subs: int) -> None:  # noqa: ARG001
    size = int(FORMATS[name].block_bytes)
    totals = [v.variable(v.constant(0.0, F32)) for _ in range(4 * subs)]
    for total in totals:
        v.at.store(v.constant(0.0, F32), total)
    start = v.add(tile, v.times(first, size))
    with v.loop(v.load(active, 0, I64)) as number:
        pair = v.add(v.add(active, 16), v.times(number, 8))
        column = v.at.zext(v.load(pair, 0, I32), I64)
        value = v.splat(v.load(pair, 4, F32))
        place = v.add(start, v.at.mul(column, v.times(rows, size)))
        for k, total in enumerate(totals):
            weights = _read_floats(v, name, place, k * LANES * size)
            v.at.store(v.multiply_add(weights, value, v.at.load(total)), total)
    for k, total in enumerate(totals):
        v.store(v.at.load(total), v.add(out, v.times(first, 4)), 64 * k)


def _read_floats(v: Emitter, name: str, place, offset: int) -> ir.Value:
    if name == "f32":
        return v.load(place, offset, lanes(F32))
    words = v.load(place, offset, lanes(I16))
    return v.half_to_float(words) if name == "f16" else v.bfloat_to_float(words)


def _emit_blocks(v: Emitter, name: str, tile, active, columns, rows, out, first, subs: int) -> None:
    at, is_small = v.at, name == "q4_0"
    result = v.add(out, v.times(first, 4))
    for k in range(4 * subs):
        v.store(v.constant(0.0, F32), result, 64 * k)
    column_bytes = at.lshr(rows, ir.Constant(I64, 1)) if is_small else rows
    offset = at.lshr(first, ir.Constant(I64, 1)) if is_small else first
    block_bytes = at.add(v.times(rows, 2), v.times(column_bytes, 32))
    entry_start = v.add(active, 16)
    quad = v.variable(ir.Constant(I64, 0))
    at.store(v.add(entry_start, v.times(at.udiv(columns, ir.Constant(I64, 32)), 16)), quad)
    sums = [v.variable(v.constant(0, I32)) for _ in range(4 * subs)]
    with v.loop(v.load(active, 0, I64)) as number:
        entry = v.add(entry_start, v.times(number, 16))
        block = v.add(tile, at.mul(at.zext(v.load(entry, 0, I32), I64), block_bytes))
        shift = 3 if is_small else (None if v.path.signed else 7)
        begin = v.constant(0, I32)
        if shift is not None:
            begin = v.splat(at.shl(v.load(entry, 12, I32), ir.Constant(I32, shift)))
        for value in sums:
            at.store(begin, value)
        values = v.add(v.add(block, v.times(rows, 2)), offset)
        n_quads = at.zext(v.load(entry, 4, I32), I64)
        # Columns lie apart, where a processor does not guess them: the next block's are asked for beside this one's.
        next_block = v.add(tile, at.mul(at.zext(v.load(entry, 16, I32), I64), block_bytes))
        for line in range(0, 2 * _SUB * subs, LINE):
            v.prefetch(v.add(v.add(next_block, v.times(first, 2)), line))
        next_values = v.add(v.add(next_block, v.times(rows, 2)), offset)
        with v.loop(n_quads):
            _ask_for_quad(v, v.add(at.load(quad), v.times(n_quads, 8)), next_values, column_bytes, subs, is_small)
            _emit_quad(v, at.load(quad), values, column_bytes, sums, is_small)
            at.store(v.add(at.load(quad), 8), quad)
        own = v.splat(v.load(entry, 8, F32))
        scales = v.add(block, v.times(first, 2))
        for k, value in enumerate(sums):
            scale = v.half_to_float(v.load(scales, 32 * k, lanes(I16)))
            product = at.fmul(v.to_float(at.load(value)), own)
            v.store(v.multiply_add(product, scale, v.load(result, 64 * k, lanes(F32))), result, 64 * k)


def _ask_for_quad(v: Emitter, quad, values, column_bytes, subs: int, is_small: bool) -> None:
    """Asks for the columns of a quad."""
    numbers = v.load(quad, 0, I32)
    for k in range(4):
        column = v.at.and_(v.at.lshr(numbers, ir.Constant(I32, 8 * k)), ir.Constant(I32, 255))
        place = v.add(values, v.at.mul(v.at.zext(column, I64), column_bytes))
        for line in range(0, _SUB * subs // (2 if is_small else 1), LINE):
            v.prefetch(v.add(place, line))


def _emit_quad(v: Emitter, quad, values, column_bytes, sums: list, is_small: bool) -> None:
    """Four columns: their bytes are interleaved so that each lane holds one row's four weights."""
    at = v.at
    numbers, inputs = v.load(quad, 0, I32), v.load(quad, 4, I32)
    places = []
    for k in range(4):
        column = at.and_(at.lshr(numbers, ir.Constant(I32, 8 * k)), ir.Constant(I32, 255))
        places.append(v.add(values, at.mul(at.zext(column, I64), column_bytes)))
    for sub in range(len(sums) // 4):
        columns = [_read_column(v, place, sub, is_small) for place in places]
        for k, weights in enumerate(_interleave(v, columns)):
            total = sums[4 * sub + k]
            at.store(v.dot(at.load(total), weights, inputs, is_small), total)


def _read_column(v: Emitter, place, sub: int, is_small: bool) -> ir.Value:
    """64 rows of one column as bytes."""
    if not is_small:
        return v.load(place, _SUB * sub, lanes(I8, _SUB))
    packed = v.load(place, _SUB // 2 * sub, lanes(I8, 32))
    low = v.at.and_(packed, v.constant(15, I8, 32))
    high = v.at.lshr(packed, v.constant(4, I8, 32))
    return v.at.shuffle_vector(low, high, ir.Constant(lanes(I32, 64), list(range(64))))


def _interleave(v: Emitter, columns: list) -> list:
    """Four vectors of 64 bytes as four of 16 words: word i of vector k is row 16 (i // 4) + 4 k + i % 4."""
    a, b, c, d = columns
    pairs = [_zip(v, a, b, 1), _zip(v, c, d, 1)]  # each (low halves, high halves) of every 16 bytes
    found = []
    for half in range(2):
        found += _zip(v, pairs[0][half], pairs[1][half], 2)
    return found


def _zip(v: Emitter, left, right, size: int) -> tuple[ir.Value, ir.Value]:
    """Items of *size* bytes of two vectors in turn: of the low and of the high half of each 16 bytes."""
    results = []
    for half in range(2):
        order = []
        for chunk in range(4):
            for item in range(8 // size):
                start = 16 * chunk + 8 * half + item * size
                order += [start + k for k in range(size)] + [64 + start + k for k in range(size)]
        results.append(v.at.shuffle_vector(left, right, ir.Constant(lanes(I32, 64), order)))
    return results[0], results[1]
