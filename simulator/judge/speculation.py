"""Forecasts of speculative decoding beside measurements: how many times as fast as plain decoding, at the acceptance that was published.

Nothing of what is specific to speculation is fitted to them.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import InputError
from simulator.forecast.scenario import Scenario, scenario
from simulator.forecast.speculation import Speculated, Speculating
from simulator.importers.records import DOES_NOT_FIT, UNSTATED, Origin, Skipped
from simulator.importers.speculating import PublishedSpeculation
from simulator.judge.score import Fitted

# Gains nearer to none than this are neither a gain nor a loss: repetitions of one measurement scatter by as much
# (https://github.com/sudoingX/qwen38-mtp/blob/main/sweeps/apu-igpu.md: 2.8 % between two launches).
NO_GAIN = 0.03


@dataclass(frozen=True)
class SpeculationRow:
    """One measurement of both with their forecasts, in tokens per second over all sequences."""

    id: str
    model: str
    hardware: str
    n_devices: int
    runtime: str
    weights: str
    speculation: str  # with the chance of a drafted token that was worked out of what was published
    batch: int
    context: int
    plain_measured: float
    plain: float
    measured: float
    forecast: float
    low: float
    high: float
    is_mixture: bool
    origin: Origin = UNSTATED

    @property
    def speedup_measured(self) -> float:
        """How many times as fast as plain decoding it was."""
        return self.measured / self.plain_measured

    @property
    def speedup(self) -> float:
        """The same by the forecast."""
        return self.forecast / self.plain

    @property
    def drafted(self) -> str:
        """Who drafts, and how many tokens in a step."""
        return self.speculation.partition("@")[0]

    @property
    def held(self) -> bool:
        """Whether the measured rate with drafts lies in the 80 % interval of the forecast."""
        return self.low <= self.measured <= self.high

    @property
    def error(self) -> float:
        """Forecast speed-up over the measured one, minus 1: above 0 the forecast is too good."""
        return self.speedup / self.speedup_measured - 1

    @property
    def gained(self) -> bool | None:
        """Whether drafts gained or lost; None where they did neither."""
        is_small = abs(math.log(self.speedup_measured)) < math.log1p(NO_GAIN)
        return None if is_small else self.speedup_measured > 1

    @property
    def is_right_way(self) -> bool:
        """Whether a gain was forecast as a gain, and a loss as a loss."""
        return self.gained is None or (self.speedup > 1) == self.gained


@dataclass(frozen=True)
class SpeculationScore:
    """Every row that could be forecast, and those that could not. Summaries of no rows are None."""

    rows: tuple[SpeculationRow, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def median_abs_error(self) -> float | None:
        """Half of the speed-ups are nearer than this."""
        return statistics.median(abs(row.error) for row in self.rows) if self.rows else None

    @property
    def p90_abs_error(self) -> float | None:
        """Nine in ten are nearer than this."""
        return float(np.percentile([abs(row.error) for row in self.rows], 90)) if self.rows else None

    @property
    def bias(self) -> float | None:
        """Median of ln(forecast / measured speed-up): above 0, forecasts are too good."""
        return statistics.median(math.log1p(row.error) for row in self.rows) if self.rows else None

    def right_way(self, gained: bool) -> tuple[int, int]:
        """How many gains (losses) were forecast as such, and of how many."""
        rows = [row for row in self.rows if row.gained is gained]
        return sum(row.is_right_way for row in rows), len(rows)

    @property
    def held(self) -> float | None:
        """Share of the measured rates with drafts inside the 80 % interval."""
        return sum(row.held for row in self.rows) / len(self.rows) if self.rows else None

    def by(self, *fields: str) -> dict[tuple, SpeculationScore]:
        """The scores of the rows that share the values of *fields*, such as hardware; without the skipped."""
        groups: dict[tuple, list[SpeculationRow]] = defaultdict(list)
        for row in self.rows:
            groups[tuple(getattr(row, field) for field in fields)].append(row)
        return {values: SpeculationScore(tuple(rows)) for values, rows in sorted(groups.items())}

    def worst(self, n: int) -> list[SpeculationRow]:
        """The *n* rows that are furthest off, in either direction by factor."""
        return sorted(self.rows, key=lambda row: -abs(math.log1p(row.error)))[:n]


def speculation_score(measured: Sequence[PublishedSpeculation], fitted: Fitted | None = None) -> SpeculationScore:
    """The forecast of every measurement, in order; *fitted* changes a runtime for the device and the model that are judged."""
    found = [_forecast(each, fitted) for each in measured]
    return SpeculationScore(
        tuple(each for each in found if isinstance(each, SpeculationRow)),
        tuple(each for each in found if isinstance(each, Skipped)),
    )


def _forecast(each: PublishedSpeculation, fitted: Fitted | None) -> SpeculationRow | Skipped:
    try:
        point = Speculating.of(_scenario(each, fitted), each.speculation).at(each.batch, each.context)
    except (InputError, ValueError) as reason:
        return Skipped(each.id, str(reason), each.origin)
    return _row(each, point) if point.fits else Skipped(each.id, DOES_NOT_FIT, each.origin)


def _scenario(each: PublishedSpeculation, fitted: Fitted | None) -> Scenario:
    runtime = each.runtime.under(each.api)
    runtime = fitted(runtime, each.hardware.name, each.loaded.model.name) if fitted else runtime
    # It ran: whoever measured may have had the system give more than it does by default.
    return scenario(
        each.loaded,
        each.hardware.with_all_memory(),
        runtime=runtime,
        weights=each.weights,
        cache=each.cache or None,
        devices=each.n_devices,
    )


def _row(each: PublishedSpeculation, point: Speculated) -> SpeculationRow:
    acceptance = each.speculation.acceptance
    low, high = point.interval(acceptance)
    return SpeculationRow(
        id=each.id,
        model=each.loaded.model.name,
        hardware=each.hardware.name,
        n_devices=each.n_devices,
        runtime=each.runtime.name,
        weights=each.weights,
        speculation=each.speculation.name,
        batch=each.batch,
        context=each.context,
        plain_measured=each.plain_tokens_per_s,
        plain=float(point.plain.tokens_per_s),
        measured=each.tokens_per_s,
        forecast=point.tokens_per_s(acceptance),
        low=low,
        high=high,
        is_mixture=bool(each.loaded.model.experts),
        origin=each.origin,
    )
