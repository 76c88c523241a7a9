"""Bars of blocks in a terminal, and stacks of fillings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.errors import printable
from simulator.report.charts.chart import Chart, Panel, Series
from simulator.report.screen import text_width
from simulator.report.terminal.words import colour_of, coloured, told
from simulator.units import format_bytes, format_count, format_number

BLOCKS = " ▏▎▍▌▋▊▉█"
FILLS = "█▓▒░"
LEAST_BAR = 8  # columns of the longest bar


def draw_bars(_chart: Chart, panel: Panel) -> Iterator[str]:
    """A line for each bar; where there is no room for one, its name stands above it, and its note below where it must."""
    (each,) = panel.series
    columns = text_width()
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
        yield from told(printable(name, 100))
        if value and under >= LEAST_BAR:
            yield f"  │{_bar(value, most, under, each.colour)} {note}"
        else:
            yield from ([f"  │{_bar(value, most, columns - 4, each.colour)}"] if value else [])
            yield from told(note, "    ")


def _bar(value: float | None, most: float, room: int, colour: int) -> str:
    return coloured(_blocks(value / most * room), colour_of(colour)) if value else ""


def _blocks(length: float) -> str:
    whole = int(length)
    return "█" * whole + BLOCKS[round((length - whole) * 8)].strip()


def draw_stacks(chart: Chart, panel: Panel) -> Iterator[str]:
    """A line for each batch, its components one after the other."""
    columns = text_width()
    totals = [sum(each.y[n] for each in panel.series) for n in range(len(panel.series[0].x))]
    names = [format_count(value) for value in panel.series[0].x]
    margin = max(map(len, names))
    room = columns - margin - 14
    for n, name in enumerate(names):
        ends = [0.0]
        for each in panel.series:
            ends.append(ends[-1] + each.y[n] / max(totals) * room)
        parts = "".join(
            coloured(FILLS[each.colour % 4] * (round(end) - round(start)), colour_of(each.colour))
            for each, start, end in zip(panel.series, ends[:-1], ends[1:], strict=True)
        )
        yield f"{name:>{margin}} │{parts} {format_bytes(totals[n])}"
    yield from _legend(panel.series, margin + 2)
    yield from told(f"each line: {chart.x}", " " * (margin + 2))


def _legend(series: Sequence[Series], indent: int) -> Iterator[str]:
    """What each filling stands for, as many in a line as there is room for."""
    columns = text_width()
    line, end = "", 0
    for each in series:
        text = f"{coloured(FILLS[each.colour % 4], colour_of(each.colour))} {each.label}"
        width = 2 + len(each.label) + 2
        if line and end + width - 2 > columns:
            yield line.rstrip()
            line, end = "", 0
        line, end = (f"{line}{text}  ", end + width) if line else (f"{'':{indent}}{text}  ", indent + width)
    yield line.rstrip()
