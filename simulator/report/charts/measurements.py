"""Measurements in charts: those that belong to a scenario's line or bar, and all of them against their forecasts."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.forecast.scenario import Scenario
from simulator.report.charts.chart import Chart, Panel, Point, Series
from simulator.report.measured import Measured, told_errors


def measured_of(measured: Sequence[Measured], base: Scenario) -> list[Measured]:
    """Measurements of a scenario's model, device, runtime and format, with its routing and sparsity."""
    load = base.load
    return [
        each
        for each in measured
        if (each.model, each.hardware) == (base.loaded.model.name, base.hardware.label)
        and (each.runtime, each.weights) == (base.runtime.name, load.weights.name)
        and (each.routing, each.sparsity) == (load.routing.name, load.sparsity.name if load.sparsity else None)
        and each.threads in (None, load.threads or base.hardware.threads or base.hardware.cores)
    ]


def is_near(found: int, wanted: int) -> bool:
    """Contexts so near that the difference does not show."""
    return abs(found - wanted) <= max(128, wanted // 4)


def error_bar(x: float, each: Measured, share: float = 1.0) -> Point:
    """A measurement at a place along the axis, times *share*."""
    return Point(x, each.tokens_per_s * share, each.tokens_per_s_low * share, each.tokens_per_s_high * share)


def measured_chart(measured: Sequence[Measured], what: str) -> Chart:
    """Every forecast against its measurement."""
    groups: dict[str, list[Measured]] = {}
    several = len({each.model for each in measured}) <= 7
    for each in measured:
        groups.setdefault(each.model if several else "measurements", []).append(each)
    series = []
    for number, (label, rows) in enumerate(groups.items()):
        series.append(_beside_forecasts(label, rows, number))
    panel = Panel("", tuple(series), "forecast, tokens/s")
    return Chart("measured", "scatter", "Forecast against measured", "measured, tokens/s", (panel,), told_errors(measured), what,
                 legend="bars: 80 % interval, spread of the measurement")  # fmt: skip


def _beside_forecasts(label: str, rows: Sequence[Measured], colour: int) -> Series:
    """Forecasts over measurements, with the intervals of the one and the spread of the other."""
    return Series(
        label,
        tuple(each.tokens_per_s for each in rows),
        tuple(each.forecast for each in rows),
        tuple(each.forecast_low for each in rows),
        tuple(each.forecast_high for each in rows),
        notes=tuple(each.id for each in rows),
        measured=tuple(
            Point(each.tokens_per_s, each.forecast, each.tokens_per_s_low, each.tokens_per_s_high) for each in rows
        ),
        colour=colour,
    )
