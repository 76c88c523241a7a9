"""Operations of round numbers, timed from what was measured on the machine made up for tests."""

import numpy as np
from profiled import machine

from simulator.forecast.kernel_speed import time_kernel
from simulator.forecast.ops import Cost, Op, Work
from simulator.spec.quant import FORMATS
from simulator.units import GIGA, MI

SPEEDS = machine().engine  # q8_0, two threads: reads 200, 100 and 20 GB/s; one token 200 Gop/s, 0.8 and 0.9 of a read
WEIGHTS = 4 * MI  # bytes of a matrix, as large as those that were measured: no start is added


def matrix(tokens=1.0, nbytes=WEIGHTS, fmt="q8_0", **changes):
    """A multiplication by weights of a byte each."""
    cost = Cost(flops=2.0 * nbytes * tokens, weight_bytes=nbytes)
    return Op("layer", "ffn", "m", FORMATS[fmt], 1, cost, sharers=tokens, **changes)


def attention(n_queries=1.0, runs=0.0):
    """Reading a MiB of cache, four operations for each half and query."""
    cost = Cost(flops=2.0 * n_queries * MI, cache_read_bytes=MI)
    return Op(
        "layer", "cache", "a", FORMATS["f16"], 1, cost, sharers=n_queries, work=(Work("run", runs), Work("head", 1e9))
    )


def seconds(op, gb_per_s, threads=2, phases=1.0, speeds=SPEEDS):
    """Of an operation where a pure read goes at so many GB/s."""
    _, _, taken = time_kernel(op, speeds, threads, 1 / (np.asarray(gb_per_s) * GIGA), phases)
    return taken
