"""Runs of `validate` side by side: figures worked by hand, and files that are none."""

import json

import pytest

from simulator.bench.command import main
from simulator.bench.validated import validated_lines
from simulator.errors import InputError


def written(path, *rows):
    """A run with such decodes: kind, threads, error and whether it was held, as forecast and with drift out."""
    keys = ("kind", "threads", "error", "held", "error_drift_corrected", "held_drift_corrected")
    path.write_text(json.dumps({"rows": [dict(zip(keys, row, strict=True)) for row in rows]}), encoding="utf-8")
    return str(path)


@pytest.fixture
def runs(tmp_path):
    """Two of this build, one of another."""
    first = written(tmp_path / "1.json", ("dense", 2, 0.1, True, -0.02, True), ("small", 1, -0.3, False, 0.2, False))
    second = written(tmp_path / "2.json", ("dense", 2, -0.2, True, 0.04, True))
    other = written(tmp_path / "0.json", ("dense", 2, 0.5, False, 0.4, True))
    return other, first, second


def test_figures_by_hand(runs):
    """Medians of absolute errors, nine in ten between the two nearest, and the share that was held; by run, kind and in all."""
    other, *mine = runs
    lines = validated_lines([other], mine)
    assert (
        lines[0] == "| decodes | cases | before, as forecast | before, drift out | now, as forecast | now, drift out |"
    )
    # Run 1: 0.1 and 0.3, of which nine in ten are within 0.1 + 0.9 * 0.2 = 28 %.
    assert (
        lines[2] == "| run 1 | 1, 2 | 50.0% / 50% / 0% | 40.0% / 40% / 100% | 20.0% / 28% / 50% | 11.0% / 18% / 50% |"
    )
    assert lines[3] == "| run 2 | 0, 1 | - | - | 20.0% / 20% / 100% | 4.0% / 4% / 100% |"
    assert lines[4].startswith("| dense | 1, 2 | 50.0%")
    assert "| 15.0% / 19% / 100% | 3.0% / 4% / 100% |" in lines[4]
    assert lines[6] == "| one thread | 0, 1 | - | - | 30.0% / 30% / 0% | 20.0% / 20% / 0% |"
    assert (
        lines[7] == "| **all** | 1, 3 | 50.0% / 50% / 0% | 40.0% / 40% / 100% | 20.0% / 28% / 67% | 4.0% / 17% / 67% |"
    )


def test_one_build_alone(runs):
    """Where there is nothing to compare with."""
    assert validated_lines([], runs[:1])[0] == "| decodes | cases | now, as forecast | now, drift out |"


def test_other_files_are_refused(tmp_path, runs):
    """JSON of another kind is named."""
    path = tmp_path / "other.json"
    path.write_text('{"rows": [{"id": 1}]}', encoding="utf-8")
    with pytest.raises(InputError, match=r"other\.json: is not what roofcast validate --json writes"):
        validated_lines([], [str(path)])


def test_the_command_prints_it(monkeypatch, capsys, runs):
    """As the page says it."""
    monkeypatch.setattr("sys.argv", ["bench", "validated", "--before", runs[0], "--after", *runs[1:]])
    main()
    assert capsys.readouterr().out.splitlines() == validated_lines(runs[:1], runs[1:])
