"""How many users get a rate each: in a line, and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.forecast.capacity import Users
from simulator.units import format_number

SPLIT_TOLD = {"anew": ", split anew for each number of them", "kept": ", with this split"}


def users_lines(found: Sequence[tuple[str, Users]]) -> list[str]:
    """A line for each format and context; the format is named where there are several."""
    is_named = len({weights for weights, _ in found}) > 1
    return [f"{weights}: {_line(each)}" if is_named else _line(each) for weights, each in found]


def _line(found: Users) -> str:
    asked = f"{found.most:,} at {format_number(found.tokens_per_s_each)} tokens/s each at context {found.context:,}"
    if not found.room:
        return f"{asked}: memory holds none"
    if found.low is None:
        ends = f"up to {found.high:,} by the interval, whose slow end is not known"
    else:
        ends = f"{found.low:,} to {found.high:,} by the interval"
    alone = f", one alone gets {format_number(found.alone)}" if not found.most else ""
    return f"{asked} ({ends}){alone}, memory holds {found.room:,}{SPLIT_TOLD.get(found.split, '')}"


def users_record(weights: str, found: Users) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "weights": weights,
        "context": found.context,
        "tokens_per_s_each": found.tokens_per_s_each,
        "users": found.most,
        "users_low": found.low,
        "users_high": found.high,
        "memory_holds": found.room,
        "split": found.split or None,
    }
