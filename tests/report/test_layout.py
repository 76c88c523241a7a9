"""Every picture can be read: words are inside and apart, axes have numbers, nothing covers data, and bars begin at zero."""

from itertools import product

import numpy as np
import pytest
from box import MEASURED
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from samples import crowd

from simulator.report.drawing.device import draw as draw_device
from simulator.report.drawing.picture import draw_chart
from simulator.report.drawing.style import styled
from simulator.spec.hardware import Hardware

PIXELS = 150  # of an inch
CROWDS = ("speed", "spread", "batch", "context", "experts", "routed", "measured")  # all in one panel, or in two
PANELS = ("formats", "bytes", "sparsity", "routing", "roofline")  # in one each, so that few show what many do
CASES = [  # entries, and pixels across
    *((kind, *each) for kind in CROWDS for each in ((1, 640), (3, 1500), (9, 640), (12, 640), (12, 1500))),
    *((kind, *each) for kind in PANELS for each in ((1, 640), (3, 640), (4, 1500))),
    ("bytes", 12, 640), ("device", 1, 1800),
]  # fmt: skip


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def figure(request):
    """A picture of a kind with so many entries at a width in pixels."""
    kind, count, width = request.param
    with styled():
        device = Hardware.model_validate(MEASURED)
        drawn = draw_device(device) if kind == "device" else draw_chart(crowd(kind, count), width / PIXELS)
        drawn.draw_without_rendering()  # puts titles and labels of axes where they will be
        return drawn


def seen(figure):
    """Everything that is written, as (text, box in pixels); of ticks only those between the ends of their axis."""
    inside = {id(label) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in labels_of(axis)}
    ticks = {
        id(label) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()) for label in (tick.label1, tick.label2)
    }  # fmt: skip
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    return [
        (text.get_text(), Text.get_window_extent(text)) for text in texts if id(text) in inside or id(text) not in ticks
    ]


def labels_of(axis):
    """The texts at ticks that are shown."""
    low, high = sorted(axis.get_view_interval())
    more = 1e-6 * (high - low)
    ticks = [tick for tick in axis.get_major_ticks() if low - more <= tick.get_loc() <= high + more]
    return [tick.label1 for tick in ticks if tick.label1.get_text() and tick.label1.get_visible()]


def test_no_word_leaves_the_picture(figure):
    """Titles, names, numbers, legends and sources lie inside."""
    page = figure.bbox
    outside = [
        text for text, box in seen(figure) if box.x0 < -1 or box.x1 > page.x1 + 1 or box.y0 < -1 or box.y1 > page.y1 + 1
    ]
    assert outside == []


def test_no_word_lies_on_another(figure):
    """No two of all texts overlap by more than a pixel or two, as boxes of letters have room around them."""
    texts = seen(figure)
    ends = np.array([[box.x0, box.x1, box.y0, box.y1] for _, box in texts]).T
    apart = 2.0
    across = np.minimum.outer(ends[1], ends[1]) - np.maximum.outer(ends[0], ends[0]) > apart
    along = np.minimum.outer(ends[3], ends[3]) - np.maximum.outer(ends[2], ends[2]) > apart
    found = np.argwhere(np.triu(across & along, 1))
    assert [(texts[one][0], texts[other][0]) for one, other in found] == []


def test_axes_have_numbers(figure):
    """Two or more on each axis of numbers, wherever anything is drawn."""
    for axes in figure.axes:
        names_rows = any(text.get_gid() == "value" for text in axes.texts)
        is_empty = not (axes.lines or axes.patches or axes.collections)
        for axis in () if is_empty else (axes.xaxis,) if names_rows else (axes.xaxis, axes.yaxis):
            assert len(labels_of(axis)) > 1, (axes.get_title(loc="left"), axis.axis_name)


def test_no_legend_covers_what_is_drawn(figure):
    """It lies beside the axes, of which it covers nothing."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    for legend, axes in product(legends, figure.axes):
        box = legend.get_window_extent()
        assert (
            min(box.x1, axes.bbox.x1) - max(box.x0, axes.bbox.x0) < 1
            or min(box.y1, axes.bbox.y1) - max(box.y0, axes.bbox.y0) < 1
        )


def test_bars_begin_at_zero(figure):
    """On a linear axis; where it is logarithmic there is no bar, whose length would mean nothing."""
    for axes in figure.axes:
        bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        if any(bar.get_height() == pytest.approx(0.62) for bar in bars):
            assert axes.get_xscale() == "linear"
            assert axes.get_xlim()[0] == 0
            assert {bar.get_x() for bar in bars} == {0}
        elif bars:
            assert axes.get_yscale() == "linear"
            assert axes.get_ylim()[0] == 0


def test_values_stand_in_the_row_that_they_state(figure):
    """At the height of their bar, to the right of its axes, in which all intervals and ceilings are: so a value lies on none."""
    for axes in figure.axes:
        values = [text for text in axes.texts if text.get_gid() == "value"]
        ceilings = [line for line in axes.lines if "_ceiling" in line.get_label() and axes.yaxis_inverted()]
        assert [text.xy[1] for text in values] == [np.mean(line.get_ydata()) for line in ceilings]
        if not values:
            continue
        spans = [segment[:, 0] for each in axes.collections for segment in each.get_segments()]
        ends = [place for each in (*spans, *(line.get_xdata() for line in axes.lines)) for place in each]
        assert axes.get_xlim()[0] <= min(ends)
        assert max(ends) <= axes.get_xlim()[1]
        for text in values:
            box = Text.get_window_extent(text)
            assert box.x0 > axes.bbox.x1
            assert (box.y0 + box.y1) / 2 == pytest.approx(axes.transData.transform((1, text.xy[1]))[1], abs=3)
