"""How every picture looks: colours, textures, lines, markers and type."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

STYLE = {
    "font.family": "DejaVu Sans",  # which matplotlib brings; a list of others would be searched for every text
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # nothing stands above axes that a title would have to make room for
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
MARKERS = "osD^vPXd<>hp"
# What marks a place on a line, no shape of a line's own points: a star, an hourglass, brackets and an arrow.
STAR, HOURGLASS = (4, 1, 0), ((-1, 1), (1, 1), (-1, -1), (1, -1), (-1, 1))
CLOSING = ((-0.7, 1), (0.4, 1), (0.4, -1), (-0.7, -1), (-0.7, -0.6), (-0.1, -0.6), (-0.1, 0.6), (-0.7, 0.6), (-0.7, 1))
OPENING = tuple((-x, y) for x, y in CLOSING)
ARROW = ((-1, 0.35), (0, 0.35), (0, 0.9), (1, 0), (0, -0.9), (0, -0.35), (-1, -0.35), (-1, 0.35))
MEASURED = "*"
TEXTURES = ("", "//", "..", "xx", "\\\\", "++")


def colour_of(number: int) -> str:
    """Of the so-many-th thing that is drawn; after seven they come again, with another line and marker."""
    return COLOURS[number % len(COLOURS)]


def line_of(number: int) -> str:
    """Solid for the first seven, dashed for the next."""
    return ("-", (0, (5, 1.6)), (0, (1.2, 1.2)))[number // len(COLOURS) % 3]


def marker_of(number: int) -> str:
    """A shape that tells neighbours apart in grey, too; none that marks something else."""
    return MARKERS[number % len(MARKERS)]


@contextmanager
def styled() -> Iterator[None]:
    """Whatever the user's own settings are, pictures look the same."""
    from matplotlib import style

    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks become boxes
        yield
