"""Goals: how they are written, what keeps them, and the most that does; what is out of reach."""

import pytest
from traffic.sites import site

from simulator.errors import InputError
from simulator.forecast.scenario import scenario
from simulator.spec.serving import Scheduling
from simulator.traffic.demand import Demand, at_random, by_users
from simulator.traffic.largest import largest_concurrency, largest_rate, largest_rate_at
from simulator.traffic.outcome import ServiceGoal, parse_goal
from simulator.traffic.serve import serve
from simulator.traffic.ticks import TICKS_PER_S


def test_goals_are_read():
    """With their units, in any order."""
    assert parse_goal("ttft=2s,tpot=50ms") == ServiceGoal(2.0, 0.05)
    assert parse_goal(" e2e = 1.5min ", 0.9) == ServiceGoal(e2e_s=90.0, share=0.9)
    assert parse_goal("ttft=2,tpot=.05") == ServiceGoal(2.0, 0.05)  # seconds, as --ttft has them
    assert str(ServiceGoal(2.0, 0.05)) == "ttft=2s,tpot=50ms"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ttft=nan", "a time is needed"),
        ("ttft=2,tpot=50", "goal: tpot of 50 s for each token: write 50ms, or 50s where that is meant"),
        ("ttft=2h", "a time is needed"),
        ("ttft=fasts", "a time is needed"),
        ("ttft=0s", "a time is needed"),
        ("speed=2s", "write ttft, tpot or e2e with a time"),
        ("ttft", "write ttft, tpot or e2e with a time"),
        ("ttft=2s,ttft=3s", "ttft is there twice"),
        ("ttft=1e30s", "between 1e-06 and 1e\\+07 seconds can be asked for"),
    ],
)
def test_what_is_no_goal_is_refused(text, told):
    """In a sentence that says how one is written."""
    with pytest.raises(InputError, match=told):
        parse_goal(text)


def test_a_goal_needs_something_to_keep():
    """And a share of the requests."""
    with pytest.raises(InputError, match="at least one of ttft, tpot and e2e"):
        ServiceGoal()
    with pytest.raises(InputError, match="share must be a number above 0"):
        ServiceGoal(1.0, share=0)


def test_the_share_that_keeps_a_goal_is_counted():
    """One at a time, 10 tokens of prompt at half a second: first tokens after 5 s, 10 s, 15 s and 20 s; a half keeps 10 s."""
    asked = Demand((10,) * 4, (1,) * 4, (0,) * 4)
    found = site(Scheduling(chunk_tokens=10)).run(asked)
    assert found.ttft.tolist() == pytest.approx([5, 10, 15, 20])
    assert found.kept(ServiceGoal(10.0)) == 0.5
    assert found.kept(ServiceGoal(10.0, 1e-3)) == 0.5  # a single token has no time per further one
    assert found.kept(ServiceGoal(10.0, e2e_s=5.0)) == 0.25


def test_the_largest_rate_lies_between_keeping_and_missing():
    """One request after the other takes 1 s each: at random, as many may wait for 10 s as a queue of its kind lets wait.

    Of such a queue (M/D/1, service of 1 s) requests wait rho / (2 (1 - rho)) in the mean; one that keeps 10 s for 99 per cent is
    nearly full, and beyond its capacity of 1 a second none keeps it.
    """
    here, demand = site(Scheduling(chunk_tokens=2)), at_random(1.0, 2, 1, requests=2000)
    found = largest_rate_at(here, demand, ServiceGoal(10.0))
    assert found.most == pytest.approx(1.0, rel=0.01)
    assert 0.6 < found.value < 0.95
    assert found.outcome.kept(found.goal) >= 0.99 > found.over.kept(found.goal)
    wait_s = here.run(demand.faster(0.5 / demand.rate)).ttft.mean() - 1
    assert wait_s == pytest.approx(0.5 / (2 * (1 - 0.5)), rel=0.1)


def test_a_goal_that_nobody_misses_is_kept_up_to_the_capacity():
    """An hour for all."""
    here, demand = site(Scheduling(chunk_tokens=2)), at_random(1.0, 2, 1, requests=200)
    found = largest_rate_at(here, demand, ServiceGoal(3600.0))
    assert found.value == found.most
    assert found.over is None
    assert found.missed_first == ""


def test_a_goal_out_of_reach_is_told_with_the_best_that_can_be_kept():
    """Alone a prompt takes 1 s: half a second cannot be, and 1 s is the best."""
    here, demand = site(Scheduling(chunk_tokens=2)), at_random(1.0, 2, 3, requests=200)
    found = largest_rate_at(here, demand, ServiceGoal(0.5, 5.0))
    assert found.value == 0
    assert found.outcome is None
    assert found.missed_first == "ttft"
    assert (found.best.ttft_s, found.best.tpot_s) == (pytest.approx(1.0), pytest.approx(1.0))


def test_a_time_per_further_token_of_answers_without_one_is_refused():
    """At any rate and of any users; a goal that asks for no such time is judged."""
    here, demand = site(Scheduling(chunk_tokens=2)), at_random(1.0, 2, 1, requests=50)
    with pytest.raises(InputError, match="answers of one token have no further one"):
        largest_rate_at(here, demand, ServiceGoal(1e-6, 0.05))
    with pytest.raises(InputError, match="answers of one token have no further one"):
        largest_concurrency(scenario("llama-3-8b", "rtx-4090", weights="q4_k_m"), 512, 1, ServiceGoal(tpot_s=0.05))
    assert largest_rate_at(here, demand, ServiceGoal(0.5)).best.ttft_s == pytest.approx(1.0)


