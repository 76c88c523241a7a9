"""Charts for somebody at a terminal: lines of braille dots, bars of blocks; and where neither can be shown, a table."""

from __future__ import annotations

import math
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from plotille import Canvas

from simulator.errors import printable
from simulator.report import roofline_data
from simulator.report.charts import CHANGES, Chart, Panel, Series, table_of, without_zero
from simulator.report.screen import LEAST_COLUMNS, fold, is_plain, is_screen, print_line
from simulator.report.table import print_table
from simulator.report.ticks import even_places, round_places
from simulator.units import GIGA, format_bytes, format_count, format_number

HEIGHT, MIN_HEIGHT = 16, 6  # lines of a panel
MAX_WIDTH = 110
COLOURS = ("blue", "red", "green", "magenta", "yellow", "cyan", "white")
CODES = {"blue": 34, "red": 31, "green": 32, "magenta": 35, "yellow": 33, "cyan": 36, "white": 37}
BLOCKS = " ▏▎▍▌▋▊▉█"
FILLS = "█▓▒░"
LEAST_BAR = 8  # columns of the longest bar
BLANK = "\u2800"  # a sign of braille without dots
SIGNS = dict(zip(CHANGES, "◆▲■", strict=True))  # the shapes that pictures have


def print_chart(chart: Chart) -> None:
    """Draws on a terminal that can show it; prints the values where it cannot, or where a program reads."""
    if not can_draw():
        print_values(chart)
        return
    chart = without_zero(chart)
    for text in (chart.title, printable(chart.subtitle or "", 100)):
        print(*_told(text), sep="\n", end="\n" * bool(text))
    for panel in chart.panels:
        print()
        if panel.title:
            print(*_told(printable(panel.title, 100)), sep="\n")
        for line in _DRAWERS[chart.form](chart, panel):
            print(line.replace(BLANK, " ").rstrip())
    print("\n" + fold(printable(chart.source, 300), width=_size()[0]))


def can_draw() -> bool:
    """Whether a terminal reads along that knows the signs."""
    if not is_screen() or os.environ.get("TERM") == "dumb":
        return False
    try:
        "⣿█▏◆▲■".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def print_values(chart: Chart) -> None:
    """Every value in a table."""
    print_line(chart.title + (f": {chart.subtitle}" if chart.subtitle else ""))
    x, y = chart.names
    print_line(f"x: {x}; y: {y}")
    print()
    rows = table_of(chart)
    names = [
        name
        for name in ("panel", "series", "x", "y", "low", "high", "ceiling", "note")
        if any(row.get(name) not in (None, "") for row in rows)
    ]
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    print_table(names, cells, left=("panel", "series", "note") + (("x",) if chart.form == "bars" else ()))
    print()
    print_line(chart.source)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return format_number(value) if isinstance(value, float) else printable(str(value), 60)


def _size() -> tuple[int, int]:
    """Columns, and lines of a panel."""
    columns, lines = shutil.get_terminal_size((80, 24))
    return max(LEAST_COLUMNS, min(columns, MAX_WIDTH)), max(MIN_HEIGHT, min(HEIGHT, lines - 8))


def _coloured(text: str, colour: str) -> str:
    return text if is_plain() else f"\033[{CODES[colour]}m{text}\033[0m"


def _told(text: str, indent: str = "") -> list[str]:
    """A line of words in as many lines as the terminal needs."""
    columns, _ = _size()
    lines = fold(text, indent, indent + "  ", columns).splitlines()
    return [
        part for line in lines for part in textwrap.wrap(line, columns, drop_whitespace=False)
    ]  # of a word too long


# ---- lines and points ----


