"""Seconds of what devices tell each other, by hand and beside what was measured."""

import pytest

from simulator.forecast.communication import (
    dispatch_seconds,
    gather_seconds,
    hop_seconds,
    levels_of,
    sum_seconds,
)
from simulator.forecast.ops import Message
from simulator.spec.exchange import Exchange
from simulator.spec.figure import Figure
from simulator.spec.links import Link
from simulator.spec.machine import load_hardware
from simulator.spec.runtime import load_runtime


def link(name: str, gb_per_s: float, latency_us: float | None = None) -> Link:
    """One whose rate is measured, so that transfers reach all of it."""
    rate = Figure(value=gb_per_s, provenance="measured", source="a test")
    return Link(name=name, gb_per_s=rate, latency_us=latency_us)


NVLINK, INFINIBAND = link("NVLink 9", 100, 1), link("InfiniBand", 10, 5)
MEGABYTE = 1e6


def test_a_ring_passes_each_part_round_twice():
    """4 devices: 2 * 3 hops of 1 us and of 0.25 MB at 100 GB/s, 2.5 us: 21 us; and what the library takes to start."""
    exchange = Exchange(start_us=5.0)
    assert sum_seconds(MEGABYTE, ((4, NVLINK),), Exchange()) == pytest.approx(21e-6)
    assert sum_seconds(MEGABYTE, ((4, NVLINK),), exchange) == pytest.approx(26e-6)


def test_direct_kernels_take_the_faster_of_one_and_two_rounds():
    """A byte takes a barrier of log2(4) = 2 us; 1 MB at once 2 + 3 * 10 us, in two rounds 2 * (2 + 3 * 2.5) = 19 us."""
    direct = Exchange(is_direct=True)
    assert sum_seconds(1, ((4, NVLINK),), direct) == pytest.approx(2e-6, rel=1e-4)
    assert sum_seconds(MEGABYTE, ((4, NVLINK),), direct) == pytest.approx(19e-6)
    assert sum_seconds(1, ((4, NVLINK),), Exchange(is_direct=True, direct_us=3.0)) == pytest.approx(5e-6, rel=1e-4)
    assert sum_seconds(MEGABYTE, ((4, link("PCIe 9.0", 100, 1)),), direct) == pytest.approx(21e-6)  # no switch: a ring


def test_an_outer_link_carries_a_part_only():
    """4 x 2: 2 * 3 hops of 1 + 2.5 us inside, then 2 hops of 5 us and of 0.125 MB at 10 GB/s, 12.5 us, outside."""
    assert sum_seconds(MEGABYTE, ((4, NVLINK), (2, INFINIBAND)), Exchange()) == pytest.approx(21e-6 + 35e-6)


def test_gathering_and_handing_on():
    """All of 1 MB from 4 parts: 3 hops of 1 us and of 2.5 us. A chain of 8: 6 hops of 1 + 10 us inside, one of 5 + 100 us outside."""
    assert gather_seconds(MEGABYTE, ((4, NVLINK),), Exchange()) == pytest.approx(10.5e-6)
    assert hop_seconds(MEGABYTE, ((4, NVLINK), (2, INFINIBAND)), Exchange()) == pytest.approx((6 * 11e-6 + 105e-6) / 7)


def test_between_boards_a_sum_goes_up_and_down_a_tree():
    """8 machines: 2 * 3 transfers of 5 us instead of 2 * 7, and 7/8 of 1 MB at 10 GB/s twice."""
    assert sum_seconds(MEGABYTE, ((8, INFINIBAND),), Exchange()) == pytest.approx(30e-6 + 2 * 87.5e-6)


def test_machines_that_send_to_all_others_need_no_barrier():
    """4 machines: 5 us, and the parts of three others at 10 GB/s, or twice a quarter of them; through the first twice all."""
    pushed = Exchange(is_direct=True, is_pushed=True)
    ethernet = link("Ethernet", 10, 5)
    assert sum_seconds(MEGABYTE, ((4, ethernet),), pushed) == pytest.approx(2 * (5e-6 + 75e-6))
    assert sum_seconds(1, ((4, ethernet),), pushed) == pytest.approx(5e-6, rel=1e-3)
    assert sum_seconds(MEGABYTE, ((4, ethernet),), Exchange(through_first=True)) == pytest.approx(2 * 305e-6)


