"""Every command says what it said when its invocations were recorded: to the letter, and in numbers to the ninth digit.

Where a change is meant to change what is said, `python tests/recorded/invocations.py` records anew, and the difference between
the two recordings is what the change does.
"""

import json
import math
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "recorded"))
import invocations


def differences(kept, found, place=""):
    """Where two recordings differ; floating-point numbers by more than another processor's exponentials would."""
    if isinstance(kept, dict) and isinstance(found, dict) and list(kept) != list(found):
        return [f"{place}: fields {list(kept)} are now {list(found)}"]
    if isinstance(kept, dict) and isinstance(found, dict):
        return [each for key in kept for each in differences(kept[key], found[key], f"{place}.{key}")]
    if isinstance(kept, list) and isinstance(found, list) and len(kept) == len(found):
        pairs = enumerate(zip(kept, found, strict=True))
        return [each for number, (one, other) in pairs for each in differences(one, other, f"{place}[{number}]")]
    if isinstance(kept, str) and isinstance(found, str) and re.search(r"\.csv\[\d+\]$", place):
        return differences(*([number(cell) for cell in line.split(",")] for line in (kept, found)), f"{place} cells")
    if isinstance(kept, float) and isinstance(found, float):
        return [] if math.isclose(kept, found, rel_tol=1e-9) else [f"{place}: {kept!r} is now {found!r}"]
    return [] if kept == found and type(kept) is type(found) else [f"{place}: {kept!r} is now {found!r}"]


def number(cell):
    """A cell of a CSV as a number where it is one."""
    try:
        return float(cell)
    except ValueError:
        return cell


@pytest.mark.parametrize("name", invocations.INVOCATIONS)
def test_a_command_says_what_was_recorded(name, tmp_path, monkeypatch):
    """Status, output, errors, names of what is written, and the data in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    kept = json.loads(invocations.path_of(name).read_text(encoding="utf-8"))
    found = json.loads(json.dumps(invocations.run(invocations.INVOCATIONS[name], tmp_path)))
    assert differences(kept, found) == []


def test_every_recording_has_its_invocation():
    """None is left of an invocation that is gone, and every command is among them."""
    assert {path.stem for path in invocations.HERE.glob("*.json")} == set(invocations.INVOCATIONS)
    commands = {line.split()[0] for line in invocations.INVOCATIONS.values()}
    assert commands == {"simulate", "plan", "list", "show", "plot", "report", "validate", "generate"}


def test_a_difference_is_seen():
    """A digit, a key, the order of keys, a line, a kind of value; the last bits of a number are none."""
    kept = {"a": 1.0, "b": [1, "x"], "f.csv": ["1.5,y"]}
    assert differences(kept, {"a": 1.0 + 1e-12, "b": [1, "x"], "f.csv": ["1.5000000000001,y"]}) == []
    for other in (
        kept | {"a": 1.0001}, {"b": [1, "x"], "a": 1.0, "f.csv": ["1.5,y"]}, kept | {"b": [1]}, kept | {"b": [1.0, "x"]},
        kept | {"b": [1, "y"]}, kept | {"f.csv": ["1.6,y"]}, kept | {"f.csv": ["1.5,z"]}, {"a": 1.0},
    ):  # fmt: skip
        assert differences(kept, other) != []
