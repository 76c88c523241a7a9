"""The same bits every time: whatever else is in a step, however a prompt is cut, with any number of threads, in any process."""

import json
import os
import subprocess
import sys

import amount
import numpy as np
import pytest
import tiny
from places import ROOT
from products import PATHS
from reference import SUPPORTED
from schedules import digest, in_company, one_by_one

from simulator.engine import step
from simulator.engine.step import Engine

# An architecture, a format, and how the engine is opened: every kind of kernel, and formats of every family.
CASES = {
    "blocks of 32": ("llama", "q8_0", {}, {}),
    "experts": ("qwen2moe", "q4_0", {"head_dim": 32}, {"cache": "q8_0"}),
    "a window": ("gemma3", "q5_1", {"n_kv_heads": 1}, {"cache": "q4_0"}),
    "blocks of 256": ("qwen3moe", "q6_k", {}, {"cache": "f32"}),
    "latents": ("deepseek2", "q4_0", {}, {}),
    "delta nets": ("qwen35moe", "q4_0", {}, {}),
    "Mamba 2": ("nemotron_h", "q8_0", {}, {}),
    "short convolutions": ("lfm2", "q4_1", {}, {}),
    "single elements": ("olmoe", "bf16", {}, {}),
    "zero inputs": ("llama", "q4_0", {"d_model": 128, "head_dim": 32, "d_ff": 192}, {"sparsity": "columns:0.5"}),
}
EVERY = {f"{arch} f32": (arch, "f32", {}, {"cache": "f32"}) for arch in SUPPORTED}
EVERY |= {f"llama {fmt}": ("llama", fmt, {}, {}) for fmt in tiny.FORMATS}
FEW = (
    "llama q4_k",
    "gpt-oss f32",
    "qwen3next f32",
    "deepseek2 f32",
    "mamba2 f32",
    "lfm2 f32",
)  # sinks, states, latents ...
LENGTHS = (60, 21, 33, 5)
CUTS = 3  # ways to cut and mix them


def tokens_of(length, number):
    """Tokens of a sequence, unlike those of the others."""
    return [(7 * at * at + 13 * number + 3 * at) % 64 for at in range(length)]


def open_case(folder, name, path=None, **more):
    """An engine of a case, with room for all sequences unless told otherwise."""
    arch, fmt, shape, options = (CASES | EVERY)[name]
    file = folder / f"{arch}-{fmt}.gguf"
    if not file.exists():
        tiny.write(file, arch, fmt, **shape)
    return Engine(file, path=path, **({"threads": 1, "batch": len(LENGTHS), "context": 80} | options | more))


@pytest.fixture(autouse=True)
def _any_number_of_threads(monkeypatch):
    """Whatever the number of cores."""
    monkeypatch.setattr(step, "threads_here", lambda wanted: wanted)


def check_company(folder, name, path=None, lengths=LENGTHS, context=80):
    """Every sequence alone on one thread, an engine with room for one; then all in company on 1, 2 and 4 threads."""
    sequences = [tokens_of(length, number) for number, length in enumerate(lengths)]
    with open_case(folder, name, path, batch=1, context=context) as engine:
        alone = [one_by_one(engine, tokens) for tokens in sequences]
    for threads in (1, 2, 4):
        draw = np.random.default_rng(threads)
        with open_case(folder, name, path, batch=len(lengths) + 1, context=context + 48, threads=threads) as engine:
            for _ in range(CUTS if threads < 4 else 1):
                places = draw.permutation(len(lengths) + 1)[: len(lengths)]
                for own, found in zip(alone, in_company(engine, sequences, draw, places=places), strict=True):
                    assert np.isfinite(own).all()
                    assert np.array_equal(own, found)


@pytest.mark.parametrize("name", CASES)
def test_a_token_is_the_same_in_any_company(tmp_path, name):
    """To the bit: alone, beside other sequences at other depths and their prompts, in chunks of any size, on 1, 2 and 4 threads,
    in an engine with room for one sequence or five."""
    check_company(tmp_path, name)


@pytest.mark.parametrize("name", amount.among(list(EVERY), FEW))
def test_every_architecture_and_format_has_that(tmp_path, name):
    """Whatever its layers keep of past tokens: keys and values, a state, a latent."""
    check_company(tmp_path, name, lengths=(40, 9, 17))


@pytest.mark.parametrize("path", PATHS[1:])
@pytest.mark.parametrize("name", amount.among(list(CASES), ("experts", "a window")))
def test_and_so_it_is_on_every_path(tmp_path, name, path):
    """Each for itself."""
    check_company(tmp_path, name, path)


def test_long_sequences_too(tmp_path):
    """290 tokens cross the run of 256 positions that one thread takes; where a prompt's chunk ends moves no boundary."""
    check_company(tmp_path, "blocks of 32", lengths=(290, 20), context=300)


def test_experts_chosen_beforehand_change_nothing_of_it(tmp_path):
    """Chosen by layer and place in the sequence, in place of the router."""

    def routing(layer, position):
        return 3 * layer + position

    sequences = [tokens_of(length, number) for number, length in enumerate(LENGTHS)]
    with open_case(tmp_path, "experts", threads=2) as engine:
        alone = [one_by_one(engine, tokens, routing) for tokens in sequences]
        found = in_company(engine, sequences, np.random.default_rng(5), routing)
    assert all(np.array_equal(own, other) for own, other in zip(alone, found, strict=True))


def test_paths_of_one_processor_agree(tmp_path):
    """For formats of blocks: sums of int8 products are exact, and what follows is done in the same order on all."""
    found = {}
    for path in PATHS:
        with open_case(tmp_path, "experts", path) as engine:
            found[path] = digest(one_by_one(engine, tokens_of(12, 0)))
    assert len(set(found.values())) == 1, found


def logits_digests(folder):
    """A digest for each case of what a sequence gets."""
    found = {}
    for name in CASES:
        with open_case(folder, name) as engine:
            found[name] = digest(one_by_one(engine, tokens_of(20, 1)))
    return found


def test_another_process_finds_the_same(tmp_path):
    """Its memory lies elsewhere, and its kernels are loaded from the cache that this one filled."""
    here = logits_digests(tmp_path)
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == here


if __name__ == "__main__":
    from pathlib import Path

    print(json.dumps(logits_digests(Path(sys.argv[1]))))
