"""What several devices share, what each has for itself, and what they tell each other."""

import itertools
import math

import numpy as np
import pytest

from simulator import scenario
from simulator.errors import InputError
from simulator.forecast.decode import decode_ops
from simulator.forecast.layouts import check_layout, usual_layout
from simulator.forecast.ops import Cost
from simulator.forecast.parallel import busiest_share, copies_held, messages, one_pass, spread_ops
from simulator.importers.open import load_model
from simulator.spec.layout import Layout
from simulator.spec.links import Link
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model
from simulator.spec.runtime import load_runtime
from simulator.spec.workload import Workload


@pytest.mark.parametrize(
    ("pieces", "n_devices", "copies"),
    [(8, 4, 1), (8, 8, 1), (8, 16, 2), (4, 8, 2), (1, 8, 8), (None, 8, 1), (6, 4, 8 / 6)],
)
def test_heads_are_kept_again_where_devices_outnumber_them(pieces, n_devices, copies):
    """Each of 16 devices keeps one of 8 key heads; 4 devices keep two places each for 6 heads."""
    assert copies_held(pieces, n_devices) == pytest.approx(copies)


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
    caches = eight.held[0].cache_bytes - one.held[0].cache_bytes
    assert caches == pytest.approx(7 * 61 * 576 * 2 * 4112 * 16)


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


def by_enumeration(chance: float, n_experts: int, groups: int) -> float:
    """Mean number of touched experts in the group with most, over all subsets of experts that may be touched."""
    each, most = n_experts // groups, 0.0
    for touched in itertools.product((0, 1), repeat=n_experts):
        counts = [sum(touched[group * each : (group + 1) * each]) for group in range(groups)]
        probability = math.prod(chance if one else 1 - chance for one in touched)
        most += probability * max(counts)
    return most


@pytest.mark.parametrize(("n_experts", "groups"), [(8, 2), (8, 4), (9, 3), (6, 6)])
@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_the_busiest_group_by_enumeration(n_experts, groups, chance):
    """Each subset of experts with its probability; one at least, since a step touches some."""
    mean = chance * n_experts / groups
    most = max(by_enumeration(chance, n_experts, groups), 1.0)
    assert busiest_share(chance, n_experts, groups) * mean == pytest.approx(most)


@pytest.mark.parametrize(
    ("n_experts", "k", "groups", "tokens"),
    [(256, 8, 8, 1), (256, 8, 16, 4), (128, 8, 4, 2), (8, 2, 4, 1), (8, 2, 8, 1), (64, 6, 8, 16), (384, 8, 32, 64)],
)
def test_the_busiest_group_by_drawing(n_experts, k, groups, tokens):
    """Tokens that choose k different experts each, few of them and many: within 4 % of what 2,000 draws give."""
    generator = np.random.default_rng(1)
    most = []
    for _ in range(2000):
        chosen = np.argsort(generator.random((tokens, n_experts)), axis=1)[:, :k]
        places = np.unique(chosen) // (n_experts // groups)
        most.append(np.bincount(places).max())
    touched = 1 - (1 - k / n_experts) ** tokens
    forecast = busiest_share(touched, n_experts, groups) * touched * n_experts / groups
    assert forecast == pytest.approx(np.mean(most), rel=0.04)


def test_all_groups_are_equally_busy_where_every_expert_is_touched():
    """Then each reads all of its own; where they do not divide, the one with one more."""
    assert busiest_share(1.0, 256, 8) == pytest.approx(1)
    assert busiest_share(1.0, 6, 4) == pytest.approx(2 / 1.5)


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
    sent = {op.name: op for op in messages(model, load, runtime, Layout(data=8, expert=8))}
    assert set(sent) == {"sums of experts"}  # vLLM gathers all tokens on each device, and sums what the experts put out
    assert (sent["sums of experts"].count, sent["sums of experts"].message.n_bytes) == (58, 64 * 7168 * 2)
    assert bytes_of(spread, "head") == pytest.approx(8 * bytes_of(ops, "head"))


