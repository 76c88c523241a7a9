"""What an operation waits for storage."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any


@dataclass(frozen=True)
class Wait:
    """Seconds that one of an operation's `count` waits for storage, and the bytes that it reads from there."""

    likely_s: Any = 0.0
    least_s: Any = 0.0  # what is used most often stays, reads are as many as threads, the drive a good one of its kind
    most_s: Any = 0.0  # what was used longest ago goes, one read at a time
    n_bytes: Any = 0.0
    least_bytes: Any = 0.0

    def __add__(self, other: Wait) -> Wait:
        return Wait(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, count: float) -> Wait:
        return Wait(*(each * count for each in astuple(self)))


NO_WAIT = Wait()
