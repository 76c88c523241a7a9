"""Charts as pictures: their panels in one or two columns, each drawn by its form, and all words around them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.report.charts.chart import ROWED, Chart, Form, Panel, table_of, without_zero
from simulator.report.drawing.axes import Y_ROOM
from simulator.report.drawing.bars import draw_bars, name_room, row_height
from simulator.report.drawing.errors import draw_errors
from simulator.report.drawing.files import save
from simulator.report.drawing.labels import entitle
from simulator.report.drawing.layout import empty_figure, settle
from simulator.report.drawing.legend import handles_of
from simulator.report.drawing.lines import draw_lines
from simulator.report.drawing.margins import PANEL_TITLE, SMALL, Words, surround, wrapped
from simulator.report.drawing.roofline import draw_roofline
from simulator.report.drawing.scatter import draw_scatter
from simulator.report.drawing.stacks import draw_stacks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

ONE_WIDTH, TWO_WIDTH, NARROW = 7.2, 10.0, 3.6  # inches of a picture with one column or two, and of a column at least
LINES_HEIGHT, ROOF_HEIGHT = 3.3, 4.6  # of a panel
ROOF_Y_ROOM, TITLE_GAP = 1.3, 0.15  # left of a roofline's axes, for ticks and label; right of a panel's title
_DRAWERS: dict[Form, Callable[[Axes, Chart, Panel, float], None]] = {
    "lines": draw_lines,
    "bars": draw_bars,
    "errors": draw_errors,
    "stacks": draw_stacks,
    "scatter": draw_scatter,
    "roofline": draw_roofline,
}


def save_chart(chart: Chart, path: Path) -> None:
    """The picture of a chart in a file, whole or not at all."""
    save(lambda: draw_chart(chart), path, values_of(chart))


def values_of(chart: Chart) -> str:
    """Every value of a chart as JSON, to four digits: a picture that is passed on keeps the numbers that it shows."""
    rows = [{name: _short(value) for name, value in row.items()} for row in table_of(chart)]
    x, y = chart.names
    notes = {panel.title: panel.note for panel in chart.panels if panel.note}
    return json.dumps({"kind": chart.kind, "x": x, "y": y, **({"notes": notes} if notes else {}), "rows": rows})


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def draw_chart(chart: Chart, width: float | None = None) -> Canvas:
    """The figure, so many inches wide or as its kind usually is: panels in one or two columns, all else above and below."""
    chart = without_zero(chart)
    width = width or (ONE_WIDTH if _columns(chart, TWO_WIDTH) == 1 else TWO_WIDTH)
    columns = _columns(chart, width)
    rows = [chart.panels[n : n + columns] for n in range(0, len(chart.panels), columns)]
    heights = [max(_height(chart, panel, width / columns) for panel in row) for row in rows]
    figure = empty_figure(width, sum(heights))
    handles, note = handles_of(chart, width)
    room = surround(figure, Words(chart.title, chart.source, chart.subtitle, note), handles, sum(heights))
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    for number, panel in enumerate(chart.panels):
        axes = figure.add_subplot(grid[number // columns, number % columns], label=f"panel {number}")
        _DRAWERS[chart.form](axes, chart, panel, width / columns)
        if chart.form in ROWED:  # as thick as beside it
            axes.set_ylim(max(len(each.series[0].x) for each in rows[number // columns]) - 0.4, -0.6)
        beside = width / columns - _left_room(chart, width / columns) - TITLE_GAP
        title = wrapped(panel.title, beside, PANEL_TITLE, most=2)
        note = wrapped(panel.note, beside, SMALL, most=3) if panel.note else []
        entitle(axes, "\n".join(title), "\n".join(note))
    settle(figure, room)
    return figure


def _columns(chart: Chart, width: float) -> int:
    """One where a panel would be too narrow beside another; bars with long names are side by side only where there are many."""
    return 1 if len(chart.panels) < (4 if chart.form in ROWED else 2) or width < 2 * NARROW else 2


def _left_room(chart: Chart, wide: float) -> float:
    """Inches left of the axes of a panel."""
    if chart.form in ROWED:
        return name_room(chart, wide)
    return ROOF_Y_ROOM if chart.form == "roofline" else Y_ROOM


def _height(chart: Chart, panel: Panel, wide: float) -> float:
    if chart.form in ROWED:
        return 0.75 + row_height(chart, wide) * max(2, len(panel.series[0].x))
    return ROOF_HEIGHT if chart.form in ("roofline", "scatter") else LINES_HEIGHT
