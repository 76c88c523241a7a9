"""Charts for somebody at a terminal: title, panels and source, or all values where no picture can be shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

from simulator.errors import printable
from simulator.report.charts.chart import Chart, Form, Panel, without_zero
from simulator.report.screen import fold, is_screen
from simulator.report.terminal.bars import draw_bars, draw_stacks
from simulator.report.terminal.errors import draw_errors
from simulator.report.terminal.lines import draw_lines, draw_points, draw_roofline
from simulator.report.terminal.values import print_values
from simulator.report.terminal.words import told

BLANK = "\u2800"  # a sign of braille without dots
_DRAWERS: dict[Form, Callable[[Chart, Panel], Iterator[str]]] = {
    "lines": draw_lines,
    "scatter": draw_points,
    "roofline": draw_roofline,
    "bars": draw_bars,
    "errors": draw_errors,
    "stacks": draw_stacks,
}


def print_chart(chart: Chart) -> None:
    """Draws on a terminal that can show it; prints the values where it cannot, or where a program reads."""
    if not can_draw():
        print_values(chart)
        return
    chart = without_zero(chart)
    for text in (chart.title, printable(chart.subtitle or "", 100)):
        print(*told(text), sep="\n", end="\n" * bool(text))
    for panel in chart.panels:
        print()
        if panel.title:
            print(*told(printable(panel.title, 100)), sep="\n")
        if panel.note:
            print(*told(printable(panel.note, 300)), sep="\n")
        for line in _DRAWERS[chart.form](chart, panel):
            print(line.replace(BLANK, " ").rstrip())
    print("\n" + fold(printable(chart.source, 600)))


def can_draw() -> bool:
    """Whether a terminal reads along that knows the signs."""
    if not is_screen() or os.environ.get("TERM") == "dumb":
        return False
    try:
        "⣿█▏◆▲■►□".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
