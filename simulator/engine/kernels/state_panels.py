"""States by panels of 16 columns, a row a cache line: one token's update of a panel, as an instruction that kernels call.

A state is a matrix whose columns do not know of each other: values of a head of the delta net, channels of a head of Mamba 2. So a
panel of 16 of them stays in the first level of the cache while all its rows are gone through. Four sums take turns, to hide how
long a fused multiply-add takes; they are put together in a fixed order, so that a token's result has the same bits wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.cpu import PATHS
from simulator.engine.simd import F32, I64, LANES, Emitter, lanes

_SUMS = 4
_ROW_BYTES = 4 * LANES
_WIDEST = PATHS["portable"]  # fused multiply-adds of 16 lanes are written alike for every path


@intrinsic
def delta_panel(typing_context, state, n_rows, key, query, value, decay, beta, out):  # noqa: ARG001
    """The gated delta rule: S = decay S + key (beta (value - (decay S)^T key))^T; out = S^T query.

    Args:
        state: address of float32 [n_rows, 16], a panel of S.
        key, query: addresses of float32 [n_rows].
        value, out: addresses of float32 [16].
        decay, beta: float32.
    """

    def emit(_context, builder, _signature, args):
        return builder.call(_function(builder.module, "roofcast_delta_panel", _emit_delta, 2), _ordered(args))

    kinds = (types.int64, types.int64, types.int64, types.int64, types.int64, types.float32, types.float32, types.int64)
    return types.int64(*kinds), emit


def _ordered(args):
    """Addresses and counts first, as `_function` has them."""
    state, n_rows, key, query, value, decay, beta, out = args
    return [state, n_rows, key, query, value, out, decay, beta]


def _emit_delta(v: Emitter, state, n_rows, key, query, value, out, decay, beta) -> None:
    at = v.at
    shrink = v.splat(decay)

    def remember(row: ir.Value, total: ir.Value) -> ir.Value:
        """What the state holds for the key, a row of it."""
        old = at.fmul(_row(v, state, row), shrink)
        return v.multiply_add(old, _entry(v, key, row), total)

    known = _over_rows(v, n_rows, remember)
    change = at.fmul(at.fsub(v.load(value, 0, lanes(F32), 4), known), v.splat(beta))

    def renew(row: ir.Value, total: ir.Value) -> ir.Value:
        """A row of the state with the new value, and what the query reads of it."""
        new = v.multiply_add(_entry(v, key, row), change, at.fmul(_row(v, state, row), shrink))
        v.store(new, state, v.times(row, _ROW_BYTES))
        return v.multiply_add(new, _entry(v, query, row), total)

    v.store(_over_rows(v, n_rows, renew), out)


@intrinsic
def scan_panel(typing_context, state, n_rows, entering, leaving, step, decay, out):  # noqa: ARG001
    """Mamba 2's state: S = decay S + entering step^T; out = S^T leaving.

    Args:
        state: address of float32 [n_rows, 16], a panel of S.
        entering, leaving: addresses of float32 [n_rows], B and C of the paper.
        step, out: addresses of float32 [16]; step is the input times the length of the time step.
        decay: float32.
    """

    def emit(_context, builder, _signature, args):
        state, n_rows, entering, leaving, step, decay, out = args
        function = _function(builder.module, "roofcast_scan_panel", _emit_scan, 1)
        return builder.call(function, [state, n_rows, entering, leaving, step, out, decay])

    kinds = (types.int64, types.int64, types.int64, types.int64, types.int64, types.float32, types.int64)
    return types.int64(*kinds), emit


def _emit_scan(v: Emitter, state, n_rows, entering, leaving, step, out, decay) -> None:
    at = v.at
    shrink, added = v.splat(decay), v.load(step, 0, lanes(F32), 4)

    def renew(row: ir.Value, total: ir.Value) -> ir.Value:
        """A row of the state, and what is read of it."""
        new = v.multiply_add(_entry(v, entering, row), added, at.fmul(_row(v, state, row), shrink))
        v.store(new, state, v.times(row, _ROW_BYTES))
        return v.multiply_add(new, _entry(v, leaving, row), total)

    v.store(_over_rows(v, n_rows, renew), out)


def _function(module: ir.Module, name: str, emit: Callable, n_floats: int) -> ir.Function:
    """A function of six integers and some floats in the module, written once."""
    found = module.globals.get(name)
    if found:
        return found
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 6 + [F32] * n_floats), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit(Emitter(builder, _WIDEST), *function.args)
    builder.ret(ir.Constant(I64, 0))
    return function


def _row(v: Emitter, state: ir.Value, row: ir.Value) -> ir.Value:
    """A row of a panel."""
    return v.load(state, v.times(row, _ROW_BYTES), lanes(F32), 4)


def _entry(v: Emitter, address: ir.Value, row: ir.Value) -> ir.Value:
    """An entry of a vector in every lane."""
    return v.splat(v.load(address, v.times(row, 4), F32, 4))


def _over_rows(v: Emitter, n_rows: ir.Value, add: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
    """The sum over all rows of what *add* puts to a total: row r to sum r modulo 4."""
    at = v.at
    totals = [v.variable(v.constant(0.0, F32)) for _ in range(_SUMS)]
    rounds = at.udiv(n_rows, ir.Constant(I64, _SUMS))
    with v.loop(rounds) as number:
        for k, total in enumerate(totals):
            row = v.add(v.times(number, _SUMS), k)
            at.store(add(row, at.load(total)), total)
    with v.loop(at.urem(n_rows, ir.Constant(I64, _SUMS))) as rest:
        row = at.add(v.times(rounds, _SUMS), rest)
        at.store(add(row, at.load(totals[0])), totals[0])
    first, second, third, fourth = (at.load(total) for total in totals)
    return at.fadd(at.fadd(first, second), at.fadd(third, fourth))
