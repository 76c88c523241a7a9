"""Layers dealt over the GPUs of a machine so that each is filled and none overflows."""

import numpy as np
import pytest

from simulator.forecast.dividing import evenly_filled
from simulator.forecast.scenario import scenario
from simulator.forecast.split_command import llama_options
from simulator.forecast.split_options import SplitOptions
from simulator.forecast.stages import by_shares
from simulator.spec.machine import load_hardware


def rate(base, context=1024):
    """Tokens per second of one sequence."""
    return float(base.at(1, context).tokens_per_s)


def flags(base):
    """Of llama.cpp's command line."""
    return llama_options(base.loaded.model, base.hardware, base.placement)


def test_rooms_are_filled_alike():
    """Ten equal items in rooms of 3 and 2 go 6 and 4; small first ones leave the first room more of them."""
    assert evenly_filled([1.0] * 10, [3.0, 2.0]) == (0,) * 6 + (1,) * 4
    assert evenly_filled([1.0, 1.0, 1.0, 1.0, 4.0, 4.0], [10.0, 10.0]) == (0,) * 5 + (1,)
    assert evenly_filled([5.0], [1.0, 9.0]) == (1,)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_division_fills_the_fullest_less(seed):
    """Beside all divisions of a dozen items in a row over three rooms."""
    random = np.random.default_rng(seed)
    sizes, rooms = random.uniform(0.1, 3.0, 12), random.uniform(1.0, 5.0, 3)

    def fullest(counts):
        return max(part.sum() / room for part, room in zip(np.split(sizes, np.cumsum(counts)[:-1]), rooms, strict=True))

    found = evenly_filled(list(sizes), list(rooms))
    best = min(fullest((one, two, 12 - one - two)) for one in range(13) for two in range(13 - one))
    assert fullest([found.count(room) for room in range(3)]) == pytest.approx(best, rel=1e-6)
    assert list(found) == sorted(found)


def test_two_cards_beside_ram_are_both_filled():
    """Experts of the first layers in RAM would leave the first of equal halves empty and overfill the second: it takes more layers.

    By llama.cpp's own halves gpt-oss-120b needs 27 of 23 GiB on the second card with as many experts in RAM.
    """
    pair = scenario("gpt-oss-120b", "2xrtx-3090+ryzen-7950x")
    first, second, ram = pair.held(1, 1024)
    assert bool(first.fits and second.fits and ram.fits)
    assert min(first.needed_bytes / first.limit_bytes, second.needed_bytes / second.limit_bytes) > 0.9
    words = flags(pair)
    shares = [int(share) for share in words[words.index("-ts") + 1].split(",")]
    assert by_shares(37, shares) == (*pair.placement.layers, pair.placement.head)
    halves = scenario(
        "gpt-oss-120b",
        "2xrtx-3090+ryzen-7950x",
        placement=SplitOptions(n_cpu_moe=int(words[words.index("--n-cpu-moe") + 1])),
    )
    assert not halves.held(1, 1024)[1].fits


def test_equal_cards_are_the_same_named_apart():
    """Label, placement and rate; and each further card makes it faster, up to where all is on them."""
    pair, apart = (
        scenario("gpt-oss-120b", name) for name in ("2xrtx-3090+ryzen-7950x", "rtx-3090+rtx-3090+ryzen-7950x")
    )
    assert pair.hardware.label == apart.hardware.label == "2xrtx-3090+ryzen-7950x"
    assert pair.hardware.full_title == apart.hardware.full_title
    assert pair.hardware.full_title.startswith("2 x NVIDIA GeForce RTX 3090, 24 GB + ")
    assert load_hardware("2xrtx-3090").full_title == "NVIDIA GeForce RTX 3090, 24 GB"  # of each
    assert (pair.placement, rate(pair)) == (apart.placement, rate(apart))
    one, three = (scenario("gpt-oss-120b", f"{n}xrtx-3090+ryzen-7950x") for n in (1, 3))
    assert rate(one) < rate(pair) < rate(three)
    assert flags(three) == ["-ngl", "99"]


def test_a_pattern_reaches_the_second_of_equal_cards():
    """`exps=CUDA1` takes the experts off the first, and so do shares of the layers."""
    options = SplitOptions(override_tensor=("exps=CUDA1",))
    first, second, _ = scenario("gpt-oss-120b", "2xrtx-3090+ryzen-7950x", placement=options).held(1, 1024)
    assert first.weight_bytes < 0.05 * second.weight_bytes
    shared = scenario("llama-3-70b", "2xrtx-3090", weights="q4_k_m", placement=SplitOptions(tensor_split="3,1"))
    assert [shared.placement.layers.count(place) for place in (0, 1)] == [61, 19]  # 0.75 of 81 with the head