def test_tokens_go_over_all_links_at_once():
    """1 MB for 8 devices on 2 boards of 4: half of it to the other board, 5 + 50 us; 3/8 on the own one, 1 + 3.75 us meanwhile."""
    assert dispatch_seconds(MEGABYTE, ((4, NVLINK), (2, INFINIBAND))) == pytest.approx(55e-6)
    assert dispatch_seconds(MEGABYTE, ((4, NVLINK),)) == pytest.approx(1e-6 + 7.5e-6)


def test_handing_on_takes_what_the_software_adds():
    """Beside the link's own 1 + 10 us; where no link is known, that alone."""
    exchange = Exchange(hop_us=200.0)
    assert hop_seconds(MEGABYTE, ((2, NVLINK),), exchange) == pytest.approx(211e-6)
    assert hop_seconds(MEGABYTE, (), exchange) == pytest.approx(200e-6)


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (Message("sum", 1, 8), [(8, "NVLink 4")]),
        (Message("send", 1, 2, 8), [(2, "InfiniBand NDR")]),
        (Message("send", 1, 4, 4), [(2, "NVLink 4"), (2, "InfiniBand NDR")]),
        (Message("send", 1, 2, 16), [(2, "InfiniBand NDR")]),
        (Message("send", 1, 8, 1), [(8, "NVLink 4")]),
    ],
)
def test_stages_lie_beside_each_other(message, names):
    """Of H100s, eight on a board: stages of eight are joined by the network, stages of four by both."""
    assert [(n, each.name) for n, each in levels_of(message, load_hardware("h100-sxm"))] == names


def test_an_earlier_version_is_as_it_was():
    """distributed-llama summed on its first machine until February 2025, which also had the head."""
    now = load_runtime("distributed-llama")
    assert (now.exchange.through_first, now.exchange.splits_head) == (False, True)
    for date, was in (("2024-05", True), ("2025-01-31", True), ("2025-02", False), ("", False)):
        exchange = now.under(date=date).exchange
        assert (exchange.through_first, exchange.splits_head) == (was, not was)


@pytest.mark.parametrize(("kib", "us"), [(4, 19.4), (8, 20.3), (16, 22.3), (32, 24.2)])
def test_sums_over_pcie_beside_what_nccl_took(kib, us):
    """4 V100 behind one switch, PCIe 3.0 x16, in a CUDA graph (haohervchb/sglang-V100#2): within 15 %, with 2.5 us for the launch."""
    rate = Figure(value=15.75, provenance="datasheet", source="16 lanes of 8 GT/s")
    pcie = Link(name="PCIe 3.0 x16", gb_per_s=rate)
    nccl = load_runtime("mlc").exchange
    assert 2.5 + 1e6 * sum_seconds(kib * 1024, ((4, pcie),), nccl) == pytest.approx(us, rel=0.15)


@pytest.mark.parametrize(("n_devices", "us"), [(2, 8.31), (4, 13.61)])
def test_gathering_over_pcie_beside_what_nccl_took(n_devices, us):
    """One row of 4,096 values in bf16 of each of so many RTX PRO 6000 (flashinfer-ai/flashinfer#5023): within 12 %."""
    rate = Figure(value=63.02, provenance="datasheet", source="16 lanes of 32 GT/s")
    pcie = Link(name="PCIe 5.0 x16", gb_per_s=rate)
    nccl = load_runtime("mlc").exchange
    assert 2.5 + 1e6 * gather_seconds(n_devices * 8192, ((n_devices, pcie),), nccl) == pytest.approx(us, rel=0.12)


@pytest.mark.parametrize(("n_devices", "us"), [(16, 173), (32, 182), (64, 186), (128, 192), (256, 194)])
def test_tokens_to_experts_beside_what_deepep_took(n_devices, us):
    """128 tokens a GPU, each to 8 experts in 7,168 bytes, one GPU a network card of 400 Gbit/s: README of DeepEP, February 2025.

    Its kernels then sent within a board over the network, too: so as many boards as GPUs. Within 20 %.
    """
    rate = Figure(value=50, provenance="datasheet", source="ConnectX-7")
    network = Link(name="InfiniBand NDR", gb_per_s=rate)
    assert 1e6 * dispatch_seconds(128 * 8 * 7168, ((n_devices, network),)) == pytest.approx(us, rel=0.2)
