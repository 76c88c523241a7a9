"""Bars between their names and their values; on a logarithmic axis, where no length means anything, dots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.report.charts.chart import Chart, Panel, Series
from simulator.report.drawing.axes import TICK_ROOM, count, label_x, set_ticks
from simulator.report.drawing.margins import NAME, SMALL, width_of, wrapped
from simulator.report.drawing.style import GREY, INK, MEASURED, colour_of
from simulator.report.ticks import even_places, round_places, widened
from simulator.units import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAR_HEIGHT, LINE_HEIGHT = 0.36, 0.16  # inches of each bar, and of a line of its name
BAR_EDGES, LABEL_GAP = 0.55, 0.12  # around the axes of bars; between a value and the words behind it
NAME_SHARE, NAME_LINES = 0.34, 3  # of the width, and lines, for the name of a bar


def draw_bars(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    """From zero on a linear axis; on a logarithmic one, where no length means anything, dots."""
    (each,) = panel.series
    rows = range(len(each.x))
    names = [wrapped(name, NAME_SHARE * wide, NAME, most=NAME_LINES) for name in each.x]
    fitting = [row for row in rows if each.y[row] is not None]
    values = max((width_of(format_number(each.y[row]), SMALL, "bold") for row in fitting), default=0.0)
    beside = values + LABEL_GAP + max((width_of(each.notes[row], SMALL) for row in fitting), default=0.0)
    room = wide - name_room(chart, wide) - beside - BAR_EDGES  # inches along the axis
    axes.set_yticks(list(rows), ["\n".join(lines) for lines in names], fontsize=NAME)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=chart.x_log)
    label_x(axes, chart.x, room + beside)
    for row in rows:
        if each.y[row] is None:
            _say_misfit(axes, row, wrapped(each.notes[row], room + beside, SMALL, most=2))
    if not any(each.y):
        axes.set_xticks([])
        return
    for row in fitting:
        _bar(axes, each, row, is_dot=chart.x_log)
        _say(axes, row, format_number(each.y[row]), 0.0, fontweight="bold", color=INK, gid="value")
        _say(axes, row, each.notes[row], values + LABEL_GAP, color=GREY)
    for point in each.measured:
        axes.errorbar(point.y, point.x, xerr=[[point.y - point.low], [point.high - point.y]], fmt=MEASURED, ms=10, color=INK,
                      mfc="white", elinewidth=1.1, capsize=2.5, zorder=5, label="_measured")  # fmt: skip
    _scale_bars(axes, chart, each, room)


def row_height(chart: Chart, wide: float) -> float:
    """Inches of a bar, with room for the lines of its name."""
    names = [name for panel in chart.panels for name in panel.series[0].x]
    lines = max(len(wrapped(name, NAME_SHARE * wide, NAME, most=NAME_LINES)) for name in names)
    return max(BAR_HEIGHT, LINE_HEIGHT * lines + 0.1)


def name_room(chart: Chart, wide: float) -> float:
    """Inches of the longest line of a name: panels above each other have the same."""
    names = [name for panel in chart.panels for name in panel.series[0].x]
    lines = [line for name in names for line in wrapped(name, NAME_SHARE * wide, NAME, most=NAME_LINES)]
    return max(width_of(line, NAME) for line in lines)


def _say_misfit(axes: Axes, row: int, lines: Sequence[str]) -> None:
    text = axes.annotate("\n".join(lines), (0, row), (4, 0), axes.get_yaxis_transform(), textcoords="offset points", va="center",
                         fontsize=SMALL, color=GREY, annotation_clip=False)  # fmt: skip
    text.set_in_layout(False)  # it may reach over what limits the others


def _say(axes: Axes, row: int, text: str, behind: float, **look: Any) -> None:
    """Words to the right of the axes, where nothing is drawn that they could lie on, so many inches *behind* the first ones."""
    axes.annotate(text, (1, row), (6 + 72 * behind, 0), axes.get_yaxis_transform(), textcoords="offset points", va="center",
                  fontsize=SMALL, annotation_clip=False, **look)  # fmt: skip


def _scale_bars(axes: Axes, chart: Chart, each: Series, room: float) -> None:
    """An axis of *room* inches on which all intervals, measurements and ceilings are."""
    ends = [_ends(each, row) for row, y in enumerate(each.y) if y is not None]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    limits = widened(low, high) if chart.x_log else (0.0, 1.02 * high)
    axes.set(xscale="log" if chart.x_log else "linear", xlim=limits)
    most = max(2, int(room / TICK_ROOM))
    places = round_places(*limits, most) if chart.x_log else even_places(limits[1], most)
    set_ticks(axes.xaxis, places, count)


def _ends(each: Series, row: int) -> tuple[float, float]:
    """The lowest and the highest that is drawn of a row."""
    points = [value for point in each.measured if point.x == row for value in (point.low, point.high)]
    values = [value for value in (each.low[row], each.y[row], each.high[row], each.ceiling[row], *points) if value]
    return min(values), max(values)


def _bar(axes: Axes, each: Series, row: int, is_dot: bool) -> None:
    value, low, high, ceiling = each.y[row], each.low[row], each.high[row], each.ceiling[row]
    colour, name = colour_of(each.colour), each.x[row]
    if is_dot:
        axes.plot(value, row, "o", color=colour, ms=8, label=f"_{name}")
    else:
        axes.barh(row, value, height=0.62, color=colour, alpha=0.85, label=f"_{name}")
    if low is not None:
        axes.errorbar(value, row, xerr=[[value - low], [high - value]], color=INK, elinewidth=1.2, capsize=3)
    axes.plot([ceiling, ceiling], [row - 0.31, row + 0.31], color=GREY, lw=2, label=f"_ceiling {name}")
