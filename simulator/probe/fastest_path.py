"""Which of the paths that run on this processor is the fastest: measured once, and remembered beside the compiled kernels."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from contextlib import closing

from simulator.engine import cpu
from simulator.engine.cpu import Path
from simulator.engine.memory import Pool
from simulator.engine.team import Team, cores
from simulator.probe.clock import Clock
from simulator.probe.kernels import MATRIX_BYTES, MatrixWork
from simulator.probe.memory import FILL
from simulator.units import MI

FORMATS = ("q8_0", "q4_k")  # one that is all reading, and one that computes
TOKENS = (1, 8)
WEIGHTS = 64 * MI  # bytes of each format, read in turn
ROUNDS = 7


def remember_fastest(tell: Callable[[str], None] = lambda _what: None) -> bool:
    """Measures the paths and remembers how fast they are; False where there is nothing to choose, or no place to remember it."""
    paths = [path for path in cpu.reachable() if path.name != "portable"]
    if len(paths) < 2:
        return False
    with closing(Team(cores())) as team:
        return cpu.keep_measured(measure_paths(paths, team, WEIGHTS, tell=tell))


def measure_paths(
    paths: list[Path],
    team: Team,
    nbytes: int,
    clock: Clock = time.perf_counter,
    tell: Callable[[str], None] = lambda _what: None,
) -> dict[str, float]:
    """Speed of each path as a share of the first one's: the geometric mean over formats, with one token and with several.

    All multiply the same *nbytes* of weights in turn, round after round, so that a drifting machine meets all alike.
    """
    weights = Pool(nbytes).take(nbytes)
    weights[:] = FILL
    ratios: dict[str, list[float]] = {path.name: [] for path in paths}
    for fmt in FORMATS:
        for n_tokens in TOKENS:
            tell(f"which path is the fastest: {fmt}")
            works = [MatrixWork(fmt, weights, n_tokens, team, path, MATRIX_BYTES) for path in paths]
            rounds = [[_seconds(work, clock) for work in works] for _ in range(ROUNDS + 1)][1:]
            for number, path in enumerate(paths):
                ratios[path.name].append(statistics.median(taken[0] / taken[number] for taken in rounds))
    return {name: round(math.prod(found) ** (1 / len(found)), 4) for name, found in ratios.items()}


def _seconds(work: MatrixWork, clock: Clock) -> float:
    start = clock()
    work.run(1)
    return clock() - start
