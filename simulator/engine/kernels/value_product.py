"""Values of the cache in blocks of 32, times the weights of their positions, as an instruction that kernels call."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.cpu import Path, path_of
from simulator.engine.simd import F32, I8, I16, I32, I64, LANES, Emitter, lanes
from simulator.spec.quant import FORMATS

# A head's values lie by blocks of 32 dimensions, each as groups of 16 positions: their scales (halves), then their quants one
# position after the other. So a group has the bytes of its 16 blocks, and a position's weight meets its scale once.


@intrinsic(prefer_literal=True)
def multiply_values(typing_context, format_name, target, place, n_groups, rows, count, out):  # noqa: ARG001
    """out[r, d] = sum over positions p of row r's weight of p * value[p, d], in order of the positions.

    Args (the first two are literals):
        format_name: q8_0 or q4_0.
        target: name of the path to compile for.
        place: address of the first group of 16 positions.
        n_groups: how many groups.
        rows: address of *count* addresses of weights, float32 [16 n_groups].
        count: how many rows.
        out: address of count * 32 float32.
    """
    name, path = format_name.literal_value, path_of(target.literal_value)

    def emit(_context, builder, _signature, args):
        label = f"roofcast_values_{name}"
        function = builder.module.globals.get(label) or _emit_passes(builder.module, label, name, path)
        return builder.call(function, args[2:])

    return types.int64(format_name, target, *[types.int64] * 5), emit


def _emit_passes(module: ir.Module, label: str, name: str, path: Path) -> ir.Function:
    """Rows in passes of 8, 4, 2 and 1, as the registers hold their sums."""
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 5), label)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    v = Emitter(builder, path)
    place, n_groups, rows, count, out = function.args
    done = ir.Constant(I64, 0)
    most = path.max_tokens if path.max_tokens == 8 else max(1, path.max_tokens // 2)  # a row has two vectors of sums
    for size in (8, 4, 2, 1):
        if size > most:
            continue
        product = _emit_product(module, f"{label}_{size}", name, path, size)
        passes = builder.udiv(builder.sub(count, done), ir.Constant(I64, size))
        with v.loop(passes) as number:
            first = builder.add(done, v.times(number, size))
            builder.call(product, [place, n_groups, v.add(rows, v.times(first, 8)), v.add(out, v.times(first, 128))])
        done = builder.add(done, v.times(passes, size))
    builder.ret(ir.Constant(I64, 0))
    return function


def _emit_product(module: ir.Module, label: str, name: str, path: Path, count: int) -> ir.Function:
    """The product with *count* rows of weights."""
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 4), label)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    v = Emitter(builder, path)
    place, n_groups, table, out = function.args
    weights = [v.load(table, 8 * row, I64) for row in range(count)]
    totals = [[v.variable(v.constant(0.0, F32)) for _ in range(2)] for _ in range(count)]
    size = int(FORMATS[name].block_bytes)
    with v.loop(n_groups) as number:
        group = v.add(place, v.times(number, LANES * size))
        scales = v.half_to_float(v.load(group, 0, lanes(I16)))
        shares = [builder.fmul(v.load(v.add(row, v.times(number, 64)), 0, lanes(F32)), scales) for row in weights]
        for k in range(LANES):
            halves = _read_quants(v, name, group, 2 * LANES + k * (size - 2))
            for row, share in enumerate(shares):
                own = _lane(v, share, k)
                for half, total in zip(halves, totals[row], strict=True):
                    builder.store(v.multiply_add(half, own, builder.load(total)), total)
    for row, pair in enumerate(totals):
        for half, total in enumerate(pair):
            v.store(builder.load(total), out, 128 * row + 64 * half)
    builder.ret(ir.Constant(I64, 0))
    return function


def _read_quants(v: Emitter, name: str, group: ir.Value, offset: int) -> tuple[ir.Value, ir.Value]:
    """The 32 quants of a position as floats: signed bytes, or nibbles less 8, the low ones first."""
    at = v.at
    if name == "q8_0":
        first, second = (v.load(group, offset + 16 * half, lanes(I8)) for half in range(2))
        return v.to_float(at.sext(first, lanes(I32))), v.to_float(at.sext(second, lanes(I32)))
    packed = at.zext(v.load(group, offset, lanes(I8)), lanes(I32))
    nibbles = at.and_(packed, v.constant(15, I32)), at.lshr(packed, v.constant(4, I32))
    low, high = (v.to_float(at.sub(each, v.constant(8, I32))) for each in nibbles)
    return low, high


def _lane(v: Emitter, vector: ir.Value, number: int) -> ir.Value:
    """One lane of a vector in every lane."""
    return v.at.shuffle_vector(
        vector, ir.Constant(vector.type, ir.Undefined), ir.Constant(lanes(I32), [number] * LANES)
    )
