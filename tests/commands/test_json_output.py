"""JSON on standard output or in a file: whole or not at all."""

import json
import os
from pathlib import Path

import pytest
from messages import PI, QWEN

from simulator.cli import main


def test_json_on_standard_output_is_one_object(capsys):
    """Nothing before it, nothing after it."""
    with pytest.raises(SystemExit) as end:
        main(["simulate", QWEN, PI, "--batch", "1,2", "--json", "-"])
    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert [row["batch"] for row in json.loads(out)["predictions"]] == [1, 2]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("none/f.json", "none/f.json: there is no folder none"),
        ("model.yaml/f.json", "model.yaml/f.json: cannot be written (Not a directory)"),
        (".", ".: is a folder, a file name is needed"),
        ("a" * 300, ": cannot be written (File name too long)"),
        ("/dev/full", "/dev/full: cannot be written (No space left on device)"),
    ],
)
def test_json_that_cannot_be_written_is_told(files, refusal, target, message):
    """The place and the system's reason; no table is printed as if all were well, and nothing is left behind."""
    if target == "/dev/full" and not Path(target).exists():
        pytest.skip("no such device here")
    before = sorted(files.iterdir())
    assert message in refusal("simulate", QWEN, PI, "--json", target)
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("simulate", QWEN, PI, "--json", "-o"), "--json"),
        (("simulate", QWEN, PI, "--plot", "-o"), "--plot"),
        (("plot", "speed", QWEN, "-o", "-o"), "-o"),
        (("report", QWEN, "--output", "-o"), "--output"),
        (("validate", "--against", "-o"), "--against"),
    ],
)
def test_an_option_is_not_taken_as_a_file(files, refusal, arguments, option):
    """Where a file's name was forgotten, none of that name is written."""
    before = sorted(files.iterdir())
    assert refusal(*arguments) == f"{option} -o: a file is needed; write ./-o for one of that name"
    assert sorted(files.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_told(files, refusal):
    """Read-only places are named before anything is printed."""
    Path("locked").mkdir(mode=0o500)
    if os.access("locked", os.W_OK):
        pytest.skip("this user may write everywhere")
    assert (
        refusal("simulate", QWEN, PI, "--json", "locked/f.json")
        == "locked/f.json: cannot be written (Permission denied)"
    )


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_keeps_the_old_file(files, capsys, monkeypatch, error):
    """A full disk or Ctrl-C in the middle: the old content stays, and no half of the new one lies beside it."""
    Path("f.json").write_text("old")
    before = sorted(files.iterdir())

    def fail(*_):
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(SystemExit) as end:
        main(["simulate", QWEN, PI, "--json", "f.json"])
    monkeypatch.undo()
    assert end.value.code == (2 if isinstance(error, OSError) else 130)
    assert capsys.readouterr().out == ""
    assert (files / "f.json").read_text() == "old"
    assert sorted(files.iterdir()) == before


def test_a_wrong_forecast_leaves_the_old_file(files, refusal):
    """A mistake found late in the command line writes nothing."""
    Path("f.json").write_text("old")
    refusal("simulate", QWEN, PI, "--json", "f.json", "--density", "none.csv")
    assert Path("f.json").read_text() == "old"
