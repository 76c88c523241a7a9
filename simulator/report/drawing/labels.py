"""Labels beside and above axes, kept out of each other's way, and the titles of panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.report.drawing.style import GREY, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.text import Annotation


# A line as it is, without the search for where it leaves the label's box, which took a fifth of a picture's time.
_LEADER = {"arrowstyle": "-", "shrinkA": 0, "shrinkB": 0, "patchA": None}


def beside(axes: Axes, text: str, height: float, place: float | None = None, colour: str = GREY) -> None:
    """A label to the right of the axes, at a height; its line leads to a *place* along the axes, or to their edge."""
    transform = axes.get_yaxis_transform() if place is None else axes.transData
    width = 0.6 if place is None else 0.9
    axes.annotate(
        text, (1 if place is None else place, height), (8, 0), transform, "offset points", va="center", fontsize=9.5, color=INK,
        arrowprops=_LEADER | {"lw": width, "color": colour, "relpos": (0, 0.5), "shrinkA": 2}, gid="beside", annotation_clip=False,
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


def part_all(figure: Canvas) -> bool:
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


def spread_apart(wanted: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Centres for labels of some sizes along a line, in the order of *wanted* and near it, none on another.

    Where they fit, all lie between *low* and *high*.
    """
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    # How far the middle of each stands behind the start of the first, were all pressed together.
    before = {
        number: sum(sizes[each] for each in order[:place]) + sizes[number] / 2 for place, number in enumerate(order)
    }
    blocks: list[list[float]] = []  # where such a start should be, and for how many labels
    for number in order:
        blocks.append([wanted[number] - before[number], 1])
        while len(blocks) > 1 and blocks[-1][0] < blocks[-2][0]:
            (one, n), (two, m) = blocks[-2:]
            blocks[-2:] = [[(one * n + two * m) / (n + m), n + m]]
    starts = [place for place, count in blocks for _ in range(int(count))]
    highest = high - sum(sizes)
    inside = {
        number: max(low, min(start, highest)) + before[number] for number, start in zip(order, starts, strict=True)
    }
    return [inside[number] for number in range(len(wanted))]
