"""Steps of an engine: batches, prompts and threads change nothing, nor do other engines beside it, nor an interrupt."""

from contextlib import closing

import numpy as np
import pytest
from reference import CLOSE, SEQUENCES, decode_together, errors

from simulator.engine import step
from simulator.engine.assembly.attention import GroupedAttention
from simulator.engine.team import Team
from simulator.errors import InputError

# ---- batches, prompts, threads ----


@pytest.mark.parametrize("fmt", ["f32", "q8_0"])
def test_a_batch_is_each_sequence_alone(case, fmt):
    """To the bit: nothing passes between sequences, and how many are decoded together changes no sum."""
    small = case("qwen2moe", fmt)
    together = small.logits()
    with small.engine(batch=1) as engine:
        alone = []
        for tokens in SEQUENCES:
            engine.reset()
            alone += decode_together(engine, [tokens])
    assert np.array_equal(together, np.concatenate(alone))


def test_any_place_in_the_batch_will_do(case):
    """Sequences 3 and 0 decoded in this order are what 0 and 1 would be, and 1 and 2 stay empty."""
    small = case("llama", sequences=[[5, 6, 7], [40, 41, 42]])
    with small.engine(batch=4) as engine:
        steps = [engine.decode([5 + at, 40 + at], [3, 0]).logits for at in range(3)]
        assert engine.lengths.tolist() == [3, 0, 0, 3]
    out = np.concatenate([np.array(steps)[:, 0], np.array(steps)[:, 1]])
    assert errors(out, small.reference()).max() < CLOSE


@pytest.mark.parametrize("arch", ["llama", "qwen3moe", "gemma3"])
@pytest.mark.parametrize("n_tokens", [1, 15, 16, 17, 40])
def test_a_prompt_is_its_tokens_one_by_one(case, arch, n_tokens):
    """16 at a time go through the weights together; the last step's logits, and what follows, are the same."""
    tokens = [(7 * at * at + 3) % 64 for at in range(n_tokens + 2)]
    small = case(arch, sequences=[tokens])
    expected = small.reference()
    with small.engine(batch=2) as engine:
        step = engine.prompt(tokens[:n_tokens], sequence=1)
        after = [engine.decode([token], [1]).logits[0] for token in tokens[n_tokens:]]
        assert engine.lengths.tolist() == [0, n_tokens + 2]
    n_last = len(step.logits)
    out = np.concatenate([step.logits, after])
    assert errors(out, expected[n_tokens - n_last :]).max() < CLOSE


def test_a_long_context_is_read_in_runs(case):
    """The last of 300 positions, past the 256 that one thread reads at a time."""
    tokens = [(11 * at * at + at) % 64 for at in range(300)]
    small = case("llama", sequences=[tokens], n_layers=1)
    with small.engine() as engine:
        out = engine.prompt(tokens).logits
    assert errors(out, small.reference()[-len(out) :]).max() < CLOSE


@pytest.mark.parametrize("n_together", [1, 7, 16])
def test_a_window_slides_over_its_ring(case, n_together):
    """50 tokens through layers that see 4: their slots are 32 (4 and 15 of a prompt, in panels of 16) and used again."""
    tokens = [(5 * at * at + at) % 64 for at in range(50)]
    small = case("gemma3", sequences=[tokens], n_layers=6)
    with small.engine() as engine:
        assert engine.assembly.kinds[GroupedAttention].layer_angles[0].capacity == 32
        out = [engine.prompt(tokens[at : at + n_together]).logits for at in range(0, 50, n_together)]
    assert errors(np.concatenate(out), small.reference()).max() < CLOSE


@pytest.mark.parametrize("arch", ["qwen2moe", "gemma3"])
def test_the_number_of_threads_changes_nothing(case, arch, monkeypatch):
    """1, 2, 3 and 5 threads, to the bit, whatever the number of cores."""
    monkeypatch.setattr(step, "threads_here", lambda wanted: wanted)
    small = case(arch, "q8_0")
    first, *others = (small.logits(threads=threads) for threads in (1, 2, 3, 5))
    assert all(np.array_equal(first, other) for other in others)


