"""Causal convolutions of each channel over the last tokens of its sequence, whose last inputs are kept as part of the state."""

from __future__ import annotations

import numpy as np

from simulator.engine.compiled import helper
from simulator.engine.kernels.arithmetic import exp, quantise
from simulator.engine.simd import fetch_add, floats_at, integers_at

BLOCK = 64  # channels that a thread takes at a time

# Fields of tasks. `C_RUNS` is the address of [number of runs, then for each its first place in `C_RUN_ROWS` and its rows]: a run are
# the tokens that a step has of one sequence, which a recurrence goes through in order.
C_RUNS, C_RUN_ROWS, C_SEQUENCES, C_POSITIONS, C_INPUT, C_INPUT_STRIDE, C_CHANNELS, C_WIDTH, C_WEIGHTS, C_BIAS, C_GATED, \
    C_STATES, C_STATE_STRIDE, C_OUTPUT, C_OUTPUT_STRIDE, C_RECORDS, C_RECORD_STRIDE, C_CLAIMED, C_READ, \
    C_LENGTH = range(20)  # fmt: skip


@helper
def _begin(t, first, n, out):
    """out = the bias, or 0."""
    if t[C_BIAS]:
        bias = floats_at(t[C_BIAS] + 4 * first, n)
        for i in range(n):
            out[i] = bias[i]
    else:
        for i in range(n):
            out[i] = np.float32(0.0)


@helper
def _sum_past(channels, width, n, weights, kept, out):
    """out += what the kept inputs add; and these move on by one token."""
    for back in range(width - 1):
        for i in range(n):
            out[i] += weights[back * channels + i] * kept[back * channels + i]
    for back in range(width - 2):
        for i in range(n):
            kept[back * channels + i] = kept[(back + 1) * channels + i]


@helper
def _add_now(t, place, n, weights, newest, out):
    """out += what the token itself adds, kept for those after it; and then the gate, or silu."""
    if t[C_GATED]:
        before, after = floats_at(place, n), floats_at(place + 4 * t[C_CHANNELS], n)
        values = floats_at(place + 8 * t[C_CHANNELS], n)
        for i in range(n):
            value = before[i] * values[i]
            newest[i] = value
            out[i] = after[i] * (out[i] + weights[i] * value)
    else:
        values = floats_at(place, n)
        for i in range(n):
            newest[i] = values[i]
            total = out[i] + weights[i] * values[i]
            out[i] = total / (np.float32(1.0) + exp(-total))


def convolve(task, thread, n_threads):  # noqa: ARG001
    """out = silu(sum over the last *width* tokens of weight * input (+ bias)), or gated: with input b * x, out = c * the sum.

    Weights stand as [width, channels], the kept inputs as [width - 1, channels], the oldest first; a sequence begins with zeros.
    Gated inputs are rows of b, c and x side by side; their outputs also become int8 records.
    """
    t = integers_at(task, C_LENGTH)
    n_runs = integers_at(t[C_RUNS], 1)[0]
    channels, width = t[C_CHANNELS], t[C_WIDTH]
    n_blocks = (channels + BLOCK - 1) // BLOCK
    table = integers_at(t[C_RUNS] + 8, 2 * n_runs)
    read = 0
    while True:
        item = fetch_add(t[C_CLAIMED], 1)
        if item >= n_runs * n_blocks:
            break
        run, first = item // n_blocks, item % n_blocks * BLOCK
        n = min(BLOCK, channels - first)
        rows = integers_at(t[C_RUN_ROWS] + 8 * table[2 * run], table[2 * run + 1])
        sequence = integers_at(t[C_SEQUENCES] + 8 * rows[0], 1)[0]
        state = t[C_STATES] + sequence * t[C_STATE_STRIDE] + 4 * first
        kept, newest = floats_at(state, channels * (width - 1)), floats_at(state + 4 * (width - 2) * channels, n)
        weights = floats_at(t[C_WEIGHTS] + 4 * first, channels * width)
        last = floats_at(t[C_WEIGHTS] + 4 * ((width - 1) * channels + first), n)
        for each in range(table[2 * run + 1]):
            row = rows[each]
            if integers_at(t[C_POSITIONS] + 8 * row, 1)[0] == 0:
                for back in range(width - 1):
                    for i in range(n):
                        kept[back * channels + i] = np.float32(0.0)
            out = floats_at(t[C_OUTPUT] + row * t[C_OUTPUT_STRIDE] + 4 * first, n)
            _begin(t, first, n, out)
            _sum_past(channels, width, n, weights, kept, out)
            _add_now(t, t[C_INPUT] + row * t[C_INPUT_STRIDE] + 4 * first, n, last, newest, out)
            if t[C_RECORDS]:
                whole = floats_at(t[C_OUTPUT] + row * t[C_OUTPUT_STRIDE], channels)
                quantise(whole, t[C_RECORDS] + row * t[C_RECORD_STRIDE], channels, first, n)
        read += 2 * 4 * n * (width - 1)
    integers_at(t[C_READ] + 64 * thread, 1)[0] += read
