"""Layers whose weights and cache lie in another memory, slower than this machine's: a stand-in for a split model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.engine.kernels.table import kernel, task
from simulator.engine.network import COMPONENTS, Network
from simulator.engine.team import Entry
from simulator.errors import InputError
from simulator.spec.arguments import whole

_LEAST, _MOST = 1e6, 1e13  # bytes a second


@dataclass(frozen=True)
class SlowLayers:
    """The first layers of a model, read at most at a given rate: each takes at least the time of its bytes."""

    count: int
    bytes_per_s: float

    def __post_init__(self):
        whole("slow layers", self.count, 1, 100_000)
        if not _LEAST <= self.bytes_per_s <= _MOST:
            raise InputError(
                f"slow layers: a rate between 1 MB/s and 10 TB/s is needed, not {self.bytes_per_s:g} bytes/s"
            )

    def phases(self, network: Network, index: int, phases: Iterator[list[Entry]]) -> Iterator[list[Entry]]:
        """A layer's phases, between a look at the clock and the wait for what they read."""
        if index >= self.count:
            yield from phases
            return
        buffers = network.buffers
        fields = task(
            "W",
            state=buffers.new(f"slow_{index}", (2,), int).ctypes.data,
            read=buffers.at("read"),
            n_counters=len(COMPONENTS) * network.n_threads,
            picoseconds=max(1, round(1e12 / self.bytes_per_s)),
        )
        yield [Entry(kernel("begin_slow"), fields, "slow memory")]
        yield from phases
        yield [Entry(kernel("end_slow"), fields, "slow memory")]


def check_slow(slow: SlowLayers | None, name: str, n_layers: int) -> None:
    """InputError where a model has fewer layers."""
    if slow is not None and slow.count > n_layers:
        raise InputError(f"slow layers: {name} has {n_layers:,}, {slow.count:,} were asked for")
