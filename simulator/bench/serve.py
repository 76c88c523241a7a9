"""How fast users over time are simulated: a day with 100,000 requests at random, on one core."""

from __future__ import annotations

import time
from typing import Any

from simulator.bench.rows import row
from simulator.forecast.scenario import scenario
from simulator.progress import Progress, part_of
from simulator.traffic.demand import at_random
from simulator.traffic.outcome import Outcome
from simulator.traffic.site import Site, site_of

REQUESTS, DAY_S = 100_000, 86_400
PROMPT, GENERATE = 1024, 256
LIMIT_S = 20.0
SERVER = {"model": "llama-3-8b", "hardware": "h100-sxm", "weights": "fp8", "runtime": "vllm"}


def day_of(n_requests: int, progress: Progress) -> tuple[float, Outcome]:
    """Seconds to simulate a day with so many requests, the server's tables with them, and what came of it."""
    base = scenario(**SERVER, context=PROMPT + GENERATE)
    start = time.perf_counter()
    demand = at_random(n_requests / DAY_S, PROMPT, GENERATE, requests=n_requests)
    site: Site = site_of(base, demand)
    outcome = site.run(demand, lambda share, _: progress(share, "a day of requests"))
    return time.perf_counter() - start, outcome


def serve_rows(
    rounds: int, n_requests: int | None = None, progress: Progress = lambda _share, _what: None
) -> tuple[list[dict[str, Any]], list[str]]:
    """The seconds, over their limit, with the spread of the rounds; and in words how many requests and steps a second are gone through.

    A first round warms up and is dropped.
    """
    rounds, n_requests = max(1, rounds), n_requests or REQUESTS
    seconds = []
    for number in range(rounds + 1):
        found, outcome = day_of(n_requests, part_of(progress, number / (rounds + 1), (number + 1) / (rounds + 1)))
        seconds.append(found)
    case = f"serve-{n_requests}-requests"
    rows = [row(case, seconds[1:], [each / LIMIT_S for each in seconds[1:]], f"{LIMIT_S:g} s", "<= 1", "s", 1.0)]
    return rows, [told(rows[0]["value"], outcome)]


def told(seconds: float, outcome: Outcome) -> str:
    """What was gone through in the median of the rounds."""
    n, n_steps = len(outcome), outcome.sums.n_steps
    return (
        f"{outcome.sums.seconds / 3600:.1f} h of requests: {n / seconds:,.0f} requests/s and {n_steps / seconds:,.0f} steps/s, "
        f"{n_steps:,} steps in {outcome.sums.stretches:,} stretches"
    )
