"""A server's steps: seconds of those that decode, and of those that read prompts, alone or while others decode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np

from simulator.forecast.closed_loop import StepSeconds
from simulator.forecast.decode import cache_bytes_held, decode_ops, streamed_weight_bytes
from simulator.forecast.fit import fixed_bytes, memory_limit
from simulator.forecast.ops import Cost, Op
from simulator.forecast.parallel import spread_ops
from simulator.forecast.roofline import TimedOp, time_messages, time_ops
from simulator.forecast.step import share, threads_of
from simulator.spec.cache_rules import CacheRules
from simulator.spec.hardware import Hardware
from simulator.spec.layers.ffn import Experts
from simulator.spec.layout import Layout
from simulator.spec.model import Model
from simulator.spec.runtime import Runtime
from simulator.spec.serving import Scheduling, Serving, Traffic
from simulator.spec.workload import MAX_BATCH, Workload
from simulator.units import MICRO

PARTS = (8, 1)  # of a prompt, that steps read, beside a single token
FURTHER = 4  # times as many tokens of prompts, again and again, until a step has no room


@dataclass(frozen=True)
class Took:
    """What a step takes, each a number or an array."""

    device_s: Any  # its operations
    beside_s: Any  # their beginnings, what devices tell each other, the runtime
    n_operations: float  # begun by the host, where the step is no CUDA graph

    def at(self, place: int) -> Took:
        """One of a grid's steps."""
        return Took(*(each if np.ndim(each) == 0 else each[place] for each in vars(self).values()))


