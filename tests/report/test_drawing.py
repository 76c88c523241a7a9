"""Pictures: what is drawn is what the chart says."""

from dataclasses import replace

import numpy as np
import pytest
from samples import BATCHES, crowd, sample

from simulator.report.charts.chart import BAND, DOTTED, SIGNED, Chart, Mark, Panel, Point, Series, caption
from simulator.report.drawing.device import draw as draw_device
from simulator.report.drawing.files import save
from simulator.report.drawing.picture import draw_chart
from simulator.report.drawing.style import styled
from simulator.units import format_count


def drawn(chart):
    """The figure, in the common style."""
    with styled():
        return draw_chart(chart)


def lines_of(axes):
    """What each line shows, by its label."""
    return {line.get_label(): np.asarray(line.get_xydata(), float) for line in axes.lines}


def test_lines_are_the_values():
    """Line, ceiling, band, marks and measurements at their places, on axes that hold them all."""
    chart = sample("batch")
    axes, each = drawn(chart).axes
    (series,) = chart.panels[0].series
    lines = lines_of(axes)
    assert lines["a mixture"] == pytest.approx(np.array([series.x, series.y]).T)
    assert lines["_ceiling a mixture"] == pytest.approx(np.array([series.x, series.ceiling]).T)
    assert lines["_compute takes over"] == pytest.approx(np.array([[4, 12.5]]))
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(p) for p in zip(series.x, series.low, strict=True)} <= {tuple(p) for p in band}
    low, high = axes.get_ylim()
    assert low <= min(series.low)
    assert high >= max(series.ceiling)
    captions = axes.get_xlabel(), axes.get_ylabel(), each.get_ylabel()
    assert captions == (f"{chart.x}, logarithmic", "tokens/s, logarithmic", "tokens/s, each, logarithmic")
    (bar,) = [c for c in axes.containers if c.get_label().startswith("_measured")]
    assert np.asarray(bar[2][0].get_segments()[0]) == pytest.approx(np.array([[1, 8.0], [1, 10.0]]))


@pytest.mark.parametrize(
    ("places", "ticks"),
    [
        ((0, 1024, 4096, 16384), {0: 256, 1024: 1024, 2048: 2048, 4096: 4096, 8192: 8192, 16384: 16384}),
        ((0, 1000), {0: 250, 1000: 1000}),
        ((0,), {0: 1}),
    ],
)
def test_an_empty_cache_stands_at_a_tick_of_its_own(places, ticks):
    """A quarter of the next place along a logarithmic axis, where the line begins and the tick says 0; none between the two."""
    line = Series("a", places, (4.0, 3.0, 2.0, 1.0)[: len(places)], measured=(Point(0, 5.0, 4.0, 6.0),))
    axes = drawn(Chart("context", "lines", "t", "x", (Panel("", (line,), "y"),), "s")).axes[0]
    told = {format_count(each): place for each, place in ticks.items()}
    shown = [label.get_text() for label in axes.get_xticklabels()]
    assert dict(zip(shown, axes.get_xticks(), strict=True)) == told
    assert lines_of(axes)["a"][:, 0].tolist() == [told["0"], *places[1:]]
    (bar,) = axes.containers
    assert bar[0].get_xdata().tolist() == [told["0"]]


@pytest.mark.parametrize(
    ("drawn_beside", "told"),
    [
        ({"low": (1.0, 2.0), "high": (5.0, 6.0), "ceiling": (7.0, 8.0)}, BAND),
        ({"ceiling": (7.0, 8.0)}, DOTTED),
        ({}, None),
    ],
)
def test_only_what_is_drawn_is_explained(drawn_beside, told):
    """Of an upper bound there is no band, of some lines not even a ceiling."""
    line = Series("a", (1, 2), (3.0, 4.0), **drawn_beside)
    figure = drawn(Chart("batch", "lines", "t", "x", (Panel("", (line,), "y"),), "s", legend=BAND))
    assert {text.get_text() for text in figure.texts} & {BAND, DOTTED} == ({told} if told else set())


def test_a_band_is_promised_only_of_panels_that_have_one():
    """Four lines leave no room for bands: where another panel has three, it is said which have them, and where none has, nothing."""
    line = Series("a", (1, 2), (3.0, 4.0), (1.0, 2.0), (5.0, 6.0), (7.0, 8.0))
    many = Panel("", tuple(replace(line, label=f"{n}") for n in range(4)), "y")
    few = Panel("", many.series[:3], "y")
    for panels, told in (((many, few), f"where there are up to 3 lines: {BAND}"), ((many,), None), ((few,), BAND)):
        figure = drawn(Chart("batch", "lines", "t", "x", panels, "s", legend=BAND))
        assert {text.get_text() for text in figure.texts if "band" in text.get_text()} == ({told} if told else set())


def test_captions_say_that_an_axis_is_logarithmic():
    """Of each axis by itself, once, in files and on a terminal alike."""
    line = (Series("a", (1, 2, 4), (3.0, 4.0, 5.0)),)
    for x_log, y_log in ((True, False), (False, True)):
        (axes,) = drawn(Chart("k", "lines", "t", "users", (Panel("", line, "s"),), "s", x_log=x_log, y_log=y_log)).axes
        assert (axes.get_xscale() == "log", axes.get_yscale() == "log") == (x_log, y_log)
        assert ("logarithmic" in axes.get_xlabel(), "logarithmic" in axes.get_ylabel()) == (x_log, y_log)
    assert caption("users at once (logarithmic)", True) == "users at once (logarithmic)"


