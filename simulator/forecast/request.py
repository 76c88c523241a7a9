"""A whole request of one user on an idle machine: the prompt is read in passes, then each further token decodes at a greater depth.

The pass that reads the prompt's last token gives the first token of the answer; each further one takes a step of decoding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from simulator.errors import InputError
from simulator.forecast.interval import PROMISED
from simulator.forecast.overlap import part_of_sum
from simulator.forecast.predict import predict
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario, expect_scenario
from simulator.forecast.step import BOUNDS
from simulator.spec.arguments import expect, whole
from simulator.spec.runtime import Runtime
from simulator.spec.workload import MAX_CONTEXT, expect_context
from simulator.units import counted

MAX_PASSES = 65_536  # of a prompt
SAMPLES = 65_536  # depths at which decoding is looked at; of more tokens, the middles of so many equal stretches


@dataclass(frozen=True)
class Request:
    """What one user asks: tokens of the whole prompt, those of them that are in the cache already, and tokens of the answer."""

    prompt: int
    generate: int = 1
    cached: int = 0
    ubatch: int | None = None  # tokens of the prompt in one pass at most; None: the runtime's own number

    def __post_init__(self):
        whole("prompt", self.prompt, 1, MAX_CONTEXT)
        whole("generate", self.generate, 1, MAX_CONTEXT)
        whole("cached", self.cached, 0, MAX_CONTEXT)
        if self.ubatch is not None:
            whole("ubatch", self.ubatch, 1, MAX_CONTEXT)
        if self.cached >= self.prompt:
            raise InputError(
                f"cached must be at most {self.prompt - 1:,} of a prompt of {counted(self.prompt, 'token')}, got {self.cached:,}: the last "
                "one is always read"
            )
        expect_context(self.prompt, self.generate)


@dataclass(frozen=True)
class Stretch:
    """Steps that follow each other, alike but for their depth: forecasts at some depths, each for `repeats` steps."""

    point: Prediction  # over an array of depths, or at one
    repeats: float = 1.0  # less than 1 where they overlap in time

    @cached_property
    def seconds(self) -> float:
        """Of all its steps; NaN where they do not fit in memory."""
        return self._sum(self.point.seconds_per_step)

    @cached_property
    def seconds_ceiling(self) -> float:
        """The same at datasheet bandwidth and peak."""
        return self._sum(self.point.seconds_ceiling)

    @cached_property
    def parts(self) -> dict[str, float]:
        """Seconds by what limits them."""
        return {name: self._sum(self.point.parts[name]) for name in BOUNDS}

    def spread(self, coverage: float) -> float:
        """Logarithm of the factor of the interval, in the mean over its seconds."""
        factor = np.maximum(*self.point.factors(coverage))
        return self._sum(np.log(factor) * self.point.seconds_per_step) / self.seconds

    def _sum(self, value) -> float:
        shape = np.shape(self.point.load.context)
        return self.repeats * float(np.sum(np.broadcast_to(value, shape)))


@dataclass(frozen=True)
class Phase:
    """Reading the prompt, or decoding the answer."""

    tokens: int  # that it reads or gives
    stretches: tuple[Stretch, ...]

    @cached_property
    def seconds(self) -> float:
        """Of all its steps; NaN where they do not fit in memory."""
        return math.fsum(each.seconds for each in self.stretches)

    @property
    def tokens_per_s(self) -> float:
        """The mean rate."""
        return self.tokens / self.seconds

    @property
    def tokens_per_s_ceiling(self) -> float:
        """What datasheet bandwidth and peak allow; at least the forecast, as of each step."""
        ceiling = self.tokens / math.fsum(each.seconds_ceiling for each in self.stretches)
        return max(ceiling, self.tokens_per_s) if self.fits else math.nan

    @property
    def fits(self) -> bool:
        """Whether every step fits in memory."""
        return bool(np.isfinite(self.seconds))

    @cached_property
    def parts(self) -> dict[str, float]:
        """Seconds by what limits them."""
        return {name: math.fsum(each.parts[name] for each in self.stretches) for name in BOUNDS}

    @property
    def bound(self) -> str:
        """What takes the largest part, or does_not_fit."""
        return max(self.parts, key=lambda name: self.parts[name]) if self.fits else "does_not_fit"

    def spread(self, coverage: float = PROMISED) -> float:
        """Logarithm of the factor of the interval."""
        return math.fsum(each.seconds * each.spread(coverage) for each in self.stretches) / self.seconds

    def interval(self, coverage: float = PROMISED) -> tuple[float, float]:
        """Tokens per second between which the true rate lies with this probability; never above the ceiling."""
        factor = math.exp(self.spread(coverage))
        return self.tokens_per_s / factor, min(self.tokens_per_s * factor, self.tokens_per_s_ceiling)


@dataclass(frozen=True)
class RequestForecast:
    """A request with its forecast; times of what does not fit in memory are NaN."""

    request: Request
    micro_batch: int
    reading: Phase
    decoding: Phase | None  # None: the answer is the one token that reading the prompt gives
    ends: tuple[Prediction, Prediction] | None  # its first step and its last
    remarks: tuple[str, ...] = ()  # on what no figure accounts for

    @property
    def fits(self) -> bool:
        """Whether all of it fits in memory."""
        return self.reading.fits and (self.decoding is None or self.decoding.fits)

    @property
    def seconds_to_first(self) -> float:
        """Until the first token of the answer."""
        return self.reading.seconds

    @property
    def seconds(self) -> float:
        """Until its last one."""
        return self.reading.seconds + (self.decoding.seconds if self.decoding else 0.0)

    def seconds_between(self, coverage: float = PROMISED) -> tuple[float, float]:
        """Between which the whole request takes with this probability: both phases err each by itself."""
        phases = [self.reading, *([self.decoding] if self.decoding else [])]
        spread = math.hypot(*(each.seconds * each.spread(coverage) for each in phases)) / self.seconds
        fastest = math.fsum(each.tokens / each.tokens_per_s_ceiling for each in phases)
        return max(self.seconds / math.exp(spread), fastest), self.seconds * math.exp(spread)

    def first_between(self, coverage: float = PROMISED) -> tuple[float, float]:
        """The same of the first token."""
        slow, fast = self.reading.interval(coverage)
        return self.reading.tokens / fast, self.reading.tokens / slow


def forecast_request(base: Scenario, request: Request) -> RequestForecast:
    """A request of one user; InputError where its prompt would be read in too many passes."""
    expect_scenario(base)
    expect("request", request, Request, "a Request")
    micro_batch = micro_batch_of(base.runtime, request.ubatch)
    new = request.prompt - request.cached
    base = with_room_for(base, request)
    passes = _read(base, request.cached, new, micro_batch)
    part, n_steps = part_of_sum(passes), request.generate - 1
    reading = Phase(new, tuple(Stretch(each, part) for each in passes))
    remarks = *_left_out(base), *_told_overlap(base, part)
    if not n_steps:
        return RequestForecast(request, micro_batch, reading, None, None, remarks)
    depths, repeats = sampled_depths(request.prompt, n_steps)
    decoding = Phase(n_steps, (Stretch(base.at(1, depths), repeats),))
    ends = base.at(1, request.prompt), base.at(1, request.prompt + n_steps - 1)
    return RequestForecast(request, micro_batch, reading, decoding, ends, remarks)


def with_room_for(base: Scenario, request: Request) -> Scenario:
    """A scenario whose memory holds what passes of so many tokens need, placed anew for the request unless somebody named a placement.

    Only of llama.cpp and what is like it, whose buffers and caches of windowed layers grow with the micro-batch.
    """
    runtime, needed = base.copying or base.runtime, request.prompt + request.generate
    if request.ubatch is None or not runtime.scratch_of_graph:
        return base
    tokens = min(request.ubatch, max(runtime.micro_batch, needed))  # a micro-batch is no longer than the context
    if tokens == runtime.micro_batch:
        return base
    rules = runtime.cache_rules
    if rules.window_extra:
        rules = rules.model_copy(update={"window_extra": tokens})
    changed = {"micro_batch": tokens, "scratch_tokens": tokens, "cache_rules": rules}
    return base.under(
        runtime.model_copy(update=changed), 1, min(request.prompt + max(request.generate - 2, 0), MAX_CONTEXT)
    )


def _told_overlap(base: Scenario, part: float) -> Iterator[str]:
    if part < 1:
        yield (
            f"passes of the prompt overlap on the GPUs, up to {base.runtime.passes_at_once} at once: {part:.0%} of their sum; "
            f"the answer's steps do not"
        )


def _left_out(base: Scenario) -> Iterator[str]:
    model, source = base.loaded.model, base.load.source_tokens
    if any(layer.cross_attention for layer in model.stack):
        yield (
            f"the encoder of {model.name} is left out: the first token comes later by what it takes to read the source of "
            f"{counted(source, 'token')} and to make its keys and values for each layer; the prompt here is what the decoder begins with"
        )


def sampled_depths(start: int, n_steps: int) -> tuple[np.ndarray, float]:
    """Depths of so many steps from *start* on, and how many steps each stands for."""
    n = min(n_steps, SAMPLES)
    middles = start + ((np.arange(n) + 0.5) * (n_steps / n) - 0.5)
    return np.rint(middles).astype(np.int64), n_steps / n


def micro_batch_of(runtime: Runtime, asked: int | None = None) -> int:
    """Tokens of a prompt that pass through the weights in one step: those *asked* for, or the runtime's own number."""
    if asked is not None:
        return whole("ubatch", asked, 1, MAX_CONTEXT)
    return runtime.micro_batch or runtime.serving.chunk_tokens


