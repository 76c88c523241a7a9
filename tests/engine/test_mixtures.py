"""Latent attention and mixtures in a network: formats, caches, both ways to store a latent's matrices, and what is refused."""

import naive
import numpy as np
import pytest
from reference import CLOSE, FLIPPED, Case, decode_together, errors

from simulator.engine.step import Engine
from simulator.errors import InputError
from simulator.forecast.decode import decode_ops
from simulator.forecast.ops import total
from simulator.importers.gguf import load_gguf
from simulator.spec.mixes import parse_weights
from simulator.spec.quant import FORMATS
from simulator.spec.workload import Workload


def routed(_layer, sequence, position):
    """Experts that need no router, so that rounding cannot change a choice; its weights for them."""
    return [(sequence + position + 5 * each) % 8 for each in range(3)], None


@pytest.mark.parametrize(
    ("arch", "fmt", "changes"),
    [
        ("deepseek2", "q8_0", {}),
        ("deepseek2", "f16", {}),
        ("deepseek2", "q4_0", {"joined_latent": True, "formats": {"attn_kv_b": "f16"}}),
        (
            "deepseek2",
            "q8_0",
            {"formats": {"attn_k_b": "q4_0", "attn_v_b": "f16", "attn_output": "f16", "attn_q_b": "f32"}},
        ),
        ("gpt-oss", "q8_0", {}),
        ("glm4moe", "q4_0", {"d_model": 128, "d_expert": 64, "d_shared": 64, "head_dim": 32}),
    ],
)
def test_formats_round_their_inputs_and_nothing_else(case, arch, fmt, changes):
    """Of each head's own matrices too: what does not turn of a query, and what a head has read."""
    small = case(arch, fmt, **changes)
    found = errors(small.logits(routed), small.reference(routing=routed, round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < FLIPPED


def test_a_latent_in_half_precision(case):
    """Rounded where it is kept, and nowhere else."""
    small = case("deepseek2", n_layers=3)
    found = errors(small.logits(routed, cache="f16"), small.reference(routing=routed, round_cache="f16"))
    assert np.median(found) < 3 * CLOSE  # without that rounding it is 30 times as much
    assert found.max() < 2e-3  # a value halfway between two halves may be rounded apart


def test_one_matrix_of_a_latent_is_what_two_are(case):
    """The reference of a file with both, and one that has them in one matrix, with the same numbers."""
    joined = case("deepseek2", joined_latent=True)
    network = joined.network
    tensors = dict(network.tensors)
    for layer in range(network.n_layers):
        both = network.weight(f"blk.{layer}.attn_kv_b.weight").reshape(4, 64, 64)
        name, kind = f"blk.{layer}.attn_{{}}.weight", network.tensors[f"blk.{layer}.attn_kv_b.weight"].tensor_type
        del tensors[name.format("kv_b")]
        for role, values in (("k_b", both[:, :32].transpose(0, 2, 1)), ("v_b", both[:, 32:])):
            tensors[name.format(role)] = type("Plain", (), {"data": values.astype(np.float32), "tensor_type": kind})
    split = Case(joined.path, naive.Network(network.keys, tensors))
    assert errors(joined.logits(), split.reference()).max() < CLOSE


def test_fused_experts_are_what_two_matrices_are(case):
    """Gate and up of every expert in one tensor, the gate first."""
    apart = case("deepseek2", n_layers=2)
    names = [f"blk.1.ffn_{role}_exps.weight" for role in ("gate", "up")]
    both = np.concatenate([apart.network.weight(name) for name in names], axis=1).astype(np.float32)
    expected = apart.reference()  # before the other file takes the place of this one
    together = case(
        "deepseek2", "f32", n_layers=2, extra={"blk.1.ffn_gate_up_exps.weight": both}, leave_out=names
    )  # fmt: skip
    assert errors(together.logits(), expected).max() < CLOSE


def test_a_latent_keeps_one_place_for_each_token(case):
    """64 + 16 numbers in half precision, of each token once for all four heads, in each of two layers."""
    with Engine(case("deepseek2").path, batch=2, context=48) as engine:
        assert engine.assembly.kept_bytes == 2 * 2 * 48 * 80 * 2
        for position in range(3):
            step = engine.decode([5, 9])
            assert step.read.cache == 2 * 2 * (position + 1) * 80 * 2


@pytest.mark.parametrize(("cache", "block_bytes"), [("q8_0", 34), ("q4_0", 18)])
@pytest.mark.parametrize(("arch", "n_layers"), [("deepseek2", 2), ("minicpm3", 2)])
def test_a_latent_in_blocks(case, arch, n_layers, cache, block_bytes):
    """64 + 32 numbers in three blocks for each token and layer, rounded as ggml rounds them where they are kept, and nowhere else."""
    small = case(arch, n_layers=n_layers, head_dim=64, rotated=32)
    routing = routed if arch == "deepseek2" else None
    found = errors(small.logits(routing, cache=cache), small.reference(routing=routing, round_cache=cache))
    assert np.median(found) < 3 * CLOSE
    assert found.max() < FLIPPED
    with small.engine(cache=cache, context=48) as engine:
        assert engine.assembly.kept_bytes == n_layers * len(small.sequences) * 48 * 3 * block_bytes
        for position in range(3):
            assert engine.decode([5, 9]).read.cache == 2 * n_layers * (position + 1) * 3 * block_bytes


def test_the_forecast_reads_the_same_latents_in_blocks(case):
    """Of 20 tokens before the new one, and that itself."""
    path = case("deepseek2", head_dim=64, rotated=32).path
    with Engine(path, threads=2, context=32, cache="q8_0") as engine:
        engine.pretend(20)
        read = engine.decode([5]).read.cache
    load = Workload(parse_weights("f32"), batch=1, context=20, cache=FORMATS["q8_0"])
    assert read == total(decode_ops(load_gguf(path).model, load)).cache_read_bytes


@pytest.mark.parametrize("cache", ["q8_0", "q4_0"])
def test_latents_in_blocks_do_not_depend_on_their_company(case, cache):
    """The same bits alone, among other sequences, in a prompt, and with another number of threads."""
    small = case("deepseek2", "q8_0", head_dim=64, rotated=32, sequences=([5, 9, 2, 40, 7, 63], [8, 44, 21]))
    with small.engine(threads=1, cache=cache) as engine:
        together = decode_together(engine, small.sequences)
    for number, tokens in enumerate(small.sequences):
        with small.engine(threads=2, batch=1, cache=cache) as engine:
            alone = np.concatenate([engine.decode([token]).logits for token in tokens])
            engine.reset()
            prompted = engine.prompt(tokens).logits[-1]
        assert np.array_equal(together[number], alone)
        assert np.array_equal(prompted, alone[-1])


def test_latents_that_fill_no_blocks(case):
    """64 + 16 numbers are two blocks and a half."""
    with pytest.raises(InputError, match="blocks of 32, which latents of width 80 do not fill; give --cache f16"):
        Engine(case("deepseek2").path, cache="q8_0")


def test_unknown_ways_of_a_router_are_refused(case):
    """Another function of the logits, and groups that do not divide the experts."""
    with pytest.raises(InputError, match=r"expert_gating_func is 3; the engine runs 1 .softmax. and 2 .sigmoid."):
        Engine(case("glm4moe", keys={"expert_gating_func": 3}).path)
    with pytest.raises(InputError, match="16 experts in 3 groups"):
        Engine(case("bailingmoe2", keys={"expert_group_count": 3}).path)
