"""Writing the cache: queries and keys turned by their position, keys and values put where attention reads them."""

from __future__ import annotations

import numpy as np

from simulator.engine.cache_formats import cache_format
from simulator.engine.compiled import helper
from simulator.engine.cpu import path_of
from simulator.engine.kernels.arithmetic import float_of, half_of, norm_factor, quantise
from simulator.engine.kernels.attention import (
    A_CAPACITY,
    A_CLAMP,
    A_COS,
    A_EPSILON,
    A_FACTORS,
    A_HALVES,
    A_HEAD,
    A_K,
    A_K_NORM,
    A_KEYS,
    A_LENGTH,
    A_N_HEADS,
    A_N_KV,
    A_NORM_WIDTH,
    A_NORMS_TURNED,
    A_POSITIONS,
    A_Q,
    A_Q_NORM,
    A_ROTATED,
    A_SCALE,
    A_SCRATCH,
    A_SCRATCH_STRIDE,
    A_SEQUENCES,
    A_SIN,
    A_STATE,
    A_TURNED,
    A_V,
    A_VALUE,
    A_VALUES,
    A_VALUES_NORMED,
)
from simulator.engine.kernels.cache_blocks import (
    BLOCK,
    byte_of,
    inverse_of,
    nibble_of,
    scale_of_bytes,
    scale_of_nibbles,
)
from simulator.engine.simd import LANES, bytes_at, floats_at, halves_at, integers_at

# A head's keys lie as a matrix of panels of 16 positions; its values as one of panels of 16 dimensions, or, in blocks of 32, as
# `value_product.py` says. Position p of a sequence stands in slot p modulo the capacity, so that a sliding window needs few slots.


@helper
def _rotate(head, cosine, sine, n_rotated, halves):
    """Turns pairs of a head by their angles: (i, i + half) or (2 i, 2 i + 1)."""
    half = n_rotated // 2
    for i in range(half):
        a, b = (i, i + half) if halves else (2 * i, 2 * i + 1)
        left, right = head[a], head[b]
        head[a] = left * cosine[i] - right * sine[i]
        head[b] = left * sine[i] + right * cosine[i]


@helper
def _norm_head(head, whole, n_whole, first, n, weights, epsilon):
    """A head's share of the norm over its own or the whole projection's width."""
    factor = norm_factor(whole, n_whole, epsilon)
    for i in range(n):
        head[i] = head[i] * factor * weights[first + i]


@helper
def _clamp(values, n, most):
    """Values kept within -most and most, where that is not 0."""
    if most > np.float32(0.0):
        for i in range(n):
            values[i] = min(max(values[i], -most), most)


@helper
def _prepare_head(t, row, index, is_query, out):
    """A query or key head, normed where the model norms them, and turned; or the other way round."""
    width, half = t[A_HEAD], t[A_ROTATED] // 2
    n_whole = (t[A_N_HEADS] if is_query else t[A_N_KV]) * width
    base = (t[A_Q] if is_query else t[A_K]) + row * n_whole * 4
    values = floats_at(base + index * width * 4, width)
    for i in range(width):
        out[i] = values[i]
    _clamp(out, width, float_of(t[A_CLAMP]))
    cosine, sine = floats_at(t[A_COS] + 4 * row * half, half), floats_at(t[A_SIN] + 4 * row * half, half)
    if t[A_NORMS_TURNED]:
        _rotate(out, cosine, sine, t[A_ROTATED], t[A_HALVES])
    norm, epsilon = t[A_Q_NORM] if is_query else t[A_K_NORM], float_of(t[A_EPSILON])
    if norm:
        if t[A_NORM_WIDTH] == width:
            _norm_head(out, out, width, 0, width, floats_at(norm, width), epsilon)
        else:
            whole = floats_at(base, n_whole)
            _norm_head(out, whole, n_whole, index * width, width, floats_at(norm, n_whole), epsilon)
    if not t[A_NORMS_TURNED]:
        _rotate(out, cosine, sine, t[A_ROTATED], t[A_HALVES])


