"""Where panels stand in a picture: as large as the words around them leave room for, labels that stood on each other moved apart.

Matplotlib's own layouts solve equations for this, and the last digits of what they find depend on where in memory the
variables lie. Here it is arithmetic in a fixed order, so a picture is the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from simulator.report.drawing.labels import part_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.transforms import Bbox

PADS = (0.12, 0.06)  # inches around each panel, across and along
GAPS = (0.04, 0.02)  # of the figure, for all gaps between panels together where that is more


@dataclass(frozen=True)
class Reach:
    """How far ticks, labels and titles of axes reach beyond them, in shares of the figure."""

    left: float
    right: float
    bottom: float
    top: float


@dataclass(frozen=True)
class Cell:
    """A column or a row of a grid, from its start to its end, and where the axes in it begin and end; rows go down."""

    start: float
    first: float
    last: float
    end: float


def empty_figure(width: float, height: float) -> Canvas:
    """So many inches wide and high, with a canvas that knows how large letters are."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="none")
    FigureCanvasAgg(figure)  # the figure keeps it
    return figure


def settle(figure: Canvas, room: Bbox) -> None:
    """Lays all axes out in a part of the figure, once and for all, and moves labels apart, which can only be told then."""
    _lay_out(figure, room)
    if part_all(figure):  # labels have moved: once more, with room for them where they stand now
        _lay_out(figure, room)
        part_all(figure)


def _lay_out(figure: Canvas, room: Bbox) -> None:
    for _ in range(2):  # which numbers stand along an axis, and how wide they are, changes with its length
        reaches = {axes: _reach(axes) for axes in figure.axes}
        places = {axes: _place(axes, room, reaches) for axes in reaches}
        for axes, (column, row) in places.items():
            if column.first < column.last and row.last < row.first:
                axes.set_position((column.first, row.last, column.last - column.first, row.first - row.last))


def _reach(axes: Axes) -> Reach:
    inner = axes.get_position(original=True)
    outer = axes.get_tightbbox(for_layout_only=True).transformed(axes.figure.transFigure.inverted())
    sides = (inner.x0 - outer.x0, outer.x1 - inner.x1, inner.y0 - outer.y0, outer.y1 - inner.y1)
    return Reach(*(max(0.0, side) for side in sides))


def _place(axes: Axes, room: Bbox, reaches: Mapping[Axes, Reach]) -> tuple[Cell, Cell]:
    """Column and row of axes; where they are in a grid that is in a cell of another one, that has the whole cell."""
    spec = axes.get_subplotspec()
    outermost = spec.get_topmost_subplotspec()
    column, row = _cell(outermost, (room.x0, room.x1), (room.y1, room.y0), reaches)
    return (
        (column, row) if outermost is spec else _cell(spec, (column.start, column.end), (row.start, row.end), reaches)
    )


def _cell(
    spec: SubplotSpec, across: tuple[float, float], down: tuple[float, float], reaches: Mapping[Axes, Reach]
) -> tuple[Cell, Cell]:
    """Column and row of a place in a grid that reaches from the first to the second of *across* and of *down*."""
    grid, n_column, n_row = spec.get_gridspec(), spec.colspan.start, spec.rowspan.start
    inside = {axes.get_subplotspec(): each for axes, each in reaches.items() if axes.get_gridspec() is grid}
    pads = [inches / size for inches, size in zip(PADS, grid.figure.get_size_inches(), strict=True)]
    columns = [(place.colspan.start, each.left, each.right) for place, each in inside.items()]
    rows = [(place.rowspan.start, each.top, each.bottom) for place, each in inside.items()]
    return (
        _cells(across, grid.get_width_ratios(), columns, pads[0], GAPS[0])[n_column],
        _cells(down, grid.get_height_ratios(), rows, pads[1], GAPS[1])[n_row],
    )


def _cells(
    ends: tuple[float, float],
    ratios: Sequence[float],
    reaches: Iterable[tuple[int, float, float]],
    pad: float,
    gap: float,
) -> list[Cell]:
    """Cells one after the other between two ends: what words before and behind axes leave is theirs, as the ratios say.

    Of *reaches*, each is the number of a cell and what it needs before and behind its axes.
    """
    count = len(ratios)
    between = max(pad, gap / 2 / count)
    before, behind = [(0.0, 0.0)] * count, [(0.0, 0.0)] * count  # words, and a pad
    for n, one, other in reaches:
        before[n] = (max(before[n][0], one), between if n else pad)
        behind[n] = (max(behind[n][0], other), between if n < count - 1 else pad)
    direction = 1 if ends[1] > ends[0] else -1
    unit = (abs(ends[1] - ends[0]) - sum(map(sum, before)) - sum(map(sum, behind))) / sum(ratios)
    lengths = [sum(near) + ratio * unit + sum(far) for near, ratio, far in zip(before, ratios, behind, strict=True)]
    stops = [*accumulate(lengths[:-1], lambda stop, length: stop + direction * length, initial=ends[0]), ends[1]]
    return [
        Cell(
            start, start + direction * near[0] + direction * near[1], end - direction * far[0] - direction * far[1], end
        )
        for (start, end), near, far in zip(pairwise(stops), before, behind, strict=True)
    ]
