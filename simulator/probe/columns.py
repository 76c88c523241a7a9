"""How fast the engine leaves out the weights of zero inputs: matrices by columns, in cache and in memory.

In a step all other weights are read between two uses of a matrix, so as much is read before each timing here. What is beside the
bytes of a matrix (listing which columns are needed, dividing few rows among threads) is known from the same bytes in small ones.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace

import numpy as np

from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.probe.clock import FOREVER, Clock, Deadline, Probe, Sample, time_once, until_over
from simulator.probe.items import DEPTH, REPEATS
from simulator.probe.part_speed import PartSpeed
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS

ZEROS = 0.5  # share of zero inputs
MATRICES = 3  # of a layer
COLD_RUNS = 3  # before each of which much is read
SMALL = 512  # rows of small matrices


@dataclass(frozen=True)
class Shape:
    """Widths of networks, all in tiles of the same rows."""

    d_model: int
    step: int  # the width of a hidden layer is an odd number of times that
    cached: int  # of both, for weights that each core's own cache holds


LARGE_TILES = Shape(2048, 256, 512)
SMALL_TILES = Shape(1920, 128, 384)


@dataclass(frozen=True)
class Columns:
    """By tokens at once, of those for which there was time."""

    large_tiles: dict[int, PartSpeed]
    small_tiles: dict[int, PartSpeed]


@dataclass(frozen=True)
class Bench:
    """What columns are timed with."""

    team: Team
    read: Probe  # of memory, beside them
    sweep: Probe  # reads so much that the caches hold nothing else
    rounds: int
    clock: Clock = time.perf_counter
    deadline: Deadline = FOREVER

    def for_share(self, part: float) -> Bench:
        """The same for a part of the time that is left."""
        return replace(self, deadline=self.deadline.share(part))


@dataclass(frozen=True)
class Cold:
    """A network that no cache holds, timed once."""

    seconds: float
    bytes: int  # that were read of it
    read_s: float  # of a pure read beside it


def measure_columns(fmt: str, nbytes: int, tokens: tuple[int, ...], bench: Bench) -> Columns:
    """What there is time for, with all of *nbytes* weights in memory; at one token at least in the largest tiles."""
    row = MATRICES * FORMATS[fmt].bits / 8
    n_small = max(2, int(nbytes / (row * LARGE_TILES.d_model * SMALL)))
    large = _hidden(LARGE_TILES, nbytes / row)
    cached, whole = _in_both(fmt, LARGE_TILES, large, tokens, bench.for_share(1 / 3))
    mine = bench.for_share(1 / 2)
    pieces = {} if bench.deadline.is_over else _cold(fmt, LARGE_TILES.d_model, SMALL, n_small, tokens, mine)
    starts = {n: _starts(whole[n], pieces[n], n_small) for n in pieces if n in whole}
    in_large = _speeds(LARGE_TILES, cached, whole, starts, bench.read)
    if bench.deadline.is_over:
        return Columns(in_large, {})
    cached, whole = _in_both(fmt, SMALL_TILES, _hidden(SMALL_TILES, nbytes / row), tokens, bench)
    return Columns(in_large, _speeds(SMALL_TILES, cached, whole, starts, bench.read))


def _hidden(shape: Shape, weights: float) -> int:
    """Width of a hidden layer with so many weights to each of its matrices, about: an odd number of steps."""
    steps = int(weights / shape.d_model / shape.step)
    return shape.step * max(1, steps - 1 + steps % 2)


def columns_engine(fmt: str, team: Team, d_model: int, d_ff: int, batch: int, n_layers: int = 1) -> Engine:
    """A model that leaves out the weights of half of its inputs."""
    attention = {"kind": "grouped_query", "n_heads": 1, "n_kv_heads": 1, "head_dim": 64}
    layer = {"count": n_layers, "attention": attention, "ffn": {"kind": "gated", "d_ff": d_ff}}
    data = {"name": "columns", "d_model": d_model, "vocab": 512, "tied_head": True, "layers": [layer]}
    model = Model.model_validate(data)
    return Engine(model, team=team, batch=batch, context=64, weights=fmt, sparsity=f"columns:{ZEROS}")


def _in_both(
    fmt: str, shape: Shape, d_ff: int, tokens: tuple[int, ...], bench: Bench
) -> tuple[dict[int, list[float]], dict[int, list[Cold]]]:
    """A network of a shape in each core's own cache, and one in memory."""
    return _cached(fmt, shape, tokens, bench), _cold(fmt, shape.d_model, d_ff, 1, tokens, bench)


