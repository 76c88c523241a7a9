"""What several runs of `validate` gave, those of one build beside those of another: a table for a page.

Each file is one that `roofcast validate --json FILE` wrote. All decodes of a build's runs count alike.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.spec.textfiles import parse_json, read_text
from simulator.units import MI

MAX_BYTES = 64 * MI  # every timing of a run is in its file
FORECAST, DRIFT_OUT = ("error", "held"), ("error_drift_corrected", "held_drift_corrected")


@dataclass(frozen=True)
class Run:
    """The decodes of one run."""

    path: Path
    rows: tuple[dict[str, Any], ...]


def read_run(path: Path) -> Run:
    """A file of `validate --json`; InputError for any other."""
    data = parse_json(read_text(path, MAX_BYTES), path)
    rows = data.get("rows") if isinstance(data, dict) else None
    needed = {*FORECAST, *DRIFT_OUT, "kind"}
    if not isinstance(rows, list) or not rows or any(not isinstance(row, dict) or needed - row.keys() for row in rows):
        raise InputError(f"{path}: is not what roofcast validate --json writes of decodes on this machine")
    return Run(path, tuple(rows))


def validated_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The table in Markdown: each run, each kind of decode, and all; *before* may be empty."""
    builds = {
        name: [read_run(Path(each)) for each in files] for name, files in (("before", before), ("now", after)) if files
    }
    heads = [f"{name}, {what}" for name in builds for what in ("as forecast", "drift out")]
    lines = [f"| decodes | cases | {' | '.join(heads)} |", f"|---|---{'|---' * len(heads)}|"]
    for number in range(max(map(len, builds.values()))):
        rows = {name: list(runs[number].rows) if number < len(runs) else [] for name, runs in builds.items()}
        lines.append(_line(f"run {number + 1}", rows))
    every = {name: [row for run in runs for row in run.rows] for name, runs in builds.items()}
    for kind in dict.fromkeys(row["kind"] for rows in every.values() for row in rows):
        lines.append(_line(kind, _only(every, lambda row, kind=kind: row["kind"] == kind)))
    fewer = _only(every, lambda row: row.get("threads") == 1)
    if any(fewer.values()):
        lines.append(_line("one thread", fewer))
    lines.append(_line("**all**", every))
    return [*lines, "", "(median error / nine in ten within / share of decodes in their 80 % interval)"]


def _only(rows: dict[str, list[dict]], is_meant: Callable[[dict], bool]) -> dict[str, list[dict]]:
    return {name: [row for row in each if is_meant(row)] for name, each in rows.items()}


def _line(what: str, rows: dict[str, list[dict]]) -> str:
    counts = ", ".join(dict.fromkeys(f"{len(each)}" for each in rows.values()))
    cells = [_figures(each, *keys) for each in rows.values() for keys in (FORECAST, DRIFT_OUT)]
    return f"| {what} | {counts} | {' | '.join(cells)} |"


def _figures(rows: Sequence[dict], error: str, held: str) -> str:
    if not rows:
        return "-"
    errors = [abs(row[error]) for row in rows]
    share = statistics.fmean(bool(row[held]) for row in rows)
    return f"{statistics.median(errors):.1%} / {float(np.percentile(errors, 90)):.0%} / {share:.0%}"
