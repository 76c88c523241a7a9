"""The kernels of a decode step: each takes the address of its task, and does its share of it as one thread of a team.

A task is an array of int64: addresses, shapes in elements, strides in bytes. Rows are tokens of the batch; where a router has
grouped them by expert, a table of groups says which rows meet which matrix. Buffers belong to the network; nothing is
allocated here.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numba import types
from numba.extending import intrinsic

from simulator.engine.compiled import compile_kernel, helper
from simulator.engine.cpu import for_short_runs
from simulator.engine.formats import multiply_panel
from simulator.engine.simd import (
    F32,
    I32,
    LANES,
    bytes_at,
    fetch_add,
    floats_at,
    halves_at,
    integers_at,
    load_acquire,
    words_at,
)
from simulator.engine.sparse import keep_largest, list_blocks, list_floats, multiply_tile, union_bytes

CHUNK = 256  # positions of the cache that are attended to at a time


# Fields of tasks. `STATE` is the address of [number of rows].
M_GROUPS, M_WEIGHTS, M_ROWS, M_COLUMNS, M_PANEL_BYTES, M_EXPERT_BYTES, M_INPUT, M_INPUT_STRIDE, M_OUTPUT, M_OUTPUT_STRIDE, \
    M_SOURCES, M_TARGETS, M_BIAS, M_CLAIMED, M_TILE, M_READ, M_SCRATCH, M_SCRATCH_STRIDE, M_SECOND, M_RECORDS, \
    M_RECORD_STRIDE, M_GELU, M_LENGTH = range(23)  # fmt: skip


@intrinsic
def _as_float(typing_context, bits):  # noqa: ARG001
    """The float32 whose bits these are."""
    return types.float32(types.int32), lambda _c, builder, _s, args: builder.bitcast(args[0], F32)


@helper
def _exp(x):
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
    return total * _as_float(np.int32((whole + np.int32(127)) << np.int32(23)))


@helper
def _gate(gate, up, n, gelu):
    """up *= silu(gate), or gelu(gate) in its tanh form."""
    if gelu:
        for i in range(n):
            x = gate[i]
            inner = np.float32(1.5957691216057308) * (x + np.float32(0.044715) * x * x * x)  # 2 sqrt(2 / pi)
            up[i] = up[i] * x / (np.float32(1.0) + _exp(-inner))
    else:
        for i in range(n):
            up[i] = up[i] * gate[i] / (np.float32(1.0) + _exp(-gate[i]))


@helper
def _quantise(values, record, columns, first, count):
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


@helper
def _claim(claimed, total, n_threads):
    """(first, end) of the next units of work for a thread: much at first, so that it reads in one go, and less and less, so that
    all are done at the same time. Another thread may claim between the look and the claim, which does no harm."""
    size = max(1, (total - load_acquire(claimed)) // (4 * n_threads))
    first = fetch_add(claimed, size)
    return first, min(first + size, total)


def _matmul(format_name: str, target: str):
    """output[target row] = weights of the group's expert * input[source row] (+ bias), for every row of every group."""

    def matmul(task, thread, n_threads):
        t = integers_at(task, M_LENGTH)
        groups = integers_at(t[M_GROUPS], 1)
        rows, columns, stride = t[M_ROWS], t[M_COLUMNS], t[M_OUTPUT_STRIDE]
        n_panels = (rows + LANES - 1) // LANES
        total = groups[0] * n_panels
        table = t[M_SCRATCH] + thread * t[M_SCRATCH_STRIDE]
        read = 0
        while True:
            unit, end = _claim(t[M_CLAIMED], total, n_threads)
            if unit >= total:
                break
            while unit < end:
                number = unit // n_panels
                group = integers_at(t[M_GROUPS] + 8 + number * 24, 3)  # expert, first row, number of rows
                expert, first, count = group[0], group[1], group[2]
                sources, targets = (
                    integers_at(t[M_SOURCES] + 8 * first, count),
                    integers_at(t[M_TARGETS] + 8 * first, count),
                )
                addresses, out = integers_at(table, count), table + (8 * count + 63) // 64 * 64
                for i in range(count):
                    addresses[i] = t[M_INPUT] + sources[i] * t[M_INPUT_STRIDE]
                start, stop = unit - number * n_panels, min(end - number * n_panels, n_panels)
                for panel in range(start, stop):
                    weights = t[M_WEIGHTS] + expert * t[M_EXPERT_BYTES] + panel * t[M_PANEL_BYTES]
                    multiply_panel(format_name, target, weights, columns, table, count, out)
                    read += t[M_PANEL_BYTES]
                    n = min(LANES, rows - panel * LANES)
                    for i in range(count):
                        result = floats_at(out + 64 * i, LANES)
                        place = floats_at(t[M_OUTPUT] + targets[i] * stride + panel * LANES * 4, LANES)
                        if t[M_BIAS]:
                            bias = floats_at(t[M_BIAS] + 4 * panel * LANES, LANES)
                            for lane in range(n):
                                place[lane] = result[lane] + bias[lane]
                        else:
                            for lane in range(n):
                                place[lane] = result[lane]
                unit += stop - start
        integers_at(t[M_READ] + 64 * thread, 1)[0] += read

    return matmul


