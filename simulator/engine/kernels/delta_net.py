"""Gated delta nets: a matrix for each value head, which each token shrinks, reads and changes (arXiv 2412.06464)."""

from __future__ import annotations

import math

import numpy as np

from simulator.engine.compiled import helper
from simulator.engine.kernels.arithmetic import exp, float_of, norm_factor, quantise, softplus
from simulator.engine.kernels.state_panels import delta_panel
from simulator.engine.simd import LANES, fetch_add, floats_at, integers_at

# Fields of tasks. Runs are those of convolutions. `D_MIXED` are rows of queries, keys and values side by side; steps and decays stand
# at `(head // D_PER) * D_EVERY + head % D_PER` of their rows.
D_RUNS, D_RUN_ROWS, D_SEQUENCES, D_POSITIONS, D_MIXED, D_MIXED_STRIDE, D_GATE, D_BETA, D_ALPHA, D_STEP_STRIDE, D_PER, D_EVERY, \
    D_N_KEYS, D_N_VALUES, D_KEY, D_VALUE, D_TILED, D_DT, D_A, D_NORM, D_EPSILON, D_STATES, D_STATE_STRIDE, D_OUTPUT, D_RECORDS, \
    D_RECORD_STRIDE, D_SCRATCH, D_SCRATCH_STRIDE, D_CLAIMED, D_READ, D_LENGTH = range(31)  # fmt: skip


@helper
def _unit_length(x, n, epsilon, scale, out):
    """out = scale * x over its length."""
    total = np.float32(0.0)
    for i in range(n):
        total += x[i] * x[i]
    factor = np.float32(scale / math.sqrt(total + epsilon))
    for i in range(n):
        out[i] = x[i] * factor


@helper
def _token(t, row, head, state, scratch):
    """One token's turn at the state of one value head."""
    n_keys, k, v = t[D_N_KEYS], t[D_KEY], t[D_VALUE]
    own = head % n_keys if t[D_TILED] else head // (t[D_N_VALUES] // n_keys)
    mixed, epsilon = t[D_MIXED] + row * t[D_MIXED_STRIDE], float_of(t[D_EPSILON])
    _unit_length(floats_at(mixed + 4 * own * k, k), k, epsilon, 1.0 / math.sqrt(k), floats_at(scratch, k))
    _unit_length(floats_at(mixed + 4 * (n_keys + own) * k, k), k, epsilon, 1.0, floats_at(scratch + 4 * k, k))
    place = 4 * (head // t[D_PER] * t[D_EVERY] + head % t[D_PER]) + row * t[D_STEP_STRIDE]
    beta = np.float32(1.0) / (np.float32(1.0) + exp(-floats_at(t[D_BETA] + place, 1)[0]))
    step = softplus(floats_at(t[D_ALPHA] + place, 1)[0] + floats_at(t[D_DT] + 4 * head, 1)[0])
    decay = exp(floats_at(t[D_A] + 4 * head, 1)[0] * step)
    values = mixed + 4 * (2 * n_keys * k + head * v)
    whole = t[D_N_VALUES] * v
    out = t[D_OUTPUT] + 4 * (row * whole + head * v)
    for panel in range(v // LANES):
        there = 4 * LANES * panel
        delta_panel(state + there * k, k, scratch + 4 * k, scratch, values + there, decay, beta, out + there)
    result, gates = floats_at(out, v), floats_at(t[D_GATE] + 4 * (row * whole + head * v), v)
    weights = floats_at(t[D_NORM], v)
    factor = norm_factor(result, v, epsilon)
    for i in range(v):
        result[i] = result[i] * factor * weights[i] * gates[i] / (np.float32(1.0) + exp(-gates[i]))
    if t[D_RECORDS]:
        values_of_row = floats_at(t[D_OUTPUT] + 4 * row * whole, whole)
        quantise(values_of_row, t[D_RECORDS] + row * t[D_RECORD_STRIDE], whole, head * v, v)


def delta_rule(task, thread, n_threads):  # noqa: ARG001
    """What each token reads of its sequence's states, normed and gated, a value head at a time; also as int8.

    A state is kept as panels of 16 of its columns (values), each with a row for each entry of a key.
    """
    t = integers_at(task, D_LENGTH)
    n_runs, n_values = integers_at(t[D_RUNS], 1)[0], t[D_N_VALUES]
    table = integers_at(t[D_RUNS] + 8, 2 * n_runs)
    n_state = t[D_KEY] * t[D_VALUE]
    scratch = t[D_SCRATCH] + thread * t[D_SCRATCH_STRIDE]
    read = 0
    while True:
        item = fetch_add(t[D_CLAIMED], 1)
        if item >= n_runs * n_values:
            break
        run, head = item // n_values, item % n_values
        rows = integers_at(t[D_RUN_ROWS] + 8 * table[2 * run], table[2 * run + 1])
        sequence = integers_at(t[D_SEQUENCES] + 8 * rows[0], 1)[0]
        state = t[D_STATES] + sequence * t[D_STATE_STRIDE] + 4 * head * n_state
        for each in range(table[2 * run + 1]):
            if integers_at(t[D_POSITIONS] + 8 * rows[each], 1)[0] == 0:
                kept = floats_at(state, n_state)
                for i in range(n_state):
                    kept[i] = np.float32(0.0)
            _token(t, rows[each], head, state, scratch)
        read += 2 * 4 * n_state
    integers_at(t[D_READ] + 64 * thread, 1)[0] += read
