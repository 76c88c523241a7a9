"""The examples run, and their pictures are what the program says."""

import json
import re
import subprocess
import sys

import pytest
from PIL import Image
from places import ROOT

ACCURACY = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")


def run(script, *arguments, cwd):
    """What an example prints."""
    command = [sys.executable, str(ROOT / "examples" / script), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "MPLCONFIGDIR": str(cwd), "HOME": str(cwd)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


SCRIPTS = {  # and the pictures they draw
    "pi5.py": ("pi5_models", "pi5_batch", "pi5_cpu_gpu", "pi5_formats"),
    "moe_in_a_batch.py": ("moe_experts", "moe_advantage"),
    "sparsity.py": ("sparsity", "density"),
    "capacity.py": ("capacity",),
}


def test_every_example_has_a_test():
    """No script lies there untried, no picture is of nothing."""
    known = {*SCRIPTS, "published.py", "own_board.py", "profile_and_validate.py"}
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == known
    pictures = {f"{name}.png" for names in SCRIPTS.values() for name in names} | {
        "published.png",
        "published-errors.png",
    }
    assert {path.name for path in (ROOT / "examples").glob("*.png")} == pictures


def test_the_gallery_shows_every_picture():
    """Each script and each picture is linked from it."""
    gallery = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "examples").iterdir():
        assert path.name == "README.md" or path.suffix not in (".py", ".png") or f"({path.name})" in gallery, path.name


@pytest.mark.parametrize("script", SCRIPTS)
def test_pictures_are_drawn_as_they_are_shown(script, tmp_path):
    """With the numbers of those in the gallery, which each PNG carries: they are drawn anew when a forecast changes."""
    run(script, str(tmp_path), cwd=tmp_path)
    for name in SCRIPTS[script]:
        drawn, shown = (
            json.loads(Image.open(folder / f"{name}.png").text["Description"])
            for folder in (tmp_path, ROOT / "examples")
        )
        assert len(drawn["rows"]) > 3
        assert drawn == shown, name


def test_published_measurements_are_shown_as_in_the_docs(tmp_path):
    """The accuracy that the docs state is what the example prints today."""
    printed = run("published.py", "published.png", cwd=tmp_path)
    cells = re.split(r"  +", next(line for line in printed.splitlines() if line.startswith("all ")))
    assert f"| {' | '.join(cells)} |" in ACCURACY
    for name in ("published.png", "published-errors.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


def test_a_board_of_ones_own(tmp_path):
    """The example describes a board and a model, and forecasts both."""
    printed = run("own_board.py", cwd=tmp_path)
    assert "tokens/s" in printed


def test_a_machine_is_measured_and_judged(tmp_path, is_thorough):
    """The quick way, from the command to both pictures."""
    if not is_thorough:
        pytest.skip("takes a minute: --thorough")
    printed = run("profile_and_validate.py", str(tmp_path), cwd=tmp_path)
    assert re.search(r"\d+ decodes, the machine's drift taken out: median error [\d.]+%$", printed.strip())
    for name in ("profile.png", "validate.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    assert json.loads((tmp_path / "run.json").read_text())["rows"]
