"""The rows of a sweep: what single forecasts say of each point, and why there are none."""

import math
import random
from dataclasses import replace

import amount
import numpy as np
import pytest

from simulator import InputError, scenario
from simulator.forecast import boxes as around
from simulator.forecast import fastest_on_grid
from simulator.sweeping import parts
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


def is_close(one, other):
    """Whether two values of a row are the same, as far as sums differ that are made in another order."""
    return one == other if one is None or other is None else math.isclose(one, other, rel_tol=1e-9)


def check_row(row, point):
    """A row is what one forecast of its point alone says."""
    assert row["bound"] == point.bound
    assert is_close(row["memory_bytes"], point.memory_bytes)
    assert is_close(row["memory_limit_bytes"], point.memory_limit_bytes)
    assert row["is_upper_bound"] == point.is_upper_bound
    names = ("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling")
    if point.fits:
        assert (row["status"], row["reason"]) == ("ok", None)
        assert all(is_close(row[name], float(getattr(point, name))) for name in names)
    else:
        assert (row["status"], row["reason"]) == ("does_not_fit", f"{row['hardware']} has no memory for it")
        assert all(row[name] is None for name in names)


def test_each_row_is_a_forecast():
    """Of the same names; all products are there, with a status each."""
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
            placement=options, batch=row["batch"], context=row["context"],
        )  # fmt: skip
        check_row(row, base.at(row["batch"], row["context"]))


MODELS = ["qwen3-30b-a3b", "llama-3-8b", "gpt-oss-20b", "gemma-3-4b", "qwen3-0.6b", "gemma-3-27b", "deepseek-v2-lite"]
MACHINES = ["rtx-3060+ryzen-7950x", "rtx-4090+ryzen-7950x", "rtx-3060+pi5-16gb", "h100-sxm+epyc-9654"]
RUNTIMES = ["llama.cpp", "ik_llama.cpp", "vllm", "transformers", "roofline"]


@pytest.mark.parametrize("seed", range(60 if amount.is_thorough else 6))
def test_each_point_is_placed_for_itself(seed):
    """Of random models on a GPU beside RAM under random runtimes: every row is what one forecast of that point alone says."""
    rng = random.Random(seed)
    asked = {
        "models": rng.choice(MODELS),
        "devices": rng.choice(MACHINES),
        "formats": rng.choice(["q4_k_m", "q8_0", "f16"]),
        "runtimes": RUNTIMES[seed % len(RUNTIMES)],
        "routings": rng.choice(["uniform", "zipf:1.2"]),
        "caches": rng.choice(["f16", "q8_0"]),
        "batches": rng.sample([1, 7, 31, 32, 100, 1000, 3000], 3),
        "contexts": rng.sample([0, 100, 1000, 5000, 20_000, 60_000, 131_072], 4),
    }
    for row in rows(asked):
        shared = {name[:-1]: asked[name] for name in ("runtimes", "routings", "caches")}
        told = None
        try:
            base = scenario(
                row["model"],
                asked["devices"],
                weights=asked["formats"],
                batch=row["batch"],
                context=row["context"],
                **shared,
            )
            point = base.at(row["batch"], row["context"])
        except InputError as error:
            told = str(error).split("\n")[0]
        if told:
            assert (row["status"], row["reason"]) == ("refused", told)
        else:
            check_row(row, point)


def test_placements_change_inside_a_part():
    """Experts, layers, or nothing in RAM: so many, that the test above is of what it says."""
    base = scenario("qwen3-30b-a3b", "rtx-4090+ryzen-7950x", weights="q4_k_m")
    ways = fastest_on_grid.all_ways(base.loaded.model, base.hardware, base.runtime, base.load.weights)
    load = replace(base.load, batch=np.array([[1], [8]]), context=np.arange(0, 2**17, 2**13)[None, :])
    found = fastest_on_grid.fastest_on_grid(ways, load).placements
    used = [found.each[place] for place in found.used]
    assert len(used) > 10
    assert {bool(each.apart) for each in used} == {True, False}
    for row, column in ((0, 0), (0, 15), (1, 3), (1, 15)):
        point = int(load.batch[row, 0]), int(load.context[0, column])
        alone = scenario("qwen3-30b-a3b", "rtx-4090+ryzen-7950x", weights="q4_k_m", batch=point[0], context=point[1])
        assert found.each[found.which[row, column]] == alone.placement


