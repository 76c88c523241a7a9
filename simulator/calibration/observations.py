"""Published measurements as what their steps are made of: bytes and operations, and which factors each rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.bandwidth import bandwidth_of
from simulator.forecast.conditions import runtime_of, scenario_of
from simulator.forecast.kernels import filled
from simulator.forecast.predict import predict
from simulator.forecast.prediction import Prediction
from simulator.forecast.request import micro_batch_of, passes_of
from simulator.forecast.roofline import TimedOp, reading_cores
from simulator.forecast.step import threads_of
from simulator.importers.prompts import PromptPublished
from simulator.importers.records import Published, Unusable
from simulator.progress import Progress
from simulator.spec import factors
from simulator.spec.factors import Factor, Place
from simulator.spec.kernels import is_packed

# What each operation's seconds rest on, in the order of the columns of `Observation.listed`.
OF_OPERATION = (
    "bandwidth", "core", "vector", "further", "matrix", "fill", "cache", "attention", "attended", "launch",
)  # fmt: skip
OF_STEP = ("step", "sequence", "submit", "link")
NONE: tuple[Factor, ...] = ()


@dataclass(frozen=True)
class Part:
    """One operation of a step: numbers that no factor changes, and the factors of each of OF_OPERATION."""

    count: float
    launches: float
    is_cache: bool
    memory_s: float  # of its weights or cache at the memory's sustained rate
    activation_s: float
    vector_s: float  # of its arithmetic for one token at a time at the vector units' peak, 0 where that is not known
    tiled_s: float  # of that for one token at the matrix units' peak
    tiles: float  # tokens that matrix kernels compute, without those that `fill` adds
    filling: float  # how much of `fill` they add
    sharers: float  # tokens that meet each weight
    again: float  # how often few tokens read it, for once that many do
    is_few: bool  # so few tokens that kernels for many are not asked for
    listed: tuple[tuple[Factor, ...], ...]


@dataclass(frozen=True)
class Observation:
    """A measurement, as far as fitting goes."""

    published: Published
    device: str
    place: Place
    parts: tuple[Part, ...]
    batch: int
    n_steps: int  # one of decoding, or those in which a prompt is read
    n_submitted: float  # kernels that a GPU waits for, those of a graph not counted
    link_s: float  # of what devices tell each other, by their links' latency and bandwidth
    s_per_byte: float  # of the memory
    core_s: float  # what it would take if one core of 1 byte per second read for all; 0 where cores do not limit it
    seconds: float  # measured
    step: tuple[tuple[Factor, ...], ...] = field(default=())  # of each of OF_STEP
    prompt_tokens: int = 0  # 0: a decode

    @property
    def is_prompt(self) -> bool:
        """Whether it is of reading a prompt."""
        return self.prompt_tokens > 0


def observe(measured: Sequence[Published | PromptPublished], progress: Progress | None = None) -> list[Observation]:
    """Those measurements that can be forecast with fitted kernels."""
    found = []
    for number, each in enumerate(measured):
        made = each.published if isinstance(each, PromptPublished) else each
        if progress and number % 20 == 0:
            progress(number / len(measured), made.loaded.model.name)
        try:
            points = _points(each, made)
        except (InputError, Unusable):
            continue
        if points[0].backend.kernels and points[-1].fits:
            found.append(_observation(each, made, points))
    return found


def _points(each: Published | PromptPublished, made: Published) -> list[Prediction]:
    """The steps that were measured: one of decoding, or those in which a prompt was read."""
    setting = scenario_of(made, None, runtime_of(made))
    if isinstance(each, Published):
        return [setting.at(each.batch, each.context)]
    passes = passes_of(each.prompt_tokens, made.context, micro_batch_of(setting.runtime, each.micro_batch))
    loads = [replace(setting.load, context=int(depth), tokens=tokens) for depths, tokens in passes for depth in depths]
    return [predict(setting.loaded.model, setting.hardware, load, setting.runtime) for load in loads]


def _observation(each: Published | PromptPublished, made: Published, points: Sequence[Prediction]) -> Observation:
    point = points[-1]
    hardware, kernels = point.hardware, point.backend.kernels
    assert kernels is not None  # as the caller has seen
    n_cores, at = reading_cores(hardware, threads_of(hardware, point.load)), kernels.place
    timed = [one for step in points for one in step.ops]
    sent = [one for one in timed if one.op.message is not None]
    parts = [part for step in points for part in _PartMaker.of(step).parts()]
    submitted = factors.submit(at) if point.load.is_prompt and at.kind == "gpu" else NONE
    return Observation(
        published=made,
        device=hardware.name,
        place=at,
        parts=_joined(parts),
        batch=made.batch,
        n_steps=len(points),
        n_submitted=float(sum(one.op.count * one.op.launches for one in timed)) if submitted else 0.0,
        link_s=float(sum(one.op.count * one.link_s for one in sent)) / kernels.link_scale,
        s_per_byte=_s_per_byte(point, point.working_set),
        core_s=1 / n_cores if n_cores else 0.0,
        seconds=each.seconds if isinstance(each, PromptPublished) else made.batch / made.tokens_per_s,
        step=(factors.step(at), factors.sequence(at), submitted, factors.link(at) if sent else NONE),
        prompt_tokens=each.prompt_tokens if isinstance(each, PromptPublished) else 0,
    )


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Equal parts of several steps as one with their count."""
    counts: dict[Part, float] = {}
    for part in parts:
        alike = replace(part, count=0.0)
        counts[alike] = counts.get(alike, 0.0) + part.count
    return tuple(replace(part, count=count) for part, count in counts.items())


