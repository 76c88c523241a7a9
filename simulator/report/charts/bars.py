"""Bars of tokens per second at one batch and context: models and devices beside each other, and formats of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.report.charts.chart import Chart, Panel, Point, Series
from simulator.report.charts.measurements import is_near, measured_of
from simulator.report.charts.naming import (
    by_device,
    colours_of,
    device_name,
    format_name,
    grouped,
    model_name,
    panel_title,
    shared_name,
    subtitle,
)
from simulator.report.charts.source import source_of
from simulator.report.measured import Measured
from simulator.units import format_gib


def speed_chart(bases: Sequence[Scenario], batch: int, context: int, measured: Sequence[Measured] = ()) -> Chart:
    """Models and devices beside each other at one batch and context."""
    devices, models = by_device(bases), grouped(bases, model_name)
    if len(models) == 1 and len(devices) > 1:
        groups = {"": (list(bases), device_name)}
    elif len(devices) == 1:
        groups = {"": (list(bases), model_name)}
    else:
        groups = {title: (group, model_name) for title, group in devices.items()}
    shared = shared_name(map(format_name, bases))
    colour = colours_of(name(base) for group, name in groups.values() for base in group)
    panels = [
        Panel(title, (_bars(group, lambda b, name=name: name(b) + ("" if shared else f", {format_name(b)}"), batch, context, measured,
                            lambda b, name=name: colour[name(b)]),), _rate_name(batch))
        for title, (group, name) in groups.items()
    ]  # fmt: skip
    is_of_devices = any(name is device_name for _, name in groups.values())
    each = ("device" if is_of_devices else "model") + ("" if shared else ", format")
    return _bar_chart("speed", "Tokens per second", each, panels, bases, batch, context)


def _rate_name(batch: int) -> str:
    return "tokens/s" + (", all sequences together" if batch > 1 else "")


def formats_chart(bases: Sequence[Scenario], batch: int, context: int, measured: Sequence[Measured] = ()) -> Chart:
    """Formats of each model on each device, the smallest first."""
    groups = grouped(bases, lambda base: f"{model_name(base)}\n{device_name(base)}")
    panels = []
    for group in groups.values():
        title = panel_title(group[0], bases, (model_name, device_name))
        ordered = sorted(group, key=lambda base: float(base.at(1, 0).weight_bytes))
        bars = _bars(
            ordered, lambda b: f"{format_name(b)}, {format_gib(b.at(1, 0).weight_bytes)}", batch, context, measured
        )
        panels.append(Panel(title if len(groups) > 1 else "", (bars,), _rate_name(batch)))
    return _bar_chart("formats", "Tokens per second by format", "format, its weights", panels, bases, batch, context)


def _bar_chart(
    kind: str, title: str, each: str, panels: Sequence[Panel], bases: Sequence[Scenario], batch: int, context: int
) -> Chart:
    source = source_of(bases, f"batch {batch:,}", f"context {context:,}")
    is_wide = any(_is_wide([y for each in panel.series for y in each.y if y]) for panel in panels)
    has_low = any(low for panel in panels for each in panel.series for low in each.low)
    has_stars = any(each.measured for panel in panels for each in panel.series)
    told = (*(["bar: 80 % interval"] if has_low else []), "tick: ceiling", *(["star: measured"] if has_stars else []))
    x = _rate_name(batch) + (", logarithmic" if is_wide else "")
    shared = {"x_log": is_wide, "y_log": False, "legend": "; ".join(told), "each": each}
    return Chart(kind, "bars", title, x, tuple(panels), source, subtitle(bases), **shared)


def _is_wide(rates: Sequence[float]) -> bool:
    """Whether the shortest bar could not be seen beside the longest, on axes of their own."""
    return bool(rates) and max(rates) > 30 * min(rates)


def _bars(
    bases: Sequence[Scenario],
    name: Callable[[Scenario], str],
    batch: int,
    context: int,
    measured: Sequence[Measured],
    colour: Callable[[Scenario], int] = lambda _: 0,
) -> Series:
    points = [base.at(batch, context) for base in bases]
    found = [
        Point(number, each.tokens_per_s, each.tokens_per_s_low, each.tokens_per_s_high)
        for number, base in enumerate(bases)
        for each in measured_of(measured, base)
        if each.batch == batch and is_near(each.context, context)
    ]
    fitting = [bool(point.fits) for point in points]

    def known(values: Iterable[Any]) -> tuple[float | None, ...]:
        found = zip(values, fitting, strict=True)
        return tuple(float(value) if fits and value is not None else None for value, fits in found)

    return Series(
        "tokens/s",
        tuple(_apart([name(base) for base in bases])),
        known(point.tokens_per_s for point in points),
        known(None if point.is_upper_bound else point.tokens_per_s_low for point in points),
        known(point.tokens_per_s_high for point in points),
        known(point.tokens_per_s_ceiling for point in points),
        tuple(_bar_note(point) for point in points),
        measured=tuple(found),
        colour=colour(bases[0]),
    )


def _apart(names: Sequence[str]) -> list[str]:
    """The same names with a number where two are alike."""
    return [
        name if names[:n].count(name) == 0 else f"{name} ({names[:n].count(name) + 1})" for n, name in enumerate(names)
    ]


def _bar_note(point: Prediction) -> str:
    if not point.fits:
        return f"does not fit: needs {format_gib(float(point.memory_bytes))} of {format_gib(point.memory_limit_bytes)}"
    return f"{point.bound}-bound"
