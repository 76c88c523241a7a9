"""How fast a team of threads moves memory and does nothing else: reading, writing, copying, adding, and blocks in random order.

Each thread has its own part of the working set and goes over it again and again, so that a part which fits a core's cache stays
there. Bytes are counted as STREAM counts them: what the program reads and writes. A cache line that is fetched only to be
overwritten is not counted.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from simulator.engine.compiled import compile_kernel
from simulator.engine.cpu import PATHS
from simulator.engine.simd import F32, I32, I64, LANES, Emitter, fetch_add, integers_at, lanes, words_at
from simulator.engine.team import Entry, Tape, Team
from simulator.probe.clock import Probe

KINDS = {"read": 1, "write": 1, "copy": 2, "triad": 3}  # and how many arrays each moves
ROUND = 512  # bytes of each array that a turn of the loop handles: eight vectors
LINE = 64
_FIELDS = 8


@intrinsic(prefer_literal=True)
def _stream(typing_context, kind, first, second, third, n_rounds):  # noqa: ARG001
    """Moves n_rounds * 512 bytes of arrays at three addresses; returns some function of what was read."""
    name = kind.literal_value

    def emit(_context, builder, _signature, args):
        v = Emitter(builder, PATHS["portable"])
        # Sums must not wait for each other. Where nothing is summed, more than a vector a turn is 4 % slower on a Zen 4,
        # and so is an address of its own for each array that the loop would have to move on.
        turn = ROUND if name == "read" else LINE
        totals = [v.variable(v.constant(0, I32)) for _ in range(turn // LINE)]
        end, step = v.times(args[4], ROUND), ir.Constant(I64, turn)
        with cgutils.for_range_slice(builder, ir.Constant(I64, 0), end, step, intp=I64) as (start, _):
            places = [builder.add(address, start) for address in args[1:4]]
            for number, total in enumerate(totals):
                _move(v, name, places, LINE * number, total)
            if name != "read":  # an instruction that is none: LLVM unrolls no loop with one
                builder.asm(ir.FunctionType(ir.VoidType(), ()), "", "", (), side_effect=True)
        return builder.zext(_sum_of_lanes(v, totals), I64)

    return types.int64(kind, *[types.int64] * 4), emit


def _move(v: Emitter, kind: str, places: list, offset: int, total) -> None:
    """One vector of each array: the first is written, the others are read; reading reads the first."""
    if kind == "read":
        v.at.store(v.at.add(v.at.load(total), v.load(places[0], offset, lanes(I32))), total)
    elif kind == "write":
        v.store(v.constant(1.0, F32), places[0], offset)
    elif kind == "copy":
        v.store(v.load(places[1], offset, lanes(F32)), places[0], offset)
    else:
        second, third = (v.load(place, offset, lanes(F32)) for place in places[1:])
        product = v.at.fmul(third, v.constant(3.0, F32), flags=("contract",))  # fused where the processor can
        v.store(v.at.fadd(second, product, flags=("contract",)), places[0], offset)


def _sum_of_lanes(v: Emitter, totals: list):
    whole = v.at.load(totals[0])
    for total in totals[1:]:
        whole = v.at.add(whole, v.at.load(total))
    result = v.at.extract_element(whole, ir.Constant(I32, 0))
    for lane in range(1, LANES):
        result = v.at.add(result, v.at.extract_element(whole, ir.Constant(I32, lane)))
    return result


@intrinsic
def _sum_of_block(typing_context, address, n_lines):  # noqa: ARG001
    """Some function of every byte of n_lines * 64 bytes."""

    def emit(_context, builder, _signature, args):
        v = Emitter(builder, PATHS["portable"])
        total = v.variable(v.constant(0, I32))
        builder.store(v.constant(0, I32), total)
        with v.loop(args[1]) as index:
            value = v.load(v.add(args[0], v.times(index, LINE)), 0, lanes(I32))
            builder.store(builder.add(builder.load(total), value), total)
        return builder.zext(_sum_of_lanes(v, [total]), I64)

    return types.int64(types.int64, types.int64), emit


def _streaming(kind: str):
    def stream(task, thread, n_threads):
        """A thread's part of each array, some times over."""
        t = integers_at(task, _FIELDS)  # three addresses, rounds of 512 bytes, repeats, result
        first, last = t[3] * thread // n_threads, t[3] * (thread + 1) // n_threads
        total = 0
        for _ in range(t[4]):
            start = first * ROUND
            total += _stream(kind, t[0] + start, t[1] + start, t[2] + start, last - first)
        fetch_add(t[5], total)

    return stream


