"""Values of options: numbers, counts with their lists and ranges, names at commas. InputError names the option."""

from __future__ import annotations

import math
import re

import click

from simulator.errors import InputError, printable
from simulator.spec.counts import parse_count, parse_counts, parse_seconds
from simulator.spec.machine import LEAST_RAM_GIB, MAX_RAM_GIB
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

_DECIMAL = r"(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
MAX_SHOWN = 64  # batches or contexts of a picture


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
    match = re.fullmatch(rf"\s*({_DECIMAL}(?:e[+-]?\d{{1,2}})?)\s*(?:g|gb|gib)?\s*", text, flags=re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"{printable(text)!r}: GiB are needed, a number, as in --ram 64")
    if not LEAST_RAM_GIB <= float(match[1]) <= MAX_RAM_GIB:
        raise click.BadParameter(
            f"{printable(text)!r}: from {LEAST_RAM_GIB:g} to {MAX_RAM_GIB:,} GiB can be given, as in --ram 64"
        )
    return float(match[1])


def seconds(text: str) -> float:
    """An option's value as seconds: 2s, 500ms, 1min, 2; the parser adds the option's name to the error."""
    try:
        return parse_seconds(text)
    except InputError as error:
        raise click.BadParameter(str(error)) from None


def percentage(text: str) -> float:
    """An option's value as a share of 1: 90, 90%; the parser adds the option's name to the error."""
    match = re.fullmatch(r"\s*(\d{1,2}(?:\.\d{0,9})?)\s*%?\s*", text)
    if match is None or not 1 <= float(match[1]) <= 99:
        raise click.BadParameter(f"{printable(text)!r}: a percentage from 1 to 99 is needed, such as 90")
    return float(match[1]) / 100


def single_count(text: str) -> int:
    """An option's value as one count of tokens, 512 or 8k; the parser adds the option's name to the error."""
    found = parse_count(text)
    if found is None:
        raise click.BadParameter(f"{printable(text, 30)!r}: a number of tokens is needed, such as 512 or 8k")
    return found


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
