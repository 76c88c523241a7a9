"""What was timed of a part of the engine beside pure reads."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.probe.clock import Sample


@dataclass(frozen=True)
class PartSpeed:
    """A part of the engine that reads much, timed inside it."""

    cached: Sample  # what it reads in a cache: its `flops` are those that were really made
    memory_share: tuple[float, ...]  # of a pure read beside it, counting the bytes that were really read
    read: Sample  # that pure read
    cache_share: tuple[float, ...] = ()  # the same as memory_share, in the cache that all share
    cache_read: Sample | None = None
    start: Sample | None = None  # seconds that each matrix takes beside, of which the shares hold nothing: differences
    again: Sample | None = None  # what further rows of a sequence read again, with `flops` as of `cached`
