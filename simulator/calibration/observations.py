"""Published measurements as what their steps are made of: bytes and operations, and which factors each rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.errors import InputError
from simulator.forecast.bandwidth import bandwidth_of
from simulator.forecast.conditions import runtime_of, scenario_of
from simulator.forecast.prediction import Prediction
from simulator.forecast.roofline import TimedOp, reading_cores
from simulator.forecast.step import threads_of
from simulator.importers.records import Published, Unusable
from simulator.progress import Progress
from simulator.spec import factors
from simulator.spec.factors import Factor, Place
from simulator.spec.kernels import is_packed

# What each operation's seconds rest on, in the order of the columns of `Observation.listed`.
OF_OPERATION = ("bandwidth", "core", "vector", "further", "matrix", "cache", "attention", "launch")
OF_STEP = ("step", "sequence", "link")
NONE: tuple[Factor, ...] = ()
NEVER = 1e6  # seconds of what a device has no units for


@dataclass(frozen=True)
class Part:
    """One operation of a step: numbers that no factor changes, and the factors of each of OF_OPERATION."""

    count: float
    launches: float
    is_cache: bool
    memory_s: float  # of its weights or cache at the memory's sustained rate
    activation_s: float
    vector_s: float  # of its arithmetic for one token at a time at the vector units' peak, 0 where that is not known
    matrix_s: float  # of that in whole tiles at the matrix units' peak
    sharers: float  # tokens that meet each weight
    again: float  # how often few tokens read it, for once that many do
    listed: tuple[tuple[Factor, ...], ...]


@dataclass(frozen=True)
class Observation:
    """A measurement, as far as fitting goes."""

    published: Published
    device: str
    place: Place
    parts: tuple[Part, ...]
    batch: int
    link_s: float  # of what devices tell each other, by their links' latency and bandwidth
    s_per_byte: float  # of the memory
    core_s: float  # what it would take if one core of 1 byte per second read for all; 0 where cores do not limit it
    seconds: float  # measured
    step: tuple[tuple[Factor, ...], ...] = field(default=())  # of each of OF_STEP


def observe(measured: Sequence[Published], progress: Progress | None = None) -> list[Observation]:
    """Those measurements that can be forecast with fitted kernels."""
    found = []
    for number, each in enumerate(measured):
        if progress and number % 20 == 0:
            progress(number / len(measured), each.loaded.model.name)
        try:
            point = scenario_of(each, None, runtime_of(each)).at(each.batch, each.context)
        except (InputError, Unusable):
            continue
        if point.backend.kernels and point.fits:
            found.append(_observation(each, point))
    return found


def _observation(each: Published, point: Prediction) -> Observation:
    hardware, kernels = point.hardware, point.backend.kernels
    assert kernels is not None  # as the caller has seen
    threads = threads_of(hardware, point.load)
    n_cores = reading_cores(hardware, threads)
    curve = bandwidth_of(hardware, threads)
    s_per_byte = float(np.asarray(curve.seconds_per_byte(point.working_set)))
    nearest = float(np.asarray(curve.seconds_per_byte(0.0)))
    at = kernels.place
    ops = [timed for timed in point.ops if timed.op.message is None]
    sent = [timed for timed in point.ops if timed.op.message is not None]
    make = _PartMaker(point, at, s_per_byte, nearest, kernels.has_vector)
    return Observation(
        published=each,
        device=hardware.name,
        place=at,
        parts=(*(make.part(timed) for timed in ops), *(make.message(timed) for timed in sent)),
        batch=each.batch,
        link_s=float(sum(timed.op.count * timed.link_s for timed in sent)) / kernels.link_scale,
        s_per_byte=s_per_byte,
        core_s=1 / n_cores if n_cores else 0.0,
        seconds=each.batch / each.tokens_per_s,
        step=(factors.step(at), factors.sequence(at), factors.link(at) if sent else NONE),
    )


@dataclass(frozen=True)
class _PartMaker:
    point: Prediction
    at: Place
    s_per_byte: float
    nearest: float  # seconds for each byte of inputs and outputs
    has_vector: bool

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
        if is_cache:
            listed["cache"] = factors.cached(at, is_packed(fmt), op.name == "recurrent state")
            listed["attention"] = factors.attention(at, is_packed(fmt))
            if peak:
                listed["matrix"] = factors.matrix(at, name)
        else:
            listed["bandwidth"] = factors.bandwidth(at, name, is_expert)
            listed["matrix"] = factors.matrix(at, name)
            if self.has_vector:
                listed |= {"vector": factors.vector(at, name), "further": factors.further(at, name)}
        return Part(
            count=float(op.count),
            launches=float(op.launches),
            is_cache=is_cache,
            memory_s=float(op.cost.streamed_bytes) * self.s_per_byte,
            activation_s=float(op.cost.activation_bytes) * self.nearest,
            vector_s=flops / products / (1.0 if is_cache else n),
            matrix_s=NEVER
            if is_cache and not peak
            else flops * max(n, kernels.tile) / n / (peak.value if peak else products),
            sharers=n,
            again=n**kernels.read_again if is_expert else 1.0,
            listed=tuple(listed.get(each, NONE) for each in OF_OPERATION),
        )

    def message(self, timed: TimedOp) -> Part:
        launch = tuple(factors.launch(self.at) if each == "launch" else NONE for each in OF_OPERATION)
        return Part(float(timed.op.count), float(timed.op.launches), True, 0.0, 0.0, 0.0, NEVER, 1.0, 1.0, launch)


def each_factor(observed: Sequence[Observation]) -> Iterator[Factor]:
    """Every factor that something rests on, many times over."""
    for each in observed:
        for part in each.parts:
            for listed in part.listed:
                yield from listed
        for listed in each.step:
            yield from listed
