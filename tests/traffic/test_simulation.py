"""Requests and a server: timelines worked on paper, limits, and that many steps at once are the same as one by one."""

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import simpy
from traffic.sites import MANY, site

from simulator.errors import InputError
from simulator.forecast.closed_loop import StepSeconds, observe
from simulator.spec.serving import Scheduling
from simulator.traffic import budget
from simulator.traffic.cache import Cache, Room
from simulator.traffic.demand import Demand, at_random, by_users, of_lengths
from simulator.traffic.simulation import Server
from simulator.traffic.site import silent
from simulator.traffic.ticks import TICKS_PER_S, StepTicks


def demand(*requests, prefixes=None):
    """Requests of a second, tokens of prompt and tokens of answer."""
    asked, prompts, answers = zip(*requests, strict=True)
    return Demand(prompts, answers, tuple(round(each * TICKS_PER_S) for each in asked), 0, prefixes)


def times(found):
    """When first tokens and last ones came, to a microsecond."""
    return [tuple(np.round(each, 6).tolist()) for each in (found.first_s, found.ended_s)]


def test_two_users_whose_timeline_fits_on_paper():
    """A at 0 s: 10 tokens are read until 5 s, then a token a second: the next at 6 and 7 s.

    B comes at 6.5 s, in the step that ends at 7 s. Its 10 tokens take until 12 s with A's fourth token; A's fifth comes with B's second
    at 13 s, when A ends; B's third comes at 14 s.
    """
    found = site().run(demand((0, 10, 5), (6.5, 10, 3)))
    assert times(found) == [(5, 12), (13, 14)]
    assert found.ttft.tolist() == pytest.approx([5, 5.5])
    assert found.tpot.tolist() == pytest.approx([(13 - 5) / 4, (14 - 12) / 2])
    assert found.sums.seconds == pytest.approx(14)
    assert found.busy_share == pytest.approx(1)
    assert (found.sums.reading_s, found.sums.decoding_s) == pytest.approx((10, 4))
    # One prompt for 5 s, one that decodes for 2 s, that and a prompt for 5 s, two for 1 s and one for the last.
    assert found.sums.mean_batch == pytest.approx((5 * 1 + 2 * 1 + 5 * 2 + 1 * 2 + 1 * 1) / 14)
    assert found.sums.peak_batch == 2


def test_nobody_is_served_before_coming():
    """A ends at 6 s; the server is idle until B comes at 20 s, and 12 of 26 s busy."""
    found = site().run(demand((0, 10, 2), (20, 10, 2)))
    assert times(found) == [(5, 25), (6, 26)]
    assert found.busy_share == pytest.approx(12 / 26)


def test_a_prompt_is_read_in_chunks():
    """25 tokens in chunks of 10: 5 s, 5 s and 2.5 s; a single answer's token comes with the last."""
    found = site(Scheduling(chunk_tokens=10)).run(demand((0, 25, 1)))
    assert times(found) == [(12.5,), (12.5,)]
    assert np.isnan(found.tpot[0])
    assert found.sums.n_steps == 3


def test_who_comes_at_the_end_of_a_step_is_seen():
    """At 6 s sharp: read until 11 s."""
    found = site().run(demand((0, 10, 9), (6, 10, 1)))
    assert found.first_s.tolist() == pytest.approx([5, 11])


def test_caches_make_steps_longer():
    """10 tokens and 1 s, 0.1 s each: 2 s, 2.1 s."""
    found = site(cached_s=0.1).run(demand((0, 10, 3)))
    assert found.ended_s.tolist() == pytest.approx([5 + 2 + 2.1])


def test_a_full_cache_puts_back_who_came_last():
    """12 pages of a token. A and B have 4 tokens of prompt each, read until 4 s; both get a token at 5 and at 6 s: 12 pages.

    For the next step B's 6 pages are given back. A goes on to 8 s, its fifth token. B's 4 tokens and the 3 it has given are 7: they do
    not fit beside A's 7 pages, so it waits until A has left at 8 s, and is read again by 11.5 s with its fourth token; the fifth comes
    at 12.5 s.
    """
    found = site(room=Room(12)).run(demand((0, 4, 5), (0, 4, 5)))
    assert times(found) == [(4, 4), (8, 12.5)]
    assert found.put_back.tolist() == [0, 1]
    assert found.sums.put_back == 1
    assert found.sums.peak_cache == 1
    assert found.sums.no_page_s == pytest.approx(2)


