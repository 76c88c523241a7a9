"""Decodes timed in interleaved rounds, each between two looks at what the machine gives at that moment."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from simulator.engine import cpu
from simulator.engine.routing import choose_experts
from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.matrix import Case
from simulator.probe.clock import Clock, Progress, repeats_of, time_once
from simulator.probe.compute import peak_probe
from simulator.probe.kernels import LOOK_FORMAT, filled, kernel_probe, start_seconds
from simulator.probe.parts import Tiny

BURST_S = 0.05  # of decoding between two looks at the machine
LEAST_STEPS = 3
PART_RUNS = 3

# The parts that the engine times, and what a forecast calls them.
_PARTS = {"store": "cache", "merge": "cache", "route": "router"}


@dataclass(frozen=True)
class Look:
    """What the machine gave around one burst of decoding: means of before and after.

    The first two are what the engine's own kernel for LOOK_FORMAT reads a second, one token at once, in matrices that follow each
    other. A pure read would tell less: where two cores come to share no cache, it gets faster, and passing on results slower.
    """

    memory_bytes_per_s: float  # matrices that no cache holds
    shared_bytes_per_s: float  # matrices that the last cache holds
    flops_per_s: float  # int8 dot products in registers
    start_s: float  # what a matrix in memory takes beside its bytes
    phase_s: float  # to start a kernel on all threads, and to wait for the last
    row_s: float  # of a further token in the kernels of a tiny model: how fast cores pass results to each other
    change: float  # of the memory's rate from before to after, as a logarithm


@dataclass(frozen=True)
class Measurement:
    """Every timing of one case, with what the machine gave beside it."""

    case: Case
    seconds: tuple[float, ...]  # of a step, one in each round
    looks: tuple[Look, ...]  # as many
    parts: dict[str, float]  # seconds of a step by part of the model, each timed on its own
    weight_bytes: float  # read in a step, on average
    cache_bytes: float
    distinct_experts: float | None  # in a layer, on average

    @property
    def tokens_per_s(self) -> float:
        """Of the whole batch, typically."""
        return self.case.batch / statistics.median(self.seconds)


@dataclass(frozen=True)
class Sizes:
    """Working sets in bytes that the machine is looked at with: those of the profile."""

    memory: int
    shared: int


class Looker:
    """Looks at a machine with some threads: how fast weights come from memory and from the last cache, and how fast it computes."""

    def __init__(self, team: Team, sizes: Sizes, memory: np.ndarray, clock: Clock):
        self._clock, path = clock, cpu.choose()
        self._probes = (
            kernel_probe("memory", LOOK_FORMAT, 1, team, path, memory[: sizes.memory], "memory"),
            kernel_probe("shared", LOOK_FORMAT, 1, team, path, memory[: sizes.shared], "shared"),
            peak_probe("peak", "int8", team, path),
            kernel_probe("pieces", LOOK_FORMAT, 1, team, path, memory[: sizes.memory], "pieces"),
        )
        self._tiny = Tiny(team, clock)
        for probe in self._probes:
            probe.run(1)
        self._repeats = [repeats_of(probe, clock) for probe in self._probes]

    def rates(self) -> tuple[float, ...]:
        """The first six fields of a Look."""
        memory, shared, peak, pieces = self._probes
        seconds = [time_once(probe, n, self._clock) for probe, n in zip(self._probes, self._repeats, strict=True)]
        start = max(1e-8, start_seconds(memory, seconds[0], pieces, seconds[3]))
        rates = memory.bytes / seconds[0], shared.bytes / seconds[1], peak.flops / seconds[2]
        return (*rates, start, *self._tiny.look())


def look_between(before: Sequence[float], after: Sequence[float]) -> Look:
    """Two looks as one: geometric means, and how much the memory changed."""
    means = [float(np.sqrt(one * two)) for one, two in zip(before, after, strict=True)]
    return Look(*means, change=float(np.log(after[0] / before[0])))


def measure_cases(
    cases: Sequence[Case],
    sizes: Sizes,
    rounds: int,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
) -> list[Measurement]:
    """All cases; those that share a loaded model are timed in turn, round after round."""
    found: list[Measurement] = []
    memory = filled(sizes.memory)
    for _, group in groupby(cases, key=_loaded_together):
        members = list(group)
        if progress:
            progress(len(found) / len(cases), f"{members[0].model.name} {members[0].weights}")
        found += _measure_group(members, sizes, memory, rounds, clock)
    if progress:
        progress(1.0, "done")
    return found


def _loaded_together(case: Case) -> tuple:
    return case.model.name, case.weights, case.threads, case.sparsity


def _measure_group(
    cases: Sequence[Case], sizes: Sizes, memory: np.ndarray, rounds: int, clock: Clock
) -> list[Measurement]:
    first = cases[0]
    longest = max(case.context for case in cases)
    with Engine(
        first.model,
        threads=first.threads,
        batch=max(case.batch for case in cases),
        context=longest + 512,
        weights=first.weights,
        sparsity=first.sparsity,
    ) as engine:
        engine.fill_cache()
        looker = Looker(engine.team, sizes, memory, clock)
        bursts = [Burst(engine, case, clock) for case in cases]
        seconds, looks = defaultdict(list), defaultdict(list)
        before = looker.rates()
        for number in range(rounds):
            for burst in bursts if number % 2 == 0 else reversed(bursts):
                seconds[burst.case.id].append(burst.seconds())
                after = looker.rates()
                looks[burst.case.id].append(look_between(before, after))
                before = after
        return [burst.measurement(seconds[burst.case.id], looks[burst.case.id]) for burst in bursts]


class Burst:
    """Some steps of one case in a row, as many as take BURST_S."""

    def __init__(self, engine: Engine, case: Case, clock: Clock):
        self.case, self._engine, self._clock = case, engine, clock
        self._routing = choose_experts(case.routing, engine.model, seed=1) if engine.model.experts else None
        self._rng = np.random.default_rng(2)
        self._read: list[tuple[float, float, float]] = []
        self._n_steps = 1
        self.seconds()
        self._n_steps = LEAST_STEPS
        self._n_steps = max(LEAST_STEPS, min(400, int(BURST_S / max(1e-6, self.seconds()))))
        self._read.clear()

    def _draw(self) -> tuple:
        """The next tokens, and their experts."""
        tokens = self._rng.integers(0, self._engine.model.vocab, self.case.batch)
        return tokens, self._engine.choose(self._routing, self.case.batch) if self._routing else None

    def seconds(self) -> float:
        """Of one step, on average over the burst."""
        self._engine.pretend(self.case.context)
        drawn = [self._draw() for _ in range(self._n_steps)]  # before the clock starts
        steps = []
        start = self._clock()
        for tokens, experts in drawn:
            steps.append(self._engine.decode(tokens, routing=experts))
        taken = (self._clock() - start) / self._n_steps
        for step in steps:
            distinct = np.mean(step.distinct_experts) if step.distinct_experts else 0.0
            self._read.append((step.read.weights, step.read.cache, float(distinct)))
        return taken

    def measurement(self, seconds: Sequence[float], looks: Sequence[Look]) -> Measurement:
        """The case with its timings, and what its parts take."""
        weights, cache, distinct = np.mean(self._read, axis=0)
        has_experts = bool(self._engine.model.experts)
        return Measurement(
            self.case,
            tuple(seconds),
            tuple(looks),
            self._parts(),
            float(weights),
            float(cache),
            float(distinct) if has_experts else None,
        )

    def _parts(self) -> dict[str, float]:
        found = defaultdict(list)
        for _ in range(PART_RUNS):
            self._engine.pretend(self.case.context)
            together: dict[str, float] = defaultdict(float)
            tokens, experts = self._draw()
            for part, seconds in self._engine.decode(tokens, routing=experts, clock=self._clock).seconds.items():
                together[_PARTS.get(part, part)] += seconds
            for part, seconds in together.items():
                found[part].append(seconds)
        return {part: statistics.median(seconds) for part, seconds in found.items()}
