"""Attention: the cache read, and what was read put together. What stands in the cache is written in `store.py`."""

from __future__ import annotations

import numpy as np

from simulator.engine.cache_formats import cache_format
from simulator.engine.compiled import helper
from simulator.engine.cpu import for_short_runs
from simulator.engine.kernels.arithmetic import exp, float_of, quantise, tanh
from simulator.engine.kernels.panel_product import multiply_panel
from simulator.engine.kernels.value_product import multiply_values
from simulator.engine.simd import LANES, fetch_add, floats_at, integers_at

CHUNK = 256  # positions that are attended to at a time, at most

# A token's sums must not depend on what else is in the step, nor on how many slots there are. So the positions that it sees are
# cut at multiples of a number that the model alone decides, not at slots, and what it does not see is left out, not hidden.

# Fields of tasks. `A_STATE` is the address of [number of rows], `A_CHUNKS` that of the most runs that any of them sees, `A_FACTORS`
# that of what each row's queries are multiplied by. A cap or a clamp of 0 is none.
A_STATE, A_POSITIONS, A_SEQUENCES, A_Q, A_K, A_V, A_N_HEADS, A_N_KV, A_HEAD, A_VALUE, A_Q_NORM, A_K_NORM, \
    A_NORM_WIDTH, A_EPSILON, A_COS, A_SIN, A_ROTATED, A_HALVES, A_SCALE, A_KEYS, A_VALUES, A_CAPACITY, A_WINDOW, A_CHUNK, \
    A_PARTIAL, A_PARTIAL_STRIDE, A_CLAIMED, A_SCRATCH, A_SCRATCH_STRIDE, A_READ, A_TURNED, A_RECORDS, A_RECORD_STRIDE, A_CHUNKS, \
    A_CAP, A_CLAMP, A_FACTORS, A_NORMS_TURNED, A_SINKS, A_VALUES_NORMED, A_LENGTH = range(41)  # fmt: skip


def chunk_of(window: int) -> int:
    """Positions that are attended to at a time: as many as a short window has, so that few slots are enough for it."""
    chunk = CHUNK
    while window and chunk > max(LANES, window):
        chunk //= 2
    return chunk


def _block_of(cache_name: str) -> tuple[int, int]:
    """Elements and bytes of a block."""
    kept = cache_format(cache_name)
    return kept.block, int(kept.block_bytes)


@helper
def _oldest(position, window):
    """The first position that a token sees."""
    return max(0, position - window + 1) if window > 0 else 0


