"""Where the columns of a table stand in a terminal of so many columns: side by side, or on further lines of each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GAP = 2  # columns between two
INDENT = 4  # of a further line of a row
COMFORTABLE = 16  # columns of text that are given up only where nothing else can be


@dataclass(frozen=True)
class Line:
    """Columns that stand side by side, by their places in the table, and how wide each is."""

    places: tuple[int, ...]
    widths: tuple[int, ...]
    indent: int = 0


@dataclass(frozen=True)
class _Column:
    """How narrow a column can be without breaking a word or a number, how narrow it is well read, and how wide it is."""

    least: int
    comfortable: int
    most: int
    is_text: bool


def lay_out(
    head: Sequence[str], rows: Sequence[Sequence[str]], room: int, texts: Sequence[str], spared: Sequence[str]
) -> list[Line]:
    """The lines of which each row is made: one where that is wide enough, and no column is left out where it is not.

    Heads are folded between words first; then the *spared* columns move to a further line, in their order; then the *texts*
    are folded, and then the last columns move. No number is ever broken.
    """
    columns = [_column(name, [row[n] for row in rows], name in texts) for n, name in enumerate(head)]
    leaving = [head.index(name) for name in spared if name in head]
    lines, waiting, indent = [], list(range(len(head))), 0
    while waiting:
        here = _side_by_side(columns, waiting, leaving, room - indent)
        lines.append(Line(tuple(here), _widths([columns[n] for n in here], room - indent), indent))
        waiting = [n for n in waiting if n not in here]
        indent = INDENT
    return lines


def _column(name: str, cells: Sequence[str], is_text: bool) -> _Column:
    longest = max(map(len, cells), default=0)
    words = [word for text in (name, *(cells if is_text else ())) for word in text.split()]
    least = max([1, *map(len, words), *([] if is_text else [longest])])
    comfortable = max(least, min(longest, COMFORTABLE)) if is_text else least
    return _Column(least, comfortable, max(1, longest, len(name)), is_text)


def _side_by_side(columns: Sequence[_Column], waiting: Sequence[int], spared: Sequence[int], room: int) -> list[int]:
    """Those of the *waiting* columns that one line has room for, at least one."""
    here = list(waiting)
    for n in spared:
        if n in here and len(here) > 1 and _total(columns[each].comfortable for each in here) > room:
            here.remove(n)
    while len(here) > 1 and _total(columns[each].least for each in here) > room:
        here.pop()
    return here


def _widths(columns: Sequence[_Column], room: int) -> tuple[int, ...]:
    """As wide as there is room for: heads of numbers are folded first, then long texts, and words only where one is too long."""
    widths = [column.most for column in columns]
    for floors in (
        [column.most if column.is_text else column.least for column in columns],
        [column.comfortable for column in columns],
        [column.least for column in columns],
        [1 for _ in columns],
    ):
        while _total(widths) > room and any(width > floor for width, floor in zip(widths, floors, strict=True)):
            n = max(range(len(widths)), key=lambda n: (widths[n] > floors[n], widths[n]))
            widths[n] -= 1
    return tuple(widths)


def _total(widths: Iterable[int]) -> int:
    widths = list(widths)
    return sum(widths) + GAP * (len(widths) - 1)
