"""Models on several parts of a machine: seconds and bytes by hand, and limits that hold whatever the parts are."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.forecast.decode import decode_ops
from simulator.forecast.ops import total
from simulator.forecast.placing import layers_in_ram
from simulator.forecast.predict import predict
from simulator.forecast.request import Request, forecast_request
from simulator.forecast.scenario import scenario
from simulator.forecast.splits import Split
from simulator.importers.open import load_model
from simulator.spec.brought import is_brought
from simulator.spec.hardware import Hardware
from simulator.spec.machine import join, link_between, load_hardware, with_ram
from simulator.spec.mixes import parse_weights
from simulator.spec.placement import Placement, by_layers, experts_apart
from simulator.spec.runtime import Runtime, load_runtime
from simulator.spec.workload import Workload
from simulator.units import GI

F16 = parse_weights("f16")
GPU_RATE, RAM_RATE, LINK_RATE, LATENCY_S = 100e9, 10e9, 0.7 * 20e9, 2.4e-6


def gpu(gb_per_s=100, gib=1, **links):
    """A card of so many GB/s on a PCIe link of 20 GB/s, of which a transfer gets 0.7, as of all such links."""
    memory = {"name": "VRAM", "capacity_gib": gib, "gb_per_s": gb_per_s, "datasheet_gb_per_s": 2 * gb_per_s}
    link = {"name": "PCIe 4.0 x16", "gb_per_s": {"value": 20, "provenance": "datasheet"}, **links}
    data = {"name": "g", "class": "consumer-gpu", "kind": "gpu", "memory": [memory], "links": [link]}
    return Hardware.model_validate(data)


def cpu(gb_per_s=10, gib=4):
    """A host of so many GB/s."""
    memory = {"name": "DDR", "capacity_gib": gib, "gb_per_s": gb_per_s, "datasheet_gb_per_s": 2 * gb_per_s}
    data = {"name": "c", "class": "desktop-cpu", "kind": "cpu", "cores": 4, "memory": [memory]}
    return Hardware.model_validate(data)


def software(**fields):
    """A runtime that costs nothing beside the hardware."""
    return Runtime.model_validate(
        {"name": "s", "weights": ["f16"], "backends": {"default": {}}, "split": "layers", **fields}
    )


def machine(**card):
    """A card and its host."""
    return join([gpu(**card), cpu()], "machine")


def seconds(model, hardware, placement, runtime=None, **load):
    """Of a step."""
    return predict(model, hardware, Workload(F16, **load), runtime or software(), placement).seconds_given_memory


def test_a_layer_in_ram_is_read_at_the_speed_of_ram(tiny_dense):
    """Two layers of 256 x (256 + 2 x 128 + 256 + 3 x 512) f16 weights and a head of 1000 x 256; the first layer in RAM.

    The work goes from RAM to the card once: 256 values of 4 bytes, over 14 GB/s and with 2.4 us of latency.
    """
    ops = decode_ops(tiny_dense, Workload(F16, context=0))
    by_layer = [total(op for op in ops if op.layer != "model"), total(op for op in ops if op.layer == "model")]
    layer, head = (each.streamed_bytes + each.activation_bytes for each in by_layer)
    assert by_layer[0].weight_bytes == 2 * (2 * 256 * (256 + 2 * 128 + 256 + 3 * 512) + 2 * 2 * 256)
    split = Placement(layers=(1, 0))
    moved = LATENCY_S + 4 * 256 / LINK_RATE
    expected = layer / 2 / RAM_RATE + layer / 2 / GPU_RATE + head / GPU_RATE + moved
    assert seconds(tiny_dense, machine(), split, context=0) == pytest.approx(expected)


def test_experts_in_ram_cross_twice_in_each_layer(tiny_moe):
    """One layer with 2 of 8 experts of 3 x 256 x 128 f16 weights: a row of 256 values goes there, one of each expert comes back."""
    split, load = experts_apart(tiny_moe, 1, 1), Workload(F16, context=0)
    ops = decode_ops(tiny_moe, load, placement=split)
    there = total(op for op in ops if op.place == 1)
    assert there.weight_bytes == 2 * 3 * 256 * 128 * 2
    here = total(op for op in ops if op.place == 0)
    moved = 2 * LATENCY_S + (1 + 2) * 4 * 256 / LINK_RATE
    at_each = [
        (each.streamed_bytes + each.activation_bytes) / rate for each, rate in ((here, GPU_RATE), (there, RAM_RATE))
    ]
    assert seconds(tiny_moe, machine(), split, context=0) == pytest.approx(sum(at_each) + moved)


def test_what_a_runtime_says_of_a_move_is_added_to_each(tiny_moe):
    """25 us each, there and back."""
    split = experts_apart(tiny_moe, 1, 1)
    slow = software(move_us=25)
    assert seconds(tiny_moe, machine(), split, slow) - seconds(tiny_moe, machine(), split) == pytest.approx(50e-6)


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "llama-3-8b"])
def test_all_on_the_card_is_no_split(name):
    """Neither seconds nor the ceiling nor the card's memory change with a host beside it."""
    runtime, load = "llama.cpp", {"weights": "q4_k_m", "runtime": "llama.cpp"}
    alone = scenario(name, "rtx-3090", **load).at(np.array([1, 4, 64]), 2048)
    model = load_model(name).model
    beside = scenario(name, "rtx-3090+ryzen-7950x", placement=by_layers([len(model.stack)]), **load)
    beside = beside.at(np.array([1, 4, 64]), 2048)
    assert runtime == beside.runtime.name
    np.testing.assert_allclose(beside.seconds_given_memory, alone.seconds_given_memory, rtol=1e-3)
    np.testing.assert_allclose(beside.seconds_ceiling, alone.seconds_ceiling, rtol=1e-3)
    np.testing.assert_allclose(beside.held[0].needed_bytes, alone.memory_bytes)


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_a_split_never_beats_the_whole_in_the_faster_memory(tiny_moe, batch):
    """With a RAM slower than the card's memory, each further layer there costs."""
    whole = seconds(tiny_moe, machine(), by_layers([1]), batch=batch)
    experts = seconds(tiny_moe, machine(), experts_apart(tiny_moe, 1, 1), batch=batch)
    layer = seconds(tiny_moe, machine(), layers_in_ram(by_layers([1]), 1, 1), batch=batch)
    assert whole < experts < layer