@helper
def _softmax_part(scores, lead, count, cap, partial):
    """Scores from *lead* on, bent towards a cap where there is one, as e to their distance from the largest, those beside them, up
    to whole panels, as 0; writes the largest and the sum to *partial*."""
    if cap > np.float32(0.0):
        for i in range(lead, count):
            scores[i] = cap * tanh(scores[i] / cap)
    largest, total = np.float32(-1e30), np.float32(0.0)
    for i in range(lead, count):
        largest = max(largest, scores[i])
    for i in range(lead, count):
        lower = scores[i] - largest
        value = (
            exp(lower) if lower > np.float32(-80.0) else np.float32(0.0)
        )  # smaller ones make denormal products: slow
        scores[i] = value
        total += value
    for i in range(lead):
        scores[i] = np.float32(0.0)
    for i in range(count, (count + LANES - 1) // LANES * LANES):
        scores[i] = np.float32(0.0)
    kept = floats_at(partial, 2)
    kept[0], kept[1] = largest, total


@helper
def _copy(source, target, n):
    """n floats from one address to another."""
    read, written = floats_at(source, n), floats_at(target, n)
    for lane in range(n):
        written[lane] = read[lane]


def attend(cache_name: str, target: str):
    """For each row, key head and run of positions: the largest score, the sum of weights and the weighted values."""
    block, block_bytes = _block_of(cache_name)
    target = for_short_runs(target)
    weigh = _weigh_floats(cache_name, target) if block == 1 else _weigh_blocks(cache_name, target)

    def attend(task, thread, n_threads):  # noqa: ARG001
        t = integers_at(task, A_LENGTH)
        n_rows = integers_at(t[A_STATE], 1)[0]
        n_kv, width, capacity, chunk_size = t[A_N_KV], t[A_HEAD], t[A_CAPACITY], t[A_CHUNK]
        per_kv, cap = t[A_N_HEADS] // n_kv, float_of(t[A_CAP])
        positions, sequences = integers_at(t[A_POSITIONS], n_rows), integers_at(t[A_SEQUENCES], n_rows)
        key_bytes, value_bytes = width // block * block_bytes, t[A_VALUE] // block * block_bytes
        table = t[A_SCRATCH] + thread * t[A_SCRATCH_STRIDE]
        addresses = integers_at(table, per_kv)
        out = table + (8 * per_kv + 63) // 64 * 64
        scores = out + 128 * per_kv
        read = 0
        n_chunks = integers_at(t[A_CHUNKS], 1)[0]
        n_items = n_rows * n_kv * n_chunks
        while True:
            item = fetch_add(t[A_CLAIMED], 1)
            if item >= n_items:
                break
            pair = item // n_chunks
            row, head = pair // n_kv, pair % n_kv
            oldest = _oldest(positions[row], t[A_WINDOW])
            chunk = oldest // chunk_size + item % n_chunks
            start, end = max(oldest, chunk * chunk_size), min(positions[row] + 1, (chunk + 1) * chunk_size)
            if start >= end:
                continue
            begin = start // LANES * LANES
            lead, count, slot = start - begin, end - begin, begin % capacity
            keys = t[A_KEYS] + ((sequences[row] * n_kv + head) * capacity + slot) * key_bytes
            for g in range(per_kv):
                addresses[g] = t[A_TURNED] + (row * t[A_N_HEADS] + head * per_kv + g) * width * 4
            for first in range(0, count, LANES):
                multiply_panel(cache_name, target, keys + first * key_bytes, width, table, per_kv, out)
                read += LANES * key_bytes
                for g in range(per_kv):
                    _copy(out + 64 * g, scores + (g * CHUNK + first) * 4, LANES)
            partial = t[A_PARTIAL] + (pair * per_kv * n_chunks + item % n_chunks) * t[A_PARTIAL_STRIDE]
            stride = n_chunks * t[A_PARTIAL_STRIDE]
            for g in range(per_kv):
                _softmax_part(floats_at(scores + g * CHUNK * 4, CHUNK), lead, count, cap, partial + g * stride)
                addresses[g] = scores + g * CHUNK * 4
            values = t[A_VALUES] + (sequences[row] * n_kv + head) * capacity * value_bytes
            read += weigh(values, slot, lead, count, capacity, t[A_VALUE], table, per_kv, out, partial + 8, stride)
        integers_at(t[A_READ] + 64 * thread, 1)[0] += read

    return attend


def _weigh_floats(cache_name: str, target: str):
    """Weighted values of a cache of single elements; returns the bytes read."""
    _, size = _block_of(cache_name)

    @helper
    def weigh(values, slot, lead, count, capacity, width, table, per_kv, out, partial, stride):
        addresses = integers_at(table, per_kv)
        skipped = lead // 4 * 4  # the product goes in strides of 4 positions, which must be the same ones every time
        for g in range(per_kv):
            addresses[g] += 4 * skipped
        for panel in range(width // LANES):
            place = values + (panel * capacity + slot + skipped) * LANES * size
            multiply_panel(cache_name, target, place, count - skipped, table, per_kv, out)
            for g in range(per_kv):
                _copy(out + 64 * g, partial + g * stride + 64 * panel, LANES)
        return width * (count - skipped) * size

    return weigh


def _weigh_blocks(cache_name: str, target: str):
    """Weighted values of a cache in blocks of 32; returns the bytes read."""
    size, block_bytes = _block_of(cache_name)

    @helper
    def weigh(values, slot, lead, count, capacity, width, table, per_kv, out, partial, stride):  # noqa: ARG001
        n_groups = (count + LANES - 1) // LANES
        for block in range(width // size):
            place = values + (block * capacity + slot) * block_bytes
            multiply_values(cache_name, target, place, n_groups, table, per_kv, out)
            for g in range(per_kv):
                _copy(out + 128 * g, partial + g * stride + 128 * block, size)
        return width // size * n_groups * LANES * block_bytes

    return weigh


def merge(task, thread, n_threads):
    """The runs of positions put together, for each row and key head; also as int8."""
    t = integers_at(task, A_LENGTH)
    n_rows = integers_at(t[A_STATE], 1)[0]
    n_kv, width = t[A_N_KV], t[A_VALUE]
    per_kv = t[A_N_HEADS] // n_kv
    positions = integers_at(t[A_POSITIONS], n_rows)
    all_chunks = integers_at(t[A_CHUNKS], 1)[0]
    for pair in range(thread, n_rows * n_kv, n_threads):
        row, head = pair // n_kv, pair % n_kv
        oldest = _oldest(positions[row], t[A_WINDOW])
        n_chunks = positions[row] // t[A_CHUNK] - oldest // t[A_CHUNK] + 1
        start = (row * t[A_N_HEADS] + head * per_kv) * width
        for g in range(per_kv):
            partial = t[A_PARTIAL] + (pair * per_kv + g) * all_chunks * t[A_PARTIAL_STRIDE]
            out = floats_at(t[A_Q] + (start + g * width) * 4, width)
            largest = np.float32(-1e30)
            for chunk in range(n_chunks):
                largest = max(largest, floats_at(partial + chunk * t[A_PARTIAL_STRIDE], 1)[0])
            total = np.float32(0.0)
            if t[A_SINKS]:  # a further score with nothing to read
                sink = floats_at(t[A_SINKS], t[A_N_HEADS])[head * per_kv + g]
                largest = max(largest, sink)
                total += exp(sink - largest)
            for i in range(width):
                out[i] = np.float32(0.0)
            for chunk in range(n_chunks):
                part = floats_at(partial + chunk * t[A_PARTIAL_STRIDE], 2 + width)
                share = exp(part[0] - largest)
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
