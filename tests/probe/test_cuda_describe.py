"""What was timed on a GPU, as a hardware file: samples of known numbers."""

from dataclasses import replace

import pytest
import yaml
from gpus import CARD

from simulator.probe.clock import Sample
from simulator.probe.cuda.describe import (
    LAUNCH,
    LAUNCH_AND_WAIT,
    MULTIPLY_ADD,
    SIZES,
    TRANSFERS,
    gpu_hardware,
    guess_class,
    guess_name,
    product_name,
    stream_name,
)
from simulator.spec.hardware import Hardware
from simulator.units import GI, MI


def curve(knee, cache_bytes_per_s, memory_bytes_per_s, sizes=SIZES):
    """Three samples of reading at each size: the cache's rate up to the knee, a mixture to twice that, then the memory's."""
    samples = {}
    for size in sizes:
        hits = min(1.0, max(0.0, 2 - size / knee))
        seconds = size * (hits / cache_bytes_per_s + (1 - hits) / memory_bytes_per_s)
        samples[stream_name("read", size)] = Sample((0.99 * seconds, seconds, 1.01 * seconds), bytes=size)
    return samples


def everything():
    """Samples of all probes of a GPU with a knee at 48 MiB."""
    samples = curve(48 * MI, 6e12, 3e12)
    samples[stream_name("copy", 4 * GI)] = Sample((4 * GI / 2.8e12,) * 3, bytes=4 * GI)
    samples[stream_name("triad", 4 * GI)] = Sample((3 * GI / 2.9e12,) * 3, bytes=3 * GI)
    samples[MULTIPLY_ADD] = Sample((1e-3,) * 3, flops=60e9)
    samples[product_name("bf16")] = Sample((1.4e-3,) * 3, flops=2 * 8192**3)
    samples[LAUNCH], samples[LAUNCH_AND_WAIT] = Sample((2.1e-6,) * 3), Sample((7.5e-6,) * 3)
    samples[TRANSFERS[0]] = Sample((256 * MI / 55e9,) * 3, bytes=256 * MI)
    samples[TRANSFERS[1]] = Sample((256 * MI / 50e9,) * 3, bytes=256 * MI)
    return samples


def test_samples_become_a_valid_hardware_file():
    """Every figure where the schema has it, in its unit: 6 TB/s in the L2 and 3 behind it, 2 * 8192^3 flop in 1.4 ms."""
    fields = gpu_hardware(CARD, everything(), "2026-11-23 12:00")
    hardware = Hardware.model_validate(yaml.safe_load(yaml.safe_dump(fields)))
    cache, memory = hardware.memory
    assert (cache.name, cache.capacity_mib.value, cache.gb_per_s.value) == ("L2", 48, 6000)
    assert cache.gb_per_s.how.endswith(" MiB, the middle of 4 sizes from 2 MiB to 16 MiB")
    assert (memory.capacity_gib.value, memory.gb_per_s.value, memory.gb_per_s.best) == (80, 3000, 3030)
    assert (memory.gb_per_s.provenance, memory.gb_per_s.source, memory.gb_per_s.count) == ("measured", "profile", 3)
    assert memory.gb_per_s.spread == pytest.approx(0.0074, abs=1e-4)  # half of 2 % between the quartiles, over 0.6745
    assert {name: peak.value for name, peak in hardware.peaks_tflops.items()} == {"f32": 60, "bf16": 785.4}
    assert hardware.peaks_tflops["bf16"].how == "cuBLAS, matrices of 8192 x 8192, sums in f32"
    assert hardware.launch_us.value == 2.1
    assert hardware.launch_us.how.endswith("; 7.5 us each where each is waited for")
    assert [(link.name, link.gb_per_s.value) for link in hardware.links] == [
        ("PCIe to the device", 55),
        ("PCIe from the device", 50),
    ]
    assert {name: figure.value for name, figure in hardware.traffic.items()} == {
        "copy 4 GiB": 2800,
        "triad 3 GiB": 2900,
    }
    assert (hardware.name, hardware.device_class, hardware.vendor) == ("h100-80gb-hbm3", "datacenter-gpu", "nvidia")
    assert (hardware.kind, hardware.cores, len(hardware.curve), hardware.runs[0].rounds) == ("gpu", 132, 15, 3)
    assert hardware.runs[0].notes == ()


