"""What naming a host changes of a forecast, and what not."""

from dataclasses import replace

import pytest

from simulator.forecast.held import cache_bytes_on_parts, weight_bytes_on_parts
from simulator.forecast.scenario import scenario
from simulator.forecast.splits import instead
from simulator.report.splits import told
from simulator.spec.placement import Placement


@pytest.mark.parametrize("parallel", ["data8xexpert8", "tensor8", "pipeline2xtensor4"])
def test_a_host_that_holds_nothing_changes_no_memory(parallel):
    """Copies of attention, and the fullest stage, count beside a host as without; and as its parts count them."""
    alone, beside = (
        scenario("deepseek-v3", name, runtime="vllm", weights="fp8", parallel=parallel)
        for name in ("8xh200", "8xh200+epyc-9654")
    )
    assert beside.memory_bytes(16, 4096) == pytest.approx(alone.memory_bytes(16, 4096))
    load, model, (held,) = replace(beside.load, batch=16, context=4096), beside.loaded.model, alone.held(16, 4096)
    args = beside.hardware, Placement((0,) * len(model.stack)), beside.runtime
    assert weight_bytes_on_parts(model, load.weights, *args) == pytest.approx([held.weight_bytes, 0.0])
    assert cache_bytes_on_parts(model, load, *args) == pytest.approx([held.cache_bytes, 0.0])


def test_copies_count_where_layers_cross():
    """Two replicas bring two copies of the same layers from RAM; tensor parallelism brings one."""
    found = {}
    for parallel in ("data2", "tensor2"):
        base = scenario("llama-3-8b", "2xrtx-3060+ryzen-7950x", runtime="vllm", weights="bf16", parallel=parallel)
        placement = Placement((1,) * 16 + (0,) * 16, crosses=True)
        found[parallel] = weight_bytes_on_parts(
            base.loaded.model, base.load.weights, base.hardware, placement, base.runtime
        )
    assert found["data2"][1] == pytest.approx(2 * found["tensor2"][1], rel=1e-3)
    assert found["data2"][0] == pytest.approx(2 * found["tensor2"][0], rel=1e-3)


def test_weights_that_the_gpus_hold_come_before_wider_ones_in_ram():
    """vLLM takes 4 bits on the cards rather than 16 in RAM; RAM where no format down to 4 bits goes onto them; and says which."""
    small = scenario("qwen3-32b", "2xrtx-3090+ryzen-7950x", runtime="vllm")
    assert small.placement.is_whole
    assert small.choice.endswith("that fits on the GPUs alone")
    large = scenario("llama-3-70b", "2xrtx-3060+ryzen-7950x", runtime="vllm")
    assert not large.placement.is_whole
    assert large.choice == "bf16: the first choice with vLLM, with RAM"
    mixture = scenario("gpt-oss-120b", "rtx-3090+ryzen-7950x")
    assert mixture.choice == "mxfp4_moe: the published checkpoint's own, with RAM"


def test_a_point_that_the_split_has_no_room_for_is_told_its_own():
    """Placed for 1,024 tokens, 131,072 do not fit; placed for them they do, as fast as that is told."""
    base = scenario("gpt-oss-120b", "rtx-3090+ryzen-7950x")
    points = [base.at(1, context) for context in (1024, 131_072)]
    assert [bool(point.fits) for point in points] == [True, False]
    lines = [line for line in told(base, points) if "131,072" in line]
    own = scenario("gpt-oss-120b", "rtx-3090+ryzen-7950x", context=131_072)
    assert len(lines) == 1
    assert f"{float(own.at(1, 131_072).tokens_per_s):.1f} tokens/s with -ngl 99 --n-cpu-moe" in lines[0]
    assert not [line for line in told(base, points[:1]) if "no room" in line]


def test_alternatives_keep_what_was_assumed():
    """Threads and drive of the host, and how devices share the model."""
    base = scenario("llama-3-70b", "rtx-3090+ryzen-7950x", weights="q8_0", ram=16, threads=4)
    found = dict(instead(base, 1, 1024))
    kept = [each.base for name, each in found.items() if "--ram" in name]
    assert [(each.load.threads, each.hardware.host.name) for each in kept] == [(4, "ryzen-7950x")]
    several = scenario("llama-3-70b", "2xrtx-3060", runtime="vllm", weights="bf16", parallel="pipeline2")
    ((_, split),) = [each for each in instead(several, 1, 1024) if "--ram" in each[0]]
    assert split.base.hardware.layout == several.hardware.layout
