"""Panels with axes in a terminal: lines with their signs, measurements, and rooflines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.errors import printable
from simulator.report import roofline_data
from simulator.report.charts.chart import NO_ROOM, SIGNED, Chart, Panel, Series, caption
from simulator.report.terminal.axes import Scale, in_axes, rate
from simulator.report.terminal.words import colour_of, keys, letter, told
from simulator.units import GIGA, format_count, format_number

SIGNS = dict(zip(SIGNED, "◆▲■►□", strict=True))


def draw_lines(chart: Chart, panel: Panel) -> Iterator[str]:
    """Lines, and below them what they and their signs are, unless a later panel says the same."""
    few = len(panel.series) == 1
    values = [
        y
        for each in panel.series
        for y in (*each.y, *(each.ceiling if few else ()), *(p.y for p in each.measured))
        if y
    ]
    if not values:
        yield from told(NO_ROOM, "  ")
        return
    x = Scale(panel.places, chart.x_log, format_count, 2, chart.zero)
    y = Scale([*values, *([] if chart.y_log else [0.0])], chart.y_log, rate)
    paths = [(each, _along(each.x, each.y)) for each in panel.series]
    marks = [(p.x, p.y, "*") for each in panel.series for p in each.measured]
    marks += [(mark.x, mark.y, SIGNS[mark.what]) for each in panel.series for mark in each.marks]
    dotted = [_along(each.x, each.ceiling) for each in panel.series if few and each.ceiling]
    names = caption(panel.y, chart.y_log), caption(chart.x, chart.x_log)
    yield from in_axes(x, y, [(path, colour_of(each.colour)) for each, path in paths], dotted, marks, *names)
    below = chart.panels[next(n for n, each in enumerate(chart.panels) if each is panel) + 1 :]
    is_told_below = any(_names_of(each) == _names_of(panel) for each in below[-1:])  # the last panel says what is what
    if not is_told_below:
        yield from keys(panel.series)
    if not any(_marks_of(each) == _marks_of(panel) for each in below[:1]):  # else the next one says it of both
        for sign, text in _marks_of(panel):
            yield from told(f"{sign} {text}", "  ")
    if few and panel.series[0].low and not is_told_below:
        yield from _interval(panel.series[0], x)


def _names_of(panel: Panel) -> list[str]:
    return [each.label for each in panel.series]


def _marks_of(panel: Panel) -> list[tuple[str, str]]:
    """The sign of each change and what it says, with the letter of its line where there are several."""
    few = len(panel.series) == 1
    return [
        (SIGNS[mark.what], mark.text if few else f"{mark.text} ({letter(number)})")
        for number, each in enumerate(panel.series)
        for mark in each.marks
    ]


def _interval(each: Series, x: Scale) -> Iterator[str]:
    """The ends of the line in numbers."""
    known = [n for n, y in enumerate(each.y) if y]
    for n in dict.fromkeys((*known[:1], *known[-1:])):
        low, high = format_number(each.low[n]), format_number(each.high[n])
        yield from told(f"at {x.told(each.x[n])}: {format_number(each.y[n])}, 80 % interval {low} - {high}", "  ")


def _along(x: Sequence[float], y: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(one, two) for one, two in zip(x, y, strict=True) if two]


def draw_points(chart: Chart, panel: Panel) -> Iterator[str]:
    """Measurements: the letter of each group at every point, and where both are equal a line."""
    everything = [value for point in panel.points for value in point]
    both = Scale(everything, True, rate)
    low, high = min(everything), max(everything)
    yield from in_axes(
        both, both, [], [[(low, low), (high, high)]], _letters(panel), caption(panel.y, True), caption(chart.x, True)
    )
    yield from keys(panel.series)


def draw_roofline(chart: Chart, panel: Panel) -> Iterator[str]:
    """The roofs of the device, and the letter of each part at every batch."""
    roofs, ceilings = roofline_data.roofs_of(panel.device), roofline_data.ceilings_of(panel.device)
    peak = max([ceiling.ops_per_s for ceiling in ceilings] or [2 * max(y for _, y in panel.points)])
    rates = [roof.bytes_per_s for roof in roofs]
    left = min([0.25, *(x for x, _ in panel.points)])
    right = max([4 * peak / min(rates), *(x for x, _ in panel.points)])
    lowest = min([min(rates) * left, *(y for _, y in panel.points)])
    x, y = Scale([left, right], True, format_count, 2), Scale([lowest / GIGA, peak / GIGA], True, rate)
    paths = [[(left, slope * left / GIGA), (peak / slope, peak / GIGA), (right, peak / GIGA)] for slope in rates]
    marks = [(place, value / GIGA, sign) for place, value, sign in _letters(panel)]
    yield from in_axes(x, y, [], paths, marks, caption("Gop/s", True), caption(chart.x, True))
    yield from keys(panel.series)
    if not panel.series and chart.kind != "device":
        yield from told(NO_ROOM, "  ")
    for roof in roofs:
        yield from told(f". {printable(roof.name, 40)}, {format_number(roof.figure.value)} GB/s", "  ")


def _letters(panel: Panel) -> list[tuple[float, float, str]]:
    """The letter of each series at every one of its points."""
    return [(x, y, letter(n)) for n, each in enumerate(panel.series) for x, y in zip(each.x, each.y, strict=True)]