def passes_of(prompt_tokens: int, cached: int, micro_batch: int) -> list[tuple[np.ndarray, int]]:
    """The passes in which a prompt is read: depths before full ones with their tokens, and the same of what is left over."""
    n_full, rest = divmod(prompt_tokens, micro_batch)
    if n_full + (rest > 0) > MAX_PASSES:
        raise InputError(
            f"ubatch {micro_batch:,}: a prompt of {prompt_tokens:,} tokens is read in {n_full + (rest > 0):,} passes, at most "
            f"{MAX_PASSES:,} are forecast; give more tokens for each"
        )
    full = cached + micro_batch * np.arange(n_full, dtype=np.int64)
    found = [(full, micro_batch)] if n_full else []
    return [*found, (np.array([cached + n_full * micro_batch]), rest)] if rest else found


def _read(base: Scenario, cached: int, prompt_tokens: int, micro_batch: int) -> Sequence[Prediction]:
    found = []
    for depths, tokens in passes_of(prompt_tokens, cached, micro_batch):
        load = replace(base.load, batch=1, context=depths, tokens=tokens)
        found.append(_predicted(base, load))
    return found


def _predicted(base: Scenario, load) -> Prediction:
    try:
        return predict(base.loaded.model, base.hardware, load, base.runtime, base.placement)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{base.loaded.model.name} with weights {load.weights.name}: {error}") from None
