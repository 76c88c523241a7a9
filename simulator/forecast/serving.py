"""A server under constant load: seconds to the first token and for each further one, with the prompts of other requests between.

As soon as a request ends the next begins, so that always as many are there. In the mean over time each of B requests that decode
gets a token in every step, and for every token of them all I / O tokens of prompts are read: in the same steps (chunked prefill)
or in steps of their own, for which decoding waits, as the runtime does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from simulator.forecast.decode import cache_bytes_held, decode_ops, streamed_weight_bytes
from simulator.forecast.fit import fixed_bytes, memory_limit
from simulator.forecast.ops import Cost, Op
from simulator.forecast.parallel import spread_ops
from simulator.forecast.roofline import TimedOp, time_messages, time_ops
from simulator.forecast.step import share, threads_of
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
        found = [decode_ops(self.model, load) for load in loads]
        shared = [
            share(self.model, self.hardware, self.runtime, *pair, self.layout)
            for pair in zip(loads, found, strict=True)
        ]
        ops, sent = (_together([each[place] for each in shared]) for place in (0, 1))
        backend, threads = self.runtime.backend(self.hardware), threads_of(self.hardware, self.load)
        streamed = streamed_weight_bytes(self.model, loads[0])
        timed = time_ops(ops, self.hardware, backend, threads, streamed, streamed)
        return (*timed, *time_messages(sent, self.hardware, self.runtime))

    def step_seconds(self, *loads: Workload) -> float:
        """Seconds of such a step."""
        figure = self.runtime.backend(self.hardware).step_us
        overhead_s = figure.value * MICRO if figure else 0.0
        return float(overhead_s + sum(timed.op.count * timed.seconds for timed in self.timed(*loads)))

    def most_requests(self, tokens: float) -> int:
        """So many requests' caches of *tokens* each fit beside the weights."""
        one = replace(self.load, batch=1, context=round(tokens), tokens=1)
        held = float(cache_bytes_held(self.model, one, self.layout.tensor))
        fixed = fixed_bytes(self.model, self.load, self.runtime, self.hardware) + self._repeated_bytes
        return max(0, int((memory_limit(self.hardware, self.runtime) - fixed) / held)) if held else MAX_BATCH

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
    middle = traffic.input_tokens + traffic.output_tokens / 2
    most = server.most_requests(middle)
    if most < 1:
        return Served(0, *(4 * [float("nan")]), is_full=True)
    batch = min(traffic.concurrency, most)
    for _ in range(3):  # requests whose prompt is being read do not decode; three rounds settle it to a request
        found = _steady(server, traffic, batch)
        in_service = min(traffic.concurrency, most)
        decoding_s, reading_s = traffic.output_tokens * found.seconds_per_token, found.prompt_s
        settled = max(1, round(in_service * decoding_s / (decoding_s + reading_s)))
        if settled == batch:
            break
        batch = settled
    waiting = max(0, traffic.concurrency - most)
    first_s = found.seconds_to_first + _start_s(found, min(traffic.concurrency, most))
    # Whoever finds no place waits until as many others have ended as stand before.
    first_s += waiting * (traffic.output_tokens * found.seconds_per_token + found.prompt_s) / most
    return replace(found, seconds_to_first=first_s, is_full=waiting > 0)


def _steady(server: Server, traffic: Traffic, batch: int) -> Served:
    serving, middle = server.runtime.serving, traffic.input_tokens + traffic.output_tokens // 2
    room = serving.chunk_tokens - batch if serving.mixes_prompts else serving.chunk_tokens
    n_chunks = -(-traffic.input_tokens // max(room, 1))
    tokens = -(-traffic.input_tokens // n_chunks)
    decode = replace(server.load, batch=batch, context=middle, tokens=1)
    prompt = replace(server.load, batch=1, context=(traffic.input_tokens - tokens) // 2, tokens=tokens)
    step_s = server.step_seconds(decode)
    together = (decode, prompt) if serving.mixes_prompts else (prompt,)
    chunk_s = server.step_seconds(*together)
    longer_s = n_chunks * (chunk_s - step_s if serving.mixes_prompts else chunk_s)
    token_s = step_s + batch * longer_s / traffic.output_tokens
    busy = min(MOST_BUSY, batch * longer_s / (traffic.output_tokens * token_s))
    # On its way, until the step under way has ended, until prompts that came before are read, and the prompt itself.
    request_s = serving.request_ms.value * MILLI if serving.request_ms else 0.0
    first_s = request_s + step_s / 2 + busy / (1 - busy) * longer_s / 2 + n_chunks * chunk_s
    return Served(batch, step_s, longer_s, token_s, first_s, is_full=False)


def _start_s(found: Served, n_requests: int) -> float:
    """What the first request of each user, all at once, waits for the others: half of their prompts, of one request in ten."""
    return found.prompt_s * n_requests / 2 / REQUESTS_PER_USER


def _together(found: Sequence[Sequence[Op]]) -> tuple[Op, ...]:
    """Operations of steps that are done as one: weights are read once, all else adds up."""
    return tuple(_one(equal) for equal in zip(*found, strict=True))


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
        weight_bytes=max(each.weight_bytes for each in costs),  # of experts: those of a prompt hold nearly all others'
    )
    return replace(first, cost=cost, sharers=sum(op.sharers for op in ops), work=sum((op.work for op in ops), ()))