def test_every_further_layer_in_ram_costs():
    """Monotone in both ways to put layers there, on devices as they are."""
    base = scenario("qwen3-30b-a3b", "rtx-3090+ryzen-7950x", weights="q4_k_m")
    model = base.loaded.model
    for split in (lambda n: experts_apart(model, n, 1), lambda n: layers_in_ram(by_layers([48]), n, 1)):
        found = [float(replace(base, placement=split(n)).at(1, 1024).seconds_given_memory) for n in range(49)]
        assert found == sorted(found)


def test_two_equal_cards_by_layers_are_one_with_the_memory_of_both(tiny_dense):
    """But for what goes from one to the other: 1,024 bytes once."""
    both = join([gpu(), gpu()], "machine")
    one = seconds(tiny_dense, gpu(gib=2), None)
    assert seconds(tiny_dense, both, by_layers([1, 1])) == pytest.approx(one + LATENCY_S + 1024 / LINK_RATE)


def test_weights_are_brought_to_the_card_from_so_many_tokens_on(tiny_moe):
    """Below them the host computes; from them on all experts that are read cross the link, and nothing moves."""
    split, batches = experts_apart(tiny_moe, 1, 1), np.array([1, 31, 32, 100])
    runtime = software(brings_from=32)
    mixed = seconds(tiny_moe, machine(), split, runtime, batch=batches, context=0)
    stays = seconds(tiny_moe, machine(), split, batch=batches, context=0)
    assert mixed[:2] == pytest.approx(stays[:2])
    whole = seconds(tiny_moe, machine(), by_layers([1]), batch=batches, context=0)
    ops = decode_ops(tiny_moe, Workload(F16, batch=batches, context=0), placement=split)
    crossing = total(op for op in ops if op.place == 1).weight_bytes / LINK_RATE
    assert mixed[2:] == pytest.approx((whole + crossing)[2:])


def test_a_prompt_of_one_token_is_a_decode_step(tiny_moe):
    """Also where the model is split."""
    split, runtime = experts_apart(tiny_moe, 1, 1), software(brings_from=2)
    assert seconds(tiny_moe, machine(), split, runtime, tokens=1) == seconds(tiny_moe, machine(), split, runtime)


def test_offloaded_weights_cross_the_link_in_each_step(tiny_dense):
    """vLLM's way: the card computes all, caches stay on it, and the weights of a layer in RAM come over 14 GB/s."""
    crossing = Placement(layers=(1, 0), crosses=True)
    ops = decode_ops(tiny_dense, Workload(F16), placement=crossing)
    weights = total(op for op in ops if op.place == 1).weight_bytes
    whole = seconds(tiny_dense, machine(), by_layers([2]))
    assert seconds(tiny_dense, machine(), crossing) == pytest.approx(whole + weights / LINK_RATE)
    held = predict(tiny_dense, machine(), Workload(F16), software(), crossing).held
    assert held[0].cache_bytes == 2 * 1025 * 2 * 128 * 2
    assert held[1].cache_bytes == 0


