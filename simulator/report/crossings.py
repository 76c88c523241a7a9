"""Where a growing batch changes what a step waits for: compute, the cache or the link to RAM takes over, memory is full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.forecast.capacity import largest_batch
from simulator.forecast.scenario import Scenario
from simulator.spec.brought import is_brought

AT_ONCE = 1024  # batches that are looked at together
MOST_AT_ALL_CONTEXTS = 2_000  # batches that are looked at together, for all contexts at once


@dataclass(frozen=True)
class Crossings:
    """Batches at which something changes at one context; None where nothing of the kind happens up to the most looked at."""

    compute_from: int | None  # compute takes longer than memory, than links and than storage
    cache_from: int | None  # more bytes are read and written of caches than of weights
    fits_to: int | None  # the last that fits in memory, where it lies below the most looked at; 0 if not even one does
    brought_from: int | None = None  # a GPU computes on weights that lie in RAM, and they cross the link in each step


def crossings(base: Scenario, context: int, most: int) -> Crossings:
    """Those between batch 1 and *most*, to the sequence, as far as it fits in memory."""
    room = largest_batch(base, context)
    fits_to = room if room < most else None
    if not room:
        return Crossings(None, None, fits_to)
    last = min(most, room)

    def computes(batches: np.ndarray) -> np.ndarray:
        return _computes(base.at(batches, context).parts)

    def cached(batches: np.ndarray) -> np.ndarray:
        found = base.at(batches, context).bytes
        return found["cache"] > found["weights"] + found["experts"]

    return Crossings(_first(computes, 1, last), _first(cached, 1, last), fits_to, brought_from(base, last))


def brought_from(base: Scenario, most: int) -> int | None:
    """The first batch up to *most* at which weights in RAM are no longer computed by the host; None where that never changes."""
    host, placement = len(base.hardware.parts) - 1, base.placement
    if base.hardware.host is None or placement is None or placement.crosses or base.runtime.brings_from is None:
        return None
    there = [timed.op for timed in base.at(1, 0).ops if timed.op.home == host and np.any(timed.op.cost.weight_bytes)]
    experts = {op.experts if op.part == "experts" else None for op in there}
    tokens = base.load.tokens * np.arange(1, most + 1)
    found = np.array([is_brought(base.runtime, tokens, each) for each in experts]).any(axis=0)
    return int(found.argmax()) + 1 if found.any() and not found[0] else None


def _computes(parts: dict[str, Any]) -> Any:
    """Whether compute takes longer than any transfer does."""
    return parts["compute"] > np.maximum(np.maximum(parts["memory"], parts["communication"]), parts["storage"])


def _first(holds: Callable[[np.ndarray], np.ndarray], low: int, high: int) -> int | None:
    """The first number from *low* to *high* for which something holds; of many numbers some are looked at, then those between."""
    batches = np.unique(np.linspace(low, high, AT_ONCE).round().astype(int))
    found = np.broadcast_to(holds(batches), batches.shape)
    if not found.any():
        return None
    place = int(np.argmax(found))
    if place == 0 or batches[place] == batches[place - 1] + 1:
        return int(batches[place])
    return _first(holds, int(batches[place - 1]) + 1, int(batches[place]))


def crossings_at(base: Scenario, contexts: np.ndarray, most: int) -> tuple[Crossings, ...]:
    """As `crossings` finds them, for all contexts at once as long as there are few batches."""
    if most > MOST_AT_ALL_CONTEXTS:
        return tuple(crossings(base, int(context), most) for context in contexts)
    point = base.at(np.arange(1, most + 1)[:, None], contexts[None, :])
    shape = (most, len(contexts))
    fits = np.broadcast_to(point.fits, shape)
    computes = fits & _computes(point.parts_given_memory)
    cached = fits & (point.bytes["cache"] > point.bytes["weights"] + point.bytes["experts"])
    room = fits.sum(axis=0)
    brought = brought_from(base, most)
    rows = zip(_first_of_each(computes), _first_of_each(cached), map(int, room), strict=True)
    return tuple(
        Crossings(one, other, held if held < most else None, brought if brought and brought <= held else None)
        for one, other, held in rows
    )


def _first_of_each(holds: np.ndarray) -> list[int | None]:
    """For each context the first batch at which something holds."""
    found = zip(holds.any(axis=0), holds.argmax(axis=0), strict=True)
    return [int(place) + 1 if any_ else None for any_, place in found]
