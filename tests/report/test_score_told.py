"""Scores as people and programs get them: the table with its summary, and the JSON."""

import json

import pytest
from scored import FOUR, row

from simulator.judge.score import Score
from simulator.report.score import as_record, print_score


def test_the_record_has_what_programs_need():
    """Rows, skipped rows with their reasons, the summary, and the same by device class; all of it plain JSON."""
    found = json.loads(json.dumps(as_record(FOUR), allow_nan=False))
    assert found["skipped"] == [{"id": "b", "reason": "why"}]
    assert found["summary"]["n_rows"] == 4
    assert found["summary"]["median_abs_error"] == pytest.approx(0.15)
    assert found["summary"]["by_device_class"]["sbc"]["held"] == 0.5
    first = found["rows"][0]
    assert {"id", "tokens_per_s_measured", "tokens_per_s", "tokens_per_s_low", "tokens_per_s_high"} <= first.keys()
    assert (first["tokens_per_s_ceiling"], first["bound"], first["error"]) == (22, "memory", pytest.approx(0.1))


def test_the_report_sums_up_in_words(capsys):
    """What all rows share is said once, above; the summary in words; the worst of those outside the interval."""
    print_score(FOUR, "a tool")
    shown = capsys.readouterr().out
    assert "model m, hardware h, runtime llama.cpp, weights q8_0, cache f16, batch 1, context 128, threads 4" in shown
    assert "measured with a tool" in shown
    summary = " ".join(shown[shown.index("Summary") :].split())
    assert "4 measurements: median error 15%, nine in ten within 41%;" in summary
    assert "forecasts 5% too fast in the median; none above the ceiling" in summary
    assert "a: m q8_0 on h, batch 1, context 128: 15.0 forecast, 10.0 measured (+50%), limited by memory" in summary
    assert "Skipped 1 row: why" in summary


def test_a_long_report_shows_the_worst(capsys):
    """41 rows: the 40 that are furthest off, and where the others are."""
    print_score(Score(tuple(row(10, 10 + n / 10, id=f"r{n}") for n in range(41))))
    shown = capsys.readouterr().out
    assert "of 41 rows the 40 furthest off (--json FILE writes all):" in shown
    assert "r40 " in shown
    assert "r0 " not in shown
