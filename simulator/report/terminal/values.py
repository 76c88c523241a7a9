"""Every value of a chart in a table: for programs, and for terminals that can draw none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.errors import printable
from simulator.report.charts.chart import ROWED, Chart, table_of
from simulator.report.screen import print_line
from simulator.report.table import print_table
from simulator.units import format_number

MOST_ROWS = 20  # of a series


def print_values(chart: Chart) -> None:
    """Every value in a table."""
    print_line(chart.title + (f": {chart.subtitle}" if chart.subtitle else ""))
    x, y = chart.names
    print_line(f"x: {x}; y: {y}")
    titles = {
        panel.note: panel.title for panel in reversed(chart.panels) if panel.note
    }  # the first of those with one note
    for note, title in reversed(titles.items()):
        print_line(f"{title}: {note}" if title else note)
    print()
    rows, is_whole = _thinned(table_of(chart)) if chart.form == "lines" else (table_of(chart), True)
    names = [
        name
        for name in ("panel", "series", "x", "y", "low", "high", "ceiling", "note")
        if any(row.get(name) not in (None, "") for row in rows)
    ]
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    print_table(names, cells, left=("panel", "series", "note") + (("x",) if chart.form in ROWED else ()))
    print()
    if not is_whole:
        print_line("some of the points of each series; a picture (-o FILE.png) holds all")
    print_line(chart.source)


def _thinned(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """At most some MOST_ROWS of each series, in even steps, with its ends and where its notes change; and whether that is all."""
    lines: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for row in rows:
        lines.setdefault((row["panel"], row["series"]), []).append(row)
    found = [row for each in lines.values() for row in _some(each)]
    return found, len(found) == len(rows)


def _some(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    step, last = -(-len(rows) // MOST_ROWS), len(rows) - 1
    changes = {n for n in range(1, len(rows)) if rows[n].get("note") != rows[n - 1].get("note")}
    return [row for n, row in enumerate(rows) if n % step == 0 or n == last or n in changes]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return format_number(value) if isinstance(value, float) else printable(str(value), 60)
