"""How every picture looks: colours, type, ticks, and labels that keep out of each other's way."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import InputError, printable
from simulator.report.record import check_target, write_whole
from simulator.report.roofline_data import spread_apart
from simulator.report.ticks import round_places

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


# ---- axes ----


def power_ticks(axis: Axis, low: float, high: float, base: int, told: Callable[[float], str], most: int = 6) -> None:
    """Ticks at powers between the ends of an axis, at most so many; at round values where there are not two powers."""
    first, last = (math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9))
    step = -(-(last - first) // max(1, most - 1)) or 1
    places = [float(base) ** power for power in range(first, last + 1, step)]
    set_ticks(axis, places if len(places) > 1 else round_places(low, high, most), told)


def set_ticks(axis: Axis, places: Sequence[float], told: Callable[[float], str]) -> None:
    """Those and no others."""
    axis.set_ticks(places, [told(place) for place in places])
    axis.set_ticks([], minor=True)


def count(value: float) -> str:
    """A round number as people write it."""
    return f"{value:,.10g}"


# ---- labels ----

# A line as it is, without the search for where it leaves the label's box, which took a fifth of a picture's time.
_LEADER = {"arrowstyle": "-", "shrinkA": 0, "shrinkB": 0, "patchA": None}


def beside(axes: Axes, text: str, height: float, place: float | None = None, colour: str = GREY) -> None:
    """A label to the right of the axes, at a height; its line leads to a *place* along the axes, or to their edge."""
    transform = axes.get_yaxis_transform() if place is None else axes.transData
    width = 0.6 if place is None else 0.9
    axes.annotate(
        text, (1 if place is None else place, height), (8, 0), transform, "offset points", va="center", fontsize=9.5, color=INK,
        arrowprops=_LEADER | {"lw": width, "color": colour, "relpos": (0, 0.5)}, gid="beside", annotation_clip=False,
    )  # fmt: skip


def above(axes: Axes, text: str, place: float) -> None:
    """A label above the axes, at a place."""
    axes.annotate(
        text, (place, 1), (0, 4), axes.get_xaxis_transform(), "offset points", ha="center", fontsize=9, color=GREY,
        arrowprops=_LEADER | {"lw": 0.6, "color": GREY, "relpos": (0.5, 0)}, gid="above",
    )  # fmt: skip


def entitle(axes: Axes, text: str, note: str = "") -> None:
    """The title of a panel, above the legend where one stands above the axes, and a note in small print between them."""
    legend = axes.get_legend()
    higher = 72 * legend.get_window_extent().height / axes.figure.dpi if legend else 0.0
    if note:
        axes.annotate(note, (0, 1), (0, 4 + higher), "axes fraction", "offset points", va="bottom", fontsize=8.5, color=GREY,
                      annotation_clip=False, gid="note")  # fmt: skip
        higher += 2 + 8.5 * 1.2 * len(note.splitlines())
    axes.set_title(text, pad=6 + higher)


def settle(figure: Canvas) -> None:
    """Lays everything out once and for all, and moves labels that stand on each other apart, which can only be told then."""
    layout = figure.get_layout_engine()
    layout.execute(figure)
    if _part_all(figure):  # labels have moved: once more, with room for them where they stand now
        layout.execute(figure)
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
    from matplotlib.text import Text

    points = 72 / axes.figure.dpi
    boxes = [Text.get_window_extent(label) for label in labels]  # an annotation's own takes in its line
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
