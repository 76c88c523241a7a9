"""Drafts on machines of several parts: where whoever drafts lies, and room for them where a model was placed without."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.forecast.scenario import scenario
from simulator.forecast.speculation import Speculating, speculate
from simulator.spec.speculation import Speculation

MTP = Speculation("mtp", 3, 0.8)


@pytest.fixture(scope="module")
def tight():
    """A mixture whose experts lie in RAM as far as a card of 12 GB has no room for them."""
    return scenario("qwen3.5-35b-a3b", "rtx-4070+laptop-ddr5", weights="q4_k_m")


@pytest.fixture(scope="module")
def drafted(tight):
    """The same with a block that drafts."""
    return Speculating.of(tight, MTP)


def in_ram(base):
    """Layers whose experts lie beside them in RAM."""
    return len({layer for layer, _ in base.placement.apart})


def test_room_is_made_for_whoever_drafts(tight, drafted):
    """More experts go to RAM until all of it fits; plain decoding beside it stays as it is placed without."""
    found = drafted.at(1, 1024)
    assert in_ram(drafted.placed) > in_ram(tight)
    assert found.fits
    assert found.plain.placement == tight.placement
    assert not replace(drafted, placed=tight).at(1, 1024).fits
    (told,) = (each for each in drafted.assumptions() if "in RAM" in each)
    assert told.endswith(f"-ngl 99 --n-cpu-moe {in_ram(drafted.placed)}")


def test_a_placement_that_somebody_named_is_kept(tight):
    """It does not fit then, and that is said of the part that is too small."""
    asked = Speculating.of(replace(tight, placed_for=None), MTP)
    found = asked.at(1, 1024)
    assert asked.placed.placement == tight.placement
    assert not found.fits
    part, needed, limit = max(found.held, key=lambda each: each[1] - each[2])
    assert part.name == "rtx-4070"
    assert needed > limit
    assert np.isnan(found.tokens_per_s(0.8))


def test_no_room_is_made_where_there_is_enough():
    """A smaller format lies as it did without drafts."""
    base = scenario("qwen3.5-27b", "rtx-3090+laptop-ddr5", weights="q3_k_m")
    asked = Speculating.of(base, MTP)
    assert asked.placed is base
    assert not any("in RAM" in each for each in asked.assumptions())


def test_a_block_lies_with_the_last_layer(drafted):
    """Its experts where those of the last layer are."""
    last = len(drafted.placed.placement.layers) - 1
    placed = drafted.drafter.placement
    assert set(placed.layers) == {drafted.placed.placement.layers[last]}
    there = {role: place for (layer, role), place in drafted.placed.placement.apart.items() if layer == last}
    assert {role: place for (_, role), place in placed.apart.items()} == there


def test_a_draft_model_lies_on_the_first_device():
    """All of it, and the second card holds no more than the model's own."""
    base = scenario("qwen3-32b", "2xrtx-3090", weights="q4_k_m", runtime="llama.cpp")
    asked = Speculation("draft", 3, 0.6, "qwen3-0.6b")
    with_draft = speculate(base, asked)
    without = speculate(base, Speculation("ngram", 3, 0.6))
    assert with_draft.memory_bytes > without.memory_bytes
    assert any("all of it on" in each for each in with_draft.whole.assumptions())


def test_a_model_read_from_a_drive_is_refused():
    """How its reads are shared is not known."""
    base = scenario("qwen3-30b-a3b", "pi5-16gb", weights="q8_0", storage="nvme")
    with pytest.raises(InputError, match="--storage: how a drafter and a model"):
        Speculating.of(base, Speculation("ngram", 2, 0.8))
