"""Where a growing batch changes what a step waits for: compute takes over, the cache outweighs the weights, memory is full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.forecast.capacity import largest_batch
from simulator.forecast.scenario import Scenario

AT_ONCE = 1024  # batches that are looked at together
MOST_AT_ALL_CONTEXTS = 2_000  # batches that are looked at together, for all contexts at once


@dataclass(frozen=True)
class Crossings:
    """Batches at which something changes at one context; None where nothing of the kind happens up to the most looked at."""

    compute_from: int | None  # compute takes longer than memory
    cache_from: int | None  # more bytes are read and written of caches than of weights
    fits_to: int | None  # the last that fits in memory, where it lies below the most looked at; 0 if not even one does


def crossings(base: Scenario, context: int, most: int) -> Crossings:
    """Those between batch 1 and *most*, to the sequence, as far as it fits in memory."""
    room = largest_batch(base, context)
    fits_to = room if room < most else None
    if not room:
        return Crossings(None, None, fits_to)
    last = min(most, room)

    def computes(batches: np.ndarray) -> np.ndarray:
        parts = base.at(batches, context).parts
        return parts["compute"] > parts["memory"]

    def cached(batches: np.ndarray) -> np.ndarray:
        found = base.at(batches, context).bytes
        return found["cache"] > found["weights"] + found["experts"]

    return Crossings(_first(computes, 1, last), _first(cached, 1, last), fits_to)


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
    parts = point.parts_given_memory
    computes = fits & (parts["compute"] > parts["memory"])
    cached = fits & (point.bytes["cache"] > point.bytes["weights"] + point.bytes["experts"])
    room = fits.sum(axis=0)
    rows = zip(_first_of_each(computes), _first_of_each(cached), room, strict=True)
    return tuple(Crossings(one, other, int(most_held) if most_held < most else None) for one, other, most_held in rows)


def _first_of_each(holds: np.ndarray) -> list[int | None]:
    """For each context the first batch at which something holds."""
    found = zip(holds.any(axis=0), holds.argmax(axis=0), strict=True)
    return [int(place) + 1 if any_ else None for any_, place in found]
