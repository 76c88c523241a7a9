"""Bars with their names before them and their values behind; on a logarithmic axis, where no length means anything, dots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.report.charts.chart import Chart, Panel, Series
from simulator.report.drawing.axes import TICK_ROOM, count, label_x, set_ticks
from simulator.report.drawing.margins import NAME, SMALL, width_of, wrapped
from simulator.report.drawing.style import GREY, INK, colour_of
from simulator.report.ticks import even_places, round_places
from simulator.units import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAR_HEIGHT, LINE_HEIGHT = 0.36, 0.16  # inches of each bar, and of a line of its name
BAR_EDGES, LABEL_GAP = 0.55, 0.06  # around the axes of bars; before and behind a value
NAME_SHARE, NAME_LINES = 0.34, 3  # of the width, and lines, for the name of a bar


def draw_bars(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    """From zero on a linear axis; on a logarithmic one, where no length means anything, dots."""
    (each,) = panel.series
    rows = range(len(each.x))
    names = [wrapped(name, NAME_SHARE * wide, NAME, most=NAME_LINES) for name in each.x]
    reasons = max(
        (width_of(note, SMALL) for y, note in zip(each.y, each.notes, strict=True) if y is not None),
        default=0.0,
    )
    room = wide - name_room(chart, wide) - reasons - BAR_EDGES  # inches along the axis
    axes.set_yticks(list(rows), ["\n".join(lines) for lines in names], fontsize=NAME)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=chart.x_log)
    label_x(axes, chart.x, room + reasons)
    for row in rows:
        if each.y[row] is None:
            _say_misfit(axes, row, wrapped(each.notes[row], room + reasons, SMALL, most=2))
    if not any(each.y):
        axes.set_xticks([])
        return
    for row in rows:
        if each.y[row] is not None:
            _bar(axes, each, row, is_dot=chart.x_log)
            axes.annotate(each.notes[row], (1, row), (6, 0), axes.get_yaxis_transform(), textcoords="offset points", va="center",
                          fontsize=SMALL, color=GREY, annotation_clip=False)  # fmt: skip
    for point in each.measured:
        axes.errorbar(point.y, point.x, xerr=[[point.y - point.low], [point.high - point.y]], fmt="*", ms=10, color=INK,
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


def _scale_bars(axes: Axes, chart: Chart, each: Series, room: float) -> None:
    """The axis, and each value at the end of its bar: of the interval, and where it would lie on the ceiling's tick, of that."""
    ends = {row: _ends(each, row) for row, y in enumerate(each.y) if y is not None}
    widths = {row: width_of(format_number(each.y[row]), SMALL, "bold") + 2 * LABEL_GAP for row in ends}
    of = math.log if chart.x_log else float
    low = of(min(low for low, _, _ in ends.values()) / 1.5) if chart.x_log else 0.0
    reach = {row: of(end) - low for row, (_, end, _) in ends.items()}
    ticks = {row: of(ceiling) - low for row, (_, _, ceiling) in ends.items()}
    span, moved = _span(reach, ticks, widths, room)
    for row, (_, end, ceiling) in ends.items():
        place = (max(end, ceiling) if row in moved else end, row)
        axes.annotate(format_number(each.y[row]), place, (72 * LABEL_GAP, 0), textcoords="offset points", va="center", fontsize=SMALL,
                      fontweight="bold", color=INK, gid="value")  # fmt: skip
    high = low + span
    limits = (math.exp(low), math.exp(high)) if chart.x_log else (low, high)
    axes.set(xscale="log" if chart.x_log else "linear", xlim=limits)
    most = max(2, int(room / TICK_ROOM))
    places = round_places(*limits, most) if chart.x_log else even_places(high, most)
    set_ticks(axes.xaxis, places, count)


def _span(
    reach: dict[int, float], ticks: dict[int, float], widths: dict[int, float], room: float
) -> tuple[float, set[int]]:
    """How long an axis of *room* inches has to be for labels of some widths behind what *reach* says, and which of them stand
    behind their tick instead, where they would lie on it."""
    # A label takes a share of the inches, whatever the scale turns out to be.
    span = max(1.02 * max(ticks.values()), *(reach[row] / (1 - widths[row] / room) for row in reach))
    while True:
        inch = span / room
        moved = {row for row in reach if reach[row] - LABEL_GAP * inch < ticks[row] < reach[row] + widths[row] * inch}
        wanted = max([span, *(max(reach[row], ticks[row]) / (1 - widths[row] / room) for row in moved)])
        if wanted <= span:
            return span, moved
        span = wanted


def _ends(each: Series, row: int) -> tuple[float, float, float]:
    """The lowest that is drawn of a row, the end of its interval or of what was measured, and its ceiling."""
    points = [value for point in each.measured if point.x == row for value in (point.low, point.high)]
    values = [value for value in (each.low[row], each.y[row], each.high[row], *points) if value]
    return min(values), max(values), each.ceiling[row]


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
