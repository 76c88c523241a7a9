"""Memory slower than this machine's: the threads wait until what was read would have come from it."""

from __future__ import annotations

import time

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from simulator.engine.compiled import helper
from simulator.engine.simd import I32, I64, integers_at, relax

# Fields of tasks. `W_STATE` is the address of [nanoseconds at the start, bytes read until then], `W_READ` that of the counters of
# bytes, one to a cache line.
W_STATE, W_READ, W_N_COUNTERS, W_PICOSECONDS, W_LENGTH = range(5)

_MONOTONIC = getattr(time, "CLOCK_MONOTONIC", 1)


@intrinsic
def nanoseconds(typing_context):  # noqa: ARG001
    """What the C library's steady clock shows."""

    def emit(_context, builder, _signature, _args):
        kind = ir.FunctionType(I32, [I32, I64.as_pointer()])
        clock = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        place = cgutils.alloca_once(builder, I64, 2)
        builder.call(clock, [ir.Constant(I32, _MONOTONIC), place])
        seconds, rest = (builder.load(builder.gep(place, [ir.Constant(I32, at)])) for at in range(2))
        return builder.add(builder.mul(seconds, ir.Constant(I64, 1_000_000_000)), rest)

    return types.int64(), emit


@helper
def _bytes_read(t):
    total = 0
    for number in range(t[W_N_COUNTERS]):
        total += integers_at(t[W_READ] + 64 * number, 1)[0]
    return total


def begin_slow(task, thread, n_threads):  # noqa: ARG001
    """Notes the time and the bytes read so far."""
    if thread:
        return
    t = integers_at(task, W_LENGTH)
    state = integers_at(t[W_STATE], 2)
    state[0], state[1] = nanoseconds(), _bytes_read(t)


def end_slow(task, thread, n_threads):  # noqa: ARG001
    """Waits as long as the bytes read since then take at so many picoseconds each."""
    if thread:
        return
    t = integers_at(task, W_LENGTH)
    state = integers_at(t[W_STATE], 2)
    end = state[0] + (_bytes_read(t) - state[1]) * t[W_PICOSECONDS] // 1000
    while nanoseconds() < end:
        relax()