def test_with_endless_memory_nobody_is_put_back():
    """The same two in 8 s."""
    found = site(room=Room(12)).with_endless_memory().run(demand((0, 4, 5), (0, 4, 5)))
    assert times(found) == [(4, 4), (8, 8)]
    assert found.sums.put_back == 0
    assert found.sums.no_page_s == 0


def test_who_reserves_lets_in_what_will_fit_to_its_end():
    """4 + 5 tokens of 12: the second waits for the first to leave at 6 s, and nobody is put back."""
    found = site(room=Room(12), reserves=True).run(demand((0, 4, 5), (0, 4, 5)))
    assert times(found) == [(2, 8), (6, 12)]
    assert found.sums.put_back == 0


def test_places_are_taken_in_turn():
    """One at a time: B waits from 5 s, when A begins to decode, to its end at 7 s."""
    found = site(Scheduling(chunk_tokens=100, max_requests=1)).run(demand((0, 10, 3), (1, 10, 3)))
    assert times(found) == [(5, 12), (7, 14)]
    assert found.sums.no_place_s == pytest.approx(2)
    assert found.held_back_by == "server full"


def test_a_common_beginning_is_read_once():
    """Pages of 4 tokens. A reads its 10 in 5 s; 8 of them are B's, too, which reads 2 in 1 s; C shares nothing and takes 5 s."""
    asked = demand((0, 10, 1), (20, 10, 1), (40, 10, 1), prefixes=(("s", 9), ("s", 9), ("", 0)))
    found = site(room=Room(100, page_tokens=4)).run(asked)
    assert found.ttft.tolist() == pytest.approx([5, 1, 5])
    assert found.hits.tolist() == [0, 8, 0]
    assert found.hit_share == pytest.approx(8 / 30)


def test_of_a_prompt_that_is_all_there_the_last_token_is_read():
    """8 tokens of 8: one, in half a second."""
    found = site(room=Room(100, page_tokens=4)).run(demand((0, 8, 1), (20, 8, 1), prefixes=(("s", 8), ("s", 8))))
    assert found.ttft.tolist() == pytest.approx([4, 0.5])


def test_beginnings_that_nobody_uses_give_way():
    """Of 3 pages of 4 tokens s keeps 2; t needs 3 and s is gone when it comes again."""
    asked = demand((0, 8, 1), (20, 10, 1), (40, 8, 1), prefixes=(("s", 8), ("t", 8), ("s", 8)))
    found = site(room=Room(3, page_tokens=4)).run(asked)
    assert found.hits.tolist() == [0, 0, 0]
    assert found.ttft.tolist() == pytest.approx([4, 5, 4])


def test_time_outside_the_steps_is_added_once():
    """A tenth of a second before the first token, none between."""
    plain, slow = (site(request_s=each).run(demand((0, 10, 3))) for each in (0, 0.1))
    assert (slow.ttft - plain.ttft).tolist() == pytest.approx([0.1])
    assert (slow.e2e - plain.e2e).tolist() == pytest.approx([0.1])
    assert slow.tpot.tolist() == plain.tpot.tolist()


@pytest.mark.parametrize(
    "rules",
    [
        Scheduling(chunk_tokens=100),
        Scheduling(chunk_tokens=10),
        Scheduling(chunk_tokens=10, mixes_prompts=False),
        Scheduling(chunk_tokens=12, splits_prompts=False),
        Scheduling(chunk_tokens=100, max_requests=1),
        Scheduling(chunk_tokens=100, wait_steps=3, wait_share=0.5),
        Scheduling(chunk_tokens=100, poll_steps=5),
    ],
)
def test_users_see_what_a_closed_loop_of_them_sees(rules):
    """By the same rules with the same steps: the same times in the mean."""
    asked = [(10, 3), (7, 30), (23, 5), (10, 2), (9, 14), (30, 3)] * 3
    seconds = StepSeconds([0, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 20], [0.5, 10], [0.5, 10])
    seen = observe(asked, 3, seconds, rules)
    found = site(rules).run(of_lengths(asked, 3))
    assert found.ttft.mean() == pytest.approx(seen.first_s)
    assert found.tpot.mean() == pytest.approx(seen.token_s)


