"""Charts at a terminal: as wide as it is, plain where no colour is wanted, values where a program reads."""

import json
import re
from contextlib import redirect_stdout

import pytest
from samples import BATCHES, crowd, measurement, sample
from screens import Screen

from simulator import scenario
from simulator.report.charts.bars import formats_chart, speed_chart
from simulator.report.charts.chart import CHANGES, Chart, Mark, Panel, Series
from simulator.report.charts.measurements import measured_chart
from simulator.report.charts.rates import batch_chart, context_chart
from simulator.report.charts.rooflines import roofline_chart
from simulator.report.charts.sparsity import sparsity_chart
from simulator.report.drawing.picture import draw_chart, values_of
from simulator.report.drawing.style import styled
from simulator.report.terminal.picture import print_chart

KINDS = ("speed", "batch", "context", "bytes", "formats", "roofline", "sparsity", "measured", "device")
COLOUR = re.compile("\033\\[[0-9;]*m")


@pytest.fixture
def show(monkeypatch):
    """What a terminal shows of a chart, of 80 columns if nothing else is said."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def shown(chart, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        screen = Screen()
        with redirect_stdout(screen):
            print_chart(chart)
        return screen.getvalue()

    return shown


def lines_of(text):
    """Without colours."""
    return COLOUR.sub("", text).splitlines()


@pytest.mark.parametrize("columns", [30, 40, 60, 80, 120])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wider_than_the_terminal(show, kind, columns):
    """Every kind, and no word or number of its title, names, notes and source is lost or cut."""
    chart = sample(kind)
    lines = lines_of(show(chart, columns))
    assert max(map(len, lines)) <= columns
    series = [each for panel in chart.panels for each in panel.series]
    names = [name for each in series for name in (each.x if chart.form == "bars" else [each.label])]
    told = [chart.title, chart.source, *names, *(note for each in series for note in each.notes)]
    assert {word for text in told for word in text.split()} <= {word for line in lines for word in line.split()}


def test_bars_of_one_panel_have_one_scale_where_notes_differ(show):
    """In 40 columns: twice the value is twice the length, below a name that has no room beside the bar."""
    series = Series("rate", ("a model with a long name", "another one"), (8.0, 4.0), notes=("memory-bound", "compute"))
    found = show(Chart("speed", "bars", "Speed", "", (Panel("", (series,), "tokens/s"),), "made up"), 40)
    lines = lines_of(found)
    long, short = (line.count("█") for line in lines if "█" in line)
    assert long == pytest.approx(2 * short, abs=1)
    assert lines[lines.index("a model with a long name") + 1].endswith("8.00, memory-bound")


@pytest.mark.parametrize("columns", [80, 50])
@pytest.mark.parametrize("count", [1, 3, 9, 12])
@pytest.mark.parametrize("kind", ["speed", "batch", "context", "bytes", "roofline", "sparsity", "measured"])
def test_many_entries_keep_to_the_width(show, kind, count, columns):
    """Long names and words that say what does not fit are folded, and each entry is there."""
    chart = crowd(kind, count)
    lines = lines_of(show(chart, columns))
    assert max(map(len, lines)) <= columns
    entries = (
        [each.label for each in chart.panels[0].series]
        if len(chart.panels) < 3
        else [each.title for each in chart.panels]
    )
    entries = chart.panels[0].series[0].x if kind == "speed" else entries
    assert all(any(entry[:15] in line for line in lines) for entry in entries)


def test_an_axis_has_two_numbers_at_least(show):
    """One measurement alone, where no power of ten lies between the ends."""
    lines = lines_of(show(crowd("measured", 1)))
    below = next(line for line in lines[lines.index(next(line for line in lines if "└" in line)) + 1 :])
    assert len(below.split()) > 1
    assert sum(bool(line.split("│")[0].strip()) for line in lines if "│" in line) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_colour_where_none_is_wanted(show, monkeypatch, kind):
    """The same signs without."""
    coloured = lines_of(show(sample(kind)))
    monkeypatch.setenv("NO_COLOR", "1")
    plain = show(sample(kind))
    assert "\033" not in plain
    assert plain.splitlines() == coloured


def test_a_pipe_gets_values(capsys):
    """Every point in a table, and no drawing."""
    print_chart(sample("batch"))
    printed = capsys.readouterr().out
    assert "⠤" not in printed
    rows = [line for line in printed.splitlines() if line.startswith("All sequences together")]
    assert len(rows) == 7
    assert re.search(r"a mixture +1 +8\.00 +6\.00 +10\.0 +16\.0", rows[0])


@pytest.mark.parametrize(
    ("chart", "heading"),
    [
        (lambda one, other: speed_chart([one, other], 1, 1024), "x: device; y: tokens/s"),
        (
            lambda one, other: speed_chart([one, other], 4, 1024),
            "x: device; y: tokens/s, all sequences together",
        ),
        (lambda one, _: speed_chart([one], 1, 1024), "x: model; y: tokens/s"),
        (lambda one, _: formats_chart([one], 1, 1024), "x: format, its weights; y: tokens/s"),
        (
            lambda one, _: batch_chart([one], (1, 2), 1024),
            "x: sequences decoded at once (batch); y: tokens/s, all together, or tokens/s, each",
        ),
    ],
)
def test_the_heading_of_values_says_what_stands_below_it(capsys, chart, heading):
    """Bars have names along x and their lengths along y, whichever way they are drawn; so has what a picture keeps."""
    found = chart(scenario("llama-3-8b", "pi5-8gb"), scenario("llama-3-8b", "rtx-4090"))
    print_chart(found)
    assert capsys.readouterr().out.splitlines()[1] == heading
    kept = json.loads(values_of(found))
    assert f"x: {kept['x']}; y: {kept['y']}" == heading


@pytest.mark.parametrize(("term", "encoding"), [("dumb", "utf-8"), ("xterm", "ascii"), ("xterm", "latin-1")])
def test_a_terminal_without_the_signs_gets_values(show, monkeypatch, term, encoding):
    """As a pipe does."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(Screen, "encoding", encoding)
    assert "series" in show(sample("batch")).encode(encoding).decode(encoding)


