"""Whole networks against llama.cpp: the logits that it gave for small files, beside the engine's and the reference's."""

import llama_cases
import naive
import naive_dense
import naive_gemma4
import numpy as np
import pytest
from reference import SUPPORTED, errors

from simulator.engine.recipes.table import ARCHITECTURES
from simulator.engine.step import Engine

# Of the largest error of a logit, relative to the spread of all. llama.cpp computes in float32 but reads gelu from a table of float16.
NEAR = 2e-5
NEAR_BY_TABLE = 3e-3
GELU = ("gemma", "gemma3", *(arch for arch, traits in naive_dense.TRAITS.items() if traits.activation == "gelu"))
RUN = [name for name, (arch, _) in llama_cases.CASES.items() if arch in SUPPORTED]


def near(name):
    """How far a case may be from llama.cpp."""
    arch = llama_cases.CASES[name][0]
    if arch in naive_gemma4.ARCHITECTURES:  # up to two in a layer
        return 2 * NEAR_BY_TABLE
    return NEAR_BY_TABLE if arch in GELU else NEAR


def test_every_architecture_of_the_engine_is_recorded():
    """And nothing that is no case any more."""
    assert set(ARCHITECTURES) <= {arch for arch, _ in llama_cases.CASES.values()}
    assert {path.stem for path in llama_cases.RECORDS.iterdir()} == set(llama_cases.CASES)


@pytest.mark.parametrize("name", llama_cases.CASES)
def test_the_reference_is_llama_cpp(tmp_path, name):
    """In float64, on the very file that was recorded."""
    path, held = llama_cases.write(name, tmp_path), llama_cases.recorded(name)
    again = f"python tests/recorded/llama_logits.py {name}"
    assert held["digest"] == llama_cases.digest(path), f"the small file is another one now: {again}"
    (out,) = naive.decode(naive.load(path), [llama_cases.TOKENS])
    assert errors(out, held["logits"]).max() < near(name)


@pytest.mark.parametrize("name", RUN)
def test_the_engine_is_llama_cpp(tmp_path, name):
    """Token by token, with a float32 cache."""
    path, expected = llama_cases.write(name, tmp_path), llama_cases.recorded(name)["logits"]
    with Engine(path, threads=1, batch=1, context=256, cache="f32") as engine:
        out = np.concatenate([engine.decode([token]).logits for token in llama_cases.TOKENS])
    assert errors(out, expected).max() < near(name)
