"""Which layers lie on which device, as llama.cpp and vLLM divide them."""

import pytest

from simulator.errors import InputError
from simulator.forecast.stages import equal_split, layer_split, stage_layers
from simulator.importers.open import load_model
from simulator.spec.machine import load_hardware


def of_memory(name: str, gib: float):
    """A device that can give so much."""
    device = load_hardware(name).with_all_memory()
    main = device.main_memory
    size = main.capacity_gib.model_copy(update={"value": gib})
    return device.model_copy(update={"memory": (*device.memory[:-1], main.model_copy(update={"capacity_gib": size}))})


def test_layers_go_by_memory_and_the_head_with_the_last():
    """24 and 12 GiB: 81 items of which item i goes to the first while i / 81 < 2 / 3, so items 0 to 53; 26 layers and the head."""
    model = load_model("llama-3-70b").model
    split = layer_split(model, [of_memory("rtx-3090", 24), of_memory("rtx-3060", 12)])
    assert split == (0,) * 54 + (1,) * 27
    assert layer_split(model, [of_memory("rtx-3060", 12), of_memory("rtx-3090", 24)]) == (0,) * 27 + (1,) * 54


def test_shares_are_given_for_each_device():
    """-ts 3,1 of 32 layers and the head: item i goes to the first while i / 33 < 0.75, so 25 of them; -ts 0,1 leaves it empty."""
    model = load_model("llama-3-8b").model
    cards = [load_hardware("rtx-3090"), load_hardware("rtx-3060")]
    assert layer_split(model, cards, (3, 1)) == (0,) * 25 + (1,) * 8
    assert layer_split(model, cards, (30, 10)) == layer_split(model, cards, (3, 1))
    assert set(layer_split(model, cards, (0, 1))) == {1}
    assert set(layer_split(model, cards, (1, 0))) == {0}


def test_equal_devices_of_one_part_count_each():
    """Two 3090 and a 4090, all of 24 GiB, are three equal shares: 11 items each, the first two parts' in one."""
    model = load_model("llama-3-8b").model
    two = load_hardware("rtx-3090").times(2, "layers")
    split = layer_split(model, [two, load_hardware("rtx-4090")])
    assert split == (0,) * 22 + (1,) * 11
    assert equal_split(32, 3) == (11, 11, 10)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((1,), "1 shares are given for 2 devices"),
        ((0, 0), "all are 0"),
        ((1, -2), "-2 is none"),
        ((1, float("nan")), "nan"),
    ],
)
def test_wrong_shares_are_refused(shares, message):
    """One for each device, from 0 on, not all of them 0."""
    model = load_model("llama-3-8b").model
    with pytest.raises(InputError, match=message):
        layer_split(model, [load_hardware("rtx-3090"), load_hardware("rtx-3060")], shares)


@pytest.mark.parametrize(
    ("n_layers", "stages", "layers"),
    [
        (80, 4, (20, 20, 20, 20)),
        (80, 3, (27, 27, 26)),
        (61, 8, (7, 7, 8, 8, 8, 8, 8, 7)),
        (32, 5, (6, 6, 7, 7, 6)),
        (3, 3, (1, 1, 1)),
    ],
)
def test_servers_give_what_is_left_over_to_stages_before_the_last(n_layers, stages, layers):
    """vLLM: 61 layers in 8 stages are 7 each, and the five that are left go to the third to seventh."""
    assert stage_layers(n_layers, stages) == layers


def test_no_stage_is_empty():
    """At most one stage for each layer."""
    with pytest.raises(InputError, match="33 stages for 32 layers"):
        stage_layers(32, 33)
