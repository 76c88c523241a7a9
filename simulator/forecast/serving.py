"""A server under constant load: seconds to the first token and for each further one, with the prompts of other requests between.

As soon as a request ends the next begins, so that always as many are there. In the mean over time each of B requests that decode
gets a token in every step, and for every token of them all I / O tokens of prompts are read: in the same steps (chunked prefill)
or in steps of their own, for which decoding waits, as the runtime does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np

from simulator.forecast.closed_loop import StepSeconds, observe
from simulator.forecast.decode import cache_bytes_held, decode_ops, streamed_weight_bytes
from simulator.forecast.fit import fixed_bytes, memory_limit
from simulator.forecast.ops import Cost, Op
from simulator.forecast.parallel import spread_ops
from simulator.forecast.roofline import TimedOp, time_messages, time_ops
from simulator.forecast.step import share, threads_of
from simulator.spec.cache_rules import CacheRules
from simulator.spec.hardware import Hardware
from simulator.spec.layout import Layout
from simulator.spec.model import Model
from simulator.spec.runtime import Runtime
from simulator.spec.serving import Traffic
from simulator.spec.workload import MAX_BATCH, Workload
from simulator.units import MICRO, MILLI

REQUESTS_PER_USER = (
    10  # of a benchmark that starts with all users at once: InferenceMAX sends CONC * 10 prompts (benchmark_lib.sh)
)
MOST_BUSY = 0.95  # share of the time that is counted as taken by prompts when another one comes


@dataclass(frozen=True)
class Server:
    """A model on devices under a runtime, laid out among them; *load* has formats and routing, not batch and context."""

    model: Model
    hardware: Hardware
    runtime: Runtime
    load: Workload
    layout: Layout

    def timed(self, *loads: Workload) -> tuple[TimedOp, ...]:
        """The operations of one step that does all of *loads*, which read each weight once."""
        found = [[_sharing(op, load) for op in decode_ops(self.model, load, self._rules)] for load in loads]
        shared = [
            share(self.model, self.hardware, self.runtime, *pair, self.layout)
            for pair in zip(loads, found, strict=True)
        ]
        ops, sent = (_together([each[place] for each in shared]) for place in (0, 1))
        backend, threads = self.runtime.backend(self.hardware), threads_of(self.hardware, self.load)
        streamed = streamed_weight_bytes(self.model, loads[0])
        timed = time_ops(ops, self.hardware, backend, threads, streamed, streamed)
        return (*timed, *time_messages(sent, self.hardware, self.runtime))

    def step_seconds(self, *loads: Workload):
        """Seconds of such a step, of each point of their grid."""
        backend = self.runtime.backend(self.hardware)
        overhead_s = backend.step_us.value * MICRO if backend.step_us else 0.0
        if backend.kernels:
            overhead_s = overhead_s + backend.kernels.sequence_s * loads[0].batch
        return overhead_s + sum(timed.op.count * timed.seconds for timed in self.timed(*loads))

    def most_requests(self, tokens: np.ndarray) -> np.ndarray:
        """So many requests' caches of *tokens* each fit beside the weights."""
        one = replace(self.load, batch=1, context=tokens, tokens=1)
        held = np.maximum(cache_bytes_held(self.model, one, self._rules, self.layout.tensor), 1.0)
        fixed = fixed_bytes(self.model, self.load, self.runtime, self.hardware) + self._repeated_bytes
        room = max(0.0, memory_limit(self.hardware, self.runtime) - fixed)
        return np.minimum(room // held, MAX_BATCH).astype(np.int64)

    @cached_property
    def _rules(self) -> CacheRules:
        return self.runtime.cache_rules.on(self.hardware)

    @cached_property
    def _repeated_bytes(self) -> float:
        """Bytes of weights that lie on more than one device."""
        ops = [op for op in decode_ops(self.model, self.load) if op.part != "experts"]
        spread = spread_ops(ops, self.layout, self.runtime)
        pairs = zip(spread, ops, strict=True)
        return float(sum(more.count * (more.cost.weight_bytes - one.cost.weight_bytes) for more, one in pairs))


@dataclass(frozen=True)
class Served:
    """What a server gives under such a traffic."""

    batch: int  # requests that decode at once
    step_s: float  # of a step without prompts
    prompt_s: float  # by which a prompt makes its steps longer, or for which decoding waits
    seconds_per_token: float
    seconds_to_first: float
    is_full: bool  # whether more requests are there than fit in memory


def serve(server: Server, traffic: Traffic) -> Served:
    """Seconds per token and to the first one, in the mean over requests; NaN where not one request fits in memory."""
    return serve_all(server, [traffic])[0]


def serve_all(server: Server, traffics: Sequence[Traffic]) -> list[Served]:
    """The same of many, those with prompts of equal length at once."""
    found: dict[Traffic, Served] = {}
    for n_input in dict.fromkeys(each.input_tokens for each in traffics):
        equal = list(dict.fromkeys(each for each in traffics if each.input_tokens == n_input))
        found.update(zip(equal, _serve_equal(server, equal), strict=True))
    return [found[each] for each in traffics]


def _serve_equal(server: Server, traffics: list[Traffic]) -> list[Served]:
    return [_serve_one(server, each) for each in traffics]


def _serve_one(server: Server, traffic: Traffic) -> Served:
    serving = server.runtime.serving
    rules = serving.scheduling(traffic.told, server.layout.data)
    mean = (1 + traffic.least_share) / 2
    n_input, n_output = max(1, round(mean * traffic.input_tokens)), max(2, round(mean * traffic.output_tokens))
    most = int(server.most_requests(np.array([n_input + n_output // 2]))[0])
    if most < 1:
        return Served(0, *([float("nan")] * 4), is_full=True)
    limit = min(most, rules.max_requests or most)
    rules = replace(rules, max_requests=limit if limit < traffic.concurrency else None)
    seconds = step_seconds_of(server, n_input, n_output, min(traffic.concurrency, limit), rules)
    seen = observe(_lengths(traffic), traffic.concurrency, seconds, rules)
    request_s = serving.request_ms.value * MILLI if serving.request_ms else 0.0
    n = min(traffic.concurrency, limit)
    step_s = seconds.decoding(n, n * (n_input + n_output / 2), 1)
    prompt_s = seconds.reading(0, n_input)
    return Served(max(1, round(seen.n_decoding)), step_s, prompt_s, seen.token_s, seen.first_s + request_s, traffic.concurrency > limit)


def _lengths(traffic: Traffic) -> list[tuple[int, int]]:
    """Of all requests, spread evenly between the least and the most, in no order (Roberts' R2 sequence)."""
    least = traffic.least_share

    def length(most: int, part: float, lowest: int) -> int:
        return max(lowest, round(most * (least + (1 - least) * part)))

    return [
        (length(traffic.input_tokens, (0.5 + n * 0.7548776662466927) % 1, 1), length(traffic.output_tokens, (0.5 + n * 0.5698402909980532) % 1, 2))
        for n in range(traffic.concurrency * traffic.requests_each)
    ]


SCALE=1.0
EAGER=0.0
def step_seconds_of(server: Server, n_input: int, n_output: int, users: int, rules) -> StepSeconds:
    load = server.load
    grid = np.unique(np.minimum(users, 2 ** np.arange(0, 21)))
    low, high = (server.step_seconds(replace(load, batch=grid, context=c, tokens=1)) for c in (n_input, n_input + n_output))
    slope = (high - low) / n_output
    batches = np.arange(users + 1)
    decode = np.interp(batches, grid, low - slope * n_input)
    per = np.interp(batches, grid, slope)
    most = rules.chunk_tokens * rules.groups
    sizes = [n for n in (max(1, n_input // 16), max(1,n_input // 4), n_input) if n <= most]
    sizes = sizes if sizes and sizes[-1] == n_input else [*sizes, most]
    n = n_input
    while n * 2 <= 2 * most and n<= most and n < n_input * users:
        n *= 2
        sizes.append(n)
    sizes = sorted(set(sizes))
    alone, beside = [], []
    decode_load = replace(load, batch=users, context=n_input + n_output // 2, tokens=1)
    n_launch=None
    for n in sizes:
        if n <= n_input:
            prompt = replace(load, batch=1, tokens=int(n), context=int((n_input - n) // 2))
        else:
            prompt = replace(load, batch=int(round(n / n_input)), tokens=int(n_input), context=0)
        for where, loads in ((alone, (prompt,)), (beside, (decode_load, prompt) if rules.mixes_prompts else (prompt,))):
            s = float(server.step_seconds(*loads))
            where.append(s)
        if n_launch is None: n_launch=sum(o.op.count*o.op.launches for o in server.timed(prompt))
    alone=[max(a*SCALE, EAGER*n_launch if n>rules.graph_tokens else 0) for n,a in zip(sizes,alone)]
    beside=[max(a*SCALE, EAGER*n_launch if n+users>rules.graph_tokens else 0) for n,a in zip(sizes,beside)]
    return StepSeconds(decode.tolist(), per.tolist(), [int(n) for n in sizes], alone, beside)


def _sharing(op: Op, load: Workload) -> Op:
    """Attention as servers' kernels do it: all tokens of a prompt share the keys, and all heads a latent."""
    if op.part != "cache" or not op.work:
        return op
    heads = op.work[0].items / load.new_tokens
    return replace(op, sharers=load.tokens * heads) if op.pieces == 1 else op


def _together(found: Sequence[Sequence[Op]]) -> tuple[Op, ...]:
    """Operations of steps that are done as one: weights are read once, all else adds up; attention is that of each."""
    return tuple(
        op for equal in zip(*found, strict=True) for op in (equal if equal[0].part == "cache" else [_one(equal)])
    )


def _one(ops: tuple[Op, ...]) -> Op:
    first = ops[0]
    if len(ops) == 1:
        return first
    if first.message is not None:
        n_bytes = sum(op.message.n_bytes for op in ops if op.message is not None)
        return replace(first, message=replace(first.message, n_bytes=n_bytes))
    costs = [op.cost for op in ops]
    cost = replace(
        sum(costs, Cost()),
        # Of experts those of a prompt hold nearly all others.
        weight_bytes=reduce(np.maximum, (each.weight_bytes for each in costs)),
    )
    return replace(first, cost=cost, sharers=sum(op.sharers for op in ops), work=sum((op.work for op in ops), ()))