NOTHING = Took(0.0, 0.0, 0.0)


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

    def took(self, *loads: Workload) -> Took:
        """Such a step, at each point of the grid of *loads*."""
        return self._sum(self.timed(*loads), loads)

    def took_with_and_without_caches(self, *loads: Workload) -> tuple[Took, Took]:
        """The same, and without what reads and writes caches."""
        timed = self.timed(*loads)
        return self._sum(timed, loads), self._sum([each for each in timed if each.op.part != "cache"], loads)

    def _sum(self, timed: Sequence[TimedOp], loads: Sequence[Workload]) -> Took:
        backend = self.runtime.backend(self.hardware)
        whole_s = sum(each.op.count * each.seconds for each in timed)
        beside_s = sum(each.op.count * (each.overhead_s + each.link_s) for each in timed)
        step_s = backend.step_us.value * MICRO if backend.step_us else 0.0
        if backend.kernels:
            step_s = step_s + backend.kernels.sequence_s * loads[0].batch
        return Took(whole_s - beside_s, beside_s + step_s, sum(each.op.count * each.op.launches for each in timed))

    def step_seconds(self, *loads: Workload):
        """Seconds of a step that does all of *loads*, if it is a CUDA graph."""
        took = self.took(*loads)
        return took.device_s + took.beside_s

    def most_requests(self, tokens: np.ndarray) -> np.ndarray:
        """So many requests' caches of *tokens* each fit beside the weights."""
        return np.minimum(self.room_bytes // self.held_bytes(tokens), MAX_BATCH).astype(np.int64)

    def held_bytes(self, tokens: Any) -> Any:
        """Bytes of one request's cache of so many tokens, at least 1."""
        one = replace(self.load, batch=1, context=tokens, tokens=1)
        return np.maximum(cache_bytes_held(self.model, one, self._rules, self.layout.tensor), 1.0)

    @cached_property
    def room_bytes(self) -> float:
        """What memory leaves for caches beside the weights."""
        fixed = fixed_bytes(self.model, self.load, self.runtime, self.hardware) + self._repeated_bytes
        return max(0.0, memory_limit(self.hardware, self.runtime) - fixed)

    @cached_property
    def weights(self) -> str:
        """The format of most of its weights."""
        return max(self._ops, key=lambda op: float(op.count * op.cost.weight_bytes / op.touched)).format.name

    @property
    def n_expert_layers(self) -> int:
        """Layers of experts."""
        return sum(isinstance(layer.ffn, Experts) for layer in self.model.stack)

    @cached_property
    def _ops(self) -> list[Op]:
        return decode_ops(self.model, self.load)

    @cached_property
    def _rules(self) -> CacheRules:
        return self.runtime.cache_rules.on(self.hardware)

    @cached_property
    def _repeated_bytes(self) -> float:
        """Bytes of weights that lie on more than one device."""
        ops = [op for op in self._ops if op.part != "experts"]
        spread = spread_ops(ops, self.layout, self.runtime)
        pairs = zip(spread, ops, strict=True)
        return float(sum(more.count * (more.cost.weight_bytes - one.cost.weight_bytes) for more, one in pairs))


@dataclass(frozen=True)
class StepParts:
    """What steps of a server take under one traffic."""

    weights: str  # the format of most of them
    n_expert_layers: int
    decode: tuple[list[float], list[float]]  # as StepSeconds has them
    users: int  # that decode beside a prompt
    tokens: Sequence[int]  # of prompts
    alone: Sequence[Took]
    mixed: Sequence[Took] | None  # None: prompts are read in steps of their own
    plain: Took  # a step of all users, without prompts

    def seconds(self, serving: Serving, graph_tokens: int) -> StepSeconds:
        """Seconds of such steps, of which those with more than *graph_tokens* are no CUDA graph."""
        alone = [self._reading_s(each, n, NOTHING, serving, graph_tokens) for each, n in self._pairs(self.alone)]
        beside = alone
        if self.mixed:
            beside = [
                self._reading_s(each, n + self.users, self.plain, serving, graph_tokens)
                for each, n in self._pairs(self.mixed)
            ]
        return StepSeconds(*self.decode, self.tokens, alone, beside)

    def _pairs(self, took: Sequence[Took]):
        return zip(took, self.tokens, strict=True)

    def _reading_s(self, took: Took, n_tokens: int, plain: Took, serving: Serving, graph_tokens: int) -> float:
        """Seconds of a step of so many tokens in all; *plain*: the part of it that decodes, and takes no longer than by itself."""
        device_s = (
            plain.device_s + serving.prompt_scale(self.weights) * (took.device_s - plain.device_s) + took.beside_s
        )
        if n_tokens <= graph_tokens:
            return float(device_s)
        return float(device_s + serving.host_s(took.n_operations, self.n_expert_layers))


def step_parts(server: Server, ruled: Mapping[Traffic, Scheduling]) -> dict[Traffic, StepParts]:
    """What steps take under each of some traffics, which have prompts of equal length."""
    if not ruled:
        return {}
    traffics = list(ruled)
    n_input = traffics[0].mean_input
    most = [min(each.concurrency, rules.max_requests or each.concurrency) for each, rules in ruled.items()]
    decode = _decode_tables(server, n_input, [each.mean_output for each in traffics], most)
    tokens = token_counts(n_input, max(each.chunk_tokens * each.groups for each in ruled.values()), max(most))
    depths = np.array([n_input + each.mean_output // 2 for each in traffics])
    beside, prompts = (
        replace(server.load, batch=np.array(most), context=depths, tokens=1),
        [_prompts(server.load, n_input, n) for n in tokens],
    )
    alone, plain = [server.took(each) for each in prompts], server.took(beside)
    mixes = server.runtime.serving.mixes_prompts
    mixed = [server.took(beside, each) for each in prompts] if mixes else None
    return {
        each: StepParts(
            server.weights,
            server.n_expert_layers,
            decode[place],
            most[place],
            tokens,
            alone,
            mixed and [one.at(place) for one in mixed],
            plain.at(place),
        )
        for place, each in enumerate(traffics)
    }


def token_counts(n_input: int, room: int, users: int) -> list[int]:
    """Tokens of prompts in a step, from a single one to as many as a step has room for."""
    counts = [1, *(max(1, n_input // part) for part in PARTS)]
    while counts[-1] < min(room, n_input * users):
        counts.append(counts[-1] * FURTHER)
    return sorted(set(counts))


def _prompts(load: Workload, n_input: int, n_tokens: int) -> Workload:
    """A step that reads so many tokens of prompts: some whole ones, or the middle of one."""
    if n_tokens >= n_input:
        return replace(load, batch=n_tokens // n_input, context=0, tokens=n_input)
    return replace(load, batch=1, context=(n_input - n_tokens) // 2, tokens=n_tokens)


def _decode_tables(
    server: Server, n_input: int, n_outputs: Sequence[int], most: Sequence[int]
) -> list[tuple[list[float], list[float]]]:
    """For each of some traffics, by requests that decode: seconds with empty caches, and for each cached token of one more.

    Of models whose steps grow in proportion to what is cached that is exact, of others between the begin and the end of an answer.
    """
    batches = np.unique(np.minimum(max(most), 2 ** np.arange(max(most).bit_length() + 1)))
    ends = np.unique([n_input + each for each in n_outputs])
    depths = np.concatenate([[n_input], ends])
    grid = replace(server.load, batch=batches[:, None], context=depths[None, :], tokens=1)
    seconds = np.broadcast_to(server.step_seconds(grid), (len(batches), len(depths)))
    found = []
    for n_output, users in zip(n_outputs, most, strict=True):
        slope = (seconds[:, 1 + int(np.searchsorted(ends, n_input + n_output))] - seconds[:, 0]) / n_output
        counts = np.arange(users + 1)
        tables = (np.interp(counts, batches, each) for each in (seconds[:, 0] - slope * n_input, slope))
        found.append(tuple(each.tolist() for each in tables))
    return found


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
