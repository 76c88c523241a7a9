"""How a command ends where the system gives too little: one sentence and status 2, and an exit keeps its own status."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from places import ROOT

from simulator.bench import command
from simulator.commands.line.ending import SHORT_OF_MEMORY, ending_in_words
from simulator.engine.memory import Pool
from simulator.probe import memory

CHILD = """
import os, sys
sys.path[:0] = [{root!r}, {tests!r}]
from patching import change
from simulator.commands.line.ending import ending_in_words
with ending_in_words():
    {body}
"""


def ended(error, capsys):
    """Exit status and what is said where a command comes to *error*."""
    with pytest.raises(SystemExit) as end, ending_in_words():
        raise error
    return end.value.code, capsys.readouterr().err


def in_child(body, **more):
    """A process that does *body*: its exit status and what it said."""
    code = CHILD.format(root=str(ROOT), tests=str(ROOT / "tests"), body=body)
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False, **more)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError(errno.ENOMEM, "Cannot allocate memory", "model.gguf"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        RuntimeError("can't start new thread"),
    ],
    ids=["numpy", "mapping", "mapping a file", "fork", "thread"],
)
def test_lack_of_memory_is_called_that(capsys, error):
    """Python, numpy and the system say it in five ways; it is no failed output and no fault of a file."""
    assert ended(error, capsys) == (2, f"roofcast: {SHORT_OF_MEMORY}\n")


def test_what_else_the_system_refuses_is_no_failed_output(capsys):
    """Too many open files, say."""
    message = "roofcast: the system refuses what is needed ([Errno 24] Too many open files)\n"
    assert ended(OSError(errno.EMFILE, "Too many open files"), capsys) == (2, message)


def test_a_mistake_of_ours_is_not_hidden(capsys):
    """What is no lack of memory stays what it is."""
    with pytest.raises(RuntimeError, match="another"), ending_in_words():
        raise RuntimeError("another")


def test_an_exit_keeps_its_status(capsys):
    """3 is not taken for an output that nobody reads."""
    assert ended(SystemExit(3), capsys)[0] == 3


@pytest.mark.parametrize(
    "body", ["raise BrokenPipeError", "\n    try: raise BrokenPipeError\n    except OSError: sys.exit(1)"]
)
def test_an_output_that_nobody_reads_ends_silently(body):
    """As an error, or as the exit that rich makes of it: 128 + 13, SIGPIPE."""
    assert in_child(body) == (141, "")


def test_an_output_that_would_have_to_be_waited_for_is_told():
    """A full pipe that must not be waited for is no lack of memory, though the system gives it the same number (11)."""
    status, err = in_child("raise BlockingIOError(11, 'write could not complete without blocking', 0)")
    assert status == 2
    assert err == "roofcast: the output cannot be written (write could not complete without blocking)\n"


@pytest.mark.parametrize("make", [Pool, memory.Memory])
def test_memory_that_the_system_does_not_give_is_a_memory_error(make):
    """2**46 bytes, as many as a process may have addresses for: whoever asks for memory needs to know one error alone."""
    with pytest.raises(MemoryError):
        make(2**46)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits addresses as Linux does")
def test_a_model_beyond_the_limit_of_a_process_is_one_sentence(tmp_path):
    """A cache for 1,000,000 tokens of a tiny model, and 0.8 GB of addresses, which the libraries alone nearly take."""
    path = tiny.write(tmp_path / "tiny.gguf", "llama", "f32")
    done = subprocess.run(
        ["bash", "-c", f"ulimit -v 800000; exec {sys.executable} -m simulator generate {path} --tokens 2 --context 1000000"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, f"roofcast: {SHORT_OF_MEMORY}\n")


# ---- the benchmark ----

ROW = {
    "case": "a",
    "value": 1.0,
    "unit": "s",
    "ratio": 1.0,
    "ratio_low": 1.0,
    "ratio_high": 1.0,
    "against": "b",
    "target": "",
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize("more", [[], ["--json", "-"]])
def test_the_benchmark_says_that_a_disk_is_full(more):
    """As the command does, of its table and of its JSON."""
    body = (
        f"from simulator.bench import command, forecast\n    change(forecast, forecast_rows=lambda *_: [{ROW}])\n"
        f"    sys.argv[1:] = {['forecast', *more]}\n    command.main()"
    )
    with Path("/dev/full").open("w") as full:
        status, err = in_child(body, stdout=full)
    assert (status, err) == (2, "roofcast: the output cannot be written (No space left on device)\n")


@pytest.mark.parametrize(("folder", "reason"), [("file", "File exists"), ("file/a", "Not a directory")])
def test_the_benchmark_says_that_a_folder_cannot_be_made(tmp_path, monkeypatch, capsys, folder, reason):
    """A file is in its place."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["bench", "decode", "--folder", str(tmp_path / folder)])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == f"roofcast: {tmp_path / folder}: cannot be used ({reason})\n"
