"""Attention whose query projection also yields a gate for each output (Qwen3-Next): both taken apart, and the gate applied."""

from __future__ import annotations

import numpy as np

from simulator.engine.kernels.arithmetic import exp, quantise
from simulator.engine.simd import floats_at, integers_at

# Fields of tasks. `G_STATE` is the address of [number of rows], `G_BOTH` that of rows with each head's query and gate side by side.
G_STATE, G_BOTH, G_N_HEADS, G_HEAD, G_QUERIES, G_OUTPUT, G_RECORDS, G_RECORD_STRIDE, G_LENGTH = range(9)  # fmt: skip


def take_apart(task, thread, n_threads):
    """Each head's query out of what the projection yields; the gates stay where they are."""
    t = integers_at(task, G_LENGTH)
    n_heads, n = t[G_N_HEADS], t[G_HEAD]
    for item in range(thread, integers_at(t[G_STATE], 1)[0] * n_heads, n_threads):
        both, query = floats_at(t[G_BOTH] + 8 * item * n, n), floats_at(t[G_QUERIES] + 4 * item * n, n)
        for i in range(n):
            query[i] = both[i]


def gate_heads(task, thread, n_threads):
    """output *= sigmoid(gate), a head of a row at a time; also as int8."""
    t = integers_at(task, G_LENGTH)
    n_heads, n = t[G_N_HEADS], t[G_HEAD]
    for item in range(thread, integers_at(t[G_STATE], 1)[0] * n_heads, n_threads):
        row, head = item // n_heads, item % n_heads
        gates, out = floats_at(t[G_BOTH] + 4 * (2 * item + 1) * n, n), floats_at(t[G_OUTPUT] + 4 * item * n, n)
        for i in range(n):
            out[i] = out[i] / (np.float32(1.0) + exp(-gates[i]))
        if t[G_RECORDS]:
            whole = floats_at(t[G_OUTPUT] + 4 * row * n_heads * n, n_heads * n)
            quantise(whole, t[G_RECORDS] + row * t[G_RECORD_STRIDE], n_heads * n, head * n, n)
