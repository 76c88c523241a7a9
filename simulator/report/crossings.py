"""Where a growing batch changes what a step waits for: arithmetic takes over, the cache outweighs the weights, memory is full."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.simulate import Scenario, largest_batch


@dataclass(frozen=True)
class Crossings:
    """Batches at which something changes at one context; None where nothing of the kind happens up to the most looked at."""

    compute_from: int | None  # arithmetic takes longer than memory
    cache_from: int | None  # more bytes are read and written of caches than of weights
    fits_to: int | None  # the last that fits in memory, where it lies below the most looked at; 0 if not even one does


def crossings(base: Scenario, context: int, most: int) -> Crossings:
    """Those between batch 1 and *most*, to the sequence, as far as it fits in memory."""
    room = largest_batch(base, context)
    fits_to = room if room < most else None
    batches = np.arange(1, min(most, room) + 1)
    if not room:
        return Crossings(None, None, fits_to)
    point = base.at(batches, context)
    weights, experts = point.bytes["weights"], point.bytes["experts"]
    computes, cached = point.parts["compute"] > point.parts["memory"], point.bytes["cache"] > weights + experts
    return Crossings(_first(batches, computes), _first(batches, cached), fits_to)


def _first(batches: np.ndarray, holds: np.ndarray) -> int | None:
    found = batches[np.broadcast_to(holds, batches.shape)]
    return int(found[0]) if found.size else None
