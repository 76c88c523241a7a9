"""What experts and a dense network beside them put out, each normed by itself, as one."""

from __future__ import annotations

from simulator.engine.kernels.arithmetic import float_of, norm_factor
from simulator.engine.simd import floats_at, integers_at

# Fields of tasks. `B_STATE` is the address of [number of rows], `B_DENSE` that of [rows, width], `B_EXPERTS` of [rows, active, width],
# `B_SHARES` of [rows, active].
B_STATE, B_WIDTH, B_DENSE, B_DENSE_NORM, B_EXPERTS, B_N_ACTIVE, B_SHARES, B_EXPERTS_NORM, B_EPSILON, B_LENGTH = range(
    10
)


def join_experts(task, thread, n_threads):
    """dense = norm(dense) + norm(the sum of what experts put out by their shares), which takes the first expert's place."""
    t = integers_at(task, B_LENGTH)
    n, n_active, epsilon = t[B_WIDTH], t[B_N_ACTIVE], float_of(t[B_EPSILON])
    dense_norm, experts_norm = floats_at(t[B_DENSE_NORM], n), floats_at(t[B_EXPERTS_NORM], n)
    for row in range(thread, integers_at(t[B_STATE], 1)[0], n_threads):
        dense, shares = floats_at(t[B_DENSE] + 4 * row * n, n), floats_at(t[B_SHARES] + 4 * row * n_active, n_active)
        first = t[B_EXPERTS] + 4 * row * n_active * n
        total = floats_at(first, n)
        for i in range(n):
            total[i] *= shares[0]
        for each in range(1, n_active):
            part, share = floats_at(first + 4 * each * n, n), shares[each]
            for i in range(n):
                total[i] += share * part[i]
        of_dense, of_experts = norm_factor(dense, n, epsilon), norm_factor(total, n, epsilon)
        for i in range(n):
            dense[i] = dense[i] * of_dense * dense_norm[i] + total[i] * of_experts * experts_norm[i]
