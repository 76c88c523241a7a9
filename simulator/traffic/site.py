"""A server made ready for some demand: its step times worked out, its cache measured, its rules known; then as many runs as wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import signature

import numpy as np

from simulator.errors import InputError
from simulator.forecast.request import micro_batch_of
from simulator.forecast.scenario import Scenario, expect_scenario, usual_formats
from simulator.forecast.server_steps import Server
from simulator.forecast.splits import with_usual_host
from simulator.progress import Progress
from simulator.spec.arguments import whole
from simulator.spec.names import listed
from simulator.spec.serving import MAX_CHUNK, MAX_USERS, Scheduling, Told
from simulator.traffic.budget import expect_reads
from simulator.traffic.cache import Room, endless, room_of_scenario, room_of_server
from simulator.traffic.demand import Demand, expect_demand
from simulator.traffic.outcome import Outcome, Sums
from simulator.traffic.simulation import Server as Process
from simulator.traffic.step_tables import Extent, StepTables, tables_of_scenario, tables_of_server
from simulator.traffic.ticks import TICKS_PER_S, StepTicks
from simulator.units import format_gib


def silent(_share: float, _what: str) -> None:
    """Nobody waits at a terminal."""


def expect_limits(max_requests: int | None, chunk: int | None, progress: Progress) -> None:
    """InputError for what a server cannot be told, before anything is worked out."""
    if max_requests is not None:
        whole("max_requests", max_requests, 1, MAX_USERS)
    if chunk is not None:
        whole("chunk", chunk, 1, MAX_CHUNK)
    try:
        signature(progress).bind(0.0, "")
    except (TypeError, ValueError):
        raise InputError("progress must be a function of the share that is done and of what is being done") from None


@dataclass(frozen=True)
class Site:
    """What a run needs beside the demand."""

    tables: StepTables
    room: Room
    rules: Scheduling
    reserves: bool  # whether a request is let in only where the cache has room for its whole answer
    request_s: float  # of each request, outside the steps
    base: Scenario | None = None
    is_server: bool = True  # whose steps are fitted to measurements, with prompts and decoding in one

    def run(self, demand: Demand, progress: Progress = silent, *, one_by_one: bool = False) -> Outcome:
        """What comes of it; InputError where a request is longer than the cache, or there is too much to do."""
        self.expect_room(demand)
        import simpy  # which nobody waits for who asks for a forecast

        env = simpy.Environment(initial_time=0)
        process = Process(env, demand, StepTicks(self.tables), self.room, self.rules, self.reserves, progress)
        process.one_by_one = one_by_one
        env.run(until=process.process)
        return self._outcome(process, demand)

    def step_s(self, n_requests: int, depth: int) -> float:
        """Seconds of a step in which so many decode, each with so many tokens in its cache."""
        cached = n_requests * depth
        return StepTicks(self.tables).piece(n_requests, cached).together(n_requests, cached, 1) / TICKS_PER_S

    def prompt_s(self, n_tokens: int) -> float:
        """Seconds of a step that reads a prompt, and nothing else."""
        return StepTicks(self.tables).reading(0, 0, [(n_tokens, 0)]) / TICKS_PER_S

    def slower(self, decode: float, prompt: float) -> Site:
        """Where steps take so many times as long."""
        return replace(self, tables=self.tables.scaled(decode, prompt))

    def with_endless_memory(self) -> Site:
        """With a cache that is never full."""
        return replace(self, room=endless(self.room))

    def most_at_once(self, demand: Demand) -> int:
        """Requests that run together at most."""
        return _most(self.room, self.rules, demand)

    def expect_room(self, demand: Demand) -> None:
        """InputError where a request does not fit, or all together are read in too many steps."""
        expect_demand(demand)
        pairs = set(zip(demand.prompts, demand.answers, strict=True))
        prompt, answer = max(pairs, key=sum)
        if self.room.pages_of(prompt + answer) > self.room.pages:
            most = (self.room.pages - self.room.request_pages) * self.room.page_tokens
            holds = f"holds {max(0, most):,} tokens" if self.room.is_growing else "holds no request"
            raise InputError(
                f"a request of {prompt:,} + {answer:,} tokens does not fit in the cache, which {holds} beside the weights: take a "
                "smaller format, a shorter request or more memory"
            )
        expect_reads(demand, self.rules)

    def _outcome(self, process: Process, demand: Demand) -> Outcome:
        requests, tally = process.requests, process.tally
        columns = np.array(
            [
                (each.asked, each.let_in, each.first, each.ended, each.n_prompt, each.n_answer, each.hit, each.put_back)
                for each in requests
            ],
            dtype=object,
        ).T
        asked_s, let_in_s, first_s, ended_s = ((each / TICKS_PER_S).astype(float) for each in columns[:4])
        prompts, answers, hits, put_back = (each.astype(np.int64) for each in columns[4:])
        line = np.array(tally.line, dtype=float).T / np.array([[TICKS_PER_S], [1], [self.room.pages]])
        waits_s = np.array([
            np.concatenate([asked_s, np.array(tally.out, dtype=object).astype(float) / TICKS_PER_S]),
            np.concatenate([let_in_s, np.array(tally.again, dtype=object).astype(float) / TICKS_PER_S]),
        ])  # fmt: skip
        sums = _sums(process, self.room, waits_s)
        bound = ""
        if self.base is not None:
            depth = int(np.mean(prompts + answers / 2))
            bound = str(self.base.at(max(1, round(sums.mean_batch / max(_busy(sums), 1e-9))), depth).bound)
        return Outcome(
            asked_s,
            let_in_s,
            waits_s,
            first_s + self.request_s,
            ended_s + self.request_s,
            prompts,
            answers,
            hits,
            put_back,
            demand.users,
            sums,
            line,
            bound,
        )


def site_of(
    base: Scenario,
    demand: Demand,
    *,
    max_requests: int | None = None,
    chunk: int | None = None,
    most: int | None = None,
) -> Site:
    """A server of a scenario, for a demand.

    Args:
        max_requests: that it runs at once; None: as many as its memory holds, or its runtime takes.
        chunk: tokens of prompts in a step; None: the runtime's own.
        most: requests at once for which step times are needed, where another demand will be run; None: as this one has.

    InputError where the weights leave no memory for a cache, or an argument is wrong.
    """
    expect_scenario(base)
    expect_demand(demand)
    told = Told(
        chunk_tokens=micro_batch_of(base.runtime) if chunk is None else whole("chunk", chunk, 1, MAX_CHUNK),
        max_requests=None if max_requests is None else whole("max_requests", max_requests, 1, MAX_USERS),
    )
    _refuse_unfit(base)
    return _made(base, base.runtime.serving.scheduling(told, base.hardware.layout.data), demand, most)


def remade(site: Site, demand: Demand) -> Site:
    """A server as `site_of` made it with step times for another demand; itself where they do not come from a scenario."""
    return site if site.base is None else _made(site.base, site.rules, demand, None)


def _made(base: Scenario, rules: Scheduling, demand: Demand, most: int | None) -> Site:
    is_server = base.runtime.serving.is_fitted and base.placement is None and base.hardware.reads_from is None
    if is_server:
        server = Server(base.loaded.model, base.hardware, base.runtime, base.load, base.hardware.layout)
        return replace(site_of_server(server, rules, demand, most), base=base)
    room = room_of_scenario(base, demand.longest)
    extent = _extent(room, rules, demand, most)
    return Site(tables_of_scenario(base, extent), room, rules, True, base.runtime.serving.request_s, base, False)


def site_of_server(server: Server, rules: Scheduling, demand: Demand, most: int | None = None) -> Site:
    """A server whose steps are fitted to measurements."""
    room = room_of_server(server, demand.longest)
    extent = _extent(room, rules, demand, most)
    serving = server.runtime.serving
    return Site(tables_of_server(server, extent, rules), room, rules, serving.reserves_answers, serving.request_s)


def _refuse_unfit(base: Scenario) -> None:
    if base.fits(1, 1):
        return
    held, limit = format_gib(float(base.memory_bytes(1, 1))), format_gib(base.memory_limit_bytes)
    model = base.loaded.model.name
    smaller = _that_fits(base)
    remedies = [f"fewer bits (--weights {smaller})"] if smaller else []
    with_host = with_usual_host(base)
    remedies += [f"a host's memory beside it ({with_host})"] if with_host else []
    remedies.append(f"another machine (roofcast plan {'MODEL' if base.loaded.is_own else model} --any)")
    raise InputError(
        f"{model} in {base.load.weights.name} does not fit: it needs {held} of {limit}; take {listed(remedies)}"
    )


def _that_fits(base: Scenario) -> str | None:
    """The format of most bits, of those that people use, in which it fits."""
    for weights in reversed(usual_formats(base)):
        try:
            if base.in_weights(weights).fits(1, 1):
                return weights.name
        except InputError:  # no such file can be made of this model
            continue
    return None


def _most(room: Room, rules: Scheduling, demand: Demand) -> int:
    smallest = min(map(sum, zip(demand.prompts, demand.answers, strict=True)))
    by_memory = room.pages // max(1, room.pages_of(min(smallest, min(demand.prompts) + 1)))
    return max(1, min(by_memory, rules.max_requests or by_memory, demand.users or len(demand), len(demand)))


def _extent(room: Room, rules: Scheduling, demand: Demand, most: int | None) -> Extent:
    lengths = {each for each in set(demand.prompts) if len(set(demand.prompts)) <= 4}
    chunk = rules.chunk_tokens * rules.groups
    often = {part for each in lengths for part in (min(each, chunk), each % chunk)}
    return Extent(
        most_requests=max(_most(room, rules, demand), min(most or 1, room.pages)),
        shallow=min(demand.prompts),
        deep=demand.longest,
        chunk=chunk if rules.splits_prompts else max(chunk, max(demand.prompts)),
        longest=demand.longest,
        usual=round(sum(demand.prompts) / len(demand)),
        also=tuple(sorted(often)),
    )


def _busy(sums: Sums) -> float:
    return (sums.reading_s + sums.decoding_s) / sums.seconds


def _sums(process: Process, room: Room, waits_s: np.ndarray) -> Sums:
    tally = process.tally
    whole_ticks = max(tally.now[0], 1)
    begun_s, ended_s = waits_s
    changes = np.concatenate([ended_s, begun_s])
    counts = np.repeat([-1, 1], len(begun_s))[np.argsort(changes, kind="stable")]  # who is let in at once never waits
    return Sums(
        seconds=whole_ticks / TICKS_PER_S,
        reading_s=tally.reading / TICKS_PER_S,
        decoding_s=tally.decoding / TICKS_PER_S,
        no_page_s=tally.no_page / TICKS_PER_S,
        no_place_s=tally.no_place / TICKS_PER_S,
        mean_batch=tally.batch / whole_ticks,
        peak_batch=tally.peak_batch,
        mean_queue=float(np.sum(np.sort(ended_s) - np.sort(begun_s))) * TICKS_PER_S / whole_ticks,
        peak_queue=max(0, int(np.max(np.cumsum(counts)))),
        mean_cache=tally.cache / whole_ticks / room.pages,
        peak_cache=process.cache.peak / room.pages,
        n_steps=tally.n_steps,
        stretches=process.budget.spent,
        put_back=tally.put_back,
    )