def test_who_comes_after_a_quiet_stretch_is_seen_at_the_next_look():
    """A is read until 5 s, then the server looks at 15, 25 and 35 s. B comes at 21.5 s, is seen at 25 s and read by 30 s."""
    found = site(Scheduling(chunk_tokens=100, poll_steps=10)).run(demand((0, 10, 60), (21.5, 10, 1)))
    assert found.first_s.tolist() == pytest.approx([5, 30])


def test_who_comes_while_another_waits_for_a_place_is_seen_in_time():
    """Three places, looks after each 10 steps. A and two more are read until 15 s; those two end at 33 s, after 18 steps of 1 s.

    D has waited for a place from the beginning, E comes at 17 s and is seen at 25 s: both are read together, until 43 s.
    """
    rules = Scheduling(chunk_tokens=100, poll_steps=10, max_requests=3)
    found = site(rules).run(demand((0, 10, 60), (0, 10, 19), (0, 10, 19), (1, 10, 1), (17, 10, 1)))
    assert found.first_s.tolist() == pytest.approx([15, 15, 15, 43, 43])


def traced(n, seed, rate, prefixes=False):
    """Requests of many lengths, some of which begin alike."""
    drawn = np.random.default_rng(seed)
    asked = np.cumsum(drawn.exponential(1 / rate, n))
    prompts, answers = drawn.integers(1, 60, n).tolist(), drawn.integers(1, 40, n).tolist()
    named = tuple((str(drawn.integers(3)), int(drawn.integers(each + 1))) for each in prompts) if prefixes else None
    return demand(*zip(asked.tolist(), prompts, answers, strict=True), prefixes=named)


@pytest.mark.parametrize("room", [MANY, Room(40, page_tokens=4), Room(130), Room(12, page_tokens=16, request_pages=1)])
@pytest.mark.parametrize("reserves", [False, True])
@pytest.mark.parametrize("prefixes", [False, True])
@pytest.mark.parametrize(
    "rules",
    [
        Scheduling(chunk_tokens=32),
        Scheduling(chunk_tokens=32, max_requests=3, mixes_prompts=False),
        Scheduling(chunk_tokens=32, max_requests=3, poll_steps=10),
        Scheduling(chunk_tokens=32, max_requests=3, poll_steps=3, wait_steps=7, wait_share=0.5),
    ],
)
def test_many_steps_at_once_are_the_same_as_one_by_one(room, reserves, prefixes, rules):
    """To the last digit: each time, who was put back and how often, and how many steps there were."""
    here = site(rules, room, reserves, cached_s=0.00137, step_s=0.731, token_s=0.0617)
    asked = traced(300, 7, 0.08, prefixes)
    together, each = here.run(asked), here.run(asked, one_by_one=True)
    for name in ("first_s", "ended_s", "put_back", "hits"):
        assert getattr(together, name).tolist() == getattr(each, name).tolist(), name
    same = ("seconds", "reading_s", "decoding_s", "n_steps", "put_back", "peak_batch", "peak_cache", "peak_queue")
    assert [getattr(together.sums, name) for name in same] == [getattr(each.sums, name) for name in same]
    if room.pages <= 40 and not reserves and not prefixes:
        assert together.sums.put_back > 0
    assert np.all(together.ended_s >= together.first_s)
    assert np.all(together.first_s > together.asked_s)


def test_the_same_seed_gives_the_same_times():
    """And another one others; the mean rate is what was asked for, within a few of its standard deviations."""
    first, again, other = (at_random(2.0, 10, 3, requests=4000, seed=each) for each in (1, 1, 2))
    assert first == again
    assert first.asked != other.asked
    assert first.rate == pytest.approx(2.0, rel=5 / 4000**0.5)
    one, two = (site(step_s=0.01, token_s=0.001).run(each) for each in (first, again))
    assert one.ended_s.tolist() == two.ended_s.tolist()


