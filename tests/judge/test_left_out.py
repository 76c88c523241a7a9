"""Factors without a device and a model: which fold each is in, and which factors a row is judged by."""

import json

import numpy as np
import pytest

from simulator.importers.measurements import load_measurements
from simulator.importers.serving import load_serving
from simulator.judge import left_out
from simulator.judge.folds import DEVICE_FOLDS, MODEL_FOLDS, device_folds, device_group, model_folds
from simulator.judge.left_out import runtime_for
from simulator.spec.library import MEASURED, SERVED
from simulator.spec.machine import load_hardware
from simulator.spec.runtime import load_runtime

CARD = load_hardware("rtx-3060")


@pytest.fixture
def folds(tmp_path, monkeypatch):
    """Two pairs of folds: launches of 1 and of 2 us."""
    path = tmp_path / "left_out.npz"
    known = {"devices": {"rtx-3060": 0, "pi5": 1}, "models": {"m": 4}, "pairs": {"0 4": 0, "1 4": 1}}
    values = np.log([[1e-6], [2e-6]]).astype(np.float32)
    np.savez(path, names=np.array(["launch/cuda"]), values=values, folds=np.array(json.dumps(known)))
    monkeypatch.setattr(left_out, "FOLDS", path)
    forget()
    yield
    monkeypatch.undo()
    forget()


def forget():
    """What was read of another file."""
    left_out._folds.cache_clear()
    left_out._factors.cache_clear()


@pytest.mark.parametrize(("device", "launch_us"), [("rtx-3060", 1.0), ("pi5-16gb", 2.0), ("pi5-8gb", 2.0)])
def test_a_row_is_judged_by_its_own_pair(folds, device, launch_us):
    """Of the folds of its device, whatever its memory, and of its model."""
    found = runtime_for(load_runtime("llama.cpp"), device, "m")
    assert found.backend(CARD).kernels.launch_s == pytest.approx(launch_us * 1e-6)


@pytest.mark.parametrize(("device", "model", "launch_us"), [("rtx-4090", "m", 1.0), ("pi5-8gb", "another", 2.0)])
def test_one_of_the_two_is_left_out_where_the_other_was_never_seen(folds, device, model, launch_us):
    """The shipped factors rest on the one that was: they would not be left-out ones."""
    found = runtime_for(load_runtime("llama.cpp"), device, model)
    assert found.backend(CARD).kernels.launch_s == pytest.approx(launch_us * 1e-6)


def test_what_nothing_was_fitted_on_is_judged_by_all(folds):
    """Neither was ever seen: the shipped factors hold."""
    runtime = load_runtime("llama.cpp")
    assert runtime_for(runtime, "rtx-4090", "another") is runtime


def test_every_row_that_is_judged_has_factors_of_its_own():
    """Of servers and of rows that nothing is fitted on, too: without its device and without its model."""
    rows = [*load_measurements(MEASURED, with_unusable=True).published, *load_serving(SERVED).published]
    _, _, folds = left_out._folds()
    parts = {number: tuple(map(int, pair.split())) for pair, number in folds["pairs"].items()}
    for device, model in {(each.hardware.name, each.loaded.model.name) for each in rows if each.hardware}:
        wanted = folds["devices"].get(device_group(device)), folds["models"].get(model)
        found = left_out.pair_without(device, model)
        assert (found is None) == (wanted == (None, None)), (device, model)
        if found is not None:
            assert all(fold in (None, own) for fold, own in zip(wanted, parts[found], strict=True)), (device, model)


def test_software_without_fitted_kernels_stays_as_it_is(folds):
    """The hardware alone, and the engine."""
    runtime = load_runtime("roofline")
    assert runtime_for(runtime, "rtx-3060", "m") is runtime


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("pi5-16gb", "pi5"), ("pi5-8gb", "pi5"), ("m2-max-38", "m2-max"), ("m2-max-30", "m2-max"), ("rtx-4090", "rtx-4090"),
        ("rtx-4060-ti-16gb", "rtx-4060-ti-16gb"), ("i9-13900k", "i9-13900k"), ("a100-80gb-pcie", "a100-pcie"),
    ],
)  # fmt: skip
def test_devices_that_differ_in_size_alone_are_left_out_together(name, group):
    """Else one would be judged by its sister."""
    assert device_group(name) == group


def test_every_device_has_one_fold():
    """Those with most rows are alone in theirs; it does not matter in which order rows come."""
    rows = [f"card{letter}" for n, letter in enumerate("abcdefghijklmnopqrstuvwxyzABCDEF") for _ in range(40 - n)]
    folds = device_folds(rows)
    assert folds == device_folds(rows[::-1])
    assert set(folds.values()) == set(range(DEVICE_FOLDS))
    assert [fold for fold in folds.values() if list(folds.values()).count(fold) == 1][:3] == [0, 1, 2]
    assert len(folds) == 32


def test_every_model_has_one_fold():
    """The two with most rows alone."""
    folds = model_folds(["a"] * 5 + ["b"] * 4 + [f"m{n}" for n in range(20)])
    assert (folds["a"], folds["b"]) == (0, 1)
    assert set(folds.values()) == set(range(MODEL_FOLDS))
    assert list(folds.values()).count(0) == list(folds.values()).count(1) == 1
