"""The engine's speeds as a hardware file has them: kernels, attention, starts, and all other work."""

from dataclasses import replace
from statistics import NormalDist

import pytest
from readings import PI5, SERVER, WHEN, bytes_per_s, described, readings_of, timed

from simulator.forecast.ops import WORK
from simulator.probe.attention import QUERIES
from simulator.probe.clock import Sample
from simulator.probe.describe import hardware_fields
from simulator.probe.kernels import MATRIX_BYTES, PIECE_BYTES, whole_panels
from simulator.units import KI


def test_kernels_are_shares_of_the_reads_beside_them():
    """The formula's kernels read at 0.9 of a pure read or compute at 160 Gop/s: 16 tokens of 64 MiB on four threads."""
    engine = described(PI5)["engine"]
    one, many = (engine["kernels"][4]["q8_0"][n] for n in (1, 16))
    assert one["memory_share"]["value"] == pytest.approx(0.9, rel=1e-3)
    assert one["cache_share"]["value"] == pytest.approx(
        0.9 if bytes_per_s(PI5, 4, 512 * KI) < 40e9 else 80 / 240, rel=1e-3
    )
    assert one["cached_gop_per_s"]["value"] == pytest.approx(40 * 4)
    assert many["cached_gop_per_s"]["value"] == pytest.approx(40 * 4 * 4)
    assert many["memory_share"]["value"] == pytest.approx(640e9 / 32 / 16e9 if 640 / 32 < 16 * 0.9 else 0.9, rel=1e-3)
    assert set(engine["kernels"]) == set(engine["attention"]) == set(engine["phase_us"]) == {1, 2, 4}
    assert set(engine["columns"]) == set(engine["small_tiles"]) == {4}
    assert engine["columns"][4]["q8_0"][1]["start_us"]["value"] == 5
    assert engine["attention"][4]["f16"][4]["again_gop_per_s"]["value"] == pytest.approx(4e6 * 4 / 8e-5 / 1e9)
    assert engine["kernels"][4]["q8_0"][64]["memory_share"]["value"] == pytest.approx(640e9 / 128 / 16e9, rel=1e-3)
    assert set(engine["attention"][1]["f16"]) == set(QUERIES)
    assert [figure["value"] for figure in engine["read_gb_per_s"][4]] == pytest.approx([400, 240, 16], rel=1e-3)


def test_attention_keeps_both_reads_that_it_was_timed_beside():
    """2 MB in 10 us in the shared cache, for four queries alone; memory's were read at 15 GB/s."""
    readings = readings_of(PI5)
    speeds = readings.attention[4].speeds
    speeds[4] = replace(speeds[4], cache_read=timed(1e-5, bytes=2e6))
    found = hardware_fields(readings, "mine", WHEN)["engine"]["attention"][4]["f16"]
    assert found[4]["cache_gb_per_s"]["value"] == 200
    assert "cache_gb_per_s" not in found[1]
    assert found[1]["memory_gb_per_s"]["value"] == pytest.approx(15)


def test_starting_a_matrix_takes_what_the_formula_says():
    """2 us for each, in memory and in the shared cache, whatever whole panels make of the sizes."""
    engine = described(SERVER)["engine"]
    for key in ("start_us", "shared_start_us"):
        assert set(engine[key]) == {1, 48, 96}
        assert engine[key][96]["value"] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(("noise_us", "spread"), [(0.1, 0.1 / 0.43), (2.0, 1.0)])
def test_a_start_is_seen_through_noise(noise_us, spread):
    """0.43 us for each matrix, whether single rounds scatter by 0.1 us or by 2: then four in ten find less than nothing."""
    readings = readings_of(PI5)
    large, small = (readings.samples[f"start 4 {where}"] for where in ("memory", "pieces"))
    more = small.bytes / whole_panels("q8_0", PIECE_BYTES) - large.bytes / whole_panels("q8_0", MATRIX_BYTES)
    normal = [NormalDist(0.43e-6, noise_us * 1e-6).inv_cdf((number + 0.5) / 41) for number in range(41)]
    readings.samples["start 4 memory"] = replace(large, seconds=(8e-3,) * 41)
    readings.samples["start 4 pieces"] = replace(small, seconds=tuple(8e-3 + more * each for each in normal))
    found = hardware_fields(readings, "mine", WHEN)["engine"]["start_us"][4]
    assert found["value"] == pytest.approx(0.43, rel=1e-3)
    assert found["spread"] == pytest.approx(spread, rel=0.05)
    assert found["count"] == 41


def test_tokens_and_runs_are_seen_through_noise():
    """Three of seven rounds found less than nothing: the middle one counts, 1 and 2 us."""
    readings = readings_of(PI5)
    noisy = Sample(tuple(each * 1e-6 for each in (-3, 1, 4, -1, 5, 7, -2)))
    twice = Sample(tuple(2 * each for each in noisy.seconds))
    readings.overheads[1] |= {"token": noisy, "cold token": twice}
    readings.attention[1] = replace(readings.attention[1], run=twice)
    items = hardware_fields(readings, "mine", WHEN)["engine"]["item_ns"][1]
    assert {work: items[work]["value"] for work in ("token", "cold token", "run")} == pytest.approx(
        {"token": 1000, "cold token": 2000, "run": 2000}
    )
    assert items["token"]["spread"] == 1.0


def test_work_is_that_which_forecasts_ask_for():
    """One thread's items include a token, warm and cold in either cache, and all counts what it takes to begin with a head's cache."""
    engine = described(PI5)["engine"]
    assert set(engine["item_ns"][1]) == set(WORK)
    assert set(engine["item_ns"][4]) == set(WORK) - {"token", "cold token", "shared token"}
    assert engine["item_ns"][4]["norm"]["value"] == 5
    assert engine["item_ns"][1]["token"]["value"] == 1000
    assert engine["step_us"]["value"] == 100
    assert engine["cold_step_us"]["value"] == 300
    assert engine["shared_step_us"]["value"] == 200
    assert engine["phase_us"][2]["value"] == 2
