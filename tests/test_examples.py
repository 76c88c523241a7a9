"""The examples run, and what the README shows is what the program says."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.hardware import load_hardware
from simulator.library import names, shelf
from simulator.model import load_model

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def run(script, *arguments, cwd):
    """What an example prints."""
    command = [sys.executable, str(ROOT / "examples" / script), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "MPLCONFIGDIR": str(cwd), "HOME": str(cwd)}
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd, env=environment).stdout


def test_every_example_has_a_test():
    """No script lies there untried."""
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {
        "published.py",
        "moe_on_a_pi.py",
        "own_board.py",
    }


def test_published_measurements_are_shown_as_in_the_readme(tmp_path):
    """The accuracy that the README states is what the example prints today."""
    summary = run("published.py", cwd=tmp_path).strip().splitlines()[-1]
    assert re.fullmatch(r"median error \d+%, \d+ of 14 measurements inside the interval", summary)
    assert summary in README


def test_the_picture_is_drawn(tmp_path):
    """A PNG of some size."""
    run("moe_on_a_pi.py", "picture.png", cwd=tmp_path)
    assert (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"


def test_a_board_of_ones_own(tmp_path):
    """The example describes a board and a model, and forecasts both."""
    printed = run("own_board.py", cwd=tmp_path)
    assert "tokens/s" in printed


def blocks(language):
    """Code blocks of the README."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_readmes_yaml_loads(text, tmp_path):
    """What a reader copies works."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    loaded = load_model(path).model if "layers:" in text else load_hardware(path)
    assert loaded.name


def commands():
    """Every roofcast command that the README shows with shipped names."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [
        shlex.split(line, comments=True)
        for line in lines
        if line.startswith("roofcast ") and "mine" not in line and "path/" not in line
    ]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_the_readmes_commands_run(command, capsys, request):
    """Each prints something and ends well; the model file is fetched where it is named."""
    arguments = [str(request.getfixturevalue("smollm2_file")) if ".gguf" in word else word for word in command[1:]]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert capsys.readouterr().out


def test_the_readme_counts_the_shelves():
    """The numbers of devices and models that it states are those there are."""
    devices, models = (len(names(shelf(kind))) for kind in ("hardware", "models"))
    assert f"{devices} devices and {models} models" in README


def test_the_readme_shows_the_first_forecast(capsys):
    """The table under the first command is what it prints."""
    with pytest.raises(SystemExit):
        main(["simulate", "qwen3-30b-a3b", "pi5-16gb", "--weights", "2.70bpw"])
    printed = capsys.readouterr().out.split("\n\n")[1]
    assert printed in README