def _cached(fmt: str, shape: Shape, tokens: tuple[int, ...], bench: Bench) -> dict[int, list[float]]:
    """Seconds of a network that each core's own cache holds, by tokens."""

    def once(n: int) -> float:
        return sorted(_ffn(engine, n, bench.clock)[0] for _ in range(REPEATS))[REPEATS // 2]

    found = {}
    with columns_engine(fmt, bench.team, shape.cached, shape.cached, max(tokens)) as engine:
        for n in tokens:
            once(n)
            found[n] = until_over(bench.deadline, bench.rounds, lambda n=n: once(n))
    return found


def _cold(
    fmt: str, d_model: int, d_ff: int, n_layers: int, tokens: tuple[int, ...], bench: Bench
) -> dict[int, list[Cold]]:
    """Of a network in memory, by tokens."""

    def once(n: int) -> Cold:
        runs = []
        for _ in range(COLD_RUNS):
            bench.sweep.run(1)
            runs.append(_ffn(engine, n, bench.clock))
        seconds, nbytes = sorted(runs)[COLD_RUNS // 2]
        return Cold(seconds, nbytes, time_once(bench.read, 2, bench.clock))

    found = {}
    with columns_engine(fmt, bench.team, d_model, d_ff, max(tokens), n_layers) as engine:
        for n in tokens:
            if found and bench.deadline.is_over:
                break
            _ffn(engine, n, bench.clock)
            found[n] = until_over(bench.deadline, bench.rounds, lambda n=n: once(n))
    return found


def _ffn(engine: Engine, n_tokens: int, clock: Clock) -> tuple[float, int]:
    """Seconds and bytes of the matrices of the feed-forward network."""
    engine.pretend(DEPTH)
    step = engine.decode(np.arange(n_tokens) * 7, clock=clock)
    return max(1e-9, step.seconds["ffn"]), step.read.ffn


def _starts(large: list[Cold], small: list[Cold], n_small: int) -> Sample:
    """Seconds that each matrix takes beside its bytes, of one layer and of *n_small*: differences, below 0 where noise is larger."""
    found = []
    for one, other in zip(large, small, strict=False):  # there may have been time for fewer
        part = other.bytes / one.bytes
        found.append((other.seconds - part * one.seconds) / (MATRICES * (n_small - part)))
    return Sample(tuple(found))


def _speeds(
    shape: Shape,
    cached: dict[int, list[float]],
    whole: dict[int, list[Cold]],
    starts: dict[int, Sample],
    read: Probe,
) -> dict[int, PartSpeed]:
    """The network's speeds by tokens; the beginning with its matrices apart, where that is known."""
    flops = 2 * MATRICES * shape.cached**2 * (1 - ZEROS)
    beside = Sample(tuple(each.read_s for found in whole.values() for each in found), bytes=read.bytes)
    return {
        n: PartSpeed(
            Sample(tuple(cached[n]), flops=flops * n),
            tuple(_share(each, starts.get(n), read) for each in found),
            beside,
            start=starts.get(n),
        )
        for n, found in whole.items()
    }


def _share(found: Cold, start: Sample | None, read: Probe) -> float:
    """Of a pure read's speed, without what beginning with a network's matrices takes."""
    starts_s = MATRICES * max(0.0, statistics.median(start.seconds)) if start else 0.0
    seconds = max(found.seconds - starts_s, found.seconds / 2)
    return found.bytes / seconds / (read.bytes / found.read_s)
