"""What a server's steps take, worked out before any is simulated: arrays over requests that decode, tokens of prompts, and depths.

Of a server whose steps were fitted to measurements, prompts and decoding share a step's matrices, as `forecast/server_steps.py` times
them. Of any other machine (layers in RAM, several GPUs with other layers each, storage) a prompt's pass is one of its own, as
`simulate --prompt` has it, and a step that does both takes the sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.forecast.scenario import Scenario
from simulator.forecast.server_steps import Server
from simulator.forecast.step import time_step
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
    graph_tokens: int = 0  # of a step with more tokens the host begins each operation:
    host_s: tuple[float, float] = (0.0, 0.0)  # what that adds, with nobody and with somebody who decodes beside

    def scaled(self, decode: float, prompt: float) -> StepTables:
        """The same where steps take so many times as long."""
        return replace(
            self,
            decode_s=decode * self.decode_s,
            rest_s=decode * self.rest_s,
            linear_s=prompt * self.linear_s,
            attention_s=prompt * self.attention_s,
            host_s=(prompt * self.host_s[0], prompt * self.host_s[1]),
        )


@dataclass(frozen=True)
class Extent:
    """For which steps tables are made."""

    most_requests: int  # that decode at once
    shallow: int  # tokens in the cache of one that decodes
    deep: int
    chunk: int  # tokens of prompts in a step
    longest: int  # tokens of a prompt, what a cache gives back is read again with
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


def tables_of_server(server: Server, extent: Extent, mixes: bool) -> StepTables:
    """Of a server whose steps beside operations are known; *mixes*: whether prompts are read in steps that decode."""
    counts, depths, tokens, starts = extent.counts(), extent.depths(), extent.tokens(), extent.starts()
    serving, load = server.runtime.serving, server.load
    scale = serving.prompt_scale(server.weights)
    beside = replace(load, batch=counts, context=0, tokens=1)
    plain = server.took_without_caches(beside)
    grid = replace(load, batch=counts[:, None], context=depths, tokens=1)
    linear_s, attention_s, operations = [], [], (0.0, 0.0)
    for n in tokens.tolist():
        prompt = replace(load, batch=1, context=0, tokens=n)
        alone, whole = server.took_without_caches(prompt), server.took(replace(prompt, context=starts))
        attention = scale * (whole.device_s - alone.device_s) + (whole.beside_s - alone.beside_s)
        attention_s.append(np.broadcast_to(attention, starts.shape))
        row = [scale * alone.device_s + alone.beside_s]
        both = server.took_without_caches(beside, prompt) if mixes else plain
        mixed = plain.device_s + scale * (both.device_s - plain.device_s) + both.beside_s
        linear_s.append(np.concatenate([row, np.broadcast_to(mixed, counts.shape)]))
        operations = (float(np.max(whole.n_operations)), float(np.max(both.n_operations)))
    return StepTables(
        counts, depths, np.broadcast_to(server.step_seconds(grid), (len(counts), len(depths))),
        np.broadcast_to(plain.device_s + plain.beside_s, counts.shape), tokens, np.array(linear_s), starts, np.array(attention_s),
        serving.graph_tokens, tuple(serving.host_s(each, server.n_expert_layers) for each in operations),
    )  # fmt: skip


def tables_of_scenario(base: Scenario, extent: Extent) -> StepTables:
    """Of any machine, where each pass of a prompt is one of its own."""
    counts, depths, tokens, starts = extent.counts(), extent.depths(), extent.tokens(), extent.starts()
    decode_s, _ = _seconds(base, counts[:, None], depths, 1)
    _, rest_s = _seconds(base, counts, 0, 1)
    linear_s, attention_s = [], []
    for n in tokens.tolist():
        _, rest = _seconds(base, 1, 0, n)
        whole, _ = _seconds(base, 1, starts, n)
        attention_s.append(np.broadcast_to(whole - rest, starts.shape))
        linear_s.append(np.concatenate([[float(np.max(rest))], rest + np.broadcast_to(rest_s, counts.shape)]))
    return StepTables(
        counts, depths, np.broadcast_to(decode_s, (len(counts), len(depths))), np.broadcast_to(rest_s, counts.shape),
        tokens, np.array(linear_s), starts, np.array(attention_s),
    )  # fmt: skip


def _seconds(base: Scenario, batch: Any, context: Any, tokens: int) -> tuple[Any, Any]:
    """Of a step, and of that what no cache takes."""
    load = replace(base.load, batch=batch, context=np.minimum(context, MAX_CONTEXT), tokens=tokens)
    step = time_step(base.loaded.model, base.hardware, base.runtime, load, base.placement)
    cache_s = sum(each.op.count * each.seconds for each in step.ops if each.op.part == "cache")
    return step.seconds, step.seconds - cache_s