def store(cache_name: str, target: str):
    """Turns queries and keys by their position, and puts keys and values into the cache; a cache in blocks is multiplied with
    queries of int8 with a scale for each 32."""
    kept = cache_format(cache_name)
    block, block_bytes = kept.block, int(kept.block_bytes)
    keep_key = _keep_key_block(cache_name, target) if block > 1 else _keep_key(cache_name)
    keep_value = _keep_value_block(cache_name) if block > 1 else _keep_value(cache_name)

    def store(task, thread, n_threads):
        t = integers_at(task, A_LENGTH)
        n_rows = integers_at(t[A_STATE], 1)[0]
        n_heads, n_kv, width, value_width, capacity = t[A_N_HEADS], t[A_N_KV], t[A_HEAD], t[A_VALUE], t[A_CAPACITY]
        per_row = n_heads + n_kv
        for item in range(thread, n_rows * per_row, n_threads):
            row, head = item // per_row, item % per_row
            out = floats_at(t[A_SCRATCH] + thread * t[A_SCRATCH_STRIDE], width)
            if head < n_heads:
                _prepare_head(t, row, head, True, out)
                place = t[A_TURNED] + (row * n_heads + head) * width * 4
                turned, scale = floats_at(place, width), float_of(t[A_SCALE])
                if t[A_FACTORS]:
                    scale *= floats_at(t[A_FACTORS], row + 1)[row]
                for i in range(width):
                    turned[i] = out[i] * scale
                if block > 1:
                    for i in range(width):
                        out[i] = turned[i]
                    quantise(out, place, width, 0, width)
                continue
            index = head - n_heads
            _prepare_head(t, row, index, False, out)
            slot = integers_at(t[A_POSITIONS], row + 1)[row] % capacity
            number = integers_at(t[A_SEQUENCES], row + 1)[row] * n_kv + index
            keys = t[A_KEYS] + number * capacity * (width // block * block_bytes)
            keep_key(keys, slot, out, width)
            v = floats_at(t[A_V] + (row * n_kv + index) * value_width * 4, value_width)
            _clamp(v, value_width, float_of(t[A_CLAMP]))
            if t[A_VALUES_NORMED]:
                factor = norm_factor(v, value_width, float_of(t[A_EPSILON]))
                for i in range(value_width):
                    v[i] *= factor
            values = t[A_VALUES] + number * capacity * (value_width // block * block_bytes)
            keep_value(values, slot, capacity, v, value_width)

    return store


# ---- single elements ----


@helper
def _keep(address, index, value, is_half):
    """Writes an element of the cache."""
    if is_half:
        halves_at(address, index + 1)[index] = half_of(value)
    else:
        floats_at(address, index + 1)[index] = value


def _keep_key(cache_name: str):
    is_half = cache_name == "f16"

    @helper
    def keep(keys, slot, head, width):
        for i in range(width):
            _keep(keys, (slot // LANES * width + i) * LANES + slot % LANES, head[i], is_half)

    return keep


def _keep_value(cache_name: str):
    is_half = cache_name == "f16"

    @helper
    def keep(values, slot, capacity, head, width):
        for i in range(width):
            _keep(values, (i // LANES * capacity + slot) * LANES + i % LANES, head[i], is_half)

    return keep


# ---- blocks of 32, rounded as ggml rounds them ----


def _keep_key_block(cache_name: str, target: str):
    """Panels of 16 positions as a matrix in that format has them: per block of 32, quants by four bytes, then scales."""
    is_small, size = cache_name == "q4_0", int(cache_format(cache_name).block_bytes)
    flip = 0 if is_small or path_of(target).signed else 128  # see Path.signed

    @helper
    def keep(keys, slot, head, width):
        lane = slot % LANES
        for number in range(width // BLOCK):
            first = BLOCK * number
            panel = keys + (slot - lane) * (width // BLOCK * size) + number * LANES * size
            quants = bytes_at(panel, LANES * (size - 2))
            scale = scale_of_nibbles(head, first) if is_small else scale_of_bytes(head, first)
            inverse = inverse_of(scale)
            for i in range(size - 2):
                if is_small:
                    high = nibble_of(head[first + 16 + i], inverse)
                    byte = nibble_of(head[first + i], inverse) | high << np.int32(4)
                else:
                    byte = byte_of(head[first + i], inverse) ^ np.int32(flip)
                quants[i // 4 * 64 + 4 * lane + i % 4] = np.int8(byte)
            halves_at(panel + LANES * (size - 2), LANES)[lane] = half_of(scale)

    return keep


def _keep_value_block(cache_name: str):
    """Groups of 16 positions for each block of 32 dimensions: scales, then quants."""
    is_small, size = cache_name == "q4_0", int(cache_format(cache_name).block_bytes)

    @helper
    def keep(values, slot, capacity, head, width):
        lane = slot % LANES
        for number in range(width // BLOCK):
            first = BLOCK * number
            group = values + (number * capacity + slot - lane) * size
            scale = scale_of_nibbles(head, first) if is_small else scale_of_bytes(head, first)
            inverse = inverse_of(scale)
            halves_at(group, LANES)[lane] = half_of(scale)
            quants = bytes_at(group + 2 * LANES + lane * (size - 2), size - 2)
            for i in range(size - 2):
                if is_small:
                    high = nibble_of(head[first + 16 + i], inverse)
                    quants[i] = np.int8(nibble_of(head[first + i], inverse) | high << np.int32(4))
                else:
                    quants[i] = np.int8(byte_of(head[first + i], inverse))

    return keep
