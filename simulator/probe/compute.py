"""How many multiply-adds a team of threads makes when nothing has to be fetched: float32, and int8 in dot products."""

from __future__ import annotations

from functools import cache

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.compiled import compile_kernel
from simulator.engine.cpu import PATHS, Path
from simulator.engine.simd import F32, I8, I32, I64, LANES, Emitter, integers_at, lanes
from simulator.engine.team import Entry, Tape, Team
from simulator.probe.clock import Probe

# Sums that do not wait for each other, of 16 lanes: enough to hide the latency of a multiply-add, few enough for the registers.
_SUMS = {"avx512-vnni": 12, "avx-vnni": 6, "avx2": 5, "neon-dotprod": 5, "portable": 4}
_TURNS = 1000  # turns of the loop that a thread makes each time


@intrinsic(prefer_literal=True)
def _multiply_add(typing_context, kind, path_name, place, turns):  # noqa: ARG001
    """Keeps the processor's multiply-add units busy, and leaves the sums at an address."""

    def emit(_context, builder, signature, args):
        path = PATHS[signature.args[1].literal_value]
        v = Emitter(builder, path)
        is_float = signature.args[0].literal_value == "f32"
        count = _SUMS[path.name]
        # Factors come from memory, so that the compiler knows nothing of them.
        if is_float:
            weights, inputs = v.load(args[2], 0, lanes(F32)), v.load(args[2], 64, lanes(F32))
        else:
            weights, inputs = v.load(args[2], 0, lanes(I8, 64)), v.load(args[2], 64, I32)
        start = v.load(args[2], 0, lanes(F32 if is_float else I32))
        sums = [v.variable(start) for _ in range(count)]
        for number, total in enumerate(sums):  # different from each other, or the compiler would keep only one
            builder.store(v.load(args[2], 64 * (2 + number), start.type), total)
        with v.loop(args[3]):
            for total in sums:
                value = builder.load(total)
                done = v.multiply_add(weights, inputs, value) if is_float else v.dot(value, weights, inputs, True)
                builder.store(done, total)
        for number, total in enumerate(sums):
            v.store(builder.load(total), args[2], 64 * (2 + number))
        return ir.Constant(I64, 0)

    return types.int64(kind, path_name, types.int64, types.int64), emit


def _busy(kind: str, path_name: str):
    def busy(task, thread, n_threads):  # noqa: ARG001
        t = integers_at(task, 2)  # address of a thread's factors and sums, turns
        _multiply_add(kind, path_name, t[0] + thread * 2048, t[1])

    return busy


@cache
def _kernel(kind: str, path_name: str) -> int:
    return compile_kernel(_busy(kind, path_name), f"busy-{kind}-{path_name}")


def peak_probe(name: str, kind: str, team: Team, path: Path) -> Probe:
    """Multiply-adds of *kind* "f32" or "int8", each counted as two operations, all factors in registers."""
    room = np.zeros(2048 * team.n_threads + 64, np.uint8)
    place = room[-room.ctypes.data % 64 :]
    for thread in range(team.n_threads):
        own = place[2048 * thread :][: 64 * (2 + _SUMS[path.name])]
        own[:] = 1
        if kind == "f32":
            own.view(np.float32)[:] = np.linspace(1e-3, 2e-3, len(own) // 4)
    task = np.array([place.ctypes.data, 0], np.int64)
    tape = Tape([[Entry(_kernel(kind, path.name), task)]])

    def run(repeats: int) -> np.ndarray:
        task[1] = _TURNS * repeats
        team.run(tape)
        return room

    per_sum = LANES * (2 if kind == "f32" else 8)  # a lane multiplies one float, or four int8
    return Probe(name, run, flops=per_sum * _SUMS[path.name] * _TURNS * team.n_threads)
