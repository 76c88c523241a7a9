"""Attention: queries and keys turned, the cache written and read, and what was read put together."""

from __future__ import annotations

import numpy as np

from simulator.engine.compiled import helper
from simulator.engine.cpu import for_short_runs
from simulator.engine.kernels.arithmetic import exp, float_of, half_of, norm_factor, quantise
from simulator.engine.kernels.panel_product import multiply_panel
from simulator.engine.simd import LANES, fetch_add, floats_at, halves_at, integers_at

CHUNK = 256  # positions of the cache that are attended to at a time

# A head's keys lie as a matrix of panels of 16 positions; its values as one of panels of 16 dimensions. Position p of
# a sequence stands in slot p modulo the capacity, so that a sliding window needs no more than its length.

# Fields of tasks. `A_STATE` is the address of [number of rows].
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
    factor = norm_factor(whole, n_whole, epsilon)
    for i in range(n):
        head[i] = head[i] * factor * weights[first + i]


@helper
def _keep(address, index, value, is_half):
    """Writes an element of the cache."""
    if is_half:
        halves_at(address, index + 1)[index] = half_of(value)
    else:
        floats_at(address, index + 1)[index] = value


def store(cache_name: str):
    """Turns queries and keys by their position, and puts keys and values into the cache."""
    is_half = cache_name == "f16"
    size = 2 if is_half else 4

    def store(task, thread, n_threads):
        t = integers_at(task, A_LENGTH)
        n_rows = integers_at(t[A_STATE], 1)[0]
        n_heads, n_kv, width, value_width = t[A_N_HEADS], t[A_N_KV], t[A_HEAD], t[A_VALUE]
        half, capacity = t[A_ROTATED] // 2, t[A_CAPACITY]
        epsilon = float_of(t[A_EPSILON])
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
                scale = float_of(t[A_SCALE])
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
def _softmax_part(scores, first, count, position, newest, capacity, window, partial):
    """Scores of slots as e to their distance from the largest, those out of sight as 0; writes the largest and the sum to *partial*."""
    if newest >= capacity:
        start, end = _hide(scores, first, count, position, newest, capacity, window)
    else:
        start = min(count, max(0, position - window + 1 - first)) if window > 0 else 0
        end = max(start, min(count, position + 1 - first))
    largest, total = np.float32(-1e30), np.float32(0.0)
    for i in range(start, end):
        largest = max(largest, scores[i])
    for i in range(start, end):
        value = exp(scores[i] - largest)  # a hidden score is so low that this is e to the -87
        scores[i] = value
        total += value
    for i in range(start):
        scores[i] = np.float32(0.0)
    for i in range(end, count):
        scores[i] = np.float32(0.0)
    kept = floats_at(partial, 2)
    kept[0], kept[1] = largest, total


def attend(cache_name: str, target: str):
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
                _softmax_part(weights, first, count, positions[row], newest[row], capacity, t[A_WINDOW], partial)
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


def merge(task, thread, n_threads):
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
                share = exp(part[0] - largest) if part[1] > np.float32(0.0) else np.float32(0.0)
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
            quantise(values, record, whole, head * per_kv * width, per_kv * width)
