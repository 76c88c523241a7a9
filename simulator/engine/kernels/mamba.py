"""Mamba 2: a matrix for each head, which each token shrinks, adds to and reads (arXiv 2405.21060)."""

from __future__ import annotations

import numpy as np

from simulator.engine.compiled import helper
from simulator.engine.kernels.arithmetic import exp, float_of, norm_factor, quantise, softplus
from simulator.engine.kernels.state_panels import scan_panel
from simulator.engine.simd import LANES, fetch_add, floats_at, integers_at

# Fields of tasks. Runs are those of convolutions. `H_MIXED` are rows of inputs, then what enters (B) and what leaves (C), by group.
H_STATE, H_RUNS, H_RUN_ROWS, H_SEQUENCES, H_POSITIONS, H_MIXED, H_MIXED_STRIDE, H_GATE, H_STEP, H_MADE_STRIDE, H_N_HEADS, H_HEAD, \
    H_N_GROUPS, H_D_STATE, H_DT, H_A, H_SKIP, H_NORM, H_EPSILON, H_STATES, H_STATE_STRIDE, H_OUTPUT, H_RECORDS, H_RECORD_STRIDE, \
    H_SCRATCH, H_SCRATCH_STRIDE, H_CLAIMED, H_READ, H_LENGTH = range(29)  # fmt: skip


@helper
def _token(t, row, head, state, scratch):
    """One token's turn at the state of one head: out = (state read + skip * input) * silu(gate)."""
    n_heads, width, n_state = t[H_N_HEADS], t[H_HEAD], t[H_D_STATE]
    inner, group = n_heads * width, head // (n_heads // t[H_N_GROUPS])
    mixed = t[H_MIXED] + row * t[H_MIXED_STRIDE]
    step = softplus(
        floats_at(t[H_STEP] + row * t[H_MADE_STRIDE] + 4 * head, 1)[0] + floats_at(t[H_DT] + 4 * head, 1)[0]
    )
    decay = exp(floats_at(t[H_A] + 4 * head, 1)[0] * step)
    inputs, stepped = floats_at(mixed + 4 * head * width, width), floats_at(scratch, width)
    for i in range(width):
        stepped[i] = inputs[i] * step
    entering = mixed + 4 * (inner + group * n_state)
    leaving = entering + 4 * t[H_N_GROUPS] * n_state
    out = t[H_OUTPUT] + 4 * (row * inner + head * width)
    for panel in range(width // LANES):
        there = 4 * LANES * panel
        scan_panel(state + there * n_state, n_state, entering, leaving, scratch + there, decay, out + there)
    result, gates = floats_at(out, width), floats_at(t[H_GATE] + row * t[H_MADE_STRIDE] + 4 * head * width, width)
    skip = floats_at(t[H_SKIP] + 4 * head, 1)[0]
    for i in range(width):
        result[i] = (result[i] + skip * inputs[i]) * gates[i] / (np.float32(1.0) + exp(-gates[i]))


def scan(task, thread, n_threads):  # noqa: ARG001
    """What each token reads of its sequence's states, gated, a head at a time.

    A state is kept as panels of 16 of its channels, each with a row for each entry of what enters.
    """
    t = integers_at(task, H_LENGTH)
    n_runs, n_heads = integers_at(t[H_RUNS], 1)[0], t[H_N_HEADS]
    table = integers_at(t[H_RUNS] + 8, 2 * n_runs)
    n_state = t[H_HEAD] * t[H_D_STATE]
    scratch = t[H_SCRATCH] + thread * t[H_SCRATCH_STRIDE]
    read = 0
    while True:
        item = fetch_add(t[H_CLAIMED], 1)
        if item >= n_runs * n_heads:
            break
        run, head = item // n_heads, item % n_heads
        rows = integers_at(t[H_RUN_ROWS] + 8 * table[2 * run], table[2 * run + 1])
        sequence = integers_at(t[H_SEQUENCES] + 8 * rows[0], 1)[0]
        state = t[H_STATES] + sequence * t[H_STATE_STRIDE] + 4 * head * n_state
        for each in range(table[2 * run + 1]):
            if integers_at(t[H_POSITIONS] + 8 * rows[each], 1)[0] == 0:
                kept = floats_at(state, n_state)
                for i in range(n_state):
                    kept[i] = np.float32(0.0)
            _token(t, rows[each], head, state, scratch)
        read += 2 * 4 * n_state
    integers_at(t[H_READ] + 64 * thread, 1)[0] += read


def norm_groups(task, thread, n_threads):
    """Each group's channels normed together, where there is a norm, and as int8; a group of a row at a time."""
    t = integers_at(task, H_LENGTH)
    n_groups, whole = t[H_N_GROUPS], t[H_N_HEADS] * t[H_HEAD]
    n = whole // n_groups
    for item in range(thread, integers_at(t[H_STATE], 1)[0] * n_groups, n_threads):
        row, first = item // n_groups, item % n_groups * n
        values = floats_at(t[H_OUTPUT] + 4 * (row * whole + first), n)
        if t[H_NORM]:
            weights = floats_at(t[H_NORM] + 4 * first, n)
            factor = norm_factor(values, n, float_of(t[H_EPSILON]))
            for i in range(n):
                values[i] = values[i] * factor * weights[i]
        if t[H_RECORDS]:
            out = floats_at(t[H_OUTPUT] + 4 * row * whole, whole)
            quantise(out, t[H_RECORDS] + row * t[H_RECORD_STRIDE], whole, first, n)
