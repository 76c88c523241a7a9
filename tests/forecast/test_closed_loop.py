"""Users who ask, wait for the answer and ask again: timelines worked on paper."""

import pytest

from simulator.forecast.closed_loop import StepSeconds, observe
from simulator.spec.serving import Scheduling

# A step that decodes takes 1 s, a token of prompt half a second, whatever is done beside it.
SECONDS = StepSeconds([0, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 20], [0.5, 10], [0.5, 10])
ASKED = [(10, 3)] * 4  # tokens of prompt and of answer


def test_two_users_whose_prompts_are_read_at_once():
    """0 to 10 s both prompts, 11 and 12 s the other tokens; 12 to 22 s both again, until 24 s: 2 x 4 s of 24 decode."""
    seen = observe(ASKED, 2, SECONDS, Scheduling(chunk_tokens=100))
    assert seen.first_s == pytest.approx(10)
    assert seen.token_s == pytest.approx(1)
    assert seen.n_decoding == pytest.approx(8 / 24)


def test_a_second_prompt_is_read_in_what_a_step_has_left():
    """A: 5 s. With A 9 tokens of B until 9.5 s, the last until 10 s, when A has its three; its next until 14.5 and 15 s, when B ends.

    B's next has 9 tokens until 19.5 s with A, whose second ends at 20 s with B's first token, and B goes on by itself to 22 s.
    First tokens after 5, 10, 5 and 5 s; between two tokens 2.5, 2.5, 2.5 and 1 s.
    """
    seen = observe(ASKED, 2, SECONDS, Scheduling(chunk_tokens=10))
    assert seen.first_s == pytest.approx((5 + 10 + 5 + 5) / 4)
    assert seen.token_s == pytest.approx((2.5 + 2.5 + 2.5 + 1) / 4)
    assert seen.n_decoding == pytest.approx((5 + 5 + 5 + 2) / 22)


def test_decoding_waits_for_prompts_that_are_not_mixed():
    """A has its first token at 5 s and B at 10 s, both end at 12 s; the same again: 7 / 2 and 2 / 2 s between two tokens."""
    seen = observe(ASKED, 2, SECONDS, Scheduling(chunk_tokens=10, mixes_prompts=False))
    assert seen.first_s == pytest.approx((5 + 10) / 2)
    assert seen.token_s == pytest.approx((3.5 + 1) / 2)


def test_prompts_that_are_not_split_wait_for_a_step_with_room():
    """12 tokens are room for one prompt beside A, not for two: B at 5 to 10 s, C at 10 to 15 s; with room for 30 all have 15 s."""
    asked = [(10, 30)] * 3
    parts, whole = (
        observe(asked, 3, SECONDS, Scheduling(chunk_tokens=each, splits_prompts=False)) for each in (12, 30)
    )
    split = observe(asked, 3, SECONDS, Scheduling(chunk_tokens=12))
    assert parts.first_s == pytest.approx((5 + 10 + 15) / 3)
    assert whole.first_s == pytest.approx(15)
    # Split, 2 tokens of B are read with A until 6 s, 8 of B and 3 of C until 11.5 s, and 7 of C until 15 s.
    assert split.first_s == pytest.approx((6 + 11.5 + 15) / 3)


def test_one_place_is_taken_in_turn():
    """7 s each, one after the other: the first waits 5 s, the second 12 s, and then each for its own 5 s and 7 s before."""
    seen = observe(ASKED, 2, SECONDS, Scheduling(chunk_tokens=100, max_requests=1))
    assert seen.first_s == pytest.approx((5 + 12 + 12 + 12) / 4)
    assert seen.token_s == pytest.approx(1)
    assert seen.n_decoding == pytest.approx(2 / 7)


def test_a_scheduler_that_looks_seldom_finds_requests_late():
    """A (answer 2) ends at 11 s; B decodes on, and the look comes 5 steps after that at 10 s: A's next waits 4 s and is read in 5."""
    asked = [(10, 2), (10, 30), (10, 2)]
    seen = observe(asked, 2, SECONDS, Scheduling(chunk_tokens=100, poll_steps=5))
    soon = observe(asked, 2, SECONDS, Scheduling(chunk_tokens=100))
    assert soon.first_s == pytest.approx((10 + 10 + 5) / 3)
    assert seen.first_s - soon.first_s == pytest.approx(4 / 3)


def test_prompts_are_held_back_until_enough_wait():
    """A's next is sent at 11 s and held for 3 steps, or not at all where 10 tokens and those that decode are enough."""
    asked = [(10, 2), (10, 30), (10, 2)]
    held = observe(asked, 2, SECONDS, Scheduling(chunk_tokens=100, wait_steps=3, wait_share=0.5))
    enough = observe(asked, 2, SECONDS, Scheduling(chunk_tokens=100, wait_steps=3, wait_share=0.11))
    assert held.first_s == pytest.approx((10 + 10 + 3 + 5) / 3)
    assert enough.first_s == pytest.approx((10 + 10 + 5) / 3)


def test_steps_get_longer_as_caches_fill():
    """10 tokens cached after the prompt, then 11 and 12: steps of 1 + 0.1 x 10, 11 and 12 s, one by one or together."""
    growing = StepSeconds([0, 1], [0, 0.1], [10], [5], [5])
    assert growing.decoding(1, 10, 3) == pytest.approx(3 + 0.1 * (10 + 11 + 12))
    seen = observe([(10, 4)], 1, growing, Scheduling())
    assert seen.token_s == pytest.approx((3 + 0.1 * (10 + 11 + 12)) / 3)
    assert seen.first_s == 5


def test_prompts_between_known_sizes_take_between_known_seconds():
    """15 tokens 7.5 s; 40 go on as from 1 to 20; with one of four that decode a quarter of the way from alone to beside."""
    assert SECONDS.reading(0, 15) == pytest.approx(7.5)
    assert SECONDS.reading(0, 40) == pytest.approx(20)
    assert StepSeconds([0] * 5, [0] * 5, [10], [5], [9]).reading(1, 10) == pytest.approx(6)
