"""The command `serve`: users over time, in tables, as JSON, and as pictures; and the most that keeps a goal."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from simulator.commands.line import options
from simulator.commands.line.called import called
from simulator.commands.line.memory import with_own_memory
from simulator.commands.line.parser import argument, option, subcommand, target
from simulator.commands.line.split import split_asked, split_options
from simulator.commands.line.values import gibibytes, number, single_count, whole_number
from simulator.errors import InputError, printable
from simulator.forecast.scenario import Scenario, scenario
from simulator.progress import Progress, part_of
from simulator.report.plan_commands import plan_command
from simulator.report.progress import progress_bar
from simulator.report.record import write_json
from simulator.report.screen import print_line
from simulator.report.serve import largest_record, print_served, served_record
from simulator.spec.workload import MAX_CONTEXT
from simulator.traffic.demand import LEAST_RATE, MOST_RATE, Demand, at_random, by_users, of_trace
from simulator.traffic.largest import LEAST_ROUNDS, Largest, largest_concurrency, largest_rate, largest_rate_at
from simulator.traffic.outcome import MOST_SHARE, USUAL_SHARE, ServiceGoal, expect_met, parse_goal
from simulator.traffic.serve import Served, serve
from simulator.traffic.site import site_of

PROMPT, GENERATE = 1024, 256
_RATE = re.compile(r"\s*((?:\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})(?:e[+-]?\d{1,2})?)\s*(k?)\s*(?:/\s*(s|min|h|day))?\s*")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}
_EACH_ROW = "each request of a trace has its own"
_OF_TRACES = {  # why these are not told of them
    "prompt": _EACH_ROW,
    "generate": _EACH_ROW,
    "prefix": _EACH_ROW,
    "requests": "a trace has a request in each row, and all of them are simulated",
    "seed": "a trace says when each request comes, nothing of it is random",
}
_WAYS = "--rate 2/s, --concurrency 16 or --trace FILE.csv"


def parse_rate(text: str) -> float:
    """Requests per second, of `2/s`, `90/min`, `100k/day` or a number; the parser adds the option's name to the error."""
    match = _RATE.fullmatch(text.lower())
    rate = float(match[1]) * (1000 if match[2] else 1) / _SECONDS[match[3] or "s"] if match else 0.0
    if not LEAST_RATE <= rate <= MOST_RATE:
        bounds = f"from {LEAST_RATE:g} to {MOST_RATE:,.0f} per second"
        raise click.BadParameter(
            f"{printable(text, 30)!r}: requests over time are needed, {bounds}, with /s, /min, /h or /day, such as 2/s or 100k/day"
        )
    return rate


