"""What a step takes beside the work of its kernels: starting them, what goes before and after, each of its tokens."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np

from simulator.engine.step import Engine
from simulator.engine.team import Tape, Team, idle_tape
from simulator.probe.clock import FOREVER, Clock, Deadline, Sample, until_over
from simulator.probe.items import DEPTH, ROWS, small_model

_TINY_RUNS = 15
_COLD_RUNS = 5  # before each of which much is read


class Tiny:
    """An engine whose matrices take next to no time: what remains is starting kernels and passing on results."""

    def __init__(self, team: Team, clock: Clock = time.perf_counter):
        self._clock, self._idle = clock, idle_tape(1)
        self._engine = Engine(small_model(64, 4, {"kind": "gated", "d_ff": 64}), team=team, batch=ROWS, context=64)
        self._n_phases = len(self._engine.tape.phases)
        self.kernels_s(1), self.kernels_s(ROWS)

    def kernels_s(self, n_tokens: int) -> float:
        """Seconds of all kernels of a step, without what it takes to begin."""
        engine, tokens, runs = self._engine, np.arange(n_tokens), []
        for _ in range(_TINY_RUNS):
            engine.assembly.place(tokens, np.full(n_tokens, DEPTH))
            runs.append(self._timed(engine.tape) - self._timed(self._idle))
        return max(1e-9, statistics.median(runs))

    def outside_s(self, n_tokens: int, before: Callable[[], object], n_runs: int) -> float:
        """Seconds of a step outside its kernels, by so many runs; *before* is called ahead of each."""
        engine, tokens, runs = self._engine, np.arange(n_tokens), []
        for _ in range(n_runs):
            before()
            engine.pretend(DEPTH)
            start = self._clock()
            engine.decode(tokens)
            runs.append(self._clock() - start)
        return max(1e-9, statistics.median(runs) - self.kernels_s(n_tokens))

    @property
    def n_phases(self) -> int:
        """Kernels that follow each other in a step, each begun by all threads."""
        return self._n_phases

    def _timed(self, tape: Tape) -> float:
        start = self._clock()
        self._engine.team.run(tape)
        return self._clock() - start


def measure_overheads(
    team: Team,
    sweeps: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Clock = time.perf_counter,
    deadline: Deadline = FOREVER,
) -> dict[str, Sample]:
    """Seconds of what a step takes beside the work of its kernels.

    "phase": starting a kernel on all threads, and waiting for the last; "step" and "token": what a step and each of its
    tokens take outside the kernels; "cold step" and "cold token": the same after the sweep called cold, and so for each of the
    *sweeps*, which leave nothing else in some caches. Those of tokens are differences, and below 0 where noise is larger. What
    there is no time for is left out.
    """
    found = defaultdict(list)
    tiny = Tiny(team, clock)

    def once() -> None:
        found["phase"].append(tiny.kernels_s(1) / tiny.n_phases)
        after = [(f"{name} ", sweep, _COLD_RUNS) for name, sweep in sweeps.items()]
        for name, before, n_runs in (("", lambda: None, _TINY_RUNS), *after):
            if found[f"{name}step"] and deadline.is_over:
                return
            one, many = (tiny.outside_s(n, before, n_runs) for n in (1, ROWS))
            found[f"{name}step"].append(one)
            found[f"{name}token"].append((many - one) / (ROWS - 1))

    until_over(deadline, rounds, once)
    return {name: Sample(tuple(seconds)) for name, seconds in found.items()}
