"""Forecasts over measurements, with the bars of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.charts.chart import Chart, Panel
from simulator.report.drawing.axes import TICK_ROOM, Y_ROOM, count, label_x, set_ticks
from simulator.report.drawing.style import INK, colour_of, marker_of
from simulator.report.ticks import round_places, widened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 150  # points that want smaller markers


def draw_scatter(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    """Points around the line where forecast and measurement are equal."""
    ends = [value for each in panel.series for value in (*each.x, *each.low, *each.high)]
    ends += [value for each in panel.series for point in each.measured for value in (point.low, point.high)]
    low, high = widened(min(ends), max(ends))
    axes.plot([low, high], [low, high], color=INK, lw=1, label="_equal")
    size = 5 if sum(len(each.x) for each in panel.series) <= MANY else 3
    for each in panel.series:
        colour, x = colour_of(each.colour), each.x
        interval = [
            [max(0.0, y - low) for y, low in zip(each.y, each.low, strict=True)],
            [max(0.0, high - y) for y, high in zip(each.y, each.high, strict=True)],
        ]
        spread = [[p.x - p.low for p in each.measured], [p.high - p.x for p in each.measured]]
        axes.errorbar(x, each.y, yerr=interval, xerr=spread, fmt=marker_of(each.colour), ms=size, color=colour, alpha=0.8, elinewidth=0.8,
                      label=each.label)  # fmt: skip
    axes.set(xscale="log", yscale="log", ylabel=panel.y, xlim=(low, high), ylim=(low, high))
    label_x(axes, chart.x, wide - Y_ROOM)
    set_ticks(axes.xaxis, round_places(low, high, most=max(2, int((wide - Y_ROOM) / TICK_ROOM))), count)
    set_ticks(axes.yaxis, round_places(low, high), count)
