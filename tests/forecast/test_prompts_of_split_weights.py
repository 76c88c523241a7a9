"""Layers in RAM while a prompt is read: the GPU computes them, and their weights and caches come over the link."""

from dataclasses import replace

import pytest

from simulator.forecast.placing import layers_in_ram
from simulator.forecast.scenario import scenario
from simulator.spec.placement import by_layers


def prompt(n_layers, tokens=512, context=0):
    """Seconds of a step with so many layers of Qwen3-4B in RAM, and its operations."""
    base = scenario("qwen3-4b", "rtx-3090+ryzen-7950x", weights="q8_0")
    placement = layers_in_ram(by_layers((36,)), n_layers, 1)
    base = replace(base, placement=placement, load=replace(base.load, tokens=tokens))
    return base.at(1, context)


def test_a_layer_in_ram_costs_its_bytes_over_the_link():
    """PCIe 4.0 x16 is 31.51 GB/s, of which 0.7 are reached: weights of a layer, and what its attention reads and writes."""
    whole, one = (prompt(n, context=2048) for n in (0, 1))
    weights = sum(timed.op.cost.weight_bytes + timed.op.cost.cache_bytes for timed in one.ops if timed.link_s)
    link = one.seconds_per_step - whole.seconds_per_step
    assert float(link) == pytest.approx(weights / (0.7 * 31.51e9), rel=0.02)


def test_few_tokens_are_computed_where_the_layer_lies():
    """Below 32 tokens nothing is brought: the CPU reads its own memory."""

    def brought(tokens):
        return {each.op.name for each in prompt(4, tokens=tokens).ops if each.link_s and each.op.message is None}

    assert not brought(31)
    assert {"attn_q", "ffn_down", "attention over the cache"} <= brought(32)
