"""A tile of a matrix by column times the active inputs of a row, as an instruction that kernels call."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.column_matrix import SUB
from simulator.engine.cpu import Path, path_of
from simulator.engine.memory import LINE
from simulator.engine.simd import F32, I8, I16, I32, I64, LANES, Emitter, lanes
from simulator.spec.quant import FORMATS


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
    passes = builder.udiv(rows, ir.Constant(I64, SUB * subs))
    emit = _emit_floats if FORMATS[name].block == 1 else _emit_blocks
    with v.loop(passes) as index:
        emit(v, name, tile, active, columns, rows, out, v.times(index, SUB * subs), subs)
    rest = builder.mul(passes, ir.Constant(I64, SUB * subs))
    with v.loop(builder.udiv(builder.sub(rows, rest), ir.Constant(I64, SUB))) as index:
        emit(v, name, tile, active, columns, rows, out, builder.add(rest, v.times(index, SUB)), 1)
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
        for line in range(0, 2 * SUB * subs, LINE):
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
        for line in range(0, SUB * subs // (2 if is_small else 1), LINE):
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
        return v.load(place, SUB * sub, lanes(I8, SUB))
    packed = v.load(place, SUB // 2 * sub, lanes(I8, 32))
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
