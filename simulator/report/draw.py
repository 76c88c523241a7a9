"""Charts as pictures: lines, bars, stacks, points and rooflines, drawn by matplotlib in the common style."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import printable
from simulator.report import style
from simulator.report.charts import CHANGES, Chart, Panel, Series, table_of, without_zero
from simulator.report.roofline_plot import draw_roofs
from simulator.report.style import GREY, INK, colour_of, count, line_of, marker_of
from simulator.units import format_bytes, format_count, format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

ONE_WIDTH, TWO_WIDTH = 7.2, 10.0  # inches
LINES_HEIGHT, ROOF_HEIGHT, BAR_HEIGHT = 3.3, 4.6, 0.36  # of a panel, and of each bar
FEW = 3  # lines in a panel that leave room for their bands, ceilings and words
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
    return json.dumps({"kind": chart.kind, "x": chart.x, "rows": rows})


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def draw_chart(chart: Chart) -> Canvas:
    """The figure: panels in one or two columns, with a legend below where lines need one."""
    from matplotlib.figure import Figure as Canvas

    chart = without_zero(chart)
    columns = 1 if len(chart.panels) == 1 or chart.form == "bars" else 2
    rows = [chart.panels[n : n + columns] for n in range(0, len(chart.panels), columns)]
    heights = [max(_height(chart, panel) for panel in row) for row in rows]
    width = ONE_WIDTH if columns == 1 else TWO_WIDTH
    names = _legend_names(chart)
    entries = math.ceil(len(names) / _legend_columns(names, width)) if names else 0
    head, foot = 0.6 if chart.subtitle else 0.4, 0.28 + 0.2 * entries
    tall = sum(heights) + head + foot
    figure = Canvas(figsize=(width, tall), layout="constrained")
    rect = (0, foot / tall, 1, 1 - (foot + head) / tall)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06, wspace=0.04, rect=rect)
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    for number, panel in enumerate(chart.panels):
        axes = figure.add_subplot(grid[number // columns, number % columns], label=f"panel {number}")
        _DRAWERS[chart.form](axes, chart, panel)
        axes.set_title(printable(panel.title, 42 if columns == 2 else 56))
    if names:
        _legend(figure, chart, names)
    style.sign(figure, chart.title, chart.source, chart.subtitle)
    style.settle(figure)
    return figure


def _height(chart: Chart, panel: Panel) -> float:
    if chart.form == "bars":
        return 0.75 + BAR_HEIGHT * max(2, len(panel.series[0].x))
    return ROOF_HEIGHT if chart.form in ("roofline", "scatter") else LINES_HEIGHT


# ---- the legend ----


def _legend_names(chart: Chart) -> list[str]:
    """What the legend below the panels names: all but bars, lines that are named at their ends, and what the title names."""
    names = list(dict.fromkeys(each.label for panel in chart.panels for each in panel.series))
    if chart.form == "lines" and (len(chart.panels) == 1 or len(names) == 1):
        return []
    return (
        [] if chart.form == "bars" else [*names, *([chart.legend] if chart.form == "roofline" and chart.legend else [])]
    )


def _legend_columns(names: Sequence[str], width: float) -> int:
    longest = max(min(len(name), 60) for name in names)
    return max(1, min(len(names), int(width * 11 / (longest + 5))))


def _legend(figure: Canvas, chart: Chart, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    series = {each.label: each for panel in chart.panels for each in panel.series}
    handles = []
    for name in names:
        each = series.get(name)
        if each is None:
            handles.append(Line2D([], [], color=INK, ls="", marker="o", mfc="white", mew=1.5, ms=6))
        elif chart.form == "stacks":
            handles.append(Patch(facecolor=colour_of(each.colour), hatch=TEXTURES[each.colour % 6], edgecolor="white"))
        else:
            line = "" if chart.form in ("scatter", "roofline") else line_of(each.colour)
            handles.append(Line2D([], [], color=colour_of(each.colour), ls=line, marker=marker_of(each.colour), ms=5))
    figure.legend(
        handles, [printable(name, 60) for name in names], loc="lower center", ncols=_legend_columns(names, figure.get_figwidth()),
        bbox_to_anchor=(0.5, 0.22 / figure.get_figheight()), frameon=False, borderaxespad=0, borderpad=0, labelspacing=0.25,
    )  # fmt: skip


# ---- lines ----


def _draw_lines(axes: Axes, chart: Chart, panel: Panel) -> None:
    few = len(panel.series) <= FEW
    for each in panel.series:
        _line(axes, each, few)
        _points(axes, each)
    _scale_x(axes, chart, panel.series)
    values = [value for each in panel.series for value in _seen(each, few)]
    _scale_y(axes, chart, values)
    if not values:
        axes.text(0.5, 0.5, NO_ROOM, transform=axes.transAxes, ha="center", color=GREY)
    axes.set(ylabel=panel.y)
    if len(chart.panels) == 1 and len(panel.series) > 1:
        for each in panel.series:
            last = max((n for n, y in enumerate(each.y) if y is not None), default=None)
            if last is not None:
                style.beside(axes, printable(each.label, 48), each.y[last], each.x[last], colour_of(each.colour))
    _explain(axes, chart, panel, few)


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


def _scale_x(axes: Axes, chart: Chart, series: Sequence[Series]) -> None:
    places = (
        sorted(
            {x for each in series for x, y in zip(each.x, each.y, strict=True) if y is not None}
            | {point.x for each in series for point in each.measured}
        )
        or [x for each in series[:1] for x in sorted(each.x)]
        or [1, 2]
    )
    low, high = places[0], places[-1]
    axes.set_xlabel(chart.x)
    if not chart.x_log:
        axes.set_xlim(low, high)
        return
    axes.set_xscale("log", base=2)
    axes.set_xlim(low / 1.12, max(high, low * 2) * 1.12)
    style.power_ticks(axes.xaxis, low, max(high, low * 2), 2, format_count)


def _scale_y(axes: Axes, chart: Chart, values: Sequence[float]) -> None:
    if not values:
        axes.set_yticks([])
        axes.grid(visible=False)
    elif chart.y_log:
        axes.set_yscale("log")
        style.one_two_five(axes, min(values) / 1.04, max(values) * 1.04)
    else:
        axes.set_ylim(0, max(values) * 1.08)


def _explain(axes: Axes, chart: Chart, panel: Panel, few: bool) -> None:
    """A small legend inside: what the band, the dots and the symbols mean, with the batches where there is room for them."""
    from matplotlib.lines import Line2D

    marks = [mark for each in panel.series for mark in each.marks]
    alone = len(panel.series) == 1
    handles = []
    for what in CHANGES:
        texts = [mark.text if alone else what for mark in marks if mark.what == what]
        if texts:
            handles.append(Line2D([], [], ls="", marker=SHAPES[what], color=INK, ms=7, mec="white", label=texts[0]))
    if any(each.measured for each in panel.series):
        handles.append(Line2D([], [], ls="", marker="*", color=INK, ms=10, label="measured"))
    is_first = axes.get_label() == "panel 0"
    drawn = any(each.low or each.ceiling for each in panel.series) and any(len(each.x) > 1 for each in panel.series)
    title = chart.legend if few and is_first and drawn else None
    if handles or title:
        axes.legend(handles=handles, title=title, loc="best", frameon=True, framealpha=0.8, fontsize=8.5, title_fontsize=8.5,
                    alignment="left", handletextpad=0.3, borderpad=0.3)  # fmt: skip


# ---- bars ----


def _draw_bars(axes: Axes, chart: Chart, panel: Panel) -> None:
    (each,) = panel.series
    places = range(len(each.x))
    known = [y for y in (*each.y, *each.ceiling, *each.high, *(p.high for p in each.measured)) if y]
    if not known:
        axes.tick_params(axis="x", labelbottom=False, length=0)
    lows = [y for y in (*each.low, *(p.low for p in each.measured)) if y]
    start = min(lows) / 2 if chart.x_log and lows else 0.0
    for place in places:
        if each.y[place] is not None:
            _bar(axes, each, place, start)
    for point in each.measured:
        axes.errorbar(point.y, point.x, xerr=[[point.y - point.low], [point.high - point.y]], fmt="*", ms=10, color=INK,
                      mfc="white", elinewidth=1.1, capsize=2.5, zorder=5, label="_measured")  # fmt: skip
    most = max(known, default=1.0)
    room = (most / start) ** 1.4 * start if start else most * 1.4  # so that the words beside the bars have a place
    axes.set(xlim=(start, room), ylim=(len(each.x) - 0.4, -0.6), xlabel=chart.x)
    if start:
        axes.set_xscale("log")
        shown = [place for place in style.round_places(start, room) if start <= place <= room]
        axes.xaxis.set_ticks(shown, [count(place) for place in shown])
        axes.xaxis.set_ticks([], minor=True)
    axes.set_yticks(list(places), [printable(name, 60) for name in each.x])
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    for place in places:
        reach = [each.y[place], each.high[place], each.ceiling[place]] if each.y[place] else [start]
        reach += [point.high for point in each.measured if point.x == place]
        value, note = each.y[place], each.notes[place]
        colour, note = (INK, f"{format_number(value)}, {note}") if value else (GREY, note)
        axes.annotate(
            note, (max(reach), place), (5, 0), textcoords="offset points", va="center", fontsize=9, color=colour
        )
    is_first = axes.get_label() == "panel 0"
    if is_first and chart.legend:
        axes.set_title(chart.legend, loc="right", fontsize=8.5, color=GREY)


def _bar(axes: Axes, each: Series, place: int, start: float) -> None:
    value, low, high, ceiling = each.y[place], each.low[place], each.high[place], each.ceiling[place]
    axes.barh(
        place,
        value - start,
        left=start,
        height=0.62,
        color=colour_of(each.colour),
        alpha=0.85,
        label=f"_{each.x[place]}",
    )
    if low is not None:
        axes.errorbar(value, place, xerr=[[value - low], [high - value]], color=INK, elinewidth=1.2, capsize=3)
    axes.plot([ceiling, ceiling], [place - 0.31, place + 0.31], color=GREY, lw=2, label=f"_ceiling {each.x[place]}")


# ---- stacks ----


def _draw_stacks(axes: Axes, chart: Chart, panel: Panel) -> None:
    x = panel.series[0].x
    places = range(len(x))
    below = [0.0] * len(x)
    for each in panel.series:
        axes.bar(places, each.y, 0.78, below, color=colour_of(each.colour), hatch=TEXTURES[each.colour % 6], edgecolor="white", lw=0.4,
                 label=each.label)  # fmt: skip
        below = [one + two for one, two in zip(below, each.y, strict=True)]
    axes.set_xticks(list(places), [format_count(value) for value in x])
    axes.set(xlabel=chart.x, ylabel=panel.y, ylim=(0, max(below) * 1.06))
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_formatter(lambda value, _: format_bytes(value) if value else "0")


# ---- points ----


def _draw_scatter(axes: Axes, chart: Chart, panel: Panel) -> None:
    low = min(min(*each.x, *each.low) for each in panel.series) / 1.2
    high = max(max(*each.x, *each.high) for each in panel.series) * 1.2
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
    axes.set(xscale="log", yscale="log", xlabel=chart.x, ylabel=panel.y, xlim=(low, high))
    shown = style.round_places(low, high)
    axes.xaxis.set_ticks(
        [place for place in shown if low <= place <= high], [count(p) for p in shown if low <= p <= high]
    )
    axes.xaxis.set_ticks([], minor=True)
    axes.yaxis.set_ticks(shown, [count(place) for place in shown])
    axes.yaxis.set_ticks([], minor=True)
    axes.set_ylim(low, high)
    axes.text(0.02, 0.97, "too fast", transform=axes.transAxes, va="top", color=GREY)
    axes.text(0.98, 0.03, "too slow", transform=axes.transAxes, ha="right", color=GREY)
    axes.set_title(chart.legend, loc="right", fontsize=8.5, color=GREY)


# ---- rooflines ----


def _draw_roofline(axes: Axes, chart: Chart, panel: Panel) -> None:
    points = [(x, y) for each in panel.series for x, y in zip(each.x, each.y, strict=True)]
    draw_roofs(axes, panel.device, points, n_ticks=6 if len(chart.panels) == 1 else 4)
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
    if not points:
        axes.text(0.5, 0.3, NO_ROOM, transform=axes.transAxes, ha="center", color=GREY)
    axes.set(xlabel=chart.x, ylabel=panel.y)


_DRAWERS: dict[str, Callable[[Axes, Chart, Panel], None]] = {
    "lines": _draw_lines,
    "bars": _draw_bars,
    "stacks": _draw_stacks,
    "scatter": _draw_scatter,
    "roofline": _draw_roofline,
}