def _gated(format_name: str, second_name: str, target: str):
    """hidden[target row] = act(gate * x) * (up * x), 32 rows at a time, as float32 and as int8 records."""

    def gated(task, thread, n_threads):
        t = integers_at(task, M_LENGTH)
        groups = integers_at(t[M_GROUPS], 1)
        rows, columns, stride = t[M_ROWS], t[M_COLUMNS], t[M_OUTPUT_STRIDE]
        second = integers_at(t[M_SECOND], 3)  # of the up matrix: address, bytes of a panel, bytes of an expert
        n_panels, n_pairs = (rows + LANES - 1) // LANES, (rows + 2 * LANES - 1) // (2 * LANES)
        total = groups[0] * n_pairs
        table = t[M_SCRATCH] + thread * t[M_SCRATCH_STRIDE]
        read = 0
        while True:
            unit, end = _claim(t[M_CLAIMED], total, n_threads)
            if unit >= total:
                break
            while unit < end:
                number = unit // n_pairs
                group = integers_at(t[M_GROUPS] + 8 + number * 24, 3)
                expert, first, count = group[0], group[1], group[2]
                sources, targets = (
                    integers_at(t[M_SOURCES] + 8 * first, count),
                    integers_at(t[M_TARGETS] + 8 * first, count),
                )
                addresses, gates = integers_at(table, count), table + (8 * count + 63) // 64 * 64
                ups = gates + 64 * count
                for i in range(count):
                    addresses[i] = t[M_INPUT] + sources[i] * t[M_INPUT_STRIDE]
                start, stop = unit - number * n_pairs, min(end - number * n_pairs, n_pairs)
                for pair in range(start, stop):
                    for panel in range(2 * pair, min(2 * pair + 2, n_panels)):
                        weights = t[M_WEIGHTS] + expert * t[M_EXPERT_BYTES] + panel * t[M_PANEL_BYTES]
                        multiply_panel(format_name, target, weights, columns, table, count, gates)
                        weights = second[0] + expert * second[2] + panel * second[1]
                        multiply_panel(second_name, target, weights, columns, table, count, ups)
                        read += t[M_PANEL_BYTES] + second[1]
                        n = min(LANES, rows - panel * LANES)
                        for i in range(count):
                            up = floats_at(ups + 64 * i, LANES)
                            _gate(floats_at(gates + 64 * i, LANES), up, LANES, t[M_GELU])
                            place = floats_at(t[M_OUTPUT] + targets[i] * stride + panel * LANES * 4, LANES)
                            for lane in range(n):
                                place[lane] = up[lane]
                    if t[M_RECORDS]:
                        for i in range(count):
                            hidden = floats_at(t[M_OUTPUT] + targets[i] * stride, rows)
                            _quantise(hidden, t[M_RECORDS] + targets[i] * t[M_RECORD_STRIDE], rows, 32 * pair, 32)
                unit += stop - start
        integers_at(t[M_READ] + 64 * thread, 1)[0] += read

    return gated