def test_each_part_has_to_hold_its_own(tiny_moe):
    """What fits in both together does not fit where one part has too much."""
    split = experts_apart(tiny_moe, 1, 1)
    fits = predict(tiny_moe, machine(), Workload(F16), software(), split)
    assert fits.fits
    assert fits.memory_bytes == sum(each.needed_bytes for each in fits.held)
    small = join([gpu(gib=0.0005), cpu(gib=4)], "machine")
    assert not predict(tiny_moe, small, Workload(F16), software(), split).fits
    assert fits.held[1].weight_bytes == 8 * 3 * 256 * 128 * 2


def test_the_bytes_of_a_split_are_those_of_the_whole():
    """Mixes give each layer a format of its own: split anywhere, the parts add up to the file."""
    model, load = load_model("gpt-oss-20b").model, Workload(parse_weights("q4_k_m"))
    whole = total(decode_ops(model, load))
    for n in (1, 5, 23):
        parts = total(decode_ops(model, load, placement=experts_apart(model, n, 1)))
        assert parts.weight_bytes == pytest.approx(whole.weight_bytes)
        layers = total(decode_ops(model, load, placement=layers_in_ram(by_layers([24]), n, 1)))
        assert layers.weight_bytes == pytest.approx(whole.weight_bytes)


def test_a_machine_puts_on_its_card_what_fits():
    """A mixture keeps attention there and as many layers' experts as fit; a dense model its last layers."""
    mixture = scenario("gpt-oss-120b", "rtx-3090+ryzen-7950x", ram=64)
    assert set(mixture.placement.layers) == {0}
    n_apart = len({index for index, _ in mixture.placement.apart})
    more = replace(mixture, placement=experts_apart(mixture.loaded.model, n_apart - 1, 1))
    assert mixture.fits(1, 1024)
    assert not more.fits(1, 1024)
    dense = scenario("llama-3-70b", "rtx-3090+ryzen-7950x", weights="q4_k_m").placement
    assert dense.layers == tuple(sorted(dense.layers, reverse=True))
    assert set(dense.layers) == {0, 1}


def test_a_machine_by_its_names(tmp_path):
    """In a row, with counts, and from a file that names its parts beside it."""
    found = load_hardware("2xrtx-3090+ryzen-7950x")
    assert (found.label, found.host.name, found.own_label) == ("2xrtx-3090+ryzen-7950x", "ryzen-7950x", "2xrtx-3090")
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nparts: [rtx-3090, ryzen-7950x]\nram_gib: 64\n")
    mine = load_hardware(str(file))
    assert mine.label == "rtx-3090+ryzen-7950x"
    assert mine.host.main_memory.capacity_bytes == 64 * GI
    assert link_between(mine, mine.host).name == "PCIe 4.0 x16"
    assert with_ram(load_hardware("ryzen-7950x"), 32 * GI).main_memory.capacity_bytes == 32 * GI


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rtx-3090+", "a device is missing at a plus"),
        ("rtx-3090+rtx-9999", "unknown hardware 'rtx-9999'"),
        ("ryzen-7950x+i7-13700k", "a machine has one host, these are more: ryzen-7950x, i7-13700k"),
        ("m2+ryzen-7950x", "the GPU of m2 has no memory of its own"),
        ("+".join(["rtx-3090"] * 17), "17 parts are too many for one machine"),
    ],
)
def test_what_makes_no_machine(name, told):
    """In a sentence."""
    with pytest.raises(InputError, match=told.replace("(", r"\(")):
        load_hardware(name)


def test_ram_of_a_card_whose_host_is_not_named():
    """Nobody knows whose RAM it is."""
    with pytest.raises(InputError, match="name the host with it, as in"):
        scenario("llama-3-8b", "rtx-3090", ram=64)


def test_a_card_without_a_link_is_refused_by_name(tiny_moe):
    """Nothing is taken to cross for free."""
    cut_off = join([gpu().model_copy(update={"links": ()}), cpu()], "machine")
    with pytest.raises(InputError, match="g: its file names no PCIe link"):
        seconds(tiny_moe, cut_off, experts_apart(tiny_moe, 1, 1))


def test_software_that_brings_weights_over_needs_no_kernels_for_the_host():
    """vLLM has none for CPUs: first layers first, as many as have to, and what they weigh crosses in each step."""
    base = scenario("llama-3-70b", "rtx-3090+ryzen-7950x", weights="int4-g128", runtime="vllm")
    n_layers = base.placement.layers.count(1)
    assert base.placement.crosses
    assert base.placement.layers == (1,) * n_layers + (0,) * (80 - n_layers)
    fewer = replace(base, placement=replace(base.placement, layers=(1,) * (n_layers - 1) + (0,) * (81 - n_layers)))
    assert not fewer.fits(1, 1024)
    point = base.at(1, 1024)
    crossing = point.held[1].weight_bytes / (0.7 * 31.51e9)
    assert point.parts["communication"] == pytest.approx(crossing, rel=1e-3)
    assert point.bound == "communication"


