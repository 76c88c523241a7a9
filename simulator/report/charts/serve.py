"""A server over time: how many run and wait, how full its cache is; and what requests wait for, against the load."""

from __future__ import annotations

import numpy as np

from simulator.progress import Progress, part_of
from simulator.report.charts.chart import Chart, Panel, Series
from simulator.report.charts.naming import subtitle
from simulator.report.charts.source import source_of
from simulator.traffic.budget import MOST_SEARCHED, reads_of
from simulator.traffic.demand import by_users
from simulator.traffic.largest import Largest
from simulator.traffic.outcome import Outcome
from simulator.traffic.serve import MANY_STRETCHES, MOST_TWICE, Served
from simulator.units import KILO, counted, format_number

STRETCHES = 80  # of a timeline
LOADS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)  # of the capacity
TOO_NEAR = 0.1  # loads that differ by less than such a share have one place
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


def load_chart(served: Served, progress: Progress, largest: Largest | None = None) -> Chart | None:
    """Times to the first token and for each further one, against the rate or the users, with the *largest* that keeps a goal among them.

    None where `why_no_loads` says why.
    """
    if why_no_loads(served):
        return None
    demand = served.demand
    found = _by_users(served, largest, progress) if demand.users else _by_rate(served, largest, progress)
    x = "users at once (logarithmic)" if demand.users else "requests per second"
    note = _limit_told(served, largest)
    panels = tuple(
        Panel(title, tuple(_line(found, measure, *each) for each in enumerate(_percents(found, measure))), y, note=note)
        for title, measure, y in (
            ("Until the first token", "ttft", "seconds to first token (logarithmic)"),
            ("Each further token", "tpot", "ms per further token (logarithmic)"),
        )
        if _percents(found, measure)
    )
    return Chart(
        "serve", "lines", "What requests wait for, against the load", x, panels, _source(served), subtitle([served.base]),
        x_log=bool(demand.users),
    )  # fmt: skip


def why_no_loads(served: Served) -> str:
    """Why there is no picture against the load, and what has one; empty where there is one."""
    demand, n, sums = served.demand, len(served.demand), served.outcome.sums
    is_trace = not demand.users and demand.rate_asked is None
    if n > MOST_TWICE:
        enough = f"a trace of {MOST_TWICE:,} or fewer" if is_trace else f"--requests {MOST_TWICE} or fewer"
        return f"a run of {counted(n, 'request')} is gone through once, and not at other loads; {enough} can be"
    if sums.stretches > MANY_STRETCHES:
        fit = f"--max-requests {served.site.room.fitting(demand.longest)}" if sums.put_back else "a larger --chunk"
        fewer = "a trace of fewer requests" if is_trace else "fewer --requests"
        changes = (
            f"the steps of this run change {sums.stretches:,} times, and up to {MANY_STRETCHES:,} can be gone through"
        )
        return f"{changes} at other loads; {fit} or {fewer} may do"
    if demand.rate is None and not demand.users:
        return (
            "requests that all come at once have no rate; --rate, --concurrency or a trace with several times has one"
        )
    return ""


def _percents(found: list[tuple[float, Outcome]], measure: str) -> list[int]:
    """The half, and the highest percentile that is told at every load; none where no request has such a time."""
    highest = [outcome.highest(measure) for _, outcome in found]
    return [] if None in highest else sorted({50, min(highest)})


def _by_users(served: Served, largest: Largest | None, progress: Progress) -> list[tuple[float, Outcome]]:
    """Twice as many users each time, those of the table and the most that keep the goal; as many as can be gone through."""
    demand, site = served.demand, served.site
    prompt, answer = demand.prompts[0], demand.answers[0]
    prefix = demand.prefixes[0][1] if demand.prefixes else 0
    most = min(max(demand.users, MOST_SHOWN), site.most_at_once(by_users(MOST_SHOWN, prompt, answer)))
    known = {demand.users: served.outcome}  # the one that the table is of is the same here
    if largest is not None and largest.outcome is not None:
        known.setdefault(int(largest.value), largest.outcome)
    doubled = {users for n in range(18) if (users := 1 << n) <= max(most, *known)}
    doubled = {
        users for users in doubled if not any(users != each and abs(users / each - 1) < TOO_NEAR for each in known)
    }
    asked = {users: by_users(users, prompt, answer, requests=4 * users + 100, prefix=prefix) for users in doubled}
    most_reads = MOST_SEARCHED // max(1, len(doubled))
    loads = sorted({users for users in doubled if reads_of(asked[users], site.rules) <= most_reads} | set(known))
    found = []
    for number, users in enumerate(loads):
        part = part_of(progress, number / len(loads), (number + 1) / len(loads))
        found.append((users, known[users] if users in known else site.run(asked[users], part)))
    return found


def _by_rate(served: Served, largest: Largest | None, progress: Progress) -> list[tuple[float, Outcome]]:
    """Shares of the capacity, and the rate that keeps the goal."""
    demand = served.demand
    assert demand.rate is not None  # of which there is no such picture
    found = [] if largest is None or largest.outcome is None else [(float(largest.value), largest.outcome)]
    for number, load in enumerate(LOADS):
        part = part_of(progress, number / len(LOADS), (number + 1) / len(LOADS))
        rate = load * served.capacity
        found.append((rate, served.site.run(demand.faster(rate / demand.rate), part)))
    return sorted(found, key=lambda each: each[0])


def _limit_told(served: Served, largest: Largest | None) -> str:
    """The most that there is, as the table tells it: that keeps the goal, or without one that is answered at all."""
    if largest is not None and largest.value:
        value = f"{largest.value:,}" if served.demand.users else format_number(largest.value)
        unit = "users" if served.demand.users else "requests/s"
        return f"{100 * largest.goal.share:g} % keep {largest.goal} up to {value} {unit}"
    return f"at most {format_number(served.capacity)} requests/s are answered"


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
        f"prompts of {counted(round(outcome.prompts.mean()), 'token')}, answers of {outcome.answers.mean():,.0f}, in the mean",
    )