def test_first_requests_of_users_are_not_counted():
    """Four at once wait for each other's prompts: 20 s; of their later ones, one by one, none does so."""
    found = site(Scheduling(chunk_tokens=1000)).run(by_users(4, 10, 50, requests=40))
    assert found.ttft[:4].tolist() == pytest.approx([20] * 4)
    assert found.counted.sum() == 36
    assert replace(found, users=40).counted.sum() == 40


@pytest.mark.parametrize("room", [Room(12), Room(12, page_tokens=1, request_pages=3)])
def test_a_request_that_never_fits_is_refused(room):
    """13 tokens of 12, or of 9 beside the pages of each request."""
    with pytest.raises(InputError, match="9 \\+ 4 tokens does not fit in the cache, which holds"):
        site(room=room).run(demand((0, 9, 4)))


def test_endless_reading_is_refused():
    """A million prompts in chunks of a token."""
    told = r"^chunk must be at least 11 here, .* 10,000 prompts in parts of 1 are read in up to 10,000,000 steps, at most 1,000,000 are"
    with pytest.raises(InputError, match=told):
        site(Scheduling(chunk_tokens=1)).run(by_users(1, 1000, 1, requests=10_000))


@pytest.mark.parametrize(
    ("rules", "n"),
    [
        (Scheduling(chunk_tokens=100, mixes_prompts=False), 10),
        (Scheduling(chunk_tokens=100), 14),  # the answers' 400 tokens pass through the same steps
        (Scheduling(chunk_tokens=1), 1000),  # a token of prompts in each step at least
        (Scheduling(chunk_tokens=100, splits_prompts=False), 1),
    ],
)
def test_steps_that_read_a_prompt_are_counted_before(rules, n):
    """Of 1,000 tokens in parts, answered with 400."""
    assert budget.reads_of(demand((0, 1000, 400), (0, 1000, 400)), rules) == 2 * n


def test_more_requests_than_any_chunk_reads_are_refused(monkeypatch):
    """A step for each at least."""
    monkeypatch.setattr(budget, "MOST_READS", 9)
    with pytest.raises(
        InputError, match=r"^10 requests are too many: their prompts are read in up to 20 steps, at most 9 are"
    ):
        budget.expect_reads(
            demand(*[(0, 10, 1)] * 10), Scheduling(chunk_tokens=5, mixes_prompts=False), most=budget.MOST_READS
        )


def test_a_run_tells_how_far_it_is_before_a_request_ends():
    """One prompt of 2,000 tokens, each a step."""
    told = []
    site(Scheduling(chunk_tokens=1)).run(demand((0, 2000, 1)), lambda share, what: told.append((share, what)))
    assert told[0] == (0.0, "0 of 1 requests")
    assert len(told) >= 3


THRASHING = Room(60)  # of which each request below needs 52 at its end, and 3 at its beginning


@pytest.mark.parametrize("n", [100, 400])
def test_a_cache_that_thrashes_is_told_after_so_much_work_however_many_wait(n, monkeypatch):
    """Requests that are put back again and again: refused with how many fit in the cache, after as many stretches as are looked at."""
    for name, value in (("USUAL", 1), ("OF_READS", 0), ("MORE", 0), ("SURE_FROM", 512), ("OFTEN", 0)):
        monkeypatch.setattr(budget, name, value)
    with pytest.raises(
        InputError, match=r"max_requests must be at most 1, so many fit in the cache to their end: 512 changes"
    ):
        site(room=THRASHING).run(demand(*[(0, 2, 50)] * n))
    alone = site(Scheduling(chunk_tokens=100, max_requests=1), THRASHING)
    assert alone.run(demand(*[(0, 2, 50)] * 8)).sums.put_back == 0


def test_more_requests_than_are_simulated_are_told_without_a_cache_that_is_full(monkeypatch):
    """Each takes a stretch to be read and one to be answered, of which one is allowed here."""
    for name, value in (("USUAL", 1), ("OF_READS", 0), ("MORE", 0), ("SURE_FROM", 256)):
        monkeypatch.setattr(budget, name, value)
    with pytest.raises(InputError, match="requests must be fewer: 512 changes of its steps answer"):
        site().run(by_users(1, 10, 3, requests=300))