def test_layers_on_several_devices_hand_on_once_each():
    """llama.cpp on 3 cards: two hops of what each further card was measured to add, and each layer read at the speed of one."""
    one, three = (scenario("llama-3-8b", "rtx-3090", weights="q4_k_m", devices=n).at(1, 1024) for n in (1, 3))
    (hop,) = [timed for timed in three.ops if timed.op.message]
    assert (hop.op.message.kind, hop.op.count, hop.op.message.n_bytes) == ("send", 2, 4096 * 4)
    assert one.parts["memory"] == pytest.approx(three.parts["memory"])
    assert three.parts["communication"] == pytest.approx(2 * 230e-6, rel=0.2)


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


SMALL = Model.model_validate(
    {
        "name": "small", "d_model": 32, "vocab": 64, "tied_head": False,
        "layers": [
            {"attention": {"kind": "grouped_query", "n_heads": 8, "n_kv_heads": 2, "head_dim": 4}, "ffn": {"kind": "gated", "d_ff": 64}},
            {
                "count": 3,
                "attention": {"kind": "grouped_query", "n_heads": 8, "n_kv_heads": 2, "head_dim": 4},
                "ffn": {"kind": "experts", "n_experts": 8, "n_active": 2, "d_expert": 16},
            },
        ],
    }
)  # fmt: skip


def told(
    layout: Layout, runtime: str = "vllm", batch: int = 8, hardware=None
) -> dict[str, tuple[str, int, float, int, int]]:
    """What devices tell each other in a step of the small model: kind, how often, bytes, among how many, devices of each."""
    load = Workload(parse_weights("f16"), batch=batch, context=100)
    found = messages(SMALL, load, load_runtime(runtime), layout, hardware)
    return {
        op.name: (op.message.kind, op.count, op.message.n_bytes, op.message.n_devices, op.message.apart) for op in found
    }


def test_messages_of_a_small_model_by_hand():
    """8 tokens of 32 values in bf16 are 512 bytes; 64 logits of 8 sequences 1,024.

    In two stages of two devices each, tokens go on once, from 2 devices to 2; between groups with sequences of their own half of
    the tokens go on in each.
    """
    sums = {"sums of attention": ("sum", 4, 512, 4, 1), "sums of networks": ("sum", 4, 512, 4, 1)}
    head = {"parts of the head": ("gather", 1, 1024, 4, 1)}
    assert told(Layout()) == {}
    assert told(Layout(4)) == told(Layout(4, expert=4)) == sums | head
    assert told(Layout(pipeline=4)) == {"to the next device": ("send", 3, 512, 4, 1)}
    assert told(Layout(2, pipeline=2)) == {
        "sums of attention": ("sum", 4, 512, 2, 1),
        "sums of networks": ("sum", 4, 512, 2, 1),
        "parts of the head": ("gather", 1, 1024, 2, 1),
        "to the next device": ("send", 1, 512, 2, 2),
    }
    assert told(Layout(2, data=2, expert=4)) == {
        "sums of attention": ("sum", 4, 256, 2, 1),
        "sums of networks": ("sum", 1, 256, 2, 1),  # the dense layer's, in each group
        "sums of experts": ("sum", 3, 512, 4, 1),  # all tokens are gathered, then summed
        "parts of the head": ("gather", 1, 512, 2, 1),
    }


def test_what_follows_attention_may_be_shared_by_all_groups():
    """SGLang shares networks and head among all devices, though each group attends to its own sequences."""
    assert told(Layout(2, data=2, expert=4), "sglang") == {
        "sums of attention": ("sum", 4, 256, 2, 1),
        "sums of networks": ("sum", 4, 512, 4, 1),
        "parts of the head": ("gather", 1, 1024, 4, 1),
    }


def test_tokens_go_to_their_experts_where_boards_are_far_apart():
    """vLLM on 16 H100: 16 tokens, one on each device, whose 32 values in bf16 go to 2 experts and back in 3 layers: 128 bytes each."""
    h100 = load_hardware("h100-sxm")
    layout = Layout(data=16, expert=16)
    name = "tokens to experts and back"
    assert told(layout, batch=16, hardware=h100)[name] == ("dispatch", 6, 128, 16, 1)
    assert name not in told(Layout(data=8, expert=8), hardware=h100)  # one board
    assert told(Layout(data=8, expert=8), "roofline")[name][2] == 8 * 34 / 32 * 2 * 32 / 8  # in q8_0


