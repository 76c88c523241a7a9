"""A server under some demand, with what is told beside it: the same where steps take longer and shorter, its capacity, its steady state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.forecast import serving
from simulator.forecast.interval import PROMISED
from simulator.forecast.request import Request, forecast_request
from simulator.forecast.scenario import Scenario
from simulator.forecast.server_steps import Server
from simulator.progress import Progress, part_of
from simulator.spec.arguments import expect
from simulator.spec.serving import Told, Traffic
from simulator.spec.workload import MAX_BATCH
from simulator.traffic.budget import MOST_READS, reads_of
from simulator.traffic.demand import ROUNDS, USUAL_REQUESTS, Demand, of_lengths
from simulator.traffic.outcome import Outcome
from simulator.traffic.site import Site, expect_limits, remade, silent, site_of

MOST_TWICE = 20_000  # requests that are gone through again, by slower and by faster steps and all at once
MANY_STRETCHES = 20 * MOST_TWICE  # of steps, so many of which are gone through again
# What is gone through for a capacity where not more are needed: steps that read prompts, tokens of answers.
USUAL_READS, USUAL_ANSWERS = 100_000, 20_000_000


@dataclass(frozen=True)
class Served:
    """What comes of a demand."""

    base: Scenario
    site: Site
    demand: Demand
    outcome: Outcome
    slow: Outcome | None  # by steps that take as long as the 80 % interval lets them; None: not gone through
    fast: Outcome | None
    capacity: float  # requests per second, at most
    steady: (
        serving.Served | None
    )  # with always as many requests as there were in the mean; None where that is not forecast

    @property
    def is_unstable(self) -> bool:
        """Whether requests come faster than they are answered, so that ever more wait."""
        return self.demand.rate is not None and self.demand.rate > self.capacity

    @property
    def growth(self) -> float:
        """Requests by which the queue grows each second."""
        return max(0.0, (self.demand.rate or 0.0) - self.capacity)

    def between(self, measure: str, percent: float) -> tuple[float, float] | None:
        """A percentile by faster steps and by slower ones; None where it is not told, or those were not gone through."""
        if not self.outcome.tells(measure, percent) or self.slow is None or self.fast is None:
            return None
        return self.fast.percentile(measure, percent), self.slow.percentile(measure, percent)


def serve(
    base: Scenario,
    demand: Demand,
    *,
    max_requests: int | None = None,
    chunk: int | None = None,
    with_interval: bool = True,
    progress: Progress = silent,
) -> Served:
    """What users of a server see, and what the server does meanwhile.

    Args:
        base: a model on a device under a runtime, whose rules decide what steps do.
        demand: `at_random(rate, prompt, generate)`, `by_users(users, prompt, generate)` or `of_trace(path)`.
        max_requests: that run at once; None: as many as memory holds.
        chunk: tokens of prompts in a step; None: the runtime's own number.
        with_interval: whether to go through it again by steps at both ends of the 80 % interval.

    InputError where the model or a request does not fit, or there is more to do than is done.
    """
    expect_limits(max_requests, chunk, progress)
    expect("with_interval", with_interval, bool, "True or False")
    site = site_of(base, demand, max_requests=max_requests, chunk=chunk)
    is_short = len(demand) <= MOST_TWICE
    n_runs = 2 + 2 * (is_short and with_interval)

    def told(run: int) -> Progress:
        return part_of(progress, run / n_runs, (run + 1) / n_runs)

    outcome = site.run(demand, told(0))
    capacity = capacity_of(site, demand, told(1))
    slow = fast = None
    if is_short and with_interval and outcome.sums.stretches <= MANY_STRETCHES:
        decode, prompt = spreads(base, outcome)
        slow = site.slower(decode, prompt).run(demand, told(2))
        fast = site.slower(1 / decode, 1 / prompt).run(demand, told(3))
    return Served(
        base, site, demand, outcome, slow, fast, capacity, _steady(site, demand, outcome, max_requests, chunk)
    )


def capacity_of(site: Site, demand: Demand, progress: Progress = silent) -> float:
    """Requests that the server answers per second at most: as fast as it does where all are there from the beginning.

    They are repeated until the server was full for long, so that it does not depend on how many are asked for.
    """
    crowd = demand.at_once(_crowd(site, demand))
    return remade(site, crowd).run(crowd, progress).settled_rate


def _crowd(site: Site, demand: Demand) -> int:
    """Requests that fill a server for long: some rounds of all that run at once, and of a trace each one."""
    n, answers = len(demand), sum(demand.answers)
    # With their answers half given: more are let in where requests give up their cache, and do not get on.
    fit = site.room.fitting((sum(demand.prompts) + answers // 2) // n)
    rounds = ROUNDS * min(site.most_at_once(demand.at_once(MOST_TWICE)), max(fit, 1), _most_decoding(site, demand))
    n_reads = reads_of(demand, site.rules)
    usual = min(USUAL_REQUESTS, USUAL_READS * n // n_reads, USUAL_ANSWERS * n // answers)
    distinct = len(set(zip(demand.prompts, demand.answers, strict=True)))
    most = min(MOST_TWICE, max(1, MOST_READS * n // n_reads))
    return min(max(rounds, usual, len(demand) if distinct > 1 else 1), most)


def _most_decoding(site: Site, demand: Demand) -> int:
    """Requests that decode at once where prompts are always read beside them: a step's tokens, shared by prompts and answers.

    A token of prompts at least is read in each step, however many decode.
    """
    if not site.rules.mixes_prompts or not site.rules.splits_prompts:
        return MOST_TWICE
    answers, hits = sum(demand.answers), sum(n for _, n in demand.prefixes or ())
    prompts = max(sum(demand.prompts) - hits, len(demand))
    step_tokens = site.rules.chunk_tokens * site.rules.groups
    return 1 + math.ceil(max(step_tokens * answers / (prompts + answers), answers / prompts))


def spreads(base: Scenario, outcome: Outcome) -> tuple[float, float]:
    """By which factors steps that decode, and those that read prompts, may take longer or less by their 80 % intervals."""
    batch = min(max(1, round(outcome.sums.mean_batch)), MAX_BATCH)
    depth, prompt = int((outcome.prompts + outcome.answers / 2).mean()), int(outcome.prompts.mean())
    decode = max(float(each) for each in base.at(batch, depth).factors(PROMISED))
    reading = forecast_request(base, Request(prompt, ubatch=None)).reading
    return decode, math.exp(reading.spread()) if reading.fits else decode


def _steady(
    site: Site, demand: Demand, outcome: Outcome, max_requests: int | None, chunk: int | None
) -> serving.Served | None:
    base = site.base
    if base is None or not site.is_server or int(outcome.answers.mean()) < 2:
        return None
    server = Server(base.loaded.model, base.hardware, base.runtime, base.load, base.hardware.layout)
    users = demand.users or max(1, round(outcome.sums.mean_batch))
    told = Told(chunk_tokens=chunk, max_requests=max_requests)
    traffic = Traffic(users, round(outcome.prompts.mean()), round(outcome.answers.mean()), told=told)
    rules = serving.limited(server, traffic)
    if rules and reads_of(of_lengths(serving.lengths(traffic), users), rules) > MANY_STRETCHES:
        return None  # which is told beside what users see, and not worth as long again
    (found,) = serving.serve_all(server, [traffic])
    return found if found.batch else None
