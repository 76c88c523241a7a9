"""What is asked of drafts, as written on the command line; how acceptance is told, and how many tokens it yields."""

import pytest

from simulator.errors import InputError
from simulator.spec.layers.ffn import Experts
from simulator.spec.routing import Uniform, Worst
from simulator.spec.speculation import (
    TEXTS,
    SharedExperts,
    Speculation,
    acceptance_of_length,
    asked_for,
    expected_tokens,
    parse_draft,
    parse_speculation,
)


def test_expected_tokens_are_a_geometric_sum():
    """1 + a + ... + a^k: 2.533 of three tokens at 0.7; all of them at 1, and the model's own one at 0 or without drafts."""
    assert expected_tokens(0.7, 3) == pytest.approx((1 - 0.7**4) / 0.3) == pytest.approx(2.533)
    assert expected_tokens(1, 3) == 4
    assert expected_tokens(0, 3) == expected_tokens(0.9, 0) == 1


def test_enumeration_gives_the_same_tokens():
    """Each of the 2^3 ways in which three drafted tokens are right or wrong yields those before the first wrong one, and one more."""
    mean = 0.0
    for ways in range(8):
        right = [bool(ways >> place & 1) for place in range(3)]
        chance = 1.0
        for each in right:
            chance *= 0.6 if each else 0.4
        kept = next((place for place, each in enumerate(right) if not each), 3)
        mean += chance * (kept + 1)
    assert expected_tokens(0.6, 3) == pytest.approx(mean)


def test_a_length_tells_the_chance():
    """1 + a + a^2 = 2.58 at 0.853: what llama.cpp prints as 0.79 kept of two drafted is no chance of 0.79."""
    assert acceptance_of_length(2.58, 2) == pytest.approx(0.8528, abs=1e-4)
    assert acceptance_of_length(1.0, 4) == pytest.approx(0, abs=1e-12)
    assert acceptance_of_length(5.0, 4) == pytest.approx(1)


def test_the_three_ways_to_tell_acceptance():
    """A chance, the mean length of a step (vLLM), and the share kept of all drafted (llama.cpp)."""
    assert parse_speculation("mtp:3@0.7") == Speculation("mtp", 3, 0.7)
    assert parse_speculation("mtp:2@length:2.58").acceptance == pytest.approx(0.8528, abs=1e-4)
    assert parse_speculation("ngram:2@drafted:0.79") == Speculation("ngram", 2, acceptance_of_length(2.58, 2))
    assert parse_speculation(" mtp:3 ") == Speculation("mtp", 3)


def test_a_draft_may_have_colons_and_signs_in_its_name():
    """The last colon and the sign behind it count: names of Ollama and paths."""
    assert parse_draft("qwen3:0.6b:4@0.6") == Speculation("draft", 4, 0.6, "qwen3:0.6b")
    assert parse_draft("./a@b/draft.gguf:8") == Speculation("draft", 8, None, "./a@b/draft.gguf")


def test_texts_are_rates_with_a_source():
    """Without a rate every kind of text that was published; each names where."""
    assert [text.name for text in parse_speculation("mtp:3").texts] == ["code", "own answers", "factual", "prose"]
    assert parse_speculation("mtp:3@0.5").texts == ()
    every = [text for each in TEXTS.values() for text in each]
    assert all(0 < text.acceptance < 1 and ("https://" in text.source or "arXiv" in text.source) for text in every)


REFUSED = {
    "mtp": "--speculate 'mtp': how many tokens are drafted in a step is missing, as in mtp:3@0.7",
    "mtp:": "--speculate 'mtp:': how many tokens are drafted in a step is missing, as in mtp:3@0.7",
    "mtp:0": "--speculate 'mtp:0': between 1 and 64 tokens can be drafted in a step, got 0",
    "mtp:65": "--speculate 'mtp:65': between 1 and 64 tokens can be drafted in a step, got 65",
    "mtp:2.5": "--speculate 'mtp:2.5': between 1 and 64 tokens can be drafted in a step, got 2.5",
    "mtp:-1@0.5": "--speculate 'mtp:-1@0.5': between 1 and 64 tokens can be drafted in a step, got -1",
    "mtp:3@1.2": "--speculate 'mtp:3@1.2': the chance that a drafted token is kept must be between 0 and 1, got 1.2",
    "mtp:3@nan": "--speculate 'mtp:3@nan': the chance that a drafted token is kept must be between 0 and 1, got nan",
    "mtp:3@drafted:1.5": "--speculate 'mtp:3@drafted:1.5': the share kept of all drafted tokens must be between 0 and 1, got 1.5",
    "mtp:3@length:4.5": "--speculate 'mtp:3@length:4.5': 3 drafted tokens yield a length from 1 to 4, got 4.5",
    "mtp:3@": "--speculate 'mtp:3@': a rate from 0 to 1 belongs after @, or length:2.4 or drafted:0.58 as programs print them",
    "mtp:3@70%": "--speculate 'mtp:3@70%': a rate from 0 to 1 belongs after @, or length:2.4 or drafted:0.58 as programs print them",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused(text):
    """One sentence with what stands there and what can be."""
    with pytest.raises(InputError) as refused:
        parse_speculation(text)
    assert str(refused.value) == REFUSED[text]


def test_a_model_is_no_way_to_speculate():
    """A smaller model has an option of its own."""
    with pytest.raises(InputError, match="a smaller model is named by --draft"):
        parse_speculation("qwen3-0.6b:4@0.6")


def test_one_way_at_a_time():
    """Both options contradict each other, and a format needs a draft."""
    with pytest.raises(InputError, match="give one of them"):
        asked_for("mtp:3", "qwen3-0.6b:4")
    with pytest.raises(InputError, match="no draft model"):
        asked_for("mtp:3", None, "q8_0")
    assert asked_for(None, None) is None
    assert asked_for(None, "qwen3-0.6b:4@0.6", "q8_0") == Speculation("draft", 4, 0.6, "qwen3-0.6b", "q8_0")


def test_a_value_is_checked_as_its_text_is():
    """Unknown kinds, a draft that is none, and rates outside 0 and 1."""
    with pytest.raises(InputError, match="speculation 'eagle' is unknown"):
        Speculation("eagle", 3)
    with pytest.raises(InputError, match="a draft model belongs to the kind draft"):
        Speculation("mtp", 3, draft="qwen3-0.6b")
    with pytest.raises(InputError, match=r"acceptance must be between 0 and 1, got -0\.1"):
        Speculation("mtp", 3, -0.1)
    with pytest.raises(InputError, match="drafted tokens must be between 0 and 64, got 65"):
        Speculation("ngram", 65)


def test_names_are_what_was_written():
    """With the chance, however it was told."""
    assert parse_speculation("mtp:2@drafted:0.79").name == "mtp:2@0.8528"
    assert parse_draft("qwen3-0.6b:4").name == "qwen3-0.6b:4"


def test_shared_experts_count_sequences():
    """Four tokens of each of two sequences touch what two tokens do: 8 (1 - (6/8)^2) of 8 experts, 2 a token."""
    ffn = Experts(n_experts=8, n_active=2, d_expert=16)
    shared = SharedExperts(Uniform(), 4)
    assert shared.distinct(ffn, 8.0) == pytest.approx(8 * (1 - 0.75**2))
    assert SharedExperts(Worst(), 4).distinct(ffn, 8.0) == 4
    assert shared.served(ffn, 8.0) == 2
