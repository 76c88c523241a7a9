"""Ctrl-C and kills: sent for real, to every command at moments of chance, and to what is hard to end."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from places import ROOT
from profiled import machine

from simulator.commands.hardware_file import to_yaml
from simulator.report import leftovers
from simulator.report.record import write_together, write_whole

N_THOROUGH = 20
PATIENCE_S = 60  # for machines at work on other things: a process that has not ended by then hangs

# Command, and a span of seconds in which it is usually at work.
COMMANDS = {
    "simulate": (["simulator", "simulate", "qwen3-30b-a3b", "pi5-16gb", "--json", "made.json"], 1.0),
    "generate": (["simulator", "generate", "long.gguf", "--prompt", "a", "--tokens", "1000000"], 5.0),
    "validate": (["simulator", "validate", "mine.yaml", "--quick", "--json", "made.json", "--report", "report"], 6.0),
    "profile": (["simulator", "profile", "--quick", "-o", "made.yaml"], 8.0),
    "report": (["simulator", "report", "qwen3-30b-a3b", "--on", "pi5-16gb"], 4.0),
    "plot": (["simulator", "plot", "batch", "llama-3-8b", "--on", "rtx-4090", "-o", "made.png"], 2.0),
    "list": (["simulator", "list", "models"], 1.0),
    "show": (["simulator", "show", "pi5-16gb"], 0.7),
    "serve": (["simulator", "serve", "llama-3-8b", "rtx-4090", "--rate", "2/s", "--json", "made.json"], 2.0),
    "bench": (["simulator.bench", "forecast", "--rounds", "1"], 2.5),
}
needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes as Linux shows them")


@pytest.fixture
def folder(tmp_path):
    """Where a command runs, with a model to decode and the profile of a machine that this one is taken for."""
    tiny.write(tmp_path / "long.gguf", "llama", "f32")
    fields = machine().model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    (tmp_path / "mine.yaml").write_text(to_yaml(fields))
    return tmp_path


def started(arguments, cwd, **more):
    """A process in a group of its own, as a terminal has it, from the moment at which signals are seen to."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ROOFCAST_CPU_PATH": "portable"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **more
    )  # fmt: skip
    while process.poll() is None and _n_threads(process) < 2:  # the thread that watches
        time.sleep(0.001)
    return process


def _n_threads(process):
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


def interrupt(process):
    """Ctrl-C: to the process and all that it started; whether it was still there."""
    try:
        os.killpg(process.pid, signal.SIGINT)
    except ProcessLookupError:
        return False
    return True


def ended(process):
    """Exit status and standard error, once nothing of the group is left."""
    _, err = process.communicate(timeout=PATIENCE_S)
    limit = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return process.returncode, err
        time.sleep(0.01)
    pytest.fail("processes are left")


@needs_proc
@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupt_at_any_moment_is_one_word(request, folder, name):
    """Status 130 and no traceback; what is written is all there or not at all; a command that was done is done."""
    arguments, span = COMMANDS[name]
    n_moments = N_THOROUGH if request.config.getoption("--thorough", default=False) else 1
    before = {path.name for path in folder.iterdir()}
    for moment in [0.0, *(random.uniform(0, span) for _ in range(n_moments))]:
        process = started(["-m", *arguments], folder)
        time.sleep(moment)
        interrupt(process)
        status, err = ended(process)
        made = {path.name for path in folder.iterdir()} - before
        if moment == 0 or status:
            assert (status, err.splitlines()[-1:], moment) == (130, ["interrupted"], moment)
            assert "Traceback" not in err
            assert "Exception ignored" not in err
        if name not in ("generate", "profile", "bench"):  # these have said figures, notes or what they time by then
            assert err.splitlines() in ([], ["interrupted"])
        for path in (folder / each for each in made):
            assert path.name in ("made.json", "made.png", "made.yaml", "report"), moment
            assert not path.is_dir() or (path / "index.html").exists(), moment


