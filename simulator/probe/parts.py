"""What the engine does beside multiplying by matrices, measured on models so small that nothing else takes time."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.engine.step import Engine
from simulator.engine.team import Tape, Team, idle_tape
from simulator.probe.bandwidth import passing_probe, stream_probe
from simulator.probe.clock import FOREVER, Clock, Deadline, Probe, Sample, join, time_once
from simulator.probe.memory import Ring
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS

ROWS = 16  # tokens at once
_DEPTH = 8  # tokens in the cache
_REPEATS = 5  # steps of which the median counts as one sample


@dataclass(frozen=True)
class Small:
    """A model in which one kind of work is far larger than all others."""

    model: Model
    parts: tuple[str, ...]  # of the model, that do this work
    items: float  # in one step of ROWS tokens, those that one thread has to do
    sparsity: str | None = None


def small_models(n_threads: int) -> dict[str, Small]:
    """By kind of work: keys are those of `ops.WORK`."""
    mine = ROWS / n_threads  # work on heads and hidden values is shared finely
    rows = -(-ROWS // n_threads)  # a row's norm is one thread's
    narrow = {"kind": "gated", "d_ff": 64}
    wide = {"kind": "gated", "d_ff": 8192}
    experts = {"kind": "experts", "n_experts": 64, "n_active": 8, "d_expert": 64}
    n_layers, d_model = 2, 1024
    return {
        "norm": Small(_model(d_model, 4, narrow), ("vectors",), rows * d_model * (2 * n_layers + 1)),
        "head": Small(_model(64, 32, narrow), ("store", "cache", "merge"), mine * 32 * n_layers),
        "activation": Small(_model(64, 4, wide), ("ffn",), mine * 8192 * n_layers),
        "route": Small(_model(64, 4, experts), ("route",), ROWS * 64 * n_layers),
        # Chosen from: what goes into qkv (64), the output (4 heads of 64), gate and up (64) and down.
        "select": Small(_model(64, 4, wide), ("select",), rows * (64 + 256 + 64 + 8192) * n_layers, "q-sparse:0.5"),
    }


def _model(d_model: int, n_heads: int, ffn: dict) -> Model:
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
            taken = _until(deadline, rounds, lambda engine=engine, small=small: _of_parts(engine, small, clock))
        found[work] = Sample(tuple(max(each, 1e-12) / small.items for each in taken))
    return found


def _until(deadline: Deadline, rounds: int, work: Callable[[], Any]) -> list:
    """What the work gives each time: once at least, and no more once there is no time."""
    found = [work()]
    while len(found) < rounds and not deadline.is_over:
        found.append(work())
    return found


def _of_parts(engine: Engine, small: Small, clock: Clock) -> float:
    runs = [part_seconds(engine, ROWS, clock) for _ in range(_REPEATS)]
    return statistics.median(sum(run[part] for part in small.parts) for run in runs)


def part_seconds(engine: Engine, n_tokens: int, clock: Clock) -> dict[str, float]:
    """Seconds of each part of the model in one step, each part timed on its own."""
    engine.pretend(_DEPTH)
    return engine.decode(np.arange(n_tokens), clock=clock).seconds


class Tiny:
    """An engine whose matrices take next to no time: what remains is starting kernels and passing on results."""

    def __init__(self, team: Team, clock: Clock = time.perf_counter):
        self._clock, self._idle = clock, idle_tape(1)
        self._engine = Engine(_model(64, 4, {"kind": "gated", "d_ff": 64}), team=team, batch=ROWS, context=64)
        self._n_phases = len(self._engine.tape.phases)
        self.kernels_s(1), self.kernels_s(ROWS)

    def kernels_s(self, n_tokens: int) -> float:
        """Seconds of all kernels of a step, without what it takes to begin."""
        engine, tokens, runs = self._engine, np.arange(n_tokens), []
        for _ in range(_TINY_RUNS):
            engine.network.place(tokens, np.full(n_tokens, _DEPTH))
            runs.append(self._timed(engine.tape) - self._timed(self._idle))
        return max(1e-9, statistics.median(runs))

    def outside_s(self, n_tokens: int, before: Callable[[], object], n_runs: int) -> float:
        """Seconds of a step outside its kernels, by so many runs; *before* is called ahead of each."""
        engine, tokens, runs = self._engine, np.arange(n_tokens), []
        for _ in range(n_runs):
            before()
            engine.pretend(_DEPTH)
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


_TINY_RUNS = 15
_COLD_RUNS = 5  # before each of which much is read


def measure_overheads(
    team: Team, sweep: Callable[[], object], rounds: int, clock: Clock = time.perf_counter, deadline: Deadline = FOREVER
) -> dict[str, Sample]:
    """Seconds of what a step takes beside the work of its kernels.

    "phase": starting a kernel on all threads, and waiting for the last; "step" and "token": what a step and each of its
    tokens take outside the kernels; "cold step" and "cold token": the same after *sweep*, which leaves nothing
    else in the caches. Those of tokens are differences, and below 0 where noise is larger. What there is no time for is left out.
    """
    found = defaultdict(list)
    tiny = Tiny(team, clock)

    def once() -> None:
        found["phase"].append(tiny.kernels_s(1) / tiny.n_phases)
        for name, before, n_runs in (("", lambda: None, _TINY_RUNS), ("cold ", sweep, _COLD_RUNS)):
            if found[f"{name}step"] and deadline.is_over:
                return
            one, many = (tiny.outside_s(n, before, n_runs) for n in (1, ROWS))
            found[f"{name}step"].append(one)
            found[f"{name}token"].append((many - one) / (ROWS - 1))

    _until(deadline, rounds, once)
    return {name: Sample(tuple(seconds)) for name, seconds in found.items()}


@dataclass(frozen=True)
class PartSpeed:
    """A part of the engine that reads much, timed inside it."""

    cached: Sample  # what it reads in a cache: its `flops` are those that were really made
    memory_share: tuple[float, ...]  # of a pure read beside it, counting the bytes that were really read
    read: Sample  # that pure read
    cache_share: tuple[float, ...] = ()  # the same as memory_share, in the cache that all share
    cache_read: Sample | None = None


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
            cached[n] = _until(deadline, rounds, lambda n=n: _ffn(engine, n, clock))
    with columns_engine(fmt, team, width, large, max(tokens)) as engine:
        for n in tokens:
            if shares and deadline.is_over:
                break
            _share(engine, n, read, clock)
            shares[n] = _until(deadline, rounds, lambda n=n: _share(engine, n, read, clock))
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
    for _ in range(_REPEATS):
        engine.pretend(_DEPTH)
        step = engine.decode(np.arange(n_tokens) * 7, clock=clock)
        found.append((max(1e-9, step.seconds["ffn"]), step.read.ffn))
    return sorted(found)[_REPEATS // 2]


def _share(engine: Engine, n_tokens: int, read: Probe, clock: Clock) -> tuple[float, float]:
    """The speed of the matrices as a share of a pure read's, and seconds of that."""
    seconds, nbytes = _ffn(engine, n_tokens, clock)
    taken = time_once(read, 2, clock)
    return nbytes / seconds / (read.bytes / taken), taken


