"""How far off forecasts of a kind were: the most particular group that was measured often enough decides."""

import json

import pytest

from simulator.spec import spread
from simulator.spec.factors import FITTED, Place
from simulator.spec.spread import COVERAGES, LEAST_DEVICES, LEAST_ROWS, Within, groups_of, within

CARD = Place("gpu", "cuda", "ampere", "consumer-gpu", "nvidia", "llama.cpp", "llama.cpp")
BOARD = Place("cpu", "cpu", "cortex-a76", "sbc", "", "llama.cpp", "llama.cpp")


def group(name, error):
    """A group with its errors."""
    return Within(name, 100, 10, (error, 2 * error))


def test_groups_are_told_from_the_most_particular():
    """Its class, its kind of processor, that with any batch, all; the CPU of an Apple machine is no GPU of Apple's."""
    assert groups_of(CARD, 1) == ("consumer GPUs, one sequence", "GPUs, one sequence", "all GPUs", "all devices")
    assert groups_of(BOARD, 8) == (
        "small boards, several sequences",
        "CPUs, several sequences",
        "all CPUs",
        "all devices",
    )
    assert groups_of(CARD, 1, True) == (
        "consumer GPUs, reading prompts",
        "GPUs, reading prompts",
        "all devices, reading prompts",
    )
    apple = {kind: Place(kind, "metal", "apple-m2", "apple", "apple", "mlx", "mlx") for kind in ("cpu", "gpu")}
    assert groups_of(apple["cpu"], 1)[0] == "Apple's CPUs, one sequence" != groups_of(apple["gpu"], 1)[0]


@pytest.mark.parametrize(
    ("known", "batch", "told"),
    [
        (["consumer GPUs, one sequence", "all GPUs"], 1, "consumer GPUs, one sequence"),
        (["consumer GPUs, one sequence", "all GPUs"], 2, "all GPUs"),
        (["small boards, one sequence", "all devices"], 1, "all devices"),
        ([], 1, "no published measurement"),
    ],
)
def test_a_forecast_takes_the_first_group_that_is_known(monkeypatch, known, batch, told):
    """Where none is, errors are taken as large, and no measurement is claimed."""
    monkeypatch.setattr(spread, "_known", lambda: {name: group(name, 0.1) for name in known})
    found = within(CARD, batch)
    assert found.group == told
    assert (found.rows, found.errors[0]) == ((100, 0.1) if known else (0, 0.5))


def test_prompts_have_groups_of_their_own(monkeypatch):
    """However well decoding is known."""
    names = ("GPUs, reading prompts", "consumer GPUs, one sequence", "all GPUs")
    monkeypatch.setattr(spread, "_known", lambda: {name: group(name, 0.1) for name in names})
    assert within(CARD, 1, True).group == "GPUs, reading prompts"
    assert within(BOARD, 1, True).group == "no published measurement"


def test_shipped_groups_rest_on_enough():
    """Each on as many measurements and devices as it must; what holds more often is wider."""
    if not FITTED.is_file():
        pytest.skip("not fitted yet")
    found = json.loads(FITTED.read_text(encoding="utf-8"))["spread"]
    assert {"all devices", "all CPUs", "all GPUs"} <= {each["group"] for each in found}
    for each in found:
        assert each["rows"] >= LEAST_ROWS
        assert each["devices"] >= 1
        assert len(each["within"]) == len(COVERAGES)
        assert 0 < each["within"][0] <= each["within"][1]


@pytest.mark.parametrize(("error", "told"), [(0.3, "consumer GPUs, one sequence"), (0.05, "GPUs, one sequence")])
def test_few_devices_only_make_intervals_wider(monkeypatch, error, told):
    """Measurements on one device are taken where they were further off than those of the larger group."""
    few = Within("consumer GPUs, one sequence", 100, LEAST_DEVICES - 1, (error, 2 * error))
    monkeypatch.setattr(
        spread, "_known", lambda: {few.group: few, "GPUs, one sequence": group("GPUs, one sequence", 0.1)}
    )
    assert within(CARD, 1).group == told
