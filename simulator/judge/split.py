"""Forecasts of weights split between a GPU and RAM beside measurements: of a decode, of a prompt, and of which split is the fastest."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from simulator.errors import InputError
from simulator.forecast.request import Phase, Request, forecast_request
from simulator.forecast.scenario import Scenario, scenario
from simulator.importers.records import DOES_NOT_FIT, Skipped, Unusable
from simulator.importers.split import SplitPublished
from simulator.judge.skew import random_tokens, skew_for
from simulator.spec.hardware import Hardware
from simulator.spec.machine import join
from simulator.spec.routing import Routing
from simulator.spec.runtime import Runtime

What = Literal["decode", "prompt", "skewed"]  # skewed: a prompt of random tokens, which choose some experts more often
WHATS: tuple[What, ...] = ("decode", "prompt")
Fitted = Callable[[Runtime, str, str], Runtime]  # the runtime to judge by, of the device and the model that are judged


@dataclass(frozen=True)
class SplitRow:
    """One measurement with its forecast, in tokens per second of one sequence."""

    id: str
    file: str  # whose the weights are: publisher, format and size
    model: str
    machine: str
    runtime: str
    weights: str
    ubatch: int
    layers_in_ram: int  # with all that is theirs
    experts_in_ram: int  # layers of which the experts alone lie there
    decode_measured: float
    decode: float
    low: float
    high: float
    prompt_measured: float
    prompt: float  # as `simulate` has it: experts chosen equally often
    bound: str
    is_mixture: bool
    assumed: tuple[str, ...] = ()
    skewed: float = math.nan  # the prompt with the skew of random tokens, from the rows of other models

    @property
    def is_split(self) -> bool:
        """Whether anything lies in RAM."""
        return bool(self.layers_in_ram or self.experts_in_ram)

    @property
    def format(self) -> str:
        """What the weights' publisher calls their format."""
        return self.file.split()[-2].lower()

    @property
    def kind(self) -> str:
        """What of it lies in RAM, in words."""
        if not self.is_split:
            return "whole on the GPU"
        if not self.experts_in_ram:
            return "layers in RAM"
        return "layers and experts in RAM" if self.layers_in_ram else "experts in RAM"

    def measured(self, what: What) -> float:
        """Tokens per second, as published."""
        return self.decode_measured if what == "decode" else self.prompt_measured

    def forecast(self, what: What) -> float:
        """Tokens per second, as forecast."""
        return {"decode": self.decode, "prompt": self.prompt, "skewed": self.skewed}[what]

    def error(self, what: What) -> float:
        """Forecast over measurement, minus 1: above 0 the forecast is too fast."""
        return self.forecast(what) / self.measured(what) - 1

    @property
    def held(self) -> bool:
        """Whether the measured decode lies inside the 80 % interval."""
        return self.low <= self.decode_measured <= self.high


@dataclass(frozen=True)
class SplitScore:
    """Every row that could be forecast, and those that could not. Summaries of no rows are None."""

    rows: tuple[SplitRow, ...]
    skipped: tuple[Skipped, ...] = ()

    def median_abs_error(self, what: What = "decode") -> float | None:
        """Half of the rows are nearer than this."""
        return statistics.median(abs(row.error(what)) for row in self.rows) if self.rows else None

    def p90_abs_error(self, what: What = "decode") -> float | None:
        """Nine in ten rows are nearer than this."""
        return float(np.percentile([abs(row.error(what)) for row in self.rows], 90)) if self.rows else None

    def bias(self, what: What = "decode") -> float | None:
        """Median of ln(forecast / measurement): above 0, forecasts are too fast."""
        return statistics.median(math.log1p(row.error(what)) for row in self.rows) if self.rows else None

    @property
    def held(self) -> float | None:
        """Share of the measured decodes inside the 80 % interval."""
        return sum(row.held for row in self.rows) / len(self.rows) if self.rows else None

    def where(self, holds: Callable[[SplitRow], bool]) -> SplitScore:
        """The rows for which *holds* is true, without the skipped."""
        return SplitScore(tuple(filter(holds, self.rows)))

    def by(self, *fields: str) -> dict[tuple, SplitScore]:
        """The scores of the rows that share the values of *fields*, such as model and kind; without the skipped."""
        groups: dict[tuple, list[SplitRow]] = defaultdict(list)
        for row in self.rows:
            groups[tuple(getattr(row, field) for field in fields)].append(row)
        return {values: SplitScore(tuple(rows)) for values, rows in sorted(groups.items())}

    def worst(self, n: int, what: What = "decode") -> list[SplitRow]:
        """The *n* rows that are furthest off, in either direction by factor."""
        return sorted(self.rows, key=lambda row: -abs(math.log1p(row.error(what))))[:n]

    def choices(self, what: What = "decode") -> tuple[Choice, ...]:
        """Of each file that was run with several splits, the one that the forecast calls the fastest beside the fastest measured."""
        return tuple(
            _choice(score.rows, what)
            for score in self.by("machine", "runtime", "file").values()
            if len({_setting(row, what) for row in score.rows}) > 1
        )


