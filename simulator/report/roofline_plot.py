"""The picture of a device: its roofline, and how fast it reads working sets of every size."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator import __version__
from simulator.errors import InputError, printable
from simulator.hardware import Figure, Hardware
from simulator.report import roofline_data as data
from simulator.report.record import write_whole
from simulator.units import GIGA, TERA, format_number, format_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation

SUFFIXES = (".png", ".svg", ".pdf")
WIDTH, HEIGHT, ONE_WIDTH = 12.0, 5.8, 7.2  # inches
DPI = 150
STYLE = {
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.edgecolor": "none",
    "legend.framealpha": 1.0,
    "legend.fontsize": 9.5,
    "legend.title_fontsize": 9.5,
    "text.parse_math": False,  # a dollar in a device's title is a dollar
    "svg.hashsalt": "roofcast",
}
# Okabe and Ito's colours, which the colour-blind tell apart; roofs go from light to dark as memory gets farther away.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442",
)  # fmt: skip
INK, GREY = "#333333", "#767676"
FAMILIES = {  # of formats, by the first number in their names: marker and colour
    32: ("D", INK),
    16: ("s", PURPLE),
    8: ("o", RED),
    6: ("^", GREEN),
    5: ("v", ORANGE),
    4: ("P", SKY),
    0: ("X", YELLOW),  # all others
}
NARROW = 24  # characters of a roof's name that leave room for another beside it
LEAST_OPS_PER_BYTE, MOST_OPS_PER_BYTE = 0.25, 128.0  # of the axis, unless more is needed


def check_target(target: str) -> Path:
    """The path of a picture; InputError if none can be written there, before anything is drawn."""
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--plot {printable(target)}: a picture ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if not path.parent.is_dir():
        raise InputError(f"--plot {printable(target)}: there is no folder {printable(path.parent)}")
    return path


def write_plot(device: Hardware, path: Path) -> str:
    """Draws a device into a file, whole or not at all; returns a sentence on what was drawn."""
    write_whole(path, picture(device, path.suffix.lower().removeprefix(".")))
    parts = [*(["roofline"] if device.peaks_tflops else []), *(["bandwidth"] if _stretches(device) else [])]
    missing = "" if device.peaks_tflops else "; no peak is known, so the roofline is left out"
    return f"{path}: {' and '.join(parts)} of {device.title or device.name}{missing}"


def picture(device: Hardware, kind: str) -> bytes:
    """The picture as a file of *kind* png, svg or pdf."""
    from matplotlib import style

    dated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}  # the same twice
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks become boxes
        buffer = io.BytesIO()
        draw(device).savefig(buffer, format=kind, dpi=DPI, metadata=dated[kind])
    return buffer.getvalue()


def draw(device: Hardware) -> Canvas:
    """The figure: the roofline where peaks are known, beside it bandwidth where there is a curve, or nothing else."""
    from matplotlib.figure import Figure as Canvas

    stretches, blocks = _stretches(device), data.random_of(device)
    names = [*(["roofline"] if device.peaks_tflops else []), *(["bandwidth"] if stretches else [])]
    figure = Canvas(figsize=(WIDTH if len(names) == 2 else ONE_WIDTH, HEIGHT), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06, wspace=0.04, rect=(0, 0.05, 1, 0.885))
    columns = figure.add_gridspec(1, len(names))
    for number, name in enumerate(names):
        if name == "roofline":
            _draw_roofline(figure.add_subplot(columns[number], label="roofline"), device)
        else:
            rows = columns[number].subgridspec(2 if blocks else 1, 1, height_ratios=(3, 1.25)[: 2 if blocks else 1])
            _draw_bandwidth(figure.add_subplot(rows[0], label="bandwidth"), device, stretches)
            if blocks:
                _draw_random(figure.add_subplot(rows[1], label="random"), device, blocks, _colour(len(stretches) - 1))
    _sign(figure, device)
    figure.draw_without_rendering()
    for axes in figure.axes:
        _part_labels(axes)
    return figure


def _stretches(device: Hardware) -> list[data.Stretch]:
    return data.stretches_of(device) or ([] if device.peaks_tflops else data.steps_of(device))


def _sign(figure: Canvas, device: Hardware) -> None:
    title = printable(device.title or device.name, 90 if figure.get_figwidth() == WIDTH else 60)
    figure.text(0.008, 0.985, title, ha="left", va="top", fontsize=13, fontweight="bold", color=INK)
    limit = 150 if figure.get_figwidth() == WIDTH else 90
    small = {"va": "bottom", "fontsize": 8.5, "color": GREY}
    figure.text(0.008, 0.01, printable(data.origin(device), limit), ha="left", **small)
    figure.text(0.992, 0.01, f"roofcast {__version__}", ha="right", **small)


def _threads(count: int | None) -> str:
    return "" if count is None else "1 thread" if count == 1 else f"{count} threads"


# ---- the roofline ----


def _draw_roofline(axes: Axes, device: Hardware) -> None:
    roofs, ceilings, dots = data.roofs_of(device), data.ceilings_of(device), data.dots_of(device)
    rates, highest = [roof.bytes_per_s for roof in roofs], ceilings[-1].ops_per_s
    left, right = _span(roofs, ceilings, dots)
    names = [f"{printable(roof.name, 30)}, {format_number(roof.figure.value)} GB/s" for roof in roofs]
    columns = 2 if len(roofs) > 2 and max(map(len, names)) <= NARROW else 1
    lowest = min([min(rates) * left, *(dot.ops_per_s for dot in dots)]) / 1.6
    room = 0.07 + 0.05 * math.ceil(len(roofs) / columns)  # of the height, above the ceilings, where the roofs are named
    top = highest * (highest / lowest) ** (room / (1 - room))
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(lowest, top))
    for ceiling in ceilings:
        start, formats = max(left, ceiling.ops_per_s / max(rates)), ", ".join(ceiling.formats)
        axes.plot([start, right], [ceiling.ops_per_s] * 2, color=INK, lw=1.2, label=f"_{formats}")
        _beside(axes, f"{formats} {format_rate(ceiling.ops_per_s)}", ceiling.ops_per_s)
    for number, (rate, name) in enumerate(zip(rates, names, strict=True)):
        colour, width = _shade(number, len(roofs)), 2.4 if number == len(roofs) - 1 else 1.6
        axes.plot([left, highest / rate], [left * rate, highest], color=colour, lw=width, label=name)
    title = ", ".join(part for part in ("reading from", _threads(device.threads)) if part)
    _legend(axes, axes.lines[len(ceilings) :], title=title, loc="upper left", ncols=columns)
    _draw_dots(axes, dots)
    axes.set(title="Roofline", xlabel="operations per byte read", ylabel="attainable operations per second")
    _power_ticks(axes.xaxis, left, right, 2, _count)
    _rate_ticks(axes)


def _legend(axes: Axes, handles: Sequence[Line2D], **options: object) -> None:
    """One more legend."""
    from matplotlib.legend import Legend

    labels = [handle.get_label() for handle in handles]
    axes.add_artist(Legend(axes, handles, labels, borderaxespad=0.2, frameon=False, alignment="left", **options))


def _span(
    roofs: Sequence[data.Roof], ceilings: Sequence[data.Ceiling], dots: Sequence[data.Dot]
) -> tuple[float, float]:
    """Operations per byte, in powers of two, from well below the first corner to well beyond the last."""
    rates = [roof.bytes_per_s for roof in roofs]
    first, last = ceilings[0].ops_per_s / max(rates), ceilings[-1].ops_per_s / min(rates)
    left = min([LEAST_OPS_PER_BYTE, first / 2, *(dot.ops_per_byte / 2 for dot in dots)])
    right = max([MOST_OPS_PER_BYTE, 4 * last, *(2 * dot.ops_per_byte for dot in dots)])
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
    if not dots:
        return
    from matplotlib.lines import Line2D

    fewest, most = min(dot.tokens for dot in dots), max(dot.tokens for dot in dots)
    for dot in dots:
        marker, colour = FAMILIES[_family(dot.format)]
        face = "white" if dot.tokens == fewest < most else colour
        label = f"_{dot.format} {dot.tokens}"
        axes.plot(dot.ops_per_byte, dot.ops_per_s, marker, ms=6.5, mec=colour, mfc=face, mew=1.4, label=label)
    handles = []
    for family, (marker, colour) in FAMILIES.items():
        members = ", ".join(dict.fromkeys(dot.format for dot in dots if _family(dot.format) == family))
        handles += [Line2D([], [], ls="", ms=6.5, marker=marker, color=colour, label=members)] if members else []
    title = f"the engine, weights in memory, {most} tokens\nat once" + (f" (hollow: {fewest})" if fewest < most else "")
    _legend(axes, handles, title=title, loc="lower right", ncols=2, handletextpad=0.2)


# ---- bandwidth ----


def _draw_bandwidth(axes: Axes, device: Hardware, stretches: Sequence[data.Stretch]) -> None:
    for number, each in enumerate(stretches):
        colour = _colour(number)
        rates = [rate / GIGA for rate in each.bytes_per_s]
        low = [rate * math.exp(-spread) for rate, spread in zip(rates, each.spreads, strict=True)]
        high = [rate * math.exp(spread) for rate, spread in zip(rates, each.spreads, strict=True)]
        axes.fill_between(each.sizes, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(each.sizes, rates, color=colour, lw=1.8, label=_threads(each.threads) or "_reading")
    sizes = [size for each in stretches for size in each.sizes]
    rates = [rate / GIGA for each in stretches for rate in each.bytes_per_s]
    left, right = min(sizes) / 1.5, max(sizes) * 1.5
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    _one_two_five(axes, min(rates) / 1.1, max(rates) * 1.1)
    caches = [(name, size) for name, size in data.caches_of(device) if left < size < right]
    for name, size in caches:
        axes.axvline(size, color="#9a9a9a", lw=0.7, label="_" + name)
        _above(axes, f"{printable(name, 24)}\n{data.format_binary(size)}", size)
    together = any(each.threads for each in stretches)
    if together:
        title = "band: a standard deviation" if max(map(_most, stretches)) else None
        axes.legend(loc="lower left", title=title, alignment="left")
    axes.set(xlabel=f"bytes read over and over{', all threads together' if together else ''}", ylabel="GB/s")
    axes.set_title("Reading a working set", pad=30 if caches else 6)
    _power_ticks(axes.xaxis, left, right, 2, data.format_binary)


def _colour(number: int) -> str:
    """Of a thread count."""
    return (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, INK)[number % 7]


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
    _power_ticks(axes.xaxis, min(sizes), max(sizes), 4, data.format_binary)


# ---- axes and labels ----


def _power_ticks(axis, low: float, high: float, base: int, told: Callable[[float], str]) -> None:
    """Ticks at powers, so many that they do not touch."""
    first, last = (math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9))
    step = -(-(last - first) // 6) or 1
    places = [float(base) ** power for power in range(first, last + 1, step)]
    axis.set_ticks(places, [told(place) for place in places])
    axis.set_ticks([], minor=True)


def _count(value: float) -> str:
    return f"{value:,.10g}"


def _rate_ticks(axes: Axes) -> None:
    """Decades of operations a second."""
    low, high = axes.get_ylim()
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    places = [10.0**power for power in range(first, last + 1, -(-(last - first) // 8) or 1)]
    axes.yaxis.set_ticks(places, [_plain(place) for place in places])
    axes.yaxis.set_ticks([], minor=True)


def _plain(ops_per_s: float) -> str:
    value, unit = (ops_per_s / TERA, "Top/s") if ops_per_s >= TERA else (ops_per_s / GIGA, "Gop/s")
    return f"{_count(value)} {unit}"


def _one_two_five(axes: Axes, low: float, high: float) -> None:
    """A vertical axis from below a lowest to above a highest value, with ticks at 1, 2, 5, 10 ..., or at decades only."""
    powers = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    digits = (1, 2, 5) if len(powers) < 6 else (1,)
    places = [digit * 10.0**power for power in powers for digit in digits]
    low = min(low, high / 5)  # three ticks or more
    start, end = max(place for place in places if place <= low), min(place for place in places if place >= high)
    shown = [place for place in places if start <= place <= end]
    axes.set_ylim(start, end)
    axes.yaxis.set_ticks(shown, [_count(place) for place in shown])
    axes.yaxis.set_ticks([], minor=True)


def _beside(axes: Axes, text: str, height: float) -> None:
    """A label to the right of the axes, at a height."""
    axes.annotate(
        text, (1, height), (8, 0), axes.get_yaxis_transform(), "offset points", va="center", fontsize=9.5, color=INK,
        arrowprops={"arrowstyle": "-", "lw": 0.6, "color": GREY, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}, gid="beside",
    )  # fmt: skip


def _above(axes: Axes, text: str, place: float) -> None:
    """A label above the axes, at a place."""
    axes.annotate(
        text, (place, 1), (0, 4), axes.get_xaxis_transform(), "offset points", ha="center", fontsize=9, color=GREY,
        arrowprops={"arrowstyle": "-", "lw": 0.6, "color": GREY, "shrinkA": 0, "shrinkB": 0, "relpos": (0.5, 0)}, gid="above",
    )  # fmt: skip


def _part_labels(axes: Axes) -> None:
    """Moves labels that stand on each other apart, which can only be told after the layout."""
    for name, direction in (("beside", 1), ("above", 0)):
        labels = [text for text in axes.texts if text.get_gid() == name]
        if labels:
            _part(axes, labels, direction)


def _part(axes: Axes, labels: Sequence[Annotation], direction: int) -> None:
    """Direction 0 is along the axes' width, 1 along its height."""
    points = 72 / axes.figure.dpi
    boxes = [label.get_window_extent() for label in labels]
    sizes = [((box.height + 1) if direction else (box.width + 8)) * points for box in boxes]
    low, high = (end * points for end in (axes.bbox.intervaly if direction else axes.bbox.intervalx))
    data_place = [label.xy[direction] for label in labels]
    pixels = axes.transData.transform([(place, place) for place in data_place])[:, direction]
    wanted = [float(pixel) * points for pixel in pixels]
    for label, place, centre in zip(labels, wanted, data.spread_apart(wanted, sizes, low, high), strict=True):
        offset = [8.0, 0.0] if direction else [0.0, 4.0]
        offset[direction] = centre - place
        label.set_position(tuple(offset))
