"""How fast a team of threads reads memory and does nothing else: what a decode step is compared with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.compiled import compile_kernel
from simulator.engine.cpu import PATHS
from simulator.engine.simd import I32, I64, LANES, Emitter, fetch_add, integers_at, lanes
from simulator.engine.step import Engine
from simulator.engine.team import Entry, Tape, Team

PROBE_SECONDS = 0.1  # for each look at the memory's speed
CLAIM = 2**18  # bytes a thread reads before it asks for more
_STRIDE = 512  # bytes a round: eight vectors, summed apart


@intrinsic
def _sum_of(typing_context, address, n_rounds):  # noqa: ARG001
    """Some function of every byte of n_rounds * 512 bytes."""

    def emit(_context, builder, _signature, args):
        v = Emitter(builder, PATHS["portable"])
        totals = [v.variable(v.constant(0, I32)) for _ in range(_STRIDE // 64)]
        with v.loop(args[1]) as index:
            start = v.add(args[0], v.times(index, _STRIDE))
            for number, total in enumerate(totals):
                value = v.load(start, 64 * number, lanes(I32))
                builder.store(builder.add(builder.load(total), value), total)
        whole = builder.load(totals[0])
        for total in totals[1:]:
            whole = builder.add(whole, builder.load(total))
        result = builder.extract_element(whole, ir.Constant(I32, 0))
        for lane in range(1, LANES):
            result = builder.add(result, builder.extract_element(whole, ir.Constant(I32, lane)))
        return builder.zext(result, I64)

    return types.int64(types.int64, types.int64), emit


def _read(task, thread, n_threads):  # noqa: ARG001
    """Pieces of memory, a claim at a time."""
    t = integers_at(task, 4)  # pieces' address, their number, claimed, result
    pieces = integers_at(t[0], 3 * t[1])  # address, bytes, first claim
    piece, total = 0, 0
    while True:
        claim = fetch_add(t[2], 1)
        while piece < t[1] and claim >= pieces[3 * piece + 2] + (pieces[3 * piece + 1] + CLAIM - 1) // CLAIM:
            piece += 1
        if piece >= t[1]:
            break
        start = (claim - pieces[3 * piece + 2]) * CLAIM
        count = min(CLAIM, pieces[3 * piece + 1] - start)
        total += _sum_of(pieces[3 * piece] + start, count // _STRIDE)
    fetch_add(t[3], total)


@lru_cache(maxsize=1)
def _kernel() -> int:
    return compile_kernel(_read, "read")


class ReadProbe:
    """Reads some arrays from end to end, each time it is asked to."""

    def __init__(self, arrays: Sequence[np.ndarray], team: Team):
        self._arrays, self._team = tuple(arrays), team  # keeps them alive
        rows, first = [], 0
        for array in self._arrays:
            rows.append([array.ctypes.data, array.nbytes, first])
            first += -(-array.nbytes // CLAIM)
        self._pieces = np.array(rows, np.int64)
        self._counters = np.zeros(16, np.int64)
        self.nbytes = sum(array.nbytes for array in self._arrays)
        task = np.array(
            [self._pieces.ctypes.data, len(rows), self._counters.ctypes.data, self._counters[8:].ctypes.data], np.int64
        )
        self._tape = Tape([[Entry(_kernel(), task)]])

    def seconds(self) -> float:
        """How long one reading takes."""
        self._counters[:] = 0
        start = time.perf_counter()
        self._team.run(self._tape)
        return time.perf_counter() - start

    def bytes_per_s(self, rounds: int = 1) -> float:
        """The best of some readings."""
        return self.nbytes / min(self.seconds() for _ in range(rounds))


def reading_speed(engine: Engine) -> Callable[[], float]:
    """A function that reads the engine's own matrices, and nothing more, and says at how many bytes a second."""
    probe = ReadProbe([matrix.data for matrix in engine.loaded.matrices.values()], engine.team)

    def look() -> float:
        seconds = [probe.seconds()]
        while sum(seconds) < PROBE_SECONDS:
            seconds.append(probe.seconds())
        return probe.nbytes / statistics.median(seconds)

    return look
