"""The operations of one decode step and what each costs; every total is a sum of these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.spec.layers.ffn import Experts
from simulator.spec.quant import Format


@dataclass(frozen=True)
class Cost:
    """What one operation does. Each field is a number, or an array over a grid of workloads."""

    flops: Any = 0.0  # a multiply-add is two
    weight_bytes: Any = 0.0
    cache_read_bytes: Any = 0.0
    cache_write_bytes: Any = 0.0
    activation_bytes: Any = 0.0  # inputs and outputs, which mostly stay in a cache

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.weight_bytes + other.weight_bytes,
            self.cache_read_bytes + other.cache_read_bytes,
            self.cache_write_bytes + other.cache_write_bytes,
            self.activation_bytes + other.activation_bytes,
        )

    def __mul__(self, count: float) -> Cost:
        return Cost(
            self.flops * count,
            self.weight_bytes * count,
            self.cache_read_bytes * count,
            self.cache_write_bytes * count,
            self.activation_bytes * count,
        )

    @property
    def cache_bytes(self):
        """Cache traffic, both ways."""
        return self.cache_read_bytes + self.cache_write_bytes

    @property
    def streamed_bytes(self):
        """Weights and cache: what has to come from (or go to) where the model lies."""
        return self.weight_bytes + self.cache_bytes


# Small work that is neither a matrix nor streaming, and in what it is counted.
WORK = {
    "norm": "values of norms and residual sums",
    "sum": "values that experts put out, weighed and added up",
    "activation": "hidden values through the activation function",
    "head": "query heads of a token, turned, stored and merged",
    "route": "experts that the router weighs for a token",
    "token": "tokens looked up, placed and handed out",
    "cold token": "the same where the weights have left nothing else in the caches",
    "shared token": "the same where they have left nothing else in each core's own caches",
    "run": "key heads whose cache is begun to be read, from memory",
    "select": "inputs among which a token's largest are chosen",
}


@dataclass(frozen=True)
class Work:
    """Small work of one kind."""

    kind: str  # a key of WORK
    items: Any
    pieces: Any = 1e9  # that threads can share them in


@dataclass(frozen=True)
class Message:
    """What devices tell each other once."""

    # sum (all-reduce), gather (all-gather), dispatch (all-to-all), send (to the next device) or move (to another part of the machine)
    kind: str
    n_bytes: Any  # of the whole result, or of what each sends
    n_devices: int  # that take part, or groups of devices
    apart: int = 1  # devices of such a group: each of the next one's hears from one of them
    to: int = 0  # the part that a move ends at


@dataclass(frozen=True)
class Op:
    """`count` equal operations, one in each of so many layers."""

    layer: str  # which layers: "layers 0-47", or "model"
    part: str  # attention, cache, ffn, experts, shared, router, vectors, head, embedding, communication
    name: str  # the tensor's role, or what is done
    format: Format  # of what it reads
    count: float
    cost: Cost
    launches: float = 1.0  # separate kernels, in a runtime that fuses nothing
    sharers: Any = 1.0  # tokens that are multiplied with each weight read
    touched: Any = 1.0  # share of the stored weights that one step reads
    passes: float = (
        1.0  # new tokens of a sequence, by each of which its cache is gone through where kernels do so row by row
    )
    sequences: Any = 1.0  # whose caches are read
    by_column: bool = False  # whether weights of zero inputs are left out
    in_small_tiles: bool = False  # whether, packed by column, few rows lie side by side
    matrices: Any = 1.0  # that the weights read are of: one, or those of as many experts
    work: tuple[Work, ...] = ()
    pieces: int | None = (
        None  # equal parts in which devices can share what it reads, 1: whole on each; None: any number
    )
    whole: Cost = Cost()  # of the cost, caches that lie whole on each device however the others are shared
    message: Message | None = None  # between devices
    place: int = 0  # which part of the machine computes it
    held_at: int | None = None  # the part whose memory holds what it reads, where that has to be brought to its place
    experts: Experts | None = None  # among which its weights are, where tokens choose

    @property
    def home(self) -> int:
        """The part whose memory holds what it reads."""
        return self.place if self.held_at is None else self.held_at


def total(ops: Iterable[Op]) -> Cost:
    """The cost of all of them."""
    return sum((op.cost * op.count for op in ops), Cost())
