"""Kernels that keep a GPU busy with one thing: reading, copying or adding arrays, multiplying in registers, or nothing.

Imported only where numba's CUDA target is, or its simulator (NUMBA_ENABLE_CUDASIM=1). Arrays hold float32 in vectors
of four: 16 bytes, the widest load that every NVIDIA GPU has. A kernel goes over arrays of `n_vectors`, a power of two,
as if they were rings: thread t of T handles the vectors t, t + T, t + 2 T ... until `total` vectors are done by all
threads together. So one launch lasts as long as wanted however small the arrays are, every thread has work, and the
parts of a small array are not each bound to one multiprocessor.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

LANES = 4  # float32 of a vector
VECTOR_BYTES = 4 * LANES
CHAINS, STEPS = 8, 32  # multiply-adds that do not wait for each other, and how often they follow each other in a turn

if cuda.config.ENABLE_CUDASIM:

    def load(array, vector):
        """The four numbers of a vector."""
        at = LANES * vector
        return array[at], array[at + 1], array[at + 2], array[at + 3]

    def store(array, vector, values):
        """Writes the four numbers of a vector."""
        for lane in range(LANES):
            array[LANES * vector + lane] = values[lane]

else:
    from llvmlite import ir
    from numba import types
    from numba.cuda.extending import intrinsic

    _FOUR = types.UniTuple(types.float32, LANES)

    def _address(context, builder, array_type, array, vector):
        start = context.make_array(array_type)(context, builder, value=array).data
        offset = builder.mul(vector, ir.Constant(vector.type, VECTOR_BYTES))
        return builder.add(builder.ptrtoint(start, vector.type), offset)

    # numba's vector types are no elements of arrays and its cached loads take single numbers, so the instructions are
    # written out. ".cg" keeps the first-level caches out: together they hold much of what an L2 does (132 x 256 KiB on
    # an H100) and would be measured in its place, while weights that are streamed never hit them.
    @intrinsic
    def load(typing_context, array, vector):  # noqa: ARG001
        """The four numbers of a vector, in one load past the first-level cache."""

        def emit(context, builder, signature, args):
            place = _address(context, builder, signature.args[0], *args)
            lane = ir.FloatType()
            kind = ir.FunctionType(ir.LiteralStructType([lane] * LANES), [place.type])
            assembly = ir.InlineAsm(kind, "ld.global.cg.v4.f32 {$0, $1, $2, $3}, [$4];", "=f,=f,=f,=f,l", True)
            found = builder.call(assembly, [place])
            return context.make_tuple(builder, _FOUR, [builder.extract_value(found, n) for n in range(LANES)])

        return _FOUR(array, types.int64), emit

    @intrinsic
    def store(typing_context, array, vector, values):  # noqa: ARG001
        """Writes the four numbers of a vector in one store."""

        def emit(context, builder, signature, args):
            place = _address(context, builder, signature.args[0], *args[:2])
            lanes = [builder.extract_value(args[2], n) for n in range(LANES)]
            kind = ir.FunctionType(ir.VoidType(), [place.type, *[lane.type for lane in lanes]])
            assembly = ir.InlineAsm(kind, "st.global.cg.v4.f32 [$0], {$1, $2, $3, $4};", "l,f,f,f,f,~{memory}", True)
            builder.call(assembly, [place, *lanes])
            return context.get_dummy_value()

        return types.void(array, types.int64, _FOUR), emit


@cuda.jit(device=True)
def _sum(values):
    return (values[0] + values[1]) + (values[2] + values[3])


@cuda.jit(device=True)
def _add_scaled(first, second, scale):
    return (
        first[0] + scale * second[0],
        first[1] + scale * second[1],
        first[2] + scale * second[2],
        first[3] + scale * second[3],
    )


# Four vectors are asked for before the first is waited for: 64 bytes a thread, 64 KiB of 1024 threads. An H100 needs
# about 18 KB in flight on each multiprocessor (3.35 TB/s for 0.7 us).


@cuda.jit
def read(array, n_vectors, total, out):
    """out[t] = sum of what thread t read"""
    thread, step, last = cuda.grid(1), cuda.gridsize(1), n_vectors - 1
    sum_a = sum_b = sum_c = sum_d = np.float32(0)
    at = thread
    while at + 3 * step < total:
        a = load(array, at & last)
        b = load(array, (at + step) & last)
        c = load(array, (at + 2 * step) & last)
        d = load(array, (at + 3 * step) & last)
        sum_a += _sum(a)
        sum_b += _sum(b)
        sum_c += _sum(c)
        sum_d += _sum(d)
        at += 4 * step
    while at < total:
        sum_a += _sum(load(array, at & last))
        at += step
    out[thread] = (sum_a + sum_b) + (sum_c + sum_d)  # a store that depends on every byte, or nothing would be read


@cuda.jit
def copy(source, n_vectors, total, out):
    """out = source"""
    step, last = cuda.gridsize(1), n_vectors - 1
    at = cuda.grid(1)
    while at + 3 * step < total:
        a = load(source, at & last)
        b = load(source, (at + step) & last)
        c = load(source, (at + 2 * step) & last)
        d = load(source, (at + 3 * step) & last)
        store(out, at & last, a)
        store(out, (at + step) & last, b)
        store(out, (at + 2 * step) & last, c)
        store(out, (at + 3 * step) & last, d)
        at += 4 * step
    while at < total:
        store(out, at & last, load(source, at & last))
        at += step


@cuda.jit
def triad(first, second, scale, n_vectors, total, out):
    """out = first + scale * second"""
    step, last = cuda.gridsize(1), n_vectors - 1
    at = cuda.grid(1)
    while at + step < total:
        other = at + step
        a, b = load(first, at & last), load(first, other & last)
        c, d = load(second, at & last), load(second, other & last)
        store(out, at & last, _add_scaled(a, c, scale))
        store(out, other & last, _add_scaled(b, d, scale))
        at += 2 * step
    while at < total:
        store(out, at & last, _add_scaled(load(first, at & last), load(second, at & last), scale))
        at += step


@cuda.jit(device=True)
def _step(x, scale, shift):
    low = scale * x[0] + shift, scale * x[1] + shift, scale * x[2] + shift, scale * x[3] + shift
    high = scale * x[4] + shift, scale * x[5] + shift, scale * x[6] + shift, scale * x[7] + shift
    return low + high


# A loop of a constant length is not unrolled enough: a third of its instructions only counted. Calls are inlined.


@cuda.jit(device=True)
def _four_steps(x, scale, shift):
    return _step(_step(_step(_step(x, scale, shift), scale, shift), scale, shift), scale, shift)


@cuda.jit(device=True)
def _sixteen_steps(x, scale, shift):
    half = _four_steps(_four_steps(x, scale, shift), scale, shift)
    return _four_steps(_four_steps(half, scale, shift), scale, shift)


@cuda.jit
def multiply_add(turns, scale, shift, out):
    """out[t] = x0 + ... + x7 after 32 * turns times x = scale * x + shift, where xi began as t + i"""
    thread = cuda.grid(1)
    t, one, four = np.float32(thread), np.float32(1), np.float32(4)
    x = (
        t,
        t + one,
        t + one + one,
        t + four - one,
        t + four,
        t + four + one,
        t + four + one + one,
        t + four + four - one,
    )
    for _ in range(turns):
        x = _sixteen_steps(_sixteen_steps(x, scale, shift), scale, shift)
    out[thread] = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]))


@cuda.jit
def nothing():
    """Only starts and ends."""
