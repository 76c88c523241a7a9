"""How `profile` may be cut short: the old file stays, and nothing else is left."""

import os
import signal
import time
from pathlib import Path

import pytest
from profiling import child, ended, profile_here, write_profile
from readings import PI5, tiny_plan

from simulator.commands import profile_cpu
from simulator.probe import groups, storage
from simulator.units import KI

STAGES = (
    "a decode step",
    "preparing",
    "read 1 16384",
    "the engine's other work",
    "attention",
    "with zero inputs",
    "the disk",
    "done",
)


@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupt_leaves_the_old_file_and_nothing_else(folder, monkeypatch, capsys, stage):
    """At any stage: the file is as it was, no test file and no part of a file remains, and the status is 130."""
    monkeypatch.setattr(profile_cpu, "read_host", lambda: PI5)
    little = {"threads": (1,), "formats": ("q8_0",), "tokens": (1,), "storage_bytes": 2**20, "rounds": 1}
    monkeypatch.setattr(profile_cpu, "make_plan", lambda *_: tiny_plan(**little))
    monkeypatch.setattr(profile_cpu, "refuse_stranger", lambda *_: None)
    monkeypatch.setattr(profile_cpu, "remark_on_others", lambda: ())
    monkeypatch.setattr(storage, "BLOCK", 64 * KI)
    monkeypatch.setattr(groups, "RANDOM_BYTES", 64 * KI)
    text, reached = write_profile(), []

    class Bar:
        """Interrupts when a stage is told."""

        def __init__(self, _label):
            """Whatever it is called."""

        def __enter__(self):
            def tell(_share, what):
                if stage in what:
                    reached.append(what)
                    raise KeyboardInterrupt

            return tell

        def __exit__(self, *_):
            return False

    monkeypatch.setattr(profile_cpu, "progress_bar", Bar)
    assert profile_here("--quick") == 130
    assert reached
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert Path("mine.yaml").read_text() == text
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]


def test_an_interrupt_while_the_disk_is_read_leaves_nothing(folder, monkeypatch):
    """The test file has no name by then; nor has it one while it is written."""
    for name in ("readv", "fsync"):
        process = child(
            "read = lambda _host, _plan, where, _tell: storage.measure_storage(where, 2**20, 1)\n"
            "change(profile_cpu, read_device=read)\n"
            f"{name} = os.{name}\ndef waits(*arguments):\n    print('here', flush=True)\n    import time\n    time.sleep(60)\n"
            f"change(os, {name}=waits)",
            cwd=folder,
        )
        assert process.stdout.readline() == "here\n"
        assert list(folder.iterdir()) == []
        process.send_signal(signal.SIGINT)
        status, _, err = ended(process)
        assert (status, err.splitlines()[-1]) == (130, "interrupted")
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_while_measuring_leaves_the_old_file(folder, kind):
    """Sent for real, a moment after the measuring has begun."""
    write_profile(cores=os.cpu_count())
    text = Path("mine.yaml").read_text()
    process = child(
        "change(profile_cpu, refuse_stranger=lambda *_: None)\n"
        "measure = passes.measure\n"
        "def begins(*arguments):\n    print('here', flush=True)\n    return measure(*arguments)\n"
        "change(passes, measure=begins)",
        cwd=folder,
    )
    assert process.stdout.readline() == "here\n"
    time.sleep(0.2)
    process.send_signal(kind)
    status, _, err = ended(process)
    assert status == (130 if kind == signal.SIGINT else -kind)
    assert "Traceback" not in err
    assert Path("mine.yaml").read_text() == text
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]


def test_being_killed_while_writing_leaves_the_old_file_whole(folder):
    """At the last moment before the new one takes its name."""
    write_profile(cores=os.cpu_count())
    text = Path("mine.yaml").read_text()
    process = child(
        "from pathlib import Path\n"
        "change(profile_cpu, read_device=lambda host, plan, *_: readings_of(host, plan=plan))\n"
        "change(profile_cpu, refuse_stranger=lambda *_: None)\n"
        "change(hardware_file, merge=lambda _old, new, _where: new)\n"
        "change(Path, replace=lambda *_: os.kill(os.getpid(), 9))",
        cwd=folder,
    )
    assert ended(process)[0] == -signal.SIGKILL
    assert Path("mine.yaml").read_text() == text


def test_a_disk_that_fills_up_while_measuring_is_told(folder):
    """The old file stays, and no part of the new one."""
    write_profile(cores=os.cpu_count())
    text = Path("mine.yaml").read_text()
    process = child(
        "import resource\n"
        "change(profile_cpu, refuse_stranger=lambda *_: None)\n"
        "change(hardware_file, merge=lambda _old, new, _where: new)\n"
        "def fills(host, plan, *_):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "    return readings_of(host, plan=plan)\n"
        "change(profile_cpu, read_device=fills)",
        cwd=folder,
    )
    status, out, err = ended(process)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == "roofcast: mine.yaml: cannot be written (File too large)"
    assert Path("mine.yaml").read_text() == text
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]
