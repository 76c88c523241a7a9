"""What the legend below the panels of a picture shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.errors import printable
from simulator.report.charts.chart import BAND, DOTTED, ROWED, SIGNED, Chart, Series
from simulator.report.drawing.lines import FEW, is_named_beside, look_of, sign_of
from simulator.report.drawing.style import INK, MEASURED, TEXTURES, colour_of, marker_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist


def handles_of(chart: Chart, width: float) -> tuple[list[Artist], str]:
    """What the legend below the panels shows, and the note beside it."""
    if chart.form in ROWED:
        return [], chart.legend
    series = {each.label: each for panel in chart.panels for each in panel.series}
    handles = [_handle(chart, each) for each in series.values() if not _is_named(chart, each, width)]
    if chart.form == "roofline":
        hollow = {"ls": "", "marker": "o", "mfc": "white", "mew": 1.5, "ms": 6}
        return [*handles, *([_sign(chart.legend, **hollow)] if chart.legend else [])], ""
    if chart.form == "lines":
        return [*handles, *_mark_handles(chart)], _line_note(chart)
    return handles, chart.legend


def _is_named(chart: Chart, each: Series, width: float) -> bool:
    """Whether something is named elsewhere: at the end of its line, or where all is of one thing by the title."""
    if chart.form != "lines":
        return False
    names = {each.label for panel in chart.panels for each in panel.series}
    return len(names) == 1 or (is_named_beside(chart, width) and any(y is not None for y in each.y))


def _handle(chart: Chart, each: Series) -> Artist:
    from matplotlib.patches import Patch

    label, colour = printable(each.label, 60), colour_of(each.colour)
    if chart.form == "stacks":
        return Patch(facecolor=colour, hatch=TEXTURES[each.colour % 6], edgecolor="white", label=label)
    look = {"ls": "", "marker": marker_of(each.colour)} if chart.form in ("scatter", "roofline") else look_of(each)
    return _sign(label, color=colour, ms=5, **look)


def _sign(label: str, **look: Any) -> Artist:
    from matplotlib.lines import Line2D

    return Line2D([], [], **({"color": INK} | look), label=label)


def _mark_handles(chart: Chart) -> list[Artist]:
    """The symbols on lines, with the batches where there is one line only."""
    series = [each for panel in chart.panels for each in panel.series]
    alone = len({each.label for each in series}) == 1
    handles = []
    for what in SIGNED:
        texts = [mark.text if alone else what for each in series for mark in each.marks if mark.what == what]
        if texts:
            handles.append(_sign(texts[0], **sign_of(what)))
    measured = [_sign("measured", ls="", marker=MEASURED, ms=10)] if any(each.measured for each in series) else []
    return [*handles, *measured]


def _line_note(chart: Chart) -> str:
    """What intervals and ceilings look like, as far as they are drawn: where a panel has few lines."""
    panels = [panel for panel in chart.panels if any(y is not None for each in panel.series for y in each.y)]
    few = [each for panel in panels if len(panel.series) <= FEW for each in panel.series if len(each.x) > 1]
    where = f"where there are up to {FEW} lines: " if any(len(panel.series) > FEW for panel in panels) else ""
    if any(each.low for each in few):
        return where + chart.legend
    return where + DOTTED if chart.legend == BAND and any(each.ceiling for each in few) else ""
