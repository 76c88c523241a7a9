"""What the page of a report holds: the same numbers as one forecast after the other, in the bytes that a page can carry."""

import base64
import json
import struct

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.forecast.capacity import largest_context
from simulator.forecast.scenario import scenario
from simulator.report.crossings import crossings
from simulator.report.grid import build_grids
from simulator.report.page_data import BOUND_LETTERS, as_data
from simulator.report.record import record

MODELS, DEVICES = ("qwen3-30b-a3b", "llama-3-8b"), ("pi5-16gb", "rtx-4090")
SMALL = {"batches": (1, 3, 16), "contexts": (128, 1024, 8192)}


@pytest.fixture(scope="module")
def grids():
    """A mixture and a dense model on a board and a GPU."""
    return build_grids(MODELS, DEVICES, **SMALL)


@pytest.fixture(scope="module")
def data(grids):
    """The same as the page's script gets it."""
    return json.loads(json.dumps(as_data(grids)))


def value(data, place, batch, context=0):
    """A number of the pool, decoded by other means than it was written by."""
    rows, columns, text = data["pool"][place]
    numbers = struct.unpack(f"<{rows * columns}f", base64.b64decode(text))
    return numbers[(batch if rows > 1 else 0) * columns + (context if columns > 1 else 0)]


def points(data, every=1):
    """Every point of every surface of *every* so many formats, with what it is of."""
    for pair in data["pairs"]:
        for form in pair["formats"][::every]:
            for surface in form["routings"]:
                for number, batch in enumerate(data["batches"]):
                    for place, context in enumerate(data["contexts"]):
                        yield pair, form, surface, (number, place), (batch, context)


def test_every_point_is_the_forecast_of_its_scenario(data):
    """Rates, bound, memory, bytes and experts to the 7 digits of a float32, each forecast alone."""
    known = {}
    for pair, form, surface, at, (batch, context) in points(data, every=3):
        names = (MODELS[pair["model"]], DEVICES[pair["device"]], form["name"], surface["name"])
        base = known.setdefault(names, scenario(*names[:2], weights=names[2], routing=names[3]))
        told = record(base.at(batch, context))
        found = {
            **dict(
                zip(("total", "low", "high", "ceiling"), (value(data, n, *at) for n in surface["rates"]), strict=True)
            ),
            **dict(zip(told["bytes"], (value(data, n, *at) for n in surface["bytes"]), strict=True)),
            "memory": form["fixed"] + value(data, pair["held"], *at),
            "flops": sum(value(data, row[1], *at) for row in surface["parts"].values()),
        }
        wanted = {**told["bytes"], "memory": told["memory_bytes"], "flops": told["flops"]}
        if told["fits"]:
            keys = {"total": "", "low": "_low", "high": "_high", "ceiling": "_ceiling"}
            wanted |= {name: told[f"tokens_per_s{end}"] for name, end in keys.items()}
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=3e-7)
        assert surface["bound"][at[0] * len(data["contexts"]) + at[1]] == BOUND_LETTERS[told["bound"]]
        if told["distinct_experts"]:
            assert value(data, surface["distinct"], at[0]) == pytest.approx(told["distinct_experts"], rel=3e-7)


def test_the_seconds_of_the_parts_and_of_the_limits_are_those_of_the_step(data):
    """By part and by what limits, the step is the batch over its rate, wherever it fits and so has one."""
    for _, _, surface, at, (batch, _) in points(data):
        if surface["bound"][at[0] * len(data["contexts"]) + at[1]] == BOUND_LETTERS["does_not_fit"]:
            continue
        step = batch / value(data, surface["rates"][0], *at)
        assert sum(value(data, row[0], *at) for row in surface["parts"].values()) == pytest.approx(step, rel=1e-6)
        assert sum(value(data, place, *at) for place in surface["limits"]) == pytest.approx(step, rel=1e-6)


def test_crossings_are_those_found_one_context_at_a_time(grids):
    """Compute, cache and memory for each format and routing, and the deepest context for each batch."""
    seen = set()
    for pair in grids.pairs:
        for form in pair.formats:
            assert form.deepest == tuple(largest_context(form.base, batch) for batch in grids.batches)
            for surface in form.surfaces:
                alone = tuple(crossings(surface.base, context, 16) for context in grids.contexts)
                assert surface.crossings == alone
                seen |= {(found.compute_from is None, found.cache_from is None, found.fits_to) for found in alone}
    assert len(seen) > 5  # something of each kind happens


