"""What a picture shows, as plain numbers: drawn in a file or a terminal, and written as CSV, from the same values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from simulator.report import roofline_data
from simulator.spec.hardware import Hardware

Form = Literal["lines", "bars", "stacks", "roofline", "scatter", "errors"]
ROWED = ("bars", "errors")  # forms whose panels have names along one side
BATCH = "sequences decoded at once (batch)"
DOTTED = "dotted: ceiling"
BAND = f"band: 80 % interval; {DOTTED}"
FITS_FROM = "fits from here on"
CHANGES = (
    "compute takes over",
    "cache outweighs weights",
    "memory is full",
    "GPU fetches weights from RAM",
)  # along a batch
SIGNED = (*CHANGES, FITS_FROM)  # what a sign of its own marks in a line
NO_ROOM = "does not fit in memory"


@dataclass(frozen=True)
class Mark:
    """Where something changes along a line."""

    x: float
    y: float
    what: str  # one of SIGNED
    text: str


@dataclass(frozen=True)
class Point:
    """One measurement, with its error bar."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """A line, or the bars of one colour; y is None where there is no value, as NaN is for what does not fit."""

    label: str
    x: tuple[Any, ...]  # numbers, or names where the form is one of ROWED
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()  # of the 80 % interval
    high: tuple[float | None, ...] = ()
    ceiling: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()  # of each bar, or point of a line: NO_ROOM where memory holds no such thing
    marks: tuple[Mark, ...] = ()
    measured: tuple[Point, ...] = ()
    colour: int = 0  # the same thing has the same one in every panel
    half: tuple[tuple[float, float], ...] = ()  # between which half of a group lies

    def __post_init__(self):
        for name in ("y", "low", "high", "ceiling"):
            known = tuple(None if value is None or value != value else value for value in getattr(self, name))
            object.__setattr__(self, name, known)


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    series: tuple[Series, ...]
    y: str  # what is along it, with its unit
    device: Hardware | None = None  # of a roofline
    note: str = ""  # what its lines are of that their names leave out

    @property
    def points(self) -> list[tuple[Any, float]]:
        """All x and y, those without a value left out."""
        return [(x, y) for each in self.series for x, y in zip(each.x, each.y, strict=True) if y is not None]

    @property
    def places(self) -> list[Any]:
        """Every x at which something is shown, measurements with it."""
        return [*(x for x, _ in self.points), *(point.x for each in self.series for point in each.measured)]


@dataclass(frozen=True)
class Chart:
    """A picture."""

    kind: str
    form: Form
    title: str
    x: str  # what is along it, with its unit
    panels: tuple[Panel, ...]
    source: str  # what it rests on, in a line
    subtitle: str = ""  # of which model on which device
    x_log: bool = True
    y_log: bool = True
    legend: str = ""  # what the legend says besides
    each: str = ""  # what a bar is of; then x is what its length is
    zero: float | None = None  # where 0 is drawn on a logarithmic axis that has it

    @property
    def names(self) -> tuple[str, str]:
        """What the x and the y of its values are: of bars, x says which and y how long."""
        return self.each or self.x, ", or ".join(dict.fromkeys(panel.y for panel in self.panels))


def caption(text: str, is_log: bool) -> str:
    """What is along an axis, and that it is logarithmic, where that is not said."""
    return f"{text}, logarithmic" if is_log and "logarithmic" not in text else text


def table_of(chart: Chart) -> list[dict[str, Any]]:
    """A row for each value that is drawn: for CSV, and where no picture can be shown."""
    return [{"panel": panel.title} | row for panel in chart.panels for row in _rows_of(panel, chart.form)]


def _rows_of(panel: Panel, form: Form) -> Iterator[dict[str, Any]]:
    if panel.device:
        for roof in roofline_data.roofs_of(panel.device):
            yield {"series": f"{roof.name}, bytes/s", "y": roof.bytes_per_s}
        for top in roofline_data.ceilings_of(panel.device):
            yield {"series": f"peak {', '.join(top.formats)}", "y": top.ops_per_s}
    for each in panel.series:
        yield from _values_of(each)
        if form != "scatter":  # there x is what was measured
            for point in each.measured:
                place = {"x": each.x[int(point.x)]} if form == "bars" else {}
                yield {"series": f"{each.label}, measured", **vars(point)} | place


def _values_of(each: Series) -> Iterator[dict[str, Any]]:
    ends = {name: getattr(each, name) for name in ("low", "high", "ceiling") if getattr(each, name)}
    for number, x in enumerate(each.x):
        row = {"series": each.label, "x": x, "y": each.y[number]}
        row |= {name: values[number] for name, values in ends.items()}
        yield row | ({"note": each.notes[number]} if each.notes and each.notes[number] else {})


def without_zero(chart: Chart) -> Chart:
    """The same for drawing: 0 of a logarithmic axis, such as an empty cache, goes to a quarter of the next place along it."""
    if not chart.x_log or chart.form != "lines":
        return chart
    places = {x for panel in chart.panels for each in panel.series for x in (*each.x, *_beside(each))}
    if min(places, default=1) > 0:
        return chart
    zero = min((x for x in places if x > 0), default=4) / 4
    panels = (replace(panel, series=tuple(_from(zero, each) for each in panel.series)) for panel in chart.panels)
    return replace(chart, panels=tuple(panels), zero=zero)


def _beside(each: Series) -> Iterator[float]:
    """The places of what is on a line beside its own points."""
    return (one.x for one in (*each.marks, *each.measured))


def _from(least: float, each: Series) -> Series:
    marks, measured = (tuple(replace(one, x=max(one.x, least)) for one in many) for many in (each.marks, each.measured))
    return replace(each, x=tuple(max(x, least) for x in each.x), marks=marks, measured=measured)


def floats(values: Any, count: int) -> tuple[float, ...]:
    """So many values of a series, of an array or of one number."""
    return tuple(float(value) for value in np.broadcast_to(values, (count,)))


def whole(values: Iterable[Any]) -> tuple[int, ...]:
    """Whole numbers of a series, of an array."""
    return tuple(int(value) for value in values)
