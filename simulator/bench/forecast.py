"""How fast a forecast is: the command against importing numpy, and a grid of a million points, in interleaved pairs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from simulator.bench.rows import row
from simulator.forecast.scenario import scenario
from simulator.progress import Progress

COMMAND = ["simulate", "qwen3-30b-a3b", "pi5-16gb", "--batch", "1..64*2", "--json", "-"]
COMMAND_LIMIT = 2.5  # times the wall time of importing numpy
GRID_LIMIT_S = 1.0  # for a million points
GRID_POINTS = 1_000_000


def run_process(*arguments: str) -> float:
    """Wall seconds of a Python process, its output thrown away."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - start


def in_turn(rounds: int, *timed: Callable[[], float]) -> list[tuple[float, ...]]:
    """Seconds of each in turn, so that a machine that drifts slows all alike; a first round warms up and is dropped."""
    found = [tuple(each() for each in timed) for _ in range(rounds + 1)]
    return found[1:]


def forecast_grid() -> float:
    """Seconds for a million (batch, context) points of one model on one device: rate, interval, ceiling, what binds."""
    base = scenario("qwen3-30b-a3b", "pi5-16gb", weights="q3_k_m")
    generator = np.random.default_rng(0)
    batch = generator.integers(1, 512, GRID_POINTS)
    context = generator.integers(0, 40_960, GRID_POINTS)
    start = time.perf_counter()
    point = base.at(batch, context)
    results = (
        point.tokens_per_s,
        point.tokens_per_s_low,
        point.tokens_per_s_high,
        point.tokens_per_s_ceiling,
        point.bound,
    )
    seconds = time.perf_counter() - start
    assert all(len(result) == GRID_POINTS for result in results)
    return seconds


def forecast_rows(rounds: int, progress: Progress = lambda _share, _what: None) -> list[dict]:
    """Both figures with the spread of their rounds."""
    rounds = max(1, rounds)
    progress(0.0, "timing the command")
    pairs = in_turn(rounds, lambda: run_process("-m", "simulator", *COMMAND), lambda: run_process("-c", "import numpy"))
    ratios = [command / numpy for command, numpy in pairs]
    progress(0.5, "timing a grid")
    grids = [forecast_grid() for _ in range(rounds + 1)][1:]
    return [
        _row("command", [command for command, _ in pairs], ratios, "import numpy", COMMAND_LIMIT),
        _row("grid-1e6-points", grids, [seconds / GRID_LIMIT_S for seconds in grids], f"{GRID_LIMIT_S:g} s", 1.0),
    ]


def _row(case: str, seconds: list[float], ratios: list[float], against: str, limit: float) -> dict:
    return row(case, seconds, ratios, against, f"<= {limit:g}", "s", limit)