def test_who_is_put_back_costs_the_same_however_many_wait():
    """Ten times as many that wait: ten times the stretches, and nobody who waits is looked through for that."""
    here, passed = site(room=THRASHING), []
    for n in (30, 300):
        waiting = CountedDeque()
        process = Server(
            simpy.Environment(), demand(*[(0, 2, 50)] * n), StepTicks(here.tables), here.room, here.rules, False, silent
        )
        process.waiting = waiting
        process.env.run(until=process.process)
        assert process.tally.put_back > n
        passed.append(waiting.passed / n)
    assert passed[1] <= 1.1 * passed[0]


class CountedDeque(deque):
    """Counts how many of it are gone through."""

    passed = 0

    def __iter__(self):
        for each in super().__iter__():
            self.passed += 1
            yield each


@pytest.mark.parametrize(("rate", "users"), [(0.02, 0), (0.2, 0), (None, 7)])
@pytest.mark.parametrize("room", [MANY, Room(160)])
def test_who_is_there_is_what_comes_times_how_long_it_stays(rate, users, room):
    """Little's law: those that wait and run in the mean are requests per second times seconds of each; busy time is that of the steps.

    So it is too where some are put back meanwhile, which is to happen in the small room under load.
    """
    asked = by_users(users, 20, 30, requests=300) if users else at_random(rate, 20, 30, requests=300)
    found = site(room=room, cached_s=0.001).run(asked)
    there = found.sums.mean_batch + found.sums.mean_queue
    assert there == pytest.approx(found.e2e.sum() / found.sums.seconds, rel=1e-9)
    assert found.busy_share <= 1 + 1e-12
    assert (found.sums.put_back > 0) == (room is not MANY)
    if users:
        assert found.e2e.sum() / found.sums.seconds == pytest.approx(users, rel=0.05)
        assert found.busy_share == pytest.approx(1)


@pytest.mark.parametrize("chunk", [100, 7])
@pytest.mark.parametrize("room", [MANY, Room(90, page_tokens=4), Room(160)])
def test_every_token_is_read_once_and_given_once(room, chunk):
    """Half a second for each token of prompts that the cache has not, more of those put back; at the end all pages are free."""
    asked = traced(200, 3, 0.05, prefixes=room.page_tokens == 4)
    here = site(Scheduling(chunk_tokens=chunk, mixes_prompts=False), room)
    process = Server(simpy.Environment(), asked, StepTicks(here.tables), room, here.rules, False, silent)
    process.env.run(until=process.process)
    found = here.run(asked)
    tokens = int(found.prompts.sum() - found.hits.sum())
    if not found.sums.put_back:
        assert found.sums.reading_s == pytest.approx(0.5 * tokens)
    else:
        assert found.sums.reading_s > 0.5 * tokens
    assert [each.given for each in process.requests] == list(asked.answers)
    assert (process.cache.free + process.cache.idle, process.cached, process.tally.now[2]) == (room.pages, 0, 0)
    assert not any(process.cache.growing)


def test_the_beginning_that_nobody_used_for_longest_gives_way():
    """Of four pages a and b have two each; b is left first, and gives way first."""
    cache = Cache(Room(4))
    for name in "ab":
        cache.take(2)
        cache.keep(name, 2)
    for name in "ba":
        cache.leave(name)
    cache.take(1)
    assert (list(cache.prefixes), list(cache.resting), cache.free, cache.idle) == (["a"], ["a"], 1, 2)


@pytest.mark.parametrize(("users", "requests"), [(1, 2000), (1000, 10_000), (3000, 20_000), (100_000, 200_000)])
def test_users_ask_ten_times_unless_they_are_very_many(users, requests):
    """Two thousand requests at least; twice each where ten times would be more than 20,000."""
    assert len(by_users(users, 10, 10)) == requests


def test_long_prompts_of_many_are_not_taken_for_thrashing(monkeypatch):
    """Nobody is answered before the prompts of all are read, in ten steps each: as many as are allowed for."""
    for name, value in (("USUAL", 2), ("OF_READS", 1), ("MORE", 0), ("SURE_FROM", 1)):
        monkeypatch.setattr(budget, name, value)
    found = site(Scheduling(chunk_tokens=10, mixes_prompts=False)).run(demand(*[(0, 100, 60)] * 60))
    assert found.sums.stretches > 600
