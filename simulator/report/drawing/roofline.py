"""Roofs and ceilings of a device in axes, and the points of a chart under them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.errors import printable
from simulator.report import roofline_data as data
from simulator.report.charts.chart import NO_ROOM, Chart, Panel, caption
from simulator.report.drawing.axes import Y_ROOM, count, label_x, power_ticks
from simulator.report.drawing.labels import beside
from simulator.report.drawing.margins import NAME, width_of, wrapped
from simulator.report.drawing.style import GREY, INK, colour_of, marker_of
from simulator.spec.hardware import Hardware
from simulator.units import GIGA, TERA, format_number, format_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

CEILING_SHARE = 0.28  # of a panel's width, for the names of peaks
LEAST_OPS_PER_BYTE, MOST_OPS_PER_BYTE = 0.25, 128.0  # of the axis, unless more is needed


def draw_roofs(axes: Axes, device: Hardware, points: Sequence[tuple[float, float]], wide: float) -> None:
    """Roofs and ceilings of a device in a panel so many inches *wide*, with room for *points* (operations per byte and second)."""
    roofs, ceilings = data.roofs_of(device), data.ceilings_of(device)
    rates = [roof.bytes_per_s for roof in roofs]
    peaks = [ceiling.ops_per_s for ceiling in ceilings] or [2 * max([max(rates), *(rate for _, rate in points)])]
    left, right = _span(rates, peaks, points)
    lowest = min([min(rates) * left, *(rate for _, rate in points)]) / 1.6
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(lowest, 1.6 * peaks[-1]))
    for ceiling in ceilings:
        start, formats = max(left, ceiling.ops_per_s / max(rates)), ", ".join(ceiling.formats)
        axes.plot([start, right], [ceiling.ops_per_s] * 2, color=INK, lw=1.2, label=f"_{formats}")
        beside(
            axes,
            "\n".join(_ceiling_name(formats, format_rate(ceiling.ops_per_s), CEILING_SHARE * wide)),
            ceiling.ops_per_s,
        )
    for number, (rate, roof) in enumerate(zip(rates, roofs, strict=True)):
        colour, width = _shade(number, len(roofs)), 2.4 if number == len(roofs) - 1 else 1.6
        name = f"{printable(roof.name, 30)}, {format_number(roof.figure.value)} GB/s"
        axes.plot([left, peaks[-1] / rate], [left * rate, peaks[-1]], color=colour, lw=width, label=name)
    _name_roofs(axes, axes.lines[len(ceilings) :], device, wide)
    power_ticks(axes.xaxis, left, right, 2, count, max(2, int((1 - CEILING_SHARE) * wide)))
    _rate_ticks(axes)


def _ceiling_name(formats: str, rate: str, room: float) -> list[str]:
    """In lines of so many inches; a number stays with its unit."""
    *lines, last = wrapped(formats, room, NAME, most=3)
    together = f"{last} {rate}"
    return [*lines, together] if width_of(together, NAME) <= room else [*lines, last, rate]


def _name_roofs(axes: Axes, handles: Sequence[Line2D], device: Hardware, wide: float) -> None:
    """A legend above the axes, where no roof passes; the panel's title goes above it."""
    title = ", ".join(part for part in ("reading from", data.told_threads(device.threads)) if part)
    longest = max(width_of(handle.get_label(), NAME) for handle in handles) + 0.5
    columns = max(1, min(len(handles), int((wide - Y_ROOM) / longest)))
    axes.legend(handles=handles, title=title, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False,
                alignment="left", borderaxespad=0, borderpad=0.3, fontsize=NAME, title_fontsize=NAME)  # fmt: skip


def _span(rates: Sequence[float], peaks: Sequence[float], points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Operations per byte, in powers of two, from well below the first corner to well beyond the last."""
    first, last = peaks[0] / max(rates), peaks[-1] / min(rates)
    left = min([LEAST_OPS_PER_BYTE, first / 2, *(place / 2 for place, _ in points)])
    right = max([MOST_OPS_PER_BYTE, 4 * last, *(2 * place for place, _ in points)])
    return 2.0 ** math.floor(math.log2(left)), 2.0 ** math.ceil(math.log2(right))


def _shade(number: int, count: int) -> str:
    """From light to dark blue."""
    share = 1.0 if count == 1 else number / (count - 1)
    light, dark = (0x8E, 0xC8, 0xEE), (0x00, 0x3F, 0x73)
    return "#" + "".join(f"{round(one + share * (two - one)):02x}" for one, two in zip(light, dark, strict=True))


def _rate_ticks(axes: Axes) -> None:
    """Decades of operations a second."""
    low, high = axes.get_ylim()
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    places = [10.0**power for power in range(first, last + 1, -(-(last - first) // 8) or 1)]
    axes.yaxis.set_ticks(places, [_plain(place) for place in places])
    axes.yaxis.set_ticks([], minor=True)


def _plain(ops_per_s: float) -> str:
    value, unit = (ops_per_s / TERA, "Top/s") if ops_per_s >= TERA else (ops_per_s / GIGA, "Gop/s")
    return f"{count(value)} {unit}"


def draw_roofline(axes: Axes, chart: Chart, panel: Panel, wide: float) -> None:
    """The roofs of a panel's device, and points under them, the first of each series hollow."""
    draw_roofs(axes, panel.device, panel.points, wide)
    for each in panel.series:
        colour, marker = colour_of(each.colour), marker_of(each.colour)
        axes.plot(each.x, each.y, color=colour, lw=0.9, marker=marker, ms=5.5, mec="white", mew=0.6, label=each.label)
        first = {"ms": 7.5, "mfc": "white", "mew": 1.5, "label": f"_first {each.label}"}
        axes.plot(each.x[:1], each.y[:1], color=colour, marker=marker, **first)
    if not panel.points and chart.kind != "device":
        axes.text(0.98, 0.04, NO_ROOM, transform=axes.transAxes, ha="right", color=GREY)
    axes.set_ylabel(caption(panel.y, is_log=True))
    label_x(axes, caption(chart.x, is_log=True), wide - Y_ROOM)
