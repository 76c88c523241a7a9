"""What a fit leaves behind: factors with the rows they rest on, the widths of intervals, the factors of each fold."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from simulator.calibration.results import Told, as_text, told, write_folds
from simulator.calibration.spread import spreads
from simulator.spec.factors import Factor, Place

BANDWIDTH, LAUNCH, STEP = Factor("bandwidth"), Factor("launch"), Factor("step")
CARD = Place("gpu", "cuda", "ampere", "consumer-gpu", "nvidia", "llama.cpp", "llama.cpp")


def observed(device, *listed, place=CARD, batch=1):
    """A measurement whose one operation rests on some factors."""
    part = SimpleNamespace(listed=listed)
    return SimpleNamespace(
        device=device, parts=(part, part), step=((STEP,),), place=place, batch=batch, is_prompt=False
    )


def test_a_factor_is_told_with_what_it_rests_on():
    """Each row counts once, however many of its operations rest on it; four digits."""
    rows = [observed("a", (BANDWIDTH, LAUNCH)), observed("a", (BANDWIDTH,)), observed("b", (BANDWIDTH,))]
    found = told([BANDWIDTH, LAUNCH, STEP], np.log([0.123456, 2.0, 3.0]), rows)
    assert found == {"bandwidth": Told(0.1235, 3, 2), "launch": Told(2.0, 1, 1), "step": Told(3.0, 3, 2)}


def test_the_file_is_a_line_for_each_factor():
    """In order of their names, so that a change shows as few lines."""
    text = as_text({"b": Told(2.0, 3, 1), "a": Told(1.5, 2, 1)}, [{"group": "all devices"}], "5 measurements")
    assert json.loads(text)["factors"] == {
        "a": {"value": 1.5, "rows": 2, "devices": 1},
        "b": {"value": 2.0, "rows": 3, "devices": 1},
    }
    lines = text.splitlines()
    assert [line[2:5] for line in lines if '"value"' in line] == ['"a"', '"b"']


def test_factors_of_folds_come_back(tmp_path):
    """With the names of their columns, and which pair is which."""
    path = tmp_path / "folds.npz"
    write_folds(path, ["a", "b"], np.array([[0.25, 0.5]]), {"pairs": {"0 1": 0}})
    with np.load(path) as file:
        assert file["names"].tolist() == ["a", "b"]
        assert file["values"].tolist() == [[0.25, 0.5]]
        assert json.loads(str(file["folds"])) == {"pairs": {"0 1": 0}}


def test_widths_hold_for_one_more_of_the_group():
    """Of 39 errors 0.01 to 0.39: 80 % of 40 are 32, so 0.32; 95 % are 38, so 0.38. Signs do not matter."""
    errors = np.arange(1, 40) / 100
    errors[::2] *= -1
    rows = [observed(f"device {n % 5}") for n in range(39)]
    found = {each["group"]: each for each in spreads(rows, errors)}
    assert found["consumer GPUs, one sequence"] == {
        "group": "consumer GPUs, one sequence",
        "rows": 39,
        "devices": 5,
        "within": pytest.approx([0.32, 0.38]),
    }
    assert found["all devices"]["rows"] == 39


def test_few_rows_have_no_width_of_their_own():
    """29 rows are too few."""
    few = [observed(f"device {n % 5}") for n in range(29)]
    assert spreads(few, np.ones(29)) == []
