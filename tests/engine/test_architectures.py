"""Whole decode steps against the reference: every architecture and format, mixed formats, CPU paths, sparse inputs."""

import amount
import llama_cases
import naive
import numpy as np
import pytest
import tiny
from reference import CLOSE, FLIPPED, SUPPORTED, WIDE, differing_experts, errors

from simulator.engine import cpu
from simulator.engine.recipes.table import ARCHITECTURES

QUANTISED = [fmt for fmt in tiny.FORMATS if fmt not in ("f32", "f16", "bf16")]


# ---- arithmetic ----


def test_every_architecture_of_the_engine_is_decoded_here():
    """The small files leave none out."""
    assert set(ARCHITECTURES) == set(SUPPORTED)


@pytest.mark.parametrize("arch", SUPPORTED)
def test_architectures_in_float32(case, arch):
    """Sequences of 1 to 12 tokens decoded together are the reference, to float32's accuracy."""
    small = case(arch, **llama_cases.OWN.get(arch, {}))
    assert errors(small.logits(), small.reference()).max() < CLOSE


@pytest.mark.parametrize(
    ("arch", "changes"),
    [
        ("llama", {"n_experts": 8}),  # Mixtral
        ("llama", {"rope_factors": True, "rope_linear": 4.0}),
        ("gemma3", {"rope_linear": 8.0, "n_layers": 6, "tied": False}),
        ("gemma4", {"own_layers": 2}),  # of which two layers read each cache beside its own
        ("gemma4", {"per_layer": 0, "own_layers": 6, "keys_are_values": True, "rope_linear": 2.0}),
        ("llama", {"rotated": 8}),  # half of each head
        ("qwen3", {"value_dim": 48}),
        ("qwen2", {"n_heads": 6, "n_kv_heads": 1, "head_dim": 16, "tied": True}),
        ("llama", {"d_model": 72, "head_dim": 16, "d_ff": 100, "vocab": 331}),  # nothing divides by 16
        ("olmoe", {"n_experts": 60, "n_active": 8, "d_expert": 24}),
    ],
)
def test_variants_in_float32(case, arch, changes):
    """Scaled and partial rotations, tied heads, odd widths, many experts."""
    small = case(arch, **changes)
    assert errors(small.logits(), small.reference()).max() < CLOSE


@pytest.mark.parametrize(("arch", "routing"), [("llama", None), ("qwen3moe", differing_experts)])
@pytest.mark.parametrize("fmt", amount.among(tiny.FORMATS, tiny.KINDS))
def test_formats_round_their_inputs_and_nothing_else(case, fmt, arch, routing):
    """With inputs of blocks rounded to int8 in the reference too, most rows agree as closely as in float32.

    Against the reference without rounding, int8 inputs cost at most 3 % in two layers.
    """
    small = case(arch, fmt)
    out = small.logits(routing)
    found = errors(out, small.reference(routing=routing, round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < (FLIPPED if fmt in QUANTISED else CLOSE)
    exact = small.reference(routing=routing)
    assert np.linalg.norm(out - exact) / np.linalg.norm(exact) < 0.03


@pytest.mark.parametrize(
    ("arch", "fmt", "formats"),
    [
        ("llama", "q4_k", {"attn_v": "q6_k", "ffn_down": "q6_k", "output": "q6_k"}),  # as q4_k_m has it
        ("llama", "q8_0", {"ffn_gate": "q4_0", "ffn_down": "f16", "attn_output": "bf16", "token_embd": "f32"}),
        ("llama", "f16", {"ffn_down": "q8_0", "attn_q": "q5_1", "attn_norm": "bf16", "output_norm": "f16"}),
        ("qwen2", "q8_0", {"bias": "f16", "attn_k": "f32"}),
        ("qwen2moe", "q4_0", {"ffn_gate_inp": "f16", "ffn_down_exps": "q8_0", "ffn_up_shexp": "q5_0"}),
    ],
)
def test_formats_may_be_mixed(case, arch, fmt, formats):
    """Every matrix takes its inputs as its own format wants them; vectors may be short floats too."""
    small = case(arch, fmt, formats=formats)
    routing = differing_experts if "moe" in arch else None
    found = errors(small.logits(routing), small.reference(routing=routing, round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < FLIPPED


@pytest.mark.parametrize("path_name", [path.name for path in cpu.reachable()])
def test_every_path_decodes_the_same(case, path_name):
    """A network in q8_0 whose head is in q4_0, on each of the processor's paths."""
    small = case("qwen3", "q8_0", formats={"output": "q4_0"})
    found = errors(small.logits(path=path_name), small.reference(round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < FLIPPED


def test_the_experts_of_a_step_are_the_routers(case, monkeypatch):
    """In order of layer and token, best first."""
    own_choice, chosen = naive.own_choice, []

    def remember(*arguments):
        """The reference's choice, noted."""
        chosen.append(own_choice(*arguments))
        return chosen[-1]

    monkeypatch.setattr(naive, "own_choice", remember)
    small = case("qwen3moe", n_experts=16, sequences=[[3], [9], [27], [60]])
    small.reference()
    with small.engine() as engine:
        step = engine.decode([3, 9, 27, 60])
    assert np.concatenate(step.experts).tolist() == [experts.tolist() for experts, _ in chosen]
    assert step.distinct_experts == tuple(len(set(layer.ravel().tolist())) for layer in step.experts)


# ---- sparse inputs ----


@pytest.mark.parametrize(
    ("arch", "fmt", "changes"),
    [
        ("llama", "f32", {}),
        ("llama", "f16", {}),
        ("llama", "bf16", {}),
        ("gemma3", "f32", {"head_dim": 64}),
        ("qwen2moe", "f32", {"d_shared": 64}),
    ],
)
def test_half_of_the_inputs(case, arch, fmt, changes):
    """The largest half of each matrix's inputs, as the reference keeps them, in formats that round nothing."""
    small = case(arch, fmt, **(WIDE | changes))
    out = small.logits(sparsity="columns:0.5")
    assert errors(out, small.reference(top_k_inputs=0.5)).max() < CLOSE


@pytest.mark.parametrize("fmt", ["q8_0", "q4_0"])
def test_half_of_the_inputs_as_int8(case, fmt):
    """The kept ones are rounded; a rounding apart may keep another input, so that the odd row is off."""
    small = case("llama", fmt, **WIDE)
    out = small.logits(sparsity="columns:0.5")
    found = errors(out, small.reference(top_k_inputs=0.5, round_inputs=True))
    assert np.median(found) < CLOSE
    assert np.mean(found < CLOSE) > 0.7


def test_one_share_for_each_group(case):
    """qkv, out, up, gate and down have zeros of their own: where only down has some, the others are dense."""
    small = case("llama", **WIDE)
    shares = {"ffn_down": 0.25}
    linear = naive.linear
    dense, sparse = small.logits(), small.logits(sparsity="columns:0,0,0,0,0.75")

    def only_down(block, role, x, share=None):
        """The reference with zeros before one matrix."""
        return linear(block, role, x, shares.get(role))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naive, "linear", only_down)
        assert errors(sparse, small.reference()).max() < CLOSE
    assert errors(dense, small.reference()).max() < CLOSE
