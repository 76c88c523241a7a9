"""Counts and times as people write them: `512`, `8k`, lists with commas, ranges such as `1..64*2` and `0..32k+4k`; `50ms`, `2min`."""

from __future__ import annotations

import re

from simulator.errors import InputError, printable

MAX_VALUES = 10_000
_NUMBER = r"(\d+[kKmM]?)"
_MAX_DIGITS = 12
_SINGLE = re.compile(_NUMBER)
_RANGE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}(?:([*+]){_NUMBER})?")
_UNITS = {"k": 1024, "m": 1024**2}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "": 1.0}
_TIME = re.compile(
    r"\s*((?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(?:e[+-]?\d{1,2})?)\s*(us|ms|s|min)?\s*", re.IGNORECASE | re.ASCII
)
LEAST_SECONDS, MOST_SECONDS = 1e-6, 1e7


def parse_count(text: str) -> int | None:
    """One count, 512 or 8k; None for anything else, and for one of too many digits."""
    is_one = _SINGLE.fullmatch(text) and not _is_long(text)
    return _count(text) if is_one else None


def parse_counts(text: str, name: str, highest: int, most: int = MAX_VALUES) -> list[int]:
    """`1,2,4`, `1..8`, `1..64*2` (doubling), `0..32k+4k`; k is 1024, m 1024 k.

    InputError, which begins with *name*, for what is no count, is larger than *highest*, or is more than *most* values.
    """
    counts: list[int] = []
    for part in (each.strip() for each in text.split(",")):
        is_number = _SINGLE.fullmatch(part) or _RANGE.fullmatch(part)
        if is_number and any(_is_long(digits) for digits in re.findall(r"\d+", part)):
            raise InputError(f"{name} {printable(part, 30)}: too large, at most {highest:,}")
        counts += _counts_of(part, text, name, most)
        if len(counts) > most:
            raise InputError(f"{name} {text[:60]!r}: more than {most:,} values")
    if max(counts) > highest:
        raise InputError(f"{name} {max(counts):,}: too large, at most {highest:,}")
    return list(dict.fromkeys(counts))


def _is_long(text: str) -> bool:
    return len(re.sub(r"\D", "", text).lstrip("0")) > _MAX_DIGITS


def _counts_of(part: str, text: str, name: str, most: int) -> list[int]:
    single = _SINGLE.fullmatch(part)
    if single:
        return [_count(single[1])]
    span = _RANGE.fullmatch(part)
    if not span:
        raise InputError(f"{name} {text[:60]!r}: write numbers such as 1,2,8k or a range such as 1..64*2 or 0..32k+4k")
    low, high, step = _count(span[1]), _count(span[2]), _count(span[4] or "1")
    if high < low:
        raise InputError(f"{name} {part}: a range runs from a smaller to a larger number")
    if span[3] == "*":
        if step < 2 or low < 1:
            raise InputError(f"{name} {part}: a range that multiplies starts at 1 or more and multiplies by 2 or more")
        return [low * step**power for power in range(64) if low * step**power <= high]
    if step < 1:
        raise InputError(f"{name} {part}: the step is 0, at least 1 is needed")
    if (high - low) // step > most:
        raise InputError(f"{name} {part}: more than {most:,} values, write a step as in {span[1]}..{span[2]}*2")
    return list(range(low, high + 1, step))


def _count(text: str) -> int:
    unit = _UNITS.get(text[-1].lower())
    return int(text[:-1]) * unit if unit else int(text)


def parse_seconds(text: str) -> float:
    """`2s`, `50ms`, `1min`, or `2`, which are seconds; InputError, which begins with the text, for what is no time."""
    match = _TIME.fullmatch(text)
    seconds = float(match[1]) * _SECONDS[(match[2] or "").lower()] if match else 0.0
    if LEAST_SECONDS <= seconds <= MOST_SECONDS:
        return seconds
    if seconds > 0:
        ends = f"between {LEAST_SECONDS:g} and {MOST_SECONDS:g} seconds can be asked for"
        raise InputError(f"{printable(text, 30)!r}: {ends}")
    raise InputError(f"{printable(text, 30)!r}: a time is needed, such as 50ms, 2s or 1min")
