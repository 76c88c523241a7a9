"""Servers' forecasts beside measurements for somebody at a terminal, and as plain numbers."""

from __future__ import annotations

from math import exp
from typing import Any

from simulator.judge.serving import CONTESTED, ServingRow, ServingScore
from simulator.report.screen import print_line
from simulator.report.table import print_table
from simulator.units import counted

HEAD = (
    "", "rows", "a token: median error", "nine in ten within", "bias", "the first: median error", "nine in ten within", "bias",
)  # fmt: skip
ROW_HEAD = (
    "model", "on", "runtime", "weights", "users", "prompt", "answer", "ms a token", "forecast", "error", "ms to the first", "forecast",
    "error",
)  # fmt: skip
GROUPS = (("runtime",), ("hardware",), ("model",), ("runtime", "hardware", "model", "weights"))


def print_servers(found: ServingScore, n_worst: int) -> None:
    """All rows, those that their settings decide, groups, and the worst rows; nothing where there are none."""
    if not found.rows:
        return
    summaries = [("servers, all", found), (f"nothing speculated, equal settings within {CONTESTED:g}", found.settled())]
    groups = [(" ".join(map(str, values)), each) for fields in GROUPS for values, each in found.by(*fields).items()]
    print_table(list(HEAD), [_summary(label, each) for label, each in (*summaries, *groups) if each.rows], left=("",))
    print()
    if n_worst:
        for what, told in (("token", "per token"), ("first", "to the first token")):
            worst = found.worst(n_worst, what)
            print_line(f"The {counted(len(worst), 'server')} furthest off, {told}:")
            print_table(list(ROW_HEAD), [_cells(row) for row in worst], left=ROW_HEAD[:4])
            print()


def told_servers(found: ServingScore) -> list[str]:
    """How their errors are read."""
    if not found.rows:
        return []
    n_speculated = sum(1 for row in found.rows if row.n_drafts)
    n_contested = sum(1 for row in found.rows if row.twins > CONTESTED and not row.n_drafts)
    return [
        "error above 0: too slow; the time per token has the prompts of other requests in it",
        f"{counted(n_speculated, 'row')} speculated tokens, which their forecasts do not",
        f"{counted(n_contested, 'row')} differ by more than {CONTESTED:g} from others with the same settings: something that no column "
        "tells",
    ]


def _summary(label: str, found: ServingScore) -> list[str]:
    cells = [label, f"{len(found.rows):,}"]
    for what in ("token", "first"):
        errors = (found.median_abs_error(what), found.p90_abs_error(what), exp(found.bias(what)) - 1)
        cells += [f"{errors[0]:.0%}", f"{errors[1]:.0%}", f"{errors[2]:+.0%}"]
    return cells


def _cells(row: ServingRow) -> list[str]:
    on = f"{row.n_devices} x {row.hardware}" if row.n_devices > 1 else row.hardware
    times = [f"{1e3 * each:,.1f}" for each in (row.token_measured_s, row.token_s)]
    first = [f"{1e3 * each:,.0f}" for each in (row.first_measured_s, row.first_s)]
    counts = [f"{each:,}" for each in (row.concurrency, row.input_tokens, row.output_tokens)]
    return [
        row.model,
        on,
        row.runtime,
        row.weights,
        *counts,
        *times,
        f"{row.error('token'):+.0%}",
        *first,
        f"{row.error('first'):+.0%}",
    ]


def serving_record(found: ServingScore) -> dict[str, Any]:
    """Summaries as plain data: of all, of those that their settings decide, and of groups."""
    return {
        "n": len(found.rows) + len(found.skipped),
        "all": _figures(found),
        "settled": _figures(found.settled()),
        "groups": [
            dict(zip(GROUPS[-1], values, strict=True)) | _figures(each)
            for values, each in found.by(*GROUPS[-1]).items()
        ],
    }


def served_rows(found: ServingScore) -> list[dict[str, Any]]:
    """Every row as plain data, with its errors."""
    return [
        vars(row) | {"assumed": list(row.assumed), "token_error": row.error("token"), "first_error": row.error("first")}
        for row in found.rows
    ]


def _figures(found: ServingScore) -> dict[str, Any]:
    return {"n_rows": len(found.rows)} | {
        f"{what}_{name}": figure(what)
        for what in ("token", "first")
        for name, figure in (
            ("median_abs_error", found.median_abs_error), ("p90_abs_error", found.p90_abs_error), ("bias", found.bias),
        )
    }  # fmt: skip
