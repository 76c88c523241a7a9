"""How fast the engine leaves out the weights of zero inputs: matrices by columns, in cache and in memory."""

from __future__ import annotations

import time

import numpy as np

from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.probe.clock import FOREVER, Clock, Deadline, Probe, Sample, time_once, until_over
from simulator.probe.items import DEPTH, REPEATS
from simulator.probe.part_speed import PartSpeed
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS

ZEROS = 0.5  # share of zero inputs


def measure_columns(
    fmt: str,
    read: Probe,
    team: Team,
    nbytes: int,
    tokens: tuple[int, ...],
    rounds: int,
    clock: Clock = time.perf_counter,
    deadline: Deadline = FOREVER,
) -> dict[int, PartSpeed]:
    """By tokens at once, of those for which there is time; *read* reads memory, and *nbytes* of weights no cache holds."""
    width = 2048
    large = max(512, int(nbytes / (3 * width * FORMATS[fmt].bits / 8)) // 512 * 512)
    cached, shares = {}, {}
    with columns_engine(fmt, team, 512, 512, max(tokens)) as engine:
        for n in tokens:
            _ffn(engine, n, clock)
            cached[n] = until_over(deadline, rounds, lambda n=n: _ffn(engine, n, clock))
    with columns_engine(fmt, team, width, large, max(tokens)) as engine:
        for n in tokens:
            if shares and deadline.is_over:
                break
            _share(engine, n, read, clock)
            shares[n] = until_over(deadline, rounds, lambda n=n: _share(engine, n, read, clock))
    flops = 2 * 3 * 512 * 512 * (1 - ZEROS)
    beside = Sample(tuple(taken for found in shares.values() for _, taken in found), bytes=read.bytes)
    return {
        n: PartSpeed(
            Sample(tuple(taken for taken, _ in cached[n]), flops=flops * n),
            tuple(share for share, _ in shares[n]),
            beside,
        )
        for n in shares
    }


def columns_engine(fmt: str, team: Team, d_model: int, d_ff: int, batch: int) -> Engine:
    """A model of one layer that leaves out the weights of half of its inputs."""
    attention = {"kind": "grouped_query", "n_heads": 1, "n_kv_heads": 1, "head_dim": 64}
    layer = {"count": 1, "attention": attention, "ffn": {"kind": "gated", "d_ff": d_ff}}
    data = {"name": "columns", "d_model": d_model, "vocab": 512, "tied_head": True, "layers": [layer]}
    model = Model.model_validate(data)
    return Engine(model, team=team, batch=batch, context=64, weights=fmt, sparsity=f"columns:{ZEROS}")


def _ffn(engine: Engine, n_tokens: int, clock: Clock) -> tuple[float, int]:
    """Seconds and bytes of the matrices of the feed-forward network."""
    found = []
    for _ in range(REPEATS):
        engine.pretend(DEPTH)
        step = engine.decode(np.arange(n_tokens) * 7, clock=clock)
        found.append((max(1e-9, step.seconds["ffn"]), step.read.ffn))
    return sorted(found)[REPEATS // 2]


def _share(engine: Engine, n_tokens: int, read: Probe, clock: Clock) -> tuple[float, float]:
    """The speed of the matrices as a share of a pure read's, and seconds of that."""
    seconds, nbytes = _ffn(engine, n_tokens, clock)
    taken = time_once(read, 2, clock)
    return nbytes / seconds / (read.bytes / taken), taken
