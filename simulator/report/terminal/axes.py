"""Axes of characters: lines of braille dots, each ending in its letter, with round numbers beside and below."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from plotille import Canvas

from simulator.report.screen import is_plain, text_width
from simulator.report.terminal.words import letter, told
from simulator.report.ticks import even_places, round_places

FEW_PLACES = 4  # each with its number, where there are hardly powers of two between them
HEIGHT, MIN_HEIGHT = 16, 6  # lines of a panel


class Scale:
    """Places along one axis: linear or logarithmic, with round ticks."""

    def __init__(
        self,
        values: Sequence[float],
        is_log: bool,
        told: Callable[[float], str],
        base: int = 10,
        zero: float | None = None,  # what stands for 0
    ):
        self.is_log, self.base, self.zero, self._told = is_log, base, zero, told
        self.known = sorted(set(values))
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        self.low, self.high = self._at(low), self._at(high)
        if self.high <= self.low:
            self.low, self.high = self.low - 0.5, self.high + 0.5

    def _at(self, value: float) -> float:
        return math.log(max(value, 1e-9)) if self.is_log else value

    def __call__(self, value: float) -> float:
        """Where a value stands."""
        return self._at(value)

    def told(self, value: float) -> str:
        """A value as people write it."""
        return "0" if value == self.zero else self._told(value)

    def places(self, most: int) -> list[float]:
        """At most so many round values inside, and two at least."""
        if not self.is_log:
            return [self.low + place for place in even_places(self.high - self.low, max(2, most))]
        zero = [self.zero] if self.zero in self.known else []
        known = [place for place in self.known if place not in zero]
        return [*zero, *self._log_places(known, len(zero), most - len(zero))] if known else zero

    def _log_places(self, known: list[float], n_before: int, most: int) -> list[float]:
        low, high = known[0] if n_before else math.exp(self.low), math.exp(self.high)
        if self.base == 2:
            powers = range(math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9) + 1)
            if len(powers) < 3 and 1 - n_before < len(known) <= min(FEW_PLACES, most):
                return known
            if len(powers) > 1:
                return [2.0**power for power in powers[:: -(-len(powers) // max(2, most))]]
        return round_places(low, high, max(2, most))


def in_axes(
    x: Scale,
    y: Scale,
    paths: Sequence[tuple[list[tuple[float, float]], str]],
    dotted: Sequence[list[tuple[float, float]]],
    marks: Sequence[tuple[float, float, str]],
    y_name: str,
    x_name: str,
) -> Iterator[str]:
    """Lines in axes, each ending in its letter."""
    columns, lines = text_width(), _height()
    names = {place: y.told(place) for place in y.places(lines // 2)}
    margin = max(map(len, names.values()), default=0) + 1
    width = columns - margin - 2
    # The last column and line are part of the axes: what stands at the very end is in them.
    right, top = x.high + (x.high - x.low) / (width - 1), y.high + (y.high - y.low) / (lines - 1)
    canvas = Canvas(width, lines, x.low, y.low, right, top, mode="names")
    for path in dotted:
        for place, value in _dots(path, x, y, columns):
            canvas.point(place, value)
    for path, colour in paths:
        shade = None if is_plain() else colour
        for (x0, y0), (x1, y1) in pairwise(path):
            canvas.line(x(x0), y(y0), x(x1), y(y1), color=shade)
    letters = [(path[-1][0], path[-1][1], letter(n), colour) for n, (path, colour) in enumerate(paths) if path]
    cells = _Cells(width, lines)
    for place, value, sign, colour in [*((*mark, None) for mark in marks), *letters]:
        column, line = cells.take((x(place) - x.low) / (right - x.low), (y(value) - y.low) / (top - y.low), sign)
        at = (x.low + (column + 0.5) / width * (right - x.low), y.low + (line + 0.5) / lines * (top - y.low))
        canvas.text(*at, sign, color=None if is_plain() else colour)
    rows = {round((1 - (y(place) - y.low) / (y.high - y.low)) * (lines - 1)): name for place, name in names.items()}
    yield f"{'':{margin}} {y_name}"
    for number, line in enumerate(canvas.plot().splitlines()[:lines]):
        yield f"{rows.get(number, ''):>{margin}}│{line}"
    yield f"{'':{margin}}└{'─' * width}"
    yield f"{'':{margin}} {_ticks(x, width)}"
    yield from ([f"{'':{margin}} {x_name:^{width}}"] if len(x_name) <= width else told(x_name, " " * (margin + 1)))


class _Cells:
    """Which characters of a panel hold a sign: one that comes later goes to the nearest that is free."""

    def __init__(self, columns: int, lines: int):
        self.columns, self.lines = columns, lines
        self.taken: dict[tuple[int, int], str] = {}

    def take(self, across: float, up: float, sign: str) -> tuple[int, int]:
        """Column and line, from the left and from below, for a sign at these shares of the whole."""
        column = min(self.columns - 1, max(0, int(across * self.columns)))
        line = min(self.lines - 1, max(0, int(up * self.lines)))
        cell = next((each for each in self._near(column, line) if self.taken.get(each, sign) == sign), (column, line))
        self.taken[cell] = sign
        return cell

    def _near(self, column: int, line: int) -> Iterator[tuple[int, int]]:
        steps = sorted(
            ((a, b) for a in range(-2, 3) for b in range(-1, 2)),
            key=lambda step: (abs(step[0]) + 2 * abs(step[1]), -step[0]),
        )
        for right, up in steps:
            if 0 <= column + right < self.columns and 0 <= line + up < self.lines:
                yield column + right, line + up


def _dots(path: list[tuple[float, float]], x: Scale, y: Scale, columns: int) -> Iterator[tuple[float, float]]:
    """Points along a path, so far apart that it looks dotted."""
    for (x0, y0), (x1, y1) in pairwise(path):
        count = max(2, round((x(x1) - x(x0)) / (x.high - x.low) * columns / 2))
        for step in range(count):
            share = step / count
            yield x(x0) + share * (x(x1) - x(x0)), y(y0) + share * (y(y1) - y(y0))


def _ticks(x: Scale, width: int) -> str:
    """Numbers under the axis, none on another."""
    line = [" "] * (width + 8)
    end = -1
    for place in x.places(width // 8):
        name = x.told(place)
        middle = round((x(place) - x.low) / (x.high - x.low) * (width - 1))
        start = max(0, min(middle - len(name) // 2, width - len(name)))
        if start > end and middle < width:
            line[start : start + len(name)] = name
            end = start + len(name)
    return "".join(line).rstrip()


def rate(value: float) -> str:
    """A round number along an axis of rates."""
    return f"{value:,.6g}"


def _height() -> int:
    """Lines of a panel, so that one fits the terminal with its words."""
    return max(MIN_HEIGHT, min(HEIGHT, shutil.get_terminal_size((80, 24)).lines - 8))