class _Scale:
    """Places along one axis: linear or logarithmic, with round ticks."""

    def __init__(self, values: Sequence[float], is_log: bool, told: Callable[[float], str], base: int = 10):
        self.is_log, self.told, self.base = is_log, told, base
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        self.low, self.high = self._at(low), self._at(high)
        if self.high <= self.low:
            self.low, self.high = self.low - 0.5, self.high + 0.5

    def _at(self, value: float) -> float:
        return math.log(max(value, 1e-9)) if self.is_log else value

    def __call__(self, value: float) -> float:
        """Where a value stands."""
        return self._at(value)

    def places(self, most: int) -> list[float]:
        """At most so many round values inside, and two at least."""
        if not self.is_log:
            return [self.low + place for place in even_places(self.high - self.low, max(2, most))]
        low, high = math.exp(self.low), math.exp(self.high)
        if self.base == 2:
            powers = range(math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9) + 1)
            if len(powers) > 1:
                return [2.0**power for power in powers[:: -(-len(powers) // max(2, most))]]
        return round_places(low, high, max(2, most))


def _lines(chart: Chart, panel: Panel) -> Iterator[str]:
    few = len(panel.series) == 1
    values = [
        y
        for each in panel.series
        for y in (*each.y, *(each.ceiling if few else ()), *(p.y for p in each.measured))
        if y
    ]
    if not values:
        yield from _told("does not fit in memory", "  ")
        return
    places = [x for each in panel.series for x, y in zip(each.x, each.y, strict=True) if y]
    places += [point.x for each in panel.series for point in each.measured]
    x = _Scale(places, chart.x_log, format_count, 2)
    y = _Scale([*values, *([] if chart.y_log else [0.0])], chart.y_log, _rate)
    paths = [(each, _along(each.x, each.y)) for each in panel.series]
    marks = [(p.x, p.y, "*") for each in panel.series for p in each.measured]
    marks += [(mark.x, mark.y, SIGNS[mark.what]) for each in panel.series for mark in each.marks]
    dotted = [_along(each.x, each.ceiling) for each in panel.series if few and each.ceiling]
    yield from _canvas(
        x, y, [(path, COLOURS[each.colour % 7]) for each, path in paths], dotted, marks, panel.y, chart.x
    )
    below = chart.panels[next(n for n, each in enumerate(chart.panels) if each is panel) + 1 :]
    is_told_below = any(_names_of(each) == _names_of(panel) for each in below[-1:])  # the last panel says what is what
    if not is_told_below:
        yield from _keys(panel.series)
    if not any(_marks_of(each) == _marks_of(panel) for each in below[:1]):  # else the next one says it of both
        for sign, text in _marks_of(panel):
            yield from _told(f"{sign} {text}", "  ")
    if few and panel.series[0].low and not is_told_below:
        yield from _interval(panel.series[0])


def _names_of(panel: Panel) -> list[str]:
    return [each.label for each in panel.series]


def _marks_of(panel: Panel) -> list[tuple[str, str]]:
    """The sign of each change and what it says, with the letter of its line where there are several."""
    few = len(panel.series) == 1
    return [
        (SIGNS[mark.what], mark.text if few else f"{mark.text} ({_letter(number)})")
        for number, each in enumerate(panel.series)
        for mark in each.marks
    ]


def _interval(each: Series) -> Iterator[str]:
    """The ends of the line in numbers."""
    known = [n for n, y in enumerate(each.y) if y]
    for n in dict.fromkeys((*known[:1], *known[-1:])):
        low, high = format_number(each.low[n]), format_number(each.high[n])
        yield from _told(
            f"at {format_count(each.x[n])}: {format_number(each.y[n])}, 80 % interval {low} - {high}", "  "
        )


def _along(x: Sequence[float], y: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(one, two) for one, two in zip(x, y, strict=True) if two]


def _keys(series: Sequence[Series]) -> Iterator[str]:
    for number, each in enumerate(series):
        sign = _letter(number)
        first, *rest = _told(f"{sign} {printable(each.label, 120)}", "  ")
        yield first.replace(sign, _coloured(sign, COLOURS[each.colour % 7]), 1)
        yield from rest


def _letter(number: int) -> str:
    return chr(ord("a") + number % 26)


def _canvas(
    x: _Scale,
    y: _Scale,
    paths: Sequence[tuple[list[tuple[float, float]], str]],
    dotted: Sequence[list[tuple[float, float]]],
    marks: Sequence[tuple[float, float, str]],
    y_name: str,
    x_name: str,
) -> Iterator[str]:
    """Lines in axes, each ending in its letter."""
    columns, lines = _size()
    names = {place: y.told(place) for place in y.places(lines // 2)}
    margin = max(map(len, names.values()), default=0) + 1
    width = columns - margin - 2
    # The last column and line are part of the axes: what stands at the very end is in them.
    right, top = x.high + (x.high - x.low) / (width - 1), y.high + (y.high - y.low) / (lines - 1)
    canvas = Canvas(width, lines, x.low, y.low, right, top, mode="names")
    for path in dotted:
        for place, value in _dots(path, x, y, columns):
            canvas.point(place, value)
    for path, colour in paths:
        shade = None if is_plain() else colour
        for (x0, y0), (x1, y1) in pairwise(path):
            canvas.line(x(x0), y(y0), x(x1), y(y1), color=shade)
    letters = [(path[-1][0], path[-1][1], _letter(n), colour) for n, (path, colour) in enumerate(paths) if path]
    cells = _Cells(width, lines)
    for place, value, sign, colour in [*((*mark, None) for mark in marks), *letters]:
        column, line = cells.take((x(place) - x.low) / (right - x.low), (y(value) - y.low) / (top - y.low), sign)
        at = (x.low + (column + 0.5) / width * (right - x.low), y.low + (line + 0.5) / lines * (top - y.low))
        canvas.text(*at, sign, color=None if is_plain() else colour)
    rows = {round((1 - (y(place) - y.low) / (y.high - y.low)) * (lines - 1)): name for place, name in names.items()}
    yield f"{'':{margin}} {y_name}"
    for number, line in enumerate(canvas.plot().splitlines()[:lines]):
        yield f"{rows.get(number, ''):>{margin}}│{line}"
    yield f"{'':{margin}}└{'─' * width}"
    yield f"{'':{margin}} {_ticks(x, width)}"
    yield from ([f"{'':{margin}} {x_name:^{width}}"] if len(x_name) <= width else _told(x_name, " " * (margin + 1)))


class _Cells:
    """Which characters of a panel hold a sign: one that comes later goes to the nearest that is free."""

    def __init__(self, columns: int, lines: int):
        self.columns, self.lines = columns, lines
        self.taken: dict[tuple[int, int], str] = {}

    def take(self, across: float, up: float, sign: str) -> tuple[int, int]:
        """Column and line, from the left and from below, for a sign at these shares of the whole."""
        column = min(self.columns - 1, max(0, int(across * self.columns)))
        line = min(self.lines - 1, max(0, int(up * self.lines)))
        cell = next((each for each in self._near(column, line) if self.taken.get(each, sign) == sign), (column, line))
        self.taken[cell] = sign
        return cell

    def _near(self, column: int, line: int) -> Iterator[tuple[int, int]]:
        steps = sorted(
            ((a, b) for a in range(-2, 3) for b in range(-1, 2)),
            key=lambda step: (abs(step[0]) + 2 * abs(step[1]), -step[0]),
        )
        for right, up in steps:
            if 0 <= column + right < self.columns and 0 <= line + up < self.lines:
                yield column + right, line + up


def _dots(path: list[tuple[float, float]], x: _Scale, y: _Scale, columns: int) -> Iterator[tuple[float, float]]:
    """Points along a path, so far apart that it looks dotted."""
    for (x0, y0), (x1, y1) in pairwise(path):
        count = max(2, round((x(x1) - x(x0)) / (x.high - x.low) * columns / 2))
        for step in range(count):
            share = step / count
            yield x(x0) + share * (x(x1) - x(x0)), y(y0) + share * (y(y1) - y(y0))


def _ticks(x: _Scale, width: int) -> str:
    """Numbers under the axis, none on another."""
    line = [" "] * (width + 8)
    end = -1
    for place in x.places(width // 8):
        name = x.told(place)
        start = max(0, round((x(place) - x.low) / (x.high - x.low) * (width - 1)) - len(name) // 2)
        if start > end and start + len(name) <= width:
            line[start : start + len(name)] = name
            end = start + len(name)
    return "".join(line).rstrip()


def _rate(value: float) -> str:
    return f"{value:,.6g}"


def _points(chart: Chart, panel: Panel) -> Iterator[str]:
    """Measurements: the letter of each group at every point, and where both are equal a line."""
    everything = [value for each in panel.series for value in (*each.x, *each.y)]
    both = _Scale(everything, True, _rate)
    low, high = min(everything), max(everything)
    marks = [
        (x, y, _letter(number)) for number, each in enumerate(panel.series) for x, y in zip(each.x, each.y, strict=True)
    ]
    yield from _canvas(both, both, [], [[(low, low), (high, high)]], marks, panel.y, chart.x)
    yield from _keys(panel.series)


def _roofline(chart: Chart, panel: Panel) -> Iterator[str]:
    """The roofs of the device, and the letter of each part at every batch."""
    roofs, ceilings = roofline_data.roofs_of(panel.device), roofline_data.ceilings_of(panel.device)
    points = [(x, y) for each in panel.series for x, y in zip(each.x, each.y, strict=True)]
    peak = max([ceiling.ops_per_s for ceiling in ceilings] or [2 * max(y for _, y in points)])
    rates = [roof.bytes_per_s for roof in roofs]
    left, right = min([0.25, *(x for x, _ in points)]), max([4 * peak / min(rates), *(x for x, _ in points)])
    lowest = min([min(rates) * left, *(y for _, y in points)])
    x, y = _Scale([left, right], True, format_count, 2), _Scale([lowest / GIGA, peak / GIGA], True, _rate)
    paths = [
        ([(left, rate * left / GIGA), (peak / rate, peak / GIGA), (right, peak / GIGA)], "white") for rate in rates
    ]
    marks = [
        (x_, y_ / GIGA, _letter(number))
        for number, each in enumerate(panel.series)
        for x_, y_ in zip(each.x, each.y, strict=True)
    ]
    yield from _canvas(x, y, [], [path for path, _ in paths], marks, "Gop/s", chart.x)
    yield from _keys(panel.series)
    if not panel.series and chart.kind != "device":
        yield from _told("does not fit in memory", "  ")
    for roof in roofs:
        yield from _told(f". {printable(roof.name, 40)}, {format_number(roof.figure.value)} GB/s", "  ")


# ---- bars ----


def _bars(_chart: Chart, panel: Panel) -> Iterator[str]:
    """A line for each bar; where there is no room for one, its name stands above it, and its note below where it must."""
    (each,) = panel.series
    columns, _ = _size()
    most = max([y for y in each.y if y], default=1.0)
    notes = [f"{format_number(y)}, {note}" if y else note for y, note in zip(each.y, each.notes, strict=True)]
    margin = max(map(len, each.x))
    beside = columns - margin - max(map(len, notes)) - 4
    is_beside = beside >= LEAST_BAR and margin <= columns // 2
    under = columns - 5 - max([len(note) for y, note in zip(each.y, notes, strict=True) if y], default=0)
    for name, value, note in zip(each.x, each.y, notes, strict=True):
        if is_beside:
            yield f"{name:>{margin}} │{_bar(value, most, beside, each.colour)} {note}"
            continue
        yield from _told(printable(name, 100))
        if value and under >= LEAST_BAR:
            yield f"  │{_bar(value, most, under, each.colour)} {note}"
        else:
            yield from ([f"  │{_bar(value, most, columns - 4, each.colour)}"] if value else [])
            yield from _told(note, "    ")


def _bar(value: float | None, most: float, room: int, colour: int) -> str:
    return _coloured(_blocks(value / most * room), COLOURS[colour % 7]) if value else ""


def _blocks(length: float) -> str:
    whole = int(length)
    return "█" * whole + BLOCKS[round((length - whole) * 8)].strip()


def _stacks(chart: Chart, panel: Panel) -> Iterator[str]:
    """A line for each batch, its components one after the other."""
    columns, _ = _size()
    totals = [sum(each.y[n] for each in panel.series) for n in range(len(panel.series[0].x))]
    names = [format_count(value) for value in panel.series[0].x]
    margin = max(map(len, names))
    room = columns - margin - 14
    for n, name in enumerate(names):
        ends = [0.0]
        for each in panel.series:
            ends.append(ends[-1] + each.y[n] / max(totals) * room)
        parts = "".join(
            _coloured(FILLS[each.colour % 4] * (round(end) - round(start)), COLOURS[each.colour % 7])
            for each, start, end in zip(panel.series, ends[:-1], ends[1:], strict=True)
        )
        yield f"{name:>{margin}} │{parts} {format_bytes(totals[n])}"
    yield from _legend(panel.series, margin + 2)
    yield from _told(f"each line: {chart.x}", " " * (margin + 2))


def _legend(series: Sequence[Series], indent: int) -> Iterator[str]:
    """What each filling stands for, as many in a line as there is room for."""
    columns, _ = _size()
    line, end = "", 0
    for each in series:
        text = f"{_coloured(FILLS[each.colour % 4], COLOURS[each.colour % 7])} {each.label}"
        width = 2 + len(each.label) + 2
        if line and end + width - 2 > columns:
            yield line.rstrip()
            line, end = "", 0
        line, end = (f"{line}{text}  ", end + width) if line else (f"{'':{indent}}{text}  ", indent + width)
    yield line.rstrip()


_DRAWERS: dict[str, Callable[[Chart, Panel], Iterator[str]]] = {
    "lines": _lines,
    "scatter": _points,
    "roofline": _roofline,
    "bars": _bars,
    "stacks": _stacks,
}
