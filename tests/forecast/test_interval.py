"""How wide the 80 % interval is: a restless profile widens it, by hand-worked factors."""

import math

import numpy as np
import pytest
from profiled import figure, machine

from simulator.errors import InputError
from simulator.forecast import interval
from simulator.forecast.interval import Unrest, at_coverage, fitted_factors, told_held, unrest_of
from simulator.forecast.predict import predict
from simulator.forecast.scenario import scenario
from simulator.judge.matrix import dense
from simulator.report.remarks import rests_on
from simulator.spec import spread
from simulator.spec.figure import Figure
from simulator.spec.mixes import parse_weights
from simulator.spec.runtime import load_runtime
from simulator.spec.spread import Within
from simulator.spec.workload import Workload
from simulator.units import MI


def profiled(*spreads, count=9):
    """The made-up machine, whose reference models scattered so much."""
    engine = machine().engine.model_dump(exclude_none=True)
    names = ("large 1", "large 16", "small 1", "small 16")
    engine["reference_us"] = {
        2: {name: figure(1000, spread) | {"count": count} for name, spread in zip(names, spreads, strict=False)}
    }
    return machine(engine=engine)


def forecast(hardware, runtime="roofcast"):
    """Of a dense model, one sequence."""
    load = Workload(parse_weights("q8_0"), context=128, threads=2)
    return predict(dense(192 * MI), hardware, load, load_runtime(runtime))


def log_width(found):
    """Of the lower half of the interval, in standard deviations of the logarithm."""
    return math.log(float(found.tokens_per_s / found.tokens_per_s_low)) / interval.Z80


def test_one_more_decode_scatters_about_the_mean_of_a_few():
    """s^2 (1 + 1/n) times (t / z)^2: three timings 4/3 * (1.8856 / 1.2816)^2, nine 10/9 * (1.3968 / 1.2816)^2, many 1."""
    assert Unrest(0.1, 3).variance == pytest.approx(0.01 * 2.8862, rel=1e-4)
    assert Unrest(0.1, 9).variance == pytest.approx(0.01 * 1.3198, rel=1e-4)
    assert Unrest(0.1, 10**6).variance == pytest.approx(0.01, rel=1e-4)
    assert Unrest(0.0, 3).variance == 0
    assert Unrest(0.6, 9).mean_variance == pytest.approx(0.04)


def test_unrest_is_that_of_the_reference_models():
    """The root of the mean square of 0.1 and 0.7 is half; it is known from the fewest timings; none where there are none."""
    assert unrest_of(profiled(0.1, 0.7), 2) == Unrest(pytest.approx(0.5), 9)
    assert unrest_of(profiled(0.1, 0.7, count=3), None).count == 3
    assert unrest_of(machine(engine=None), 2) == Unrest()


def test_a_profile_without_unrest_leaves_the_interval_as_it_is():
    """As wide as that of a file without reference models."""
    engine = machine().engine.model_copy(update={"reference_us": {}})
    bare = machine().model_copy(update={"engine": engine})
    assert log_width(forecast(profiled(0.0, 0.0))) == pytest.approx(log_width(forecast(bare)), rel=1e-12)


@pytest.mark.parametrize("runtime", ["roofcast", "llama.cpp"])
@pytest.mark.parametrize("spread", [0.05, 0.2, 0.8])
def test_unrest_is_added_to_all_other_doubt_in_quadrature(runtime, spread):
    """For whatever software; the forecast stays, lies inside, and below the ceiling."""
    calm, restless = forecast(profiled(0.0), runtime), forecast(profiled(spread), runtime)
    assert log_width(restless) ** 2 == pytest.approx(log_width(calm) ** 2 + Unrest(spread, 9).variance, rel=1e-3)
    assert restless.tokens_per_s == calm.tokens_per_s
    assert restless.tokens_per_s_low < restless.tokens_per_s <= restless.tokens_per_s_high
    assert restless.tokens_per_s_high <= restless.tokens_per_s_ceiling


def test_a_forecast_says_that_the_profile_was_restless():
    """Where decodes scattered by more than 8 %."""

    def told(hardware):
        base = scenario("qwen3-0.6b", hardware, weights="q8_0", runtime="roofcast")
        return [line for line in rests_on(base, [base.at(1, 128)]) if "restless" in line]

    assert told(profiled(0.05)) == []
    assert told(profiled(0.3)) == [
        "a restless machine: while made-up was profiled, decodes of the same models scattered by 30%, which the interval allows for"
    ]


def test_few_that_were_held_are_told_from_chance():
    """Of five, two or fewer have a chance of 0.058, one or none of 0.007; of one, none of 0.2; thousands do not overflow."""
    assert told_held(2, 5) == "the 80 % interval held 40% of 5 decodes"
    assert told_held(1, 5) == "the 80 % interval held 20% of 5 decodes: it is too narrow here"
    assert told_held(0, 1, "measurement") == "the 80 % interval held 0% of 1 measurement"
    assert told_held(8_000, 10_000, "measurement") == "the 80 % interval held 80% of 10,000 measurements"


