"""The command `validate` without --against: what it refuses, and what it prints and writes."""

import json
import re

import pytest
import yaml
from profiled import machine
from test_compare import CASES, forecast, measured, usual

from simulator import compare as comparing
from simulator import host as hosts
from simulator.cli import main
from simulator.report import validate
from simulator.report.profile import to_yaml


def run(*arguments):
    """The exit status of the command."""
    with pytest.raises(SystemExit) as ended:
        main(["validate", *arguments])
    return ended.value.code or 0


@pytest.fixture
def profiled(tmp_path, monkeypatch):
    """A folder with the profile of a made-up machine, which this one is taken for; decodes take what is forecast."""
    fields = machine().model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    (tmp_path / "mine.yaml").write_text(to_yaml(fields))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(validate, "read_host", lambda: hosts.Host(n_threads=2, n_cores=2))

    def decode(cases, _sizes, rounds, progress):
        progress(1.0, "done")
        return [measured(case, [1.1 * forecast(case)] * rounds, [usual(case.threads)] * rounds) for case in cases[:12]]

    monkeypatch.setattr(validate, "measure_cases", decode)
    return tmp_path / "mine.yaml"


def refused(capsys, *arguments):
    """The one sentence that is said."""
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    return said.err


def test_without_a_profile_it_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    """In a folder without mine.yaml."""
    monkeypatch.chdir(tmp_path)
    assert "roofcast profile -o mine.yaml" in refused(capsys)


def test_other_machines_are_refused(capsys):
    """A GPU, a board of another size, and a device that was never profiled, each with the remedy."""
    assert "is a GPU" in refused(capsys, "rtx-4090")
    assert "another machine" in refused(capsys, "neoverse-n2-96c")


def test_a_device_without_measured_kernels_is_refused(profiled, capsys):
    """What its maker says is not enough."""
    data = yaml.safe_load(profiled.read_text())
    del data["engine"]
    profiled.write_text(yaml.safe_dump(data))
    assert "no measured kernels" in refused(capsys)


def test_options_that_belong_to_against_are_refused(capsys):
    """--model without --against, --quick with it."""
    assert "--against" in refused(capsys, "--model", "llama-3-8b")
    assert "--quick" in refused(capsys, "--quick", "--against", "some.json")


def test_the_table_and_the_summary_say_how_far_off(profiled, capsys):
    """Every decode took 1.1 times what was forecast: 10 % too fast, inside the interval."""
    assert run() == 0
    said = capsys.readouterr().out
    assert len(re.findall(r"\+10%", said)) >= 24
    assert re.search(r"all +12 +10\.0% +10\.0% +\+10\.0% +\d+% +10\.0%", said)
    assert "worst:" in said


def test_json_alone_stands_on_standard_output(profiled, capsys):
    """And says the same."""
    assert run("--json", "-") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["summary"]["raw"]["median_abs_error"] == pytest.approx(0.1)
    assert len(record["rows"]) == record["summary"]["n_rows"] == 12
    assert record["skipped"] == []


def test_a_profile_is_written_and_read_back_the_same(profiled):
    """The made-up machine in YAML forecasts as the one in memory does."""
    again = comparing.compare(validate._hardware(str(profiled)), [measured(CASES[0], [1.0], [usual()])]).rows[0]
    assert float(again.forecast.seconds_per_step) == pytest.approx(forecast(CASES[0]))
