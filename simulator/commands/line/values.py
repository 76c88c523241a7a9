"""Values of options: numbers, counts with their lists and ranges, names at commas. InputError names the option."""

from __future__ import annotations

import math
import re

import click

from simulator.errors import InputError, printable
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT
from simulator.units import MILLI

MAX_VALUES = 10_000
MAX_SHOWN = 64  # batches or contexts of a picture
_NUMBER = r"(\d+[kKmM]?)"
_MAX_DIGITS = 12
_SINGLE = re.compile(_NUMBER)
_RANGE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}(?:([*+]){_NUMBER})?")
_UNITS = {"k": 1024, "m": 1024**2}


def whole_number(text: str) -> int:
    """An option's value as a whole number; the parser adds the option's name to the error."""
    try:
        return int(text)
    except ValueError:
        raise click.BadParameter(f"{printable(text)!r}: a whole number is needed") from None


def number(text: str) -> float:
    """An option's value as a finite number, as above."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise click.BadParameter(f"{printable(text)!r}: a number is needed")
    return value


def gibibytes(text: str) -> float:
    """An option's value as GiB, of which people write the unit in several ways: 64, 64g, 64GB, 64 GiB."""
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*(?:g|gb|gib)?\s*", text, flags=re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"{printable(text)!r}: GiB are needed, a number, as in --ram 64")
    return float(match[1])


def seconds(text: str) -> float:
    """An option's value as seconds: 2s, 500ms, 2; the parser adds the option's name to the error."""
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*(s|ms)?\s*", text, flags=re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"{printable(text)!r}: a time is needed, such as 2s or 500ms")
    return float(match[1]) * (MILLI if (match[2] or "").lower() == "ms" else 1.0)


def percentage(text: str) -> float:
    """An option's value as a share of 1: 90, 90%; the parser adds the option's name to the error."""
    match = re.fullmatch(r"\s*(\d{1,2}(?:\.\d{0,9})?)\s*%?\s*", text)
    if match is None or not 1 <= float(match[1]) <= 99:
        raise click.BadParameter(f"{printable(text)!r}: a percentage from 1 to 99 is needed, such as 90")
    return float(match[1]) / 100


def single_count(text: str) -> int:
    """An option's value as one count of tokens, 512 or 8k; the parser adds the option's name to the error."""
    if not _SINGLE.fullmatch(text) or len(re.sub(r"\D", "", text).lstrip("0")) > _MAX_DIGITS:
        raise click.BadParameter(f"{printable(text, 30)!r}: a number of tokens is needed, such as 512 or 8k")
    return _count(text)


def parse_counts(text: str, option: str, highest: int) -> list[int]:
    """`1,2,4`, `1..8`, `1..64*2` (doubling), `0..32k+4k`; k is 1024, m 1024 k."""
    counts: list[int] = []
    for part in (each.strip() for each in text.split(",")):
        is_number = _SINGLE.fullmatch(part) or _RANGE.fullmatch(part)
        if is_number and any(len(digits.lstrip("0")) > _MAX_DIGITS for digits in re.findall(r"\d+", part)):
            raise InputError(f"{option} {printable(part, 30)}: too large, at most {highest:,}")
        counts += _counts_of(part, text, option)
        if len(counts) > MAX_VALUES:
            raise InputError(f"{option} {text[:60]!r}: more than {MAX_VALUES:,} values")
    if max(counts) > highest:
        raise InputError(f"{option} {max(counts):,}: too large, at most {highest:,}")
    return list(dict.fromkeys(counts))


def _counts_of(part: str, text: str, option: str) -> list[int]:
    single = _SINGLE.fullmatch(part)
    if single:
        return [_count(single[1])]
    span = _RANGE.fullmatch(part)
    if not span:
        raise InputError(
            f"{option} {text[:60]!r}: write numbers such as 1,2,8k or a range such as 1..64*2 or 0..32k+4k"
        )
    low, high, step = _count(span[1]), _count(span[2]), _count(span[4] or "1")
    if high < low:
        raise InputError(f"{option} {part}: a range runs from a smaller to a larger number")
    if span[3] == "*":
        if step < 2 or low < 1:
            raise InputError(
                f"{option} {part}: a range that multiplies starts at 1 or more and multiplies by 2 or more"
            )
        return [low * step**power for power in range(64) if low * step**power <= high]
    if step < 1:
        raise InputError(f"{option} {part}: the step is 0, at least 1 is needed")
    if (high - low) // step > MAX_VALUES:
        raise InputError(f"{option} {part}: more than {MAX_VALUES:,} values, write a step as in {span[1]}..{span[2]}*2")
    return list(range(low, high + 1, step))


def _count(text: str) -> int:
    unit = _UNITS.get(text[-1].lower())
    return int(text[:-1]) * unit if unit else int(text)


def parse_grid(batch: str | None, context: str | None) -> tuple[list[int] | None, list[int] | None]:
    """Batches and contexts, None where nothing was given."""
    batches = parse_counts(batch, "--batch", MAX_BATCH) if batch else None
    contexts = parse_counts(context, "--context", MAX_CONTEXT) if context else None
    if batches and min(batches) < 1:
        raise InputError("--batch: at least 1 sequence is needed")
    return batches, contexts


def parse_shown_grid(batch: str | None, context: str | None) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """The same, as many as a picture or a page can show."""
    batches, contexts = parse_grid(batch, context)
    for option, counts in (("--batch", batches), ("--context", contexts)):
        if counts and len(counts) > MAX_SHOWN:
            raise InputError(f"{option}: {len(counts):,} values are too many to show, at most {MAX_SHOWN}")
    return batches and tuple(batches), contexts and tuple(contexts)


def parse_names(option: str, text: str | None) -> tuple[str, ...]:
    """What commas set apart."""
    found = tuple(each.strip() for each in text.split(",")) if text else ()
    if not all(found):
        raise InputError(f"{option} {printable(text)!r}: a name is missing at a comma")
    return found
