"""What a server's steps take, worked out before any is simulated: arrays over requests that decode, tokens of prompts, and depths.

Of a server whose steps were fitted to measurements, prompts and decoding share a step's matrices, as `forecast/server_steps.py` times
them. Of any other machine (layers in RAM, several GPUs with other layers each, storage) a prompt's pass is one of its own, as
`simulate --prompt` has it, and a step that does both takes the sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.forecast.request import Request, forecast_request
from simulator.forecast.scenario import Scenario
from simulator.forecast.server_steps import Server, token_counts
from simulator.forecast.step import time_step
from simulator.spec.serving import Scheduling
from simulator.spec.workload import MAX_CONTEXT

NODES_TO_TWICE = 2  # of a grid, from a number to twice as much: between them it is linear
FEWEST_DEPTHS = 9


@dataclass(frozen=True)
class StepTables:
    """Seconds of steps. A step that reads prompts takes `linear_s` of all their tokens, and `attention_s` of each prompt."""

    counts: np.ndarray  # (counts,) requests that decode, ascending from 1
    depths: np.ndarray  # (depths,) tokens in the cache of each of them, ascending
    decode_s: np.ndarray  # (counts, depths) of a step that reads no prompt
    rest_s: np.ndarray  # (counts,) of it what no cache takes
    tokens: np.ndarray  # (tokens,) of prompts in a step, ascending from 1
    linear_s: np.ndarray  # (tokens, 1 + counts) without caches, with nobody and with so many that decode beside
    starts: np.ndarray  # (starts,) tokens of a prompt that were read before, ascending from 0
    attention_s: np.ndarray  # (tokens, starts) what so many tokens of one prompt add
    host_tokens: np.ndarray  # (host,) of prompts in a step, ascending
    host_s: np.ndarray  # (2, host) what the host adds, with nobody and with the most that decode beside

    def scaled(self, decode: float, prompt: float) -> StepTables:
        """The same where steps take so many times as long."""
        return replace(
            self,
            decode_s=decode * self.decode_s,
            rest_s=decode * self.rest_s,
            linear_s=prompt * self.linear_s,
            attention_s=prompt * self.attention_s,
            host_s=prompt * self.host_s,
        )


@dataclass(frozen=True)
class Extent:
    """For which steps tables are made."""

    most_requests: int  # that decode at once
    shallow: int  # tokens in the cache of one that decodes
    deep: int
    chunk: int  # tokens of prompts in a step
    longest: int  # tokens of a prompt, what a cache gives back is read again with
    usual: int = 1  # tokens of a prompt, in the mean
    also: tuple[int, ...] = ()  # tokens of prompts that steps often read

    def counts(self) -> np.ndarray:
        """Requests that decode."""
        return between(1, self.most_requests)

    def depths(self) -> np.ndarray:
        """Tokens in each cache: evenly, and twice as far each time."""
        shallow, deep = max(self.shallow, 1), max(self.deep, self.shallow + 1, 2)
        evenly = np.linspace(shallow, deep, FEWEST_DEPTHS).astype(np.int64)
        return np.union1d(evenly, between(shallow, deep))

    def tokens(self) -> np.ndarray:
        """Tokens of prompts in a step."""
        most = max(1, min(self.chunk, self.longest * self.most_requests))
        return np.union1d(between(1, most), [each for each in self.also if 1 <= each <= most]).astype(np.int64)

    def starts(self) -> np.ndarray:
        """Tokens that were read before."""
        if self.longest <= 1:
            return np.array([0])
        first = max(1, min(self.chunk, self.longest - 1) // 4)
        return np.union1d([0], between(first, self.longest - 1))


def between(low: int, high: int) -> np.ndarray:
    """Whole numbers from one to another, so many to each doubling."""
    n_doublings = int(np.ceil(np.log2(max(high, low) / low) * NODES_TO_TWICE)) + 1
    grid = np.rint(low * 2.0 ** (np.arange(n_doublings) / NODES_TO_TWICE)).astype(np.int64)
    return np.union1d(grid[grid < high], [low, high]).astype(np.int64)


def tables_of_server(server: Server, extent: Extent, rules: Scheduling) -> StepTables:
    """Of a server of which it is known what steps take beside operations."""
    counts, depths, tokens, starts = extent.counts(), extent.depths(), extent.tokens(), extent.starts()
    serving, load = server.runtime.serving, server.load
    scale = serving.prompt_scale(server.weights)
    beside = replace(load, batch=counts, context=0, tokens=1)
    _, plain = server.took_with_and_without_caches(beside)
    grid = replace(load, batch=counts[:, None], context=depths, tokens=1)
    linear_s, attention_s, operations = [], [], (0.0, 0.0)
    for n in tokens.tolist():
        prompt = replace(load, batch=1, context=0, tokens=n)
        whole, without = server.took_with_and_without_caches(replace(prompt, context=starts))
        alone = without.at(0)
        attention_s.append(np.broadcast_to(scale * (whole.device_s - alone.device_s), starts.shape))
        begun_s = float(np.max(whole.beside_s - alone.beside_s))  # attention, of all prompts of a step at once
        _, both = server.took_with_and_without_caches(beside, prompt) if rules.mixes_prompts else (plain, plain)
        mixed = plain.device_s + scale * (both.device_s - plain.device_s) + both.beside_s
        row = np.broadcast_to(mixed, counts.shape)
        linear_s.append(np.concatenate([[scale * alone.device_s + alone.beside_s], row]) + begun_s)
        operations = (float(np.max(whole.n_operations)), float(np.max(both.n_operations)))
    return StepTables(
        counts, depths, np.broadcast_to(server.step_seconds(grid), (len(counts), len(depths))),
        np.broadcast_to(plain.device_s + plain.beside_s, counts.shape), tokens, np.array(linear_s), starts, np.array(attention_s),
        *_host(server, rules, extent, operations),
    )  # fmt: skip


def _host(
    server: Server, rules: Scheduling, extent: Extent, operations: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """What the host adds to steps that are no CUDA graph, with nobody and with the most beside.

    At the points at which steady servers are forecast, and between them in proportion: with those it was fitted to measurements.
    """
    tokens = np.array(token_counts(extent.usual, extent.chunk, extent.most_requests))
    rows = []
    for beside, n_operations in zip((0, extent.most_requests * rules.mixes_prompts), operations, strict=True):
        added_s = server.runtime.serving.host_s(n_operations, server.n_expert_layers)
        rows.append(np.where(tokens + beside > rules.graph_tokens, added_s, 0.0))
    return tokens, np.array(rows)


def tables_of_scenario(base: Scenario, extent: Extent) -> StepTables:
    """Of any machine, where each pass of a prompt is one of its own."""
    counts, depths, tokens, starts = extent.counts(), extent.depths(), extent.tokens(), extent.starts()
    decode_s, _ = _seconds(base, counts[:, None], depths, 1)
    _, rest_s = _seconds(base, counts, 0, 1)
    # Of passes that overlap on several GPUs each takes a part of what it takes alone.
    part = forecast_request(base, Request(extent.usual, ubatch=extent.chunk)).reading.stretches[0].repeats
    linear_s, attention_s = [], []
    for n in tokens.tolist():
        _, rest = _seconds(base, 1, 0, n)
        whole, _ = _seconds(base, 1, starts, n)
        attention_s.append(part * np.broadcast_to(whole - rest, starts.shape))
        linear_s.append(
            np.concatenate([[float(np.max(part * rest))], part * rest + np.broadcast_to(rest_s, counts.shape)])
        )
    return StepTables(
        counts, depths, np.broadcast_to(decode_s, (len(counts), len(depths))), np.broadcast_to(rest_s, counts.shape),
        tokens, np.array(linear_s), starts, np.array(attention_s), np.array([1]), np.zeros((2, 1)),
    )  # fmt: skip


def _seconds(base: Scenario, batch: Any, context: Any, tokens: int) -> tuple[Any, Any]:
    """Of a step, and of that what no cache takes."""
    load = replace(base.load, batch=batch, context=np.minimum(context, MAX_CONTEXT), tokens=tokens)
    step = time_step(base.loaded.model, base.hardware, base.runtime, load, base.placement)
    cache_s = sum(each.op.count * each.seconds for each in step.ops if each.op.part == "cache")
    return step.seconds, step.seconds - cache_s
