"""What an engine refuses, each in one sentence: tokens, routings, full contexts, options that make no engine."""

import threading

import numpy as np
import pytest
import tiny
from reference import WIDE

from simulator.engine.step import Engine
from simulator.errors import InputError
from simulator.spec.sparsity import Sparsity


@pytest.mark.parametrize(
    ("tokens", "sequences", "message"),
    [
        ([64], None, "token 64 is outside the vocabulary of 64"),
        ([-1], None, "token -1 is outside the vocabulary of 64"),
        ([1], [2], "sequence 2 is outside the batch of 2"),
        ([1], [-1], "sequence -1 is outside the batch of 2"),
        ([], None, "0 tokens for 0 sequences; 1 to 9 are possible"),
        ([1, 2, 3], [0, 1], "3 tokens for 2 sequences; 1 to 9 are possible"),
        ([1] * 10, [0] * 10, "10 tokens for 10 sequences; 1 to 9 are possible"),
    ],
)
def test_what_cannot_be_decoded_is_said(case, tokens, sequences, message):
    """In one sentence, and nothing has changed: the context is 9 tokens, so that many go through a step."""
    with case("llama").engine(batch=2, context=9) as engine:
        before = engine.decode([1, 2]).logits
        with pytest.raises(InputError) as raised:
            engine.decode(tokens, sequences)
        assert str(raised.value) == message
        assert engine.lengths.tolist() == [1, 1]
        engine.reset()
        assert np.array_equal(engine.decode([1, 2]).logits, before)


@pytest.mark.parametrize(
    ("tokens", "sequences", "wrong"), [([-1, 5], [0, 0], "token -1"), ([1, 5], [-1, 0], "sequence -1")]
)
def test_of_several_the_wrong_one_is_said(case, tokens, sequences, wrong):
    """Not the one beside it, which is right."""
    with case("llama").engine() as engine, pytest.raises(InputError, match=wrong):
        engine.decode(tokens, sequences)


@pytest.mark.parametrize(
    "experts",
    [
        [1, 2, 3, 4],
        [[0, 1]] * 4,
        [[0, 1, 1]] * 4,
        [[-1, 0, 1]] * 4,
        [[0, 1, 8]] * 4,
    ],
)
def test_a_routing_gives_different_experts_that_there_are(case, experts):
    """As many for each token as the model uses, each once."""
    with case("qwen3moe").engine() as engine, pytest.raises(InputError, match="routing"):
        engine.decode([1, 2, 3, 4], routing=lambda *_: np.array(experts))


def test_a_full_context_is_said(case):
    """Five tokens fit; a sixth does not, nor two where one has room, and other sequences go on."""
    with case("llama").engine(batch=2, context=5) as engine:
        engine.prompt([1, 2, 3, 4])
        for tokens in ([1, 2], [1, 2, 3]):
            with pytest.raises(InputError, match="the context of 5 tokens is full"):
                engine.decode(tokens, [0] * len(tokens))
        engine.decode([1], [0])
        with pytest.raises(InputError, match="the context of 5 tokens is full; give a larger one"):
            engine.decode([1], [0])
        engine.decode([1], [1])
        assert engine.lengths.tolist() == [5, 1]


def test_prompts_and_depths_have_bounds(case):
    """A prompt needs a token, a depth lies inside the context."""
    with case("llama").engine(context=8) as engine:
        with pytest.raises(InputError, match="a prompt needs at least one token"):
            engine.prompt([])
        for depth in (-1, 8):
            with pytest.raises(InputError, match=f"a depth of {depth} tokens is outside the context of 8"):
                engine.pretend(depth)


@pytest.mark.parametrize(
    ("fmt", "sizes", "options", "message"),
    [
        ("f32", {}, {"cache": "q5_0"}, "cache format 'q5_0' is not one of the engine's: f16, f32, q8_0, q4_0"),
        (
            "f32",
            {},
            {"cache": "q8_0"},
            "a cache in q8_0 has blocks of 32, which heads of width 16 do not fill; take --cache f16",
        ),
        ("f32", {}, {"path": "mmx"}, "CPU path 'mmx' is unknown"),
        ("f32", {}, {"sparsity": "columns:half"}, "a share of zeros between 0 and 1"),
        ("f32", {}, {"sparsity": "block-q-sparse:0.5,0.5"}, "give one share, or 5 for qkv, out, up, gate, down"),
        ("f32", WIDE, {"sparsity": "columns:0,0,0.5,0.5,0"}, "in down where those have any"),
        ("f32", WIDE, {"sparsity": "columns:0,0,0.5,0,0.5"}, "ffn_gate, ffn_up share their inputs"),
        ("f32", {"n_kv_heads": 1}, {"sparsity": "columns:0.5"}, "rows divide by 64; one has 16"),
        ("q5_0", WIDE, {"sparsity": "columns:0.5"}, "run with weights in q8_0, q4_0, f32, f16, bf16, not in q5_0"),
        ("q8_0", {"n_kv_heads": 4}, {}, "heads of width 16 are not run with an output matrix in q8_0"),
    ],
)
def test_options_that_make_no_engine(case, fmt, sizes, options, message):
    """Each is said in one sentence before anything is decoded, and leaves no threads behind."""
    small, before = case("llama", fmt, **sizes), threading.active_count()
    with pytest.raises(InputError, match=message):
        small.engine(**options)
    assert threading.active_count() == before


def test_a_granularity_is_refused(case):
    """The engine skips single columns: counting whole lines of 32 would not be what it reads."""
    lines = Sparsity(name="lines", qkv=0.5, granularity=32)
    with pytest.raises(InputError, match="sparsity lines: the engine skips single columns, granularity must be 1"):
        case("llama", **WIDE).engine(sparsity=lines)


def test_more_threads_than_there_are_are_refused(case):
    """In Python as on the command line, before anything is loaded."""
    with pytest.raises(InputError, match=r"^threads 100000: .* machine"):
        case("llama").engine(threads=100_000)


@pytest.mark.parametrize("wrong", ["4", True, 0, 10**30])
def test_all_that_no_machine_can_run_is_refused_in_one_sentence(case, wrong):
    """A text, a truth, none and more than any has: what is possible here, whatever was given."""
    with pytest.raises(InputError, match=r"^threads \S+: .* machine"):
        case("llama").engine(threads=wrong)


@pytest.mark.parametrize("number", [-1, 8])
def test_experts_chosen_beforehand_are_the_models(tmp_path, number):
    """Numbers outside of its 8 would be read outside of its weights; too few would leave the last step's."""
    path = tiny.write(tmp_path / "m.gguf", "qwen3moe", "f32")
    with Engine(path, threads=1, context=8) as engine:
        n_layers = sum(1 for _ in engine.network.expert_layers())
        fine = tuple(np.array([0, 1, 2]) for _ in range(n_layers))
        engine.decode([1], routing=fine)
        for wrong in ((*fine[1:], np.array([0, 1, number])), (*fine[1:], np.array([0, 1])), fine[1:]):
            with pytest.raises(InputError, match=r"^routing: "):
                engine.decode([1], routing=wrong)