def test_a_line_rises_where_its_values_do(show):
    """A letter at its end, at the height of the last value; round numbers beside."""
    y = tuple(float(batch) for batch in BATCHES)
    line = Series("doubling", BATCHES, y)
    found = show(Chart("batch", "lines", "Doubling", "batch", (Panel("", (line,), "tokens/s"),), "made up"))
    drawn = [line for line in lines_of(found) if "│" in line]
    assert drawn[0].endswith("a")
    assert drawn[0].startswith("   │")
    assert drawn[-1].startswith("  1│")
    starts = [len(line) - len(line.split("│")[1].lstrip()) for line in drawn]
    assert starts == sorted(starts, reverse=True)


def test_each_change_has_a_sign_of_its_own_that_is_seen(show):
    """All at the last batch of one of two lines that end together: no sign and no letter hides another."""
    marks = tuple(Mark(32, 32.0, what, f"{what} at 32") for what in CHANGES)
    lines = Series("marked", BATCHES, BATCHES, marks=marks), Series("plain", BATCHES, BATCHES, colour=1)
    found = show(Chart("batch", "lines", "Marks", "batch", (Panel("", lines, "tokens/s"),), "made up"))
    drawn = "".join(line.split("│")[1] for line in lines_of(found) if "│" in line)
    assert [drawn.count(sign) for sign in "◆▲■►ab"] == [1] * 6
    for sign, what in zip("◆▲■►", CHANGES, strict=True):
        assert f"  {sign} {what} at 32 (a)" in lines_of(found)


def test_the_changes_of_every_device_are_told(show):
    """Below its own panels, where the lines of all devices have the same names."""
    panels = tuple(
        Panel(
            title, (Series("model", BATCHES, BATCHES, marks=(Mark(last, 2.0, CHANGES[2], f"fits up to {last}"),)),), y
        )
        for title, last in (("one", 4), ("other", 16))
        for y in ("tokens/s", "tokens/s, each")
    )
    found = show(Chart("batch", "lines", "Marks", "batch", panels, "made up"))
    assert [line.strip() for line in lines_of(found) if "fits" in line] == ["■ fits up to 4", "■ fits up to 16"]


def test_bars_are_as_long_as_their_values(show):
    """A quarter of the value, a quarter of the blocks; words where it does not fit."""
    lines = lines_of(show(sample("speed")))
    a, b, c = (next(line for line in lines if line.startswith(f"{name} │")) for name in "abc")
    assert a.count("█") == pytest.approx(4 * b.count("█"), abs=4)
    assert "5.00, memory-bound" in b
    assert c == "c │ does not fit: needs 30 GiB of 15 GiB"


def test_an_empty_cache_is_told_as_0(show):
    """On its axis and in the interval of its line."""
    line = Series("a", (0, 1024, 4096), (4.0, 3.0, 2.0), (3.0, 2.0, 1.0), (5.0, 4.0, 3.0))
    found = lines_of(show(Chart("context", "lines", "Depth", "tokens", (Panel("", (line,), "tokens/s"),), "made up")))
    (place,) = (number for number, each in enumerate(found) if "└" in each)
    assert found[place + 1].split() == ["0", "1k", "2k", "4k"]
    assert "  at 0: 4.00, 80 % interval 3.00 - 5.00" in found


def test_the_last_number_of_an_axis_is_inside_of_it(show):
    """1,000 ends with the axis, where its middle would be at the end."""
    line = Series("a", (500, 1000), (4.0, 3.0))
    found = lines_of(show(Chart("context", "lines", "Depth", "tokens", (Panel("", (line,), "tokens/s"),), "made up")))
    (place,) = (number for number, each in enumerate(found) if "└" in each)
    assert found[place + 1].split() == ["500", "1,000"]
    assert len(found[place + 1]) == len(found[place])


def test_nothing_that_fits_is_said(show):
    """No axes without values."""
    line = Series("large", BATCHES, (None,) * 6)
    found = show(Chart("batch", "lines", "Large", "batch", (Panel("", (line,), "tokens/s"),), "made up"))
    assert "does not fit in memory" in found


@pytest.mark.parametrize(
    "chart",
    [
        lambda base: batch_chart([base], (1,), 1024),
        lambda base: batch_chart([base], (1, 2), 1024),
        lambda base: batch_chart([base], (16, 32), 1024),
        lambda base: context_chart([base], (0, 1024), 1),
        lambda base: context_chart([base], (0,), 1),
        lambda base: context_chart([base], (1024, 4096), 1, [measurement(base, 2.0, context=16)]),
        lambda base: batch_chart([base], (4096,), 131072, [measurement(base, 2.0, context=131072)]),
        lambda base: roofline_chart([base], (4096,), 131072),
        lambda base: sparsity_chart([base], (4096,), 131072),
        lambda base: measured_chart([measurement(base, 2.0)], "one row"),
    ],
)
def test_narrow_and_empty_axes_are_drawn(show, chart):
    """One point, no round number, an empty cache, a measurement beside the line, nothing that fits: on a screen and in a file."""
    found = chart(scenario("llama-3-8b", "pi5-8gb"))
    assert max(map(len, lines_of(show(found)))) <= 80
    with styled():
        assert draw_chart(found).axes
