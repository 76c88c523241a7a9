"""What several kernels compute: functions of a number, of a vector, and vectors as int8."""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import intrinsic

from simulator.engine.compiled import helper
from simulator.engine.simd import F32, I32, bytes_at, floats_at, words_at

SILU, GELU, RELU_SQUARED, CLIPPED = range(4)  # activations of feed-forward networks


@intrinsic
def as_float(typing_context, bits):  # noqa: ARG001
    """The float32 whose bits these are."""
    return types.float32(types.int32), lambda _c, builder, _s, args: builder.bitcast(args[0], F32)


@intrinsic
def bits_of(typing_context, value):  # noqa: ARG001
    """The bits of a float32."""
    return types.int32(types.float32), lambda _c, builder, _s, args: builder.bitcast(args[0], I32)


@helper
def float_of(bits):
    """A float32 kept among integers."""
    return as_float(np.int32(bits))


@helper
def half_of(value):
    """A float32 as the nearest half, as its bits; beyond the range it is the largest one."""
    bits = bits_of(value)
    sign = (bits >> np.int32(16)) & np.int32(0x8000)
    size = bits & np.int32(0x7FFFFFFF)
    if size >= np.int32(0x477FF000):
        return np.uint16(sign | np.int32(0x7BFF))
    if size < np.int32(0x38800000):  # below the smallest normal half: whole multiples of 2**-24
        small = np.int32(as_float(size) * np.float32(16777216.0) + np.float32(0.5))
        return np.uint16(sign | small)
    rounded = size + np.int32(0xFFF) + ((size >> np.int32(13)) & np.int32(1))
    return np.uint16(sign | ((rounded - np.int32(0x38000000)) >> np.int32(13)))


@helper
def exp(x):
    """e**x to float32's accuracy, in operations that LLVM turns into vectors."""
    scaled = min(max(x, np.float32(-87.0)), np.float32(88.0)) * np.float32(1.4426950408889634)
    whole = np.int32(scaled + np.float32(127.5)) - np.int32(127)  # the sum is positive: truncation is floor
    part = (scaled - np.float32(whole)) * np.float32(0.6931471805599453)
    total = np.float32(1.9841270e-4)
    total = total * part + np.float32(1.3888889e-3)
    total = total * part + np.float32(8.3333333e-3)
    total = total * part + np.float32(4.1666667e-2)
    total = total * part + np.float32(1.6666667e-1)
    total = total * part + np.float32(0.5)
    total = total * part + np.float32(1.0)
    total = total * part + np.float32(1.0)
    return total * as_float(np.int32((whole + np.int32(127)) << np.int32(23)))


@helper
def softplus(x):
    """log(1 + e**x), of which no digits are lost where it is small."""
    return np.float32(x if x > np.float32(20.0) else math.log1p(math.exp(np.float64(x))))


@helper
def tanh(x):
    """The hyperbolic tangent: by its series where it is small, by exponentials beyond."""
    square = x * x
    near = x - x * square * (
        np.float32(0.33333333) - square * (np.float32(0.13333333) - square * np.float32(0.053968254))
    )
    far = np.float32(1.0) - np.float32(2.0) / (np.float32(1.0) + exp(x + x))
    return near if square < np.float32(0.04) else far


@helper
def gate(gate, up, n, activation):
    """up *= silu(gate), gelu(gate) in its tanh form, or the square of what of gate is positive; or gpt-oss's clipped SwiGLU."""
    if activation == CLIPPED:
        for i in range(n):
            x, y = min(gate[i], np.float32(7.0)), max(min(up[i], np.float32(7.0)), np.float32(-7.0))
            up[i] = x / (np.float32(1.0) + exp(np.float32(-1.702) * x)) * (y + np.float32(1.0))
    elif activation == RELU_SQUARED:
        for i in range(n):
            x = max(gate[i], np.float32(0.0))
            up[i] *= x * x
    elif activation == GELU:
        for i in range(n):
            x = gate[i]
            inner = np.float32(1.5957691216057308) * (x + np.float32(0.044715) * x * x * x)  # 2 sqrt(2 / pi)
            up[i] = up[i] * x / (np.float32(1.0) + exp(-inner))
    else:
        for i in range(n):
            up[i] = up[i] * gate[i] / (np.float32(1.0) + exp(-gate[i]))


@helper
def norm_factor(x, n, epsilon):
    """1 / the root of the mean square."""
    total = np.float32(0.0)
    for i in range(n):
        total += x[i] * x[i]
    return np.float32(1.0 / math.sqrt(total / n + epsilon))


@helper
def quantise(values, record, columns, first, count):
    """Blocks of 32 float32 from *first* on as int8 with a scale, in a record of *columns*."""
    n_blocks = columns // 32
    quants = bytes_at(record, columns)
    scales = floats_at(record + columns, 2 * n_blocks)
    sums = words_at(record + columns + 8 * n_blocks, 3 * n_blocks)
    for block in range(first // 32, (first + count) // 32):
        largest = np.float32(0.0)
        for i in range(32):
            largest = max(largest, abs(values[32 * block + i]))
        inverse = np.float32(127.0) / largest if largest > np.float32(0.0) else np.float32(0.0)
        for half in range(2):
            total = np.int32(0)
            start = 32 * block + 16 * half
            for i in range(16):
                value = values[start + i] * inverse
                whole = np.int32(value + (np.float32(0.5) if value >= np.float32(0.0) else np.float32(-0.5)))
                quants[start + i] = np.int8(whole)
                total += whole
            sums[n_blocks + 2 * block + half] = -total
        total = -(sums[n_blocks + 2 * block] + sums[n_blocks + 2 * block + 1])
        scale = largest / np.float32(127.0)
        scales[block] = scale
        scales[n_blocks + block] = scale * np.float32(total)
        sums[block] = -total
