"""A panel of 16 rows times the activations of any number of tokens, as an instruction that kernels call."""

from __future__ import annotations

from contextlib import nullcontext

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.cpu import Path, has_short_runs, path_of, prefetches_well
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.layout import Layout
from simulator.engine.panel import Panel
from simulator.engine.simd import F32, I64, Emitter


@intrinsic(prefer_literal=True)
def multiply_panel(typing_context, format_name, target, panel, columns, rows, count, out):  # noqa: ARG001
    """out[t, lane] = sum over c of panel[lane, c] * activations of token t, for *count* tokens.

    The panel is gone through once for each 8 tokens (or what the path's registers hold), from the cache after the first.

    Args (the first two are literals):
        format_name: of the weights.
        target: name of the path to compile for, see also `cpu.for_short_runs`.
        panel: address of the panel.
        columns: length of a row.
        rows: address of the tokens' addresses of activations: float32 for float formats, else an int8 record.
        count: how many tokens.
        out: address of count * 16 float32.
    """
    layout, path = LAYOUTS[format_name.literal_value], path_of(target.literal_value)
    is_short = has_short_runs(target.literal_value)

    def emit(_context, builder, _signature, args):
        name = f"roofcast_{layout.name}{'_short' if is_short else ''}"
        function = builder.module.globals.get(name) or _emit_passes(builder.module, name, layout, path, is_short)
        return builder.call(function, args[2:])

    return types.int64(format_name, target, *[types.int64] * 5), emit


def _emit_passes(module: ir.Module, name: str, layout: Layout, path: Path, is_short: bool) -> ir.Function:
    """Tokens in passes of 8, 4, 2 and 1."""
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 5), name)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    v = Emitter(builder, path)
    panel, columns, rows, count, out = function.args
    done = ir.Constant(I64, 0)
    for size in (8, 4, 2, 1):
        if size > path.max_tokens:
            continue
        product = _emit_product(module, f"{name}_{size}", layout, path, size, is_short)
        passes = builder.udiv(builder.sub(count, done), ir.Constant(I64, size))
        with v.loop(passes) as number:
            first = builder.add(done, v.times(number, size))
            builder.call(product, [panel, columns, v.add(rows, v.times(first, 8)), v.add(out, v.times(first, 64))])
        done = builder.add(done, v.times(passes, size))
    builder.ret(ir.Constant(I64, 0))
    return function


def _emit_product(module: ir.Module, name: str, layout: Layout, path: Path, count: int, is_short: bool) -> ir.Function:
    """The product with *count* tokens, whose totals stay in registers."""
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 4), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    v = Emitter(builder, path)
    address, columns, table, out = function.args
    inputs = [v.load(table, 8 * t, I64) for t in range(count)]
    panel = Panel(v, layout, address, columns, inputs)
    unroll = 1 if layout.is_quantised else 4
    _emit_blocks(v, panel, layout, unroll, is_short)
    for t, total in enumerate(panel.totals):
        v.store(builder.load(total), out, 64 * t)
    builder.ret(ir.Constant(I64, 0))
    return function


def _emit_blocks(v: Emitter, panel: Panel, layout: Layout, unroll: int, is_short: bool) -> None:
    """Every block of the panel; float formats in strides of *unroll* columns with totals of their own, to hide latency."""
    # Computing leaves gaps between the loads, so they ask for what stands further on (`cpu.looks_ahead`), some lines at a time. Measured
    # with 1 token on two threads of Zen 5, shares of a pure read without it, with all of a block at once, and so: q4_0 0.94, 0.94,
    # 1.00, mxfp4 0.90, 0.97, 0.99, iq4_xs 0.72, 0.75, 0.90, q4_k 0.70, 0.78, 0.88, q6_k -, 0.67, 0.80; but q8_0 1.07, 0.98, 0.96: its
    # own prefetching does better there. Two cores of Emerald Rapids without it and so, in GB/s of 40: q8_0 30, 37, q4_0 21, 33.
    is_plain = layout.name == "q8_0" and len(panel.inputs) == 1
    looks_ahead = not (is_short or (is_plain and prefetches_well()))
    if unroll == 1:
        with v.loop(panel.n_blocks) as block, panel.looking_ahead(block) if looks_ahead else nullcontext():
            layout.multiply(panel, block)
        return
    at = v.at
    strides = at.udiv(panel.n_blocks, ir.Constant(I64, unroll))
    groups = [panel.totals] + [[v.variable(v.constant(0.0, F32)) for _ in panel.inputs] for _ in range(unroll - 1)]
    with v.loop(strides) as stride:
        if len(panel.inputs) > 1 and not is_short:
            panel.ahead(v.times(stride, unroll), unroll)
        for k in range(unroll):
            panel.totals = groups[k]
            layout.multiply(panel, at.add(v.times(stride, unroll), ir.Constant(I64, k)))
    panel.totals = groups[0]
    with v.loop(at.urem(panel.n_blocks, ir.Constant(I64, unroll))) as rest:
        layout.multiply(panel, at.add(v.times(strides, unroll), rest))
    for t, total in enumerate(groups[0]):
        value = at.load(total)
        for more in groups[1:]:
            value = at.fadd(value, at.load(more[t]))
        at.store(value, total)
