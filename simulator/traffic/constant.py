"""Servers under constant load, gone through request by request: what their steady state is beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from simulator.errors import InputError
from simulator.forecast.server_steps import Server
from simulator.forecast.serving import NOTHING_FITS, Served, lengths
from simulator.spec.serving import Traffic
from simulator.traffic.demand import of_lengths
from simulator.traffic.site import site_of_server


def simulate_all(server: Server, traffics: Sequence[Traffic], done: Callable[[], None]) -> list[Served]:
    """Seconds per token and to the first one of each, in the mean over all requests; calls *done* after each.

    NaN where a request does not fit in memory. Users all ask at once, and again with each answer, as benchmarks do.
    """
    found: dict[Traffic, Served] = {}
    for each in traffics:
        if each not in found:
            found[each] = _simulate(server, each)
        done()
    return [found[each] for each in traffics]


def _simulate(server: Server, traffic: Traffic) -> Served:
    serving = server.runtime.serving
    demand = of_lengths(lengths(traffic), traffic.concurrency)
    try:
        site = site_of_server(server, serving.scheduling(traffic.told, server.layout.data), demand)
        site.expect_room(demand)
    except InputError:
        return NOTHING_FITS
    outcome = site.run(demand)
    at_once, depth = site.most_at_once(demand), traffic.mean_input + traffic.mean_output // 2
    return Served(
        batch=max(1, round(outcome.sums.mean_batch)),
        step_s=site.step_s(at_once, depth),
        prompt_s=site.prompt_s(traffic.mean_input),
        seconds_per_token=float(np.nanmean(outcome.tpot)),
        seconds_to_first=float(outcome.ttft.mean()),
        is_full=traffic.concurrency > at_once,
    )
