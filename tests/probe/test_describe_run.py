"""A run as a hardware file keeps it: its figures, and what is remarked on the machine's state and unrest."""

from dataclasses import replace

import pytest
from readings import HOSTS, PI5, WHEN, described, readings_of, remarks_on, timed

from simulator.probe.clock import Sample
from simulator.probe.describe import hardware_fields
from simulator.probe.describe_run import noise_of
from simulator.spec.doubt import RESTLESS
from simulator.spec.hardware import Hardware


@pytest.mark.parametrize("name", ["pi5", "server", "hybrid", "one core", "small"])
def test_nothing_is_remarked_where_all_is_well(name):
    """Caches where the system says, figures that scatter little."""
    assert remarks_on(HOSTS[name]) == []


@pytest.mark.parametrize(
    ("noise", "is_told"), [(0.0, False), (RESTLESS - 0.001, False), (RESTLESS + 0.001, True), (0.3, True)]
)
def test_a_restless_memory_is_remarked_on(noise, is_told):
    """From a spread of 8 % on, with the readings that a tenth lies beyond."""
    notes = noise_of(readings_of(PI5, noise=noise))
    assert len(notes) == is_told
    if noise == 0.3:  # 16 GB/s, a tenth of five readings is none: the extremes lie 1.2816 spreads off
        assert "within 17 s the memory gave from 10.9 to 23.5 GB/s" in notes[0]
        assert "off by some 30 %" in notes[0].replace("30%", "30 %")


def test_the_state_of_the_machine_is_remarked_on():
    """What was said before measuring stays with the figures."""
    assert remarks_on(replace(PI5, temperature_c=85.0)) == [
        "the processor is at 85 °C, where it may slow down: let it cool first"
    ]


def test_a_run_is_kept_with_its_figures():
    """When, how long, how many rounds, and the speeds that tell runs apart."""
    (run,) = described(PI5)["runs"]
    assert run["when"] == "2026-11-23 04:05"
    assert (run["seconds"], run["rounds"]) == (17.3, 5)
    assert {name: figure["value"] for name, figure in run["figures"].items()} == {
        "read_gb_per_s": 16, "f32_tflops": 0.2, "int8_tflops": 0.8,
    }  # fmt: skip


def test_decodes_that_scatter_more_than_memory_are_told():
    """The reference models by 30 %, memory by 2 %: it is decodes that are forecast."""
    readings = readings_of(PI5)
    everyone = readings.plan.threads[-1]
    names = [name for name in readings.samples if name.startswith(f"reference {everyone} ")]
    readings.samples.update({name: timed(5e-3, 0.3) for name in names})
    (note,) = noise_of(readings)
    assert "decodes of the same models scattered by 30%" in note


def test_a_machine_of_two_speeds_is_described_in_its_file():
    """Sixty readings of memory, in turns of two at 10 GB/s and three at 16: speeds, shares and changes."""
    readings = readings_of(PI5)
    size = readings.plan.buffer_bytes
    rates = [10e9, 10e9, 16e9, 16e9, 16e9] * 12
    seconds = tuple(size / rate * (1 + 0.02 * (place % 3 - 1)) for place, rate in enumerate(rates))
    readings.samples[f"read {readings.plan.threads[-1]} {size}"] = Sample(seconds, bytes=size)
    hardware = Hardware.model_validate(hardware_fields(readings, "mine", WHEN))
    (run,) = hardware.runs
    assert (
        "two states: reading memory at 10.0 GB/s 40% of the time and at 16.0 GB/s 60%, with 23 changes in 60 readings"
        in run.notes
    )
    slow, fast = run.figures["slow_read_gb_per_s"], run.figures["fast_read_gb_per_s"]
    assert (slow.value, slow.count, slow.how) == (pytest.approx(10, rel=1e-3), 24, "40% of the readings")
    assert (fast.value, fast.count) == (pytest.approx(16, rel=1e-3), 36)


def test_a_machine_of_one_speed_has_no_states_in_its_file():
    """Five readings say nothing of that, and noise is none."""
    (run,) = hardware_fields(readings_of(PI5), "mine", WHEN)["runs"]
    assert "slow_read_gb_per_s" not in run["figures"]
    assert not [note for note in run["notes"] if "two states" in note]
