"""Forecasts beside decodes that were timed here: errors, drift taken out, intervals, and the part that was mistimed."""

import math
import re
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from decodes import CASES, LARGE, forecast, measured, row_of, usual
from profiled import machine
from screens import plain, screen

from simulator.commands.validate import as_record, print_comparison
from simulator.errors import InputError
from simulator.forecast import interval
from simulator.importers.records import Skipped
from simulator.judge.compare import Comparison, compare, crossing, crossings
from simulator.judge.matrix import MIXED, Case, dense, lack_of_memory, make_matrix, needed_bytes
from simulator.judge.measure import OUTSIDE, loaded_together, look_between
from simulator.machine.host import Host
from simulator.spec.runtime import load_runtime
from simulator.units import MI


def test_a_measured_decode_that_should_not_fit_is_left_out(monkeypatch):
    """It has no forecast to stand beside: it is told with the reason, as in `score`, and no error becomes not a number."""
    few, more = (measured(case, [1.0], [usual()]) for case in CASES[:2])
    whole = compare(machine(), [few, more])
    assert len(whole.rows) == 2
    needed = sorted(float(row.forecast.memory_bytes) for row in whole.rows)
    monkeypatch.setattr("simulator.forecast.prediction.memory_limit", lambda *_: needed[0])
    found = compare(machine(), [few, more])
    assert len(found.rows) == 1
    assert [each.reason for each in found.skipped] == ["does not fit in the device's memory, as it is counted here"]
    assert np.isfinite(found.errors(corrected=False)).all()


def test_a_file_in_which_nothing_that_ran_would_fit_is_refused(monkeypatch):
    """A capacity that somebody mistyped: there is nothing to compare, and what to correct is said."""
    monkeypatch.setattr("simulator.forecast.prediction.memory_limit", lambda *_: 2.0**20)
    with pytest.raises(InputError, match=r"no decode that ran should fit in the 1\.0 MiB .*: correct its capacity"):
        compare(machine(), [measured(CASES[0], [1.0], [usual()])])


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
    row = comparison([1.0]).rows[0]
    sigma = math.log(float(row.forecast.tokens_per_s / row.forecast.tokens_per_s_low)) / 1.2816
    rng = np.random.default_rng(3)
    found = comparison(np.exp(rng.normal(0, sigma, 400)))
    # The upper end stops at the ceiling; here that lies further off.
    assert float(row.forecast.tokens_per_s_ceiling) > float(row.forecast.tokens_per_s) * math.exp(1.3 * sigma)
    assert 0.75 < found.held(False) < 0.85


def taken_apart(more, moment=1.0, drift=1.0):
    """A step that takes as long as forecast for a machine that is *drift* times slower, some parts *more* seconds.

    Its parts were timed when everything took *moment* times as long.
    """
    case = CASES[0]
    parts = {}
    for timed in row_of(case).forecast.ops:
        parts[timed.op.part] = parts.get(timed.op.part, 0.0) + timed.op.count * float(timed.seconds)
    parts[OUTSIDE] = float(row_of(case).forecast.step_overhead_s)
    parts = {part: seconds * drift + more.get(part, 0.0) for part, seconds in parts.items()}
    looks = [usual(large_1=drift, large_16=drift)] * 3
    then = {part: seconds * moment for part, seconds in parts.items()}
    return compare(machine(), [measured(case, [sum(parts.values())] * 3, looks, then)]).rows[0]


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


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ffn": 3e-3}, r"most of it in ffn: .* ms measured, .* ms forecast"),
        ({OUTSIDE: 3e-3}, r"most of it outside its kernels: 3\.\d+ ms measured, \d+ us forecast"),
        ({"ffn": 1e-3, "attention": 1e-3, OUTSIDE: 1e-3}, "spread over several parts"),
    ],
)
def test_the_worst_lines_say_where_an_error_comes_from(capsys, more, words):
    """Only where it is so."""
    print_comparison(Comparison((taken_apart(more),)), machine())
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"worst: dense q8_0 b1 c128 t2: \d+% too fast \(.*\); {words}", printed)


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


def test_a_file_without_reference_models_has_no_known_drift():
    """Nothing is known of what a look finds."""
    row = compare(machine(engine=None), [measured(CASES[0], [1.0], [usual(large_1=2.0)])]).rows[0]
    assert row.drifts == (1.0,)


def test_reference_models_of_unknown_sizes_tell_of_no_drift():
    """A file of before their sizes were noted: what is decoded now may be another model."""
    older = machine().engine.model_copy(update={"cache_mib": None})
    row = compare(machine(engine=older), [measured(CASES[0], [1.0], [usual(large_1=2.0)])]).rows[0]
    assert row.drifts == (1.0,)


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


