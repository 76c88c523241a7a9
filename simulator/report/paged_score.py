"""Forecasts of models read from a drive beside measurements, for somebody at a terminal, and as plain numbers."""

from __future__ import annotations

from typing import Any

from simulator.judge.paged import PagedRow, PagedScore
from simulator.report.screen import print_line, print_section
from simulator.report.table import print_table
from simulator.units import GI, counted, format_gib, format_number

HEAD = ("row", "model", "on", "weights", "RAM", "drive", "tokens/s", "forecast", "80 % interval", "error", "limited by")


def print_paged(found: PagedScore, source: str) -> None:
    """Every row, how far off they are, and what could not be forecast."""
    n = len(found.rows) + len(found.skipped)
    print_line(
        f"{source}: {len(found.rows):,} of {counted(n, 'row')} forecast from a drive; nothing was fitted to them"
    )
    print()
    print_table(list(HEAD), [_cells(row) for row in found.rows], left=(*HEAD[:4], "drive", "limited by"))
    print()
    print_line(
        f"half of the rows are within a factor of {found.median_factor:.2g}; the 80 % interval held {found.n_held} of {len(found.rows)}"
    )
    print_section("Left out", [f"{each.id}: {each.reason}" for each in found.skipped])


def _cells(row: PagedRow) -> list[str]:
    rates = [format_number(each) for each in (row.measured, row.forecast, row.low, row.high)]
    ram = format_gib(row.ram_gib * GI)
    return [
        *(row.id, row.model, row.hardware, row.weights, ram, row.storage),
        *(*rates[:2], f"{rates[2]} - {rates[3]}", f"{row.error:+.0%}", row.bound),
    ]


def paged_record(found: PagedScore) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "n": len(found.rows) + len(found.skipped),
        "median_factor": found.median_factor,
        "n_held": found.n_held,
        "rows": [vars(row) | {"error": row.error, "held": row.held} for row in found.rows],
        "skipped": [{"id": each.id, "reason": each.reason} for each in found.skipped],
    }
