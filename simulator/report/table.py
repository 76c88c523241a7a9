"""A forecast for somebody at a terminal: one line per point, then what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from simulator.forecast.density import DensityForecast
from simulator.forecast.interval import PROMISED
from simulator.forecast.prediction import Prediction
from simulator.forecast.request import RequestForecast
from simulator.forecast.scenario import Scenario
from simulator.report import check, parts, remarks, screen, splits
from simulator.report.columns import GAP, Line, lay_out
from simulator.report.request import COLUMNS, request_lines, request_rows
from simulator.spec.density import WARNING
from simulator.units import counted, format_bytes, format_gib, format_number, format_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

Sweep = tuple[Scenario, list[Prediction]]  # one format, and the points at which it was forecast


def print_forecast(
    sweeps: Sequence[Sweep],
    extra: Sequence[str] = (),
    wide: int | None = None,
    requests: Sequence[tuple[str, RequestForecast]] = (),
) -> None:
    """Table, bytes, capacity, assumptions, and how to check it, of one or several formats of one model on one device.

    *wide*: the percentage of a second interval. *requests*: a whole request in each format, which comes first.
    """
    base, points = sweeps[0]
    first = points[0]
    model, hardware = base.loaded.model, base.hardware
    sizes = ", ".join(f"{each[0].load.weights.name} ({format_gib(each[0].weight_bytes)})" for _, each in sweeps)
    screen.print_line(f"{model.title or model.name}, weights {sizes}")
    threads = f", {counted(first.threads, 'thread')}" if first.threads else ""
    screen.print_line(f"on {hardware.full_title}{threads}, with {base.runtime.title or base.runtime.name}")
    everything = [point for _, each in sweeps for point in each]
    cells = _cells(wide)
    shown = [name for name in cells if name not in _hidden(everything)]
    context = "" if "context" in shown else f"context {int(first.load.context):,}, "
    print(f"{context}cache {first.load.cache.name}\n")
    if requests:
        _print_requests(requests)
    print_table(
        shown,
        [[cells[name](point) for name in shown] for point in everything],
        left=("weights", "limited by"),
        spared=_SPARED,
    )
    print()
    for label, lines in _sections(sweeps, extra, bool(requests)):
        screen.print_section(label, lines)
    commands = _each(sweeps, lambda base, points: [check.check_command(base, points)])
    screen.print_commands("Check it", commands)
    reasons = _each(sweeps, lambda base, points: filter(None, [check.no_command(base, points)]))
    screen.print_section("" if any(commands) else "Check it", reasons)


def _print_requests(requests: Sequence[tuple[str, RequestForecast]]) -> None:
    print_table(list(COLUMNS), request_rows(requests), left=("weights", "limited by"))
    print()
    several = len(requests) > 1
    lines = [(f"{name}: " if several else "") + line for name, each in requests for line in request_lines(each)]
    screen.print_section("Request", lines)
    print()


def _rate(point: Prediction, value) -> str:
    return format_number(float(value)) if point.fits else "-"


def _interval(point: Prediction, coverage: float = PROMISED) -> str:
    if point.fits and point.is_upper_bound:
        return "at most that"
    low, high = (_rate(point, value) for value in point.interval(coverage))
    return f"{low} - {high}" if point.fits else "-"


_CELLS: dict[str, Callable[[Prediction], str]] = {
    "weights": lambda point: point.load.weights.name,
    "context": lambda point: f"{int(point.load.context):,}",
    "batch": lambda point: f"{int(point.load.batch):,}",
    "tokens/s": lambda point: _rate(point, point.tokens_per_s),
    "80 % interval": _interval,
    "ceiling": lambda point: _rate(point, point.tokens_per_s_ceiling),
    "each": lambda point: _rate(point, point.tokens_per_s_per_sequence),
    "limited by": lambda point: point.bound.replace("_", " "),
    "experts": lambda point: format_number(float(point.distinct_experts)),
    "memory": lambda point: format_gib(float(point.memory_bytes)),
}


def _cells(wide: int | None) -> dict[str, Callable[[Prediction], str]]:
    """The columns, with a second interval behind the first where one is asked for."""
    if wide is None:
        return _CELLS
    second = {f"{wide} % interval": lambda point: _interval(point, wide / 100)}
    names = list(_CELLS)
    place = names.index("80 % interval") + 1
    return {name: _CELLS[name] for name in names[:place]} | second | {name: _CELLS[name] for name in names[place:]}


def _hidden(points: list[Prediction]) -> set[str]:
    """Columns of what does not vary, or is not known."""
    hidden = {
        "weights": len({point.load.weights.name for point in points}) == 1,
        "context": len({int(point.load.context) for point in points}) == 1,
        "experts": not points[0].model.experts,
    }
    return {name for name, is_hidden in hidden.items() if is_hidden}


_SPARED = (
    "memory",
    "each",
    "ceiling",
    "experts",
)  # columns that move to a further line, in this order, where the terminal is narrow


def _sections(sweeps: Sequence[Sweep], extra: Sequence[str], is_request: bool) -> Iterable[tuple[str, list[str]]]:
    ends = [point for _, points in sweeps for point in (points[:1] if len(points) == 1 else (points[0], points[-1]))]
    several = len(sweeps) > 1
    yield "Bytes", [_where(point, several) + _bytes_line(point) for point in ends]
    yield "Parts", [line for _, points in sweeps for line in parts.told(points[0])] if not several else []
    yield (
        "Split",
        _each(sweeps, lambda base, points: (_named(base, several) + line for line in splits.told(base, points))),
    )
    yield "Time", [_where(point, several) + _time_line(point) for point in ends if point.fits]
    yield (
        "Fits",
        _each(sweeps, lambda base, points: (_named(base, several) + line for line in remarks.capacity(base, points)))
        + _each(sweeps, lambda base, _: remarks.reserved(base)),
    )
    yield "Rests on", _each(sweeps, remarks.rests_on)
    yield "Assumed", _each(sweeps, remarks.assumptions)
    yield "Density", list(extra)
    yield "Left out", [remarks.left_out(base, is_request) for base, _ in sweeps[:1]]


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
    found = [
        f"{label} {format_bytes(float(point.bytes[name]))}" for name, label in names.items() if float(point.bytes[name])
    ]
    return f"{format_bytes(sum(float(part) for part in point.bytes.values()))} a step: {', '.join(found)}"


def _time_line(point: Prediction) -> str:
    seconds = float(point.seconds_per_step)
    shares = [
        f"{float(value) / seconds:.0%} {name}" for name, value in point.parts.items() if float(value) / seconds >= 0.005
    ]
    return f"{format_seconds(seconds)} a step: {', '.join(shares)}"


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
    """Aligned columns, those on the *left* being texts; on a terminal with a bold head, and no wider than it is.

    Where it is too narrow, each row takes several lines, to which the columns *spared* go first: nothing is left out.
    """
    if screen.is_screen():
        _print_folded(head, rows, left, spared)
        return
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    for cells in (head, *rows):
        line = "  ".join(
            cell.ljust(width) if name in left else cell.rjust(width)
            for cell, width, name in zip(cells, widths, head, strict=True)
        )
        print(line.rstrip())


def _print_folded(head: list[str], rows: list[list[str]], left: Sequence[str], spared: Sequence[str]) -> None:
    lines = lay_out(head, rows, screen.columns(), left, spared)
    console = screen.console()
    # Rows of one line make one table, and those of several lines a table for each.
    bodies = [rows] if len(lines) == 1 else [[row] for row in rows]
    for number, line in enumerate(lines):
        console.print(_grid(line, head, [head], left), style="bold dim" if number else "bold")
    for body in bodies:
        for number, line in enumerate(lines):
            console.print(_grid(line, head, body, left), style="dim" if number else None)


def _grid(line: Line, head: list[str], rows: list[list[str]], left: Sequence[str]) -> RenderableType:
    """Some columns of some rows, in the widths that were found for them."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, GAP, 0, 0))
    for place, width in zip(line.places, line.widths, strict=True):
        grid.add_column(width=width, justify="left" if head[place] in left else "right", overflow="fold")
    for row in rows:
        styles = [_STYLES.get(head[place].strip(), {}).get(row[place], "") for place in line.places]
        grid.add_row(*(Text(row[place], style) for place, style in zip(line.places, styles, strict=True)))
    return Padding(grid, (0, 0, 0, line.indent), expand=False)


_WRONG = {"no": "red"}
_STYLES = {"limited by": screen.STYLES, "held": _WRONG, "inside": _WRONG}  # of what stands in a column