# ---- the cache ----


def test_a_float16_cache_rounds_keys_and_values(case):
    """As the reference rounds them, but for single ones halfway between; against no rounding 3e-4 on average."""
    small = case("qwen3")
    out = small.logits(cache="f16")
    found = errors(out, small.reference(round_cache="f16"))
    assert np.median(found) < CLOSE
    assert found.max() < 3e-4
    exact = small.reference()
    assert 1e-4 < np.linalg.norm(out - exact) / np.linalg.norm(exact) < 1e-3


def test_reset_forgets(case):
    """After it, the same tokens give the same logits again."""
    small = case("gemma3")
    with small.engine() as engine:
        first = decode_together(engine, SEQUENCES)
        engine.reset()
        assert not engine.lengths.any()
        second = decode_together(engine, SEQUENCES)
    assert all(np.array_equal(left, right) for left, right in zip(first, second, strict=True))


def test_a_pretended_depth_is_where_the_next_token_stands(case):
    """Of 40 tokens that were never there the new one reads zeros; it stands at position 40, and the cache is read so far."""
    small = case("llama")
    with small.engine(context=64) as engine:
        engine.pretend(40)
        step = engine.decode([1, 2])
        assert engine.lengths.tolist() == [41, 41, 40, 40]
    assert np.isfinite(step.logits).all()
    # 2 sequences of 2 layers of 2 heads: keys of 48 slots (three panels) and values of 41, 16 wide, 4 bytes.
    assert step.read.cache == 2 * 2 * 2 * (48 + 41) * 16 * 4


# ---- one engine beside another, and after a surprise ----


def test_two_engines_at_once(case, tmp_path):
    """Steps taken in turn leave each as if it were alone."""
    first, second = case("llama"), case("qwen3moe", "q8_0")
    expected = first.logits(), second.logits()
    with first.engine() as left, closing(Team(3)) as team, second.engine(team=team) as right:
        found = [], []
        for at in range(5):
            live = [number for number, tokens in enumerate(SEQUENCES) if at < len(tokens)]
            for engine, out in zip((left, right), found, strict=True):
                out.append(engine.decode([SEQUENCES[number][at] for number in live], live).logits[0])
    for logits, out in zip(expected, found, strict=True):
        assert np.array_equal(np.array(out), logits[:5])


@pytest.mark.parametrize("is_done", [False, True])
def test_an_interrupted_step_can_be_taken_again(case, monkeypatch, is_done):
    """Interrupted before its work or right after, it did not happen: the same token then gives what it would have given."""
    small = case("gemma3", "q8_0")
    expected = small.logits()[: len(SEQUENCES[0])]
    with small.engine() as engine:
        run, found = engine.team.run, []

        def interrupted(tape):
            """The user's Ctrl-C."""
            if is_done:
                run(tape)
            raise KeyboardInterrupt

        for token in SEQUENCES[0]:
            monkeypatch.setattr(engine.team, "run", interrupted)
            with pytest.raises(KeyboardInterrupt):
                engine.decode([token])
            monkeypatch.undo()
            found.append(engine.decode([token]).logits[0])
    assert np.array_equal(np.array(found), expected)


def test_a_closed_engine_has_no_threads(case, monkeypatch):
    """Leaving the `with` ends them; closing again does no harm."""
    monkeypatch.setattr(step, "threads_here", lambda _: 3)  # however many there are
    with case("llama").engine() as engine:
        threads = engine.team._threads
        engine.decode([1])
        assert [thread.is_alive() for thread in threads] == [True, True]
    assert [thread.is_alive() for thread in threads] == [False, False]
    engine.close()


def test_a_closed_engine_decodes_nothing(case):
    """It says so."""
    with case("llama").engine() as engine:
        pass
    with pytest.raises(InputError, match="closed"):
        engine.decode([1])
