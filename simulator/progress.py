"""How far a long piece of work has come, as it tells whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]  # (share done, what is being done)


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """What a part of some work tells of itself, told of the whole: it goes from one share of that to another."""
    return lambda share, what: progress(start + share * (end - start), what)
