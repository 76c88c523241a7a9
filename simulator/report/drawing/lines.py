"""Lines in axes, with bands, ceilings, signs where something changes, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.report.charts.chart import NO_ROOM, SIGNED, Chart, Panel, Series, caption
from simulator.report.drawing.axes import (
    TICK_ROOM,
    Y_ROOM,
    count,
    even_ticks,
    label_x,
    power_places,
    say_no_room,
    set_ticks,
)
from simulator.report.drawing.labels import beside
from simulator.report.drawing.margins import NAME, width_of
from simulator.report.drawing.style import (
    ARROW,
    CLOSING,
    HOURGLASS,
    INK,
    MEASURED,
    OPENING,
    STAR,
    colour_of,
    line_of,
    marker_of,
)
from simulator.report.ticks import round_places, widened
from simulator.units import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BESIDE_SHARE, MOST_BESIDE = 0.34, 14  # of the width, and lines, that may be named at their ends
MOST_MARKED = 64  # places along a line
NEAR_ZERO = 0.05  # of an axis: what begins below that begins at zero
FEW_PLACES = 4  # along x, each with its number
FEW = 3  # lines in a panel that leave room for their bands and ceilings
SHAPES = dict(zip(SIGNED, (STAR, HOURGLASS, CLOSING, ARROW, OPENING), strict=True))


def draw_lines(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    """The lines of a panel so many inches *wide*; words where none of them has a value."""
    few, named = len(panel.series) <= FEW, is_named_beside(chart, wide)
    for each in panel.series:
        _line(axes, each, few)
        _points(axes, each)
    values = [value for each in panel.series for value in _seen(each, few)]
    axes.set_ylabel(caption(panel.y, chart.y_log))
    label_x(axes, caption(chart.x, chart.x_log), wide - Y_ROOM)
    if not values:
        say_no_room(axes)
        return
    names = max(width_of(each.label, NAME) for each in panel.series) if named else 0.0
    _scale_x(axes, chart, panel, most=max(2, int((wide - Y_ROOM - names) / TICK_ROOM)))
    _scale_y(axes, chart, values)
    for each in panel.series if named else ():
        last = max((n for n, y in enumerate(each.y) if y is not None), default=None)
        if last is not None:
            beside(axes, each.label, each.y[last], each.x[last], colour_of(each.colour))


def _line(axes: Axes, each: Series, few: bool) -> None:
    colour, look = colour_of(each.colour), look_of(each)
    # Markers at the ends of the axis are whole.
    axes.plot(each.x, _where_it_fits(each), color=colour, lw=1.9, ms=4, label=each.label, clip_on=False, **look)
    if NO_ROOM in each.notes:
        axes.plot(each.x, _with_gaps(each.y), color=colour, lw=1.3, ls="--", alpha=0.5, label=f"_misfit {each.label}")
    if few and each.low:
        axes.fill_between(each.x, _with_gaps(each.low), _with_gaps(each.high), color=colour, alpha=0.16, lw=0)
    if few and each.ceiling:
        axes.plot(each.x, _with_gaps(each.ceiling), color=colour, ls=":", lw=1.2, label=f"_ceiling {each.label}")
    for mark in each.marks:
        axes.plot(mark.x, mark.y, color=colour, zorder=4, label=f"_{mark.what}", **sign_of(mark.what))


def sign_of(what: str) -> dict[str, Any]:
    """How a change along a line is marked, in the picture and in its legend."""
    return {"ls": "", "marker": SHAPES[what], "ms": 12, "mec": "white", "mew": 0.9, "clip_on": False}


def look_of(each: Series) -> dict[str, Any]:
    """How a line looks beside its colour: of one that tells where memory holds it only signs are marked, and of very many places none."""
    is_plain = each.notes or len(each.x) > MOST_MARKED
    return {"ls": line_of(each.colour), "marker": "" if is_plain else marker_of(each.colour)}


def _where_it_fits(each: Series) -> list[float]:
    notes = each.notes or ("",) * len(each.y)
    return _with_gaps([None if note == NO_ROOM else y for y, note in zip(each.y, notes, strict=True)])


def _with_gaps(values: Sequence[float | None]) -> list[float]:
    """As matplotlib wants them: NaN where there is no value."""
    return [float("nan") if value is None else value for value in values]


def _points(axes: Axes, each: Series) -> None:
    if each.measured:
        x, y = [p.x for p in each.measured], [p.y for p in each.measured]
        bars = [[p.y - p.low for p in each.measured], [p.high - p.y for p in each.measured]]
        axes.errorbar(x, y, yerr=bars, fmt=MEASURED, color=INK, mfc=colour_of(each.colour), ms=11, mew=0.8, elinewidth=1.1, capsize=2.5,
                      zorder=5, label=f"_measured {each.label}")  # fmt: skip


def _seen(each: Series, few: bool) -> list[float]:
    """Every value that has to be inside the axes."""
    values = [*each.y, *((*each.low, *each.high, *each.ceiling) if few else ())]
    return [value for value in (*values, *(end for p in each.measured for end in (p.low, p.high))) if value]


def _scale_x(axes: Axes, chart: Chart, panel: Panel, most: int) -> None:
    low, high = min(panel.places), max(panel.places)
    if not chart.x_log:
        axes.set_xlim(0 if 0 < low < NEAR_ZERO * high else low, high)
        even_ticks(axes.xaxis, most)
        return
    left, right = widened(low, high, least=2.5)
    axes.set(xscale="log", xlim=(left, right))
    zero = [chart.zero] if low == chart.zero else []
    known = sorted({*panel.places} - {*zero})
    is_few = not known or (1 - len(zero) < len(known) <= min(FEW_PLACES, most) and high < 4 * known[0])
    # Between few that are near each other there are hardly powers.
    places = known if is_few else power_places(known[0] if zero else left, right, 2, most - len(zero))
    set_ticks(axes.xaxis, [*zero, *places], lambda place: "0" if place in zero else format_count(place))


def _scale_y(axes: Axes, chart: Chart, values: Sequence[float]) -> None:
    if chart.y_log:
        low, high = widened(min(values), max(values))
        axes.set(yscale="log", ylim=(low, high))
        set_ticks(axes.yaxis, round_places(low, high), count)
    else:
        axes.set_ylim(0, max(values) * 1.08)
        even_ticks(axes.yaxis)


def is_named_beside(chart: Chart, width: float) -> bool:
    """Whether each line has its name at its end: in a panel alone that is wide and high enough for them."""
    names = [each.label for each in chart.panels[0].series]
    if len(chart.panels) > 1 or not 1 < len(names) <= MOST_BESIDE:
        return False
    return max(width_of(name, NAME) for name in names) < BESIDE_SHARE * width