@dataclass(frozen=True)
class Choice:
    """Of one file's splits the one that is forecast as the fastest, and what it was measured at."""

    chosen: SplitRow
    fastest: SplitRow
    n_splits: int
    measured: float  # tokens/s of the chosen one, in the mean of its runs
    best: float  # of the fastest

    @property
    def lost(self) -> float:
        """What of the fastest's speed is lost by taking the chosen one."""
        return 1 - self.measured / self.best


def _setting(row: SplitRow, what: What) -> tuple[int, ...]:
    """What somebody chooses; a decode does not depend on the micro-batch."""
    split = (row.layers_in_ram, row.experts_in_ram)
    return split if what == "decode" else (*split, row.ubatch)


def _choice(rows: Sequence[SplitRow], what: What) -> Choice:
    groups: dict[tuple[int, ...], list[SplitRow]] = defaultdict(list)
    for row in rows:
        groups[_setting(row, what)].append(row)
    rates = {key: statistics.fmean(row.measured(what) for row in found) for key, found in groups.items()}
    chosen = max(groups, key=lambda key: groups[key][0].forecast(what))
    fastest = max(rates, key=rates.__getitem__)
    return Choice(groups[chosen][0], groups[fastest][0], len(groups), rates[chosen], rates[fastest])


# ---- forecasts ----


def split_score(measured: Sequence[SplitPublished], fitted: Fitted | None = None) -> SplitScore:
    """The forecast of every measurement, in order."""
    known: dict[Hashable, SplitRow | Skipped] = {}
    found: list[SplitRow | Skipped] = []
    for each in measured:
        key = _shared_by(each)
        if key not in known:
            known[key] = _forecast(each, fitted)
        found.append(_of(each, known[key]))
    return SplitScore(
        tuple(each for each in found if isinstance(each, SplitRow)),
        tuple(each for each in found if isinstance(each, Skipped)),
    )


def _shared_by(each: SplitPublished) -> Hashable:
    """What rows have in common whose forecasts are one."""
    return (id(each.loaded), each.weights, each.machine, each.runtime.name, each.split, each.ubatch, each.prompt_tokens,
            each.context, each.date[:7])  # fmt: skip


def _of(each: SplitPublished, found: SplitRow | Skipped) -> SplitRow | Skipped:
    """A forecast that several rows share, beside one of them."""
    if isinstance(found, Skipped):
        return Skipped(each.id, found.reason, each.origin)
    return replace(
        found,
        id=each.id,
        file=each.file,
        decode_measured=each.tokens_per_s,
        prompt_measured=each.prompt_tokens_per_s,
        assumed=each.assumed,
    )


def _forecast(each: SplitPublished, fitted: Fitted | None) -> SplitRow | Skipped:
    try:
        base = scenario_of(each, fitted)
        decode = base.at(1, each.context)
        prompt = read_prompt(base, each)
        skewed = _skewed(base, each, prompt, fitted is not None)
    except (InputError, Unusable) as reason:
        return Skipped(each.id, str(reason), each.origin)
    if not (np.all(decode.fits) and prompt.fits):
        return Skipped(each.id, DOES_NOT_FIT, each.origin)
    return SplitRow(
        id=each.id,
        file=each.file,
        model=base.loaded.model.name,
        machine=each.machine,
        runtime=base.runtime.name,
        weights=base.load.weights.name,
        ubatch=each.ubatch,
        layers_in_ram=len(each.split.whole),
        experts_in_ram=len(each.split.experts),
        decode_measured=each.tokens_per_s,
        decode=float(decode.tokens_per_s),
        low=float(decode.tokens_per_s_low),
        high=float(decode.tokens_per_s_high),
        prompt_measured=each.prompt_tokens_per_s,
        prompt=prompt.tokens_per_s,
        skewed=skewed.tokens_per_s,
        bound=str(decode.bound),
        is_mixture=bool(base.loaded.model.experts),
        assumed=each.assumed,
    )


def scenario_of(each: SplitPublished, fitted: Fitted | None) -> Scenario:
    """Under the conditions of a measurement."""
    model = each.loaded.model
    runtime = each.runtime.under("cuda" if each.hardware.vendor == "nvidia" else "", each.date, True)
    runtime = fitted(runtime, each.hardware.name, model.name) if fitted else runtime
    return scenario(
        each.loaded,
        machine_of(each),
        weights=each.weights,
        runtime=runtime,
        placement=each.split.placement(model) if each.split.is_any else None,
    )


def machine_of(each: SplitPublished) -> Hardware:
    """The GPU, with the CPU where anything lies in its memory; it ran, so nothing is held back."""
    gpu = each.hardware.with_all_memory()
    return join([gpu, each.host.with_all_memory()], each.machine) if each.split.is_any else gpu


def read_prompt(base: Scenario, each: SplitPublished, routing: Routing | None = None) -> Phase:
    """Reading a prompt in the micro-batches of the measurement."""
    load = replace(base.load, routing=routing) if routing else base.load
    return forecast_request(replace(base, load=load), Request(each.prompt_tokens, ubatch=each.ubatch)).reading


def _skewed(base: Scenario, each: SplitPublished, plain: Phase, is_left_out: bool) -> Phase:
    """The same with the skew of random tokens; where no expert lies in RAM, or none is there, as it is."""
    model = base.loaded.model
    if not model.experts or not each.split.is_any:
        return plain
    return read_prompt(base, each, random_tokens(model, skew_for(model.name if is_left_out else "")))
