"""A server over time: how many run and wait, how full its cache is; and what requests wait for, against the load."""

from __future__ import annotations

import numpy as np

from simulator.progress import Progress
from simulator.report.charts.chart import Chart, Panel, Series
from simulator.report.charts.naming import subtitle
from simulator.report.charts.source import source_of
from simulator.traffic.demand import by_users
from simulator.traffic.outcome import Outcome
from simulator.traffic.serve import MOST_TWICE, Served
from simulator.units import KILO, counted, format_number

STRETCHES = 80  # of a timeline
LOADS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)  # of the capacity
MOST_SHOWN = 512  # users, where nobody asked for more


def timeline_chart(served: Served) -> Chart:
    """Requests that run, that wait, and the share of the cache that is used, over the seconds."""
    outcome = served.outcome
    seconds, batch, cache = outcome.line
    edges = np.linspace(0, outcome.sums.seconds, STRETCHES + 1)
    x = tuple(((edges[:-1] + edges[1:]) / 2).tolist())
    changes = np.sort(outcome.waits_s, axis=None)
    waiting = _means(changes, outcome.waiting_at(changes), edges)
    panels = (
        Panel("Requests", (
            Series("run at once", x, _means(seconds, batch, edges), colour=0), Series("wait", x, waiting, colour=1),
        ), "requests"),
        Panel("Cache", (Series("used", x, _means(seconds, 100 * cache, edges), colour=2),), "per cent of the cache"),
    )  # fmt: skip
    return Chart(
        "serve",
        "lines",
        f"A server over time: {_how(served)}",
        "seconds",
        panels,
        _source(served),
        subtitle([served.base]),
        x_log=False,
        y_log=False,
    )


def _means(seconds: np.ndarray, values: np.ndarray, edges: np.ndarray) -> tuple[float, ...]:
    """Means over stretches of time of what has each value from its second on."""
    grown = np.concatenate([[0.0], np.cumsum(values[:-1] * np.diff(seconds))])
    after = values[-1] * np.maximum(edges - seconds[-1], 0.0)
    return tuple((np.diff(np.interp(edges, seconds, grown, left=0.0) + after) / np.diff(edges)).tolist())


def load_chart(served: Served, progress: Progress) -> Chart | None:
    """Times to the first token and for each further one, against the rate or the users; None of more than can be gone through again."""
    demand, site = served.demand, served.site
    if len(demand) > MOST_TWICE:
        return None
    found: list[tuple[float, Outcome]] = []
    if demand.users:
        prompt, answer = demand.prompts[0], demand.answers[0]
        most = min(max(demand.users, MOST_SHOWN), site.most_at_once(by_users(MOST_SHOWN, prompt, answer)))
        doubled = {1 << n for n in range(18)}
        loads = sorted({users for users in doubled if users <= max(most, demand.users)} | {demand.users})
        prefix = demand.prefixes[0][1] if demand.prefixes else 0
        for number, users in enumerate(loads):
            progress(number / len(loads), f"{users:,} users")
            asked = by_users(users, prompt, answer, requests=4 * users + 100, prefix=prefix)
            # The one that the table is of is the same here.
            found.append((users, served.outcome if users == demand.users else site.run(asked)))
    elif demand.rate is not None:
        for number, load in enumerate(LOADS):
            progress(number / len(LOADS), f"{load:.0%} of the capacity")
            rate = load * served.capacity
            found.append((rate, site.run(demand.faster(rate / demand.rate))))
    if not found:
        return None
    x = "users at once" if demand.users else "requests per second"
    panels = tuple(
        Panel(title, tuple(_line(found, measure, *each) for each in enumerate(_percents(found, measure))), y)
        for title, measure, y in (
            ("Until the first token", "ttft", "seconds to the first token"),
            ("Each further token", "tpot", "milliseconds per further token"),
        )
        if _percents(found, measure)
    )
    return Chart(
        "serve", "lines", "What requests wait for, against the load", x, panels, _source(served), subtitle([served.base]),
        x_log=bool(demand.users),
    )  # fmt: skip


def _percents(found: list[tuple[float, Outcome]], measure: str) -> list[int]:
    """The half, and the highest percentile that is told at every load; none where no request has such a time."""
    highest = [outcome.highest(measure) for _, outcome in found]
    return [] if None in highest else sorted({50, min(highest)})


def _line(found: list[tuple[float, Outcome]], measure: str, colour: int, percent: int) -> Series:
    return Series(
        f"{percent} % of the requests",
        tuple(load for load, _ in found),
        tuple(outcome.percentile(measure, percent) * (KILO if measure == "tpot" else 1) for _, outcome in found),
        colour=colour,
    )


def _how(served: Served) -> str:
    """How requests come, in a few words."""
    demand = served.demand
    if demand.users:
        return counted(demand.users, "user")
    rate = demand.rate_asked or demand.rate
    return f"{format_number(rate)} requests/s" if rate else f"{counted(len(demand), 'request')} at once"


def _source(served: Served) -> str:
    outcome = served.outcome
    return source_of(
        [served.base],
        f"prompts of {outcome.prompts.mean():,.0f} tokens, answers of {outcome.answers.mean():,.0f}, in the mean",
    )
