"""Forecasts beside decodes that were timed here: errors, drift taken out, intervals, and the part that was mistimed."""

import math

import numpy as np
import pytest
from profiled import machine

from simulator.compare import Comparison, as_seen, compare, crossing, crossings, looked_at
from simulator.host import Host
from simulator.matrix import MIXED, Case, dense, make_matrix, moe, small
from simulator.measure import Look, Measurement
from simulator.report.validate import as_record
from simulator.runtime import load_runtime
from simulator.units import MI

LARGE = dense(192 * MI)


def usual(threads=2, memory=1.0, shared=1.0, clock=1.0, passing=1.0):
    """What a look at the made-up machine finds, some of it faster than its file says."""
    hardware = machine()
    expected = looked_at(hardware.engine, threads)
    return Look(
        memory_bytes_per_s=memory * expected.kernel[2],
        shared_bytes_per_s=shared * expected.kernel[1],
        flops_per_s=clock * hardware.peak("int8", threads).value,
        start_s=hardware.engine.start_us[threads].value * 1e-6,
        phase_s=hardware.engine.phase_us[threads].value * 1e-6 / passing,
        row_s=hardware.engine.row_us[threads].value * 1e-6 / passing,
        change=0.0,
    )


def measured(case, seconds, looks, parts=None):
    """A measurement of given timings."""
    return Measurement(case, tuple(seconds), tuple(looks), parts or {}, 1e6, 0.0, None)


def forecast(case, look=None):
    """Seconds of a step on the made-up machine, as it is in its file or as a look found it."""
    row = compare(machine(), [measured(case, [1.0], [look or usual(case.threads)])]).rows[0]
    return float((row.corrected[0] if look else row.forecast).seconds_per_step)


