"""Sparse inputs: all but the largest are dropped, and matrices are read by column."""

from __future__ import annotations

from simulator.engine.kernels.active_inputs import keep_largest, list_blocks, list_floats, union_bytes
from simulator.engine.kernels.arithmetic import gate, quantise
from simulator.engine.kernels.matrices import (
    M_BIAS,
    M_CLAIMED,
    M_COLUMNS,
    M_EXPERT_BYTES,
    M_GROUPS,
    M_INPUT,
    M_INPUT_STRIDE,
    M_LENGTH,
    M_OUTPUT,
    M_OUTPUT_STRIDE,
    M_PANEL_BYTES,
    M_READ,
    M_ROWS,
    M_SCALES,
    M_SCRATCH,
    M_SCRATCH_STRIDE,
    M_SOURCES,
    M_TARGETS,
    M_TILE,
    M_WEIGHTS,
)
from simulator.engine.kernels.tile_product import multiply_tile
from simulator.engine.simd import bytes_at, fetch_add, floats_at, integers_at, words_at

# Fields of tasks. `S_STATE` is the address of [number of rows].
S_STATE, S_PER_ROW, S_WIDTH, S_VALUES, S_GATE, S_ACTIVATION, S_KEEP, S_LISTS, S_LIST_STRIDE, S_IS_FLOAT, S_SCRATCH, S_SCRATCH_STRIDE, \
    S_LENGTH = range(13)  # fmt: skip


def select(task, thread, n_threads):
    """Lists of the largest inputs of every row; with a gate, of act(gate) * values."""
    t = integers_at(task, S_LENGTH)
    n = t[S_WIDTH]
    scratch = t[S_SCRATCH] + thread * t[S_SCRATCH_STRIDE]
    for row in range(thread, integers_at(t[S_STATE], 1)[0] * t[S_PER_ROW], n_threads):
        address = t[S_VALUES] + row * n * 4
        values = floats_at(address, n)
        if t[S_GATE]:
            gate(floats_at(t[S_GATE] + row * n * 4, n), values, n, t[S_ACTIVATION])
        bits, source = words_at(scratch + 64, n), words_at(address, n)
        for i in range(n):
            bits[i] = source[i]
        keep_largest(values, n, t[S_KEEP], bits, integers_at(scratch, 1))
        place = t[S_LISTS] + row * t[S_LIST_STRIDE]
        if t[S_IS_FLOAT]:
            list_floats(values, n, place)
        else:
            record = scratch + 64 + 4 * n
            quantise(values, record, n, 0, n)
            list_blocks(record, bytes_at(record, n), n, place)


def columns(format_name: str, target: str):
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
                if t[M_SCALES]:
                    scale = floats_at(t[M_SCALES] + 4 * expert, 1)[0]
                    for row in range(tile_rows):
                        place[row] *= scale
                if t[M_BIAS]:
                    bias = floats_at(t[M_BIAS] + 4 * (expert * t[M_ROWS] + start), tile_rows)
                    for row in range(tile_rows):
                        place[row] += bias[row]
        integers_at(t[M_READ] + 64 * thread, 1)[0] += read

    return columns_kernel
