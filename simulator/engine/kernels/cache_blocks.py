"""Blocks of 32 numbers in a cache, rounded as ggml rounds them."""

from __future__ import annotations

import numpy as np

from simulator.engine.compiled import helper

BLOCK = 32  # elements that share a scale


@helper
def scale_of_bytes(head, first):
    """What 32 elements are divided by for the largest to be 127."""
    largest = np.float32(0.0)
    for i in range(BLOCK):
        largest = max(largest, abs(head[first + i]))
    return largest / np.float32(127.0)


@helper
def scale_of_nibbles(head, first):
    """What 32 elements are divided by for the one farthest from 0, the first of equal ones, to be -8."""
    farthest = np.float32(0.0)
    for i in range(BLOCK):
        if abs(head[first + i]) > abs(farthest):
            farthest = head[first + i]
    return farthest / np.float32(-8.0)


@helper
def byte_of(value, inverse):
    """The nearest whole number of steps."""
    scaled = value * inverse
    return np.int32(scaled + (np.float32(0.5) if scaled >= np.float32(0.0) else np.float32(-0.5)))


@helper
def nibble_of(value, inverse):
    """The same plus 8, between 0 and 15."""
    return min(np.int32(15), np.int32(value * inverse + np.float32(8.5)))


@helper
def inverse_of(scale):
    """What elements are multiplied by: 1 / scale, or 0 where all are 0."""
    return np.float32(1.0) / scale if scale != np.float32(0.0) else np.float32(0.0)
