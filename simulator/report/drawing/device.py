"""The picture of a device: its roofline, and how fast it reads working sets of every size."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import printable
from simulator.report import roofline_data as data
from simulator.report.drawing.axes import count, power_ticks, set_ticks
from simulator.report.drawing.files import save
from simulator.report.drawing.labels import above, entitle
from simulator.report.drawing.layout import empty_figure, settle
from simulator.report.drawing.margins import Words, surround
from simulator.report.drawing.roofline import draw_roofs
from simulator.report.drawing.style import GREEN, INK, ORANGE, PURPLE, RED, SKY, YELLOW, colour_of
from simulator.report.ticks import round_places, widened
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.units import GIGA, counted

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


def write_plot(device: Hardware, path: Path) -> str:
    """Draws a device into a file, whole or not at all; returns a sentence on what was drawn."""
    save(lambda: draw(device), path)
    parts = [*(["roofline"] if device.peaks_tflops else []), *(["bandwidth"] if _stretches(device) else [])]
    missing = "" if device.peaks_tflops else "; no peak is known, so the roofline is left out"
    return f"{path}: {' and '.join(parts)} of {device.full_title}{missing}"


def draw(device: Hardware) -> Canvas:
    """The figure: the roofline where peaks are known, beside it bandwidth where there is a curve, or nothing else."""
    stretches, blocks, dots = _stretches(device), data.random_of(device), data.dots_of(device)
    names = [*(["roofline"] if device.peaks_tflops else []), *(["bandwidth"] if stretches else [])]
    width = WIDTH if len(names) == 2 else ONE_WIDTH
    figure = empty_figure(width, HEIGHT)
    handles = [*(_dot_handles(dots) if device.peaks_tflops else []), *_stretch_handles(stretches)]
    words = Words(device.full_title, data.origin(device), note=_note(device, stretches, dots))
    room = surround(figure, words, handles, HEIGHT)
    columns = figure.add_gridspec(1, len(names))
    for number, name in enumerate(names):
        if name == "roofline":
            _draw_roofline(figure.add_subplot(columns[number], label="roofline"), device, dots, width / len(names))
        else:
            rows = columns[number].subgridspec(2 if blocks else 1, 1, height_ratios=(3, 1.25)[: 2 if blocks else 1])
            _draw_bandwidth(figure.add_subplot(rows[0], label="bandwidth"), device, stretches)
            if blocks:
                _draw_random(figure.add_subplot(rows[1], label="random"), device, blocks, colour_of(len(stretches) - 1))
    settle(figure, room)
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


# ---- the roofline ----


def _draw_roofline(axes: Axes, device: Hardware, dots: Sequence[data.Dot], wide: float) -> None:
    draw_roofs(axes, device, [(dot.ops_per_byte, dot.ops_per_s) for dot in dots], wide)
    _draw_dots(axes, dots)
    axes.set(xlabel="operations per byte read", ylabel="attainable operations per second")
    entitle(axes, "Roofline")


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
        axes.plot(each.sizes, rates, color=colour, lw=1.8, label=data.told_threads(each.threads) or "_reading")
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

    told = [(colour_of(number), data.told_threads(each.threads)) for number, each in enumerate(stretches)]
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
    threads = data.told_threads(device.threads)
    axes.set_title(f"Memory in blocks in random order{', ' + threads if threads else ''}")
    axes.set(xlabel="bytes of a block", ylabel="GB/s")
    power_ticks(axes.xaxis, min(sizes), max(sizes), 4, data.format_binary)
