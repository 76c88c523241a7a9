"""Words beside and below what is drawn in a terminal, in lines that fit it, and colours where they are wanted."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from simulator.errors import printable
from simulator.report.charts.chart import Series
from simulator.report.screen import fold, is_plain, text_width

COLOURS = {"blue": 34, "red": 31, "green": 32, "magenta": 35, "yellow": 33, "cyan": 36, "white": 37}  # with their codes


def colour_of(number: int) -> str:
    """Of the so-many-th thing that is drawn."""
    return list(COLOURS)[number % len(COLOURS)]


def coloured(text: str, colour: str) -> str:
    """As it is where no colour is wanted."""
    return text if is_plain() else f"\033[{COLOURS[colour]}m{text}\033[0m"


def told(text: str, indent: str = "") -> list[str]:
    """A line of words in as many lines as the terminal needs."""
    lines = fold(text, indent, indent + "  ").splitlines()
    room = text_width()
    return [part for line in lines for part in textwrap.wrap(line, room, drop_whitespace=False)]  # of a word too long


def keys(series: Sequence[Series]) -> Iterator[str]:
    """Which letter stands at the end of which line."""
    for number, each in enumerate(series):
        sign = letter(number)
        first, *rest = told(f"{sign} {printable(each.label, 120)}", "  ")
        yield first.replace(sign, coloured(sign, colour_of(each.colour)), 1)
        yield from rest


def letter(number: int) -> str:
    """Of the so-many-th thing that is drawn."""
    return chr(ord("a") + number % 26)
