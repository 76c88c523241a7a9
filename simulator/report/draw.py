"""Charts as pictures: lines, bars, stacks, points and rooflines, drawn by matplotlib in the common style."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import printable
from simulator.report import margins, style
from simulator.report.charts import CHANGES, Chart, Panel, Series, table_of, without_zero
from simulator.report.margins import NAME, PANEL_TITLE, SMALL, TEXT, Words
from simulator.report.roofline_plot import draw_roofs
from simulator.report.style import GREY, INK, colour_of, count, line_of, marker_of
from simulator.report.ticks import even_places, round_places, widened
from simulator.units import format_bytes, format_count, format_number

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

ONE_WIDTH, TWO_WIDTH, NARROW = 7.2, 10.0, 3.6  # inches of a picture with one column or two, and of a column at least
LINES_HEIGHT, ROOF_HEIGHT = 3.3, 4.6  # of a panel
BAR_HEIGHT, LINE_HEIGHT = 0.36, 0.16  # of each bar, and of a line of its name
Y_ROOM, ROOF_Y_ROOM, TITLE_GAP = 0.95, 1.3, 0.15  # left of a panel's axes, for ticks and label; right of its title
TICK_ROOM = 0.62  # of a tick's number along an axis
BAR_EDGES, LABEL_GAP = 0.55, 0.06  # around the axes of bars; before and behind a value
BESIDE_SHARE, MOST_BESIDE = 0.34, 14  # of the width, and lines, that may be named at their ends
NAME_SHARE, NAME_LINES = 0.34, 3  # of the width, and lines, for the name of a bar
FEW = 3  # lines in a panel that leave room for their bands and ceilings
NO_ROOM = "does not fit in memory"
MANY = 150  # points that want smaller markers
SHAPES = dict(zip(CHANGES, ("D", "^", "s"), strict=True))
TEXTURES = ("", "//", "..", "xx", "\\\\", "++")


def save_chart(chart: Chart, path: Path) -> None:
    """The picture of a chart in a file, whole or not at all."""
    style.save(lambda: draw_chart(chart), path, values_of(chart))


def values_of(chart: Chart) -> str:
    """Every value of a chart as JSON, to four digits: a picture that is passed on keeps the numbers that it shows."""
    rows = [{name: _short(value) for name, value in row.items()} for row in table_of(chart)]
    x, y = chart.names
    return json.dumps({"kind": chart.kind, "x": x, "y": y, "rows": rows})


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def draw_chart(chart: Chart, width: float | None = None) -> Canvas:
    """The figure, so many inches wide or as its kind usually is: panels in one or two columns, all else above and below."""
    from matplotlib.figure import Figure as Canvas

    chart = without_zero(chart)
    width = width or (ONE_WIDTH if _columns(chart, TWO_WIDTH) == 1 else TWO_WIDTH)
    columns = _columns(chart, width)
    rows = [chart.panels[n : n + columns] for n in range(0, len(chart.panels), columns)]
    heights = [max(_height(chart, panel, width / columns) for panel in row) for row in rows]
    figure = Canvas(figsize=(width, sum(heights)), layout="constrained")
    handles, note = _handles(chart, width)
    margins.surround(figure, Words(chart.title, chart.source, chart.subtitle, note), handles, sum(heights))
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    for number, panel in enumerate(chart.panels):
        axes = figure.add_subplot(grid[number // columns, number % columns], label=f"panel {number}")
        _DRAWERS[chart.form](axes, chart, panel, width / columns)
        if chart.form == "bars":  # as thick as beside it
            axes.set_ylim(max(len(each.series[0].x) for each in rows[number // columns]) - 0.4, -0.6)
        room = width / columns - _left_room(chart, width / columns) - TITLE_GAP
        title = margins.wrapped(panel.title, room, PANEL_TITLE, most=2)
        style.entitle(axes, "\n".join(title))
    style.settle(figure)
    return figure


def _columns(chart: Chart, width: float) -> int:
    """One where a panel would be too narrow beside another; bars with long names are side by side only where there are many."""
    return 1 if len(chart.panels) < (4 if chart.form == "bars" else 2) or width < 2 * NARROW else 2


def _left_room(chart: Chart, wide: float) -> float:
    """Inches left of the axes of a panel."""
    if chart.form == "bars":
        return _name_room(chart, wide)
    return ROOF_Y_ROOM if chart.form == "roofline" else Y_ROOM


def _height(chart: Chart, panel: Panel, wide: float) -> float:
    if chart.form == "bars":
        return 0.75 + _row_height(chart, wide) * max(2, len(panel.series[0].x))
    return ROOF_HEIGHT if chart.form in ("roofline", "scatter") else LINES_HEIGHT


# ---- the legend ----


def _handles(chart: Chart, width: float) -> tuple[list[Artist], str]:
    """What the legend below the panels shows, and the note beside it."""
    if chart.form == "bars":
        return [], chart.legend
    series = {each.label: each for panel in chart.panels for each in panel.series}
    handles = [_handle(chart, each) for each in series.values() if not _is_named(chart, each, width)]
    if chart.form == "roofline":
        hollow = {"ls": "", "marker": "o", "mfc": "white", "mew": 1.5, "ms": 6}
        return [*handles, *([_sign(chart.legend, **hollow)] if chart.legend else [])], ""
    if chart.form == "lines":
        return [*handles, *_mark_handles(chart)], chart.legend if _has_band(chart) else ""
    return handles, chart.legend


def _is_named(chart: Chart, each: Series, width: float) -> bool:
    """Whether something is named elsewhere: at the end of its line, or where all is of one thing by the title."""
    if chart.form != "lines":
        return False
    names = {each.label for panel in chart.panels for each in panel.series}
    return len(names) == 1 or (_is_named_beside(chart, width) and any(y is not None for y in each.y))


def _is_named_beside(chart: Chart, width: float) -> bool:
    """Whether each line has its name at its end: in a panel alone that is wide and high enough for them."""
    names = [each.label for each in chart.panels[0].series]
    if len(chart.panels) > 1 or not 1 < len(names) <= MOST_BESIDE:
        return False
    return max(margins.width_of(name, NAME) for name in names) < BESIDE_SHARE * width


def _handle(chart: Chart, each: Series) -> Artist:
    from matplotlib.patches import Patch

    label, colour = printable(each.label, 60), colour_of(each.colour)
    if chart.form == "stacks":
        return Patch(facecolor=colour, hatch=TEXTURES[each.colour % 6], edgecolor="white", label=label)
    line = "" if chart.form in ("scatter", "roofline") else line_of(each.colour)
    return _sign(label, color=colour, ls=line, marker=marker_of(each.colour), ms=5)


def _sign(label: str, **look: Any) -> Artist:
    from matplotlib.lines import Line2D

    return Line2D([], [], **({"color": INK} | look), label=label)


def _mark_handles(chart: Chart) -> list[Artist]:
    """The symbols on lines, with the batches where there is one line only."""
    series = [each for panel in chart.panels for each in panel.series]
    alone = len({each.label for each in series}) == 1
    handles = []
    for what in CHANGES:
        texts = [mark.text if alone else what for each in series for mark in each.marks if mark.what == what]
        if texts:
            handles.append(_sign(texts[0], ls="", marker=SHAPES[what], ms=7, mec="white"))
    measured = [_sign("measured", ls="", marker="*", ms=10)] if any(each.measured for each in series) else []
    return [*handles, *measured]


def _has_band(chart: Chart) -> bool:
    """Whether intervals and ceilings are drawn: where a panel has few lines."""
    few = [panel for panel in chart.panels if len(panel.series) <= FEW]
    return any((each.low or each.ceiling) and len(each.x) > 1 for panel in few for each in panel.series)


# ---- lines ----


def _draw_lines(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    few, named = len(panel.series) <= FEW, _is_named_beside(chart, wide)
    for each in panel.series:
        _line(axes, each, few)
        _points(axes, each)
    values = [value for each in panel.series for value in _seen(each, few)]
    axes.set_ylabel(panel.y)
    _label_x(axes, chart.x, wide - Y_ROOM)
    if not values:
        _say_no_room(axes)
        return
    names = max(margins.width_of(each.label, NAME) for each in panel.series) if named else 0.0
    _scale_x(axes, chart, panel.series, most=max(2, int((wide - Y_ROOM - names) / TICK_ROOM)))
    _scale_y(axes, chart, values)
    for each in panel.series if named else ():
        last = max((n for n, y in enumerate(each.y) if y is not None), default=None)
        if last is not None:
            style.beside(axes, each.label, each.y[last], each.x[last], colour_of(each.colour))


def _label_x(axes: Axes, text: str, room: float) -> None:
    axes.set_xlabel("\n".join(margins.wrapped(text, room, TEXT, most=2)))


def _say_no_room(axes: Axes) -> None:
    """Axes without values have no ticks."""
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, NO_ROOM, transform=axes.transAxes, ha="center", color=GREY)


def _line(axes: Axes, each: Series, few: bool) -> None:
    colour = colour_of(each.colour)
    nan = float("nan")
    y = [nan if value is None else value for value in each.y]
    axes.plot(
        each.x, y, color=colour, ls=line_of(each.colour), lw=1.9, marker=marker_of(each.colour), ms=4, label=each.label
    )
    if few and each.low:
        low, high = ([nan if value is None else value for value in ends] for ends in (each.low, each.high))
        axes.fill_between(each.x, low, high, color=colour, alpha=0.16, lw=0)
    if few and each.ceiling:
        ceiling = [nan if value is None else value for value in each.ceiling]
        axes.plot(each.x, ceiling, color=colour, ls=":", lw=1.2, label=f"_ceiling {each.label}")
    for mark in each.marks:
        axes.plot(
            mark.x, mark.y, SHAPES[mark.what], color=colour, mec="white", mew=0.9, ms=9, zorder=4, label=f"_{mark.what}"
        )


def _points(axes: Axes, each: Series) -> None:
    if each.measured:
        x, y = [p.x for p in each.measured], [p.y for p in each.measured]
        bars = [[p.y - p.low for p in each.measured], [p.high - p.y for p in each.measured]]
        axes.errorbar(x, y, yerr=bars, fmt="*", color=INK, mfc=colour_of(each.colour), ms=11, mew=0.8, elinewidth=1.1, capsize=2.5,
                      zorder=5, label=f"_measured {each.label}")  # fmt: skip


def _seen(each: Series, few: bool) -> list[float]:
    """Every value that has to be inside the axes."""
    values = [*each.y, *((*each.low, *each.high, *each.ceiling) if few else ())]
    return [value for value in (*values, *(end for p in each.measured for end in (p.low, p.high))) if value]


def _scale_x(axes: Axes, chart: Chart, series: Sequence[Series], most: int) -> None:
    shown = {x for each in series for x, y in zip(each.x, each.y, strict=True) if y is not None}
    places = shown | {point.x for each in series for point in each.measured}
    low, high = min(places), max(places)
    if not chart.x_log:
        axes.set_xlim(low, high)
        axes.xaxis.get_major_locator().set_params(nbins=most)
        return
    low, high = widened(low, high, least=2.5)
    axes.set(xscale="log", xlim=(low, high))
    style.power_ticks(axes.xaxis, low, high, 2, format_count, most)


def _scale_y(axes: Axes, chart: Chart, values: Sequence[float]) -> None:
    if chart.y_log:
        low, high = widened(min(values), max(values))
        axes.set(yscale="log", ylim=(low, high))
        style.set_ticks(axes.yaxis, round_places(low, high), count)
    else:
        axes.set_ylim(0, max(values) * 1.08)


# ---- bars ----


def _draw_bars(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    """From zero on a linear axis; on a logarithmic one, where no length means anything, dots."""
    (each,) = panel.series
    rows = range(len(each.x))
    names = [margins.wrapped(name, NAME_SHARE * wide, NAME, most=NAME_LINES) for name in each.x]
    reasons = max(
        (margins.width_of(note, SMALL) for y, note in zip(each.y, each.notes, strict=True) if y is not None),
        default=0.0,
    )
    room = wide - _name_room(chart, wide) - reasons - BAR_EDGES  # inches along the axis
    axes.set_yticks(list(rows), ["\n".join(lines) for lines in names], fontsize=NAME)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=chart.x_log)
    _label_x(axes, chart.x, room + reasons)
    for row in rows:
        if each.y[row] is None:
            _say_misfit(axes, row, margins.wrapped(each.notes[row], room + reasons, SMALL, most=2))
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


def _row_height(chart: Chart, wide: float) -> float:
    """Inches of a bar, with room for the lines of its name."""
    names = [name for panel in chart.panels for name in panel.series[0].x]
    lines = max(len(margins.wrapped(name, NAME_SHARE * wide, NAME, most=NAME_LINES)) for name in names)
    return max(BAR_HEIGHT, LINE_HEIGHT * lines + 0.1)


def _name_room(chart: Chart, wide: float) -> float:
    """Inches of the longest line of a name: panels above each other have the same."""
    names = [name for panel in chart.panels for name in panel.series[0].x]
    lines = [line for name in names for line in margins.wrapped(name, NAME_SHARE * wide, NAME, most=NAME_LINES)]
    return max(margins.width_of(line, NAME) for line in lines)


def _say_misfit(axes: Axes, row: int, lines: Sequence[str]) -> None:
    text = axes.annotate("\n".join(lines), (0, row), (4, 0), axes.get_yaxis_transform(), textcoords="offset points", va="center",
                         fontsize=SMALL, color=GREY, annotation_clip=False)  # fmt: skip
    text.set_in_layout(False)  # it may reach over what limits the others


def _scale_bars(axes: Axes, chart: Chart, each: Series, room: float) -> None:
    """The axis, and each value at the end of its bar: of the interval, and where it would lie on the ceiling's tick, of that."""
    ends = {row: _ends(each, row) for row, y in enumerate(each.y) if y is not None}
    widths = {row: margins.width_of(format_number(each.y[row]), SMALL, "bold") + 2 * LABEL_GAP for row in ends}
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
    style.set_ticks(axes.xaxis, places, count)


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