def together_bytes(cases):
    """Most of what is in memory at once, by hand: the weights, and for each of the largest batch the tokens of the deepest cache."""
    bits = {"q8_0": 8.5, "q4_0": 4.5, "bf16": 16}
    largest = 0
    for _, group in groupby(cases, key=loaded_together):
        members = list(group)
        first = members[0]
        kv = sum(2 * layer.attention.n_kv_heads * layer.attention.head_dim for layer in first.model.stack)
        tokens = max(case.batch for case in members) * max(case.context for case in members)
        largest = max(largest, first.model.total_params * bits[first.weights] / 8 + 2 * kv * tokens)
    return largest


@pytest.mark.parametrize(("free_mb", "cache_mb"), [(600, 2), (1400, 32), (1400, 384), (23_000, 32), (380_000, 384)])
def test_the_matrix_suits_the_free_memory(free_mb, cache_mb):
    """Whatever the caches, weights and cache of what is loaded together take half of the free memory, and few cases are left out."""
    host = Host(n_threads=1, available_bytes=free_mb * MI)
    cases = make_matrix(host, 1, cache_mb * MI)
    kept = [case for case in cases if not lack_of_memory(case, host)]
    assert together_bytes(kept) <= free_mb * MI / 2
    assert len(kept) >= len(cases) - 2
    assert all(case.threads == 1 for case in cases)


def test_a_usual_machine_needs_less_than_a_gigabyte():
    """192 MiB of weights in q8_0, twice as much in bf16, 300 MB of cache at the deepest: whatever memory there is."""
    cases = make_matrix(Host(n_threads=2, available_bytes=10**12), 2, 32 * MI)
    assert together_bytes(cases) < 600e6


def test_a_case_that_does_not_fit_says_why():
    """Weights of 34 bytes for 32, and in each layer 1792 bytes (7 keys and values of 64 halves) for all of 4 x 8192 tokens."""
    host = Host(n_threads=1, available_bytes=10**9)
    model = dense(700 * MI)
    case = Case(model, "q8_0", batch=4, context=8192)
    cache = len(model.stack) * 1792 * 4 * 8192
    assert needed_bytes(case) == pytest.approx(model.total_params * 34 / 32 + cache, rel=1e-2)
    assert lack_of_memory(case, host) == f"takes {needed_bytes(case) / 1e9:.2f} GB of memory, at most 500 MB are for it"
    assert lack_of_memory(Case(dense(100 * MI), "q8_0"), host) == ""


def test_json_has_every_timing():
    """What the figures can be computed from again."""
    record = as_record(comparison([1.0, 1.2]), machine())
    row = record["rows"][1]
    assert row["tokens_per_s_measured"] == pytest.approx(1 / row["seconds"][0])
    assert row["tokens_per_s_low"] <= row["tokens_per_s"] <= row["tokens_per_s_high"] <= row["tokens_per_s_ceiling"]
    assert set(record["summary"]) == {
        "n_rows", "held", "told", "drift", "states", "raw", "drift_corrected", "by_kind", "crossings"
    }  # fmt: skip
    assert len(row["looks"]) == len(row["seconds"]) == 3


def drifting(drift, errors):
    """Decodes on a machine that takes *drift* times as long, forecast for that machine with such errors; six groups of two."""
    kinds = [(fmt, context) for fmt in ("q8_0", "q4_0", "bf16") for context in (128, 256)]
    cases = [Case(LARGE, fmt, batch=batch, context=context, threads=2) for fmt, context in kinds for batch in (1, 2)]
    looks = [usual(large_1=drift, large_16=drift)] * 3
    seconds = [drift * forecast(case) * (1 + error) for case, error in zip(cases, errors, strict=True)]
    return compare(machine(), [measured(case, [each] * 3, looks) for case, each in zip(cases, seconds, strict=True)])


def test_drift_is_corrected_where_that_helps_in_both_halves():
    """All steps take 1.25 times as long, and so do the reference models: 25 % too fast as forecast, right once that is out."""
    found = drifting(1.25, [0.0] * 12)
    assert found.correction.is_used
    assert found.correction.why == (
        "taking drift out helps: the median error of both halves of the decodes falls, from 25.0% to 0.0% and from 25.0% to 0.0%"
    )
    assert found.worst[0].worst_part(True) is None
    record = as_record(found, machine())
    assert record["summary"]["drift"] == {"corrected": True, "why": found.correction.why}


