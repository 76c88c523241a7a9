"""What several devices hold of weights and caches, worked out by hand."""

import pytest

from simulator.forecast.held import cache_bytes_on_devices, weight_bytes_on_devices
from simulator.importers.open import load_model
from simulator.spec.cache_rules import AS_ARCHITECTURE
from simulator.spec.layout import Layout
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model, weight_bytes
from simulator.spec.runtime import load_runtime
from simulator.spec.workload import Workload

# Two layers: 8 heads over 2 key heads of 4 values, 6 experts of 16 of which 2 are chosen; everything in 16 bits.
SMALL = Model.model_validate(
    {
        "name": "small", "d_model": 32, "vocab": 64, "tied_head": False,
        "layers": [
            {
                "count": 2,
                "attention": {"kind": "grouped_query", "n_heads": 8, "n_kv_heads": 2, "head_dim": 4},
                "ffn": {"kind": "experts", "n_experts": 6, "n_active": 2, "d_expert": 16},
            }
        ],
    }
)  # fmt: skip
F16, VLLM = parse_weights("f16"), load_runtime("vllm")
QUERY, KEY, EXPERTS, ROUTER, NORM, VOCAB = 32 * 32, 32 * 8, 6 * 3 * 32 * 16, 32 * 6, 32, 64 * 32


def held(layout: Layout, runtime=VLLM) -> float:
    """Of the small model."""
    return weight_bytes_on_devices(SMALL, F16, layout, runtime)


def test_one_device_holds_the_model():
    """Nothing is repeated."""
    assert held(Layout()) == weight_bytes(SMALL, F16)


def test_keys_and_routers_are_repeated_under_tensor_parallelism():
    """4 devices: 2 key heads, one on each, so keys and values twice; router and norms four times."""
    more = 2 * (2 * KEY + 3 * ROUTER) * 2 + (2 * 2 * 3 + 3) * NORM * 2
    assert held(Layout(4)) - held(Layout()) == pytest.approx(more)


def test_the_device_with_most_experts_decides():
    """6 experts in 4 groups: two on the fullest of each, as if there were 8."""
    assert held(Layout(4, expert=4)) - held(Layout(4)) == pytest.approx(2 * EXPERTS * 2 * (8 / 6 - 1))


def test_groups_with_sequences_of_their_own_have_all_of_attention():
    """2 groups of one device: attention, router, norms, embedding and head twice, experts once."""
    all_but_experts = held(Layout()) - 2 * EXPERTS * 2
    assert held(Layout(data=2, expert=2)) == pytest.approx(2 * all_but_experts + 2 * EXPERTS * 2)


def test_the_fullest_stage_decides():
    """Two stages of a layer each; embedding with the first, as large as the head with the last, which has a norm as well."""
    layer = (2 * QUERY + 2 * KEY + EXPERTS + ROUTER) * 2 + 2 * NORM * 2
    assert held(Layout(pipeline=2)) == pytest.approx(2 * (layer + VOCAB * 2 + NORM * 2))


def test_what_has_no_experts_is_whole_in_each_group():
    """Data parallelism of a dense model is so many models."""
    model = load_model("llama-3-8b").model
    once = weight_bytes(model, F16)
    assert weight_bytes_on_devices(model, F16, Layout(data=4), VLLM) == pytest.approx(4 * once)


@pytest.mark.parametrize(
    ("layout", "copies"),
    [(Layout(4), 4 / 2), (Layout(2), 1), (Layout(data=4, expert=4), 4 / 3), (Layout(pipeline=2), 1), (Layout(8), 4)],
)
def test_caches_are_repeated_where_heads_do_not_divide(layout, copies):
    """2 key heads on 4 devices: each keeps one, so two copies; 3 sequences in 4 groups: the fullest has one, as if there were 4."""
    load = Workload(F16, batch=3, context=99)
    keys = 2 * 2 * 2 * 4 * 2 * 100 * 3  # layers, keys and values, heads, values, bytes, tokens, sequences
    assert cache_bytes_on_devices(SMALL, load, AS_ARCHITECTURE, layout, VLLM) == pytest.approx(keys * copies)


def test_a_latent_is_whole_on_each_device_of_a_group():
    """DeepSeek-V3: 576 values a token and layer; 8 times on 8 devices, once where each has its own sequences."""
    model = load_model("deepseek-v3").model
    load = Workload(parse_weights("fp8"), batch=8, context=4095)
    latent = 61 * 576 * 2 * 4096 * 8
    found = [
        cache_bytes_on_devices(model, load, AS_ARCHITECTURE, layout, VLLM)
        for layout in (Layout(8), Layout(data=8, expert=8))
    ]
    assert found == pytest.approx([8 * latent, latent])
