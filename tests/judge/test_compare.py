"""Forecasts beside decodes that were timed here: errors, drift taken out, intervals, and the part that was mistimed."""

import math
from dataclasses import replace

import numpy as np
import pytest
from decodes import CASES, comparison, forecast, measured, row_of, taken_apart, usual
from profiled import machine

from simulator.errors import InputError
from simulator.judge.compare import compare, crossing, crossings
from simulator.judge.matrix import MIXED, make_matrix
from simulator.judge.measure import OUTSIDE, look_between
from simulator.machine.host import Host
from simulator.spec.runtime import load_runtime
from simulator.units import MI

# ---- what is compared ----


def test_the_runtime_is_the_engine():
    """Forecasts are for roofcast's own engine, whose file says so."""
    assert load_runtime("roofcast").is_engine
    assert comparison([1.0]).rows[0].forecast.runtime.is_engine


def test_a_measured_decode_that_should_not_fit_is_left_out(monkeypatch):
    """It has no forecast to stand beside: it is told with the reason, as in `score`, and no error becomes not a number."""
    few, more = (measured(case, [1.0], [usual()]) for case in CASES[:2])
    whole = compare(machine(), [few, more])
    assert len(whole.rows) == 2
    needed = sorted(float(row.forecast.memory_bytes) for row in whole.rows)
    monkeypatch.setattr("simulator.forecast.fit.memory_limit", lambda *_: needed[0])
    found = compare(machine(), [few, more])
    assert len(found.rows) == 1
    assert [each.reason for each in found.skipped] == ["does not fit in the device's memory, as it is counted here"]
    assert np.isfinite(found.errors(corrected=False)).all()


def test_a_file_in_which_nothing_that_ran_would_fit_is_refused(monkeypatch):
    """A capacity that somebody mistyped: there is nothing to compare, and what to correct is said."""
    monkeypatch.setattr("simulator.forecast.fit.memory_limit", lambda *_: 2.0**20)
    with pytest.raises(InputError, match=r"no decode that ran should fit in the 1\.0 MiB .*: correct its capacity"):
        compare(machine(), [measured(CASES[0], [1.0], [usual()])])


# ---- drift ----


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_machine_that_has_not_changed_has_no_drift(case):
    """A look that finds what the file says changes nothing."""
    assert row_of(case).drifts == pytest.approx((1.0,))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_machine_that_is_slower_in_all_has_that_drift(case):
    """All reference models take 1.3 times as long: so does everything."""
    all_slower = dict.fromkeys(("large_1", "large_16", "small_1", "small_16"), 1.3)
    assert row_of(case, usual(case.threads, **all_slower)).drifts == pytest.approx((1.3,))


def test_slower_memory_slows_what_memory_limits():
    """One token of a large model goes as one token of the large reference, 32 as its 16."""
    assert row_of(CASES[0], usual(large_1=1.5)).drifts[0] > 1.4
    assert row_of(CASES[1], usual(large_1=1.5)).drifts[0] < 1.2
    assert row_of(CASES[1], usual(large_16=1.5)).drifts[0] > 1.3


def test_a_model_that_the_caches_hold_goes_as_the_small_one():
    """Batch 4 lies half-way between 1 and 16 on the logarithm: the root of 1.44."""
    assert row_of(CASES[4], usual(small_1=1.44)).drifts[0] == pytest.approx(1.2)
    assert row_of(CASES[4], usual(large_1=2.0, large_16=2.0)).drifts[0] == pytest.approx(1.0)


def test_a_file_without_reference_models_has_no_known_drift():
    """Nothing is known of what a look finds."""
    row = compare(machine(engine=None), [measured(CASES[0], [1.0], [usual(large_1=2.0)])]).rows[0]
    assert row.drifts == (1.0,)


def test_reference_models_of_unknown_sizes_tell_of_no_drift():
    """A file of before their sizes were noted: what is decoded now may be another model."""
    older = machine().engine.model_copy(update={"cache_mib": None})
    row = compare(machine(engine=older), [measured(CASES[0], [1.0], [usual(large_1=2.0)])]).rows[0]
    assert row.drifts == (1.0,)


def test_drift_is_taken_out_of_a_machine_that_drifts():
    """Timings made from forecasts for a drifting machine: the raw error is the drift, the corrected one is nothing."""
    case = CASES[0]
    looks = [usual(large_1=factor, large_16=factor) for factor in (1.2, 1.1, 1.15)]
    seconds = [factor * forecast(case) for factor in (1.2, 1.1, 1.15)]
    row = compare(machine(), [measured(case, seconds, looks)]).rows[0]
    assert row.error == pytest.approx(0.15)
    assert row.corrected_error == pytest.approx(0, abs=1e-9)
    assert row.corrected_held


def test_looks_around_a_burst_are_averaged():
    """Geometric means of both looks; the change is the mean of the reference models' logarithms."""
    before, after = usual(), usual(large_1=4.0)
    both = look_between(before, replace(after, memory_bytes_per_s=5e9))
    assert both.memory_bytes_per_s == pytest.approx(10e9)
    assert both.reference_s["large 1"] == pytest.approx(12e-3)
    assert both.reference_s["small 1"] == pytest.approx(200e-6)
    assert both.change == pytest.approx(math.log(4) / 4)


