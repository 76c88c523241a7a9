"""Scales of matrices' results, as files in nvfp4 have them: applied to every matrix, or refused."""

import llama_cases
import numpy as np
import pytest
from reference import CLOSE, FLIPPED, WIDE, differing_experts, errors

from simulator.engine.recipes.architecture import WITH_SCALES
from simulator.engine.step import Engine
from simulator.errors import InputError
from simulator.importers.gguf import load_gguf


def test_those_that_run_are_recorded():
    """Each architecture with scales has llama.cpp's logits of a file with them."""
    assert set(llama_cases.WITH_SCALES) == WITH_SCALES


@pytest.mark.parametrize("arch", ["qwen3", "qwen3moe", "nemotron_h"])
def test_nvfp4_with_scales(case, arch):
    """Of the head, too; inputs are rounded to int8, and what files say of inputs is not read."""
    extra = {"output.scale": np.float32([0.7]), "output.input_scale": np.float32([7.0])}
    small = case(arch, "nvfp4", tied=False, scaled=True, extra=extra)
    routing = differing_experts if arch == "qwen3moe" else None
    found = errors(small.logits(routing), small.reference(routing=routing, round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < FLIPPED


@pytest.mark.parametrize("arch", ["llama", "qwen3moe"])
def test_sparse_inputs_with_scales(case, arch):
    """Of the largest half of the inputs."""
    small = case(arch, scaled=True, **WIDE)
    assert errors(small.logits(sparsity="columns:0.5"), small.reference(top_k_inputs=0.5)).max() < CLOSE


def test_a_step_reads_scales_of_results_and_none_of_inputs(case):
    """Seven matrices in each of two layers: a number each, in the engine and in the model that forecasts count."""
    read = {}
    for scaled in (False, True):
        path = case("llama", scaled=scaled).path
        with Engine(path, threads=1, context=8) as engine:
            read[scaled] = engine.decode([1]).read.vectors
    assert read[True] - read[False] == 2 * 7 * 4
    beside = load_gguf(path).model.stack[0].beside
    assert {each.role: each.idle for each in beside if "attn_q" in each.role} == {
        "attn_q.scale": False,
        "attn_q.input_scale": True,
    }


def refusal(path):
    """What the engine says of a file."""
    with pytest.raises(InputError) as caught:
        Engine(path, threads=1, context=8)
    return str(caught.value)


def test_scales_that_llama_cpp_leaves_out_are_refused(case):
    """In architectures that are not known to have them, beside biases of dense networks, and of an embedding that serves as head."""
    assert "the scale blk.0.attn_q.scale, as llama.cpp leaves such scales out" in refusal(
        case("gemma", scaled=True).path
    )
    biased = case("llama", scaled=True, biases=("ffn_gate", "ffn_up", "ffn_down")).path
    assert "the scale blk.0.ffn_gate.scale, as llama.cpp leaves such scales out" in refusal(biased)
    tied = case("llama", tied=True, extra={"output.scale": np.float32([0.5])}).path
    assert "the further tensor output.scale" in refusal(tied)


def test_a_scale_for_every_expert(case):
    """Eight experts need eight numbers."""
    scale = {"blk.0.ffn_up_exps.scale": np.ones(7, np.float32)}
    assert "blk.0.ffn_up_exps.scale has 7 numbers, 8 are needed" in refusal(case("qwen3moe", extra=scale).path)
