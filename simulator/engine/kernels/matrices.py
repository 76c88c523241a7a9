"""Matrices: the product with every row of every group, alone and of a gate and an up matrix in one go."""

from __future__ import annotations

import numpy as np

from simulator.engine.compiled import helper
from simulator.engine.kernels.arithmetic import gate, quantise
from simulator.engine.kernels.panel_product import multiply_panel
from simulator.engine.memory import LINE
from simulator.engine.simd import LANES, fetch_add, floats_at, integers_at, load_acquire

# Fields of tasks. `M_SCALES` is the address of what results of each expert are multiplied by before a bias is added; 0 where nothing.
M_GROUPS, M_WEIGHTS, M_ROWS, M_COLUMNS, M_PANEL_BYTES, M_EXPERT_BYTES, M_INPUT, M_INPUT_STRIDE, M_OUTPUT, M_OUTPUT_STRIDE, \
    M_SOURCES, M_TARGETS, M_BIAS, M_CLAIMED, M_TILE, M_READ, M_SCRATCH, M_SCRATCH_STRIDE, M_SECOND, M_RECORDS, \
    M_RECORD_STRIDE, M_ACTIVATION, M_SCALES, M_LENGTH = range(24)  # fmt: skip


@helper
def _claim(claimed, total, thread, n_threads):
    """(first, end) of the next units of work for a thread; first is *total* where there are none left.

    Each thread has a share of its own, which it goes through from end to end: memory is read faster in one go. How far that is
    claimed stands on a cache line of its own, number *thread* of those at *claimed*. Who is done takes half of what is left of
    another's. Another thread may claim between the look and the claim, which does no harm.
    """
    for step in range(n_threads):
        owner = (thread + step) % n_threads
        start, end = owner * total // n_threads, (owner + 1) * total // n_threads
        place = claimed + LINE * owner
        left = end - start - load_acquire(place)
        if left > 0:
            size = max(1, left // (2 if step else 4))
            first = start + fetch_add(place, size)
            if first < end:
                return first, min(first + size, end)
    return total, total


@helper
def _scale(values, address, expert, n):
    """A panel's results times the scale of its expert, where the matrix has one."""
    if address:
        scale = floats_at(address + 4 * expert, 1)[0]
        for lane in range(n):
            values[lane] *= scale


def matmul(format_name: str, target: str):
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
            unit, end = _claim(t[M_CLAIMED], total, thread, n_threads)
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
                        _scale(result, t[M_SCALES], expert, n)
                        place = floats_at(t[M_OUTPUT] + targets[i] * stride + panel * LANES * 4, LANES)
                        if t[M_BIAS]:
                            bias = floats_at(t[M_BIAS] + 4 * (expert * rows + panel * LANES), n)
                            for lane in range(n):
                                place[lane] = result[lane] + bias[lane]
                        else:
                            for lane in range(n):
                                place[lane] = result[lane]
                unit += stop - start
        integers_at(t[M_READ] + 64 * thread, 1)[0] += read

    return matmul


@helper
def _add_bias(values, address, first, n):
    """A panel's share of a bias, where the matrix has one: of its expert the rows from *first* on."""
    if address:
        bias = floats_at(address + 4 * first, n)
        for lane in range(n):
            values[lane] += bias[lane]


def activated(format_name: str, target: str):
    """hidden[target row] = act(up * x + bias), 32 rows at a time, as float32 and as int8 records."""
    return _hidden(format_name, format_name, target, has_gate=False)


def gated(format_name: str, second_name: str, target: str):
    """hidden[target row] = act(gate * x + bias) * (up * x + bias), 32 rows at a time, as float32 and as int8 records."""
    return _hidden(format_name, second_name, target, has_gate=True)


def _hidden(format_name: str, second_name: str, target: str, *, has_gate: bool):
    def hidden(task, thread, n_threads):
        t = integers_at(task, M_LENGTH)
        groups = integers_at(t[M_GROUPS], 1)
        rows, columns, stride = t[M_ROWS], t[M_COLUMNS], t[M_OUTPUT_STRIDE]
        second = integers_at(t[M_SECOND], 5)  # of up: address, bytes of a panel, bytes of an expert, bias, scales
        n_panels, n_pairs = (rows + LANES - 1) // LANES, (rows + 2 * LANES - 1) // (2 * LANES)
        total = groups[0] * n_pairs
        table = t[M_SCRATCH] + thread * t[M_SCRATCH_STRIDE]
        read = 0
        while True:
            unit, end = _claim(t[M_CLAIMED], total, thread, n_threads)
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
                        read += t[M_PANEL_BYTES]
                        if has_gate:
                            weights = second[0] + expert * second[2] + panel * second[1]
                            multiply_panel(second_name, target, weights, columns, table, count, ups)
                            read += second[1]
                        n = min(LANES, rows - panel * LANES)
                        for i in range(count):
                            first_values, up = floats_at(gates + 64 * i, LANES), floats_at(ups + 64 * i, LANES)
                            start_row = expert * rows + panel * LANES
                            _scale(first_values, t[M_SCALES], expert, n)
                            _add_bias(first_values, t[M_BIAS], start_row, n)
                            if has_gate:
                                _scale(up, second[4], expert, n)
                                _add_bias(up, second[3], start_row, n)
                            else:
                                for lane in range(LANES):
                                    up[lane] = np.float32(1.0)
                            gate(first_values, up, LANES, t[M_ACTIVATION])
                            place = floats_at(t[M_OUTPUT] + targets[i] * stride + panel * LANES * 4, LANES)
                            for lane in range(n):
                                place[lane] = up[lane]
                    if t[M_RECORDS]:
                        for i in range(count):
                            values = floats_at(t[M_OUTPUT] + targets[i] * stride, rows)
                            quantise(values, t[M_RECORDS] + targets[i] * t[M_RECORD_STRIDE], rows, 32 * pair, 32)
                unit += stop - start
        integers_at(t[M_READ] + 64 * thread, 1)[0] += read

    return hidden