def _s_per_byte(point: Prediction, working_set: Any) -> float:
    curve = bandwidth_of(point.hardware, threads_of(point.hardware, point.load))
    return float(np.asarray(curve.seconds_per_byte(working_set)))


@dataclass(frozen=True)
class _PartMaker:
    point: Prediction
    at: Place
    s_per_byte: float
    nearest: float  # seconds for each byte of inputs and outputs
    has_vector: bool

    @classmethod
    def of(cls, point: Prediction) -> _PartMaker:
        kernels = point.backend.kernels
        assert kernels is not None  # as the caller has seen
        of_memory, nearest = _s_per_byte(point, point.working_set), _s_per_byte(point, 0.0)
        return cls(point, kernels.place, of_memory, nearest, kernels.has_vector)

    def parts(self) -> Iterator[Part]:
        for timed in self.point.ops:
            yield self.part(timed) if timed.op.message is None else self.message(timed)

    def part(self, timed: TimedOp) -> Part:
        op, at = timed.op, self.at
        fmt, kernels = op.format, self.point.backend.kernels
        assert kernels is not None  # as the caller has seen
        is_cache = op.part == "cache"
        hardware, threads = self.point.hardware, self.point.threads
        lanes = hardware.lanes(threads)
        products = factors.LANE_PRODUCTS * lanes.value if lanes else np.inf
        peak = None if hardware.kind == "cpu" else self.point.backend.peak_of(fmt, hardware, threads)
        n, flops, is_expert = max(1.0, float(op.sharers)), float(op.cost.flops), op.part == "experts"
        name = factors.family(fmt.kernel, fmt.bits)
        listed = {
            "core": factors.core(at) if hardware.kind == "cpu" else NONE,
            "launch": factors.launch(at, is_expert),
        }
        is_state = op.name == "recurrent state"
        if is_cache:
            listed["cache"] = factors.cached(at, is_packed(fmt), is_state)
            listed["attention"] = factors.attention(at, is_packed(fmt))
            listed["attended"] = factors.attended(at, is_packed(fmt), is_state)
        else:
            listed["bandwidth"] = factors.bandwidth(at, name, is_expert)
            listed["matrix"], listed["fill"] = factors.matrix(at, name, is_expert), factors.fill(at)
            if self.has_vector:
                listed |= {"vector": factors.vector(at, name), "further": factors.further(at, name)}
        tile = kernels.query_tile if is_cache else kernels.tile
        return Part(
            count=float(op.count),
            launches=float(op.launches),
            is_cache=is_cache,
            memory_s=float(op.cost.streamed_bytes) * self.s_per_byte,
            activation_s=float(op.cost.activation_bytes) * self.nearest,
            vector_s=flops / products / (1.0 if is_cache else n),
            tiled_s=flops / n / (peak.value if peak else products),
            tiles=max(n, tile),
            filling=0.0 if is_cache else float(filled(n, tile)),
            sharers=n,
            again=n**kernels.read_again if is_expert else 1.0,
            is_few=not is_cache and n <= (1 if is_expert else kernels.vector_tokens(fmt)),
            listed=tuple(listed.get(each, NONE) for each in OF_OPERATION),
        )

    def message(self, timed: TimedOp) -> Part:
        launch = tuple(factors.launch(self.at) if each == "launch" else NONE for each in OF_OPERATION)
        count, launches = float(timed.op.count), float(timed.op.launches)
        return Part(count, launches, True, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, False, launch)


def each_factor(observed: Sequence[Observation]) -> Iterator[Factor]:
    """Every factor that something rests on, many times over."""
    for each in observed:
        for part in each.parts:
            for listed in part.listed:
                yield from listed
        for listed in each.step:
            yield from listed
