"""The score as people and programs get it: tables, groups, reasons, charts."""

import json

import pytest
from scored import row

from simulator.importers.records import Origin, Skipped
from simulator.judge.score import Score
from simulator.judge.scored import Scored
from simulator.judge.serving import ServingScore
from simulator.report.charts.chart import table_of
from simulator.report.charts.errors import errors_chart, scatter_chart
from simulator.report.drawing.picture import save_chart
from simulator.report.scored import Told, as_markdown, headline_table, print_scored, short_table, told_reasons
from simulator.report.scored_record import scored_record

UNUSABLE = Origin("end_to_end")
FOUND = Score(
    (
        row(10, 11, roof=20.0, wide=(8.0, 14.0)), row(10, 8, roof=20.0, wide=(6.0, 9.5), runtime="vllm"),
        row(10, 10, roof=30.0, wide=(9.0, 11.0), batch=4), row(10, 30, roof=30.0, wide=(20.0, 40.0), origin=UNUSABLE),
    ),
    (Skipped("b", "no model file is called x"), Skipped("c", "no model file is called y", UNUSABLE)),
)  # fmt: skip
SCORED = Scored(FOUND, ServingScore(()))


def test_the_headline():
    """Errors 10, 20, 0 %: median 10, nine in ten within 18; inside 80 % are the first and the last, inside 95 % too.

    The datasheet has 20, 20 and 30 for 10: 100, 100, 200 % off. With one model there is nothing to fit an efficiency to.
    """
    head, rows = headline_table(SCORED)
    assert head[1:5] == ["forecast", "median error", "nine in ten within", "bias"]
    assert rows[0] == ["all", "3 of 4", "10.0%", "18%", "+0%", "67%", "67%", "±10%", "100%, 180%", ""]
    assert [cells[0] for cells in rows] == ["all", "boards and phones, batch 1", "batch 2 to 256"]


def test_the_short_table_has_medians_alone():
    """For the README."""
    head, rows = short_table(SCORED)
    assert "bias" not in head
    assert rows[0] == ["all", "3 of 4", "10.0%", "18%", "67%", "67%", "100%", ""]
    assert as_markdown(["", "n"], [["all", "3"]]) == "|  | n |\n| --- | ---: |\n| all | 3 |"


def test_names_of_one_reason_are_listed_behind_it():
    """Most first, with their counts."""
    reasons = ["no model file is called b"] * 2 + [
        "no model file is called a",
        "the batch is not stated",
        "a cache in x is not forecast",
    ]
    found = told_reasons([Skipped(str(n), reason) for n, reason in enumerate(reasons)])
    assert found == [
        "3 rows: no model file is called b (2), a (1)",
        "1 row: the batch is not stated",
        "1 row: a cache in x (1) is not forecast",
    ]


def test_all_is_printed(capsys):
    """The counts, each group, the worst, what is not usable, the ceiling and the reasons."""
    print_scored(SCORED, Told("mine.csv", "by hand", n_worst=1))
    shown = capsys.readouterr().out
    assert "mine.csv: 6 measurements, 4 usable, 3 of them can be forecast (75.0%); by hand" in shown
    for words in ("llama.cpp ", "vllm ", "2 to 8 ", "The 1 row furthest off", "end_to_end ", "Ceiling ", "Skipped "):
        assert words in shown
    assert "Skipped   1 row: no model file is called x (1)" in shown
    assert "Unusable  1 row: no model file is called y (1)" in shown


def test_a_measurement_above_the_ceiling_is_named(capsys):
    """With how far it is above."""
    print_scored(Scored(Score((row(30, 10, id="odd", roof=20.0),)), ServingScore(())), Told("mine.csv", "by hand"))
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 usable row measured above it, which cannot be" in shown
    assert "odd: m q8_0 on h, batch 1: 30.0 measured, ceiling 20.0 (+50%)" in shown


def test_the_record_is_plain_data():
    """Every row, used or not; the headline with both estimates; groups; what was skipped."""
    found = json.loads(json.dumps(scored_record(SCORED, "by hand"), allow_nan=False))
    assert found["summary"]["all"]["n"] == 4
    assert found["summary"]["all"]["half_width"] == pytest.approx(0.1)
    assert found["summary"]["all"]["bandwidth_over_bytes"]["median_abs_error"] == 1.0
    assert found["by"]["runtime"]["vllm"]["n_rows"] == 1
    assert found["unusable"]["end_to_end"]["n_rows"] == 1
    assert [each["usable"] for each in found["rows"]] == [True, True, True, False]
    assert found["rows"][0]["tokens_per_s_high_95"] == 14
    assert [each["usable"] for each in found["skipped"]] == [True, False]


def test_charts_show_what_is_usable(tmp_path):
    """Three points, and the spread of each group around 1; both can be drawn."""
    scatter, errors = scatter_chart(FOUND, "mine.csv"), errors_chart(FOUND, "mine.csv")
    assert [(each["x"], each["y"]) for each in table_of(scatter)] == [(10, 11), (10, 8), (10, 10)]
    software = {each["x"]: each["y"] for each in table_of(errors) if each["panel"] == "by software"}
    assert software == {"llama.cpp": pytest.approx(1.1**0.5), "vllm": pytest.approx(0.8)}
    for chart in (scatter, errors):
        save_chart(chart, tmp_path / f"{chart.kind}.png")
        assert (tmp_path / f"{chart.kind}.png").read_bytes()[:4] == b"\x89PNG"
