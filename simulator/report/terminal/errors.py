"""The spread of errors in each group, in a terminal: a line from where one in ten lies below to where one in ten lies above."""

from __future__ import annotations

import math
from collections.abc import Iterator

from simulator.errors import printable
from simulator.report.charts.chart import Chart, Panel
from simulator.report.screen import text_width
from simulator.report.terminal.words import colour_of, coloured, told

LEAST_LINE = 12  # columns of the axis


def draw_errors(chart: Chart, panel: Panel) -> Iterator[str]:
    """A line for each group, with its median error and its rows behind; a stroke where forecast and measurement are equal."""
    (each,) = panel.series
    columns = text_width()
    notes = [f"{y - 1:+.0%}, {note}" for y, note in zip(each.y, each.notes, strict=True)]
    margin = min(max(map(len, each.x)), columns // 3)
    room = max(LEAST_LINE, columns - margin - max(map(len, notes)) - 4)
    values = [value for panel in chart.panels for each in panel.series for value in (*each.low, *each.high)]
    low, high = math.log(min([*values, 0.8])), math.log(max([*values, 1.25]))

    def place(value: float) -> int:
        return round((math.log(value) - low) / (high - low) * (room - 1))

    for number, name in enumerate(each.x):
        signs = [" "] * room
        signs[place(1.0)] = "│"
        start, end = place(each.low[number]), place(each.high[number])
        signs[start : end + 1] = ["─"] * (end + 1 - start)
        signs[place(each.y[number])] = "●"
        line = coloured("".join(signs).rstrip(), colour_of(each.colour))
        gap = " " * (room - len("".join(signs).rstrip()))
        yield f"{printable(name, 100)[:margin]:>{margin}} {line}{gap} {notes[number]}"
    if panel is chart.panels[-1]:
        yield from told("dot: median; line: eight in ten; behind: median error, rows", " " * (margin + 1))
