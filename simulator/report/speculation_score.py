"""Forecasts of speculative decoding beside measurements for somebody at a terminal, and as plain numbers."""

from __future__ import annotations

from math import exp
from typing import Any

from simulator.judge.speculation import NO_GAIN, SpeculationRow, SpeculationScore
from simulator.report.screen import print_line
from simulator.report.table import print_table
from simulator.units import counted, format_number

TITLE = "speculative decoding, times as fast as plain"
HEAD = ("", "rows", "speed-up: median error", "nine in ten within", "bias", "80 % holds", "gains told", "losses told")
ROW_HEAD = (
    "model",
    "on",
    "runtime",
    "weights",
    "drafts",
    "plain",
    "forecast",
    "with drafts",
    "forecast",
    "times",
    "forecast",
    "error",
)
GROUPS = ("drafted", "hardware", "model")
FEWEST_IN_DOCS = 3  # of a group: one pair tells of itself


def print_speculations(found: SpeculationScore, n_worst: int) -> None:
    """Errors of all rows and of groups, and the worst rows; nothing where there are none."""
    if not found.rows:
        return
    groups = [(str(value), each) for field in GROUPS for (value,), each in found.by(field).items()]
    print_table(list(HEAD), [_summary(label, each) for label, each in ((TITLE, found), *groups)], left=("",))
    print()
    if n_worst:
        worst = found.worst(n_worst)
        print_line(f"The {counted(len(worst), 'speed-up')} furthest off:")
        print_table(list(ROW_HEAD), [_cells(row) for row in worst], left=ROW_HEAD[:5], spared=("runtime", "weights"))
        print()


def speculation_table(found: SpeculationScore) -> tuple[list[str], list[list[str]]]:
    """The same as the docs hold it: of the groups that say more than one pair does."""
    kinds = {"mixtures of experts": True, "others": False}
    groups = [("all", found), *((label, found.by("is_mixture").get((value,))) for label, value in kinds.items())]
    groups += [(str(value), each) for field in GROUPS[:2] for (value,), each in found.by(field).items()]
    rows = [_summary(label, each) for label, each in groups if each and len(each.rows) >= FEWEST_IN_DOCS]
    return list(HEAD), rows


def told_speculations(found: SpeculationScore) -> list[str]:
    """How their errors are read."""
    if not found.rows:
        return []
    return [
        "error above 0: drafts were forecast to gain more than they did, at the rate of acceptance that was published; nothing of "
        "speculation is fitted",
        f"gains told, losses told: forecast as what they were; what changed less than {NO_GAIN:.0%} is neither, and few publish what "
        "gained nothing",
    ]


def _summary(label: str, found: SpeculationScore) -> list[str]:
    errors = (f"{found.median_abs_error:.1%}", f"{found.p90_abs_error:.0%}", f"{exp(found.bias) - 1:+.0%}")
    told = [f"{right} of {total}" if total else "" for right, total in map(found.right_way, (True, False))]
    return [label, f"{len(found.rows):,}", *errors, f"{found.held:.0%}", *told]


def _cells(row: SpeculationRow) -> list[str]:
    on = f"{row.n_devices} x {row.hardware}" if row.n_devices > 1 else row.hardware
    rates = [format_number(each) for each in (row.plain_measured, row.plain, row.measured, row.forecast)]
    times = [f"{each:.2f}" for each in (row.speedup_measured, row.speedup)]
    return [row.model, on, row.runtime, row.weights, row.speculation, *rates, *times, f"{row.error:+.0%}"]


def speculation_score_record(found: SpeculationScore) -> dict[str, Any]:
    """Summaries as plain data: of all rows, and of groups."""
    groups = {field: {str(value): _figures(each) for (value,), each in found.by(field).items()} for field in GROUPS}
    return {"n": len(found.rows) + len(found.skipped), "all": _figures(found), "by": groups}


def speculation_rows(found: SpeculationScore) -> list[dict[str, Any]]:
    """Every row as plain data, with its speed-ups and error."""
    names = ("speedup_measured", "speedup", "error", "held", "drafted")
    return [
        {name: value for name, value in vars(row).items() if name != "origin"}
        | {name: getattr(row, name) for name in names}
        | {"source_url": row.origin.url, "assumed": []}
        for row in found.rows
    ]


def _figures(found: SpeculationScore) -> dict[str, Any]:
    names = ("median_abs_error", "p90_abs_error", "bias", "held")
    ways = {
        name: dict(zip(("told", "n"), found.right_way(way), strict=True))
        for name, way in (("gains", True), ("losses", False))
    }
    return {"n_rows": len(found.rows)} | {name: getattr(found, name) for name in names} | ways
