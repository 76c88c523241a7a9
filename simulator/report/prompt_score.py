"""Prompts' forecasts beside measurements for somebody at a terminal, and as plain numbers."""

from __future__ import annotations

from typing import Any

from simulator.judge.groups import device_kind, groups_by
from simulator.judge.prompts import PromptRow
from simulator.judge.score import Score
from simulator.report.score import row_record, summary_record
from simulator.report.screen import print_line
from simulator.report.table import print_table
from simulator.units import counted, format_number

ROW_HEAD = ("model", "on", "runtime", "weights", "prompt", "after", "in passes of", "prompt/s", "forecast", "error")


def print_prompts(found: Score, n_worst: int) -> None:
    """The rows that are furthest off; nothing where there are none."""
    worst = [row for row in found.worst(n_worst) if isinstance(row, PromptRow)]
    if not worst:
        return
    print_line(f"The {counted(len(worst), 'prompt')} furthest off:")
    print_table(list(ROW_HEAD), [_cells(row) for row in worst], left=ROW_HEAD[:4])
    print()


def _cells(row: PromptRow) -> list[str]:
    counts = [f"{each:,}" for each in (row.prompt_tokens, row.context, row.micro_batch)]
    rates = [format_number(each) for each in (row.tokens_per_s_measured, row.tokens_per_s)]
    return [row.model, row.label, row.runtime, row.weights, *counts, *rates, f"{row.error:+.0%}"]


def prompt_record(found: Score) -> dict[str, Any]:
    """Summaries as plain data: of all and of each class of devices."""
    groups = {group.label: summary_record(group.score) for group in groups_by(found, device_kind)}
    return {"n": len(found.rows) + len(found.skipped), "all": summary_record(found), "by_device_class": groups}


def prompt_rows(found: Score) -> list[dict[str, Any]]:
    """Every row as plain data."""
    return [_as_record(row) for row in found.rows if isinstance(row, PromptRow)]


def _as_record(row: PromptRow) -> dict[str, Any]:
    more = {"prompt_tokens": row.prompt_tokens, "ubatch": row.micro_batch, "source_url": row.origin.url}
    return row_record(row) | more
