"""Forecasts beside measurements: how far they lie apart, and how many of the measurements the interval holds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np

from simulator.errors import InputError
from simulator.forecast.fit import memory_limit
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario, scenario
from simulator.importers.records import DOES_NOT_FIT, Published, Skipped, Unusable
from simulator.spec.hardware import Hardware
from simulator.spec.names import with_count
from simulator.spec.runtime import Runtime

MORE_MEMORY = "the device was made to give more memory than it does by default"


@dataclass(frozen=True)
class Row:
    """One measurement with its forecast. Rates are totals over the batch."""

    id: str
    model: str
    hardware: str
    device_class: str
    runtime: str
    weights: str
    cache: str
    batch: int
    context: int
    threads: int | None
    tokens_per_s_measured: float
    spread: float | None  # standard deviation of the measurement over its mean
    tokens_per_s: float
    low: float
    high: float
    ceiling: float
    bound: str
    assumed: tuple[str, ...] = ()
    devices: int = 1  # so many of the hardware

    @property
    def label(self) -> str:
        """The hardware, with how many of it: `2xrtx-3090`."""
        return with_count(self.devices, self.hardware)

    @property
    def error(self) -> float:
        """Forecast over measurement, minus 1: above 0 the forecast is too fast."""
        return self.tokens_per_s / self.tokens_per_s_measured - 1

    @property
    def held(self) -> bool:
        """Whether the measurement lies inside the 80 % interval."""
        return self.low <= self.tokens_per_s_measured <= self.high


@dataclass(frozen=True)
class Score:
    """Every row that could be forecast, and those that could not. Summaries of no rows are None."""

    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...] = ()

    @cached_property
    def _errors(self) -> list[float]:
        return [abs(row.error) for row in self.rows]

    @property
    def median_abs_error(self) -> float | None:
        """Half of the rows are nearer than this."""
        return statistics.median(self._errors) if self.rows else None

    @property
    def p90_abs_error(self) -> float | None:
        """Nine in ten rows are nearer than this."""
        return float(np.percentile(self._errors, 90)) if self.rows else None

    @property
    def held(self) -> float | None:
        """Share of the measurements inside the 80 % interval: 0.8 would be right."""
        return sum(row.held for row in self.rows) / len(self.rows) if self.rows else None

    @property
    def n_above_ceiling(self) -> int:
        """Measurements above what the datasheet allows: each shows a mistake, here or there."""
        return sum(row.tokens_per_s_measured > row.ceiling for row in self.rows)

    @property
    def bias(self) -> float | None:
        """Median of ln(forecast / measurement): above 0, forecasts are too fast."""
        return statistics.median(log(1 + row.error) for row in self.rows) if self.rows else None

    def worst(self, n: int) -> list[Row]:
        """The *n* rows that are furthest off, in either direction by factor."""
        return sorted(self.rows, key=lambda row: -abs(log(1 + row.error)))[:n]

    def by(self, field: str) -> dict[str, Score]:
        """The scores of the rows that share a value of *field*, such as device_class; without the skipped."""
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            groups[getattr(row, field)].append(row)
        return {value: Score(tuple(rows)) for value, rows in sorted(groups.items())}


def score(
    measured: Sequence[Published], hardware: Hardware | None = None, runtime: Runtime | str | None = None
) -> Score:
    """The forecast of every measurement, in order; *hardware* where they name none, *runtime* instead of theirs."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, each in enumerate(measured):
        groups[_shared(each, hardware)].append(index)
    found: dict[int, Row | Skipped] = {}
    for indices in groups.values():
        rows = _forecast_group([measured[index] for index in indices], hardware, runtime)
        found.update(zip(indices, rows, strict=True))
    ordered = [found[index] for index in sorted(found)]
    return Score(
        tuple(each for each in ordered if isinstance(each, Row)),
        tuple(each for each in ordered if isinstance(each, Skipped)),
    )


def _shared(each: Published, hardware: Hardware | None) -> Hashable:
    """What rows have in common that one sweep can forecast."""
    return (
        id(each.loaded),
        each.weights,
        each.cache,
        each.threads,
        each.runtime,
        id(each.hardware or hardware),
        each.ran_on,
    )


def _forecast_group(
    group: list[Published], hardware: Hardware | None, runtime: Runtime | str | None
) -> list[Row | Skipped]:
    """Rows that differ in batch and context only, forecast in one pass."""
    try:
        base = _scenario(group[0], hardware, runtime)
        points = base.at(np.array([each.batch for each in group]), np.array([each.context for each in group]))
    except (InputError, Unusable) as reason:
        return [Skipped(each.id, str(reason)) for each in group]
    device = (group[0].hardware or hardware).times(base.hardware.n_devices, base.runtime.split)
    usual = memory_limit(device, base.runtime)
    return _rows(group, base, points, usual)


def _scenario(each: Published, hardware: Hardware | None, runtime: Runtime | str | None) -> Scenario:
    device = each.hardware or hardware
    if device is None:
        raise Unusable("the device is not stated")
    if each.ran_on and each.ran_on != device.kind:
        raise Unusable(f"ran on the {each.ran_on.upper()}, {device.name} is a {device.kind.upper()}")
    return scenario(
        each.loaded,
        device.with_all_memory(),  # it ran: whoever measured may have had the system give more than it does by default
        weights=each.weights,
        cache=each.cache,
        runtime=runtime or each.runtime,
        threads=each.threads if device.kind == "cpu" else None,
    )


def _rows(group: list[Published], base: Scenario, points: Prediction, usual: float) -> list[Row | Skipped]:
    """Each measurement beside its forecast; *usual*: bytes that the device gives where nobody told it otherwise."""
    values = [points.tokens_per_s, points.tokens_per_s_low, points.tokens_per_s_high, points.tokens_per_s_ceiling]
    rates = np.broadcast_arrays(*values, np.zeros(len(group)))[:-1]
    bounds, needed = (np.broadcast_to(each, len(group)) for each in (points.bound, points.memory_bytes))
    found: list[Row | Skipped] = []
    for place, each in enumerate(group):
        if bounds[place] == "does_not_fit":
            found.append(Skipped(each.id, DOES_NOT_FIT))
            continue
        rate, low, high, ceiling = (float(values[place]) for values in rates)
        found.append(
            Row(
                id=each.id,
                model=base.loaded.model.name,
                hardware=base.hardware.name,
                device_class=base.hardware.device_class,
                runtime=base.runtime.name,
                weights=base.load.weights.name,
                cache=base.load.cache.name,
                batch=each.batch,
                context=each.context,
                threads=points.threads,
                tokens_per_s_measured=each.tokens_per_s,
                spread=each.spread,
                tokens_per_s=rate,
                low=low,
                high=high,
                ceiling=ceiling,
                bound=str(bounds[place]),
                assumed=(*each.assumed, *([MORE_MEMORY] if needed[place] > usual else [])),
                devices=base.hardware.n_devices,
            )
        )
    return found