# Preparing the input of a matrix: x += what the last block put out; h = norm(x), as float32 and as int8.

P_STATE, P_WIDTH, P_X, P_Y, P_POST_NORM, P_SLOTS, P_N_SLOTS, P_SLOT_WEIGHTS, P_SHARED_SCALE, P_NORM, P_EPSILON, P_H, \
    P_RECORDS, P_RECORD_STRIDE, P_LENGTH = range(15)  # fmt: skip


@helper
def _norm_factor(x, n, epsilon):
    """1 / the root of the mean square."""
    total = np.float32(0.0)
    for i in range(n):
        total += x[i] * x[i]
    return np.float32(1.0 / math.sqrt(total / n + epsilon))


@helper
def _add_output(t, row, x):
    """x += the block's output: of its matrix, or of the chosen experts and the shared one."""
    n = t[P_WIDTH]
    if t[P_SLOTS]:
        weights = floats_at(t[P_SLOT_WEIGHTS] + row * t[P_N_SLOTS] * 4, t[P_N_SLOTS])
        for slot in range(t[P_N_SLOTS]):
            part = floats_at(t[P_SLOTS] + (row * t[P_N_SLOTS] + slot) * n * 4, n)
            weight = weights[slot]
            for i in range(n):
                x[i] += weight * part[i]
    if t[P_Y]:
        y = floats_at(t[P_Y] + row * n * 4, n)
        if t[P_POST_NORM]:
            norm = floats_at(t[P_POST_NORM], n)
            factor = _norm_factor(y, n, _epsilon(t[P_EPSILON]))
            for i in range(n):
                x[i] += y[i] * factor * norm[i]
        else:
            factor = floats_at(t[P_SHARED_SCALE], row + 1)[row] if t[P_SHARED_SCALE] else np.float32(1.0)
            for i in range(n):
                x[i] += factor * y[i]


@helper
def _epsilon(bits):
    """A float32 kept among integers."""
    return _as_float(np.int32(bits))


def _prepare(task, thread, n_threads):
    t = integers_at(task, P_LENGTH)
    n = t[P_WIDTH]
    for row in range(thread, integers_at(t[P_STATE], 1)[0], n_threads):
        x = floats_at(t[P_X] + row * n * 4, n)
        _add_output(t, row, x)
        if t[P_NORM] == 0:
            continue
        norm, h = floats_at(t[P_NORM], n), floats_at(t[P_H] + row * n * 4, n)
        factor = _norm_factor(x, n, _epsilon(t[P_EPSILON]))
        for i in range(n):
            h[i] = x[i] * factor * norm[i]
        if t[P_RECORDS]:
            _quantise(h, t[P_RECORDS] + row * t[P_RECORD_STRIDE], n, 0, n)


# Attention. A head's keys lie as a matrix of panels of 16 positions; its values as one of panels of 16 dimensions. Position p of
# a sequence stands in slot p modulo the capacity, so that a sliding window needs no more than its length.

A_STATE, A_POSITIONS, A_NEWEST, A_SEQUENCES, A_Q, A_K, A_V, A_N_HEADS, A_N_KV, A_HEAD, A_VALUE, A_Q_NORM, A_K_NORM, \
    A_NORM_WIDTH, A_EPSILON, A_COS, A_SIN, A_ROTATED, A_HALVES, A_SCALE, A_KEYS, A_VALUES, A_CAPACITY, A_WINDOW, A_PARTIAL, \
    A_PARTIAL_STRIDE, A_CLAIMED, A_SCRATCH, A_SCRATCH_STRIDE, A_READ, A_TURNED, A_RECORDS, A_RECORD_STRIDE, A_CHUNKS, \
    A_LENGTH = range(35)  # fmt: skip


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
    factor = _norm_factor(whole, n_whole, epsilon)
    for i in range(n):
        head[i] = head[i] * factor * weights[first + i]


