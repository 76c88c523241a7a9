"""Forecasts beside measurements for somebody at a terminal, and as plain numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import exp
from typing import Any

from simulator.errors import InputError
from simulator.forecast.interval import told_held
from simulator.importers.records import Skipped
from simulator.judge.score import Row, Score
from simulator.report.record import write_json
from simulator.report.screen import print_line, print_section
from simulator.report.table import print_table
from simulator.units import counted, format_number

MAX_SHOWN = 40  # rows of the table; JSON has all
N_WORST = 3
MAX_REASONS = 20


def report(found: Score, source: str, made_with: str = "", json: str | None = None) -> None:
    """JSON to a file or, for `-`, to the standard output; and the table unless JSON takes that.

    InputError where nothing of *source* could be compared.
    """
    if not found.rows:
        raise InputError(f"{source}: nothing can be compared: {told_skipped(found.skipped)}")
    if json is not None:
        write_json(as_record(found), json)
    if json != "-":
        print_score(found, made_with)


def report_listed(skipped: Sequence[Skipped], source: str, made_with: str = "", json: str | None = None) -> None:
    """The same of a file that was read and has no row for a forecast: each with what it is instead."""
    found = Score((), tuple(skipped))
    if json is not None:
        write_json(as_record(found), json)
    if json != "-":
        print_line(f"{source}: {counted(len(skipped), 'row')}, none that a forecast can be set beside")
        if made_with:
            print_line(f"measured with {made_with}")
        print()
        print_section("Skipped", _counted(Counter(each.reason for each in skipped)))


def told_skipped(skipped: Sequence[Skipped]) -> str:
    """Why most rows are skipped, and how many for other reasons."""
    ((reason, n),) = Counter(each.reason for each in skipped).most_common(1)
    rest = f", {len(skipped) - n:,} more for other reasons" if n < len(skipped) else ""
    return f"{counted(n, 'row')}: {reason}{rest}"


def as_record(found: Score) -> dict[str, Any]:
    """A score as plain data: every row, every skipped one with its reason, and the summary."""
    return {
        "rows": [row_record(row) for row in found.rows],
        "skipped": [{"id": each.id, "reason": each.reason} for each in found.skipped],
        "summary": {
            **summary_record(found),
            "n_skipped": len(found.skipped),
            "by_device_class": {name: summary_record(each) for name, each in found.by("device_class").items()},
        },
    }


def row_record(row: Row) -> dict[str, Any]:
    """One row as plain data."""
    return {
        "id": row.id,
        "model": row.model,
        "hardware": row.hardware,
        "devices": row.devices,
        "runtime": row.runtime,
        "weights": row.weights,
        "cache": row.cache,
        "batch": row.batch,
        "context": row.context,
        "threads": row.threads,
        "tokens_per_s_measured": row.tokens_per_s_measured,
        "spread": row.spread,
        "tokens_per_s": row.tokens_per_s,
        "tokens_per_s_low": row.low,
        "tokens_per_s_high": row.high,
        "tokens_per_s_ceiling": row.ceiling,
        "error": row.error,
        "held": row.held,
        "bound": row.bound,
        "assumed": list(row.assumed),
    }


def summary_record(found: Score) -> dict[str, Any]:
    """How far off some rows are, as plain data."""
    return {
        "n_rows": len(found.rows),
        "median_abs_error": found.median_abs_error,
        "p90_abs_error": found.p90_abs_error,
        "held": found.held,
        "n_above_ceiling": found.n_above_ceiling,
        "bias": found.bias,
    }


# ---- for people ----


def print_score(found: Score, made_with: str = "") -> None:
    """The rows, what was left out and why, and how far the forecasts are off."""
    found = _with_short_ids(found)
    shown = [name for name in ROW_CELLS if len({ROW_CELLS[name](row) for row in found.rows}) > 1 or name in _ALWAYS]
    shared = [f"{name} {ROW_CELLS[name](found.rows[0])}" for name in ROW_CELLS if name not in shown]
    shared = [text for text in shared if not text.endswith(" ")]
    for line in (", ".join(shared), f"measured with {made_with}" if made_with else ""):
        if line:
            print_line(line)
    print_line(told_held(sum(row.held for row in found.rows), len(found.rows), "measurement"))
    print()
    rows = found.rows if len(found.rows) <= MAX_SHOWN else tuple(found.worst(MAX_SHOWN))
    if len(rows) < len(found.rows):
        print_line(f"of {counted(len(found.rows), 'row')} the {len(rows)} furthest off (--json FILE writes all):")
    print_table(shown, [[ROW_CELLS[name](row) for name in shown] for row in rows], left=ROWS_LEFT, spared=ROWS_SPARED)
    print()
    _print_classes(found)
    for label, lines in _sections(found):
        print_section(label, lines)


def _with_short_ids(found: Score) -> Score:
    """Rows of one file by their lines alone."""
    files = {row.id.rpartition(":")[0] for row in found.rows}
    if len(files) > 1:
        return found
    return replace(found, rows=tuple(replace(row, id=row.id.rpartition(":")[2]) for row in found.rows))


ROW_CELLS: dict[str, Callable[[Row], str]] = {
    "row": lambda row: row.id,
    "model": lambda row: row.model,
    "hardware": lambda row: row.label,
    "runtime": lambda row: row.runtime,
    "weights": lambda row: row.weights,
    "cache": lambda row: row.cache,
    "batch": lambda row: f"{row.batch:,}",
    "context": lambda row: f"{row.context:,}",
    "threads": lambda row: "" if row.threads is None else str(row.threads),
    "measured": lambda row: format_number(row.tokens_per_s_measured),
    "forecast": lambda row: format_number(row.tokens_per_s),
    "error": lambda row: f"{row.error:+.0%}",
    "80 % interval": lambda row: f"{format_number(row.low)} - {format_number(row.high)}",
    "inside": lambda row: "yes" if row.held else "no",
}
_ALWAYS = ("row", "measured", "forecast", "error", "80 % interval", "inside")
ROWS_SPARED = ("cache", "threads", "runtime", "80 % interval", "row", "context")
ROWS_LEFT = ("row", "model", "hardware", "runtime", "weights", "cache", "inside")


def _print_classes(found: Score) -> None:
    classes = found.by("device_class")
    if len(classes) < 2:
        return
    head = ["class", "rows", "median error", "nine in ten", "inside", "bias"]
    rows = [
        [name, f"{len(each.rows):,}", f"{each.median_abs_error:.0%}", f"{each.p90_abs_error:.0%}", f"{each.held:.0%}",
         f"{exp(each.bias) - 1:+.0%}"]
        for name, each in classes.items()
    ]  # fmt: skip
    print_table(head, rows, left=("class",))
    print()


def _sections(found: Score) -> Iterator[tuple[str, list[str]]]:
    yield "Summary", [_summary(found)]
    yield "Worst", [_worst_line(row) for row in found.worst(N_WORST) if not row.held]
    yield "Assumed", _counted(Counter(text for row in found.rows for text in row.assumed))
    yield "Skipped", _counted(Counter(each.reason for each in found.skipped))


def _summary(found: Score) -> str:
    """How far off, in sentences."""
    n = len(found.rows)
    above = found.n_above_ceiling
    parts = [
        f"{counted(n, 'measurement')}: median error {found.median_abs_error:.0%}, nine in ten within {found.p90_abs_error:.0%}",
        f"{_bias(exp(found.bias) - 1)} in the median",
        f"{above:,} above the ceiling, which cannot be: a wrong figure, here or there"
        if above
        else "none above the ceiling",
    ]
    return "; ".join(parts)


def _bias(error: float) -> str:
    if abs(error) < 0.005:
        return "forecasts neither too fast nor too slow"
    return f"forecasts {abs(error):.0%} too {'fast' if error > 0 else 'slow'}"


def _worst_line(row: Row) -> str:
    where = f"{row.model} {row.weights} on {row.label}, batch {row.batch:,}, context {row.context:,}"
    rates = f"{format_number(row.tokens_per_s)} forecast, {format_number(row.tokens_per_s_measured)} measured ({row.error:+.0%})"
    return f"{row.id}: {where}: {rates}, limited by {row.bound}"


def _counted(counts: Counter[str]) -> list[str]:
    """Texts with how many rows they hold for, most first."""
    lines = [f"{counted(n, 'row')}: {text}" for text, n in counts.most_common(MAX_REASONS)]
    rest = sum(counts.values()) - sum(n for _, n in counts.most_common(MAX_REASONS))
    return [*lines, f"{rest:,} more for {len(counts) - MAX_REASONS:,} other reasons"] if rest else lines
