"""How far a long piece of work has come, for somebody who waits at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[float, str], None]  # (share done, what is being done)
BAR = 30  # characters


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A bar on a terminal's standard error; nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda _share, _what: None
        return

    def show(share: float, what: str) -> None:
        done = round(BAR * share)
        text = f"{label} [{'#' * done}{'.' * (BAR - done)}] {share:4.0%} {what}"
        print(f"\r{text[:78]:<78}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(f"\r{'':<78}\r", end="", file=sys.stderr, flush=True)