@helper
def _half(value):
    """A float32 as the nearest half, as its bits; beyond the range it is the largest one."""
    bits = _bits(value)
    sign = (bits >> np.int32(16)) & np.int32(0x8000)
    size = bits & np.int32(0x7FFFFFFF)
    if size >= np.int32(0x477FF000):
        return np.uint16(sign | np.int32(0x7BFF))
    if size < np.int32(0x38800000):  # below the smallest normal half: whole multiples of 2**-24
        small = np.int32(_as_float(size) * np.float32(16777216.0) + np.float32(0.5))
        return np.uint16(sign | small)
    rounded = size + np.int32(0xFFF) + ((size >> np.int32(13)) & np.int32(1))
    return np.uint16(sign | ((rounded - np.int32(0x38000000)) >> np.int32(13)))


@intrinsic
def _bits(typing_context, value):  # noqa: ARG001
    """The bits of a float32."""
    return types.int32(types.float32), lambda _c, builder, _s, args: builder.bitcast(args[0], I32)


@helper
def _keep(address, index, value, is_half):
    """Writes an element of the cache."""
    if is_half:
        halves_at(address, index + 1)[index] = _half(value)
    else:
        floats_at(address, index + 1)[index] = value


def _store(cache_name: str):
    """Turns queries and keys by their position, and puts keys and values into the cache."""
    is_half = cache_name == "f16"
    size = 2 if is_half else 4

    def store(task, thread, n_threads):
        t = integers_at(task, A_LENGTH)
        n_rows = integers_at(t[A_STATE], 1)[0]
        n_heads, n_kv, width, value_width = t[A_N_HEADS], t[A_N_KV], t[A_HEAD], t[A_VALUE]
        half, capacity = t[A_ROTATED] // 2, t[A_CAPACITY]
        epsilon = _epsilon(t[A_EPSILON])
        per_row = n_heads + n_kv
        for item in range(thread, n_rows * per_row, n_threads):
            row, head = item // per_row, item % per_row
            cosine, sine = floats_at(t[A_COS] + 4 * row * half, half), floats_at(t[A_SIN] + 4 * row * half, half)
            is_query = head < n_heads
            index = head if is_query else head - n_heads
            n_whole = (n_heads if is_query else n_kv) * width
            base = (t[A_Q] if is_query else t[A_K]) + row * n_whole * 4
            values = floats_at(base + index * width * 4, width)
            out = floats_at(t[A_SCRATCH] + thread * t[A_SCRATCH_STRIDE], width)
            for i in range(width):
                out[i] = values[i]
            norm = t[A_Q_NORM] if is_query else t[A_K_NORM]
            if norm:
                if t[A_NORM_WIDTH] == width:
                    _norm_head(out, values, width, 0, width, floats_at(norm, width), epsilon)
                else:
                    whole = floats_at(base, n_whole)
                    _norm_head(out, whole, n_whole, index * width, width, floats_at(norm, n_whole), epsilon)
            _rotate(out, cosine, sine, t[A_ROTATED], t[A_HALVES])
            if is_query:
                turned = floats_at(t[A_TURNED] + (row * n_heads + index) * width * 4, width)
                scale = _epsilon(t[A_SCALE])
                for i in range(width):
                    turned[i] = out[i] * scale
                continue
            position = integers_at(t[A_POSITIONS], row + 1)[row]
            place = position % capacity
            sequence = integers_at(t[A_SEQUENCES], row + 1)[row]
            keys = t[A_KEYS] + (sequence * n_kv + index) * capacity * width * size
            for i in range(width):
                _keep(keys, (place // LANES * width + i) * LANES + place % LANES, out[i], is_half)
            v = floats_at(t[A_V] + (row * n_kv + index) * value_width * 4, value_width)
            kept = t[A_VALUES] + (sequence * n_kv + index) * capacity * value_width * size
            for i in range(value_width):
                _keep(kept, (i // LANES * capacity + place) * LANES + i % LANES, v[i], is_half)

    return store


@helper
def _hide(scores, first, count, position, newest, capacity, window):
    """Gives slots out of sight a score that counts for nothing, where the cache has begun to use them again."""
    place = newest % capacity
    for i in range(count):
        there = newest - place + first + i  # the position in this slot: of this round, or of the one before
        if first + i > place:
            there -= capacity
        if there < 0 or there > position or (window > 0 and there <= position - window):
            scores[i] = np.float32(-2e30)
    return 0, count


@helper
def _softmax_part(scores, first, count, position, newest, capacity, window):
    """Scores of slots as e to their distance from the largest, those out of sight as 0: (largest, sum)."""
    if newest >= capacity:
        start, end = _hide(scores, first, count, position, newest, capacity, window)
    else:
        start = min(count, max(0, position - window + 1 - first)) if window > 0 else 0
        end = max(start, min(count, position + 1 - first))
    largest, total = np.float32(-1e30), np.float32(0.0)
    for i in range(start, end):
        largest = max(largest, scores[i])
    for i in range(start, end):
        value = _exp(scores[i] - largest)  # a hidden score is so low that this is e to the -87
        scores[i] = value
        total += value
    for i in range(start):
        scores[i] = np.float32(0.0)
    for i in range(end, count):
        scores[i] = np.float32(0.0)
    return largest, total


def _attend(cache_name: str, target: str):
    """For each row, key head and run of 256 slots: the largest score, the sum of weights and the weighted values."""
    size = 2 if cache_name == "f16" else 4
    target = for_short_runs(target)

    def attend(task, thread, n_threads):  # noqa: ARG001
        t = integers_at(task, A_LENGTH)
        n_rows = integers_at(t[A_STATE], 1)[0]
        n_kv, width, value_width, capacity = t[A_N_KV], t[A_HEAD], t[A_VALUE], t[A_CAPACITY]
        per_kv = t[A_N_HEADS] // n_kv
        positions, newest = integers_at(t[A_POSITIONS], n_rows), integers_at(t[A_NEWEST], n_rows)
        sequences = integers_at(t[A_SEQUENCES], n_rows)
        table = t[A_SCRATCH] + thread * t[A_SCRATCH_STRIDE]
        addresses = integers_at(table, per_kv)
        out = table + (8 * per_kv + 63) // 64 * 64
        scores = out + 64 * per_kv
        read = 0
        n_chunks = integers_at(t[A_CHUNKS], 1)[0]
        n_items = n_rows * n_kv * n_chunks
        while True:
            item = fetch_add(t[A_CLAIMED], 1)
            if item >= n_items:
                break
            chunk, pair = item % n_chunks, item // n_chunks
            row, head = pair // n_kv, pair % n_kv
            n_slots = min(newest[row] + 1, capacity)
            first = chunk * CHUNK
            if first >= n_slots:
                continue
            count = min(CHUNK, n_slots - first)
            keys = t[A_KEYS] + (sequences[row] * n_kv + head) * capacity * width * size
            for g in range(per_kv):
                addresses[g] = t[A_TURNED] + (row * t[A_N_HEADS] + head * per_kv + g) * width * 4
            for start in range(0, count, LANES):
                panel = keys + (first + start) * width * size
                multiply_panel(cache_name, target, panel, width, table, per_kv, out)
                read += LANES * width * size
                for g in range(per_kv):
                    result = floats_at(out + 64 * g, LANES)
                    place = floats_at(scores + (g * CHUNK + start) * 4, LANES)
                    for lane in range(LANES):
                        place[lane] = result[lane]
            for g in range(per_kv):
                partial = t[A_PARTIAL] + ((pair * per_kv + g) * n_chunks + chunk) * t[A_PARTIAL_STRIDE]
                weights = floats_at(scores + g * CHUNK * 4, count)
                largest, total = _softmax_part(
                    weights, first, count, positions[row], newest[row], capacity, t[A_WINDOW]
                )
                head_of = floats_at(partial, 2)
                head_of[0], head_of[1] = largest, total
                addresses[g] = scores + g * CHUNK * 4
            values = t[A_VALUES] + (sequences[row] * n_kv + head) * capacity * value_width * size
            for panel in range(value_width // LANES):
                place = values + (panel * capacity + first) * LANES * size
                multiply_panel(cache_name, target, place, count, table, per_kv, out)
                read += LANES * count * size
                for g in range(per_kv):
                    partial = t[A_PARTIAL] + ((pair * per_kv + g) * n_chunks + chunk) * t[A_PARTIAL_STRIDE]
                    result, kept = floats_at(out + 64 * g, LANES), floats_at(partial + 8 + 64 * panel, LANES)
                    for lane in range(LANES):
                        kept[lane] = result[lane]
        integers_at(t[A_READ] + 64 * thread, 1)[0] += read

    return attend


def _merge(task, thread, n_threads):
    """The runs of slots put together, for each row and key head; also as int8."""
    t = integers_at(task, A_LENGTH)
    n_rows = integers_at(t[A_STATE], 1)[0]
    n_kv, width, capacity = t[A_N_KV], t[A_VALUE], t[A_CAPACITY]
    per_kv = t[A_N_HEADS] // n_kv
    newest = integers_at(t[A_NEWEST], n_rows)
    all_chunks = integers_at(t[A_CHUNKS], 1)[0]
    for pair in range(thread, n_rows * n_kv, n_threads):
        row, head = pair // n_kv, pair % n_kv
        n_chunks = (min(newest[row] + 1, capacity) + CHUNK - 1) // CHUNK
        start = (row * t[A_N_HEADS] + head * per_kv) * width
        for g in range(per_kv):
            partial = t[A_PARTIAL] + (pair * per_kv + g) * all_chunks * t[A_PARTIAL_STRIDE]
            out = floats_at(t[A_Q] + (start + g * width) * 4, width)
            largest = np.float32(-1e30)
            for chunk in range(n_chunks):
                largest = max(largest, floats_at(partial + chunk * t[A_PARTIAL_STRIDE], 1)[0])
            total = np.float32(0.0)
            for i in range(width):
                out[i] = np.float32(0.0)
            for chunk in range(n_chunks):
                part = floats_at(partial + chunk * t[A_PARTIAL_STRIDE], 2 + width)
                share = _exp(part[0] - largest) if part[1] > np.float32(0.0) else np.float32(0.0)
                total += share * part[1]
                for i in range(width):
                    out[i] += share * part[2 + i]
            inverse = np.float32(1.0) / total
            for i in range(width):
                out[i] *= inverse
        if t[A_RECORDS]:
            whole = t[A_N_HEADS] * width
            record = t[A_RECORDS] + row * t[A_RECORD_STRIDE]
            values = floats_at(t[A_Q] + row * whole * 4, whole)
            _quantise(values, record, whole, head * per_kv * width, per_kv * width)


# Routing

R_STATE, R_LOGITS, R_N_EXPERTS, R_N_ACTIVE, R_RENORMALISE, R_SCALE, R_FORCED, R_GROUPS, R_TOKENS, R_SLOTS, R_WEIGHTS, \
    R_CHOSEN, R_SHARED_GATE, R_INPUT, R_WIDTH, R_SHARED_SCALE, R_COUNTS, R_LENGTH = range(18)  # fmt: skip


@helper
def _choose(logits, n_experts, n_active, chosen):
    """The numbers of the largest logits, largest first; of equal ones the first."""
    for slot in range(n_active):
        best = -1
        for expert in range(n_experts):
            taken = False
            for before in range(slot):
                taken = taken or chosen[before] == expert
            if not taken and (best < 0 or logits[expert] > logits[best]):
                best = expert
        chosen[slot] = best


@helper
def _weigh(t, logits, chosen, weights):
    """The chosen experts' shares: their softmax among all, or among themselves where the model renormalises."""
    n_experts, n_active = t[R_N_EXPERTS], t[R_N_ACTIVE]
    largest = np.float32(-1e30)
    for expert in range(n_experts):
        largest = max(largest, logits[expert])
    total = np.float32(0.0)
    for expert in range(n_experts):
        total += _exp(logits[expert] - largest)
    kept = np.float32(0.0)
    for slot in range(n_active):
        weights[slot] = _exp(logits[chosen[slot]] - largest)
        kept += weights[slot]
    factor = _epsilon(t[R_SCALE]) / (kept if t[R_RENORMALISE] else total)
    for slot in range(n_active):
        weights[slot] *= factor


@helper
def _group(t, n_rows):
    """The table of groups: for every expert that was chosen, the rows that chose it."""
    n_experts, n_slots = t[R_N_EXPERTS], n_rows * t[R_N_ACTIVE]
    chosen, counts = integers_at(t[R_CHOSEN], n_slots), integers_at(t[R_COUNTS], n_experts)
    table, tokens, slots = (
        integers_at(t[R_GROUPS], 1 + 3 * n_experts),
        integers_at(t[R_TOKENS], n_slots),
        integers_at(t[R_SLOTS], n_slots),
    )
    for expert in range(n_experts):
        counts[expert] = 0
    for slot in range(n_slots):
        counts[chosen[slot]] += 1
    n_groups, first = 0, 0
    for expert in range(n_experts):
        if counts[expert]:
            table[1 + 3 * n_groups], table[2 + 3 * n_groups], table[3 + 3 * n_groups] = expert, first, counts[expert]
            n_groups += 1
        count = counts[expert]
        counts[expert] = first
        first += count
    table[0] = n_groups
    for slot in range(n_slots):
        place = counts[chosen[slot]]
        tokens[place], slots[place] = slot // t[R_N_ACTIVE], slot
        counts[chosen[slot]] += 1


def _route(task, thread, n_threads):  # noqa: ARG001
    """The router's choice, or the one made beforehand; and which rows go to which expert."""
    if thread:
        return
    t = integers_at(task, R_LENGTH)
    n_rows = integers_at(t[R_STATE], 1)[0]
    n_experts, n_active = t[R_N_EXPERTS], t[R_N_ACTIVE]
    forced = integers_at(t[R_FORCED], 1)[0]
    for row in range(n_rows):
        logits = floats_at(t[R_LOGITS] + row * n_experts * 4, n_experts)
        chosen = integers_at(t[R_CHOSEN] + row * n_active * 8, n_active)
        if not forced:
            _choose(logits, n_experts, n_active, chosen)
        _weigh(t, logits, chosen, floats_at(t[R_WEIGHTS] + row * n_active * 4, n_active))
        if t[R_SHARED_GATE]:
            gate, h = floats_at(t[R_SHARED_GATE], t[R_WIDTH]), floats_at(t[R_INPUT] + row * t[R_WIDTH] * 4, t[R_WIDTH])
            total = np.float32(0.0)
            for i in range(t[R_WIDTH]):
                total += gate[i] * h[i]
            floats_at(t[R_SHARED_SCALE], row + 1)[row] = np.float32(1.0) / (np.float32(1.0) + _exp(-total))
    _group(t, n_rows)


# Sparse inputs: all but the largest are dropped, and matrices are read by column.

S_STATE, S_PER_ROW, S_WIDTH, S_VALUES, S_GATE, S_GELU, S_KEEP, S_LISTS, S_LIST_STRIDE, S_IS_FLOAT, S_SCRATCH, S_SCRATCH_STRIDE, \
    S_LENGTH = range(13)  # fmt: skip


def _select(task, thread, n_threads):
    """Lists of the largest inputs of every row; with a gate, of act(gate) * values."""
    t = integers_at(task, S_LENGTH)
    n = t[S_WIDTH]
    scratch = t[S_SCRATCH] + thread * t[S_SCRATCH_STRIDE]
    for row in range(thread, integers_at(t[S_STATE], 1)[0] * t[S_PER_ROW], n_threads):
        address = t[S_VALUES] + row * n * 4
        values = floats_at(address, n)
        if t[S_GATE]:
            _gate(floats_at(t[S_GATE] + row * n * 4, n), values, n, t[S_GELU])
        bits, source = words_at(scratch + 64, n), words_at(address, n)
        for i in range(n):
            bits[i] = source[i]
        keep_largest(values, n, t[S_KEEP], bits, integers_at(scratch, 1))
        place = t[S_LISTS] + row * t[S_LIST_STRIDE]
        if t[S_IS_FLOAT]:
            list_floats(values, n, place)
        else:
            record = scratch + 64 + 4 * n
            _quantise(values, record, n, 0, n)
            list_blocks(record, bytes_at(record, n), n, place)


def _columns(format_name: str, target: str):
    """output[target row] = weights of the group's expert * the listed inputs of the source row (+ bias)."""
    is_float = format_name in ("f32", "f16", "bf16")
    nibbles = {"q8_0": 2, "q4_0": 1, "f32": 8, "f16": 4, "bf16": 4}[format_name]

    def columns_kernel(task, thread, n_threads):  # noqa: ARG001
        t = integers_at(task, M_LENGTH)
        groups = integers_at(t[M_GROUPS], 1)
        columns, stride, tile_rows = t[M_COLUMNS], t[M_OUTPUT_STRIDE], t[M_TILE]
        n_tiles = t[M_ROWS] // tile_rows
        table = t[M_SCRATCH] + thread * t[M_SCRATCH_STRIDE]
        read, counted, touched = 0, -1, 0
        while True:
            item = fetch_add(t[M_CLAIMED], 1)
            if item >= groups[0] * n_tiles:
                break
            group = integers_at(t[M_GROUPS] + 8 + item // n_tiles * 24, 3)
            expert, first, count = group[0], group[1], group[2]
            sources, targets = (
                integers_at(t[M_SOURCES] + 8 * first, count),
                integers_at(t[M_TARGETS] + 8 * first, count),
            )
            lists, out_address = integers_at(table, count), table + (8 * count + 63) // 64 * 64
            out = floats_at(out_address, tile_rows)
            for i in range(count):
                lists[i] = t[M_INPUT] + sources[i] * t[M_INPUT_STRIDE]
            if item // n_tiles != counted:  # all tiles of a matrix read the same columns
                counted = item // n_tiles
                seen = bytes_at(out_address + 4 * tile_rows, columns)
                touched = union_bytes(lists, count, columns, tile_rows, nibbles, is_float, seen)
            read += touched
            start = item % n_tiles * tile_rows
            weights = t[M_WEIGHTS] + expert * t[M_EXPERT_BYTES] + item % n_tiles * t[M_PANEL_BYTES]
            for i in range(count):
                multiply_tile(format_name, target, weights, lists[i], columns, tile_rows, out_address)
                place = floats_at(t[M_OUTPUT] + targets[i] * stride + 4 * start, tile_rows)
                for row in range(tile_rows):
                    at = row
                    if not is_float:  # where the interleaving put it
                        at = row // 64 * 64 + row // 4 % 4 * 16 + row % 64 // 16 * 4 + row % 4
                    place[row] = out[at]
                if t[M_BIAS]:
                    bias = floats_at(t[M_BIAS] + 4 * start, tile_rows)
                    for row in range(tile_rows):
                        place[row] += bias[row]
        integers_at(t[M_READ] + 64 * thread, 1)[0] += read

    return columns_kernel


def task(kind: str, **fields: int) -> np.ndarray:
    """A task of one kind ("M" for matrices, "P", "A", "R", "S"), its other fields 0; an unknown field is a KeyError."""
    numbers = np.zeros(globals()[f"{kind}_LENGTH"], np.int64)
    for name, value in fields.items():
        numbers[globals()[f"{kind}_{name.upper()}"]] = value
    return numbers


@cache
def kernel(kind: str, *names: str) -> int:
    """Address of a compiled kernel: its kind, then the formats and the target it is written for."""
    makers = {"matmul": _matmul, "gated": _gated, "store": _store, "attend": _attend, "columns": _columns}
    plain = {"prepare": _prepare, "merge": _merge, "route": _route, "select": _select}
    function = makers[kind](*names) if kind in makers else plain[kind]
    return compile_kernel(function, "-".join((kind, *names)))