def test_a_change_has_a_shape_that_no_line_has():
    """Of five kinds of change on a line and of measurements each has its own, none of the twelve of lines, and an entry in the legend."""
    marks = tuple(Mark(2.0**n, 5.0, what, what) for n, what in enumerate(SIGNED))
    lines = [Series("changes", BATCHES, BATCHES, marks=marks, measured=(Point(1, 2.0, 1.0, 3.0),))]
    lines += [Series(f"{n}", BATCHES, BATCHES, colour=n) for n in range(1, 12)]
    figure = drawn(Chart("batch", "lines", "t", "x", (Panel("", tuple(lines), "y"),), "s"))
    shapes = {line.get_label(): str(line.get_marker()) for line in figure.axes[0].lines}
    signs = [shapes[f"_{what}"] for what in SIGNED] + ["*"]
    assert len({*signs, *(shapes[line.label] for line in lines)}) == len(SIGNED) + 1 + 12
    handles = figure.legends[0].legend_handles
    told = {handle.get_label(): str(handle.get_marker()) for handle in handles}
    assert {name: told[name] for name in (*SIGNED, "measured")} == dict(zip((*SIGNED, "measured"), signs, strict=True))


def test_bars_are_the_values():
    """As long as the rate, with interval, ceiling and words; none for what does not fit."""
    axes, _ = drawn(sample("speed")).axes
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == pytest.approx([20.0, 5.0])
    assert lines_of(axes)["_ceiling a"][:, 0] == pytest.approx([34.0, 34.0])
    assert {(text.xy[1], text.get_text()) for text in axes.texts} == {
        (0, "20.0"), (0, "memory-bound"), (1, "5.00"), (1, "memory-bound"), (2, "does not fit: needs 30 GiB of 15 GiB"),
    }  # fmt: skip
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]


def test_a_logarithmic_axis_has_dots():
    """Where the slowest could not be seen beside the fastest: at their values, with their ceilings, and no bars."""
    (axes,) = drawn(crowd("spread", 3)).axes
    assert axes.get_xscale() == "log"
    assert list(axes.patches) == []
    dots = {
        label: tuple(place[0]) for label, place in lines_of(axes).items() if label.startswith("_") and len(place) == 1
    }
    places = [dots[f"_{name}"] for name in crowd("spread", 3).panels[0].series[0].x]
    assert np.array(places) == pytest.approx(np.array([(2.0, 0), (3.6, 1), (6.48, 2)]))


def test_stacks_add_up():
    """Each component on top of the ones before."""
    chart = sample("bytes")
    (axes,) = drawn(chart).axes
    tops = [
        max(bar.get_y() + bar.get_height() for bar in axes.patches if abs(bar.get_x() + bar.get_width() / 2 - n) < 0.01)
        for n in range(6)
    ]
    assert tops == pytest.approx([2e9 + 1.1e9 * batch for batch in BATCHES])


def test_points_are_the_measurements():
    """Forecast over measured, with both bars, and the line where they are equal."""
    chart = sample("measured")
    (axes,) = drawn(chart).axes
    (series,) = chart.panels[0].series
    (container,) = axes.containers
    assert np.asarray(container[0].get_xydata()) == pytest.approx(np.array([series.x, series.y]).T)
    assert lines_of(axes)["_equal"][0][0] == lines_of(axes)["_equal"][0][1]


def test_operations_are_drawn_under_their_roof():
    """The parts' points, and the device's roofs as its own picture has them."""
    chart = sample("roofline")
    (axes,) = drawn(chart).axes
    lines = lines_of(axes)
    assert lines["attention"] == pytest.approx(np.array([[1.0, 10e9], [8.0, 70e9]]))
    alone = {axes.get_label(): axes for axes in draw_device(chart.panels[0].device).axes}["roofline"]
    roof = "memory, 20.0 GB/s"
    assert lines[roof][0, 1] / lines[roof][0, 0] == lines_of(alone)[roof][0, 1] / lines_of(alone)[roof][0, 0] == 20e9


def test_the_same_twice(tmp_path):
    """No date, no random names: a picture changes only where its values do."""
    for suffix in ("png", "svg"):
        files = [tmp_path / f"{n}.{suffix}" for n in range(2)]
        for path in files:
            save(lambda: draw_chart(sample("batch")), path)
        assert files[0].read_bytes() == files[1].read_bytes()


def test_even_axes_have_round_ticks_from_zero():
    """Of 80 places from 6 to 994 s: steps of 200 from 0, with a comma in thousands, whole requests, and no signs on the line."""
    x = tuple(6.25 + 12.5 * n for n in range(80))
    requests = Series("run", x, (2.0, 13.9) * 40)
    axes = drawn(
        Chart(
            "serve",
            "lines",
            "t",
            "seconds",
            (Panel("Requests", (requests,), "requests"),),
            "s",
            x_log=False,
            y_log=False,
        )
    ).axes[0]
    axes.figure.canvas.draw()
    low, high = axes.get_xlim()
    assert (low, high) == (0, 993.75)
    shown = [each.get_text() for each in axes.get_yticklabels() if 0 <= each.get_position()[1] <= axes.get_ylim()[1]]
    assert shown == ["0", "2", "4", "6", "8", "10", "12", "14"]
    axes.set_xlim(0, 1200)
    axes.figure.canvas.draw()
    assert "1,000" in [each.get_text() for each in axes.get_xticklabels()]
    assert [line.get_marker() for line in axes.lines] in ([""], ["None"])
