"""Stacked bars, each component on top of the ones before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.charts.chart import Chart, Panel
from simulator.report.drawing.axes import TICK_ROOM, Y_ROOM, label_x
from simulator.report.drawing.style import TEXTURES, colour_of
from simulator.units import format_bytes, format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_stacks(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    """A bar for each place along the axis, its components with colours and textures."""
    x = panel.series[0].x
    places = range(len(x))
    below = [0.0] * len(x)
    for each in panel.series:
        axes.bar(places, each.y, 0.78, below, color=colour_of(each.colour), hatch=TEXTURES[each.colour % 6], edgecolor="white", lw=0.4,
                 label=each.label)  # fmt: skip
        below = [one + two for one, two in zip(below, each.y, strict=True)]
    every = -(-len(x) // max(2, int((wide - Y_ROOM) / (TICK_ROOM / 2))))
    axes.set_xticks(list(places)[::every], [format_count(value) for value in x[::every]])
    axes.set(ylabel=panel.y, ylim=(0, max(below) * 1.06))
    label_x(axes, chart.x, wide - Y_ROOM)
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_formatter(lambda value, _: format_bytes(value) if value else "0")
