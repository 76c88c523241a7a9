"""Where panels stand in a picture: found once all words are in it, labels that stood on each other moved apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.drawing.labels import part_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def settle(figure: Canvas) -> None:
    """Lays everything out once and for all, and moves labels that stand on each other apart, which can only be told then."""
    layout = figure.get_layout_engine()
    layout.execute(figure)
    if part_all(figure):  # labels have moved: once more, with room for them where they stand now
        layout.execute(figure)
        part_all(figure)
    figure.set_layout_engine("none")
