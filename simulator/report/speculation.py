"""Speculative decoding for somebody at a terminal, a line for each point and kind of text, and as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from simulator.forecast.speculation import Outcome, Speculated
from simulator.report import screen
from simulator.report.table import print_table
from simulator.units import format_gib, format_number, format_seconds

Line = tuple[Speculated, Outcome]

_CELLS: dict[str, Callable[[Line], str]] = {
    "weights": lambda line: line[0].plain.load.weights.name,
    "context": lambda line: f"{int(line[0].plain.load.context):,}",
    "batch": lambda line: f"{int(line[0].plain.load.batch):,}",
    "text": lambda line: line[1].text.name if line[1].text else "",
    "kept": lambda line: f"{line[1].acceptance:.2f}",
    "tokens a step": lambda line: f"{line[1].tokens_per_step:.2f}",
    "tokens/s": lambda line: _number(line[1].tokens_per_s),
    "80 % interval": lambda line: _span(line[1]),
    "same experts": lambda line: _number(line[1].tokens_per_s_same_experts),
    "times plain": lambda line: _times(line[1].speedup),
    "pays from": lambda line: "never" if line[0].break_even is None else f"{line[0].break_even:.2f}",
    "best": lambda line: f"{line[1].best_tokens} drafted" if line[0].plain.fits else "-",
    "then tokens/s": lambda line: _number(line[1].best_tokens_per_s),
    "memory": lambda line: format_gib(line[0].memory_bytes),
}
_SPARED = ("memory", "then tokens/s", "same experts", "tokens a step")  # that move down where the terminal is narrow


def print_speculation(points: Sequence[Speculated]) -> None:
    """A table over points and kinds of text, where a step's time goes, what was assumed, and how to run it."""
    first = points[0]
    lines = [(point, outcome) for point in points for outcome in point.outcomes]
    shown = [name for name in _CELLS if name not in _hidden(lines)]
    cells = [[_CELLS[name](line) for name in shown] for line in lines]
    screen.print_line(f"\nspeculative decoding, {first.speculation.name}\n")
    print_table(shown, cells, left=("weights", "text"), spared=_SPARED)
    print()
    fitting = [point for point in points if point.fits]
    ends = fitting[:1] if len(fitting) < 2 else (fitting[0], fitting[-1])
    screen.print_section("Mean", [_told_mean(point, len(points) > 1) for point in ends if len(point.outcomes) > 1])
    screen.print_section("Step", [_told_step(point, len(points) > 1) for point in ends])
    screen.print_section("Fits", [told_fit(point) for point in points if not point.fits and point.plain.fits][:1])
    screen.print_section("Assumed", list(first.whole.assumptions()))
    flags = first.plain.runtime.drafting.told(first.speculation)
    screen.print_section("Run it", [f"add {flags}" if flags else ""])


def _hidden(lines: Sequence[Line]) -> set[str]:
    """Columns of what does not vary, or is not known."""
    loads = [point.plain.load for point, _ in lines]
    hidden = {
        "weights": len({load.weights.name for load in loads}) == 1,
        "context": len({int(load.context) for load in loads}) == 1,
        "text": all(outcome.text is None for _, outcome in lines),
        "same experts": all(outcome.tokens_per_s_same_experts is None for _, outcome in lines),
    }
    return {name for name, is_hidden in hidden.items() if is_hidden}


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else format_number(value)


def _span(found: Outcome) -> str:
    if math.isnan(found.tokens_per_s_low):
        return "-"
    return f"{format_number(found.tokens_per_s_low)} - {format_number(found.tokens_per_s_high)}"


def _times(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _told_mean(point: Speculated, is_named: bool) -> str:
    low, high = map(format_number, point.between)
    return (
        f"{_where(point, is_named)}{format_number(point.mean_tokens_per_s)} tokens/s over these kinds of text, each as likely; {low} from "
        f"the worst drafted to {high} of the best"
    )


def _where(point: Speculated, is_named: bool) -> str:
    load = point.plain.load
    return f"batch {int(load.batch):,}, context {int(load.context):,}: " if is_named else ""


def _told_step(point: Speculated, is_named: bool) -> str:
    parts = {"verifying": point.verify_s, "drafting": point.draft_s, "choosing tokens": point.choose_s}
    told = ", ".join(f"{name} {format_seconds(seconds)}" for name, seconds in parts.items() if seconds)
    plain = float(point.plain.seconds_given_memory)
    return f"{_where(point, is_named)}{format_seconds(point.seconds_given_memory)}: {told}; {format_seconds(plain)} without drafts"


def told_fit(point: Speculated) -> str:
    """What is missing where the model fits by itself, and not with whoever drafts."""
    part, needed, limit = max(point.held, key=lambda each: each[1] - each[2])
    where = f" on {part.own_label}" if len(point.held) > 1 else ""
    remedy = "more of the model in RAM" if len(point.held) > 1 else "a smaller draft or format, or a shorter context"
    return (
        f"does not fit with drafts at batch {int(point.plain.load.batch):,}, context {int(point.plain.load.context):,}: needs "
        f"{format_gib(needed)}{where}, {format_gib(limit)} can be had, {format_gib(needed - limit)} too much; take {remedy}"
    )


def speculation_record(point: Speculated) -> dict[str, Any]:
    """One point as plain numbers; rates of what does not fit are None."""
    parts = [
        {"name": part.own_label, "memory_bytes": needed, "memory_limit_bytes": limit}
        for part, needed, limit in point.held
    ]
    return {
        "kind": point.speculation.kind,
        "drafted": point.drafted,
        "draft": point.whole.drafter.model.name if point.whole.drafter else None,
        "draft_weights": point.whole.drafter.weights.name if point.whole.drafter else None,
        "fits": point.fits,
        "memory_bytes": point.memory_bytes,
        "memory_limit_bytes": point.memory_limit_bytes,
        **({"parts": parts} if len(parts) > 1 else {}),
        "seconds_per_step": _known(point.seconds_per_step),
        "seconds": {
            "verify": point.verify_s,
            "draft": point.draft_s,
            "choose": point.choose_s,
        },
        "break_even_acceptance": point.break_even,
        "mean_tokens_per_s": _known(point.mean_tokens_per_s),
        "mean_tokens_per_s_low": _known(point.between[0]),
        "mean_tokens_per_s_high": _known(point.between[1]),
        "outcomes": [_outcome_record(outcome) for outcome in point.outcomes],
    }


def _outcome_record(found: Outcome) -> dict[str, Any]:
    return {
        "text": found.text.name if found.text else None,
        "acceptance": found.acceptance,
        "acceptance_source": found.text.source if found.text else None,
        "tokens_per_step": found.tokens_per_step,
        "tokens_per_s": _known(found.tokens_per_s),
        "tokens_per_s_low": _known(found.tokens_per_s_low),
        "tokens_per_s_high": _known(found.tokens_per_s_high),
        "tokens_per_s_same_experts": _known(found.tokens_per_s_same_experts),
        "speedup": _known(found.speedup),
        "best_drafted": found.best_tokens,
        "best_tokens_per_s": _known(found.best_tokens_per_s),
    }


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
