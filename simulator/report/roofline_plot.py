"""The picture of a device: its roofline, and how fast it reads working sets of every size."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import printable
from simulator.report import margins
from simulator.report import roofline_data as data
from simulator.report.margins import NAME, Words, width_of, wrapped
from simulator.report.style import (
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    YELLOW,
    above,
    beside,
    colour_of,
    count,
    entitle,
    power_ticks,
    save,
    set_ticks,
    settle,
)
from simulator.report.ticks import round_places, widened
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.units import GIGA, TERA, counted, format_number, format_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.lines import Line2D

WIDTH, HEIGHT, ONE_WIDTH = 12.0, 5.0, 7.2  # inches; the height of the panels alone
FAMILIES = {  # of formats, by the first number in their names: marker and colour
    32: ("D", INK),
    16: ("s", PURPLE),
    8: ("o", RED),
    6: ("^", GREEN),
    5: ("v", ORANGE),
    4: ("P", SKY),
    0: ("X", YELLOW),  # all others
}
CEILING_SHARE = 0.28  # of a panel's width, for the names of peaks
AXIS_ROOM = 0.95  # inches left of the axes
LEAST_OPS_PER_BYTE, MOST_OPS_PER_BYTE = 0.25, 128.0  # of the axis, unless more is needed


def write_plot(device: Hardware, path: Path) -> str:
    """Draws a device into a file, whole or not at all; returns a sentence on what was drawn."""
    save(lambda: draw(device), path)
    parts = [*(["roofline"] if device.peaks_tflops else []), *(["bandwidth"] if _stretches(device) else [])]
    missing = "" if device.peaks_tflops else "; no peak is known, so the roofline is left out"
    return f"{path}: {' and '.join(parts)} of {device.title or device.name}{missing}"


def draw(device: Hardware) -> Canvas:
    """The figure: the roofline where peaks are known, beside it bandwidth where there is a curve, or nothing else."""
    from matplotlib.figure import Figure as Canvas

    stretches, blocks, dots = _stretches(device), data.random_of(device), data.dots_of(device)
    names = [*(["roofline"] if device.peaks_tflops else []), *(["bandwidth"] if stretches else [])]
    width = WIDTH if len(names) == 2 else ONE_WIDTH
    figure = Canvas(figsize=(width, HEIGHT), layout="constrained")
    handles = [*(_dot_handles(dots) if device.peaks_tflops else []), *_stretch_handles(stretches)]
    words = Words(device.title or device.name, data.origin(device), note=_note(device, stretches, dots))
    margins.surround(figure, words, handles, HEIGHT)
    columns = figure.add_gridspec(1, len(names))
    for number, name in enumerate(names):
        if name == "roofline":
            _draw_roofline(figure.add_subplot(columns[number], label="roofline"), device, dots, width / len(names))
        else:
            rows = columns[number].subgridspec(2 if blocks else 1, 1, height_ratios=(3, 1.25)[: 2 if blocks else 1])
            _draw_bandwidth(figure.add_subplot(rows[0], label="bandwidth"), device, stretches)
            if blocks:
                _draw_random(figure.add_subplot(rows[1], label="random"), device, blocks, colour_of(len(stretches) - 1))
    settle(figure)
    return figure


def _note(device: Hardware, stretches: Sequence[data.Stretch], dots: Sequence[data.Dot]) -> str:
    """What the signs mean that the legend names."""
    told = []
    if dots and device.peaks_tflops:
        fewest, most = min(dot.tokens for dot in dots), max(dot.tokens for dot in dots)
        hollow = f" (hollow: {fewest})" if fewest < most else ""
        told.append(f"dots: the engine, weights in memory, {counted(most, 'token')} at once{hollow}")
    if any(map(_most, stretches)):
        told.append("band: a standard deviation")
    return "; ".join(told)


def _stretches(device: Hardware) -> list[data.Stretch]:
    return data.stretches_of(device) or ([] if device.peaks_tflops else data.steps_of(device))


def _threads(count: int | None) -> str:
    return "" if count is None else counted(count, "thread")


# ---- the roofline ----


def _draw_roofline(axes: Axes, device: Hardware, dots: Sequence[data.Dot], wide: float) -> None:
    draw_roofs(axes, device, [(dot.ops_per_byte, dot.ops_per_s) for dot in dots], wide)
    _draw_dots(axes, dots)
    axes.set(xlabel="operations per byte read", ylabel="attainable operations per second")
    entitle(axes, "Roofline")


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
    title = ", ".join(part for part in ("reading from", _threads(device.threads)) if part)
    longest = max(width_of(handle.get_label(), NAME) for handle in handles) + 0.5
    columns = max(1, min(len(handles), int((wide - AXIS_ROOM) / longest)))
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


def _family(name: str) -> int:
    found = re.search(r"\d+", name)
    return int(found[0]) if found and int(found[0]) in FAMILIES else 0


def _draw_dots(axes: Axes, dots: Sequence[data.Dot]) -> None:
    fewest, most = (end((dot.tokens for dot in dots), default=0) for end in (min, max))
    for dot in dots:
        marker, colour = FAMILIES[_family(dot.format)]
        face = "white" if dot.tokens == fewest < most else colour
        label = f"_{dot.format} {dot.tokens}"
        axes.plot(dot.ops_per_byte, dot.ops_per_s, marker, ms=6.5, mec=colour, mfc=face, mew=1.4, label=label)


def _dot_handles(dots: Sequence[data.Dot]) -> list[Line2D]:
    from matplotlib.lines import Line2D

    handles = []
    for family, (marker, colour) in FAMILIES.items():
        members = ", ".join(dict.fromkeys(dot.format for dot in dots if _family(dot.format) == family))
        handles += [Line2D([], [], ls="", ms=6.5, marker=marker, color=colour, label=members)] if members else []
    return handles


# ---- bandwidth ----


def _draw_bandwidth(axes: Axes, device: Hardware, stretches: Sequence[data.Stretch]) -> None:
    for number, each in enumerate(stretches):
        colour = colour_of(number)
        rates = [rate / GIGA for rate in each.bytes_per_s]
        low = [rate * math.exp(-spread) for rate, spread in zip(rates, each.spreads, strict=True)]
        high = [rate * math.exp(spread) for rate, spread in zip(rates, each.spreads, strict=True)]
        axes.fill_between(each.sizes, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(each.sizes, rates, color=colour, lw=1.8, label=_threads(each.threads) or "_reading")
    sizes = [size for each in stretches for size in each.sizes]
    rates = [rate / GIGA for each in stretches for rate in each.bytes_per_s]
    left, right = min(sizes) / 1.5, max(sizes) * 1.5
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    low, high = widened(min(rates), max(rates))
    axes.set_ylim(low, high)
    set_ticks(axes.yaxis, round_places(low, high), count)
    caches = [(name, size) for name, size in data.caches_of(device) if left < size < right]
    for name, size in caches:
        axes.axvline(size, color="#9a9a9a", lw=0.7, label="_" + name)
        above(axes, f"{printable(name, 24)}\n{data.format_binary(size)}", size)
    together = any(each.threads for each in stretches)
    axes.set(xlabel=f"bytes read over and over{', all threads together' if together else ''}", ylabel="GB/s")
    axes.set_title("Reading a working set", pad=30 if caches else 6)
    power_ticks(axes.xaxis, left, right, 2, data.format_binary)


def _stretch_handles(stretches: Sequence[data.Stretch]) -> list[Line2D]:
    from matplotlib.lines import Line2D

    told = [(colour_of(number), _threads(each.threads)) for number, each in enumerate(stretches)]
    return [Line2D([], [], color=colour, lw=1.8, label=f"reading, {threads}") for colour, threads in told if threads]


def _most(stretch: data.Stretch) -> float:
    return max(stretch.spreads)


def _draw_random(axes: Axes, device: Hardware, blocks: Sequence[tuple[int, Figure]], colour: str) -> None:
    sizes, rates = [size for size, _ in blocks], [figure.value for _, figure in blocks]
    spreads = [figure.spread or 0.0 for _, figure in blocks]
    below = [rate * (1 - math.exp(-spread)) for rate, spread in zip(rates, spreads, strict=True)]
    above = [rate * (math.exp(spread) - 1) for rate, spread in zip(rates, spreads, strict=True)]
    axes.errorbar(sizes, rates, yerr=[below, above], color=colour, marker="o", ms=4.5, lw=1.4, elinewidth=1.0)
    axes.set(xscale="log", xlim=(min(sizes) / 1.4, max(sizes) * 1.4), ylim=(0, max(rates) * 1.35))
    threads = _threads(device.threads)
    axes.set_title(f"Memory in blocks in random order{', ' + threads if threads else ''}")
    axes.set(xlabel="bytes of a block", ylabel="GB/s")
    power_ticks(axes.xaxis, min(sizes), max(sizes), 4, data.format_binary)


# ---- axes ----


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