# ---- stacks ----


def _draw_stacks(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
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
    _label_x(axes, chart.x, wide - Y_ROOM)
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_formatter(lambda value, _: format_bytes(value) if value else "0")


# ---- points ----


def _draw_scatter(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
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
    _label_x(axes, chart.x, wide - Y_ROOM)
    style.set_ticks(axes.xaxis, round_places(low, high, most=max(2, int((wide - Y_ROOM) / TICK_ROOM))), count)
    style.set_ticks(axes.yaxis, round_places(low, high), count)


# ---- rooflines ----


def _draw_roofline(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    points = [(x, y) for each in panel.series for x, y in zip(each.x, each.y, strict=True)]
    draw_roofs(axes, panel.device, points, wide)
    for each in panel.series:
        colour, marker = colour_of(each.colour), marker_of(each.colour)
        axes.plot(each.x, each.y, color=colour, lw=0.9, marker=marker, ms=5.5, mec="white", mew=0.6, label=each.label)
        axes.plot(
            each.x[:1],
            each.y[:1],
            color=colour,
            marker=marker,
            ms=7.5,
            mfc="white",
            mew=1.5,
            label=f"_first {each.label}",
        )
    if not points and chart.kind != "device":
        axes.text(0.98, 0.04, NO_ROOM, transform=axes.transAxes, ha="right", color=GREY)
    axes.set_ylabel(panel.y)
    _label_x(axes, chart.x, wide - Y_ROOM)


_DRAWERS: dict[str, Callable[[Axes, Chart, Panel, float], None]] = {
    "lines": _draw_lines,
    "bars": _draw_bars,
    "stacks": _draw_stacks,
    "scatter": _draw_scatter,
    "roofline": _draw_roofline,
}