@dataclass(frozen=True)
class Asked:
    """The demand, as it was asked for."""

    rate: float | None
    concurrency: int | None
    trace: str | None
    prompt: int | None
    generate: int | None
    prefix: int | None
    requests: int | None
    seed: int | None
    goal: ServiceGoal | None

    def __post_init__(self):
        ways = [name for name in ("rate", "concurrency", "trace") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise InputError(f"--{ways[0]} and --{ways[1]} both say how requests come: give one of {_WAYS}")
        if not ways and self.goal is None:
            raise InputError(
                f"say how requests come, {_WAYS}; or what they are to keep, for the most that does: --goal ttft=2s,tpot=50ms"
            )
        if self.trace is not None:
            given = next((name for name in _OF_TRACES if getattr(self, name) is not None), None)
            if given:
                raise InputError(f"--{given}: {_OF_TRACES[given]}: leave it out")
        if self.concurrency is not None and self.seed is not None:
            raise InputError("--seed: users ask when they have their answer, nothing of it is random: leave it out")

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens of a prompt and of an answer."""
        return PROMPT if self.prompt is None else self.prompt, GENERATE if self.generate is None else self.generate

    def demand(self) -> Demand | None:
        """What is asked for; None where only a goal is."""
        if self.trace is not None:
            return of_trace(Path(self.trace))
        if self.concurrency is not None:
            return by_users(self.concurrency, *self.lengths, requests=self.requests, prefix=self.prefix or 0)
        return None if self.rate is None else self.at(self.rate)

    def at(self, rate: float, n: int | None = None) -> Demand:
        """Requests at random, *n* of them where nobody says how many."""
        n = n if self.requests is None else self.requests
        return at_random(rate, *self.lengths, requests=n, prefix=self.prefix or 0, seed=self.seed or 0)

    def largest(
        self, base: Scenario, demand: Demand | None, limits: dict[str, Any], progress: Progress
    ) -> Largest | None:
        """The most that keeps the goal, in what the demand is told in; None without a goal."""
        if self.goal is None:
            return None
        if demand is not None:
            expect_met(self.goal, demand.answers)
        if self.concurrency is not None:
            given = {"prefix": self.prefix or 0, "shown": self.concurrency}
            if self.requests is not None:
                self._refuse_few()
                given["rounds"] = self.requests / self.concurrency
            return largest_concurrency(base, *self.lengths, self.goal, progress=progress, **given, **limits)
        if self.trace is not None:
            if demand.rate is None or len(demand) < self.goal.fewest:
                return None  # of requests that all come at once there is no rate, of few no such share
            return largest_rate_at(site_of(base, demand, **limits), demand, self.goal, demand.load, progress)
        told = {"requests": self.requests, "prefix": self.prefix or 0, "seed": self.seed or 0, "shown": self.rate}
        return largest_rate(base, *self.lengths, self.goal, progress=progress, **told, **limits)

    def _refuse_few(self) -> None:
        """InputError for so few requests that users are hardly at it together."""
        fewest = round(LEAST_ROUNDS * self.concurrency)
        if self.requests < fewest:
            raise InputError(
                f"--requests {self.requests:,}: of {self.concurrency:,} users two each, {fewest:,}, are needed for a goal"
            )


@subcommand("serve", users="--concurrency")
@argument("model", "Name (roofcast list models), YAML, GGUF or config.json.")
@argument("hardware", "Name (roofcast list hardware) or YAML.")
@option("--rate", type=parse_rate, metavar="N/s", help="Requests that come at random: 2/s, 90/min, 100k/day.")
@option(
    "--concurrency", type=whole_number, metavar="USERS", help="Users who ask again as soon as they have their answer."
)
@option("--trace", metavar="FILE", help="A CSV of requests: time (s), prompt, generate; perhaps prefix, prefix_tokens.")
@option("--prompt", type=single_count, metavar="TOKENS", help="Of each request. [default: 1k]")
@option("--generate", type=single_count, metavar="TOKENS", help="Of each answer. [default: 256]")
@option("--prefix", type=single_count, metavar="TOKENS", help="Of each prompt the same: a system prompt. [default: 0]")
@option(
    "--goal",
    metavar="ttft=TIME,tpot=TIME",
    help="What requests are to keep, and the most that does: ttft=2s,tpot=50ms,e2e=30s.",
)
@option("--share", type=number, metavar="PERCENT", help="Of the requests that are to keep it. [default: 99]")
@option(
    "--requests", type=whole_number, metavar="N", help="That are simulated. [default: 2,000; of users 10 each or more]"
)
@option("--seed", type=whole_number, metavar="N", help="Another one, other random times. [default: 0]")
@option("--max-requests", type=whole_number, metavar="N", help="That run at once. [default: as many as memory holds]")
@option("--chunk", type=single_count, metavar="TOKENS", help="Of prompts in a step. [default: the runtime's]")
@option("--weights", help="Format: q4_k_m, fp8, int4-g128, 2.70bpw. [default: what fits]")
@option("--cache", help="Format of the cache: f16, q8_0, fp8. [default: the runtime's]")
@options.runtime
@options.threads
@option("--routing", help="How a batch picks experts: uniform, same, worst, zipf:1.2. [default: uniform]")
@option("--storage", help="Drive from which weights are read that do not fit: nvme, 3.5 (GB/s), auto.")
@option("--sparsity", help="Zero inputs of the linear layers: q-sparse:0.5.")
@options.n_devices
@options.parallel
@split_options
@option("--ram", type=gibibytes, metavar="GIB", help="Memory of the host, or of a CPU. [default: as its file has it]")
@options.json_file
@target(
    "--plot",
    help="Draw batch, queue and cache over time, and FILE-rates or FILE-users: times against load.",
)
def command(
    model: str,
    hardware: str,
    goal: str | None,
    share: float | None,
    max_requests: int | None,
    chunk: int | None,
    weights: str | None,
    json: str | None,
    plot: str | None,
    **more: Any,  # of the demand; cache, runtime, threads ...: as `scenario` takes them; splits
) -> None:
    """Simulate users of a server over time: what they wait for, and how many it carries."""
    texts = {name: more[name] for name in ("trace", "cache", "runtime", "routing", "storage", "sparsity", "parallel")}
    options.refuse_empty({**texts, "goal": goal, "weights": weights, "json": json, "plot": plot})
    options.refuse_both(plot, json)
    if share is not None and goal is None:
        raise InputError("--share: of which goal? give --goal, too, as in --goal ttft=2s,tpot=50ms")
    if more.pop("fit") is not None:
        raise InputError(
            "--fit: a server is placed as one placement has it, leave it out; simulate --fit auto finds splits"
        )
    picture = _picture(plot)
    asked = Asked(
        goal=_goal(goal, share), **{name: more.pop(name) for name in Asked.__dataclass_fields__ if name in more}
    )
    demand = asked.demand()
    longest = demand.longest if demand is not None else sum(asked.lengths)
    more["placement"] = split_asked(more)
    machine = with_own_memory(hardware, more["ram"])
    base = scenario(model, machine, weights=weights, batch=1, context=min(longest, MAX_CONTEXT), **more)
    limits = {"max_requests": max_requests, "chunk": chunk}
    with progress_bar("serve") as progress:
        largest = asked.largest(base, demand, limits, part_of(progress, 0.0, 0.5))
        if demand is None:
            assert largest is not None  # of a goal alone
            demand = asked.at(max(largest.value, LEAST_RATE), len(largest.outcome)) if largest.outcome else None
        served = serve(base, demand, progress=part_of(progress, 0.5, 1.0), **limits) if demand is not None else None
    steady = ""
    if largest is not None and asked.goal is not None and asked.goal.tpot_s is not None:
        names = called(model, [hardware], more["runtime"], more["routing"])
        steady = plan_command(base, asked.goal.tpot_s, min(longest, MAX_CONTEXT), names)
    _report(base, served, largest, asked.goal, json, steady)
    if plot is not None:
        _draw(served, largest, picture, json == "-")


def _goal(text: str | None, share: float | None) -> ServiceGoal | None:
    if text is None:
        return None
    if share is not None and not (1 <= share <= 100 * MOST_SHARE or share == 100):
        raise InputError(
            f"--share {share:.9g}: per cent of the requests are needed, from 1 to {100 * MOST_SHARE:g}, or 100"
        )
    return parse_goal(text, USUAL_SHARE if share is None else share / 100)


def _picture(plot: str | None) -> Path | None:
    """The path of the first picture, checked before anything else is done; None for the terminal, and for none."""
    if plot is None:
        return None
    from simulator.commands.picture import check_path

    return check_path(plot, "--plot")


def _report(
    base: Scenario,
    served: Served | None,
    largest: Largest | None,
    goal: ServiceGoal | None,
    json: str | None,
    steady: str,
) -> None:
    """*steady*: the command that counts the users of a steady batch; empty where there is nothing to count by."""
    if json is not None:
        rows = {} if served is None else {"served": served_record(served, goal)}
        rows |= {} if largest is None else {"largest": largest_record(largest) | {"plan": steady or None}}
        write_json(rows, json)
    if json != "-":
        print_served(base, served, largest, goal, steady)


def _draw(served: Served | None, largest: Largest | None, path: Path | None, quiet: bool) -> None:
    """Both pictures, and a sentence in place of each that there is none of."""
    from simulator.commands.picture import show
    from simulator.report.charts.serve import load_chart, timeline_chart, why_no_loads

    stream = sys.stderr if quiet else sys.stdout
    if served is None:
        print_line(
            "no picture is drawn: no rate keeps the goal, so none was served; with a --rate it is shown", stream=stream
        )
        return
    show(timeline_chart(served), path, quiet)
    with progress_bar("loads") as progress:
        chart = load_chart(served, progress, largest)
    if chart is None:
        left_out = "the picture of what requests wait for, against the load, is left out"
        print_line(f"{left_out}: {why_no_loads(served)}", stream=stream)
        return
    name = "users" if served.demand.users else "rates"
    show(chart, path and path.with_name(f"{path.stem}-{name}{path.suffix}"), quiet)
