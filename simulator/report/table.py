"""A forecast for somebody at a terminal: one line per point, then what it rests on."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence

from simulator.density import WARNING
from simulator.predict import Prediction
from simulator.report import remarks
from simulator.simulate import DensityForecast, Scenario
from simulator.units import format_bytes, format_gib, format_number, format_seconds

LEAST_TEXT = 12  # characters that a cut text keeps
Sweep = tuple[Scenario, list[Prediction]]  # one format, and the points at which it was forecast


def print_forecast(sweeps: Sequence[Sweep], extra: Sequence[str] = ()) -> None:
    """Table, bytes, capacity, assumptions, and how to check it, of one or several formats of one model on one device."""
    base, points = sweeps[0]
    first = points[0]
    model, hardware = base.loaded.model, base.hardware
    sizes = ", ".join(f"{each[0].load.weights.name} ({format_gib(each[0].weight_bytes)})" for _, each in sweeps)
    print(f"{model.title or model.name}, weights {sizes}")
    threads = f", {first.threads} threads" if first.threads else ""
    print(f"on {hardware.title or hardware.name}{threads}, with {base.runtime.title or base.runtime.name}")
    everything = [point for _, each in sweeps for point in each]
    shown = _columns(everything)
    context = "" if "context" in shown else f"context {int(first.load.context):,}, "
    print(f"{context}cache {first.load.cache.name}\n")
    print_table(
        shown,
        [[_CELLS[name](point) for name in shown] for point in everything],
        left=("weights", "limited by"),
        spared=_SPARED,
    )
    print()
    for label, lines in _sections(sweeps, extra):
        _print_section(label, lines)


def _rate(point: Prediction, value) -> str:
    return format_number(float(value)) if point.fits else "-"


def _interval(point: Prediction) -> str:
    if point.fits and point.is_upper_bound:
        return "at most that"
    low, high = (_rate(point, value) for value in (point.tokens_per_s_low, point.tokens_per_s_high))
    return f"{low} - {high}" if point.fits else "-"


_CELLS: dict[str, Callable[[Prediction], str]] = {
    "weights": lambda point: point.load.weights.name,
    "context": lambda point: f"{int(point.load.context):,}",
    "batch": lambda point: f"{int(point.load.batch):,}",
    "tokens/s": lambda point: _rate(point, point.tokens_per_s),
    "80 % interval": _interval,
    "ceiling": lambda point: _rate(point, point.tokens_per_s_ceiling),
    "each": lambda point: _rate(point, point.tokens_per_s / point.load.batch),
    "limited by": lambda point: point.bound.replace("_", " "),
    "experts": lambda point: format_number(float(point.distinct_experts)),
    "memory": lambda point: format_gib(float(point.memory_bytes)),
}


def _columns(points: list[Prediction]) -> list[str]:
    """What varies, and what is known."""
    hidden = {
        "weights": len({point.load.weights.name for point in points}) == 1,
        "context": len({int(point.load.context) for point in points}) == 1,
        "experts": not points[0].model.experts,
    }
    return [name for name in _CELLS if not hidden.get(name)]


_SPARED = ("memory", "each", "ceiling", "experts")  # columns to go, in this order, where the terminal is too narrow


def _sections(sweeps: Sequence[Sweep], extra: Sequence[str]) -> Iterable[tuple[str, list[str]]]:
    ends = [point for _, points in sweeps for point in (points[:1] if len(points) == 1 else (points[0], points[-1]))]
    several = len(sweeps) > 1
    yield "Bytes", [_where(point, several) + _bytes_line(point) for point in ends]
    yield "Time", [_where(point, several) + _time_line(point) for point in ends if point.fits]
    yield (
        "Fits",
        _each(sweeps, lambda base, points: (_named(base, several) + line for line in remarks.capacity(base, points)))
        + _each(sweeps, lambda base, _: remarks.reserved(base)),
    )
    yield "Rests on", _each(sweeps, remarks.rests_on)
    yield "Assumed", _each(sweeps, remarks.assumptions)
    yield "Density", list(extra)
    yield "Left out", [remarks.left_out(base) for base, _ in sweeps[:1]]
    yield "Check it", _each(sweeps, lambda base, points: [remarks.check_command(base, points)])


def _each(sweeps: Sequence[Sweep], lines: Callable[[Scenario, list[Prediction]], Iterable[str]]) -> list[str]:
    """The lines of every sweep, those in common once."""
    return list(dict.fromkeys(line for base, points in sweeps for line in lines(base, points)))


def _named(base: Scenario, several: bool) -> str:
    return f"{base.load.weights.name}: " if several else ""


def _where(point: Prediction, several: bool) -> str:
    name = f"{point.load.weights.name}, " if several else ""
    return f"{name}batch {int(point.load.batch):,}, context {int(point.load.context):,}: "


def _bytes_line(point: Prediction) -> str:
    names = {"experts": "experts", "weights": "other weights" if point.model.experts else "weights", "cache": "cache",
             "activations": "activations"}  # fmt: skip
    parts = [
        f"{label} {format_bytes(float(point.bytes[name]))}" for name, label in names.items() if float(point.bytes[name])
    ]
    return f"{format_bytes(sum(float(part) for part in point.bytes.values()))} a step: {', '.join(parts)}"


def _time_line(point: Prediction) -> str:
    seconds = float(point.seconds_per_step)
    parts = [
        f"{float(value) / seconds:.0%} {name}" for name, value in point.parts.items() if float(value) / seconds >= 0.005
    ]
    return f"{format_seconds(seconds)} a step: {', '.join(parts)}"


def density_lines(found: Sequence[tuple[Prediction, DensityForecast]], name: str) -> list[str]:
    """Throughput distributions in words, of the first and last point."""
    lines = []
    for point, forecast in (found[0], found[-1])[: len(found)] if found else ():
        tails = ", ".join(
            f"{percent} % of steps up to {format_number(rate)}" for percent, rate in forecast.percentiles.items()
        )
        lines.append(
            f"{_where(point, several=False)}{name}: steps read {forecast.mean_share:.0%} of the layers on average: "
            f"{format_number(forecast.tokens_per_s)} tokens/s; {tails}"
        )
    return [*lines, WARNING]


def print_table(
    head: list[str], rows: list[list[str]], left: Sequence[str] = ("limited by",), spared: Sequence[str] = ()
) -> None:
    """Aligned columns; on a terminal with a bold head, and no wider than it is.

    Where it is too narrow, the columns *spared* go in this order, and the longest texts on the *left* are cut: a number is
    shown whole or not at all.
    """
    if sys.stdout.isatty():
        head, rows = _fitted(head, rows, left, spared)
    widths = _widths(head, rows)
    for cells in (head, *rows):
        line = "  ".join(
            cell.ljust(width) if name in left else cell.rjust(width)
            for cell, width, name in zip(cells, widths, head, strict=True)
        ).rstrip()
        is_bold = cells is head and _knows_bold()
        print(f"\033[1m{line}\033[0m" if is_bold else line)


def _knows_bold() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _fitted(
    head: list[str], rows: list[list[str]], left: Sequence[str], spared: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """The table as far as the terminal has room for it."""
    room = _width()
    for name in spared:
        if table_width(head, rows) > room and name in head:
            place = head.index(name)
            head, *rows = ([*cells[:place], *cells[place + 1 :]] for cells in (head, *rows))
    for place in sorted((head.index(name) for name in left if name in head), key=lambda n: -_widths(head, rows)[n]):
        excess = table_width(head, rows) - room
        most = max(LEAST_TEXT, len(head[place]), _widths(head, rows)[place] - excess)
        if excess > 0:
            rows = [[*cells[:place], _cut(cells[place], most), *cells[place + 1 :]] for cells in rows]
    return head, rows


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 2].rstrip() + ".."


def table_width(head: list[str], rows: list[list[str]]) -> int:
    """Characters in a line of the table."""
    return sum(_widths(head, rows)) + 2 * (len(head) - 1)


def _widths(head: list[str], rows: list[list[str]]) -> list[int]:
    return [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]


def _print_section(label: str, lines: list[str]) -> None:
    lines = [line for line in lines if line]
    if not lines:
        return
    width = text_width()
    for number, line in enumerate(lines):
        # A command must stay in one piece, so that it can be copied.
        indent = f"{label if number == 0 else '':<9} "
        if label == "Check it":
            print(indent + line)
        else:
            print(textwrap.fill(line, width, initial_indent=indent, subsequent_indent=" " * 12, break_on_hyphens=False,
                                break_long_words=False))  # fmt: skip


def text_width() -> int:
    """Columns that running text takes: those of the terminal, 80 in a pipe, but neither few nor very many."""
    return max(60, min(_width(), 110))


def _width() -> int:
    """Columns of the terminal; 80 in a pipe."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80