def test_software_that_knows_no_host():
    """It is said, with what does."""
    with pytest.raises(InputError, match="exllamav3 is not known to keep weights in the memory of a host"):
        scenario("llama-3-8b", "rtx-3060+ryzen-5600x", runtime="exllamav3")


def test_a_ceiling_does_not_depend_on_other_points_of_a_grid():
    """What lies in RAM may be computed in either place, at any batch."""
    base = scenario("qwen3-30b-a3b", "rtx-3060+ryzen-5600x", weights="q4_k_m")
    grid = base.at(np.array([1, 64]), 256).seconds_ceiling
    assert grid == pytest.approx([float(base.at(batch, 256).seconds_ceiling) for batch in (1, 64)])


def test_each_gpu_of_a_group_reads_its_share_over_its_own_link():
    """vLLM's offload by four GPUs brings a byte over in a quarter of the time that one takes."""
    seconds_per_byte = []
    for name in ("h100-sxm+epyc-9654", "4xh100-sxm+epyc-9654"):
        base = scenario("llama-3.1-405b", name, weights="fp8", runtime="vllm")
        crossing = replace(base.placement, layers=(1,) * 63 + (0,) * 63, crosses=True)
        point = replace(base, placement=crossing).at(1, 1024)
        link_s = sum(each.op.count * each.link_s for each in point.ops if each.op.message is None)
        seconds_per_byte.append(link_s / point.held[1].weight_bytes)
    assert seconds_per_byte[0] == pytest.approx(4 * seconds_per_byte[1], rel=0.02)


def test_a_prompt_needs_no_kernels_for_a_host_that_computes_nothing():
    """vLLM on a GPU beside a host."""
    request = forecast_request(scenario("llama-3-8b", "h100-sxm+epyc-9654", runtime="vllm"), Request(512))
    assert 0 < request.seconds_to_first < 1


def test_a_split_is_as_fast_as_the_table_where_stages_work_at_once():
    """A batch that is cut among the stages is so wherever it is timed."""
    base = scenario("deepseek-v3", "2xh100-sxm+epyc-9654", runtime="vllm", parallel="pipeline2", batch=8)
    assert Split.of(base, 8, 1024).tokens_per_s == float(base.at(8, 1024).tokens_per_s)


def test_experts_are_brought_by_what_each_of_them_gets(tiny_moe):
    """ik_llama.cpp: of 8 experts with 2 for a token, 32 tokens each in the mean are 128 tokens; below, the host computes them."""
    split, batches = experts_apart(tiny_moe, 1, 1), np.array([32, 127, 128, 200])
    by_use = software(brings_from=32, brings_experts_by_use=True)
    found = seconds(tiny_moe, machine(), split, by_use, batch=batches, context=0)
    stays = seconds(tiny_moe, machine(), split, batch=batches, context=0)
    comes = seconds(tiny_moe, machine(), split, software(brings_from=32), batch=batches, context=0)
    assert found == pytest.approx(np.where(batches < 128, stays, comes))


def test_a_layer_in_ram_whose_experts_stay_there(tiny_moe):
    """From 32 tokens on the card computes all but its experts, as if these alone lay in RAM, and the rest comes over the link."""
    by_use = software(brings_from=32, brings_experts_by_use=True)
    whole = Placement(layers=(1,), head=0)
    found, apart = (
        seconds(tiny_moe, machine(), each, by_use, batch=64, context=0)
        for each in (whole, experts_apart(tiny_moe, 1, 1))
    )
    ops = [op for op in decode_ops(tiny_moe, Workload(F16, batch=64, context=0), placement=whole) if op.place == 1]
    cost = total(op for op in ops if op.part != "experts")
    assert found - apart == pytest.approx((cost.weight_bytes + cost.cache_bytes) / LINK_RATE)


def test_runtimes_bring_experts_by_their_own_rule():
    """Of 128 experts with 8 for a token: llama.cpp from 32 tokens on, ik_llama.cpp from 512; all else of both from 32."""
    experts = load_model("qwen3-30b-a3b").model.experts[0]
    for name, first in (("llama.cpp", 32), ("ik_llama.cpp", 512)):
        runtime = load_runtime(name)
        assert [bool(is_brought(runtime, n, experts)) for n in (first - 1, first)] == [False, True]
        assert [bool(is_brought(runtime, n)) for n in (31, 32)] == [False, True]
