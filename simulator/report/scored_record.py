"""How far forecasts can be trusted, as plain data: every row, both simple estimates beside it, and errors by group."""

from __future__ import annotations

import math
from typing import Any

from simulator.judge.baselines import by_datasheet, by_efficiency
from simulator.judge.groups import BY, Group, groups_by, headline, of_usable, unusable
from simulator.judge.score import Row, Score
from simulator.report.score import row_record, summary_record


def scored_record(found: Score, basis: str) -> dict[str, Any]:
    """All of it: rows, skipped ones with their reasons, and every group's summary."""
    usable = of_usable(found)
    return {
        "basis": basis,
        "summary": figures(found),
        "by": {label: {group.label: _figures(group) for group in groups_by(usable, of)} for label, of in BY},
        "unusable": {group.label: _figures(group) for group in unusable(found)},
        "rows": row_records(found),
        "skipped": [
            {"id": each.id, "reason": each.reason, "usable": each.origin.is_usable, "why_not": each.origin.why_not}
            for each in found.skipped
        ],
    }


def figures(found: Score) -> dict[str, dict[str, Any]]:
    """The README's table in full precision, by its groups."""
    usable = of_usable(found)
    return {
        group.label: _figures(group)
        | {
            "bandwidth_over_bytes": _errors(by_datasheet(group.score)),
            "one_efficiency": _errors(by_efficiency(group.score, usable)),
        }
        for group in headline(found)
    }


def _figures(group: Group) -> dict[str, Any]:
    found = group.score
    return {
        "n": group.n,
        **summary_record(found),
        "held_95": found.held_wide,
        "half_width": found.half_width,
    }


def _errors(found: Score) -> dict[str, float | None]:
    return {"median_abs_error": found.median_abs_error, "p90_abs_error": found.p90_abs_error}


def row_records(found: Score) -> list[dict[str, Any]]:
    """Each row that was forecast, usable or not, with the best single efficiency's estimate beside it."""
    simple = by_efficiency(found, of_usable(found)).rows
    return [_row(row, other.tokens_per_s) for row, other in zip(found.rows, simple, strict=True)]


def _row(row: Row, by_share: float) -> dict[str, Any]:
    wide = [None if math.isnan(end) else end for end in row.wide]
    return {
        **row_record(row),
        "tokens_per_s_low_95": wide[0],
        "tokens_per_s_high_95": wide[1],
        "bandwidth_over_bytes": row.roof,
        "one_efficiency": by_share,
        "device_class": row.origin.device_class or row.device_class,
        "mode": row.origin.mode,
        "usable": row.origin.is_usable,
        "why_not": row.origin.why_not,
        "source_url": row.origin.url,
    }
