"""How far forecasts can be trusted, as plain data: every row, both simple estimates beside it, and errors by group."""

from __future__ import annotations

import math
from typing import Any

from simulator.judge.baselines import compared, efficiencies
from simulator.judge.groups import BY, Group, groups_by, of_usable, unusable
from simulator.judge.score import Row, Score
from simulator.judge.scored import Scored
from simulator.report.prompt_score import prompt_record, prompt_rows
from simulator.report.score import row_record, summary_record
from simulator.report.serving_score import served_rows, serving_record
from simulator.report.speculation_score import speculation_rows, speculation_score_record
from simulator.report.split_score import split_record, split_rows


def scored_record(scored: Scored, basis: str) -> dict[str, Any]:
    """All of it: rows, skipped ones with their reasons, and every group's summary."""
    found = scored.decode
    usable = of_usable(found)
    return {
        "basis": basis,
        "summary": figures(found),
        "by": {label: {group.label: _figures(group) for group in groups_by(usable, of)} for label, of in BY},
        "unusable": {group.label: _figures(group) for group in unusable(found)},
        "serving": serving_record(scored.served),
        **({"simulated": serving_record(scored.simulated)} if scored.simulated.rows else {}),
        "split": split_record(scored.split),
        "prompts": prompt_record(scored.prompts),
        "speculation": speculation_score_record(scored.speculated),
        "rows": row_records(found),
        "served_rows": served_rows(scored.served),
        "split_rows": split_rows(scored.split),
        "prompt_rows": prompt_rows(scored.prompts),
        "speculation_rows": speculation_rows(scored.speculated),
        "skipped": [
            {"id": each.id, "reason": each.reason, "usable": each.origin.is_usable, "why_not": each.origin.why_not}
            for each in scored.skipped
        ],
    }


def figures(found: Score) -> dict[str, dict[str, Any]]:
    """The README's table in full precision, by its groups."""
    return {
        each.group.label: _figures(each.group)
        | {"bandwidth_over_bytes": _errors(each.datasheet), "one_efficiency": _errors(each.efficiency)}
        for each in compared(found)
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
    shares = efficiencies(found, of_usable(found))
    return [_row(row, share) for row, share in zip(found.rows, shares, strict=True)]


def _row(row: Row, share: float | None) -> dict[str, Any]:
    wide = [None if math.isnan(end) else end for end in row.wide]
    return {
        **row_record(row),
        "tokens_per_s_low_95": wide[0],
        "tokens_per_s_high_95": wide[1],
        "bandwidth_over_bytes": row.roof,
        "one_efficiency": None if share is None else row.roof * share,
        "device_class": row.origin.device_class or row.device_class,
        "mode": row.origin.mode,
        "usable": row.origin.is_usable,
        "why_not": row.origin.why_not,
        "source_url": row.origin.url,
    }
