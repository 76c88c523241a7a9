"""Drafted tokens: verified several in a step, taken back where they are wrong, and never another text than without them."""

import numpy as np
import pytest
import tiny
from schedules import one_by_one

from simulator.engine.generate import Generation, generate
from simulator.engine.speculate import PromptLookup, generate_drafted, parse_draft
from simulator.engine.step import Engine
from simulator.errors import InputError

WINDOWED = {"window": 4, "n_layers": 6}


class Scripted:
    """A drafter that drafts what it is told: right as far as it says, then wrong."""

    def __init__(self, text, right):
        self._text, self._right, self._calls = text, right, 0

    def draft(self, text, most):
        """Of four drafted tokens a number that changes from call to call is right."""
        right = self._right[self._calls % len(self._right)]
        self._calls += 1
        following = self._text[len(text) : len(text) + min(most, 4)]
        return [token if at < right else (token + 1) % 64 for at, token in enumerate(following)]


# ---- what is drafted ----


def test_what_followed_before_is_drafted():
    """After 1 2 3 came 4 and 5 the last time; of two tokens the longest ending that stood before counts."""
    lookup = PromptLookup(4)
    text = [1, 2, 3, 9, 1, 2, 3, 4, 5, 6, 2, 3]
    assert lookup.draft(text, 8) == [4, 5, 6, 2]
    text += [4]
    assert lookup.draft(text, 2) == [5, 6]  # the ending 2 3 4 stood there once
    text += [50]
    assert lookup.draft(text, 8) == []
    text += [9]
    assert lookup.draft(text, 8) == [1, 2, 3, 4]


def test_nothing_is_drafted_where_there_is_no_room():
    """Nor from a single token."""
    assert PromptLookup(4).draft([1, 1], 0) == []
    assert PromptLookup(4).draft([7], 4) == []


@pytest.mark.parametrize("text", ["ngram", "ngram:0", "ngram:65", "ngram:x", "draft:4", ""])
def test_what_cannot_draft_is_refused(text):
    """With what can."""
    with pytest.raises(InputError, match="ngram:K is possible, with K from 1 to 64"):
        parse_draft(text)


# ---- the same text ----


@pytest.mark.parametrize(("arch", "cache", "shape"), [("llama", "f16", {}), ("gemma3", "q8_0", WINDOWED)])
def test_drafts_change_no_token(tmp_path, arch, cache, shape):
    """Whatever number of four is right, also where the slots of a window are used again and again: token for token."""
    path = tiny.write(tmp_path / "m.gguf", arch, "q8_0", **shape)
    prompt = [5, 9, 2]
    with Engine(path, threads=2, context=128, cache=cache) as engine:
        plain = list(generate(engine, prompt, 90))
        for right in ([0], [4], [2, 0, 3, 4, 1]):
            engine.reset()
            found = Generation()
            drafter = Scripted([*prompt, *plain, *plain], right)
            assert list(generate_drafted(engine, prompt, 90, drafter, into=found)) == plain
            assert found.tokens == plain
            assert 1 + sum(found.given) == 90
            assert engine.lengths[0] == 3 + 89
        # Right in full every time: 89 tokens after the prompt's own in steps of 5, and one of what is left.
        engine.reset()
        found = Generation()
        list(generate_drafted(engine, prompt, 90, Scripted([*prompt, *plain, *plain], [4]), into=found))
        assert found.given == [5] * 17 + [4]
        assert found.drafted == [4] * 17 + [3]
        assert found.accepted_share == 1.0
        assert found.tokens_per_step == pytest.approx(89 / 18)


def test_lookup_finds_what_repeats_itself(tmp_path):
    """A greedy text of a small model soon goes round; there drafts are right, and steps fewer than tokens."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "q8_0")
    with Engine(path, threads=1, context=300) as engine:
        plain = list(generate(engine, [5, 9, 2], 200))
        engine.reset()
        found = Generation()
        assert list(generate_drafted(engine, [5, 9, 2], 200, PromptLookup(4), into=found)) == plain
    repeats = sum(plain[at : at + 3] in (plain[k : k + 3] for k in range(at)) for at in range(197))
    assert repeats > 50  # or this test shows nothing
    assert len(found.seconds) < 199
    assert found.accepted_share > 0


def test_it_stops_where_plain_decoding_stops(tmp_path):
    """At an end token in the middle of what a step gave, and where the context is full."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "q8_0")
    with Engine(path, threads=1, context=16) as engine:
        plain = list(generate(engine, [5, 9], 100))
        assert len(plain) == 15
        for ends in (frozenset(), frozenset({plain[7]})):
            engine.reset()
            expected = list(generate(engine, [5, 9], 100, end_tokens=ends))
            engine.reset()
            drafter = Scripted([5, 9, *plain, *plain], [4])
            assert list(generate_drafted(engine, [5, 9], 100, drafter, end_tokens=ends)) == expected


# ---- taking back ----


@pytest.mark.parametrize("cache", ["f32", "q4_0"])
def test_tokens_taken_back_have_never_been(tmp_path, cache):
    """To the bit, with windows of 4 whose 32 slots have long been used again: after steps of 15 wrong tokens, taken back."""
    path = tiny.write(tmp_path / "m.gguf", "gemma3", "f32", **WINDOWED)
    tokens = [(5 * at * at + at) % 64 for at in range(80)]
    with Engine(path, threads=2, context=128, cache=cache) as engine:
        expected = one_by_one(engine, tokens)
        engine.reset()
        for at, token in enumerate(tokens):
            n_wrong = at % 16
            step = engine.decode([token, *range(10, 10 + n_wrong)], [0] * (1 + n_wrong))
            assert np.array_equal(step.logits[0], expected[at])
            engine.take_back(n_wrong)


def test_what_a_window_has_lost_cannot_be_taken_back(tmp_path):
    """Of 32 slots a window of 4 needs 3 before the next token: 29 can go, not 30; nor more than there are."""
    path = tiny.write(tmp_path / "m.gguf", "gemma3", "f32", **WINDOWED)
    with Engine(path, threads=1, context=128) as engine:
        with pytest.raises(InputError, match="1 token of a sequence of 0 cannot be taken back"):
            engine.take_back(1)
        engine.prompt(list(range(60)))
        with pytest.raises(InputError, match="30 tokens cannot be taken back, a window of 4 tokens keeps room for 29"):
            engine.take_back(30)
        engine.take_back(20)
        with pytest.raises(InputError, match="30 tokens cannot be taken back"):
            engine.take_back(10)  # which are 30 with those before
        engine.take_back(9)
        assert engine.lengths[0] == 31
        engine.reset()
        engine.prompt(list(range(8)))
        engine.take_back(8)


def test_as_many_as_a_window_allows_can_be_taken_back(tmp_path):
    """All 29 of them: what comes in their place sees what it would have seen."""
    path = tiny.write(tmp_path / "m.gguf", "gemma3", "f32", **WINDOWED)
    tokens = [(5 * at * at + at) % 64 for at in range(60)]
    with Engine(path, threads=1, context=128) as engine:
        expected = one_by_one(engine, tokens)
        engine.reset()
        engine.prompt(tokens)
        engine.take_back(29)
        again = [engine.decode([token]).logits[0] for token in tokens[31:]]
    assert np.array_equal(np.array(again), expected[31:])
