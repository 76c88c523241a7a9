"""Split weights beside measurements: placements, errors, choices among splits, and what a prompt copies."""

import math

import numpy as np
import pytest

from simulator.forecast.request import Request, forecast_request
from simulator.forecast.scenario import scenario
from simulator.importers.in_ram import Split, by_fit
from simulator.importers.open import load_named
from simulator.importers.split import SplitPublished
from simulator.judge.skew import random_tokens
from simulator.judge.split import SplitRow, SplitScore, split_score
from simulator.spec.machine import load_hardware
from simulator.spec.routing import Uniform, mean_read
from simulator.spec.runtime import load_runtime


def published(model="gpt-oss-20b", **changes):
    """One measurement, whole on the GPU."""
    values = {
        "id": "a", "loaded": load_named(model), "weights": "mxfp4_moe", "hardware": load_hardware("rtx-4070-laptop"),
        "host": load_hardware("laptop-ddr5"), "runtime": load_runtime("llama.cpp"), "split": Split(), "ubatch": 512,
        "prompt_tokens": 2048, "prompt_tokens_per_s": 1000.0, "context": 64, "tokens_per_s": 40.0, "file": "m f 1",
        "date": "2026-05-16",
    }  # fmt: skip
    return SplitPublished(**(values | changes))


def row(**changes):
    """A row with these rates."""
    values = {
        "id": "a", "file": "who/m q8_0 1.0", "model": "m", "machine": "g+c", "runtime": "llama.cpp", "weights": "q8_0", "ubatch": 512,
        "layers_in_ram": 0, "experts_in_ram": 4, "decode_measured": 10.0, "decode": 11.0, "low": 9.0, "high": 12.0,
        "prompt_measured": 100.0, "prompt": 80.0, "bound": "memory", "is_mixture": True,
    }  # fmt: skip
    return SplitRow(**(values | changes))


def test_layers_and_experts_go_where_a_split_has_them():
    """Of 24 layers two in RAM whole and the experts of the last 17; the head on the GPU until no layer is."""
    model = load_named("gpt-oss-20b").model
    found = by_fit(model, 23, 18).placement(model)
    assert found.layers == (1, 1, *[0] * 22)
    assert found.head == 0
    assert {layer for layer, _ in found.apart} == set(range(7, 24))
    assert {role for _, role in found.apart} >= {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"}
    assert Split(tuple(range(24))).placement(model).head == 1


def test_a_row_whole_on_the_gpu_is_a_plain_forecast():
    """Decode and prompt, the latter in its micro-batches."""
    each = published("qwen3.5-4b", weights="q4_k_m")
    (found,) = split_score([each]).rows
    runtime = each.runtime.under("cuda", "2026-05", True)
    plain = scenario(each.loaded, each.hardware.with_all_memory(), weights="q4_k_m", runtime=runtime)
    assert found.decode == pytest.approx(float(plain.at(1, 64).tokens_per_s))
    request = forecast_request(plain, Request(prompt=2048, ubatch=512))
    assert found.prompt == pytest.approx(2048 / request.seconds_to_first)
    assert (found.kind, found.machine) == ("whole on the GPU", "rtx-4070-laptop")


def test_experts_in_ram_cost_a_decode_and_a_small_micro_batch():
    """More of them is slower; a larger micro-batch copies them for more tokens at once; each row keeps what was measured of it."""
    model = load_named("gpt-oss-20b").model
    some, all_of_them = (by_fit(model, 25, n) for n in (14, 24))
    rows = split_score(
        [
            published(id="a", split=some),
            published(id="b", split=all_of_them),
            published(id="c", split=all_of_them, ubatch=2048),
            published(id="d", split=all_of_them, ubatch=2048, tokens_per_s=30.0),
        ]
    ).rows
    assert [each.id for each in rows] == ["a", "b", "c", "d"]
    assert rows[0].decode > rows[1].decode == rows[2].decode
    assert rows[2].prompt > rows[1].prompt
    assert (rows[3].decode, rows[3].decode_measured) == (rows[2].decode, 30.0)
    assert {each.kind for each in rows} == {"experts in RAM"}


def test_what_cannot_be_forecast_says_why():
    """Too large for both memories."""
    found = split_score([published("deepseek-v3", weights="q8_0", split=Split(tuple(range(61))))])
    assert found.rows == ()
    assert [each.reason for each in found.skipped] == ["does not fit in the device's memory, as it is counted here"]


def test_errors_are_of_rates():
    """+10 % and -20 %; in logarithms the furthest off is the prompt that is half as fast."""
    found = SplitScore((row(), row(id="b", decode=8.0, prompt=50.0)))
    assert found.median_abs_error() == pytest.approx(0.15)
    assert found.median_abs_error("prompt") == pytest.approx(0.35)
    assert found.bias("prompt") == pytest.approx((math.log(0.8) + math.log(0.5)) / 2)
    assert found.held == 1.0
    assert [each.id for each in found.worst(1, "prompt")] == ["b"]
    assert SplitScore(()).median_abs_error() is None


def test_groups_are_by_what_lies_in_ram():
    """Whole on the GPU, experts, layers, both; and by the publisher's format."""
    rows = (row(), row(experts_in_ram=0), row(layers_in_ram=2), row(experts_in_ram=0, layers_in_ram=2))
    assert set(SplitScore(rows).by("kind")) == {
        ("experts in RAM",), ("whole on the GPU",), ("layers and experts in RAM",), ("layers in RAM",),
    }  # fmt: skip
    assert rows[0].format == "q8_0"


def test_a_choice_loses_what_the_fastest_is_faster():
    """Forecast as the fastest is the split of 2 layers, measured at 9 and 11 for 12: a sixth is lost; of a single split none is judged."""
    rows = (
        row(experts_in_ram=2, decode=20.0, decode_measured=9.0),
        row(experts_in_ram=2, decode=20.0, decode_measured=11.0),
        row(experts_in_ram=3, decode=19.0, decode_measured=12.0),
        row(file="who/m q4_0 1.0"),
    )
    (choice,) = SplitScore(rows).choices()
    assert (choice.chosen.experts_in_ram, choice.fastest.experts_in_ram, choice.n_splits) == (2, 3, 2)
    assert choice.lost == pytest.approx(1 / 6)


def test_a_prompt_is_chosen_with_its_micro_batch():
    """The same split at two of them is two settings for a prompt, and one for a decode."""
    found = SplitScore((row(), row(ubatch=1024, prompt=120.0, prompt_measured=150.0)))
    assert found.choices() == ()
    (choice,) = found.choices("prompt")
    assert (choice.chosen.ubatch, choice.lost) == (1024, 0.0)


def test_random_tokens_choose_fewer_experts_than_uniform_ones():
    """Four in ten stay unused by 512 tokens; one token uses its eight all the same. Dense models have none to choose."""
    model = load_named("qwen3.5-35b-a3b").model
    (ffn, *_), routing = model.experts, random_tokens(model, 10)
    share = np.array([float(mean_read(routing, ffn, n)) for n in (1, 512, 4096)]) / 256
    assert share[0] == 8 / 256
    assert share[1:] == pytest.approx([0.57, 0.77], abs=0.01)
    assert isinstance(random_tokens(load_named("qwen3.5-4b").model, 10), Uniform)
