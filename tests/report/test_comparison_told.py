"""Forecasts beside decodes that were timed here, as people and programs get them: the table, the lines around it, the JSON."""

import re
from dataclasses import replace

import pytest
from decodes import CASES, comparison, drifting, forecast, measured, taken_apart, usual
from profiled import machine
from screens import plain, screen

from simulator.forecast import interval
from simulator.importers.records import Skipped
from simulator.judge.compare import Comparison, compare
from simulator.judge.matrix import make_matrix
from simulator.judge.measure import OUTSIDE
from simulator.machine.host import Host
from simulator.report.comparison import as_record, print_comparison
from simulator.units import MI


def test_the_first_lines_say_how_often_the_interval_held(capsys):
    """Three of ten decodes took four times as long as forecast, far outside: 70 % held, which may be chance; of 40, it is not."""
    found = comparison([1.0] * 7 + [4.0] * 3)
    print_comparison(found, machine())
    assert capsys.readouterr().out.splitlines()[1] == "the 80 % interval held 70% of 10 decodes"
    summary = as_record(found, machine())["summary"]
    assert (summary["held"], summary["told"]) == (0.7, "the 80 % interval held 70% of 10 decodes")
    assert interval.told_held(24, 40) == "the 80 % interval held 60% of 40 decodes: it is too narrow here"


def test_drift_that_only_the_reference_models_show_is_not_corrected(capsys):
    """They take 1.25 times as long, the decodes do not: right as forecast, 20 % too slow with that taken out."""
    found = drifting(1.25, [1 / 1.25 - 1] * 12)
    assert not found.correction.is_used
    drift = "drift: by the reference models, decodes took 1.25 times as long as when the machine was profiled (1.25 to 1.25)"
    told = "drift was not corrected: the median error does not fall in both halves of the decodes"
    assert found.correction.why == f"{told} (from 0.0% to 20.0% and from 0.0% to 20.0%)"
    print_comparison(found, machine())
    printed = " ".join(capsys.readouterr().out.split())
    assert drift in printed
    assert told in printed
    assert "with drift out" not in printed


def test_a_machine_far_from_its_profile_is_to_be_profiled_again(capsys):
    """Half as fast as then, or twice; not a fifth off."""
    for drift, is_told in ((2.0, True), (0.5, True), (1.2, False), (1 / 1.2, False)):
        print_comparison(drifting(drift, [0.0] * 12), machine())
        printed = " ".join(capsys.readouterr().out.split())
        assert ("; profile again for forecasts of the machine as it is now" in printed) == is_told


def test_a_machine_that_flips_is_described_as_two_states(capsys):
    """Four looks of ten read 20 GB/s, six 32, in turns of two and three: shares, speeds and changes, in the text and the JSON."""
    rates = [20e9, 20e9, 32e9, 32e9, 32e9] * 12
    looks = [replace(usual(), memory_bytes_per_s=rate * (1 + 0.02 * (place % 3 - 1)), at_s=float(place))
             for place, rate in enumerate(rates)]  # fmt: skip
    base = forecast(CASES[0])
    rows = [replace(measured(CASES[0], [base] * 30, [usual()] * 30), after=tuple(looks[half::2])) for half in (0, 1)]
    found = compare(machine(), rows)
    told = "two states: reading memory with 2 threads at 20.0 GB/s 40% of the time and at 32.0 GB/s 60%, with 23 changes in 60 looks"
    print_comparison(found, machine())
    assert told in " ".join(capsys.readouterr().out.split())
    (record,) = as_record(found, machine())["summary"]["states"]
    assert (record["what"], record["threads"], record["unit"], record["changes"]) == ("reading memory", 2, "B/s", 23)
    assert (record["slow"]["share"], record["fast"]["share"]) == (0.4, 0.6)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ffn": 3e-3}, r"most of it in ffn: .* ms measured, .* ms forecast"),
        ({OUTSIDE: 3e-3}, r"most of it outside its kernels: 3\.\d+ ms measured, \d+ us forecast"),
        ({"ffn": 1e-3, "attention": 1e-3, OUTSIDE: 1e-3}, "spread over several parts"),
    ],
)
def test_the_worst_lines_say_where_an_error_comes_from(capsys, more, words):
    """Only where it is so."""
    print_comparison(Comparison((taken_apart(more),)), machine())
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"worst: dense q8_0 b1 c128 t2: \d+% too fast \(.*\); {words}", printed)


def test_what_was_left_out_is_listed(capsys):
    """With its reason, in the JSON and below the table."""
    found = compare(machine(), [measured(CASES[0], [1.0], [usual()])], [Skipped("a deep one", "takes 9 GB of memory")])
    assert as_record(found, machine())["skipped"] == [{"id": "a deep one", "reason": "takes 9 GB of memory"}]
    print_comparison(found, machine())
    assert "left out: a deep one: takes 9 GB of memory\n" in capsys.readouterr().out


def test_no_line_is_wider_than_eighty_columns(monkeypatch):
    """All names that the matrix has, and rates of six digits, on a terminal."""
    cases = make_matrix(Host(n_threads=2), 2, 32 * MI)
    found = compare(machine(), [measured(case, [1e-4], [usual(case.threads)]) for case in cases])
    with screen(monkeypatch, columns=80) as shown:
        print_comparison(found, machine(), ("a note of many words " * 20,))
    assert max(len(line) for line in plain(shown.getvalue()).splitlines()) <= 80


def test_json_has_every_timing():
    """What the figures can be computed from again."""
    record = as_record(comparison([1.0, 1.2]), machine())
    row = record["rows"][1]
    assert row["tokens_per_s_measured"] == pytest.approx(1 / row["seconds"][0])
    assert row["tokens_per_s_low"] <= row["tokens_per_s"] <= row["tokens_per_s_high"] <= row["tokens_per_s_ceiling"]
    assert set(record["summary"]) == {
        "n_rows", "held", "told", "drift", "states", "raw", "drift_corrected", "by_kind", "crossings"
    }  # fmt: skip
    assert len(row["looks"]) == len(row["seconds"]) == 3
