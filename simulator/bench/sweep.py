"""How fast a sweep of many points is: two processes that write it, against array calls of the same points on one core."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from itertools import count, product
from pathlib import Path

import numpy as np

from simulator.bench.forecast import in_turn
from simulator.bench.rows import row
from simulator.forecast.scenario import scenario
from simulator.progress import Progress, part_of
from simulator.sweeping.axes import Sweep, load_sweep
from simulator.sweeping.combined import combinations_of
from simulator.sweeping.run import run_sweep

POINTS = 2_500_000
PROCESSES = 2
LIMIT = 0.65  # times the seconds of array calls
AXES = {
    "models": ["qwen3-30b-a3b", "gpt-oss-20b", "llama-3-8b", "llama-3-70b"],
    "devices": ["pi5-16gb", "rtx-3060+ryzen-7950x", "2xrtx-3090", "h100-sxm"],
    "formats": ["q4_k_m", "q8_0"],
    "runtimes": ["llama.cpp"],
    "routings": ["uniform", "zipf:1.2"],
    "batches": "1..64",
}


def swept(n_points: int) -> Sweep:
    """Mixtures and dense models on devices, machines and cards, at least so many points in all."""
    one = load_sweep(AXES)
    n_contexts = -(-n_points // one.n_points)
    step = max(1, 131_072 // n_contexts)
    return load_sweep({**AXES, "contexts": f"0..{(n_contexts - 1) * step}+{step}"})


def array_calls(sweep: Sweep) -> float:
    """Seconds for rate, interval, ceiling, what binds and memory of every point, each as it is placed for itself."""
    start = time.perf_counter()
    n_points = 0
    for part in sweep.parts:
        found = combinations_of(sweep, part)
        n_points += sum(each.timed.memory_bytes.size for each in found if each.timed)
    seconds = time.perf_counter() - start
    assert n_points == sweep.n_points
    return seconds


def placed_once(sweep: Sweep) -> float:
    """The same by a call for each combination, all points of which are placed as the smallest one is."""
    start = time.perf_counter()
    batches, contexts = sweep.batches[:, None], sweep.contexts[None, :]
    batch, context = sweep.smallest
    n_points = 0
    combinations = product(sweep.models, sweep.devices, sweep.runtimes, sweep.formats, sweep.routings)
    for model, device, runtime, weights, routing in combinations:
        shared = {"weights": weights, "runtime": runtime, "routing": routing}
        point = scenario(model, device, **shared, batch=batch, context=context).at(batches, contexts)
        low, high = point.interval()
        found = (point.tokens_per_s, low, high, point.tokens_per_s_ceiling, point.bound, point.memory_bytes, point.fits)
        n_points += np.size(np.broadcast_arrays(*found)[0])
    seconds = time.perf_counter() - start
    assert n_points == sweep.n_points
    return seconds


def written(n_points: int, progress: Progress) -> float:
    """Seconds until all of it is in a folder; nothing of an earlier round is known to it."""
    sweep = swept(n_points)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = run_sweep(
            sweep, Path(folder) / "out", processes=PROCESSES, progress=lambda share, _: progress(share, "sweep")
        )
        seconds = time.perf_counter() - start
    assert sum(found.by_status.values()) == sweep.n_points
    return seconds


def sweep_rows(rounds: int, n_points: int | None = None, progress: Progress = lambda _share, _what: None) -> list[dict]:
    """The ratios with the spread of their rounds."""
    rounds, n_points = max(1, rounds), n_points or POINTS
    n_steps, done = 3 * (rounds + 1), count()

    def telling() -> Progress:
        step = next(done)
        return part_of(progress, step / n_steps, (step + 1) / n_steps)

    def calling(calls: Callable[[Sweep], float], what: str) -> float:
        telling()(0.0, what)
        return calls(swept(n_points))

    found = in_turn(
        rounds,
        lambda: written(n_points, telling()),
        lambda: calling(array_calls, "array calls"),
        lambda: calling(placed_once, "array calls, placed once"),
    )
    case, seconds = f"sweep-{swept(n_points).n_points}-points", [each for each, *_ in found]
    each, once = ([writing / calls[place] for writing, *calls in found] for place in (0, 1))
    return [
        row(case, seconds, each, "array calls on one core", f"<= {LIMIT:g}", "s", LIMIT),
        row(case, seconds, once, "array calls that place once", "", "s"),
    ]
