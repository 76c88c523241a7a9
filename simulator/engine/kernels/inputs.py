"""Preparing the input of a matrix: x += what the last block put out; h = norm(x), as float32 and as int8."""

from __future__ import annotations

import numpy as np

from simulator.engine.compiled import helper
from simulator.engine.kernels.arithmetic import float_of, norm_factor, quantise
from simulator.engine.simd import floats_at, integers_at

RMS, LAYER, NO_NORM = range(3)  # kinds of norms

# Fields of tasks. `P_STATE` is the address of [number of rows], `P_ALSO` of what is added beside `P_Y`, and both times the float32
# whose bits `P_SCALE` are, which 0 leaves out. `P_LAYER_SCALE` is the
# address of what x is multiplied by thereafter, or 0. Without `P_H` nothing is normed.
P_STATE, P_WIDTH, P_X, P_Y, P_POST_NORM, P_SLOTS, P_N_SLOTS, P_SLOT_WEIGHTS, P_SHARED_SCALE, P_NORM, P_EPSILON, P_H, \
    P_RECORDS, P_RECORD_STRIDE, P_ALSO, P_SCALE, P_NORM_KIND, P_BIAS, P_LAYER_SCALE, P_LENGTH = range(20)  # fmt: skip


@helper
def _add_output(t, row, x):
    """x += the block's output: of its matrix, or of the chosen experts and the shared one."""
    n = t[P_WIDTH]
    scale = float_of(t[P_SCALE]) if t[P_SCALE] else np.float32(1.0)
    if t[P_SLOTS]:
        weights = floats_at(t[P_SLOT_WEIGHTS] + row * t[P_N_SLOTS] * 4, t[P_N_SLOTS])
        for slot in range(t[P_N_SLOTS]):
            part = floats_at(t[P_SLOTS] + (row * t[P_N_SLOTS] + slot) * n * 4, n)
            weight = weights[slot] * scale
            for i in range(n):
                x[i] += weight * part[i]
    if t[P_Y]:
        y = floats_at(t[P_Y] + row * n * 4, n)
        if t[P_POST_NORM]:
            norm = floats_at(t[P_POST_NORM], n)
            factor = norm_factor(y, n, float_of(t[P_EPSILON])) * scale
            for i in range(n):
                x[i] += y[i] * factor * norm[i]
        else:
            factor = floats_at(t[P_SHARED_SCALE], row + 1)[row] * scale if t[P_SHARED_SCALE] else scale
            for i in range(n):
                x[i] += factor * y[i]
    if t[P_ALSO]:
        also = floats_at(t[P_ALSO] + row * n * 4, n)
        for i in range(n):
            x[i] += scale * also[i]
    if t[P_LAYER_SCALE]:
        whole = floats_at(t[P_LAYER_SCALE], 1)[0]
        for i in range(n):
            x[i] *= whole


@helper
def _norm(t, x, h, n):
    """h = x over its root mean square or, without its mean, over its deviation; times the weights, plus the bias, where there are any."""
    mean = np.float32(0.0)
    if t[P_NORM_KIND] == LAYER:
        for i in range(n):
            mean += x[i]
        mean /= np.float32(n)
    for i in range(n):
        h[i] = x[i] - mean
    if t[P_NORM_KIND] == NO_NORM:
        return
    factor = norm_factor(h, n, float_of(t[P_EPSILON]))
    if t[P_NORM]:
        norm = floats_at(t[P_NORM], n)
        for i in range(n):
            h[i] = h[i] * factor * norm[i]
    else:
        for i in range(n):
            h[i] *= factor
    if t[P_BIAS]:
        bias = floats_at(t[P_BIAS], n)
        for i in range(n):
            h[i] += bias[i]


def prepare(task, thread, n_threads):
    """Every row's x and h."""
    t = integers_at(task, P_LENGTH)
    n = t[P_WIDTH]
    for row in range(thread, integers_at(t[P_STATE], 1)[0], n_threads):
        x = floats_at(t[P_X] + row * n * 4, n)
        _add_output(t, row, x)
        if t[P_H] == 0:
            continue
        h = floats_at(t[P_H] + row * n * 4, n)
        _norm(t, x, h, n)
        if t[P_RECORDS]:
            quantise(h, t[P_RECORDS] + row * t[P_RECORD_STRIDE], n, 0, n)
