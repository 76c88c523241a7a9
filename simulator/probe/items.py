"""What the engine does beside multiplying by matrices, measured on models so small that nothing else takes time."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np

from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.probe.clock import FOREVER, TICK_S, Clock, Deadline, Sample, until_over
from simulator.spec.model import Model

ROWS = 16  # tokens at once
DEPTH = 8  # tokens in the cache
REPEATS = 5  # steps of which the median counts as one sample
LEAST_SHARE = 0.01  # of what was timed, where all of it seems to be norms: less is lost in noise


@dataclass(frozen=True)
class Small:
    """A model in which one kind of work is far larger than all others."""

    model: Model
    parts: tuple[str, ...]  # of the model, that do this work
    items: float  # in one step of ROWS tokens, those that one thread has to do
    sparsity: str | None = None
    norms: float = 0.0  # values of norms in the same parts, whose seconds are taken off


def small_models(n_threads: int) -> dict[str, Small]:
    """By kind of work: keys are those of `ops.WORK`."""
    mine = ROWS / n_threads  # work on heads and hidden values is shared finely
    rows = -(-ROWS // n_threads)  # a row's norm is one thread's
    narrow = {"kind": "gated", "d_ff": 64}
    wide = {"kind": "gated", "d_ff": 8192}
    experts = {"kind": "experts", "n_experts": 64, "n_active": 8, "d_expert": 64}
    n_layers, d_model = 2, 1024
    norms, all_used = rows * d_model * (2 * n_layers + 1), {**experts, "n_experts": 8}
    return {
        "norm": Small(small_model(d_model, 4, narrow), ("vectors",), norms),
        "head": Small(small_model(64, 32, narrow), ("store", "cache", "merge"), mine * 32 * n_layers),
        "activation": Small(small_model(64, 4, wide), ("ffn",), mine * 8192 * n_layers),
        "route": Small(small_model(64, 4, experts), ("route",), ROWS * 64 * n_layers),
        "sum": Small(small_model(d_model, 4, all_used), ("vectors",), rows * d_model * 8 * n_layers, norms=norms),
        # Chosen from: what goes into qkv (64), the output (4 heads of 64), gate and up (64) and down.
        "select": Small(
            small_model(64, 4, wide), ("select",), rows * (64 + 256 + 64 + 8192) * n_layers, "q-sparse:0.5"
        ),
    }


def small_model(d_model: int, n_heads: int, ffn: dict) -> Model:
    """Two layers of a width, with so many heads and a feed-forward network."""
    attention = {"kind": "grouped_query", "n_heads": n_heads, "n_kv_heads": max(1, n_heads // 4), "head_dim": 64}
    layer = {"count": 2, "attention": attention, "ffn": ffn}
    return Model.model_validate(
        {"name": "small", "d_model": d_model, "vocab": 64, "tied_head": True, "layers": [layer]}
    )


def small_engine(small: Small, team: Team) -> Engine:
    """A small model, ready to decode."""
    return Engine(small.model, team=team, batch=ROWS, context=64, weights="q8_0", sparsity=small.sparsity)


def measure_items(
    team: Team, rounds: int, clock: Clock = time.perf_counter, deadline: Deadline = FOREVER
) -> dict[str, Sample]:
    """Seconds of one item of each kind of work, on one thread; of those for which there is time."""
    found = {}
    for work, small in small_models(team.n_threads).items():
        if deadline.is_over:
            break
        with small_engine(small, team) as engine:
            part_seconds(engine, ROWS, clock)
            taken = until_over(deadline, rounds, lambda engine=engine, small=small: _of_parts(engine, small, clock))
        norms_s = small.norms * found["norm"].median_s if small.norms else 0.0
        found[work] = Sample(tuple(max(each - norms_s, LEAST_SHARE * each, TICK_S) / small.items for each in taken))
    return found


def _of_parts(engine: Engine, small: Small, clock: Clock) -> float:
    runs = [part_seconds(engine, ROWS, clock) for _ in range(REPEATS)]
    return statistics.median(sum(run[part] for part in small.parts) for run in runs)


def part_seconds(engine: Engine, n_tokens: int, clock: Clock) -> dict[str, float]:
    """Seconds of each part of the model in one step, each part timed on its own."""
    engine.pretend(DEPTH)
    return engine.decode(np.arange(n_tokens), clock=clock).seconds