@needs_proc
def test_an_interrupt_while_pictures_are_drawn_leaves_no_folder(folder):
    """Two processes draw by then; neither they nor any file remains."""
    process = started(["-m", *COMMANDS["report"][0]], folder)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and not children.read_text().split():
        time.sleep(0.01)
    assert interrupt(process)
    assert ended(process) == (130, "interrupted\n")
    assert sorted(path.name for path in folder.iterdir()) == ["long.gguf", "mine.yaml"]


# ---- what is hard to end ----

STUBBORN = """
import sys, time
sys.path.insert(0, {root!r})
from simulator.interrupts import at_end, ending_at_signals, noticed
with ending_at_signals():
    {body}
"""


def stubborn(body, cwd):
    """A process that does *body*, from the moment at which it has said that it is there."""
    process = started(["-c", STUBBORN.format(root=str(ROOT), body=body)], cwd)
    assert process.stdout.readline() == "here\n"
    return process


@needs_proc
def test_an_interrupt_ends_what_python_cannot_stop(tmp_path):
    """The main thread is in C code for minutes, as while kernels are compiled: another one undoes and ends."""
    body = (
        "import hashlib\n    from pathlib import Path\n    Path('half').touch()\n    with at_end(Path('half').unlink):\n"
        "        print('here', flush=True)\n        hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
    )
    process = stubborn(body, tmp_path)
    interrupt(process)
    assert ended(process) == (130, "interrupted\n")
    assert list(tmp_path.iterdir()) == []


@needs_proc
@pytest.mark.parametrize(
    "body",
    [
        """try:
        print('here', flush=True)
        time.sleep(600)
    except BaseException:
        time.sleep(600)""",
        """class Slow:
        def __del__(self):
            print('here', flush=True)
            time.sleep(600)
    del (it := [Slow()])[0]
    time.sleep(600)""",
        """with noticed() as is_noticed:
        print('here', flush=True)
        time.sleep(600)""",
    ],
    ids=["caught", "destructor", "noticed too late"],
)
def test_an_interrupt_is_never_swallowed(tmp_path, body):
    """Where an exception would be caught, or printed and forgotten; and where nobody looks whether one was noticed."""
    process = stubborn(body, tmp_path)
    interrupt(process)
    assert ended(process) == (130, "interrupted\n")


@needs_proc
def test_a_second_interrupt_waits_for_nothing(tmp_path):
    """What the first one has undone takes for ever: the next ends the process at once, with one word in all."""
    body = "with at_end(lambda: time.sleep(600)):\n        print('here', flush=True)\n        time.sleep(600)"
    process = stubborn(body, tmp_path)
    interrupt(process)
    assert process.stderr.readline() == "interrupted\n"
    time.sleep(0.3)  # one that follows at once is taken for the same key
    interrupt(process)
    assert ended(process) == (130, "")


@needs_proc
@pytest.mark.parametrize(
    "body",
    [
        "print('here', flush=True)\n    time.sleep(0.5)",
        """with noticed() as is_noticed:
        print('here', flush=True)
        time.sleep(0.5)
        assert not is_noticed()""",
    ],
    ids=["at work", "noticed"],
)
def test_an_interrupt_that_is_to_be_ignored_is_ignored(tmp_path, body):
    """As after nohup, or of a job that a shell started in the background; nobody is told of it, either."""
    ignoring = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    process = started(["-c", ignoring + STUBBORN.format(root=str(ROOT), body=body)], tmp_path)
    assert process.stdout.readline() == "here\n"
    interrupt(process)
    assert ended(process) == (0, "")


# ---- kills ----


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_a_fork_is_not_its_parents(tmp_path, number):
    """The fork dies of it, as the system tells its parent, which goes on: it neither takes the signal for its own nor waits."""
    body = f"""import os
    begun, begins = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begins, b'.')  # a signal before it runs at all would meet what its parent does
        time.sleep(20)
    os.read(begun, 1)
    print('here', flush=True)
    os.kill(child, {int(number)})
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -{int(number)}
    time.sleep(0.7)"""  # by then it would have ended itself
    assert ended(stubborn(body, tmp_path)) == (0, "")


