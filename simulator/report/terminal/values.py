"""Every value of a chart in a table: for programs, and for terminals that can draw none."""

from __future__ import annotations

from simulator.errors import printable
from simulator.report.charts.chart import ROWED, Chart, table_of
from simulator.report.screen import print_line
from simulator.report.table import print_table
from simulator.units import format_number


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
    rows = table_of(chart)
    names = [
        name
        for name in ("panel", "series", "x", "y", "low", "high", "ceiling", "note")
        if any(row.get(name) not in (None, "") for row in rows)
    ]
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    print_table(names, cells, left=("panel", "series", "note") + (("x",) if chart.form in ROWED else ()))
    print()
    print_line(chart.source)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return format_number(value) if isinstance(value, float) else printable(str(value), 60)
