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
    n_input = traffics[0].input_tokens
    users, n_output = (
        np.array(each) for each in zip(*((t.concurrency, t.output_tokens) for t in traffics), strict=True)
    )
    most = server.most_requests(n_input + n_output // 2)
    served = np.minimum(users, np.maximum(most, 1))
    batch = served
    for _ in range(2):  # requests whose prompt is being read do not decode
        step_s, prompt_s, token_s, first_s = _steady(server, n_input, n_output, batch)
        batch = np.maximum(1, np.rint(served * n_output * token_s / (n_output * token_s + prompt_s))).astype(np.int64)
    # At the start, with all users at once, one waits for half of the others' prompts, of one request in ten.
    first_s = first_s + prompt_s * served / 2 / REQUESTS_PER_USER
    # Whoever finds no place waits until as many others have ended as stand before.
    first_s = first_s + (users - served) * (n_output * token_s + prompt_s) / served
    columns = [np.where(most > 0, each, np.nan) for each in (step_s, prompt_s, token_s, first_s)]
    return [
        Served(int(n), *map(float, seconds), is_full=bool(full))
        for n, *seconds, full in zip(np.where(most > 0, batch, 0), *columns, users > most, strict=True)
    ]


def _steady(server: Server, n_input: int, n_output: np.ndarray, batch: np.ndarray):
    """Seconds of a step without prompts, by which a prompt adds to its steps, per token, and to the first one."""
    serving, load = server.runtime.serving, server.load
    room = serving.chunk_tokens - int(np.min(batch)) if serving.mixes_prompts else serving.chunk_tokens
    n_chunks = -(-n_input // max(room, 1))
    tokens = -(-n_input // n_chunks)
    decode = replace(load, batch=batch, context=n_input + n_output // 2, tokens=1)
    prompt = replace(load, batch=1, context=(n_input - tokens) // 2, tokens=tokens)
    step_s = server.step_seconds(decode)
    chunk_s = server.step_seconds(*((decode, prompt) if serving.mixes_prompts else (prompt,)))
    prompt_s = n_chunks * (chunk_s - step_s if serving.mixes_prompts else chunk_s)
    token_s = step_s + batch * prompt_s / n_output
    busy = np.minimum(MOST_BUSY, batch * prompt_s / (n_output * token_s))
    request_s = serving.request_ms.value * MILLI if serving.request_ms else 0.0
    # On its way, until the step under way has ended, until prompts that came before are read, and the prompt itself.
    first_s = request_s + step_s / 2 + busy / (1 - busy) * prompt_s / 2 + n_chunks * chunk_s
    return step_s, prompt_s, token_s, first_s


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
