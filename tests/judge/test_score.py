"""Forecasts beside other people's measurements: the summary, which are forecast together, and which not."""

from dataclasses import replace
from math import log

import pytest
from own_csv import ONE_AND_TWO
from scored import FOUR, row

from simulator.forecast.scenario import scenario
from simulator.importers.measurements import load_measurements
from simulator.importers.open import load_model
from simulator.importers.records import Published
from simulator.judge.score import MORE_MEMORY, Score, score
from simulator.spec.machine import load_hardware
from simulator.spec.model import Loaded

# ---- the summary ----


def test_errors_are_forecast_over_measurement():
    """A forecast of 11 where 10 were measured is 10 % too fast."""
    assert [each.error for each in FOUR.rows] == pytest.approx([0.1, -0.2, 0.5, 0.0])
    assert [each.held for each in FOUR.rows] == [True, False, False, True]


def test_the_summary_of_four_rows():
    """Errors in order 0, 10, 20, 50 %: the median is 15, the 90th percentile 20 + 0.7 * 30; ln 1 and ln 1.1 are in the middle."""
    assert FOUR.median_abs_error == pytest.approx(0.15)
    assert FOUR.p90_abs_error == pytest.approx(0.41)
    assert FOUR.held == 0.5
    assert FOUR.bias == pytest.approx(log(1.1) / 2)
    assert FOUR.n_above_ceiling == 0


def test_nothing_has_no_summary():
    """Unknown is None, not 0."""
    empty = Score(())
    assert [empty.median_abs_error, empty.p90_abs_error, empty.held, empty.bias] == [None] * 4
    assert empty.n_above_ceiling == 0


def test_the_worst_are_furthest_by_factor():
    """Half the rate is as far off as twice the rate, and further than half as much again."""
    rows = (row(10, 15, id="x1.5"), row(10, 4.9, id="/2"), row(10, 20, id="x2"))
    assert [each.id for each in Score(rows).worst(2)] == ["/2", "x2"]


def test_a_measurement_above_the_ceiling_is_counted():
    """21 tokens/s where the datasheet allows 20."""
    assert Score((row(21, 10), row(20, 10))).n_above_ceiling == 1


def test_scores_by_a_field():
    """Rows that share a device class, in the order of its names."""
    found = Score((row(10, 11), row(10, 12, device_class="apple"), row(10, 13))).by("device_class")
    assert {name: len(each.rows) for name, each in found.items()} == {"apple": 1, "sbc": 2}


# ---- forecasts ----


def test_every_row_is_what_simulate_says(plain_device, perfect, tiny_dense):
    """Rows of one scenario are forecast together, as arrays, and come back in order, each with its own batch and context."""
    loaded = Loaded(tiny_dense)
    points = [(1, 0), (4, 1000), (2, 10)]
    runs = [Published(str(n), loaded, "f16", "f16", *point, tokens_per_s=5.0) for n, point in enumerate(points)]
    runs.insert(1, Published("other", loaded, "q8_0", "f16", 1, 0, tokens_per_s=5.0))
    found = score(runs, plain_device, perfect)
    assert [each.id for each in found.rows] == ["0", "other", "1", "2"]
    base = scenario(loaded, plain_device, weights="f16", cache="f16", runtime=perfect)
    for each in (each for each in found.rows if each.weights == "f16"):
        point = base.at(each.batch, each.context)
        assert each.tokens_per_s == pytest.approx(float(point.tokens_per_s))
        assert (each.low, each.high) == pytest.approx((float(point.tokens_per_s_low), float(point.tokens_per_s_high)))
        assert each.ceiling == pytest.approx(float(point.tokens_per_s_ceiling))
        assert (each.bound, each.threads, each.model, each.hardware) == (point.bound, 4, "tiny-dense", "plain")


def test_what_cannot_be_forecast_is_skipped_with_its_reason(plain_device, perfect, tiny_dense, tiny_moe):
    """On another kind of processor, too large for the memory, rows that do not divide into blocks, or no device at all."""
    loaded = Loaded(tiny_dense)
    runs = [
        Published("gpu", loaded, "f16", "f16", 1, 0, 5.0, ran_on="gpu"),
        Published("large", loaded, "f16", "f16", 1000, 10**6, 5.0),
        Published("narrow", Loaded(tiny_moe), "affine4-g128", "f16", 1, 0, 5.0),
    ]
    found = score(runs, plain_device, perfect)
    assert found.rows == ()
    assert [each.id for each in found.skipped] == ["gpu", "large", "narrow"]
    reasons = [each.reason for each in found.skipped]
    assert reasons[:2] == [
        "ran on the GPU, plain is a CPU",
        "does not fit in the device's memory, as it is counted here",
    ]
    assert "does not divide into affine4-g128 blocks of 128" in reasons[2]
    assert [each.reason for each in score(runs[1:2]).skipped] == ["the device is not stated"]


def test_threads_count_on_a_cpu_only():
    """llama-bench prints the number of threads for GPUs, too, where they do nothing; a board of 4 cores has no 8."""
    runs = [Published("a", load_model("llama-3-8b"), "q4_k_m", "f16", 1, 64, 100.0, threads=8)]
    assert score(runs, load_hardware("rtx-4080")).rows[0].threads is None
    (skipped,) = score(runs, load_hardware("pi5-16gb")).skipped
    assert "between 1 and 4" in skipped.reason
    assert score([replace(runs[0], threads=3)], load_hardware("pi5-16gb")).rows[0].threads == 3


def test_two_devices_have_twice_the_memory_by_default(tmp_path):
    """39.6 GiB are no more than two cards give, 46.1: nobody had to allow more."""
    path = tmp_path / "m.csv"
    path.write_text(ONE_AND_TWO, encoding="utf-8")
    measured = load_measurements(path).published
    assert [MORE_MEMORY in row.assumed for row in score(measured).rows] == [False, False]