def _gather(task, thread, n_threads):
    """Blocks of an array in the order of a list, a thread's part of the list."""
    t = integers_at(task, _FIELDS)  # array, list, entries, bytes of a block, repeats, result
    order = words_at(t[1], t[2])
    total = 0
    for _ in range(t[4]):
        for number in range(t[2] * thread // n_threads, t[2] * (thread + 1) // n_threads):
            total += _sum_of_block(t[0] + np.int64(order[number]) * t[3], t[3] // LINE)
    fetch_add(t[5], total)


@cache
def _kernel(name: str) -> int:
    function = _gather if name == "gather" else _streaming(name)
    return compile_kernel(function, f"memory-{name}")


class _Work:
    """A kernel with its arrays, run by a team as often as asked."""

    def __init__(self, name: str, team: Team, numbers: list[int], held: tuple[np.ndarray, ...]):
        self._team, self._held = team, held
        self._result = np.zeros(8, np.int64)
        self.task = np.array([*numbers, 1, self._result.ctypes.data, 0, 0], np.int64)
        self._tape = Tape([[Entry(_kernel(name), self.task)]])

    def run(self, repeats: int) -> int:
        """Does the work; returns the sum of what was read."""
        self._result[0], self.task[4] = 0, repeats
        self._team.run(self._tape)
        return int(self._result[0])


def stream_probe(name: str, kind: str, team: Team, memory: np.ndarray, nbytes: int) -> Probe:
    """Moving a working set of *nbytes* in all: one array, or two or three of them in equal parts.

    Args:
        name: of the probe.
        kind: one of KINDS.
        memory: uint8, at least *nbytes*, starting on a cache line; overwritten unless *kind* is "read".
    """
    each = nbytes // KINDS[kind] // ROUND * ROUND
    if not 0 < each * KINDS[kind] <= memory.nbytes:
        raise ValueError(f"a working set of {nbytes} bytes does not suit memory of {memory.nbytes}")
    start = memory.ctypes.data
    addresses = [start + each * number if number < KINDS[kind] else 0 for number in range(3)]
    work = _Work(kind, team, [*addresses, each // ROUND], (memory,))
    return Probe(name, work.run, bytes=each * KINDS[kind])


def random_probe(name: str, team: Team, memory: np.ndarray, block: int, nbytes: int, seed: int = 0) -> Probe:
    """Reading about *nbytes* in blocks of *block* bytes, a multiple of 64, in random order.

    Each run goes on in the order where the last one stopped, so that blocks come round only after all others have.
    """
    n_blocks = memory.nbytes // block
    order = np.random.default_rng(seed).permutation(n_blocks).astype(np.int32)
    count = min(n_blocks, max(team.n_threads, nbytes // block))
    starts = np.arange(0, n_blocks - count + 1, count)
    work = _Work("gather", team, [memory.ctypes.data, order.ctypes.data, count, block], (memory, order))
    turn = itertools.count()

    def run(repeats: int) -> int:
        for _ in range(repeats):
            work.task[1] = order.ctypes.data + int(starts[next(turn) % len(starts)]) * order.itemsize
            total = work.run(1)
        return total

    return Probe(name, run, bytes=count * block)
