"""Weights in a file larger than the RAM beside a GPU: read from the drive whoever computes them, at each point of a grid."""

import numpy as np
import pytest

from simulator import Request, forecast_request, scenario
from simulator.forecast.request import with_room_for

MODEL, MACHINE = (
    "gpt-oss-120b",
    "rtx-3090+ryzen-7950x",
)  # 59 GiB of weights, of which 24 GB of the card hold less than half
STORAGE_GB_PER_S = 7.0


def larger_than_ram(ram=32, **asked):
    """Of a model of 59 GiB on a machine with so many GiB of RAM."""
    return scenario(MODEL, MACHINE, ram=ram, storage=str(STORAGE_GB_PER_S), **asked)


def test_a_prompt_waits_for_what_ram_does_not_hold():
    """Its 512 tokens use nearly all experts: what lies in RAM by the placement and has no room there is read at 7 GB/s at least."""
    base = larger_than_ram()
    found, plain = (forecast_request(each, Request(512)) for each in (base, larger_than_ram(ram=128)))
    (host,) = (each for each in base.held(1, 512) if each.mapped_bytes)
    missing = host.mapped_bytes - float(host.room_bytes)
    assert missing > 2e9
    assert found.reading.parts["storage"] > 0.9 * missing / (STORAGE_GB_PER_S * 1e9)
    assert plain.reading.parts["storage"] == 0
    waited = found.seconds_to_first - plain.seconds_to_first
    assert waited == pytest.approx(found.reading.parts["storage"], rel=0.05)


def test_what_is_brought_is_held_where_it_lies():
    """From 32 tokens on the GPU computes weights in RAM, and these alone wait for the drive."""
    point = larger_than_ram(batch=32).at(32, 256)
    assert point.fits
    waiting = [each.op for each in point.ops if np.any(each.storage_s)]
    assert waiting
    assert {(op.place, op.held_at, op.home) for op in waiting} == {(0, 1, 1)}
    assert not any(each.op.held_at for each in larger_than_ram().at(1, 256).ops)


def test_a_grid_of_few_and_of_many_tokens_is_its_points():
    """Batches that the CPU computes and batches that are brought to the GPU, in one array."""
    base, batches = larger_than_ram(batch=64), np.array([1, 31, 32, 64])
    grid = base.at(batches, 256)
    assert np.all(grid.fits)
    for number, batch in enumerate(batches):
        one = base.at(int(batch), 256)
        assert grid.parts["storage"][number] == pytest.approx(float(one.parts["storage"]), rel=1e-12)
        assert grid.seconds_per_step[number] == pytest.approx(float(one.seconds_per_step), rel=1e-12)
    assert np.all(grid.parts["storage"] > 0)


def test_another_micro_batch_keeps_copies_left_out():
    """Passes of 2,048 tokens of a model that is larger than memory: both settings of the runtime hold, and are said once."""
    base = larger_than_ram()
    assert base.copying.repacks
    found = with_room_for(base, Request(4096, ubatch=2048))
    assert (found.runtime.micro_batch, found.runtime.repacks) == (2048, {})
    assert found.copying.repacks
    assert found.remarks == base.remarks


def test_a_grid_works_its_curves_out_once(monkeypatch):
    """Which experts stay depends on tokens passed and not on those of a step: 40 batches need no more curves than one does."""
    from simulator.forecast import paging

    asked, plain = [], paging.step_chances

    def counted(chances, new_tokens):
        asked.append(np.size(chances) * np.size(new_tokens))
        return plain(chances, new_tokens)

    monkeypatch.setattr(paging, "step_chances", counted)
    base = scenario("qwen3-30b-a3b", "pi5-8gb", weights="2.70bpw", storage="nvme")
    values = []
    for batches in (1, np.arange(1, 41)):
        paging._stays.cache_clear()
        asked.clear()
        assert np.any(base.at(batches, 256).parts["storage"])
        values.append(sum(asked))
    assert values[1] < 1.2 * values[0]


def test_utilisation_of_parts_is_of_their_own_memories():
    """936.2 GB/s of the card and 83.2 of DDR5-5200: what each holds is read at its own at best, one after the other."""
    point = scenario("gpt-oss-120b", MACHINE, ram=128).at(1, 1024)
    card, ram = (
        sum(each.op.count * each.op.cost.streamed_bytes for each in point.ops if each.op.place == place)
        for place in (0, 1)
    )
    assert ram > 0
    expected = (card / 936.2e9 + ram / 83.2e9) / point.seconds_per_step
    assert point.bandwidth_utilisation == pytest.approx(float(expected), rel=1e-6)
    assert point.bandwidth_utilisation < 1
    brought = scenario("gpt-oss-120b", MACHINE, ram=128, batch=64).at(64, 1024)
    assert 0 < brought.bandwidth_utilisation < 1
    alone, machine = (scenario("qwen3-4b", each, weights="q8_0").at(1, 1024) for each in ("rtx-3090", MACHINE))
    assert machine.bandwidth_utilisation == pytest.approx(float(alone.bandwidth_utilisation), rel=1e-9)