def test_state_and_remarks_of_the_gpu_are_noted():
    """Its clock and heat as told last, and what slowed it down."""
    hot = replace(CARD, current_clock_hz=1.41e9, temperature_c=84.0, slowdowns=("heat slows it down",))
    notes = gpu_hardware(hot, everything(), "now")["runs"][0]["notes"]
    assert notes == [
        "NVIDIA H100 80GB HBM3: heat slows it down",
        "NVIDIA H100 80GB HBM3: 1410 MHz and 84 °C when nvidia-smi was asked last",
    ]


def test_the_curve_is_used_as_it_was_measured():
    """Its points count all multiprocessors as threads, as the forecast does where nobody says how many."""
    hardware = Hardware.model_validate(gpu_hardware(CARD, everything(), "now"))
    assert {point.threads for point in hardware.curve} == {hardware.cores}


@pytest.mark.parametrize(
    ("samples", "gpu"),
    [
        (curve(48 * MI, 3.3e12, 3e12), CARD),  # hardly faster than the memory
        (curve(4 * MI, 9e12, 3e12), CARD),  # not flat below what the driver says it holds
        (curve(48 * MI, 6e12, 3e12, SIZES[6:]), CARD),  # one point below it
        (curve(48 * MI, 2e12, 3e12), CARD),  # slower
    ],
)
def test_an_l2_that_the_curve_does_not_show_has_no_speed(samples, gpu):
    """Its capacity stays, the file is valid, and a note says so."""
    hardware = Hardware.model_validate(gpu_hardware(gpu, samples, "now"))
    assert hardware.memory[0].gb_per_s is None
    assert hardware.memory[0].capacity_mib.value == 48
    assert "the curve shows no plateau of the L2 of 48 MiB, so its speed is left out" in hardware.runs[0].notes


def test_a_gpu_that_tells_no_l2_has_one_level():
    """And without the other samples there are no peaks, launches or links."""
    gpu = replace(CARD, l2_bytes=None, is_integrated=True, name="Orin")
    hardware = Hardware.model_validate(gpu_hardware(gpu, curve(4 * MI, 1e12, 2e11), "now"))
    assert [level.name for level in hardware.memory] == ["memory shared with the host"]
    assert (hardware.peaks_tflops, hardware.launch_us, hardware.links) == ({}, None, ())
    assert hardware.runs[0].notes == (
        "tensor cores were not measured: they need a cuBLAS that suits the driver: pip install nvidia-cublas-cu12",
    )


@pytest.mark.parametrize(
    ("title", "kind", "name"),
    [
        ("NVIDIA GeForce RTX 4090", "consumer-gpu", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "consumer-gpu", "rtx-4090-laptop"),
        ("NVIDIA TITAN RTX", "consumer-gpu", "titan-rtx"),
        ("NVIDIA RTX A6000", "workstation-gpu", "rtx-a6000"),
        ("NVIDIA RTX 6000 Ada Generation", "workstation-gpu", "rtx-6000-ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "workstation-gpu", "rtx-pro-6000-blackwell-workstation"),
        ("NVIDIA T1000", "workstation-gpu", "t1000"),
        ("NVIDIA A100-SXM4-80GB", "datacenter-gpu", "a100-sxm4-80gb"),
        ("NVIDIA H100 80GB HBM3", "datacenter-gpu", "h100-80gb-hbm3"),
        ("NVIDIA L4", "datacenter-gpu", "l4"),
        ("NVIDIA L40S", "datacenter-gpu", "l40s"),
        ("Tesla T4", "datacenter-gpu", "t4"),
        ("Tesla V100-SXM2-16GB", "datacenter-gpu", "v100-sxm2-16gb"),
        ("NVIDIA B200", "datacenter-gpu", "b200"),
        ("NVIDIA GH200 480GB", "datacenter-gpu", "gh200-480gb"),
        ("NVIDIA GB10", "igpu", "gb10"),
        ("Orin", "igpu", "orin"),
        ("NVIDIA Something New", "consumer-gpu", "something-new"),
        ("NVIDIA", "consumer-gpu", "gpu"),
    ],
)
def test_class_and_name_are_guessed_from_the_title(title, kind, name):
    """As the shipped files class and name them."""
    assert (guess_class(replace(CARD, name=title)), guess_name(title)) == (kind, name)
