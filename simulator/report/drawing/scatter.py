"""Forecasts over measurements, with the bars of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.charts.chart import Chart, Panel, Series, caption
from simulator.report.drawing.axes import TICK_ROOM, Y_ROOM, count, label_x, set_ticks
from simulator.report.drawing.style import INK, colour_of, marker_of
from simulator.report.ticks import round_places, widened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY, VERY_MANY = 150, 1_000  # points that want smaller markers


def draw_scatter(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    """Points around the line where forecast and measurement are equal."""
    ends = [value for each in panel.series for value in (*each.x, *each.y, *each.low, *each.high)]
    ends += [value for each in panel.series for point in each.measured for value in (point.low, point.high)]
    low, high = widened(min(ends), max(ends))
    axes.plot([low, high], [low, high], color=INK, lw=1, label="_equal")
    n = sum(len(each.x) for each in panel.series)
    size = 5 if n <= MANY else 3 if n <= VERY_MANY else 2
    for each in panel.series:
        look = {"fmt": marker_of(each.colour), "ms": size, "color": colour_of(each.colour), "alpha": 0.8}
        bars = {"yerr": _interval(each), "xerr": _spread(each), "elinewidth": 0.8}
        axes.errorbar(each.x, each.y, **bars, **look, label=each.label)
    axes.set(xscale="log", yscale="log", ylabel=caption(panel.y, is_log=True), xlim=(low, high), ylim=(low, high))
    label_x(axes, caption(chart.x, is_log=True), wide - Y_ROOM)
    set_ticks(axes.xaxis, round_places(low, high, most=max(2, int((wide - Y_ROOM) / TICK_ROOM))), count)
    set_ticks(axes.yaxis, round_places(low, high), count)


def _interval(each: Series) -> list[list[float]] | None:
    """How far the interval reaches below and above each forecast; None where it is not shown."""
    if not each.low:
        return None
    return [
        [max(0.0, y - low) for y, low in zip(each.y, each.low, strict=True)],
        [max(0.0, high - y) for y, high in zip(each.y, each.high, strict=True)],
    ]


def _spread(each: Series) -> list[list[float]] | None:
    """The same of each measurement."""
    return [[p.x - p.low for p in each.measured], [p.high - p.x for p in each.measured]] if each.measured else None
