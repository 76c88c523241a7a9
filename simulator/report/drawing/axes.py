"""What all axes have: ticks at round places, a label along them, and words where there is nothing to show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from simulator.report.charts.chart import NO_ROOM
from simulator.report.drawing.margins import TEXT, wrapped
from simulator.report.drawing.style import GREY
from simulator.report.ticks import round_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Y_ROOM, TICK_ROOM = 0.95, 0.62  # inches left of axes for ticks and label, and of a tick's number along them


def power_ticks(axis: Axis, low: float, high: float, base: int, told: Callable[[float], str], most: int = 6) -> None:
    """Ticks at powers between the ends of an axis, at most so many; at round values where there are not two powers."""
    set_ticks(axis, power_places(low, high, base, most), told)


def power_places(low: float, high: float, base: int, most: int) -> list[float]:
    """Those places."""
    first, last = (math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9))
    step = -(-(last - first) // max(1, most - 1)) or 1
    places = [float(base) ** power for power in range(first, last + 1, step)]
    return places if len(places) > 1 else round_places(low, high, most)


def even_ticks(axis: Axis, most: int = 8) -> None:
    """Ticks at even steps of 1, 2 or 5, at most so many, of a linear axis whose ends are set: 500, 1,000."""
    axis.get_major_locator().set_params(nbins=most, steps=(1, 2, 5, 10))
    axis.set_major_formatter(lambda value, _place: count(round(value, 9)))


def set_ticks(axis: Axis, places: Sequence[float], told: Callable[[float], str]) -> None:
    """Those and no others."""
    axis.set_ticks(places, [told(place) for place in places])
    axis.set_ticks([], minor=True)


def count(value: float) -> str:
    """A round number as people write it."""
    return f"{value:,.10g}"


def label_x(axes: Axes, text: str, room: float) -> None:
    """What is along the axis, in two lines at most of so many inches."""
    axes.set_xlabel("\n".join(wrapped(text, room, TEXT, most=2)))


def say_no_room(axes: Axes) -> None:
    """That nothing fits; axes without values have no ticks."""
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, NO_ROOM, transform=axes.transAxes, ha="center", color=GREY)