CASES = [
    Case(LARGE, "q8_0", threads=2),
    Case(LARGE, "q8_0", batch=32, threads=2),
    Case(LARGE, "q4_0", batch=8, context=2048, threads=1),
    Case(moe(192 * MI), "q8_0", batch=4, threads=2, routing="zipf:1.2"),
    Case(small(5 * MI), "bf16", batch=4, threads=2),
    Case(LARGE, "q8_0", threads=2, sparsity="q-sparse:0.5"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_machine_that_has_not_changed_gets_the_same_forecast(case):
    """A look that finds what the file says changes nothing."""
    assert forecast(case, usual(case.threads)) == pytest.approx(forecast(case), rel=1e-6)


def test_faster_memory_helps_what_memory_limits():
    """With a kernel twice as fast from memory, one token of a large model takes little more than half of the time."""
    alone, twice = forecast(CASES[0]), forecast(CASES[0], usual(memory=2.0))
    assert 0.5 < twice / alone < 0.6


def test_a_faster_clock_helps_what_arithmetic_limits():
    """32 tokens of a large model are limited by arithmetic, one is not."""
    assert forecast(CASES[1], usual(clock=1.5)) < 0.85 * forecast(CASES[1])
    assert forecast(CASES[0], usual(clock=1.5)) > 0.9 * forecast(CASES[0])


def test_cores_that_pass_on_results_slowly_cost_a_small_model_most():
    """A model in the last cache has as many phases for a hundredth of the work."""
    slow = usual(passing=0.25)
    little = Case(small(5 * MI), "q8_0", threads=2)
    assert forecast(little, slow) / forecast(little) > 1.15
    assert forecast(CASES[0], slow) / forecast(CASES[0]) < 1.05


def test_drift_is_taken_out_of_a_machine_that_drifts():
    """Timings made from forecasts for a drifting machine: the raw error is the drift, the corrected one is nothing."""
    looks = [usual(memory=factor) for factor in (0.8, 0.9, 0.85)]
    case = CASES[0]
    row = compare(machine(), [measured(case, [forecast(case, look) for look in looks], looks)]).rows[0]
    assert row.error == pytest.approx(forecast(case, looks[2]) / forecast(case) - 1)
    assert row.error > 0.1
    assert row.corrected_error == pytest.approx(0, abs=1e-9)
    assert row.corrected_held


def test_errors_are_forecast_over_measured():
    """Three rounds at 2, 1 and 4 times the forecast's seconds: the median round is twice as slow, the forecast 100 % too fast."""
    case = CASES[0]
    seconds = [factor * forecast(case) for factor in (2, 1, 4)]
    row = compare(machine(), [measured(case, seconds, [usual()] * 3)]).rows[0]
    assert row.error == pytest.approx(1.0)
    assert row.corrected_error == pytest.approx(1.0)
    assert not row.held
    assert not row.corrected_held


def comparison(ratios):
    """Cases whose measured seconds are the forecast's times some ratios."""
    case = CASES[0]
    base = forecast(case)
    return compare(machine(), [measured(case, [ratio * base] * 3, [usual()] * 3) for ratio in ratios])


def test_summaries_are_of_all_cases():
    """Errors of 0, 10, 20, 30 and -20 %: median 20, bias 10."""
    found = comparison([1.0, 1.1, 1.2, 1.3, 0.8])
    assert found.median_error(False) == pytest.approx(0.2)
    assert found.bias(True) == pytest.approx(0.1)
    assert found.tail_error(False) == pytest.approx(np.percentile([0, 0.1, 0.2, 0.3, 0.2], 90))


def test_an_interval_holds_as_often_as_it_says():
    """Measurements that scatter around the forecast with the interval's own sigma lie inside in about 80 of 100 cases."""
    case = CASES[0]
    row = comparison([1.0]).rows[0]
    sigma = math.log(float(row.forecast.tokens_per_s / row.forecast.tokens_per_s_low)) / 1.2816
    rng = np.random.default_rng(3)
    found = comparison(np.exp(rng.normal(0, sigma, 400)))
    # The upper end stops at the ceiling; here that lies further off.
    assert float(row.forecast.tokens_per_s_ceiling) > float(row.forecast.tokens_per_s) * math.exp(1.3 * sigma)
    assert 0.75 < found.held(False) < 0.85
    assert case.id == "dense q8_0 b1 c128 t2"


def test_the_worst_part_is_the_one_mistimed_most():
    """Attention is off by 3 ms, the rest by less."""
    case = CASES[0]
    row = comparison([1.0]).rows[0]
    parts = {part: seconds for part, (_, seconds) in row.parts.items()}
    parts["attention"] += 3e-3
    parts["ffn"] += 1e-3
    again = compare(machine(), [measured(case, [1.0], [usual()], parts)]).rows[0]
    assert again.worst_part == "attention"


def test_the_parts_of_a_forecast_make_up_its_kernels():
    """All parts together are the step without what it takes outside its kernels."""
    row = comparison([1.0]).rows[0]
    inside = sum(seconds for _, seconds in row.parts.values())
    assert inside == pytest.approx(float(row.corrected[0].seconds_per_step - row.corrected[0].step_overhead_s))


@pytest.mark.parametrize(
    ("ratios", "batch"),
    [([4, 3, 2, 1], 4.0), ([4, 4, 1, 1], 2 * 2 ** (2 / 3)), ([4, 3.9, 3.8, 3.7], None), ([4, 1, 1, 1], 2 ** (2 / 3))],
)
def test_a_crossing_is_interpolated_over_the_logarithm(ratios, batch):
    """Half of the first ratio is 2: reached at batch 4; between 2 and 4; never; between 1 and 2."""
    assert crossing([1, 2, 4, 8], ratios) == (None if batch is None else pytest.approx(batch))


def test_a_mixture_and_a_dense_model_are_compared_byte_for_byte():
    """Forecasts taken as measured: both sides cross at the same batch."""
    cases = [case for case in make_matrix(Host(n_threads=2), 2, 32 * MI) if case.context == 128 and case.threads == 2]
    cases = [
        case for case in cases if case.model.name in ("dense", MIXED) and case.weights == "q8_0" and not case.sparsity
    ]
    found = compare(machine(), [measured(case, [forecast(case)], [usual()]) for case in cases])
    (only,) = crossings(found)
    assert only.agrees
    assert only.measured == pytest.approx(only.forecast)
    assert 2 < only.measured < 32


def test_a_file_without_measured_kernels_is_not_corrected():
    """Nothing is known of what a look finds."""
    hardware = machine(engine=None)
    assert as_seen(hardware, usual(), 2, 0.1) is hardware


def test_the_matrix_covers_what_it_says():
    """At least 60 cases of different names; batches to 32, three formats, sparsity, skew, depths, fewer threads, a small model."""
    cases = make_matrix(Host(n_threads=4), 4, 32 * MI)
    assert len({case.id for case in cases}) == len(cases) >= 60
    assert {case.batch for case in cases} == {1, 2, 4, 8, 16, 32}
    assert {case.weights for case in cases} == {"q8_0", "q4_0", "bf16"}
    assert {case.threads for case in cases} == {1, 2, 4}
    assert {case.routing for case in cases} == {"uniform", "zipf:1.2"}
    assert {case.sparsity for case in cases} == {None, "q-sparse:0.5"}
    assert max(case.context for case in cases) == 8192
    sizes = {case.model.name: case.model.total_params for case in cases}
    assert sizes["small"] < 32 * MI / 4
    assert sizes["dense"] > 4 * 32 * MI


def test_the_matrix_suits_a_machine_of_little_memory():
    """A sixth of 600 MB at most for the weights of a model in q8_0, a layer more at worst."""
    cases = make_matrix(Host(n_threads=1, available_bytes=600 * MI), 1, 2 * MI)
    assert max(case.model.total_params for case in cases) < 170e6
    assert all(case.threads == 1 for case in cases)


def test_json_has_every_timing():
    """What the figures can be computed from again."""
    record = as_record(comparison([1.0, 1.2]), machine())
    row = record["rows"][1]
    assert row["tokens_per_s_measured"] == pytest.approx(1 / row["seconds"][0])
    assert row["tokens_per_s_low"] <= row["tokens_per_s"] <= row["tokens_per_s_high"] <= row["tokens_per_s_ceiling"]
    assert set(record["summary"]) == {"n_rows", "raw", "drift_corrected", "crossings"}
    assert len(row["looks"]) == len(row["seconds"]) == 3


def test_the_runtime_is_the_engine():
    """Forecasts are for roofcast's own engine, whose file says so."""
    assert load_runtime("roofcast").is_engine
    assert isinstance(comparison([1.0]), Comparison)
