"""Seconds of an operation by kernels whose shares were fitted to measurements.

Moving bytes and computing overlap, but not wholly: seconds are (memory^3 + compute^3)^(1/3), near the longer of the two, a quarter
more where they are equal. Weights meet few tokens in vector kernels, whose first token pays for the unpacking, or in matrix
kernels, which compute whole tiles of tokens; runtimes switch where the latter get faster, so the faster one counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simulator.forecast.ops import Op
from simulator.spec.factors import LANE_PRODUCTS
from simulator.spec.kernels import Kernels

OVERLAP = 3.0  # the exponent above: 1 would be one after the other, infinity a perfect overlap


class Work(NamedTuple):
    """Seconds of an operation: in memory, in arithmetic, and both as they overlap."""

    memory_s: Any
    compute_s: Any
    both_s: Any


def overlapped(memory_s: Any, compute_s: Any) -> Any:
    """Seconds of both at once."""
    return np.cbrt(memory_s * memory_s * memory_s + compute_s * compute_s * compute_s)


def work_seconds(
    op: Op, kernels: Kernels, lanes_per_s: float | None, peak_per_s: float | None, s_per_byte: Any, activation_s: Any
) -> Work:
    """Seconds of one of an operation's `count`.

    Args:
        lanes_per_s: f32 operations a second of the vector units; None where the device file has none.
        peak_per_s: of the matrix units, in the number format that the runtime computes in.
        s_per_byte: of the device's memory, sustained.
        activation_s: for inputs and outputs.
    """
    products = LANE_PRODUCTS * lanes_per_s if lanes_per_s else np.inf
    if op.part == "cache":
        return _cache_work(op, kernels, products, peak_per_s, s_per_byte, activation_s)
    n, is_expert = np.maximum(op.sharers, 1.0), op.part == "experts"
    memory_s = op.cost.streamed_bytes * (s_per_byte / kernels.bandwidth_share(op.format, is_expert))
    tiled = op.cost.flops * ((np.maximum(n, kernels.tile) + kernels.fill_tokens * filled(n, kernels.tile)) / n)
    peak = peak_per_s or products
    compute_s = tiled * (1 / (peak * kernels.matrix_share(op.format, is_expert)))
    if not kernels.has_vector:
        return _work(memory_s + activation_s, compute_s)
    # Matrix kernels, too, unpack each weight once: so many tokens take no less than one.
    one_s = op.cost.flops / n * (1 / (products * kernels.vector_share(op.format)))
    matrix = _work(memory_s + activation_s, np.maximum(compute_s, one_s))
    again = n**kernels.read_again if op.part == "experts" else 1.0
    vector = _work(memory_s * again + activation_s, one_s * (1 + kernels.further_cost(op.format) * (n - 1)))
    return _faster(vector, matrix, always=n <= (1 if is_expert else kernels.vector_tokens(op.format)))


def _cache_work(
    op: Op, kernels: Kernels, products: float, peak_per_s: float | None, s_per_byte: Any, activation_s: Any
) -> Work:
    """Attention query by query in vector kernels, or by tiles of all queries that share a key at once."""
    is_state = op.name == "recurrent state"
    memory_s = op.cost.streamed_bytes * (s_per_byte / kernels.cache_share(op.format, is_state)) + activation_s
    vector = _work(memory_s, op.cost.flops * (1 / (products * kernels.attention_share(op.format))))
    queries = np.maximum(op.sharers, 1.0)
    tiled = op.cost.flops * (np.maximum(queries, kernels.query_tile) / queries)
    peak = peak_per_s or products
    return _faster(vector, _work(memory_s, tiled * (1 / (peak * kernels.attended_share(op.format, is_state)))))


def filled(n: Any, tile: float) -> Any:
    """The share of large tiles that matrix kernels fill up for *n* tokens, beyond a small one.

    A mean between one and two is that of experts which have two or more among such as have one: they fill as two do.
    """
    return np.where(n > 1, np.minimum((np.maximum(n, 2.0) - 1) / tile, 1.0), 0.0)


def _faster(vector: Work, matrix: Work, always: Any = False) -> Work:
    """The one of two ways that takes less time; *always* the first where that holds."""
    is_vector = (vector.both_s <= matrix.both_s) | always
    return Work(*(np.where(is_vector, one, other)[()] for one, other in zip(vector, matrix, strict=True)))


def _work(memory_s: Any, compute_s: Any) -> Work:
    return Work(memory_s, compute_s, overlapped(memory_s, compute_s))


def core_limited(s_per_byte: Any, core_bytes_per_s: float, n_cores: int) -> Any:
    """Seconds for each byte where so many cores read: no core reads faster than it can by itself."""
    return np.sqrt(np.sqrt(s_per_byte**4 + (1 / (n_cores * core_bytes_per_s)) ** 4))
