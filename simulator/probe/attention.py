"""How fast the engine attends to its cache: in a core's own, in the one that all share, and in memory."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.probe.bandwidth import passing_probe, stream_probe
from simulator.probe.clock import FOREVER, Clock, Deadline, Probe, Sample, join, time_once, until_over
from simulator.probe.items import ROWS
from simulator.probe.memory import Ring
from simulator.probe.part_speed import PartSpeed
from simulator.spec.model import Model

# Heads that share one key, what is most common first. Kernels take 4, 2 or 1 at a time, so 3 take longer than a line from 1 to 4.
QUERIES = (4, 1, 8, 3)
_SHALLOW, _MIDDLE, _DEEP = 16, 256, 4096  # tokens in the cache
_START_DEPTH = 128
_SLOT_BYTES = 4 * 64 * 2 * 2  # of a token in the cache: 4 heads of 64 halves, key and value
_READ_BYTES = 2**25


@dataclass(frozen=True)
class Attention:
    """Reading the cache, by heads that share a key."""

    speeds: dict[int, PartSpeed]
    run: Sample  # seconds, on one thread, to store to a key head whose cache lies in memory and begin with it: differences


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
            again=join([speed.again for speed in each]),
        )
    return Attention(speeds, join([one.run for one in found]))


@dataclass(frozen=True)
class AttentionSizes:
    """Bytes that attention is measured with."""

    cache_bytes: int  # the keys and values of all sequences, at most
    shared_bytes: int  # of them, and of a pure read beside them, in the cache that all threads share
    part_bytes: int  # of a pure read of memory
    sweep_bytes: int  # that are read for no cache to hold anything else


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
    again = [_deeper_rows(engine, clock) for _ in range(rounds)]
    middle = min(_DEEP, max(_MIDDLE, sizes.shared_bytes // (sequences * _SLOT_BYTES)))
    beside = stream_probe("read", "read", team, memory, sizes.shared_bytes)
    read = passing_probe("read", "read", team, ring, sizes.part_bytes)
    sweep = passing_probe("sweep", "read", team, ring, sizes.sweep_bytes)
    shared = until_over(deadline, rounds, lambda: _beside(beside, engine, sequences, middle, clock))
    starts = []

    def once() -> tuple[float, float, float]:
        far = _beside(read, engine, sequences, _DEEP, clock)
        cold = _after(sweep, engine, sequences, clock)
        starts.append((cold - far[2] * sequences * _START_DEPTH) * n_threads / (sequences * 4))
        return far

    far = until_over(deadline, rounds, once)
    flops = 4 * 4 * queries * 64 * (_MIDDLE - _SHALLOW) * few
    speed = PartSpeed(
        Sample(tuple(near), flops=flops),
        tuple(share for share, _, _ in far),
        Sample(tuple(taken for _, taken, _ in far), bytes=read.bytes),
        tuple(share for share, _, _ in shared),
        Sample(tuple(taken for _, taken, _ in shared), bytes=beside.bytes),
        again=Sample(tuple(again), flops=4 * 4 * queries * 64 * (_MIDDLE - _SHALLOW) * ROWS),
    )
    return Attention({queries: speed}, Sample(tuple(starts)))


def attention_engine(queries: int, team: Team, sequences: int, context: int) -> Engine:
    """A model of one layer in which so many heads share a key."""
    return Engine(_attention_model(queries), team=team, batch=sequences, context=context, weights="q8_0")


def _attention_model(queries: int) -> Model:
    attention = {"kind": "grouped_query", "n_heads": 4 * queries, "n_kv_heads": 4, "head_dim": 64}
    layer = {"count": 1, "attention": attention, "ffn": {"kind": "gated", "d_ff": 64}}
    return Model.model_validate({"name": "attention", "d_model": 64, "vocab": 64, "tied_head": True, "layers": [layer]})


def _beside(read: Probe, engine: Engine, sequences: int, depth: int, clock: Clock) -> tuple[float, float, float]:
    """Attention's speed as a share of a pure read's, seconds of that, and attention's seconds for a token of a sequence."""
    seconds, nbytes = _deeper(engine, sequences, depth, clock)
    taken = time_once(read, max(1, _READ_BYTES // int(read.bytes)), clock)
    return nbytes / seconds / (read.bytes / taken), taken, seconds / nbytes * _SLOT_BYTES


def _after(read: Probe, engine: Engine, n_sequences: int, clock: Clock) -> float:
    """Seconds of attention to a cache that no processor holds, and what storing a token there takes more than in one that is held.

    A token's keys and values go to as many cache lines as they have numbers, each of which has to be fetched first.
    """
    read.run(1)
    runs = []
    for _ in range(2):  # the second finds what the first left
        engine.pretend(_START_DEPTH)
        runs.append(engine.decode(np.zeros(n_sequences, np.int64), clock=clock).seconds)
    cold, warm = runs
    return cold["cache"] + max(0.0, cold["store"] - warm["store"])


def _deeper(engine: Engine, n_sequences: int, depth: int, clock: Clock) -> tuple[float, int]:
    """Seconds and bytes that a cache of *depth* tokens takes more than a shallow one."""
    return _more(engine, np.arange(n_sequences), depth, clock)


def _deeper_rows(engine: Engine, clock: Clock) -> float:
    """The same seconds of many tokens of one sequence at once: each goes through what a core's own cache holds by then."""
    return _more(engine, np.zeros(ROWS, np.int64), _MIDDLE, clock)[0]


def _more(engine: Engine, sequences: np.ndarray, depth: int, clock: Clock) -> tuple[float, int]:
    """Seconds and bytes that tokens of these sequences take more at a *depth* than in a shallow cache."""
    found = []
    for tokens in (_SHALLOW, depth):
        runs = []
        for _ in range(3):
            engine.pretend(tokens)
            step = engine.decode(np.zeros_like(sequences), sequences, clock=clock)
            runs.append((step.seconds["cache"], step.read.cache))
        found.append(sorted(runs)[1])
    (short, few), (long, many) = found
    return max(1e-9, long - short), many - few
