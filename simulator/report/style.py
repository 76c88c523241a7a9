"""How every picture looks: colours, type, ticks, labels that keep out of each other's way, and the line at its foot."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from simulator import __version__
from simulator.errors import InputError, printable
from simulator.report.record import check_target, write_whole
from simulator.report.roofline_data import spread_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Canvas
    from matplotlib.text import Annotation

SUFFIXES = (".png", ".svg", ".pdf")
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
# Okabe and Ito's colours, which the colour-blind tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442",
)  # fmt: skip
INK, GREY = "#333333", "#767676"
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, INK)


def colour_of(number: int) -> str:
    """Of the so-many-th thing that is drawn; after seven they come again, with another line and marker."""
    return COLOURS[number % len(COLOURS)]


def line_of(number: int) -> str:
    """Solid for the first seven, dashed for the next."""
    return ("-", (0, (5, 1.6)), (0, (1.2, 1.2)))[number // len(COLOURS) % 3]


def marker_of(number: int) -> str:
    """A shape that tells neighbours apart in grey, too."""
    return "osD^vPX*<>hp"[number % 12]


# ---- files ----


def check_picture(target: str, option: str = "--plot") -> Path:
    """The path of a picture; InputError if none can be written there, before anything is drawn."""
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{option} {printable(target)}: a picture ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )
    if not path.parent.is_dir():
        raise InputError(f"{option} {printable(target)}: there is no folder {printable(path.parent)}")
    check_target(target, option)
    return path


def save(draw: Callable[[], Canvas], path: Path, values: str = "") -> None:
    """Draws in the common style, and writes the file whole or not at all; a PNG also carries its *values* as text."""
    with styled():
        figure = draw()
        write_whole(path, encode(figure, path.suffix.lower().removeprefix("."), values))


@contextmanager
def styled() -> Iterator[None]:
    """Whatever the user's own settings are, pictures look the same."""
    from matplotlib import style

    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks become boxes
        yield


def encode(figure: Canvas, kind: str, values: str = "") -> bytes:
    """The picture as a file of *kind* png, svg or pdf; the same twice."""
    told = {"Description": values} if values else {}
    dated = {"png": {"Software": None, **told}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=dated[kind])
    return buffer.getvalue()


def sign(figure: Canvas, title: str, source: str, subtitle: str = "") -> None:
    """The title above with what it is of, where the figures come from and the version below."""
    wide, tall = figure.get_size_inches()
    top = {"ha": "left", "va": "top"}
    figure.text(0.008, 1 - 0.08 / tall, _cut(title, wide * 8.4), fontsize=13, fontweight="bold", color=INK, **top)
    if subtitle:
        figure.text(0.008, 1 - 0.32 / tall, _cut(subtitle, wide * 11), fontsize=10.5, color=INK, **top)
    small = {"va": "bottom", "fontsize": 8.5, "color": GREY}
    figure.text(0.008, 0.05 / tall, _cut(source, wide * 16 - 16), ha="left", **small)
    figure.text(0.992, 0.05 / tall, f"roofcast {__version__}", ha="right", **small)


def _cut(text: str, most: float) -> str:
    """As many characters as there is room for."""
    text = printable(text, 600)
    return text if len(text) <= most else text[: int(most) - 1].rstrip(" ,;") + "\u2026"


# ---- axes ----


def power_ticks(axis: Axis, low: float, high: float, base: int, told: Callable[[float], str], most: int = 6) -> None:
    """Ticks at powers, so many that they do not touch."""
    first, last = (math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9))
    step = -(-(last - first) // most) or 1
    places = [float(base) ** power for power in range(first, last + 1, step)]
    axis.set_ticks(places, [told(place) for place in places])
    axis.set_ticks([], minor=True)


def count(value: float) -> str:
    """A round number as people write it."""
    return f"{value:,.10g}"


def round_places(low: float, high: float, least: float = 5.0) -> list[float]:
    """1, 2, 5, 10 ... from below *low* to above *high*, or decades only where there are many."""
    powers = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    digits = (1, 2, 5) if len(powers) < 6 else (1,)
    places = [digit * 10.0**power for power in powers for digit in digits]
    low = min(low, high / least)  # three ticks or more
    start, end = max(place for place in places if place <= low), min(place for place in places if place >= high)
    return [place for place in places if start <= place <= end]


def one_two_five(axes: Axes, low: float, high: float) -> None:
    """A vertical axis from below a lowest to above a highest value, with ticks at 1, 2, 5, 10 ..., or at decades only."""
    shown = round_places(low, high)
    axes.set_ylim(shown[0], shown[-1])
    axes.yaxis.set_ticks(shown, [count(place) for place in shown])
    axes.yaxis.set_ticks([], minor=True)


# ---- labels ----


def beside(axes: Axes, text: str, height: float, place: float | None = None, colour: str = GREY) -> None:
    """A label to the right of the axes, at a height; its line leads to a *place* along the axes, or to their edge."""
    transform = axes.get_yaxis_transform() if place is None else axes.transData
    width = 0.6 if place is None else 0.9
    axes.annotate(
        text, (1 if place is None else place, height), (8, 0), transform, "offset points", va="center", fontsize=9.5, color=INK,
        arrowprops={"arrowstyle": "-", "lw": width, "color": colour, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}, gid="beside",
        annotation_clip=False,
    )  # fmt: skip


def above(axes: Axes, text: str, place: float) -> None:
    """A label above the axes, at a place."""
    axes.annotate(
        text, (place, 1), (0, 4), axes.get_xaxis_transform(), "offset points", ha="center", fontsize=9, color=GREY,
        arrowprops={"arrowstyle": "-", "lw": 0.6, "color": GREY, "shrinkA": 0, "shrinkB": 0, "relpos": (0.5, 0)}, gid="above",
    )  # fmt: skip


def settle(figure: Canvas) -> None:
    """Lays everything out once and for all, and moves labels that stand on each other apart, which can only be told then."""
    figure.draw_without_rendering()
    if _part_all(figure):  # labels have moved: once more, with room for them where they stand now
        figure.draw_without_rendering()
        _part_all(figure)
    figure.set_layout_engine("none")


def _part_all(figure: Canvas) -> bool:
    """Whether there was any label."""
    found = False
    for axes in figure.axes:
        for name, direction in (("beside", 1), ("above", 0)):
            labels = [text for text in axes.texts if text.get_gid() == name]
            if labels:
                _part(axes, labels, direction)
                found = True
    return found


def _part(axes: Axes, labels: Sequence[Annotation], direction: int) -> None:
    """Direction 0 is along the axes' width, 1 along its height."""
    points = 72 / axes.figure.dpi
    boxes = [label.get_window_extent() for label in labels]
    sizes = [((box.height + 1) if direction else (box.width + 8)) * points for box in boxes]
    low, high = (end * points for end in (axes.bbox.intervaly if direction else axes.bbox.intervalx))
    data_place = [label.xy[direction] for label in labels]
    pixels = axes.transData.transform([(place, place) for place in data_place])[:, direction]
    wanted = [float(pixel) * points for pixel in pixels]
    for label, place, centre in zip(labels, wanted, spread_apart(wanted, sizes, low, high), strict=True):
        inside = (axes.bbox.x1 - label.xycoords.transform(label.xy)[0]) * points if direction else 0.0
        offset = [inside + 8.0, 0.0] if direction else [0.0, 4.0]
        offset[direction] = centre - place
        label.set_position(tuple(offset))