def test_no_descriptor_is_left_over(tmp_path):
    """The two ends of the pipe by which signals are told, and no copies: 3 and 4, so the next is 5."""
    body = "import os\n    print(os.open(os.devnull, os.O_RDONLY))"
    done = subprocess.run(
        [sys.executable, "-c", STUBBORN.format(root=str(ROOT), body=body)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "5\n"


@needs_proc
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_drawing_processes_end_with_their_parent(folder, kind):
    """Killed while two processes draw: they end, nothing is half made, and the report can be made again."""
    arguments = COMMANDS["report"][0]
    process = started(["-m", *arguments], folder)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and not children.read_text().split():
        time.sleep(0.01)
    os.kill(process.pid, kind)
    status, err = ended(process)
    assert (status, err) == ((128 + kind, "") if kind == signal.SIGTERM else (-kind, ""))
    assert sorted(path.name for path in folder.iterdir()) == ["long.gguf", "mine.yaml"]


def killed_while(action, cwd):
    """A process that is killed in the middle of *action*."""
    code = (
        f"import os, sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
        "from simulator.report.record import write_together, write_whole\n"
        f"Path.replace = Path.rename = lambda *_: os.kill(os.getpid(), 9)\n{action}"
    )
    subprocess.run([sys.executable, "-c", code], cwd=cwd, check=False)


def test_what_a_killed_process_left_is_removed(tmp_path):
    """A file and a folder, at the last moment before they take their names; what only looks like it stays."""
    mine = [".made.json.roofcast-notes", ".made.json.bak", ".other.json.roofcast-abcdefgh"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    killed_while("write_whole(Path('made.json'), 'new')", tmp_path)
    killed_while("write_together({'a/b.txt': 'new', 'c.txt': 'new'}, Path('out'))", tmp_path)
    left = {path.name for path in tmp_path.iterdir()} - set(mine)
    assert len(left) == 2
    write_whole(tmp_path / "made.json", "new")
    write_together({"a/b.txt": "new", "c.txt": "new"}, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {*mine, "made.json", "out"}
    assert {path.name for path in (tmp_path / "out").rglob("*")} == {"a", "b.txt", "c.txt"}


def test_what_another_process_is_writing_stays(tmp_path):
    """Two at once write the same file: the later does not take the other's for a leftover."""
    with leftovers.unfinished_file(tmp_path / "made.json") as (file, name):
        file.write(b"first")
        write_whole(tmp_path / "made.json", "second")
        assert name.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["made.json"]


def test_a_report_is_made_again_where_one_was_killed(tmp_path, monkeypatch, capsys):
    """What it left in the folder is no strange file."""
    from simulator.commands.report_folder import check_folder

    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    killed_while("write_together({'speed.png': 'new', 'index.html': 'new'}, Path('out'))", tmp_path)
    assert [path.name for path in Path("out").iterdir()] != []
    assert check_folder("out", "-o") == Path("out")
    write_together({"speed.png": "new", "index.html": "new"}, Path("out"))
    assert sorted(path.name for path in Path("out").iterdir()) == ["index.html", "speed.png"]


@needs_proc
def test_being_ended_while_files_are_moved_moves_them_all(tmp_path):
    """An interrupt after the first of three files: none of the old ones is left beside the new."""
    names = ["a.txt", "b.txt", "c.txt"]
    write_together(dict.fromkeys(names, "old"), tmp_path / "out")
    body = f"""import os, signal
    from pathlib import Path
    from simulator.report.record import write_together
    print('here', flush=True)
    replace, moved = Path.replace, []
    def interrupted(path, target):
        moved.append(target)
        if len(moved) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return replace(path, target)
    Path.replace = interrupted
    write_together(dict.fromkeys({names}, 'new'), Path('out'))"""
    assert ended(stubborn(body, tmp_path)) == (130, "interrupted\n")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == dict.fromkeys(names, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
