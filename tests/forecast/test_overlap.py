"""Passes of a prompt on several GPUs that have other layers each: seconds by hand."""

import pytest

from simulator import Request, forecast_request, scenario
from simulator.forecast.overlap import seconds_of_all


@pytest.mark.parametrize(("passes", "stages"), [(1, 4), (8, 2), (5, 3), (2, 4)])
def test_equal_passes_in_equal_stages(passes, stages):
    """P passes of 1 s in S stages: P + S - 1 stages' times, where one after the other they take P x S."""
    found = seconds_of_all([1.0] * passes, [1 / stages] * stages, at_once=4)
    assert found == pytest.approx((passes + stages - 1) / stages)


def test_the_slowest_stage_sets_the_pace():
    """Of 1/4 and 3/4 s: the second works without a break from 1/4 s on, three times."""
    assert seconds_of_all([1.0, 1.0, 1.0], [0.25, 0.75], at_once=4) == pytest.approx(0.25 + 3 * 0.75)


def test_passes_wait_for_room_for_their_inputs():
    """Of 4 passes in 8 stages of 1/8 s the last leaves at 11/8 s, but the fifth enters only when the first has left: at 1 s."""
    assert seconds_of_all([1.0] * 4, [1 / 8] * 8, at_once=4) == pytest.approx(11 / 8)
    assert seconds_of_all([1.0] * 5, [1 / 8] * 8, at_once=4) == pytest.approx(1 + 1)


def seconds(hardware, ubatch=512, runtime="llama.cpp"):
    """Of reading 4,096 tokens."""
    base = scenario("llama-3-8b", hardware, weights="q4_k_m", runtime=runtime)
    found = forecast_request(base, Request(4096, ubatch=ubatch))
    return found.seconds_to_first, found


def test_two_equal_cards_read_a_prompt_nearly_twice_as_fast():
    """Of 8 passes: 9 half passes instead of 16; a prompt in one pass gains nothing."""
    (one, _), (two, found) = seconds("rtx-3090"), seconds("2xrtx-3090")
    assert two / one == pytest.approx(9 / 16, rel=0.05)
    assert "passes of the prompt overlap" in found.remarks[0]
    (one, _), (two, found) = seconds("rtx-3090", 4096), seconds("2xrtx-3090", 4096)
    assert two >= one
    assert found.remarks == ()


def test_layers_in_ram_end_the_overlap():
    """llama.cpp switches it off, and ik_llama.cpp is built without."""
    assert seconds("2xrtx-3090", runtime="ik_llama.cpp")[1].remarks == ()
    base = scenario("llama-3.1-70b", "rtx-3090+rtx-3060+ryzen-7950x", weights="q4_k_m")
    assert 2 in {*base.placement.layers, *base.placement.apart.values()}
    assert forecast_request(base, Request(4096)).remarks == ()