@pytest.mark.parametrize("longer", [0, 1, 29])
def test_one_answer_with_further_tokens_tells_the_best_time_for_them(longer):
    """Wherever it stands among 30 of a single token: prompts of 2 tokens take 1 s, and each further token 1 s."""
    answers = [1] * 30
    answers[longer] = 3
    demand = Demand((2,) * 30, tuple(answers), tuple(each * TICKS_PER_S for each in range(30)))
    found = largest_rate_at(site(Scheduling(chunk_tokens=2)), demand, ServiceGoal(0.5, 0.5))
    assert (found.value, found.best.ttft_s, found.best.tpot_s) == (0, pytest.approx(1.0), pytest.approx(1.0))


@pytest.mark.parametrize("goal", [ServiceGoal(tpot_s=0.02), ServiceGoal(ttft_s=2.0, tpot_s=0.05)])
def test_the_most_users_lie_between_keeping_and_missing(goal):
    """Of a real server, and no more than memory holds."""
    base = scenario("llama-3-8b", "rtx-4090", weights="q4_k_m")
    found = largest_concurrency(base, 512, 64, goal)
    assert 1 < found.value < found.most
    assert found.outcome.users == found.value
    assert found.outcome.kept(goal) >= 0.99 > found.over.kept(goal)
    assert largest_concurrency(base, 512, 64, goal, most_users=2).value == 2
    assert largest_concurrency(base, 512, 64, ServiceGoal(tpot_s=1e-5)).value == 0


def test_rates_of_a_real_server_rise_with_what_is_allowed():
    """More time, more requests."""
    base = scenario("llama-3-8b", "rtx-4090", weights="q4_k_m")
    rates = [largest_rate(base, 512, 64, ServiceGoal(e2e_s=each), requests=300).value for each in (0.7, 1.0, 4.0)]
    assert rates == sorted(rates)
    assert rates[0] < rates[-1]


@pytest.mark.parametrize("users", [4, 40, 57, 66, 67, 90, 200])
def test_the_most_users_agree_with_what_is_told_of_some(users):
    """Of a server whose users are told of, too: they are within the most just where they keep the goal, whatever their number."""
    base, goal = scenario("llama-3-8b", "rtx-4090", weights="q4_k_m"), ServiceGoal(tpot_s=0.03)
    kept = serve(base, by_users(users, 512, 64), with_interval=False).outcome.kept(goal) >= goal.share
    found = largest_concurrency(base, 512, 64, goal, shown=users)
    assert (users <= found.value) == kept
    assert found.value < found.missed_at <= found.value + max(1, found.value // 256)
    again = serve(base, by_users(found.value, 512, 64), with_interval=False).outcome
    assert again.kept(goal) == found.outcome.kept(goal) >= goal.share
    over = serve(base, by_users(found.missed_at, 512, 64), with_interval=False).outcome
    assert over.kept(goal) < goal.share


def test_the_most_users_agree_with_a_run_of_other_requests():
    """As many of each user as there: 2.5 rounds, or so many that the share can be told, which is said."""
    base, goal = scenario("llama-3-8b", "rtx-4090", weights="q4_k_m"), ServiceGoal(tpot_s=0.03)
    found = largest_concurrency(base, 512, 64, goal, rounds=2.5, most_users=300)
    assert len(found.outcome) == max(round(2.5 * found.value), found.value + 100)
    assert found.n_asked == round(2.5 * found.value)


@pytest.mark.parametrize("rate", [0.5, 0.7, 0.8, 0.82, 0.9])
def test_the_largest_rate_agrees_with_what_is_told_of_one(rate):
    """Requests that come a little faster than asked for, as random ones may, are told by the rate that was asked for."""
    here, demand = site(Scheduling(chunk_tokens=2)), at_random(rate, 2, 1, requests=2000)
    goal = ServiceGoal(10.0)
    kept = here.run(demand).kept(goal) >= goal.share
    found = largest_rate_at(here, demand, goal, shown=rate)
    assert (rate <= found.value) == kept
    assert found.value < found.missed_at <= 1.021 * found.value
    assert here.run(at_random(found.value, 2, 1, requests=2000)).kept(goal) >= goal.share


def test_what_is_no_demand_is_refused():
    """In a sentence."""
    for wrong in (
        lambda: at_random(0, 1, 1), lambda: at_random(1e9, 1, 1), lambda: at_random(1, 0, 1), lambda: by_users(0, 1, 1),
        lambda: at_random(1, 1, 1, requests=10**9), lambda: at_random(1e-6, 1, 1, requests=1000), lambda: by_users(1, 5, 1, prefix=6),
    ):  # fmt: skip
        with pytest.raises(InputError):
            wrong()


def test_few_requests_of_users_tell_nothing():
    """They would hardly be at it together."""
    base = scenario("llama-3-8b", "h100-sxm", weights="fp8")
    with pytest.raises(InputError, match=r"^rounds must be between 2 and"):
        largest_concurrency(base, 512, 64, parse_goal("ttft=2s"), rounds=1.5)