def test_a_group_with_more_sequences_decides():
    """3 sequences in two groups: one has two, as if there were four; weights are read all the same."""
    load = Workload(parse_weights("f16"), batch=3, context=100)
    ops, runtime = decode_ops(SMALL, load), load_runtime("vllm")
    even, uneven = (spread_ops(ops, Layout(data=2, expert=2), runtime, 8, batch) for batch in (None, 3))

    def cost(found, part):
        return sum((op.cost * op.count for op in found if op.part == part), Cost())

    assert cost(uneven, "cache").cache_read_bytes == pytest.approx(4 / 3 * cost(even, "cache").cache_read_bytes)
    assert cost(uneven, "attention").weight_bytes == cost(even, "attention").weight_bytes
    assert cost(uneven, "experts") == cost(even, "experts")


@pytest.mark.parametrize(
    ("batch", "stages", "runtime", "passed", "passes"),
    [(8, 4, "vllm", 2, 4), (3, 4, "vllm", 1, 3), (9, 4, "vllm", 3, 4), (8, 4, "llama.cpp", 8, 1), (8, 1, "vllm", 8, 1)],
)
def test_batches_fill_stages_where_the_software_does_it(batch, stages, runtime, passed, passes):
    """Four stages work on two of eight sequences each; three sequences leave one idle; llama.cpp has one stage at work."""
    load = Workload(parse_weights("f16"), batch=batch, context=100)
    part, n = one_pass(load, Layout(pipeline=stages), load_runtime(runtime))
    assert (part.batch, n) == (passed, passes)


@pytest.mark.parametrize(
    ("layout", "model", "runtime", "message"),
    [
        (Layout(3), "llama-3-8b", "vllm", "3 devices cannot share the 32 heads of llama-3-8b evenly"),
        (Layout(8, expert=8), "llama-3-8b", "vllm", "llama-3-8b has no experts; leave expert out"),
        (Layout(16, expert=16), "mixtral-8x7b", "vllm", "mixtral-8x7b has 8 experts, so at most as many groups"),
        (Layout(pipeline=64), "llama-3-8b", "vllm", "llama-3-8b has 32 layers, so at most as many stages"),
        (
            Layout(data=2),
            "llama-3-8b",
            "llama.cpp",
            "runtime llama.cpp does not share by data, but by pipeline or tensor",
        ),
        (Layout(pipeline=2), "llama-3-8b", "gpt-fast", "runtime gpt-fast does not share by pipeline, but by tensor"),
        (Layout(2), "deepseek-v3", "llama.cpp", "runtime llama.cpp does not cut matrices of layers of kind latent"),
        (Layout(2), "gemma-3n-e4b", "llama.cpp", "does not cut matrices of models of architecture gemma3n"),
        (Layout(4, expert=2), "mixtral-8x7b", "vllm", "runtime vllm divides experts among all devices: expert4"),
        (Layout(6), "llama-3-70b", "distributed-llama", "shares a layer among 1, 2, 4 or 8 of them"),
    ],
)
def test_what_a_runtime_cannot_share_is_refused(layout, model, runtime, message):
    """By its ways, and by the model's heads, experts and layers."""
    with pytest.raises(InputError) as told_so:
        check_layout(layout, load_model(model).model, load_runtime(runtime), "gpu")
    assert message in str(told_so.value)


def test_matrices_are_cut_on_gpus_alone_where_the_software_says_so():
    """llama.cpp's split by tensors is none of boards on a network."""
    with pytest.raises(InputError, match=r"runtime llama\.cpp cuts matrices on GPUs only"):
        scenario("llama-3-8b", "4xpi5-8gb", runtime="llama.cpp", weights="q4_0", parallel="tensor")


