"""The most that a server carries so that requests keep a goal: requests per second, or users at once; by halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

from simulator.forecast.scenario import Scenario
from simulator.progress import Progress, part_of
from simulator.spec.arguments import between, whole
from simulator.spec.serving import MAX_USERS
from simulator.traffic.budget import MOST_SEARCHED, SEARCH_RUNS, expect_reads, reads_of
from simulator.traffic.demand import (
    LEAST_RATE,
    MAX_REQUESTS,
    MOST_RATE,
    USUAL_REQUESTS,
    Demand,
    at_random,
    by_users,
    usual_requests,
)
from simulator.traffic.outcome import Outcome, ServiceGoal, expect_goal, expect_met
from simulator.traffic.serve import capacity_of
from simulator.traffic.site import Site, expect_limits, remade, silent, site_of

NEAR = 1.02  # the rate is found to so much,
USERS_NEAR = 256  # and users to this part of them
LEAST_LOAD = 1e-4  # of the capacity: a goal that is missed below that is missed at any rate
ALONE = 20  # requests, one after the other
LEAST_ROUNDS = 2.0  # requests of each user that are asked for
FEW, FEW_ROUNDS = 400, 4  # requests of users that are tried, and of each of them, where more would be too many


@dataclass(frozen=True)
class Largest:
    """The most that keeps a goal, and what is on both sides of it."""

    goal: ServiceGoal
    value: float  # requests per second, or users; 0 where even one request alone misses it
    outcome: Outcome | None  # at that
    alone: Outcome  # one request after the other: the best that can be had
    over: Outcome | None  # at somewhat more, where the goal is missed; None: nothing more was tried
    most: float  # that the server takes whatever the goal: its capacity, or the users that memory holds
    missed_at: float | None = None  # the load of `over`
    n_asked: int | None = None  # requests that are simulated of that load where no goal is asked for; None: as many

    @property
    def best(self) -> ServiceGoal:
        """The tightest goal of the same measures that requests keep which are alone."""
        found = {f"{name}_s": self.alone.percentile(name, 100 * self.goal.share) for name in self.goal.parts}
        return ServiceGoal(**found, share=self.goal.share)

    @property
    def missed_first(self) -> str:
        """Which measure is missed beyond it: ttft, tpot or e2e; empty where nothing more was tried."""
        found = self.over if self.value else self.alone
        if found is None:
            return ""
        parts = self.goal.parts.items()
        return max(parts, key=lambda each: found.percentile(each[0], 100 * self.goal.share) / each[1])[0]


def largest_rate(
    base: Scenario,
    prompt: int,
    generate: int,
    goal: ServiceGoal,
    *,
    requests: int | None = None,
    prefix: int = 0,
    seed: int = 0,
    max_requests: int | None = None,
    chunk: int | None = None,
    shown: float | None = None,
    progress: Progress = silent,
) -> Largest:
    """The most requests per second, coming at random, of which a goal's share keeps it.

    All rates are tried with the same arrivals, faster or slower, of 2,000 requests at least: of fewer no queue would come that a goal
    is missed by. Where prompts are read in very many steps, they are as many as can be gone through.
    Arguments as `at_random` and `serve` take them. *shown*: a rate of which is told whether it keeps the goal, too; what is found agrees.
    """
    expect_limits(max_requests, chunk, progress)
    shown = shown if shown is None else between("shown", shown, LEAST_RATE, MOST_RATE)
    demand = at_random(1.0, prompt, generate, requests=requests, prefix=prefix, seed=seed)
    _expect_goal(goal, demand)
    n_asked = len(demand)
    site = site_of(base, demand, max_requests=max_requests, chunk=chunk)
    site.expect_room(demand)
    fewest = max(USUAL_REQUESTS, goal.fewest)
    if requests is None or len(demand) < fewest:
        most = MOST_SEARCHED * len(demand) // (SEARCH_RUNS * reads_of(demand, site.rules))
        n = max(goal.fewest, min(fewest, most))
        demand = at_random(1.0, prompt, generate, requests=n, prefix=prefix, seed=seed)
        site = site_of(base, demand, max_requests=max_requests, chunk=chunk)
    return replace(largest_rate_at(site, demand, goal, shown, progress), n_asked=n_asked)


def largest_rate_at(
    site: Site, demand: Demand, goal: ServiceGoal, shown: float | None = None, progress: Progress = silent
) -> Largest:
    """The same of a server made ready and requests that come at some rate."""
    _expect_goal(goal, demand)
    expect_reads(demand, site.rules, SEARCH_RUNS, MOST_SEARCHED)
    told = _parts(progress)
    alone = site.run(_one_by_one(demand), next(told))
    capacity = capacity_of(site, demand, next(told))
    if alone.kept(goal) < goal.share:
        return Largest(goal, 0.0, None, alone, None, capacity)

    def tried(rate: float) -> Outcome:
        assert demand.load is not None  # requests that come by themselves
        return site.run(demand.faster(rate / demand.load), next(told))

    low, high = LEAST_LOAD * capacity, capacity
    best, over = tried(low), tried(high)
    if best.kept(goal) < goal.share:
        return Largest(goal, 0.0, None, alone, best, capacity, low)
    if over.kept(goal) >= goal.share:
        return Largest(goal, capacity, over, alone, None, capacity)
    while high / low > NEAR:
        # From far away by the ratio, near the capacity by the difference: there times grow fast.
        middle = (low * high) ** 0.5 if high / low > 4 else (low + high) / 2
        middle = shown if shown is not None and low < shown < high else middle
        found = tried(middle)
        if found.kept(goal) >= goal.share:
            low, best = middle, found
        else:
            high, over = middle, found
    return Largest(goal, low, best, alone, over, capacity, high)


def largest_concurrency(
    base: Scenario,
    prompt: int,
    generate: int,
    goal: ServiceGoal,
    *,
    most_users: int | None = None,
    rounds: float | None = None,
    prefix: int = 0,
    max_requests: int | None = None,
    chunk: int | None = None,
    shown: int | None = None,
    progress: Progress = silent,
) -> Largest:
    """The most users at once, each asking again when it has its answer, of whose requests a goal's share keeps it.

    At most *most_users*, and at most as many as memory holds at once: those beyond only wait. A first request of each is not counted,
    since all of them come together.

    Args:
        rounds: requests of each user, at least two; None: as `by_users` has it. Where that is more than can be gone through, fewer.
        shown: users of whom is told whether they keep the goal, too; what is found agrees.
    """
    expect_limits(max_requests, chunk, progress)
    most = whole("most_users", MAX_USERS if most_users is None else most_users, 1, MAX_USERS)
    rounds = rounds if rounds is None else between("rounds", rounds, LEAST_ROUNDS, MAX_REQUESTS)
    shown = 0 if shown is None else whole("shown", shown, 1, MAX_USERS)
    demand = by_users(most, prompt, generate, prefix=prefix)
    _expect_goal(goal, demand)
    site = site_of(base, demand, max_requests=max_requests, chunk=chunk)
    most = min(most, site.most_at_once(demand))
    most_gone_through = MOST_SEARCHED * len(demand) // (SEARCH_RUNS * reads_of(demand, site.rules))
    told = _parts(progress)

    def n_asked(users: int) -> int:
        return usual_requests(users) if rounds is None else min(round(rounds * users), MAX_REQUESTS)

    def asked(users: int) -> Demand:
        fewest = users + goal.fewest
        at_most = max(most_gone_through, FEW, FEW_ROUNDS * users)
        n = max(fewest, min(n_asked(users), at_most))
        return by_users(users, prompt, generate, requests=n, prefix=prefix)

    def tried(users: int) -> Outcome:
        these = asked(users)
        return remade(site, these).run(these, next(told))

    expect_reads(asked(most), site.rules, SEARCH_RUNS, MOST_SEARCHED)
    alone = site.run(by_users(1, prompt, generate, requests=ALONE, prefix=prefix), next(told))
    if alone.kept(goal) < goal.share:
        return Largest(goal, 0, None, alone, None, most)
    low, best, high, over = _doubled(tried, goal, most, shown)
    while over is not None and high - low > max(1, low // USERS_NEAR):
        middle = (low + high) // 2
        found = tried(middle)
        if found.kept(goal) >= goal.share:
            low, best = middle, found
        else:
            high, over = middle, found
    return Largest(goal, low, best, alone, over, most, None if over is None else high, n_asked(low))


def _parts(progress: Progress) -> Iterator[Progress]:
    """What each run tells of itself, told of the whole search."""
    for number in count():
        start, end = (min(each / SEARCH_RUNS, 0.99) for each in (number, number + 1))
        yield part_of(progress, start, end)


def _expect_goal(goal: ServiceGoal, demand: Demand) -> None:
    """InputError for what is no goal, and for one of something that no answer of a demand has."""
    expect_goal(goal)
    expect_met(goal, demand.answers)


def _doubled(
    tried: Callable[[int], Outcome], goal: ServiceGoal, most: int, shown: int
) -> tuple[int, Outcome, int, Outcome | None]:
    """Twice as many each time, and *shown* on the way, until the goal is missed: the last that kept it, and the first that did not."""
    users, best = 1, tried(1)
    while users < most:
        more = shown if users < shown < min(2 * users, most) else min(2 * users, most)
        found = tried(more)
        if found.kept(goal) < goal.share:
            return users, best, more, found
        users, best = more, found
    return users, best, users, None


def _one_by_one(demand: Demand) -> Demand:
    """Some requests, each when the one before has its answer: the first, and as the last one with a time per further token, if any has.

    The first that is run is not counted, as of all users.
    """
    longer = next((number for number, answer in enumerate(demand.answers) if answer > 1), 0)
    others = [number for number in range(min(ALONE, len(demand))) if number != longer]
    numbers = [*others[: ALONE - 1], longer]
    prompts, answers = ([each[number] for number in numbers] for each in (demand.prompts, demand.answers))
    prefixes = demand.prefixes and tuple(demand.prefixes[number] for number in numbers)
    return Demand(tuple(prompts), tuple(answers), users=1, prefixes=prefixes)