QUERIES = (4, 1, 8)  # heads that share one key, what is most common first
_SHALLOW, _MIDDLE, _DEEP = 16, 256, 4096  # tokens in the cache


@dataclass(frozen=True)
class Attention:
    """Reading the cache, by heads that share a key."""

    speeds: dict[int, PartSpeed]
    run: Sample  # seconds, on one thread, to begin with a key head whose cache lies in memory: differences


def join_attention(found: Sequence[Attention]) -> Attention:
    """Several measurings as one; some may have had no time for all."""
    speeds = {}
    for queries in sorted({queries for one in found for queries in one.speeds}):
        each = [one.speeds[queries] for one in found if queries in one.speeds]
        speeds[queries] = PartSpeed(
            join([speed.cached for speed in each]),
            tuple(share for speed in each for share in speed.memory_share),
            join([speed.read for speed in each]),
            tuple(share for speed in each for share in speed.cache_share),
            join([speed.cache_read for speed in each]),
        )
    return Attention(speeds, join([one.run for one in found]))


def measure_attention(
    teams: Sequence[Team],
    memory: np.ndarray,
    ring: Ring,
    sizes: AttentionSizes,
    rounds: int,
    clock: Clock = time.perf_counter,
    deadline: Deadline = FOREVER,
) -> dict[int, Attention]:
    """What a deeper cache adds to the time, with the cache in a core's own cache, in the last one, in memory.

    By threads of the teams, of which the first is the largest; what there is no time for is left out, the last first.
    """
    found: dict[int, list[Attention]] = defaultdict(list)
    sequences = max(1, min(ROWS, sizes.cache_bytes // (_DEEP * _SLOT_BYTES)))
    for queries in QUERIES:
        if deadline.is_over:
            break
        with attention_engine(queries, teams[0], sequences, _DEEP + 64) as engine:
            engine.fill_cache()
            for team in teams:
                if found[team.n_threads] and deadline.is_over:
                    break
                engine.team = team
                one = _attention_of(engine, queries, sequences, memory, ring, sizes, rounds, clock, deadline)
                found[team.n_threads].append(one)
            engine.team = teams[0]
    return {count: join_attention(each) for count, each in found.items() if each}


@dataclass(frozen=True)
class AttentionSizes:
    """Bytes that attention is measured with."""

    cache_bytes: int  # the keys and values of all sequences, at most
    shared_bytes: int  # of them, and of a pure read beside them, in the cache that all threads share
    part_bytes: int  # of a pure read of memory
    sweep_bytes: int  # that are read for no cache to hold anything else


def _attention_of(
    engine: Engine,
    queries: int,
    sequences: int,
    memory: np.ndarray,
    ring: Ring,
    sizes: AttentionSizes,
    rounds: int,
    clock: Clock,
    deadline: Deadline,
) -> Attention:
    n_threads, team, few = engine.team.n_threads, engine.team, min(4, sequences)
    _deeper(engine, few, _MIDDLE, clock)
    near = [_deeper(engine, few, _MIDDLE, clock)[0] for _ in range(rounds)]
    middle = min(_DEEP, max(_MIDDLE, sizes.shared_bytes // (sequences * _SLOT_BYTES)))
    beside = stream_probe("read", "read", team, memory, sizes.shared_bytes)
    read = passing_probe("read", "read", team, ring, sizes.part_bytes)
    sweep = passing_probe("sweep", "read", team, ring, sizes.sweep_bytes)
    shared = _until(deadline, rounds, lambda: _beside(beside, engine, sequences, middle, clock))
    starts = []

    def once() -> tuple[float, float, float]:
        far = _beside(read, engine, sequences, _DEEP, clock)
        cold = _after(sweep, engine, sequences, clock)
        starts.append((cold - far[2] * sequences * _START_DEPTH) * n_threads / (sequences * 4))
        return far

    far = _until(deadline, rounds, once)
    flops = 4 * 4 * queries * 64 * (_MIDDLE - _SHALLOW) * few
    speed = PartSpeed(
        Sample(tuple(near), flops=flops),
        tuple(share for share, _, _ in far),
        Sample(tuple(taken for _, taken, _ in far), bytes=read.bytes),
        tuple(share for share, _, _ in shared),
        Sample(tuple(taken for _, taken, _ in shared), bytes=beside.bytes),
    )
    return Attention({queries: speed}, Sample(tuple(starts)))


def attention_engine(queries: int, team: Team, sequences: int, context: int) -> Engine:
    """A model of one layer in which so many heads share a key."""
    return Engine(_attention_model(queries), team=team, batch=sequences, context=context, weights="q8_0")


def _beside(read: Probe, engine: Engine, sequences: int, depth: int, clock: Clock) -> tuple[float, float, float]:
    """Attention's speed as a share of a pure read's, seconds of that, and attention's seconds for a token of a sequence."""
    seconds, nbytes = _deeper(engine, sequences, depth, clock)
    taken = time_once(read, max(1, _READ_BYTES // int(read.bytes)), clock)
    return nbytes / seconds / (read.bytes / taken), taken, seconds / nbytes * _SLOT_BYTES


_READ_BYTES = 2**25
_SLOT_BYTES = 4 * 64 * 2 * 2  # of a token in the cache: 4 heads of 64 halves, key and value
_START_DEPTH = 128


def _attention_model(queries: int) -> Model:
    attention = {"kind": "grouped_query", "n_heads": 4 * queries, "n_kv_heads": 4, "head_dim": 64}
    layer = {"count": 1, "attention": attention, "ffn": {"kind": "gated", "d_ff": 64}}
    return Model.model_validate({"name": "attention", "d_model": 64, "vocab": 64, "tied_head": True, "layers": [layer]})


def _after(read: Probe, engine: Engine, n_sequences: int, clock: Clock) -> float:
    """Seconds of attention to a cache that no processor holds."""
    read.run(1)
    engine.pretend(_START_DEPTH)
    return engine.decode(np.zeros(n_sequences, np.int64), clock=clock).seconds["cache"]


def _deeper(engine: Engine, n_sequences: int, depth: int, clock: Clock) -> tuple[float, int]:
    """Seconds and bytes that a cache of *depth* tokens takes more than a shallow one."""
    found = []
    for tokens in (_SHALLOW, depth):
        runs = []
        for _ in range(3):
            engine.pretend(tokens)
            step = engine.decode(np.zeros(n_sequences, np.int64), clock=clock)
            runs.append((step.seconds["cache"], step.read.cache))
        found.append(sorted(runs)[1])
    (short, few), (long, many) = found
    return max(1e-9, long - short), many - few
