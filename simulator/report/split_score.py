"""Forecasts of split weights beside measurements for somebody at a terminal, and as plain numbers."""

from __future__ import annotations

from math import exp
from typing import Any

from simulator.judge.split import WHATS, Choice, SplitRow, SplitScore, What
from simulator.report.screen import print_line
from simulator.report.table import print_table
from simulator.units import counted, format_number

TITLE = "weights split between GPU and RAM"
SKEWED = "prompts with the skew of random tokens"
NEAR = 0.05  # of the fastest split's speed, that taking another one loses
HEAD = (
    "", "rows", "a decode: median error", "nine in ten within", "bias", "80 % holds", "a prompt: median error",
    "nine in ten within", "bias",
)  # fmt: skip
ROW_HEAD = ("row", "file", "on", "ubatch", "layers in RAM", "experts in RAM", "measured", "forecast", "error")
GROUPS = ("kind", "model", "format", "ubatch")


def print_split(found: SplitScore, n_worst: int) -> None:
    """Errors of all rows and of groups, the worst rows of decodes and of prompts; nothing where there are none."""
    if not found.rows:
        return
    split = found.where(_is_split)
    summaries = [(TITLE, split), ("the same machine, whole on the GPU", found.where(_is_whole))]
    groups = [(str(value), each) for field in GROUPS for (value,), each in split.by(field).items()]
    print_table(list(HEAD), [_summary(label, each) for label, each in (*summaries, *groups) if each.rows], left=("",))
    print()
    for what in WHATS if n_worst and split.rows else ():
        worst = split.worst(n_worst, what)
        print_line(f"The {counted(len(worst), what)} of split weights furthest off:")
        print_table(list(ROW_HEAD), [_cells(row, what) for row in worst], left=ROW_HEAD[:3], spared=("on", "row"))
        print()


def told_split(found: SplitScore) -> list[str]:
    """How good a choice among measured splits the forecast makes."""
    told = []
    for what in WHATS:
        choices = found.choices(what)
        if choices:
            near = sum(each.lost <= NEAR for each in choices)
            furthest = max(choices, key=lambda each: each.lost)
            told.append(
                f"of {counted(len(choices), 'file')} run with several splits, the one forecast as the fastest for a {what} is "
                f"within {NEAR:.0%} of the fastest measured in {near:,}; furthest: {_told_choice(furthest, what)}"
            )
    return told


def _told_choice(choice: Choice, what: What) -> str:
    rates = f"{format_number(choice.measured)} tokens/s for {format_number(choice.best)}"
    return f"{choice.chosen.file}, {_split(choice.chosen, what)} instead of {_split(choice.fastest, what)}, {rates}"


def _split(row: SplitRow, what: What) -> str:
    told = f"{row.layers_in_ram} + {row.experts_in_ram} layers"
    return told if what == "decode" else f"{told} at {row.ubatch:,}"


def _is_split(row: SplitRow) -> bool:
    return row.is_split


def _is_whole(row: SplitRow) -> bool:
    return not row.is_split


def _summary(label: str, found: SplitScore) -> list[str]:
    decode, prompt = (
        [
            f"{found.median_abs_error(what):.1%}",
            f"{found.p90_abs_error(what):.0%}",
            f"{exp(found.bias(what)) - 1:+.0%}",
        ]
        for what in WHATS
    )
    return [label, f"{len(found.rows):,}", *decode, f"{found.held:.0%}", *prompt]


def _cells(row: SplitRow, what: What) -> list[str]:
    counts = [f"{each:,}" for each in (row.ubatch, row.layers_in_ram, row.experts_in_ram)]
    rates = [format_number(each) for each in (row.measured(what), row.forecast(what))]
    return [row.id, row.file, row.machine, *counts, *rates, f"{row.error(what):+.0%}"]


def split_record(found: SplitScore) -> dict[str, Any]:
    """Summaries as plain data: of split weights, of the same machine without, of groups, and of choices among splits."""
    split = found.where(_is_split)
    return {
        "n": len(found.rows) + len(found.skipped),
        "split": _figures(split),
        "whole": _figures(found.where(_is_whole)),
        "by": {field: {str(value): _figures(each) for (value,), each in split.by(field).items()} for field in GROUPS},
        "choices": {what: _choices(split.choices(what)) for what in WHATS},
    }


def split_rows(found: SplitScore) -> list[dict[str, Any]]:
    """Every row as plain data, with its errors."""
    return [
        vars(row)
        | {"assumed": list(row.assumed), "kind": row.kind, "held": row.held}
        | {f"{what}_error": row.error(what) for what in WHATS}
        for row in found.rows
    ]


def _choices(found: tuple[Choice, ...]) -> dict[str, Any]:
    return {
        "n": len(found),
        "within": NEAR,
        "n_within": sum(each.lost <= NEAR for each in found),
        "most_lost": max((each.lost for each in found), default=None),
    }


def _figures(found: SplitScore) -> dict[str, Any]:
    return {"n_rows": len(found.rows), "held": found.held} | {
        f"{what}_{name}": figure(what)
        for what in (*WHATS, "skewed")
        for name, figure in (
            ("median_abs_error", found.median_abs_error), ("p90_abs_error", found.p90_abs_error), ("bias", found.bias),
        )
    }  # fmt: skip
