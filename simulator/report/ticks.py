"""Round numbers along an axis, in pictures and in a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable

EMPTY = 0.25  # of an axis, below the lowest tick, at most


def round_places(low: float, high: float, most: int = 8) -> list[float]:
    """Round values between the ends of a logarithmic axis: 1, 2, 5, 10 ..., decades where these are many.

    Where these are few, or none is near the lower end, values between them; even steps where those are few, too.
    """
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    several = _inside(low, high, (digit * 10.0**power for power in powers for digit in (1, 2, 5)))
    if len(several) > most:
        decades = _inside(low, high, (10.0**power for power in powers))
        return _thinned(decades if len(decades) > 1 else several, most)
    if len(several) > 2 and math.log(several[0] / low) < EMPTY * math.log(high / low):
        return several
    closer = _inside(low, high, (digit * 10.0**power for power in powers for digit in (1, 1.5, 2, 3, 5, 7)))
    return _thinned(closer if len(closer) > 2 else _steps(low, high), most)


def _steps(low: float, high: float) -> list[float]:
    """Three multiples or more of 1, 2 or 5 times a power of ten, in as large steps as that takes."""
    size = 10.0 ** math.ceil(math.log10(high - low))
    for step in (size * digit / 10**power for power in range(4) for digit in (5, 2, 1)):
        places = [step * n for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
        if len(places) > 2:
            return places
    raise ValueError(f"no round values between {low} and {high}")


def _thinned(places: list[float], most: int) -> list[float]:
    return places[:: -(-len(places) // most)]


def even_places(high: float, most: int = 8) -> list[float]:
    """Round values from zero to the end of a linear axis, two or more and at most so many."""
    rough = high / max(1, most - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * digit for digit in (1, 2, 2.5, 5, 10) if digit * size >= rough * (1 - 1e-9))
    step = step if step <= high else step / 2
    return [step * n for n in range(math.floor(high / step + 1e-9) + 1)]


def _inside(low: float, high: float, places: Iterable[float]) -> list[float]:
    return [place for place in places if low * (1 - 1e-9) <= place <= high * (1 + 1e-9)]


def widened(low: float, high: float, least: float = 1.5) -> tuple[float, float]:
    """Ends of a logarithmic axis a little beyond two values, so far apart at least."""
    more = max((high / low) ** 0.04, math.sqrt(least * low / high))
    return low / more, high * more
