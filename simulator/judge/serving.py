"""Forecasts of servers under constant load beside measurements: seconds for each token, and to the first one."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from simulator.errors import InputError
from simulator.forecast.server_steps import Server
from simulator.forecast.serving import Served, serve_all
from simulator.importers.records import DOES_NOT_FIT, Skipped
from simulator.importers.serving import ServedPublished
from simulator.progress import Progress
from simulator.spec.mixes import parse_weights
from simulator.spec.quant import parse_cache_format
from simulator.spec.serving import Traffic
from simulator.spec.workload import Workload
from simulator.traffic.constant import simulate_all

What = Literal["token", "first"]
CONTESTED = 1.2  # rows with the same settings that differ by more have something else that is not told


@dataclass(frozen=True)
class ServingRow:
    """One measurement with its forecast, in seconds."""

    id: str
    model: str
    hardware: str
    runtime: str
    weights: str
    n_devices: int
    concurrency: int
    input_tokens: int
    output_tokens: int
    token_measured_s: float
    token_s: float
    first_measured_s: float
    first_s: float
    batch: int  # requests that decode at once, by the forecast
    is_full: bool
    n_drafts: int = 0  # tokens that were speculated in each step, which the forecast does not
    twins: float = 1.0  # the slowest over the fastest of rows with the same settings: what the settings do not tell
    assumed: tuple[str, ...] = ()

    def error(self, what: What) -> float:
        """Forecast over measurement, minus 1: above 0 the forecast is too slow."""
        forecast, measured = (
            (self.token_s, self.token_measured_s) if what == "token" else (self.first_s, self.first_measured_s)
        )
        return forecast / measured - 1


@dataclass(frozen=True)
class ServingScore:
    """Every row that could be forecast, and those that could not. Summaries of no rows are None."""

    rows: tuple[ServingRow, ...]
    skipped: tuple[Skipped, ...] = ()

    def median_abs_error(self, what: What = "token") -> float | None:
        """Half of the rows are nearer than this."""
        return statistics.median(abs(row.error(what)) for row in self.rows) if self.rows else None

    def p90_abs_error(self, what: What = "token") -> float | None:
        """Nine in ten rows are nearer than this."""
        return float(np.percentile([abs(row.error(what)) for row in self.rows], 90)) if self.rows else None

    def bias(self, what: What = "token") -> float | None:
        """Median of ln(forecast / measurement): above 0, forecasts are too slow."""
        return statistics.median(math.log1p(row.error(what)) for row in self.rows) if self.rows else None

    def by(self, *fields: str) -> dict[tuple, ServingScore]:
        """The scores of the rows that share the values of *fields*, such as runtime and hardware; without the skipped."""
        groups: dict[tuple, list[ServingRow]] = defaultdict(list)
        for row in self.rows:
            groups[tuple(getattr(row, field) for field in fields)].append(row)
        return {values: ServingScore(tuple(rows)) for values, rows in sorted(groups.items())}

    def settled(self, most: float = CONTESTED) -> ServingScore:
        """The rows that speculate nothing, and whose settings decide the time per token within a factor of *most*."""
        return ServingScore(tuple(row for row in self.rows if row.twins <= most and not row.n_drafts), self.skipped)

    def worst(self, n: int, what: What = "token") -> list[ServingRow]:
        """The *n* rows that are furthest off, in either direction by factor."""
        return sorted(self.rows, key=lambda row: -abs(math.log1p(row.error(what))))[:n]


Forecast = Callable[[Server, Sequence[Traffic]], Sequence[Served]]


def simulated_score(measured: Sequence[ServedPublished], progress: Progress) -> ServingScore:
    """The same of every measurement gone through request by request, which takes a tenth of a second or a few."""
    n_done = 0

    def done() -> None:
        nonlocal n_done
        n_done += 1
        progress(n_done / len(measured), f"server {n_done:,} of {len(measured):,}")

    return serving_score(measured, lambda server, traffics: simulate_all(server, traffics, done))


def serving_score(measured: Sequence[ServedPublished], forecast: Forecast = serve_all) -> ServingScore:
    """The forecast of every measurement, in order; by default of its steady state."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, each in enumerate(measured):
        groups[id(each.loaded), id(each.hardware), id(each.runtime), each.weights, each.cache, each.layout].append(
            place
        )
    found: dict[int, ServingRow | Skipped] = {}
    for places in groups.values():
        group = [measured[place] for place in places]
        found.update(zip(places, _forecast_group(group, forecast), strict=True))
    ordered = [found[place] for place in range(len(measured))]
    return ServingScore(
        _with_twins([each for each in ordered if isinstance(each, ServingRow)]),
        tuple(each for each in ordered if isinstance(each, Skipped)),
    )


def _with_twins(rows: list[ServingRow]) -> tuple[ServingRow, ...]:
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for row in rows:
        groups[_settings(row)].append(row.token_measured_s)
    return tuple(replace(row, twins=max(groups[_settings(row)]) / min(groups[_settings(row)])) for row in rows)


def _settings(row: ServingRow) -> Hashable:
    """What is told of how a row was measured; equal settings have equal forecasts."""
    return (row.model, row.hardware, row.runtime, row.weights, row.n_devices, row.concurrency, row.input_tokens,
            row.output_tokens, row.n_drafts, row.token_s)  # fmt: skip


def _forecast_group(group: list[ServedPublished], forecast: Forecast) -> list[ServingRow | Skipped]:
    """Rows that differ in their traffic only."""
    try:
        served = forecast(server_of(group[0]), [each.traffic for each in group])
    except (InputError, ValueError) as reason:
        return [Skipped(each.id, str(reason)) for each in group]
    return [
        _row(each, result) if result.batch else Skipped(each.id, DOES_NOT_FIT)
        for each, result in zip(group, served, strict=True)
    ]


def server_of(each: ServedPublished) -> Server:
    """The server that a row is of; InputError where it cannot have run."""
    runtime = each.runtime
    # It ran: whoever measured may have had the system give more than it does by default.
    hardware = each.hardware.with_all_memory().arranged(each.layout)
    refusal = runtime.refusal(each.hardware, each.weights)
    if refusal:
        raise InputError(refusal)
    load = Workload(parse_weights(each.weights), cache=parse_cache_format(each.cache))
    return Server(each.loaded.model, hardware, runtime, load, each.layout)


def _row(each: ServedPublished, found: Served) -> ServingRow:
    return ServingRow(
        id=each.id,
        model=each.loaded.model.name,
        hardware=each.hardware.name,
        runtime=each.runtime.name,
        weights=each.weights,
        n_devices=each.layout.n_devices,
        concurrency=each.traffic.concurrency,
        input_tokens=each.traffic.input_tokens,
        output_tokens=each.traffic.output_tokens,
        token_measured_s=each.seconds_per_token,
        token_s=found.seconds_per_token,
        first_measured_s=each.seconds_to_first,
        first_s=found.seconds_to_first,
        batch=found.batch,
        is_full=found.is_full,
        n_drafts=each.n_drafts,
        assumed=each.assumed,
    )
