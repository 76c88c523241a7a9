"""What several devices share, what each has for itself, and what they tell each other."""

import pytest

from simulator import scenario
from simulator.forecast.communication import gather_seconds, hop_seconds, sum_seconds
from simulator.forecast.decode import decode_ops
from simulator.forecast.parallel import Layout, busiest_share, copies_held, messages, spread_ops
from simulator.importers.open import load_model
from simulator.spec.exchange import Exchange
from simulator.spec.figure import Figure
from simulator.spec.links import Link
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.runtime import load_runtime
from simulator.spec.workload import Workload


def link(name: str, gb_per_s: float, latency_us: float) -> Link:
    """One whose rate is measured, so that transfers reach all of it."""
    rate = Figure(value=gb_per_s, provenance="measured", source="a test")
    return Link(name=name, gb_per_s=rate, latency_us=latency_us)


NVLINK, INFINIBAND = link("NVLink 9", 100, 1), link("InfiniBand", 10, 5)
MEGABYTE = 1e6


@pytest.mark.parametrize(
    ("pieces", "n_devices", "copies"),
    [(8, 4, 1), (8, 8, 1), (8, 16, 2), (4, 8, 2), (1, 8, 8), (None, 8, 1), (6, 4, 8 / 6)],
)
def test_heads_are_kept_again_where_devices_outnumber_them(pieces, n_devices, copies):
    """Each of 16 devices keeps one of 8 key heads; 4 devices keep two places each for 6 heads."""
    assert copies_held(pieces, n_devices) == pytest.approx(copies)


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
    assert gather_seconds(MEGABYTE, ((4, NVLINK),)) == pytest.approx(10.5e-6)
    assert hop_seconds(MEGABYTE, ((4, NVLINK), (2, INFINIBAND))) == pytest.approx((6 * 11e-6 + 105e-6) / 7)


def test_devices_beyond_a_board_go_over_the_network():
    """Eight H100s on NVLink, sixteen as two such boards over InfiniBand; nothing is said of how GH200s are joined."""
    h100 = load_hardware("h100-sxm")
    assert [(n, each.name) for n, each in h100.links_among(8)] == [(8, "NVLink 4")]
    assert [(n, each.name) for n, each in h100.links_among(16)] == [(8, "NVLink 4"), (2, "InfiniBand NDR")]
    assert load_hardware("gh200").links_among(2) == ()
    assert [each.name for _, each in load_hardware("pi5-8gb").links_among(4)] == ["Gigabit Ethernet"]


def with_free_links(name: str):
    """A device whose links take no time."""
    free = Link(name="NVLink 9", gb_per_s=1e6, latency_us=1e-6, most_devices=64)
    return load_hardware(name).model_copy(update={"links": (free,)})


def test_free_links_make_two_devices_one_of_twice_the_speed():
    """By the hardware alone: half the time; norms alone are read on each."""
    device = with_free_links("h100-sxm")
    one, two = (
        scenario("llama-3-8b", device, weights="f16", runtime="roofline", devices=n).at(1, 1024) for n in (1, 2)
    )
    assert two.tokens_per_s == pytest.approx(2 * one.tokens_per_s, rel=0.002)
    assert two.parts["communication"] < 1e-7


def test_a_latent_is_whole_on_each_device_and_its_queries_are_not():
    """8 devices read 8 times the latents of one; the scores are shared out."""
    one, eight = (scenario("deepseek-v3", "h200", weights="fp8", devices=n).at(16, 4096) for n in (1, 8))
    assert eight.cost.cache_bytes == pytest.approx(8 * one.cost.cache_bytes)

    def scores(point):
        return sum(timed.op.count * timed.op.cost.flops for timed in point.ops if timed.op.part == "cache")

    assert scores(eight) == scores(one)
    assert eight.memory_bytes - one.memory_bytes == pytest.approx(7 * 61 * 576 * 2 * 4112 * 16)


def test_sums_are_counted_by_layer():
    """Llama-3-8B: one after each of 32 attentions and networks, and the head's parts gathered once."""
    point = scenario("llama-3-8b", "h100-sxm", weights="f16", devices=4).at(2, 1024)
    sent = {timed.op.name: timed.op for timed in point.ops if timed.op.message}
    assert {name: op.count for name, op in sent.items()} == {
        "sums of attention": 32,
        "sums of networks": 32,
        "parts of the head": 1,
    }
    assert sent["sums of attention"].message.n_bytes == 2 * 4096 * 2  # two sequences, bf16
    assert sent["parts of the head"].message.n_bytes == 2 * 128_256 * 2


def test_the_busiest_group_has_more_than_its_part():
    """Two groups of one expert each, one of two touched: the busiest has one with chance 3/4, over a mean of 1/2; all touched: 1."""
    assert busiest_share(0.5, 2, 2) == pytest.approx(0.75 / 0.5)
    assert busiest_share(1.0, 256, 8) == pytest.approx(1)
    assert busiest_share(1 / 256, 256, 8) > 5  # hardly ever more than one is touched, and it lies on one of eight


def test_attention_of_its_own_in_each_group():
    """8 devices in 8 groups: each reads all attention weights, but only its own sequences' latents."""
    load = Workload(parse_weights("fp8"), batch=64, context=1024)
    model, runtime = load_model("deepseek-v3").model, load_runtime("vllm")
    ops = decode_ops(model, load)
    spread = spread_ops(ops, Layout(data=8, expert=8), runtime, 256)

    def bytes_of(found, part):
        return sum(op.count * op.cost.streamed_bytes for op in found if op.part == part)

    assert bytes_of(spread, "attention") == pytest.approx(8 * bytes_of(ops, "attention"))
    assert bytes_of(spread, "cache") == pytest.approx(bytes_of(ops, "cache"))
    sent = {op.name: op.message for op in messages(model, load, runtime, Layout(data=8, expert=8))}
    assert "sums of attention" not in sent
    assert sent["sums of networks"].n_bytes == 64 * 7168 * 2


def test_layers_on_several_devices_hand_on_once_each():
    """llama.cpp on 3 cards: two hops, and each layer is still read at the speed of one card."""
    one, three = (scenario("llama-3-8b", "rtx-3090", weights="q4_k_m", devices=n).at(1, 1024) for n in (1, 3))
    (hop,) = [timed for timed in three.ops if timed.op.message]
    assert (hop.op.message.kind, hop.op.count, hop.op.message.n_bytes) == ("send", 2, 4096 * 4)
    assert one.parts["memory"] == pytest.approx(three.parts["memory"])


def test_the_head_may_stay_whole():
    """A runtime that leaves the head on each device reads it once on each."""
    runtime = load_runtime("vllm")
    whole = runtime.model_copy(update={"exchange": runtime.exchange.model_copy(update={"splits_head": False})})
    heads = [
        next(
            t.op
            for t in scenario("llama-3-8b", "h100-sxm", weights="f16", devices=4, runtime=each).at(1, 1).ops
            if t.op.part == "head"
        )
        for each in (runtime, whole)
    ]
    assert heads[1].cost.weight_bytes == 4 * heads[0].cost.weight_bytes