def test_one_timing_shows_no_spread():
    """A figure of a single round is doubted as any measured one is, 6 %, whatever its file says; it tells of no unrest, too."""
    once = Figure(value=5, provenance="measured", spread=0.0, count=1)
    assert interval.expected_spread(once) == interval.expected_spread(Figure(value=5, provenance="measured")) == 0.06
    assert interval.expected_spread(once.model_copy(update={"count": 2})) == 0
    assert unrest_of(profiled(0.3, 0.3, count=1), 2) == Unrest()


def test_another_coverage_is_as_wide_as_a_normal_error_makes_it():
    """95 % of a normal variable lie within 1.96 standard deviations, 80 % within 1.2816; neither end passes the ceiling."""
    found = forecast(machine())
    assert found.interval() == (found.tokens_per_s_low, found.tokens_per_s_high)
    low, high = found.interval(0.95)
    assert math.log(float(found.tokens_per_s / low)) == pytest.approx(
        1.95996 / 1.2816 * interval.Z80 * log_width(found), rel=1e-4
    )
    assert low < found.tokens_per_s_low < found.tokens_per_s_high <= high <= found.tokens_per_s_ceiling


@pytest.mark.parametrize("coverage", [0.4, 0.999, 0, "much", True])
def test_a_coverage_that_no_interval_has_is_refused(coverage):
    """In a sentence."""
    with pytest.raises(InputError, match=r"^coverage must be "):
        forecast(machine()).interval(coverage)


def test_a_forecast_names_the_measurements_of_its_interval(monkeypatch):
    """Where it was made from some, once for forecasts of a kind; of the hardware alone nothing is said."""
    groups = {
        "consumer GPUs, one sequence": Within("consumer GPUs, one sequence", 120, 14, (0.1, 0.2)),
        "all devices": Within("all devices", 900, 80, (0.2, 0.4)),
    }
    monkeypatch.setattr(spread, "_known", lambda: groups)
    told = [line for line in said("llama.cpp", 1, 1, 4) if line.startswith("interval")]
    assert told == [
        "interval from 120 published measurements of 14 devices: consumer GPUs, one sequence",
        "interval from 900 published measurements of 80 devices: all devices",
    ]
    monkeypatch.setattr(spread, "_known", dict)
    assert "interval from 0 published measurements of no device: no published measurement" in said("llama.cpp", 1)
    assert not [line for line in said("roofline", 1) if line.startswith("interval")]


def said(runtime, *batches):
    """What forecasts of a model on a card rest on."""
    base = scenario("llama-3-8b", "rtx-3060", weights="q4_k_m", runtime=runtime)
    return list(rests_on(base, [base.at(batch, 0) for batch in batches]))


def test_a_fitted_forecast_is_as_wide_as_the_errors_of_its_group(monkeypatch):
    """1.2 and 1.5 times either way, alone; with several sequences those of their own; unrest is added in quadrature."""
    errors = {1: (math.log(1.2), math.log(1.5)), 2: (math.log(2.0), math.log(3.0))}
    monkeypatch.setattr(interval, "within", lambda _place, batch, _of_prompt: Within("g", 50, 5, errors[batch]))
    one, wide = fitted_factors(None, np.array([1, 4]), Unrest())
    assert one == pytest.approx([1.2, 2.0])
    assert wide == pytest.approx([1.5, 3.0])
    restless, _ = fitted_factors(None, 1, Unrest(0.3, 10**6))
    assert math.log(restless) == pytest.approx(math.hypot(math.log(1.2), 1.2816 * 0.3), rel=1e-3)


def test_a_coverage_between_the_two_that_are_known_lies_between_them():
    """80 and 95 % are what was found; more is never narrower, none is narrower than nothing."""
    assert at_coverage(0.8, 1.2, 1.5) == 1.2
    assert at_coverage(0.95, 1.2, 1.5) == pytest.approx(1.5)
    asked = (0.5, 0.6, 0.79, 0.8, 0.81, 0.9, 0.949, 0.95, 0.951, 0.99)
    found = [at_coverage(each, 1.2, 1.5) for each in asked]
    assert found == sorted(found)
    assert len(set(found)) == len(found)
    assert found[0] > 1


def test_another_coverage_follows_a_normal_error_where_nothing_else_is_known():
    """0.6745 of 1.2816 standard deviations at 50 %, 2.5758 of 1.96 at 99 %."""
    assert math.log(at_coverage(0.5, 1.2, 1.5)) == pytest.approx(0.6745 / 1.2816 * math.log(1.2), rel=1e-3)
    assert math.log(at_coverage(0.99, 1.2, 1.5)) == pytest.approx(2.5758 / 1.96 * math.log(1.5), rel=1e-3)
