"""Rows of a matrix as float32: the tokens' embeddings."""

from __future__ import annotations

from simulator.engine.cpu import for_short_runs
from simulator.engine.kernels.panel_product import multiply_panel
from simulator.engine.simd import LANES, floats_at, integers_at

# Fields of tasks. `E_STATE` is the address of [number of rows], `E_ONES` that of the addresses of a block's unit vectors.
E_STATE, E_TOKENS, E_WEIGHTS, E_PANEL_BYTES, E_BLOCK_BYTES, E_BLOCK, E_N_BLOCKS, E_ONES, E_SCRATCH, E_SCRATCH_STRIDE, E_OUTPUT, \
    E_LENGTH = range(12)  # fmt: skip


def look_up(format_name: str, target: str):
    """output[i] = row tokens[i] of the matrix: each block of it times the unit vectors, whose results are its elements, exactly."""
    target = for_short_runs(target)

    def look_up(task, thread, n_threads):
        t = integers_at(task, E_LENGTH)
        block, n_blocks = t[E_BLOCK], t[E_N_BLOCKS]
        n_rows = integers_at(t[E_STATE], 1)[0]
        tokens = integers_at(t[E_TOKENS], n_rows)
        products = t[E_SCRATCH] + thread * t[E_SCRATCH_STRIDE]
        for item in range(thread, n_rows * n_blocks, n_threads):
            row, number = item // n_blocks, item % n_blocks
            panel, lane = tokens[row] // LANES, tokens[row] % LANES
            weights = t[E_WEIGHTS] + panel * t[E_PANEL_BYTES] + number * LANES * t[E_BLOCK_BYTES]
            multiply_panel(format_name, target, weights, block, t[E_ONES], block, products)
            found = floats_at(products, LANES * block)
            out = floats_at(t[E_OUTPUT] + 4 * (row * n_blocks + number) * block, block)
            for i in range(block):
                out[i] = found[LANES * i + lane]

    return look_up
