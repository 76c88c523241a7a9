"""The operations of a decode step as their equations say them: float64, one vector or one head at a time.

Part of the reference for the engine: it shares no code with the package and is written to be read, not to be fast.
"""

from __future__ import annotations

import math

import gguf
import numpy as np


def matvec(matrix, x):
    """out[row] = sum over columns of matrix[row, column] * x[column]"""
    return matrix @ x


def rms_norm(x, weight, epsilon):
    """x over its root mean square, times the weight; gemma's "1 +" is already in the weight of a GGUF file."""
    return x / math.sqrt(np.mean(x * x) + epsilon) * weight


def layer_norm(x, weight, bias, epsilon):
    """x without its mean, over its standard deviation, times the weight, plus the bias."""
    centred = x - np.mean(x)
    return centred / math.sqrt(np.mean(centred * centred) + epsilon) * weight + bias


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


def relu_squared(x):
    """The square of what is positive, else 0."""
    return np.maximum(x, 0) ** 2


def clipped_swiglu(gate, up):
    """gpt-oss: silu at 1.702 times the steepness of a gate of at most 7, times one more than an up within 7."""
    gate = np.minimum(gate, 7.0)
    return gate * sigmoid(1.702 * gate) * (np.clip(up, -7.0, 7.0) + 1)


def yarn_kept(n_rotated, base, original, *, fast, slow):
    """YaRN's share of each pair's angle that is not stretched: 1 of pairs that turn often in *original* positions, 0 of slow ones.

    The bounds are the pairs that turn *fast* and *slow* times, rounded outwards and kept within the head; between them it falls evenly.
    """

    def pair_that_turns(times):
        """base^(-2 pair / n_rotated) * original = 2 pi times."""
        return n_rotated * math.log(original / (2 * math.pi * times)) / (2 * math.log(base))

    first = max(0, math.floor(pair_that_turns(fast)))
    last = min(n_rotated - 1, math.ceil(pair_that_turns(slow)))
    pairs = np.arange(n_rotated // 2)
    return 1 - np.clip((pairs - first) / max(0.001, last - first), 0, 1)


def yarn_magnitude(factor, log_multiplier=0.0):
    """What YaRN multiplies queries and keys by: 1 + ln(factor) / 10, over the same with the multiplier where there is one."""
    if factor <= 1:
        return 1.0
    grown = 1 + 0.1 * math.log(factor)
    return grown / (1 + 0.1 * log_multiplier * math.log(factor)) if log_multiplier else grown


def rope(x, position, base, *, adjacent, factors=None, linear=1.0, kept=None, magnitude=1.0):
    """One head's x [dim], pair i turned by position * base^(-2i/dim) / factors[i] / linear, times the magnitude.

    Pairs are (0, 1), (2, 3) ... if adjacent, else (0, dim/2), (1, dim/2 + 1) ... Of the angle a share kept[i] is not divided by
    *linear*.
    """
    half = len(x) // 2
    out = np.empty(len(x))
    for pair in range(half):
        first, second = (2 * pair, 2 * pair + 1) if adjacent else (pair, pair + half)
        angle = position * base ** (-2 * pair / len(x))
        if factors is not None:
            angle = angle / factors[pair]
        share = 0.0 if kept is None else kept[pair]
        angle = angle * share + angle / linear * (1 - share)
        out[first] = x[first] * math.cos(angle) - x[second] * math.sin(angle)
        out[second] = x[first] * math.sin(angle) + x[second] * math.cos(angle)
    return magnitude * out


def attention(queries, keys, values, scale, window=None, cap=None, sinks=None):
    """What each position reads: queries [n, n_heads, dim], keys and values [n, n_kv_heads, dim], out [n, n_heads, dim].

    Heads share keys and values in consecutive groups. A position sees itself and what lies before it, with a window only
    the last `window` positions, itself among them. With a cap, a score s counts as cap * tanh(s / cap). A head's sink is a further
    score with nothing to read: it takes its share of the softmax.
    """
    n_tokens, n_heads, _ = queries.shape
    group = n_heads // keys.shape[1]
    out = np.zeros((n_tokens, n_heads, values.shape[2]))
    for position in range(n_tokens):
        oldest = 0 if window is None else max(0, position - window + 1)
        seen = range(oldest, position + 1)
        for head in range(n_heads):
            query, shared = queries[position, head], head // group
            scores = np.array([scale * np.dot(query, keys[other, shared]) for other in seen])
            scores = cap * np.tanh(scores / cap) if cap else scores
            weights = softmax(scores) if sinks is None else softmax(np.append(scores, sinks[head]))[:-1]
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


def choose_experts(scores, n_active, n_groups=1, n_groups_used=1):
    """The numbers of the best experts, best first; of those groups only whose two best add up to most. Of equal ones the first wins."""
    if n_groups > 1:
        groups = scores.reshape(n_groups, -1)
        worth = np.sort(groups, axis=1)[:, -2:].sum(axis=1)
        kept = np.argsort(-worth, kind="stable")[:n_groups_used]
        scores = np.where(np.isin(np.arange(n_groups), kept)[:, None], groups, -np.inf).reshape(-1)
    return np.argsort(-scores, kind="stable")[:n_active]


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


def round_to_cache(x, fmt):
    """Heads [..., dim] as a cache of that format gives them back: f16, or blocks of 32 along the head."""
    if fmt == "f16":
        return x.astype(np.float16).astype(np.float64)
    kind = gguf.GGMLQuantizationType[fmt.upper()]
    return gguf.quants.dequantize(gguf.quants.quantize(x.astype(np.float32), kind), kind).astype(np.float64)
