"""The operations of a decode step as their equations say them: float64, one vector or one head at a time.

Part of the reference for the engine: it shares no code with the package and is written to be read, not to be fast.
"""

from __future__ import annotations

import math

import numpy as np


def matvec(matrix, x):
    """out[row] = sum over columns of matrix[row, column] * x[column]"""
    return matrix @ x


def rms_norm(x, weight, epsilon):
    """x over its root mean square, times the weight; gemma's "1 +" is already in the weight of a GGUF file."""
    return x / math.sqrt(np.mean(x * x) + epsilon) * weight


def softmax(x):
    """exp(x) over its sum, with the maximum taken out first."""
    powers = np.exp(x - np.max(x))
    return powers / np.sum(powers)


def sigmoid(x):
    """1 / (1 + exp(-x))"""
    return 1 / (1 + np.exp(-x))


def silu(x):
    """x * sigmoid(x)"""
    return x * sigmoid(x)


def gelu_tanh(x):
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), the approximation that gemma was trained with"""
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def rope(x, position, base, *, adjacent, factors=None, linear=1.0):
    """One head's x [dim], pair i turned by position * base^(-2i/dim) / factors[i] / linear.

    Pairs are (0, 1), (2, 3) ... if adjacent, else (0, dim/2), (1, dim/2 + 1) ...
    """
    half = len(x) // 2
    out = np.empty(len(x))
    for pair in range(half):
        first, second = (2 * pair, 2 * pair + 1) if adjacent else (pair, pair + half)
        angle = position * base ** (-2 * pair / len(x)) / linear
        if factors is not None:
            angle = angle / factors[pair]
        out[first] = x[first] * math.cos(angle) - x[second] * math.sin(angle)
        out[second] = x[first] * math.sin(angle) + x[second] * math.cos(angle)
    return out


def attention(queries, keys, values, scale, window=None):
    """What each position reads: queries [n, n_heads, dim], keys and values [n, n_kv_heads, dim], out [n, n_heads, dim].

    Heads share keys and values in consecutive groups. A position sees itself and what lies before it, with a window only
    the last `window` positions, itself among them.
    """
    n_tokens, n_heads, _ = queries.shape
    group = n_heads // keys.shape[1]
    out = np.zeros((n_tokens, n_heads, values.shape[2]))
    for position in range(n_tokens):
        oldest = 0 if window is None else max(0, position - window + 1)
        seen = range(oldest, position + 1)
        for head in range(n_heads):
            query, shared = queries[position, head], head // group
            weights = softmax(np.array([scale * np.dot(query, keys[other, shared]) for other in seen]))
            for weight, other in zip(weights, seen, strict=True):
                out[position, head] += weight * values[other, shared]
    return out


def route(logits, n_active, *, renormalise, scale=1.0, experts=None):
    """The experts of a token, best first, and their weights: the softmax over all experts, cut to the best `n_active`.

    Renormalised, the weights sum to 1, which is the softmax over the chosen logits; else they keep their share of all.
    Of equal experts the first wins. Given experts are not chosen, only weighed.
    """
    shares = softmax(logits)
    if experts is None:
        experts = np.argsort(-shares, kind="stable")[:n_active]
    weights = shares[experts]
    if renormalise:
        weights = weights / np.sum(weights)
    return experts, weights * scale


def keep_largest(x, share):
    """x with all but the largest |x| set to 0: that share of the entries, rounded up; of equal ones the first stay."""
    if share is None:
        return x
    n_kept = max(1, math.ceil(share * len(x) - 1e-9))
    kept = np.argsort(-np.abs(x), kind="stable")[:n_kept]
    out = np.zeros(len(x))
    out[kept] = x[kept]
    return out


def round_to_int8(x):
    """x as it meets a matrix in blocks: of each 32, whole multiples of the largest / 127, halves away from zero."""
    blocks = x.reshape(-1, 32)
    scales = np.max(np.abs(blocks), axis=1, keepdims=True) / 127
    steps = blocks / np.where(scales > 0, scales, 1)
    return (np.sign(steps) * np.floor(np.abs(steps) + 0.5) * scales).reshape(-1)
