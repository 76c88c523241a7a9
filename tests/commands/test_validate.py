"""The command `validate` without --against: what it refuses, and what it prints and writes."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from decodes import CASES, forecast, measured, usual
from profiled import machine

from simulator.cli import main
from simulator.commands import validate_here
from simulator.commands.hardware_file import to_yaml
from simulator.judge import compare as comparing
from simulator.machine import host as hosts
from simulator.probe.describe import identity


def run(*arguments):
    """The exit status of the command."""
    with pytest.raises(SystemExit) as ended:
        main(["validate", *arguments])
    return ended.value.code or 0


@pytest.fixture
def profiled(tmp_path, monkeypatch):
    """A folder with the profile of a made-up machine, which this one is taken for; decodes take what is forecast."""
    fields = machine().model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    (tmp_path / "mine.yaml").write_text(to_yaml(fields))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(validate_here, "read_host", lambda: hosts.Host(n_threads=2, n_cores=2))

    def decode(cases, _sizes, rounds, progress, folder):
        progress(1.0, "done")
        return [measured(case, [1.1 * forecast(case)] * rounds, [usual(case.threads)] * rounds) for case in cases[:12]]

    monkeypatch.setattr(validate_here, "measure_cases", decode)
    monkeypatch.setenv("ROOFCAST_CPU_PATH", "portable")
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


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"vendor": "intel"}, "vendor intel, here it is amd"),
        ({"cores": 1}, "cores 1, here it is 2"),
        ({"threads": 3}, "threads 3, here are 2"),
        ({"description": "2 cores; 2 x 48 KiB L1 data; 8.0 GiB memory"},
         "2 cores; 2 x 48 KiB L1 data; 8.0 GiB memory; here: 2 cores; 2 x 32 KiB L1 data; 8.0 GiB memory"),
    ],
)  # fmt: skip
def test_a_profile_of_another_machine_is_refused(profiled, monkeypatch, capsys, changes, what):
    """Also where it has as many cores and threads; its own is not."""
    here = hosts.Host(
        n_threads=2, n_cores=2, vendor="amd", caches=(hosts.Cache("L1 data", 2**15, 2),), memory_bytes=2**33
    )
    monkeypatch.setattr(validate_here, "read_host", lambda: here)
    data = yaml.safe_load(profiled.read_text()) | identity(here, 2) | {"runs": [{"when": "2026-11-23", "rounds": 3}]}
    profiled.write_text(yaml.safe_dump(data | changes))
    assert f"is another machine than this one ({what}); profile this one first" in refused(capsys)
    profiled.write_text(yaml.safe_dump(data))
    assert run("--json", "-") == 0


def test_kernels_of_other_instructions_are_refused(profiled, monkeypatch, capsys):
    """The same machine in name, but its figures are those of other kernels."""
    data = yaml.safe_load(profiled.read_text())
    data["engine"]["path"] = "avx512-vnni"
    profiled.write_text(yaml.safe_dump(data))
    assert "was measured with the engine's path avx512-vnni, here portable runs; profile" in refused(capsys)


def test_a_target_that_cannot_be_written_is_refused_before_decoding(profiled, monkeypatch, capsys):
    """No minutes are spent for nothing: a missing folder, a folder, a protected file, and the profile itself by any name."""
    monkeypatch.setattr(validate_here, "measure_cases", lambda *_, **__: pytest.fail("too late"))
    assert "--json none/f.json: there is no folder none" in refused(capsys, "--json", "none/f.json")
    assert "is a folder, a file name is needed" in refused(capsys, "--json", ".")
    text = profiled.read_text()
    (profiled.parent / "link.json").symlink_to("mine.yaml")
    for name in ("mine.yaml", "./mine.yaml", "link.json"):
        told = f"--json {name}: would overwrite what is read from mine.yaml; give another file name"
        assert told in refused(capsys, "--json", name)
        assert told in refused(capsys, "mine.yaml", "--json", name)
    assert profiled.read_text() == text
    (profiled.parent / "f.json").write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "f.json: is write-protected" in refused(capsys, "--json", "f.json")


def test_the_table_is_there_although_the_file_cannot_be_written(profiled, capsys):
    """A disk that is full in the end: what took minutes is not lost."""
    if not Path("/dev/full").exists():
        pytest.skip("no such device here")
    assert run("--json", "/dev/full") == 2
    said = capsys.readouterr()
    assert "worst:" in said.out
    assert "/dev/full: cannot be written (No space left on device)" in said.err


def test_options_that_belong_to_against_are_refused(capsys):
    """--model without --against, --quick with it."""
    assert "--against" in refused(capsys, "--model", "llama-3-8b")
    assert "--quick" in refused(capsys, "--quick", "--against", "some.json")


def test_the_table_and_the_summary_say_how_far_off(profiled, capsys):
    """Every decode took 1.1 times what was forecast: 10 % too fast, inside the interval."""
    assert run() == 0
    said = capsys.readouterr().out
    assert said.splitlines()[1] == "the 80 % interval held 100% of 12 decodes"
    assert len(re.findall(r"\+10% +yes", said)) == 12
    assert re.search(r"all +12 +100% +10\.0% +10\.0% +\+10\.0% +10\.0%", said)
    assert "worst:" in said


def test_the_page_is_told_what_the_text_says_of_the_machine(profiled, monkeypatch):
    """The lines on drift and states go to the report with the measurements."""
    given = []
    monkeypatch.setattr(validate_here, "report_measured", lambda *arguments: given.append(arguments) or "written")
    assert run("--report", "out") == 0
    ((measurements, *_, remarks, _models),) = given
    assert len(measurements) == 12
    assert remarks == ("nothing is known of a drift since the machine was profiled",)


def test_json_alone_stands_on_standard_output(profiled, capsys):
    """And says the same."""
    assert run("--json", "-") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["summary"]["raw"]["median_abs_error"] == pytest.approx(0.1)
    assert len(record["rows"]) == record["summary"]["n_rows"] == 12
    # No disk was measured.
    assert {each["reason"] for each in record["skipped"]} == {"needs a measured drive that experts can be read from"}
    assert all(each["id"].endswith("experts on disk") for each in record["skipped"])


def test_a_profile_is_written_and_read_back_the_same(profiled):
    """The made-up machine in YAML forecasts as the one in memory does."""
    again = comparing.compare(validate_here._hardware(str(profiled)), [measured(CASES[0], [1.0], [usual()])]).rows[0]
    assert float(again.forecast.seconds_per_step) == pytest.approx(forecast(CASES[0]))
