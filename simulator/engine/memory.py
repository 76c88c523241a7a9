"""Memory that starts on a cache line or lies in large pages, and how much of it can be had."""

from __future__ import annotations

import contextlib
import mmap
from pathlib import Path

import numpy as np

from simulator.errors import InputError
from simulator.machine.files import Tree
from simulator.machine.memory import read_memory
from simulator.units import format_bytes

LINE = 64  # bytes of a cache line
LARGE_PAGE = 2**21


def whole_lines(nbytes: int) -> int:
    """Bytes of the cache lines that so many take up."""
    return -(-nbytes // LINE) * LINE


def aligned(nbytes: int) -> np.ndarray:
    """Uninitialised memory that starts on a cache line: uint8 [nbytes]."""
    return _from_a_line(np.empty(nbytes + LINE, np.uint8), nbytes)


def zeroed(nbytes: int) -> np.ndarray:
    """The same of zeros, which cost nothing before they are touched."""
    return _from_a_line(np.zeros(nbytes + LINE, np.uint8), nbytes)


def _from_a_line(room: np.ndarray, nbytes: int) -> np.ndarray:
    start = -room.ctypes.data % LINE
    return room[start : start + nbytes]


def mapped_memory(nbytes: int) -> mmap.mmap:
    """So much memory of zeros, in large pages where the system gives them; MemoryError where it does not give so much."""
    # Memory that processes could share, which mmap gives unasked, comes in large pages only where the system was told so for all.
    own = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    try:
        found = mmap.mmap(-1, nbytes, **own)
    except OSError as error:  # what the system says of lack of memory, numpy says in this way
        raise MemoryError(f"{format_bytes(nbytes)}: {error.strerror}") from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a wish, not a need
            found.madvise(mmap.MADV_HUGEPAGE)
    return found


class Pool:
    """Memory for many matrices in one piece, in large pages where the system gives them.

    With pages of 4 KiB a processor looks up where they are again and again: matrices of some MB were read 3 to 5 % slower.
    """

    def __init__(self, nbytes: int):
        room = np.frombuffer(mapped_memory(nbytes + LARGE_PAGE), np.uint8)
        self._room = room[-room.ctypes.data % LARGE_PAGE :]
        self._used = 0

    def take(self, nbytes: int) -> np.ndarray:
        """The next piece: uint8 [nbytes], starting on a cache line."""
        start = self._used
        self._used += whole_lines(nbytes)
        return self._room[start : start + nbytes]


def check_room(what: str, needed: int) -> None:
    """InputError if there is less memory than is needed."""
    available = available_bytes()
    if available is not None and needed > available:
        raise InputError(f"{what} {format_bytes(needed)} of memory, {format_bytes(available)} are available")


def available_bytes() -> int | None:
    """Memory that can be had without swapping, as far as the system tells; a container has only what it was given."""
    return read_memory(Tree(Path("/")))[1]