def test_zero_inputs_are_forecast_in_the_first_format(data):
    """Share 0 is the plain forecast; half of the inputs zero is `columns:0.5`."""
    pair = data["pairs"][0]
    name = pair["formats"][pair["default"]]["name"]
    half = data["zeros"].index(0.5)
    for share, text in ((0, None), (half, "columns:0.5")):
        base = scenario(MODELS[0], DEVICES[0], weights=name, sparsity=text)
        rates = base.at(np.array(data["batches"]), data["context"]).tokens_per_s
        assert [value(data, pair["sparse"][share], n) for n in range(3)] == pytest.approx(
            list(rates), rel=1e-6, nan_ok=True
        )


def test_a_command_names_what_was_asked_for():
    """Options are quoted, and what was left out is not named."""
    grids = build_grids(["llama-3-8b"], ["pi5-16gb"], threads=2, cache="q8_0", contexts=(1024,), batches=(2,))
    assert (grids.options, grids.models, grids.batches) == (" --cache q8_0 --threads 2", ("llama-3-8b",), (1, 2))


def test_contexts_that_no_model_was_made_for_are_left_out():
    """Llama 3 8B was made for 131,072 tokens here, Qwen3 for 40,960: the deepest that any is made for stays."""
    contexts = {"contexts": (1024, 65536, 131072, 262144), "batches": (1,)}
    assert build_grids(["qwen3-30b-a3b"], ["pi5-16gb"], **contexts).contexts == (1024,)
    assert build_grids(["qwen3-30b-a3b", "llama-3-8b"], ["pi5-16gb"], **contexts).contexts == (1024, 65536, 131072)


def test_named_formats_are_shown_and_the_first_that_fits_is_the_first_choice():
    """f16 of 8 billion weights is more than 15 GiB, q4_k_m is not; all routings are kept."""
    grids = build_grids(["llama-3-8b"], ["pi5-8gb"], weights=("f16", "q4_k_m"), **SMALL)
    (pair,) = grids.pairs
    assert [form.name for form in pair.formats] == ["q4_k_m", "f16"]
    assert pair.base.load.weights.name == "q4_k_m"


def test_a_named_format_that_does_not_suit_is_told_in_its_sentence(tmp_path):
    """Rows of 100 do not divide into blocks of 32: the message is the one of `simulate`."""
    path = tmp_path / "odd.yaml"
    path.write_text(
        "name: odd\nd_model: 100\nvocab: 1000\nlayers:\n- attention: {kind: grouped_query, n_heads: 2, n_kv_heads: 2, head_dim: 50}\n"
        "  ffn: {kind: gated, d_ff: 100}\n"
    )
    with pytest.raises(InputError, match="a row of 100 elements does not divide") as told:
        build_grids([path], ["pi5-16gb"], weights=("q4_k_m", "mxfp4"), runtime="roofline", **SMALL)
    with pytest.raises(InputError) as alone:
        scenario(path, "pi5-16gb", weights="mxfp4", runtime="roofline").at(1, 128)
    assert str(told.value) == str(alone.value)


def test_what_does_not_fit_is_kept():
    """It has its memory, and no point that fits."""
    (pair,) = as_data(build_grids(["deepseek-v3"], ["pi5-16gb"], **SMALL))["pairs"]
    assert {letter for form in pair["formats"] for letter in form["routings"][0]["bound"]} == {"x"}
    assert pair["formats"][0]["fixed"] > pair["limit"]


def test_a_small_budget_takes_routings_then_formats_then_contexts():
    """Each step leaves less, says so, and keeps the context that is shown and the first choice."""
    told = []
    for budget in (10**6, 20_000, 6_000, 1_000, 1):
        grids = build_grids(
            ["qwen3-30b-a3b"], ["pi5-16gb"], budget_bytes=budget, batches=(1, 8), contexts=(128, 1024, 4096, 8192)
        )
        (pair,) = grids.pairs
        surfaces = [len(form.surfaces) for form in pair.formats]
        told.append((len(surfaces), sum(surfaces), len(grids.contexts), len(grids.thinned)))
        assert 1024 in grids.contexts
        assert pair.base.load.weights.name == "q3_k_m"
    assert told[0] == (7, 21, 4, 0)
    assert told[1:] == sorted(told[1:], reverse=True)
    assert told[-1][:3] == (1, 1, 1)
    assert all(thinned for *_, thinned in told[1:])


def test_progress_is_told():
    """A share for each pair, from nothing on."""
    seen = []
    build_grids(MODELS, ["pi5-16gb"], **SMALL, progress=lambda share, what: seen.append((share, what)))
    assert seen == [(0.0, "qwen3-30b-a3b on pi5-16gb"), (0.5, "llama-3-8b on pi5-16gb")]
