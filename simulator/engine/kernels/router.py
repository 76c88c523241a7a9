"""The router: which experts each row is sent to, with which shares, and which rows meet at an expert."""

from __future__ import annotations

import numpy as np

from simulator.engine.compiled import helper
from simulator.engine.kernels.arithmetic import exp, float_of
from simulator.engine.simd import floats_at, integers_at

# Fields of tasks. `R_STATE` is the address of [number of rows]. `R_BALANCE` is that of a bias of the choice, `R_SCORES` of room for as
# many numbers as there are experts, for the routers that need it (see `_choose_by_shares`); 0 where there is none.
R_STATE, R_LOGITS, R_N_EXPERTS, R_N_ACTIVE, R_RENORMALISE, R_SCALE, R_FORCED, R_GROUPS, R_TOKENS, R_SLOTS, R_WEIGHTS, \
    R_CHOSEN, R_SHARED_GATE, R_INPUT, R_WIDTH, R_SHARED_SCALE, R_COUNTS, R_SIGMOID, R_BALANCE, R_N_BANDS, R_N_BANDS_USED, \
    R_SCORES, R_LENGTH = range(23)  # fmt: skip

_LOWEST = np.float32(-1e30)
_LEAST_SUM = np.float32(6.103515625e-5)  # that shares are divided by, as in llama.cpp: the smallest normal half


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
def _shares(t, logits):
    """Logits become every expert's share: the sigmoid of its own, or the softmax among all."""
    n_experts = t[R_N_EXPERTS]
    if t[R_SIGMOID]:
        for expert in range(n_experts):
            logits[expert] = np.float32(1.0) / (np.float32(1.0) + exp(-logits[expert]))
        return
    largest, total = _LOWEST, np.float32(0.0)
    for expert in range(n_experts):
        largest = max(largest, logits[expert])
    for expert in range(n_experts):
        logits[expert] = exp(logits[expert] - largest)
        total += logits[expert]
    for expert in range(n_experts):
        logits[expert] /= total


@helper
def _worth(scores, first, count):
    """The sum of the two largest of a band of experts."""
    best, second = _LOWEST, _LOWEST
    for expert in range(first, first + count):
        second = max(second, min(best, scores[expert]))
        best = max(best, scores[expert])
    return best + second


@helper
def _leave_out_bands(t, scores, worths):
    """Experts of all but the bands that are worth most get the lowest score; of equal bands the first stay."""
    n_bands, n_experts = t[R_N_BANDS], t[R_N_EXPERTS]
    count = n_experts // n_bands
    for band in range(n_bands):
        worths[band] = _worth(scores, band * count, count)
    for band in range(n_bands):
        better = 0
        for other in range(n_bands):
            better += worths[other] > worths[band] or (worths[other] == worths[band] and other < band)
        if better >= t[R_N_BANDS_USED]:
            for expert in range(band * count, band * count + count):
                scores[expert] = _LOWEST


@helper
def _choose_by_shares(t, logits, chosen, weights, forced):
    """The choice by shares, each with the bias of the choice, in the best bands only; weights are shares without that bias."""
    n_experts, n_active = t[R_N_EXPERTS], t[R_N_ACTIVE]
    _shares(t, logits)
    if not forced:
        scores, worths = floats_at(t[R_SCORES], n_experts), floats_at(t[R_SCORES] + 4 * n_experts, n_experts)
        for expert in range(n_experts):
            scores[expert] = logits[expert]
        if t[R_BALANCE]:
            balance = floats_at(t[R_BALANCE], n_experts)
            for expert in range(n_experts):
                scores[expert] += balance[expert]
        if t[R_N_BANDS] > 1:
            _leave_out_bands(t, scores, worths)
        _choose(scores, n_experts, n_active, chosen)
    kept = np.float32(0.0)
    for slot in range(n_active):
        weights[slot] = logits[chosen[slot]]
        kept += weights[slot]
    factor = float_of(t[R_SCALE]) / (max(kept, _LEAST_SUM) if t[R_RENORMALISE] else np.float32(1.0))
    for slot in range(n_active):
        weights[slot] *= factor


@helper
def _weigh(t, logits, chosen, weights):
    """The chosen experts' shares: their softmax among all, or among themselves where the model renormalises."""
    n_experts, n_active = t[R_N_EXPERTS], t[R_N_ACTIVE]
    largest = np.float32(-1e30)
    for expert in range(n_experts):
        largest = max(largest, logits[expert])
    total = np.float32(0.0)
    for expert in range(n_experts):
        total += exp(logits[expert] - largest)
    kept = np.float32(0.0)
    for slot in range(n_active):
        weights[slot] = exp(logits[chosen[slot]] - largest)
        kept += weights[slot]
    factor = float_of(t[R_SCALE]) / (kept if t[R_RENORMALISE] else total)
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


def route(task, thread, n_threads):  # noqa: ARG001
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
        weights = floats_at(t[R_WEIGHTS] + row * n_active * 4, n_active)
        if t[R_SCORES]:
            _choose_by_shares(t, logits, chosen, weights, forced)
        else:
            if not forced:
                _choose(logits, n_experts, n_active, chosen)
            _weigh(t, logits, chosen, weights)
        if t[R_SHARED_GATE]:
            gate, h = floats_at(t[R_SHARED_GATE], t[R_WIDTH]), floats_at(t[R_INPUT] + row * t[R_WIDTH] * 4, t[R_WIDTH])
            total = np.float32(0.0)
            for i in range(t[R_WIDTH]):
                total += gate[i] * h[i]
            floats_at(t[R_SHARED_SCALE], row + 1)[row] = np.float32(1.0) / (np.float32(1.0) + exp(-total))
    _group(t, n_rows)
