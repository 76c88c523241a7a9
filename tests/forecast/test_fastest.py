"""The search for the fastest split: beside all placements one by one, and limits that hold on any machine."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.forecast.fastest import ALIKE, Trials, best_of, fastest, first_of, fitted_ways, seconds_along, ways
from simulator.forecast.fit import Held
from simulator.forecast.placing import over_gpus
from simulator.forecast.scenario import scenario
from simulator.forecast.split_command import llama_options
from simulator.forecast.splits import by_format, by_way, instead
from simulator.importers.open import load_model
from simulator.spec.machine import load_hardware
from simulator.spec.placement import by_layers

CASES = {
    "a mixture": ("gpt-oss-120b", "rtx-3090+ryzen-7950x", None, 128, 1, 1024),
    "a mixture in a batch": ("qwen3-30b-a3b", "rtx-3060+ryzen-5600x", "q4_k_m", 32, 64, 1024),
    "a dense model": ("llama-3-70b", "rtx-3090+ryzen-7950x", "q4_k_m", 64, 1, 1024),
    "a long context": ("llama-3-70b", "rtx-3090+ryzen-7950x", "q4_k_m", 64, 1, 32_768),
    "two unequal cards": ("llama-3-70b", "rtx-3090+rtx-3060+ryzen-7950x", "q4_k_m", 64, 1, 1024),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_search_finds_what_trying_all_finds(case):
    """Every number of layers, of every way, timed and weighed one by one: none that fits is faster by more than ways are alike."""
    model, hardware, weights, ram, batch, context = case
    trials = scenario(model, hardware, weights=weights, ram=ram).trials(batch, context)
    every = [
        placement
        for way in ways(trials.model, trials.hardware, over_gpus(trials.model, trials.hardware))
        for placement in way
        if trials.fits(placement)
    ]
    found = fastest(trials)
    assert trials.fits(found)
    assert trials.seconds(found) <= ALIKE * min(map(trials.seconds, every))


@pytest.mark.parametrize("case", [CASES["a mixture"], CASES["a dense model"]], ids=["a mixture", "a dense model"])
def test_seconds_along_a_way_are_those_of_its_placements(case):
    """Of a mix that has several formats, and across the head at the end."""
    model, hardware, weights, ram, batch, context = case
    trials = scenario(model, hardware, weights=weights, ram=ram).trials(batch, context)
    for way in ways(trials.model, trials.hardware, over_gpus(trials.model, trials.hardware)):
        exact = [trials.seconds(placement) for placement in way]
        np.testing.assert_allclose(seconds_along(way, trials), exact, rtol=1e-6)


def test_what_fits_on_the_cards_is_not_split():
    """All on the first that holds it; and more memory never makes it slower."""
    small = scenario("llama-3-8b", "rtx-3090+ryzen-7950x", weights="q4_k_m")
    assert small.placement == by_layers((32,))
    assert by_way(small, 1, 1024) == ()
    rates = [
        float(scenario("gpt-oss-120b", name, ram=128).at(1, 1024).tokens_per_s)
        for name in ("rtx-3060+ryzen-7950x", "rtx-3090+ryzen-7950x", "2xrtx-3090+ryzen-7950x", "3xrtx-3090+ryzen-7950x")
    ]
    assert rates == sorted(rates)


def made_up(costs, room=2.5, ram=10.0):
    """Trials of four layers with experts, each of one byte, that take so many seconds more in RAM."""
    model = load_model("gpt-oss-20b").model
    model = model.model_copy(update={"layers": (model.layers[0].model_copy(update={"repeat": 2}),)})
    hardware = load_hardware("rtx-3090+ryzen-7950x")

    def in_ram(placement):
        return {index for index, _ in placement.apart} | {n for n, place in enumerate(placement.layers) if place}

    def held(placement):
        n = len(in_ram(placement))
        gpu, host = hardware.parts
        return Held(gpu, 4.0 - n, 0.0, 0.0, room), Held(host, float(n), 0.0, 0.0, ram)

    def seconds(placement):
        alone = 1.0 if any(placement.layers) else 0.0  # a whole layer costs more than its experts
        return 10.0 + alone + sum(costs[index] for index in in_ram(placement))

    weights = scenario("gpt-oss-20b", "rtx-3090").load.weights
    return Trials(model, hardware, weights, held, seconds)


def test_a_faster_host_takes_more_than_it_has_to():
    """Where each layer is faster in RAM all go there, as far as there is room; where only the first is slower, too."""
    assert n_apart(fastest(made_up([1, 1, 1, 1]))) == 2
    assert n_apart(fastest(made_up([-1, -1, -1, -1]))) == 4
    assert n_apart(fastest(made_up([1, 1, -3, -1]))) == 4
    assert n_apart(fastest(made_up([-1, -1, -1, -1], ram=3.0))) == 3


def test_where_nothing_fits_the_least_is_missing():
    """RAM for one layer, a card for two, of four: no split holds them, and the nearest is given."""
    trials = made_up([1, 1, 1, 1], room=2.0, ram=1.0)
    assert not trials.fits(fastest(trials))
    assert fitted_ways(trials) == []
    assert trials.lacking_bytes(fastest(trials)) == 1.0
    way = ways(trials.model, trials.hardware, by_layers((4,)))[0]
    assert best_of(first_of(way, trials), trials) == first_of(way, trials)


def n_apart(placement):
    """Layers whose experts lie in RAM."""
    return len({index for index, _ in placement.apart})


def test_a_dense_model_keeps_its_cache_on_the_card_when_that_is_long():
    """Whole layers in RAM at a short context, as people do; at a long one the networks alone, with their option."""
    base = scenario("llama-3-70b", "rtx-3090+ryzen-7950x", weights="q4_k_m")
    words = [
        " ".join(llama_options(base.loaded.model, base.hardware, fastest(base.trials(1, context))))
        for context in (512, 32_768)
    ]
    assert words[0].startswith("-ngl ")
    assert "--n-cpu-ffn" not in words[0]
    assert "--n-cpu-ffn" in words[1]


def test_each_format_is_placed_anew():
    """Smaller formats leave less in RAM; each at its own context, the fastest first."""
    base = scenario("gpt-oss-120b", "rtx-3090+ryzen-7950x", ram=128)
    found = by_format(base, 1, [1024, 65_536])
    assert {each.context for each in found} == {1024, 65_536}
    near = [each for each in found if each.context == 1024]
    assert [each.tokens_per_s for each in near] == sorted((each.tokens_per_s for each in near), reverse=True)
    apart = {(each.base.load.weights.name, each.context): n_apart(each.base.placement) for each in found}
    assert apart["q4_k_m", 1024] < apart["q8_0", 1024]
    assert apart["q4_k_m", 1024] < apart["q4_k_m", 65_536]
    for each in near[:2]:
        assert each.tokens_per_s == pytest.approx(float(each.base.at(1, 1024).tokens_per_s))


def test_what_does_not_fit_says_what_would():
    """With RAM beside it, in a smaller format, on more cards, or on the next card that holds it."""
    base = scenario("llama-3-70b", "rtx-3090", weights="q4_k_m")
    found = dict(instead(base, 1, 1024))
    split, smaller, more, device = found
    assert split == "rtx-3090+ryzen-7950x --ram 32"
    assert smaller == "--weights iq2_xxs"
    assert more == "2xrtx-3090"
    assert load_hardware(device).vendor == "nvidia"
    for each in found.values():
        assert each.base.fits(1, 1024)
        assert each.tokens_per_s > 0
    less = replace(base, hardware=load_hardware("rtx-3060"))
    assert dict(instead(less, 1, 1024)).keys() != found.keys()


def test_what_several_devices_do_not_hold_more_or_larger_ones_do():
    """671 GB in fp8 on eight H100s: sixteen of them, or eight cards with more memory; both hold it."""
    base = scenario("deepseek-v3", "8xh100-sxm", weights="fp8")
    found = dict(instead(base, 1, 1024))
    assert "16xh100-sxm" in found
    *_, larger = found
    assert larger.startswith("8x")
    assert all(each.base.fits(1, 1024) for each in found.values())


def test_vllm_brings_layers_over_and_is_told_how_much():
    """Weights cross in each step, so every further layer in RAM costs its bytes over the link."""
    base = scenario("llama-3-70b", "rtx-3090+ryzen-7950x", weights="int4-g128", runtime="vllm", ram=64)
    assert base.placement.crosses
    assert base.fits(1, 1024)
    in_ram = sum(place == 1 for place in base.placement.layers)
    fewer = replace(base, placement=replace(base.placement, layers=(1,) * (in_ram - 1) + (0,) * (81 - in_ram)))
    assert not fewer.fits(1, 1024)
    assert float(fewer.at(1, 1024).seconds_given_memory) < float(base.at(1, 1024).seconds_given_memory)
