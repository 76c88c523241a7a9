"""The command as a process: its exit status, and standard output that is closed, full or no longer read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from messages import PI, QWEN, change
from places import ROOT

from simulator.cli import main


def process(*arguments, **more):
    """The command as a process of its own."""
    command = [sys.executable, "-m", "simulator", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | more.pop("env", {})
    return subprocess.run(command, env=environment, text=True, timeout=60, **{"stderr": subprocess.PIPE, **more})


def test_ctrl_c_ends_with_status_130(capsys, monkeypatch):
    """As shells expect it, and with one word at most."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("simulator.commands.simulate.scenario", interrupt)
    with pytest.raises(SystemExit) as end:
        main(["simulate", QWEN, PI])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (130, "")
    assert err in ("", "interrupted\n")


def test_a_mistake_ends_the_process_with_status_2(tmp_path):
    """As a process, too: the message on standard error, nothing on standard output."""
    done = process("simulate", PI, QWEN, stdout=subprocess.PIPE, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("roofcast: 'pi5-16gb' is a hardware name")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_is_no_mistake():
    """`roofcast list hardware | head -1` says nothing on standard error."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = process("list", "hardware", stdout=writing)
    finally:
        os.close(writing)
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize("arguments", [("list", "models"), ("simulate", QWEN, PI, "--json", "-")])
def test_a_full_disk_behind_standard_output_is_told(arguments):
    """One line and a status that is not 0, so that a script notices."""
    with Path("/dev/full").open("w") as full:
        done = process(*arguments, stdout=full)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="shell syntax")
@pytest.mark.parametrize("arguments", ["list formats", "show q8_0", f"simulate {QWEN} {PI} --json -"])
def test_a_closed_standard_output_is_told(arguments):
    """`>&-` in a shell leaves the process without one: what nobody got is no success; a mistake is told all the same."""
    command = f'"{sys.executable}" -m simulator {arguments} >&-'
    done = subprocess.run(
        ["sh", "-c", command], env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (2, "roofcast: the output cannot be written (Bad file descriptor)\n")


def test_text_that_the_terminal_cannot_show_is_no_crash(files):
    """Somebody's accents on a terminal of another character set."""
    change("device.yaml", "name: board", "name: board\ntitle: Gr\u00f6\u00dfe \u2713")
    done = process(
        "simulate", "model.yaml", "device.yaml", stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"}, cwd=files
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "on Gr" in done.stdout
