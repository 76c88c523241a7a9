"""Decodes timed in interleaved rounds, each between two looks at what the machine gives at that moment."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from simulator.engine.routing import choose_experts
from simulator.engine.slow_layers import SlowLayers
from simulator.engine.step import PROMPT_ROWS, Engine, Step
from simulator.engine.team import Team
from simulator.judge.matrix import SLOW_GB_PER_S, Case
from simulator.probe.bandwidth import stream_probe
from simulator.probe.clock import Clock, time_once
from simulator.probe.kernels import filled
from simulator.probe.reference import References, reference_models
from simulator.progress import Progress
from simulator.units import GIGA

BURST_S = 0.05  # of decoding between two looks at the machine
LEAST_STEPS = 3
STEPS_AT_DEPTH = 4  # steps until a burst begins again at its depth: so much deeper does it get at most
PART_RUNS = 5

# The parts that the engine times, and what a forecast calls them.
_PARTS = {"store": "cache", "merge": "cache", "state": "cache", "route": "router"}
OUTSIDE = "outside its kernels"  # the part of a step that is left


@dataclass(frozen=True)
class Look:
    """What the machine gave at a moment, or around one burst of decoding: geometric means of before and after."""

    memory_bytes_per_s: float  # a pure read of what no cache holds
    reference_s: dict[str, float]  # a step of each reference model, by model and batch
    change: float  # of all the reference models together from before to after, as a logarithm
    at_s: float = 0.0  # when it was over, by a clock that starts anywhere


@dataclass(frozen=True)
class Measurement:
    """Every timing of one case, with what the machine gave beside it."""

    case: Case
    seconds: tuple[float, ...]  # of a step, one in each round
    looks: tuple[Look, ...]  # as many
    parts: dict[str, float]  # seconds of a step by part of the model, each timed on its own later, and of what is left
    weight_bytes: float  # read in a step, on average
    cache_bytes: float
    distinct_experts: float | None  # in a layer, on average
    after: tuple[Look, ...] = ()  # after each round alone: no two rounds share a look

    @property
    def tokens_per_s(self) -> float:
        """All tokens of a step, typically."""
        return self.case.ubatch / statistics.median(self.seconds)


@dataclass(frozen=True)
class Sizes:
    """Bytes that the machine is looked at with."""

    memory: int  # read from end to end
    cache: int  # of the last cache: the reference models are made for it


class Looker:
    """Looks at a machine with some threads: how fast it reads, and how fast it decodes the reference models."""

    def __init__(self, team: Team, sizes: Sizes, memory: np.ndarray, clock: Clock):
        self._clock = clock
        self._read = stream_probe("memory", "read", team, memory, sizes.memory)
        self._read.run(1)
        self._references = References(reference_models(sizes.cache, sizes.memory), team, clock)
        self.look()

    def look(self) -> Look:
        """As it is now."""
        bytes_per_s = self._read.bytes / time_once(self._read, 1, self._clock)
        return Look(bytes_per_s, self._references.seconds(), 0.0, self._clock())


def look_between(before: Look, after: Look) -> Look:
    """Two looks as one."""
    pairs = {name: (seconds, after.reference_s[name]) for name, seconds in before.reference_s.items()}
    return Look(
        math.sqrt(before.memory_bytes_per_s * after.memory_bytes_per_s),
        {name: math.sqrt(one * two) for name, (one, two) in pairs.items()},
        statistics.fmean(math.log(two / one) for one, two in pairs.values()),
        after.at_s,
    )


def measure_cases(
    cases: Sequence[Case],
    sizes: Sizes,
    rounds: int,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
    folder: Path | None = None,
) -> list[Measurement]:
    """All cases; those that share a loaded model are timed in turn, round after round. Experts on a disk lie in the *folder*."""
    found: list[Measurement] = []
    memory = filled(sizes.memory)
    for _, group in groupby(cases, key=loaded_together):
        members = list(group)
        if progress:
            progress(len(found) / len(cases), f"{members[0].model.name} {members[0].weights}")
        found += _measure_group(members, sizes, memory, rounds, clock, folder)
    if progress:
        progress(1.0, "done")
    return found


def loaded_together(case: Case) -> tuple:
    """What cases have in common that one engine decodes, in turn."""
    # A cache has room for as many tokens in every sequence: a large batch and a deep cache are not of one engine.
    memory = case.on_disk, case.slow_layers
    return case.model.name, case.weights, case.threads, case.sparsity, case.context, case.tokens, *memory


@contextmanager
def _engine(cases: Sequence[Case], folder: Path | None) -> Iterator[Engine]:
    """An engine that some cases share; a file of its experts is gone afterwards."""
    first = cases[0]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".roofcast-") if first.on_disk else nullcontext() as experts:
        engine = Engine(
            first.model,
            threads=first.threads,
            batch=max(case.batch for case in cases),
            context=first.context + max(STEPS_AT_DEPTH, first.tokens),
            weights=first.weights,
            sparsity=first.sparsity,
            ubatch=max(PROMPT_ROWS, *(case.ubatch for case in cases)),
            experts_in=experts,
            slow=SlowLayers(first.slow_layers, SLOW_GB_PER_S * GIGA) if first.slow_layers else None,
        )
        with engine:
            yield engine


def _measure_group(
    cases: Sequence[Case], sizes: Sizes, memory: np.ndarray, rounds: int, clock: Clock, folder: Path | None
) -> list[Measurement]:
    with _engine(cases, folder) as engine:
        engine.fill_cache()
        looker = Looker(engine.team, sizes, memory, clock)
        bursts = [Burst(engine, case, clock) for case in cases]
        seconds, looks, alone = defaultdict(list), defaultdict(list), defaultdict(list)
        before = looker.look()
        for number in range(rounds):
            for burst in bursts if number % 2 == 0 else reversed(bursts):
                seconds[burst.case.id].append(burst.seconds())
                after = looker.look()
                looks[burst.case.id].append(look_between(before, after))
                alone[burst.case.id].append(after)
                before = after
        found = [burst.measurement(seconds[burst.case.id], looks[burst.case.id]) for burst in bursts]
        return [replace(each, after=tuple(alone[each.case.id])) for each in found]


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
        tokens = self._rng.integers(0, self._engine.model.vocab, self.case.ubatch)
        return tokens, self._engine.choose(self._routing, self.case.ubatch) if self._routing else None

    def _decode(self, tokens: np.ndarray, experts: tuple | None, **more: Any) -> Step:
        """One step; of a prompt's chunk nobody wants logits."""
        case, engine = self.case, self._engine
        if case.tokens > 1:
            more |= {"sequences": np.repeat(np.arange(case.batch), case.tokens), "head": case.wants_logits}
        return engine.decode(tokens, routing=experts, **more)

    def _go_back(self) -> float:
        """To the case's depth; returns the seconds that went into forgetting experts which are to be read from a disk."""
        self._engine.pretend(self.case.context)
        if not self.case.on_disk:
            return 0.0
        start = self._clock()
        self._engine.forget_experts()
        return self._clock() - start

    def seconds(self) -> float:
        """Of one step, on average over the burst."""
        drawn = [self._draw() for _ in range(self._n_steps)]  # before the clock starts
        kept, away_s = [], 0.0
        if self.case.is_plain:  # what a look leaves in the caches is not what one step leaves to the next
            self._go_back()
            self._decode(*drawn[0])
        start = self._clock()
        for number, (tokens, experts) in enumerate(drawn):
            if number % (STEPS_AT_DEPTH if self.case.is_plain else 1) == 0:
                away_s += self._go_back()
            step = self._decode(tokens, experts)
            # Not the logits: were they kept, each step would have to be given new memory for its own.
            kept.append((step.count_read, step.experts))
        taken = (self._clock() - start - away_s) / self._n_steps
        for count_read, experts in kept:
            read, distinct = count_read(), [len(np.unique(chosen)) for chosen in experts]
            self._read.append((read.weights, read.cache + read.state, float(np.mean(distinct)) if distinct else 0.0))
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
            whole = self._whole_s()
            parts = self._parts_once()
            for part, seconds in parts.items():
                found[part].append(seconds)
            found[OUTSIDE].append(whole - sum(parts.values()))
        return {part: max(0.0, statistics.median(seconds)) for part, seconds in found.items()}

    def _whole_s(self) -> float:
        """Seconds of one step that is not taken apart."""
        self._go_back()
        tokens, experts = self._draw()
        start = self._clock()
        self._decode(tokens, experts)
        return self._clock() - start

    def _parts_once(self) -> dict[str, float]:
        self._go_back()
        together: dict[str, float] = defaultdict(float)
        tokens, experts = self._draw()
        for part, seconds in self._decode(tokens, experts, clock=self._clock).seconds.items():
            if part != "head" or self.case.wants_logits:  # with a clock the engine runs all of its parts
                together[_PARTS.get(part, part)] += seconds
        return together
