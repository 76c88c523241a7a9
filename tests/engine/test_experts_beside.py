"""Gemma 4's experts beside a dense network: formats, a token's company, what is read, and files that are refused."""

import numpy as np
import pytest
from reference import CLOSE, FLIPPED, WIDE, decode_together, differing_experts, errors

from simulator.engine.step import Engine
from simulator.errors import InputError
from simulator.forecast.decode import decode_ops
from simulator.forecast.ops import total
from simulator.importers.gguf import load_gguf
from simulator.spec.mixes import parse_weights
from simulator.spec.workload import Workload

EXPERTS = {"n_experts": 8, "n_active": 3, "per_layer": 0, "own_layers": 6, "keys_are_values": True}


def test_blocks_round_their_inputs_and_nothing_else(case):
    """Of the dense network, of experts, and of what the file chooses among."""
    small = case("gemma4", "q8_0", n_layers=4, **EXPERTS)
    found = errors(small.logits(differing_experts), small.reference(routing=differing_experts, round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < FLIPPED


def test_half_of_the_inputs(case):
    """What routers read stays whole; experts and the dense network keep the largest of their own."""
    small = case("gemma4", n_layers=2, scaled=True, **(WIDE | EXPERTS))
    out = small.logits(differing_experts, sparsity="columns:0.5")
    assert errors(out, small.reference(routing=differing_experts, top_k_inputs=0.5)).max() < CLOSE


def test_a_token_does_not_depend_on_its_company(case):
    """The same bits alone, among other sequences, in a prompt, and with another number of threads; its router chooses."""
    small = case(
        "gemma4", "q8_0", n_layers=4, sequences=([5, 9, 2, 40, 7, 63, 0], [8, 44, 21], [17, 2, 51, 3]), **EXPERTS
    )
    with small.engine(threads=1) as engine:
        together = decode_together(engine, small.sequences)
    for number, tokens in enumerate(small.sequences):
        with small.engine(threads=2, batch=1) as engine:
            alone = np.concatenate([engine.decode([token]).logits for token in tokens])
            engine.reset()
            prompted = engine.prompt(tokens).logits[-1]
        assert np.array_equal(together[number], alone)
        assert np.array_equal(prompted, alone[-1])


def test_the_forecast_counts_the_same_weights(case):
    """One token, three of 16 experts, and the dense network as what is shared: 3 matrices of 96 x 64 in each of 6 layers."""
    path = case("gemma4", **(EXPERTS | {"n_experts": 16})).path
    with Engine(path, threads=2, context=8) as engine:
        read = engine.decode([1]).read
    ops = decode_ops(load_gguf(path).model, Workload(parse_weights("f32"), batch=1, context=0))
    for part in ("attention", "router", "experts", "shared", "head", "vectors"):
        counted = total(op for op in ops if op.part == part).weight_bytes
        assert getattr(read, part) == pytest.approx(counted, rel=1e-12), part
    assert read.shared == 4 * 6 * 3 * 96 * 64
    assert read.experts == 4 * 6 * 3 * 3 * 32 * 64
    assert read.ffn == 0


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ([f"blk.{layer}.ffn_gate_inp.scale" for layer in range(6)], "blk.0.ffn_gate_inp.scale is missing"),
        (["blk.2.pre_ffw_norm_2.weight"], "6 norms in a layer, 7 .*layer 2"),
        (["blk.1.ffn_gate.weight", "blk.1.ffn_up.weight", "blk.1.ffn_down.weight"], "layer 1 has experts and no dense"),
        (
            [
                f"blk.3.{name}"
                for name in (
                    "ffn_gate_inp.weight", "ffn_gate_inp.scale", "ffn_gate_up_exps.weight", "ffn_down_exps.weight",
                    "ffn_down_exps.scale", "pre_ffw_norm_2.weight", "post_ffw_norm_1.weight", "post_ffw_norm_2.weight",
                )
            ],
            "only 5 of 6 layers have experts",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(case, left_out, said):
    """The router's scale, a norm, the dense network; or all of the experts of one layer."""
    path = case("gemma4", leave_out=left_out, **EXPERTS).path
    with pytest.raises(InputError, match=said):
        Engine(path, threads=1, context=8)