# ---- errors and intervals ----


def test_errors_are_forecast_over_measured():
    """Three rounds at 2, 1 and 4 times the forecast's seconds: the median round is twice as slow, the forecast 100 % too fast."""
    case = CASES[0]
    seconds = [factor * forecast(case) for factor in (2, 1, 4)]
    row = compare(machine(), [measured(case, seconds, [usual()] * 3)]).rows[0]
    assert row.error == pytest.approx(1.0)
    assert row.corrected_error == pytest.approx(1.0)
    assert not row.held
    assert not row.corrected_held


def test_summaries_are_of_all_cases():
    """Errors of 0, 10, 20, 30 and -20 %: median 20, bias 10."""
    found = comparison([1.0, 1.1, 1.2, 1.3, 0.8])
    assert found.median_error(False) == pytest.approx(0.2)
    assert found.bias(True) == pytest.approx(0.1)
    assert found.tail_error(False) == pytest.approx(np.percentile([0, 0.1, 0.2, 0.3, 0.2], 90))


def test_an_interval_holds_as_often_as_it_says():
    """Measurements that scatter around the forecast with the interval's own sigma lie inside in about 80 of 100 cases."""
    row = comparison([1.0]).rows[0]
    sigma = math.log(float(row.forecast.tokens_per_s / row.forecast.tokens_per_s_low)) / 1.2816
    rng = np.random.default_rng(3)
    found = comparison(np.exp(rng.normal(0, sigma, 400)))
    # The upper end stops at the ceiling; here that lies further off.
    assert float(row.forecast.tokens_per_s_ceiling) > float(row.forecast.tokens_per_s) * math.exp(1.3 * sigma)
    assert 0.75 < found.held(False) < 0.85


# ---- parts ----


@pytest.mark.parametrize(
    ("more", "worst"),
    [
        ({"attention": 3e-3, "ffn": 1e-3}, "attention"),
        ({"attention": 1e-3, "ffn": 3e-3}, "ffn"),
        ({"attention": -3e-3, "ffn": -1e-3}, "attention"),
        ({"attention": -1e-3, "ffn": 3e-3}, "ffn"),
        ({OUTSIDE: 3e-3, "ffn": 1e-3}, OUTSIDE),
        ({"attention": 1e-3, "ffn": 1e-3, OUTSIDE: 1e-3}, None),
        ({"attention": 3e-3, "ffn": 2e-3, OUTSIDE: -4e-3}, None),
    ],
)
@pytest.mark.parametrize("moment", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("drift", [1.0, 1.3])
def test_a_part_is_blamed_for_more_than_half_of_the_error(more, worst, moment, drift):
    """Whatever the machine did when the parts were timed, and however slow it was altogether."""
    row = taken_apart(more, moment, drift)
    assert row.worst_part(True) == worst
    for part, (one, two) in row.parts(True).items():
        assert one - two == pytest.approx(more.get(part, 0.0), abs=1e-9)


def test_parts_make_up_the_step():
    """Of the measurement and of the forecast, times the drift."""
    row = taken_apart({"ffn": 1e-3}, moment=0.7, drift=1.3)
    assert sum(one for one, _ in row.parts(True).values()) == pytest.approx(row.measurement.seconds[0])
    assert sum(two for _, two in row.parts(True).values()) == pytest.approx(1.3 * float(row.forecast.seconds_per_step))
    assert sum(two for _, two in row.parts(False).values()) == pytest.approx(float(row.forecast.seconds_per_step))


def test_parts_that_were_not_timed_are_blamed_for_nothing():
    """As in the cases above."""
    row = row_of(CASES[0])
    assert row.parts(True) == {}
    assert row.worst_part(True) is None


# ---- the batch at which experts lose their advantage ----


@pytest.mark.parametrize(
    ("ratios", "batch"),
    [([4, 3, 2, 1], 4.0), ([4, 4, 1, 1], 2 * 2 ** (2 / 3)), ([4, 3.9, 3.8, 3.7], None), ([4, 1, 1, 1], 2 ** (2 / 3))],
)
def test_a_crossing_is_interpolated_over_the_logarithm(ratios, batch):
    """Half of the first ratio is 2: reached at batch 4; between 2 and 4; never; between 1 and 2."""
    assert crossing([1, 2, 4, 8], ratios) == (None if batch is None else pytest.approx(batch))


def test_a_mixture_and_a_dense_model_are_compared_byte_for_byte():
    """Forecasts taken as measured: both sides cross at the same batch."""
    every = [case for case in make_matrix(Host(n_threads=2), 2, 32 * MI) if case.is_plain]
    cases = [case for case in every if case.context == 128 and case.threads == 2]
    cases = [
        case for case in cases if case.model.name in ("dense", MIXED) and case.weights == "q8_0" and not case.sparsity
    ]
    found = compare(machine(), [measured(case, [forecast(case)], [usual()]) for case in cases])
    (only,) = crossings(found)
    assert only.agrees
    assert only.measured == pytest.approx(only.forecast)
    assert 2 < only.measured < 32