@pytest.mark.parametrize(("columns", "least"), [(2, 0.5), (11, 0.9), (16, 0.9)])
def test_between_columns_that_are_compared_all_that_fits_is_forecast(columns, least, monkeypatch):
    """Of a long row only some points have all their ways compared: what fits is the same, and no row is much slower than alone."""
    asked = {
        "models": "llama-3-8b",
        "devices": "rtx-3060+ryzen-7950x",
        "formats": "q8_0",
        "batches": [1, 5, 33],
        "contexts": "0..96k+3k",
    }
    exact = rows(asked)
    monkeypatch.setattr(fastest_on_grid, "COLUMNS", columns)
    found = rows({**asked, "contexts": [f"{each}k" for each in range(96, -1, -3)]})
    by_point = {(row["batch"], row["context"]): row for row in found}
    assert len(by_point) == len(exact)
    for row in exact:
        other = by_point[row["batch"], row["context"]]
        assert other["status"] == row["status"]
        if row["status"] == "ok":
            assert other["tokens_per_s"] > least * row["tokens_per_s"]


@pytest.mark.parametrize(
    ("devices", "placement"),
    [
        ("rtx-3090+rtx-3060+ryzen-7950x", "auto"),
        ("2xrtx-3060+ryzen-7950x", "auto"),
        ("rtx-3090+rtx-3060", "auto"),
        ("rtx-3060+ryzen-7950x", {"storage": "nvme-gen4"}),
    ],
)
def test_what_fits_alone_fits_in_a_sweep(devices, placement):
    """On other machines a point is placed anew where the placement before has no room for it: what fits is the same as alone."""
    asked = {
        "models": "qwen3-30b-a3b", "devices": devices, "formats": "q4_k_m", "placements": [placement],
        "batches": [1, 32], "contexts": [0, 8192, 32_768, 131_072],
    }  # fmt: skip
    found = rows(asked)
    storage = placement["storage"] if isinstance(placement, dict) else None
    for row in found:
        shared = {"weights": "q4_k_m", "storage": storage, "batch": row["batch"], "context": row["context"]}
        point = scenario("qwen3-30b-a3b", devices, **shared).at(row["batch"], row["context"])
        assert (row["status"] == "ok") == bool(point.fits), (row["batch"], row["context"])
        if point.fits:
            assert row["tokens_per_s"] == pytest.approx(float(point.tokens_per_s), rel=0.15)
    assert {row["status"] for row in found} >= {"ok"}


def test_a_refusal_says_why():
    """What a single forecast would say; what nobody named stays unknown."""
    (row,) = rows({"models": "llama-3-8b", "devices": "pi5-16gb", "runtimes": "vllm"})
    with pytest.raises(ValueError) as error:
        scenario("llama-3-8b", "pi5-16gb", runtime="vllm")
    assert row["reason"] == str(error.value)
    assert (row["runtime"], row["weights"], row["cache"]) == ("vllm", None, None)


def test_what_does_not_fit_says_so():
    """12 GB hold less of a cache beside the experts that suit an empty one: the deep point has other ones in RAM, and fits."""
    asked = {"models": "qwen3-30b-a3b", "devices": "rtx-3060+ryzen-7950x", "formats": "q4_k_m"}
    near, far = rows({**asked, "contexts": [0, "32k"]})
    assert near["status"] == far["status"] == "ok"
    assert (far,) == tuple(rows({**asked, "contexts": "32k"}))
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
    monkeypatch.setattr(around, "WORTH", 20)
    fits = (np.arange(1, 33)[:, None] * np.arange(1, 101)[None, :] <= 100)[:: turned[0], :: turned[1]]
    boxes = around.boxes_of(fits)
    covered = np.zeros(fits.shape, int)
    for box in boxes:
        covered[box] += 1
    assert covered.max() == 1
    assert covered[fits].min() == 1
    assert len(boxes) > 3
    assert covered.sum() < 1.3 * fits.sum()


def test_boxes_of_all_and_of_nothing():
    """The whole grid, a hole within it, and one point where nothing fits."""
    assert around.boxes_of(np.ones((2, 3), bool)) == [(slice(0, 2), slice(0, 3))]
    fits = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0]], bool)
    assert around.boxes_of(fits) == [(slice(1, 4), slice(0, 2))]
    assert around.boxes_of(np.zeros((2, 3), bool)) == [(slice(0, 1), slice(0, 1))]
