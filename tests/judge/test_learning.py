"""What a user's own measurements say of their device: which way multipliers move, how far, and what is known of their errors."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.forecast.scenario import scenario
from simulator.importers.open import load_model
from simulator.importers.records import Published
from simulator.judge import learning as learning_module
from simulator.judge.halves import halves
from simulator.judge.learning import NOT_FITTED, SEVERAL, learn
from simulator.judge.score import score
from simulator.spec.machine import load_hardware
from simulator.spec.runtime import load_runtime

GPU = load_hardware("rtx-4090")
MODELS = {name: load_model(name) for name in ("llama-3-8b", "qwen2.5-7b")}


def rows(speed, contexts=(0, 512, 4096), models=("llama-3-8b",), weights=("q4_k_m",), batch=1):
    """Measurements that are the forecast times *speed*, a function of a forecast."""
    found = []
    for model in models:
        for name in weights:
            base = scenario(MODELS[model], GPU, weights=name, cache="f16", runtime=load_runtime("llama.cpp"))
            for context in contexts:
                rate = float(base.at(batch, context).tokens_per_s) * speed
                made = Published(f"{model} {name} {context}", MODELS[model], name, "f16", batch, context, rate)
                found.append(replace(made, hardware=GPU))
    return found


def learned_from(measured):
    """The section of the device file that they give."""
    ((key, learning),) = learn(measured, GPU)[0].items()
    return key, learning, learning.learned(GPU, "rows.csv, 2026-11-28")


def test_slower_rows_slow_the_bandwidth_and_later_forecasts():
    """All rows at 0.85 of the forecast: the device reads slower than others of its kind, and a model not measured is slower, too."""
    key, _, found = learned_from(rows(0.85))
    assert key == ("llama.cpp", "cuda")
    assert found.multipliers["bandwidth"].value < 0.97
    owned = GPU.model_copy(update={"learned": {"llama.cpp": found}})
    before, after = (
        float(scenario("qwen2.5-7b", device, weights="q4_k_m", runtime="llama.cpp").at(1, 512).tokens_per_s)
        for device in (GPU, owned)
    )
    assert 0.8 * before < after < 0.95 * before


def test_a_measured_model_is_met():
    """With several rows of it, forecasts of it are within 3 % of what was measured."""
    measured = rows(0.8)
    owned = GPU.model_copy(update={"learned": {"llama.cpp": learned_from(measured)[2]}})
    found = score([replace(each, hardware=owned) for each in measured])
    assert max(abs(each.error) for each in found.rows) < 0.03


def test_one_row_moves_less_than_many():
    """What a single measurement says is believed in part, and no interval rests on it."""
    few, many = (learned_from(rows(0.7, contexts))[2] for contexts in ((512,), range(0, 4096, 256)))
    off = [
        abs(np.log(each.multipliers["bandwidth"].value * 1 / each.models["llama-3-8b"].value)) for each in (few, many)
    ]
    assert 0 < off[0] < off[1] < abs(np.log(0.7))
    assert few.error("llama-3-8b", is_one=True) is None
    assert many.error("llama-3-8b", is_one=True).count == 16


def test_right_rows_teach_nothing():
    """Where forecasts are right, every multiplier stays 1."""
    found = learned_from(rows(1.0))[2]
    assert [each.value for each in found.multipliers.values()] == pytest.approx([1] * len(found.multipliers), abs=1e-3)


def test_left_out_rows_are_forecast_from_the_others():
    """All rows agree, so that each is met by what the others say, and a model that was left out less well."""
    learning = learned_from(rows(0.8, models=MODELS))[1]
    assert np.allclose(learning.before, np.log(1 / 0.8))
    assert np.max(np.abs(learning.left_out)) < 0.05
    assert np.max(np.abs(learning.left_out)) < np.max(np.abs(learning.of_other_models)) < 0.15


def test_very_many_rows_are_left_out_in_parts(monkeypatch):
    """No row is forecast from itself: of a pair in one part, both are from what all others say."""
    measured = rows(0.8, contexts=range(0, 800, 100))
    wrong = [replace(measured[0], tokens_per_s=2 * measured[0].tokens_per_s), *measured[1:]]
    one_by_one = learned_from(wrong)[1].left_out
    monkeypatch.setattr(learning_module, "N_PARTS", 4)
    in_parts = learned_from(wrong)[1].left_out
    assert len(in_parts) == 8
    assert in_parts == pytest.approx(one_by_one, abs=0.05)
    assert in_parts[4] == pytest.approx(learned_from(measured[1:])[1].left_out[3], abs=0.02)


def test_a_misprint_among_many_moves_little():
    """A row that is ten times too fast counts for little beside nine that agree."""
    measured = rows(0.9, range(0, 1000, 100))
    wrong = [replace(measured[0], tokens_per_s=10 * measured[0].tokens_per_s), *measured[1:]]
    right, with_wrong = (learned_from(each)[2].multipliers["bandwidth"].value for each in (measured[1:], wrong))
    assert with_wrong == pytest.approx(right, rel=0.05)


def test_the_interval_is_that_of_left_out_rows():
    """Rows that scatter by 10 % give an interval of at least so much, those that agree the least that there is; batches have none."""
    measured = rows(0.9, range(0, 4000, 250))
    scattered = [
        replace(each, tokens_per_s=each.tokens_per_s * (1.1 if n % 2 else 0.9)) for n, each in enumerate(measured)
    ]
    widths = []
    for some in (measured, scattered):
        owned = GPU.model_copy(update={"learned": {"llama.cpp": learned_from(some)[2]}})
        base = scenario("llama-3-8b", owned, weights="q4_k_m", cache="f16", runtime="llama.cpp")
        point = base.at(1, 512)
        widths.append(float(point.tokens_per_s / point.tokens_per_s_low) - 1)
        plain = scenario("llama-3-8b", GPU, weights="q4_k_m", cache="f16", runtime="llama.cpp")
        assert base.at(8, 512).timed.interval_factor == plain.at(8, 512).timed.interval_factor
    assert widths[0] == pytest.approx(0.0513, abs=1e-3)  # exp(0.05)
    assert 0.12 < widths[1] < 0.25


def test_other_runtimes_and_figures_are_as_they_were():
    """What was learned of llama.cpp changes no other runtime, nor a device whose bandwidth was corrected since."""
    found = learned_from(rows(0.7))[2]
    owned = GPU.model_copy(update={"learned": {"llama.cpp": found}})
    for runtime in ("vllm", "mlc-llm", "roofline"):
        one, two = (scenario("llama-3-8b", each, weights="f16", runtime=runtime).at(1, 512) for each in (GPU, owned))
        assert (one.tokens_per_s, one.interval()) == (two.tokens_per_s, two.interval())
    main = owned.main_memory.model_copy(update={"datasheet_gb_per_s": owned.main_memory.datasheet_gb_per_s.times(1.1)})
    changed = owned.model_copy(update={"memory": (*owned.memory[:-1], main)})
    plain = changed.model_copy(update={"learned": {}})
    one, two = (
        scenario("llama-3-8b", each, weights="f16", runtime="llama.cpp").at(1, 512) for each in (changed, plain)
    )
    assert one.tokens_per_s == two.tokens_per_s


def test_what_nothing_can_be_learned_from_is_named():
    """Several devices, runtimes that rest on the device's own figures, and what does not fit."""
    (one,) = rows(1.0, (512,))
    several = replace(one, hardware=load_hardware("2xrtx-4090"))
    ideal = replace(one, runtime="roofline")
    large = replace(one, loaded=load_model("llama-3-70b"), weights="f16")
    learned, skipped = learn([several, ideal, large], None)
    assert learned == {}
    assert [each.reason for each in skipped][:2] == [SEVERAL, NOT_FITTED]
    assert "does not fit" in skipped[2].reason


def test_half_of_a_machines_rows_help_with_the_other_half():
    """Twelve rows at 0.8 of the forecast: six say so of the other six."""
    (found,) = halves(rows(0.8, range(0, 3000, 250)))
    assert (found.device, found.runtime, found.n_learned) == ("rtx-4090", "llama.cpp", 6)
    assert found.before.median_abs_error == pytest.approx(0.25)
    assert found.after.median_abs_error < 0.03
    assert list(halves(rows(0.8))) == []
