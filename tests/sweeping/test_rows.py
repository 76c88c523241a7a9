"""The rows of a sweep: what single forecasts say of each point, and why there are none."""

import numpy as np
import pytest

from simulator import scenario
from simulator.sweeping import combined, parts
from simulator.sweeping.axes import load_sweep
from simulator.sweeping.file import AskedPlacement
from simulator.sweeping.rows import COLUMNS, table_of

pytest.importorskip("pyarrow")

MIXED = {
    "models": ["qwen3-30b-a3b", "llama-3-8b"],
    "devices": ["pi5-16gb", "rtx-3060+ryzen-7950x", "2xrtx-3090"],
    "formats": ["q4_k_m", "fp8"],
    "routings": ["uniform", "worst"],
    "placements": ["auto", {"n_cpu_moe": 10}],
    "batches": [1, 16],
    "contexts": [0, 4096],
}


def rows(asked):
    """All rows of a sweep, in order."""
    sweep = load_sweep(asked)
    return [
        {"model": sweep.models[part.model].model.name, **row}
        for part in sweep.parts
        for row in table_of(sweep, part).to_pylist()
    ]


def test_each_row_is_a_forecast():
    """Of the same names, and to the last digit; all products are there, with a status each."""
    found = rows(MIXED)
    assert len(found) == load_sweep(MIXED).n_points == 2 * 3 * 2 * 2 * 2 * 2 * 2
    assert all(tuple(row) == COLUMNS for row in found)
    assert {row["status"] for row in found} == {"ok", "does_not_fit", "refused"}
    for row in found:
        if row["status"] == "refused":
            assert row["reason"]
            assert row["tokens_per_s"] is row["bound"] is row["memory_bytes"] is None
            continue
        options = AskedPlacement.model_validate({"n_cpu_moe": 10} if row["placement"] != "auto" else {}).options
        base = scenario(
            row["model"], row["hardware"], weights=row["weights"], runtime=row["runtime"], routing=row["routing"],
            placement=options, context=0,
        )  # fmt: skip
        point = base.at(row["batch"], row["context"])
        assert row["bound"] == point.bound
        assert row["memory_bytes"] == point.memory_bytes
        assert row["memory_limit_bytes"] == point.memory_limit_bytes
        assert (row["status"] == "ok") == bool(point.fits)
        if point.fits:
            assert row["reason"] is None
            names = ("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling")
            assert [row[name] for name in names] == [getattr(point, name) for name in names]
        else:
            assert row["reason"].startswith(f"{row['hardware']} has no memory for it")
            assert row["tokens_per_s"] is row["tokens_per_s_ceiling"] is None


def test_a_refusal_says_why():
    """What a single forecast would say; what nobody named stays unknown."""
    (row,) = rows({"models": "llama-3-8b", "devices": "pi5-16gb", "runtimes": "vllm"})
    with pytest.raises(ValueError) as error:
        scenario("llama-3-8b", "pi5-16gb", runtime="vllm")
    assert row["reason"] == str(error.value)
    assert (row["runtime"], row["weights"], row["cache"]) == ("vllm", None, None)


def test_what_does_not_fit_as_it_is_placed_for_another_point_says_so():
    """12 GB hold less of a cache beside the experts that suit an empty one; alone, the point is placed for itself and fits."""
    asked = {"models": "qwen3-30b-a3b", "devices": "rtx-3060+ryzen-7950x", "formats": "q4_k_m"}
    _, far = rows({**asked, "contexts": [0, "32k"]})
    assert far["status"] == "does_not_fit"
    assert far["reason"] == (
        "rtx-3060+ryzen-7950x has no memory for it as it is placed for batch 1 and context 0: "
        "simulate places it for this point alone"
    )
    (alone,) = rows({**asked, "contexts": "32k"})
    assert alone["status"] == "ok"
    for device in ("pi5-16gb", "rtx-3060+pi5-16gb"):
        (never,) = rows({"models": "llama-3-70b", "devices": device, "formats": "q8_0"})
        assert never["reason"] == f"{device} has no memory for it"


def test_an_upper_bound_has_no_lower_end():
    """Several devices over a link that nobody knows, as in JSON."""
    (row,) = rows({"models": "llama-3-8b", "devices": "2xgh200", "formats": "q4_0"})
    assert row["is_upper_bound"]
    assert row["tokens_per_s_low"] is None
    assert row["tokens_per_s"] > 0


def test_tiles_change_no_row(monkeypatch):
    """A grid in tiles has the rows of the whole one."""
    asked = {"models": "qwen3-30b-a3b", "devices": "h100-sxm", "batches": "1..9", "contexts": "0..20"}

    def in_order():
        return sorted(rows(asked), key=lambda row: (row["batch"], row["context"]))

    whole = in_order()
    monkeypatch.setattr(parts, "ROWS", 16)
    assert len(load_sweep(asked).parts) > 12
    tiled = in_order()
    for one, other in zip(whole, tiled, strict=True):
        rates = [name for name in one if name.startswith("tokens_per_s")]
        assert np.allclose([one[name] for name in rates], [other[name] for name in rates], rtol=1e-12)
        assert {name: one[name] for name in one if name not in rates} == {
            name: other[name] for name in other if name not in rates
        }


@pytest.mark.parametrize("turned", [(1, 1), (-1, 1), (1, -1)])
def test_what_fits_lies_in_boxes(turned, monkeypatch):
    """Of a staircase, whichever way it goes: no box meets another, and little is in them that does not fit."""
    monkeypatch.setattr(combined, "WORTH", 20)
    fits = (np.arange(1, 33)[:, None] * np.arange(1, 101)[None, :] <= 100)[:: turned[0], :: turned[1]]
    boxes = combined.boxes_of(fits)
    covered = np.zeros(fits.shape, int)
    for box in boxes:
        covered[box] += 1
    assert covered.max() == 1
    assert covered[fits].min() == 1
    assert len(boxes) > 3
    assert covered.sum() < 1.3 * fits.sum()


def test_boxes_of_all_and_of_nothing():
    """The whole grid, a hole within it, and one point where nothing fits."""
    assert combined.boxes_of(np.ones((2, 3), bool)) == [(slice(0, 2), slice(0, 3))]
    fits = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0]], bool)
    assert combined.boxes_of(fits) == [(slice(1, 4), slice(0, 2))]
    assert combined.boxes_of(np.zeros((2, 3), bool)) == [(slice(0, 1), slice(0, 1))]