def test_one_device_shares_nothing():
    """A word alone says nothing of how many; with its number it does."""
    with pytest.raises(
        InputError, match="parallel expert: how several devices share a model: say how many, as in --devices 2"
    ):
        scenario("mixtral-8x7b", "h100-sxm", parallel="expert")
    assert scenario("mixtral-8x7b", "h100-sxm", parallel="expert2").hardware.layout == Layout(2, expert=2)
    assert scenario("mixtral-8x7b", "h100-sxm", parallel=Layout(2, pipeline=2)).hardware.n_devices == 4


def test_usual_ways():
    """A runtime that splits by layers has a stage on each; the others share each matrix as far as its heads divide."""
    model = load_model("llama-3-70b").model  # 64 heads
    assert usual_layout(4, load_runtime("llama.cpp"), model) == Layout(pipeline=4)
    assert usual_layout(4, load_runtime("vllm"), model) == Layout(4)
    assert usual_layout(3, load_runtime("vllm"), model) == Layout(pipeline=3)
    assert usual_layout(12, load_runtime("vllm"), model) == Layout(4, pipeline=3)
    assert usual_layout(3, load_runtime("mlc"), model) == Layout(3)  # which is refused
    assert scenario("gshard-600b", "64xh100-sxm", runtime="vllm").hardware.layout == Layout(16, pipeline=4)


def test_filled_stages_of_free_links_give_as_many_times_the_tokens():
    """Four stages on four sequences each, by the hardware alone: what one device gives four sequences, four times."""
    device = with_free_links("h100-sxm")
    one, four = (
        scenario("llama-3-8b", device, weights="f16", runtime="roofline", parallel=text, devices=n).at(4 * n, 1024)
        for n, text in ((1, None), (4, "pipeline"))
    )
    assert four.tokens_per_s == pytest.approx(4 * one.tokens_per_s, rel=1e-4)
    single = scenario("llama-3-8b", device, weights="f16", runtime="roofline", parallel="pipeline", devices=4).at(
        1, 1024
    )
    alone = scenario("llama-3-8b", device, weights="f16", runtime="roofline").at(1, 1024)
    assert single.tokens_per_s == pytest.approx(alone.tokens_per_s, rel=1e-4)  # three of four stages are idle


def test_whole_models_on_free_links_give_as_many_times_the_tokens():
    """Data parallelism of a dense model: four devices with four sequences each."""
    device = with_free_links("h100-sxm")
    one, four = (
        scenario("llama-3-8b", device, weights="f16", runtime="roofline", parallel=text, devices=n).at(4 * n, 1024)
        for n, text in ((1, None), (4, "data"))
    )
    assert four.tokens_per_s == pytest.approx(4 * one.tokens_per_s, rel=1e-4)


@pytest.mark.parametrize("model", ["llama-3.1-405b", "gpt-3-175b", "deepseek-v3", "kimi-k2", "switch-c", "gshard-600b"])
@pytest.mark.parametrize("n_devices", [8, 16, 32, 64])
def test_large_models_on_boards_of_eight(model, n_devices):
    """Each has a forecast below its ceiling on 8 to 64 H100, but for the one that needs more memory than 8 have."""
    point = scenario(model, f"{n_devices}xh100-sxm").at(1, 1024)
    if model == "switch-c" and n_devices == 8:
        assert not point.fits  # 1.6 T weights in 4 bits are 760 GiB
    else:
        assert 5 < point.tokens_per_s < point.tokens_per_s_ceiling


@pytest.mark.parametrize(
    ("context", "measured", "within"),
    [(64, 92.58, 0.02), (32768 + 64, 68.69, 0.04)],  # the first is what it was fitted to, the second was left out
)
def test_llama_cpp_takes_longer_for_sums_than_for_layers_one_after_the_other(context, measured, within):
    """GLM-4.5-Air in iq2_xxs on two RTX 4090 (llama.cpp pull request 19378): -sm layer has 120.61 and 65.55 tokens/s."""
    rates = {
        way: float(scenario("glm-4.5-air", "2xrtx-4090", weights="iq2_xxs", parallel=way).at(1, context).tokens_per_s)
        for way in ("tensor", "pipeline")
    }
    assert rates["tensor"] == pytest.approx(measured, rel=within)
    assert (rates["tensor"] > rates["pipeline"]) == (context > 64)
