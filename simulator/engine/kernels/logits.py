"""What becomes of logits after the last matrix: scaled, and bent towards a cap."""

from __future__ import annotations

from simulator.engine.kernels.arithmetic import float_of, tanh
from simulator.engine.simd import floats_at, integers_at

BLOCK = 4096  # logits that a thread takes at a time

# Fields of tasks. `L_STATE` is the address of [number of rows]; a cap of 0 is none.
L_STATE, L_LOGITS, L_WIDTH, L_SCALE, L_CAP, L_LENGTH = range(6)


def finish(task, thread, n_threads):
    """logits = cap * tanh(scale * logits / cap), or without a cap scale * logits"""
    t = integers_at(task, L_LENGTH)
    n_rows, width = integers_at(t[L_STATE], 1)[0], t[L_WIDTH]
    n_blocks = (width + BLOCK - 1) // BLOCK
    scale, cap = float_of(t[L_SCALE]), float_of(t[L_CAP])
    for item in range(thread, n_rows * n_blocks, n_threads):
        row, first = item // n_blocks, item % n_blocks * BLOCK
        n = min(BLOCK, width - first)
        logits = floats_at(t[L_LOGITS] + 4 * (row * width + first), n)
        if t[L_CAP]:
            inner = scale / cap
            for i in range(n):
                logits[i] = cap * tanh(logits[i] * inner)
        else:
            for i in range(n):
                logits[i] *= scale