def test_drift_that_only_the_reference_models_show_is_not_corrected(capsys):
    """They take 1.25 times as long, the decodes do not: right as forecast, 20 % too slow with that taken out."""
    found = drifting(1.25, [1 / 1.25 - 1] * 12)
    assert not found.correction.is_used
    drift = "drift: by the reference models, decodes took 1.25 times as long as when the machine was profiled (1.25 to 1.25)"
    told = "drift was not corrected: the median error does not fall in both halves of the decodes"
    assert found.correction.why == f"{told} (from 0.0% to 20.0% and from 0.0% to 20.0%)"
    print_comparison(found, machine())
    printed = " ".join(capsys.readouterr().out.split())
    assert drift in printed
    assert told in printed
    assert "with drift out" not in printed


def test_a_machine_far_from_its_profile_is_to_be_profiled_again(capsys):
    """Half as fast as then, or twice; not a fifth off."""
    for drift, is_told in ((2.0, True), (0.5, True), (1.2, False), (1 / 1.2, False)):
        print_comparison(drifting(drift, [0.0] * 12), machine())
        printed = " ".join(capsys.readouterr().out.split())
        assert ("; profile again for forecasts of the machine as it is now" in printed) == is_told


def test_a_correction_that_helps_one_half_alone_is_not_used():
    """Every second pair that was timed together, hence one half of them, did not get slower; the whole would be better off."""
    errors = [error for _ in range(3) for error in (0.0, 0.0, 1 / 1.25 - 1, 1 / 1.25 - 1)]
    assert not drifting(1.25, errors).correction.is_used


def test_the_first_lines_say_how_often_the_interval_held(capsys):
    """Three of ten decodes took four times as long as forecast, far outside: 70 % held, which may be chance; of 40, it is not."""
    found = comparison([1.0] * 7 + [4.0] * 3)
    print_comparison(found, machine())
    assert capsys.readouterr().out.splitlines()[1] == "the 80 % interval held 70% of 10 decodes"
    summary = as_record(found, machine())["summary"]
    assert (summary["held"], summary["told"]) == (0.7, "the 80 % interval held 70% of 10 decodes")
    assert interval.told_held(24, 40) == "the 80 % interval held 60% of 40 decodes: it is too narrow here"


def test_no_line_is_wider_than_eighty_columns(monkeypatch):
    """All names that the matrix has, and rates of six digits, on a terminal."""
    cases = make_matrix(Host(n_threads=2), 2, 32 * MI)
    found = compare(machine(), [measured(case, [1e-4], [usual(case.threads)]) for case in cases])
    with screen(monkeypatch, columns=80) as shown:
        print_comparison(found, machine(), ("a note of many words " * 20,))
    assert max(len(line) for line in plain(shown.getvalue()).splitlines()) <= 80


def test_a_machine_that_flips_is_described_as_two_states(capsys):
    """Four looks of ten read 20 GB/s, six 32, in turns of two and three: shares, speeds and changes, in the text and the JSON."""
    rates = [20e9, 20e9, 32e9, 32e9, 32e9] * 12
    looks = [replace(usual(), memory_bytes_per_s=rate * (1 + 0.02 * (place % 3 - 1)), at_s=float(place))
             for place, rate in enumerate(rates)]  # fmt: skip
    base = forecast(CASES[0])
    rows = [replace(measured(CASES[0], [base] * 30, [usual()] * 30), after=tuple(looks[half::2])) for half in (0, 1)]
    found = compare(machine(), rows)
    told = "two states: reading memory with 2 threads at 20.0 GB/s 40% of the time and at 32.0 GB/s 60%, with 23 changes in 60 looks"
    print_comparison(found, machine())
    assert told in " ".join(capsys.readouterr().out.split())
    (record,) = as_record(found, machine())["summary"]["states"]
    assert (record["what"], record["threads"], record["unit"], record["changes"]) == ("reading memory", 2, "B/s", 23)
    assert (record["slow"]["share"], record["fast"]["share"]) == (0.4, 0.6)


def test_what_was_left_out_is_listed(capsys):
    """With its reason, in the JSON and below the table."""
    found = compare(machine(), [measured(CASES[0], [1.0], [usual()])], [Skipped("a deep one", "takes 9 GB of memory")])
    assert as_record(found, machine())["skipped"] == [{"id": "a deep one", "reason": "takes 9 GB of memory"}]
    print_comparison(found, machine())
    assert "left out: a deep one: takes 9 GB of memory\n" in capsys.readouterr().out


def test_the_runtime_is_the_engine():
    """Forecasts are for roofcast's own engine, whose file says so."""
    assert load_runtime("roofcast").is_engine
    assert comparison([1.0]).rows[0].forecast.runtime.is_engine
