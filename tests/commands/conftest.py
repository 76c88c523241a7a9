"""What tests of commands share: folders to work in, a command that must be refused, and a machine measured in no time."""

import json
from pathlib import Path

import pytest
from messages import CONFIG, DEVICE, MODEL, RUNTIME, message_of
from readings import PI5, readings_of

from simulator.cli import main
from simulator.commands import profile_cpu


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder to work in, with a good device, model and runtime file and a good config.json."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"device": DEVICE, "model": MODEL, "runtime": RUNTIME}.items():
        Path(f"{name}.yaml").write_text(text)
    Path("config.json").write_text(json.dumps(CONFIG))
    return tmp_path


@pytest.fixture
def shown(capsys):
    """A function that runs a command and returns what it prints, in one line."""

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in words])
        assert ended.value.code == 0
        return " ".join(capsys.readouterr().out.split())

    return run


@pytest.fixture
def refusals(capsys):
    """A function that runs a command which must fail, and returns its messages."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        assert end.value.code == 2
        assert out == ""
        return [message_of(line) for line in err.splitlines()]

    return run


@pytest.fixture
def refusal(refusals):
    """The same for a command that must fail with one message."""

    def run(*arguments):
        (message,) = refusals(*arguments)
        return message

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quickly(folder, monkeypatch):
    """This machine measured in no time: readings of a made-up Pi 5, which it is taken for; noted how often."""
    taken = []

    def read(host, plan, where, progress):
        taken.append(where)
        progress(1.0, "done")
        return readings_of(PI5, quick=True, faster=len(taken))

    monkeypatch.setattr(profile_cpu, "read_host", lambda: PI5)
    monkeypatch.setattr(profile_cpu, "remark_on_others", lambda: ())
    monkeypatch.setattr(profile_cpu, "gpu_notes", lambda: ())
    monkeypatch.setattr(profile_cpu, "read_device", read)
    monkeypatch.setattr(profile_cpu, "compile_all", lambda *_: None)
    return taken
