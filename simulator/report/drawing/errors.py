"""The spread of errors in each group: a dot at the median, a thick line for half of the rows, a thin one for eight in ten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.charts.chart import Chart, Panel
from simulator.report.drawing.axes import TICK_ROOM, label_x, set_ticks
from simulator.report.drawing.bars import BAR_EDGES, NAME_LINES, NAME_SHARE, name_room
from simulator.report.drawing.margins import NAME, SMALL, width_of, wrapped
from simulator.report.drawing.style import BLUE, GREY, INK
from simulator.report.ticks import round_places, widened

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_errors(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    """A row for each group around a line where forecast and measurement are equal."""
    (each,) = panel.series
    rows = range(len(each.x))
    names = [wrapped(name, NAME_SHARE * wide, NAME, most=NAME_LINES) for name in each.x]
    room = wide - name_room(chart, wide) - BAR_EDGES - max((width_of(note, SMALL) for note in each.notes), default=0.0)
    low, high = widened(*_ends(chart))
    axes.axvline(1.0, color=INK, lw=1, label="_equal")
    for row in rows:
        axes.plot([each.low[row], each.high[row]], [row, row], color=BLUE, lw=1.2, label="_most")
        axes.plot(each.half[row], [row, row], color=BLUE, lw=4, alpha=0.45, solid_capstyle="butt", label="_half")
        axes.plot([each.y[row]], [row], "o", color=BLUE, ms=5.5, label="_median")
        axes.annotate(each.notes[row], (1, row), (6, 0), axes.get_yaxis_transform(), textcoords="offset points", va="center",
                      fontsize=SMALL, color=GREY, annotation_clip=False)  # fmt: skip
    axes.set_yticks(list(rows), ["\n".join(lines) for lines in names], fontsize=NAME)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set(xscale="log", xlim=(low, high))
    set_ticks(axes.xaxis, round_places(low, high, most=max(2, int(room / TICK_ROOM))), lambda value: f"{value:g}")
    label_x(axes, chart.x, room)


def _ends(chart: Chart) -> tuple[float, float]:
    """Of all panels, so that they can be compared; 1 is always among what is shown."""
    values = [value for panel in chart.panels for each in panel.series for value in (*each.low, *each.high)]
    return min([*values, 0.8]), max([*values, 1.25])
