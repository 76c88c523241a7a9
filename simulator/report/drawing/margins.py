"""What stands around the panels of a picture: the title above; the legend, what signs mean and the source below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from simulator import __version__
from simulator.errors import printable
from simulator.report.drawing.style import GREY, INK

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure as Canvas
    from matplotlib.legend import Legend
    from matplotlib.transforms import Bbox

SIGN = 0.45  # inches of a sign in a legend, before its name
POINTS = 72  # of an inch
TITLE, PANEL_TITLE, TEXT, NAME, SMALL = 13, 11.5, 10.5, 9.5, 8.5  # points
LINE_SPACING = 1.2
EDGE, GAP = 0.06, 0.1  # inches around all words, and between what stands above and below each other


@dataclass(frozen=True)
class Words:
    """What stands around the panels of a picture."""

    title: str
    source: str  # where the figures come from
    subtitle: str = ""  # what it is of
    note: str = ""  # what signs mean that no legend can show


@lru_cache(maxsize=4096)
def width_of(text: str, size: float, weight: str = "normal") -> float:
    """Inches that a line of text takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)
    return width / POINTS


def wrapped(text: str, room: float, size: float, weight: str = "normal", most: int = 6) -> list[str]:
    """The lines of a text, none wider than *room* inches; what needs more than *most* of them ends in an ellipsis."""
    lines = [""]
    for word in printable(text, 600).split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if width_of(longer, size, weight) <= room:
            lines[-1] = longer
            continue
        first, *others = _pieces(word, room, size, weight)
        lines = [*lines[: -1 if not lines[-1] else None], first, *others]
    if len(lines) > most:
        lines = [*lines[: most - 1], cut(" ".join(lines[most - 1 :]), room, size, weight)]
    return lines


def _pieces(word: str, room: float, size: float, weight: str) -> list[str]:
    """A word as it is, or where it is wider than the room in pieces that are not."""
    if not word or width_of(word, size, weight) <= room:
        return [word]
    fitting = max((n for n in range(1, len(word)) if width_of(word[:n], size, weight) <= room), default=1)
    return [word[:fitting], *_pieces(word[fitting:], room, size, weight)]


def cut(text: str, room: float, size: float, weight: str = "normal") -> str:
    """As many characters as there is room for, in inches."""
    text = printable(text, 600)
    if width_of(text, size, weight) <= room:
        return text
    while len(text) > 1 and width_of(f"{text}\u2026", size, weight) > room:
        text = text[:-1]
    return text.rstrip(" ,;") + "\u2026"


def surround(figure: Canvas, words: Words, handles: Sequence[Artist], panels: float) -> Bbox:
    """Gives a figure its height, with the title above and legend, note and source below; returns the room for panels between
    them, *panels* inches high, in shares of the figure."""
    from matplotlib.transforms import Bbox

    wide = figure.get_figwidth()
    room, version = wide - 2 * EDGE, f"roofcast {__version__}"
    above = [
        (wrapped(words.title, room, TITLE, "bold"), {"fontsize": TITLE, "fontweight": "bold"}),
        *([(wrapped(words.subtitle, room, TEXT), {"fontsize": TEXT})] if words.subtitle else []),
    ]
    source = wrapped(words.source, room - width_of(version, SMALL) - 2 * GAP, SMALL)
    note = wrapped(words.note, room, SMALL) if words.note else []
    legend = _legend(figure, handles, room) if handles else None
    head = EDGE + sum(_height(lines, style["fontsize"]) for lines, style in above) + GAP / 2
    at_note = EDGE + _height(source, SMALL) + (GAP / 2 if note else 0)
    at_legend = at_note + _height(note, SMALL) + GAP
    foot = at_legend + (legend.get_window_extent().height / figure.dpi + GAP if legend else -GAP / 2)
    tall = head + panels + foot
    figure.set_figheight(tall)
    place = tall - EDGE
    for lines, style in above:
        figure.text(EDGE / wide, place / tall, "\n".join(lines), ha="left", va="top", color=INK, **style)
        place -= _height(lines, style["fontsize"])
    small = {"va": "bottom", "fontsize": SMALL, "color": GREY}
    figure.text(EDGE / wide, EDGE / tall, "\n".join(source), ha="left", **small)
    figure.text(1 - EDGE / wide, EDGE / tall, version, ha="right", **small)
    if note:
        figure.text(0.5, at_note / tall, "\n".join(note), ha="center", **small)
    if legend:
        legend.set_bbox_to_anchor((0.5, at_legend / tall), figure.transFigure)
    return Bbox.from_bounds(0, foot / tall, 1, panels / tall)


def _height(lines: Sequence[str], size: float) -> float:
    return len(lines) * size * LINE_SPACING / POINTS


def _legend(figure: Canvas, handles: Sequence[Artist], room: float) -> Legend:
    """In as many columns as there is room for, in inches; a name that is longer than that ends in an ellipsis."""
    for handle in handles:
        handle.set_label(cut(handle.get_label(), room - SIGN, NAME))
    longest = max(width_of(handle.get_label(), NAME) for handle in handles)
    columns = max(1, min(len(handles), int(room / (longest + SIGN))))
    legend = _in_columns(figure, handles, columns)
    while columns > 1 and legend.get_window_extent().width / figure.dpi > room:
        legend.remove()
        columns -= 1
        legend = _in_columns(figure, handles, columns)
    return legend


def _in_columns(figure: Canvas, handles: Sequence[Artist], columns: int) -> Legend:
    return figure.legend(
        handles=handles, loc="lower center", ncols=columns, frameon=False, borderaxespad=0, borderpad=0, labelspacing=0.25, fontsize=NAME,
        columnspacing=1.4, handletextpad=0.6,
    )  # fmt: skip
