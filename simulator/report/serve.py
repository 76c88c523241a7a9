"""Users of a server over time, for somebody at a terminal, and as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from simulator.forecast.scenario import Scenario
from simulator.report import splits
from simulator.report.remarks import beyond_context, left_out
from simulator.report.screen import print_commands, print_line, print_section
from simulator.report.table import print_table
from simulator.traffic.largest import Largest
from simulator.traffic.outcome import MEASURES, PERCENTS, Outcome, ServiceGoal
from simulator.traffic.serve import Served
from simulator.units import counted, format_number, format_seconds

NAMES = {"ttft": "to the first token", "tpot": "for each further one", "e2e": "whole request"}
BACK = {
    "cache full": "the cache is full: requests wait for room; fewer bits (--cache), a shorter context or more memory let more in",
    "server full": "as many run at once as --max-requests lets in: the others wait for a place",
    "prompts": "reading prompts takes most of the time: a faster unit or a common beginning (--prefix) helps",
}
HARDLY = 0.01  # requests in the mean, of less than which no number is told
FEW = 100  # requests, of less than which one per cent is none


def print_served(
    base: Scenario, served: Served | None, largest: Largest | None, goal: ServiceGoal | None, steady: str = ""
) -> None:
    """What requests wait for, what the server does, what holds it back, and the most that keeps a goal.

    *steady*: the command that counts the users of a steady batch, where there is one.
    """
    model, hardware = base.loaded.model, base.hardware
    print_line(f"{model.title or model.name}, weights {base.load.weights.name}, cache {base.load.cache.name}")
    print_line(f"on {hardware.full_title}, with {base.runtime.title or base.runtime.name}")
    if served is not None:
        print_line(_demand_told(served))
        print()
        head = ["", *(f"{each} %" for each in PERCENTS), f"80 % interval of {served.outcome.highest('e2e')} %"]
        print_table(head, [_row(served, measure) for measure in MEASURES], left=("",))
        print()
        print_section("Server", list(_server_lines(served)))
        print_section("Cache", list(_cache_lines(served)))
        print_section("Held back", [held_back(served)])
        print_section("Steady", list(_steady_lines(served)))
    if goal is not None:
        told = ["here requests arrive and prompts come between; a steady batch of equal contexts:"] if steady else []
        print_section("Goal", [*_goal_lines(served, largest, goal), *told])
        print_commands("", [steady])
    assumed = beyond_context(model, int(base.load.context)) if served is None else assumptions(served)
    print_section("Assumed", list(assumed))
    print_section("Left out", [f"{left_out(base, True)}, networks, several servers behind one door"])


def _demand_told(served: Served) -> str:
    demand, outcome = served.demand, served.outcome
    lengths = f"prompts of {_span(outcome.prompts)}, answers of {_span(outcome.answers, '')}"
    if demand.users:
        how = f"{counted(demand.users, 'user')}, each asking again when answered"
    else:
        how = f"{format_number(demand.rate)} requests/s" if demand.rate else "all at once"
        if demand.rate_asked:
            came = format_number(demand.rate or 0)
            how = f"{format_number(demand.rate_asked)} requests/s at random (with this seed {came})"
    return f"{how}: {counted(len(demand), 'request')} in {format_seconds(outcome.sums.seconds)}, {lengths}"


def _span(values: Any, unit: str = "token") -> str:
    low, high = int(values.min()), int(values.max())
    told = counted(high, unit) if unit else f"{high:,}"
    return told if low == high else f"{low:,} to {told}"


def _row(served: Served, measure: str) -> list[str]:
    cells = [_time(_told(served.outcome, measure, each)) for each in PERCENTS]
    ends = served.between(measure, served.outcome.highest("e2e"))
    return [NAMES[measure], *cells, f"{_time(ends[0])} - {_time(ends[1])}" if ends else "-"]


def _told(outcome: Outcome, measure: str, percent: int) -> float:
    """A percentile; NaN where there are too few requests for it."""
    return outcome.percentile(measure, percent) if outcome.tells(measure, percent) else math.nan


def _time(seconds: float) -> str:
    return format_seconds(seconds) if math.isfinite(seconds) else "-"


def _server_lines(served: Served) -> Iterator[str]:
    outcome, sums = served.outcome, served.outcome.sums
    yield (
        f"{format_number(outcome.requests_per_s)} requests/s, {format_number(outcome.tokens_per_s)} tokens/s of answers and "
        f"{format_number(outcome.prompt_tokens_per_s)} of prompts; busy {outcome.busy_share:.0%} of the time"
    )
    yield (
        f"{_mean(sums.mean_batch)} requests run at once in the mean, {sums.peak_batch:,} at most; "
        f"{_mean(sums.mean_queue)} wait, {sums.peak_queue:,} at most"
    )
    if served.is_unstable:
        yield (
            f"unstable: {format_number(served.demand.rate or 0)} requests/s come and {format_number(served.capacity)} are answered; the "
            f"queue grows by {format_number(served.growth)} each second, so that times depend on how long this goes on"
        )
    else:
        yield f"at most {format_number(served.capacity)} requests/s, if all were there from the beginning"


def _mean(count: float) -> str:
    """So many in the mean over time."""
    return "hardly any" if 0 < count < HARDLY else format_number(count)


def _cache_lines(served: Served) -> Iterator[str]:
    outcome, sums, room = served.outcome, served.outcome.sums, served.site.room
    size = (
        f"room for {counted(room.tokens, 'token')}" if room.is_growing else f"room for {counted(room.pages, 'request')}"
    )
    yield f"{size}: {sums.mean_cache:.0%} used in the mean, {sums.peak_cache:.0%} at most"
    yield from _placed(served.base)
    if sums.put_back:
        fit = f"--max-requests {room.fitting(served.demand.longest):,} lets in what fits to its end"
        yield f"{counted(sums.put_back, 'time')} a request gave up its cache for others and was read again; {fit}"
    if outcome.hits.any():
        yield f"{outcome.hit_share:.0%} of the tokens of prompts were in the cache already"


def _placed(base: Scenario) -> Iterator[str]:
    """How the weights were placed where nobody said it: for one request, so that there is hardly room for more."""
    words = splits.options_of(base) if base.placed_for else None
    if words:
        more = "--n-cpu-moe of more layers" if base.loaded.model.experts else "-ngl of fewer layers"
        if base.runtime.uses_host != "computes":
            more = "more weights in the host's memory"
        yield (
            f"weights lie as {splits.written(words)} says, the fastest for one request of {base.placed_for[1]:,} tokens: {more} leaves "
            "room for more at once"
        )


def held_back(served: Served) -> str:
    """What would have to be more, in a sentence."""
    outcome = served.outcome
    reason = outcome.held_back_by
    share = outcome.sums.reading_s / max(outcome.sums.reading_s + outcome.sums.decoding_s, 1e-30)
    steps = f"{share:.0%} of the busy time in steps that read prompts"
    if reason in BACK:
        return f"{BACK[reason]} ({steps})"
    rest = "" if outcome.busy_share > 0.9 or served.demand.users else ", and nobody waits while it is idle"
    return f"steps that only decode take most of the time, by {outcome.bound}{rest} ({steps})"


def _steady_lines(served: Served) -> Iterator[str]:
    steady = served.steady
    if steady is None:
        return
    users = served.demand.users or max(1, round(served.outcome.sums.mean_batch))
    yield (
        f"with always {counted(users, 'request')}: {format_seconds(steady.seconds_to_first)} to the first token and "
        f"{format_seconds(steady.seconds_per_token)} for each further one, in the mean, the start with all at once in it"
    )


def _goal_lines(served: Served | None, largest: Largest | None, goal: ServiceGoal) -> Iterator[str]:
    if served is not None:
        n = len(served.outcome.times("e2e"))
        is_told, share = n >= goal.fewest, f"{100 * goal.share:g} %"
        few = "" if is_told else f", too few to tell whether {share} do: that takes {goal.fewest:,}"
        yield f"{served.outcome.kept(goal):.1%} of the {counted(n, 'request')} keep {goal}{few}"
        if largest is None and not is_told:
            yield f"the largest rate is not looked for: a trace of {goal.fewest:,} requests tells it, or a lower --share"
    if largest is None:
        return
    unit = "users" if isinstance(largest.value, int) else "requests/s"
    share = f"{100 * goal.share:g} %"
    if not largest.value:
        yield (
            f"out of reach: even of requests that come one by one less than {share} keep it, {NAMES[largest.missed_first]} is what is "
            f"missed; the best that can be kept is {largest.best}"
        )
        return
    value, missed = (
        f"{each:,}" if unit == "users" else format_number(each) for each in (largest.value, largest.missed_at or 0)
    )
    beyond = (
        f"with {missed} fewer do, by their {largest.missed_first}"
        if largest.missed_at is not None
        else "as many as run at once: whether more keep it, who wait, was not looked for"
        if unit == "users"
        else "which is all that it takes, whatever the goal"
    )
    n = len(largest.outcome)
    of = f"of {counted(n, 'request')}" if largest.n_asked not in (None, n) else "of the requests"
    unit = "user" if value == "1" and unit == "users" else unit
    yield f"{share} {of} keep it up to {value} {unit}, {beyond}"


def assumptions(served: Served) -> Iterator[str]:
    """What was taken for granted."""
    site, base = served.site, served.base
    rules = site.rules
    how = "shared by prompts and decoding" if rules.mixes_prompts else "of prompts alone, while decoding waits"
    of_up_to, whose = counted(rules.chunk_tokens * rules.groups, "token"), base.runtime.title or base.runtime.name
    yield f"steps of up to {of_up_to}, {how}, as {whose} does it"
    if not site.is_server:
        yield "passes of prompts are steps of their own, as long as by simulate --prompt; their cache is taken for the whole answer"
    if site.request_s:
        yield f"{format_seconds(site.request_s)} of each request outside the steps (HTTP, tokenizing), as fitted to measured servers"
    if served.demand.users and len(served.demand) > served.demand.users:
        yield "the first request of each user is left out of the times, since all of them come at once"
    n_counted = int(served.outcome.counted.sum())
    if n_counted < FEW:
        missing = [f"{each}" for each in PERCENTS if not served.outcome.tells("e2e", each)]
        is_trace = not served.demand.users and served.demand.rate_asked is None
        more = f"a trace of {FEW}" if is_trace else f"--requests {FEW + served.demand.users}"
        yield f"the percentiles are of only {counted(n_counted, 'request')}, too few for {' and '.join(missing)} %: {more} tells them"
    if any(served.outcome.tells("e2e", each) and not served.outcome.tells("tpot", each) for each in PERCENTS):
        n_longer = len(served.outcome.times("tpot"))
        yield f"{NAMES['tpot']}: of requests with answers of more than one token, {n_longer:,} of the {n_counted:,}"
    if served.slow is None:
        yield "no interval: a run as long as this is gone through once, without slower and faster steps; fewer --requests have one"
    else:
        yield "the interval is what comes of steps that all take as long, or as short, as the 80 % intervals of decoding and of prompts"
    if not base.load.routing.name.startswith("uniform") and base.loaded.model.experts:
        yield f"routing {base.load.routing.name}"
    yield from beyond_context(base.loaded.model, served.demand.longest)


def served_record(served: Served, goal: ServiceGoal | None) -> dict[str, Any]:
    """As JSON has it: seconds, counts and shares."""
    outcome, sums, base, demand = served.outcome, served.outcome.sums, served.base, served.demand
    row: dict[str, Any] = {
        "model": base.loaded.model.name,
        "hardware": base.hardware.label,
        "runtime": base.runtime.name,
        "weights": base.load.weights.name,
        "cache": base.load.cache.name,
        "requests": len(demand),
        "users": demand.users or None,
        "rate": demand.rate,
        "rate_asked": demand.rate_asked,
        "prompt": int(outcome.prompts.max()),
        "generate": int(outcome.answers.max()),
        **{measure: _times(served, measure) for measure in MEASURES},
        "requests_per_s": outcome.requests_per_s,
        "tokens_per_s": outcome.tokens_per_s,
        "prompt_tokens_per_s": outcome.prompt_tokens_per_s,
        "capacity_requests_per_s": served.capacity,
        "unstable": served.is_unstable,
        "busy_share": outcome.busy_share,
        "reading_seconds": sums.reading_s,
        "decoding_seconds": sums.decoding_s,
        "batch_mean": sums.mean_batch,
        "batch_peak": sums.peak_batch,
        "queue_mean": sums.mean_queue,
        "queue_peak": sums.peak_queue,
        "cache_tokens": served.site.room.tokens if served.site.room.is_growing else None,
        "cache_mean": sums.mean_cache,
        "cache_peak": sums.peak_cache,
        "preemptions": sums.put_back,
        "prefix_hit_share": outcome.hit_share,
        "held_back_by": outcome.held_back_by,
        "steady": _steady_record(served),
        "remarks": list(assumptions(served)),
    }
    if goal is not None:
        row |= {"goal": goal.parts, "share": goal.share, "kept": outcome.kept(goal)}
    return row


def _times(served: Served, measure: str) -> dict[str, float | None]:
    found = {f"p{percent}": _known(_told(served.outcome, measure, percent)) for percent in PERCENTS}
    for percent in PERCENTS:
        low, high = served.between(measure, percent) or (None, None)
        found |= {f"p{percent}_low": low, f"p{percent}_high": high}
    return found


def _steady_record(served: Served) -> dict[str, float] | None:
    steady = served.steady
    if steady is None:
        return None
    return {"seconds_to_first": steady.seconds_to_first, "seconds_per_token": steady.seconds_per_token}


def largest_record(largest: Largest) -> dict[str, Any]:
    """The most that keeps a goal, as plain values."""
    goal, is_users = largest.goal, isinstance(largest.value, int)
    return {
        "goal": goal.parts,
        "share": goal.share,
        "users" if is_users else "rate": largest.value,
        "most": largest.most,
        "kept": None if largest.outcome is None else largest.outcome.kept(goal),
        "requests": None if largest.outcome is None else len(largest.outcome),
        "missed_at": largest.missed_at,
        "missed_first": largest.missed_first or None,
        "held_back_by": None if largest.over is None else largest.over.held_back_by,
        "best": largest.best.parts,
        "tokens_per_s": None if largest.outcome is None else largest.outcome.tokens_per_s,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
