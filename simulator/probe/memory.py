"""Memory that working sets are read from: it grows with them, is given back beyond what is needed, and is passed over like a ring."""

from __future__ import annotations

import mmap

import numpy as np

from simulator.engine.memory import LARGE_PAGE, mapped_memory

# Bytes that as half, bfloat or float are a number near 1: neither infinite nor subnormal, which some processors handle slowly.
FILL = 0x3C


class Memory:
    """At most so many bytes, of which only those count as used that were asked for."""

    def __init__(self, most: int):
        self._mapped = mapped_memory(most + LARGE_PAGE)
        room = np.frombuffer(self._mapped, np.uint8)
        self._offset = -room.ctypes.data % LARGE_PAGE
        self._room = room[self._offset : self._offset + most]
        self._filled = 0

    def first(self, nbytes: int) -> np.ndarray:
        """So many bytes from the start on, filled: uint8 [nbytes]."""
        if nbytes > self._filled:
            self._room[self._filled : nbytes] = FILL
            self._filled = nbytes
        return self._room[:nbytes]

    def give_back(self, beyond: int) -> None:
        """Lets go of what lies beyond the first so many bytes."""
        start = -(-(self._offset + beyond) // LARGE_PAGE) * LARGE_PAGE
        if hasattr(mmap, "MADV_DONTNEED") and start < self._offset + self._filled:
            self._mapped.madvise(mmap.MADV_DONTNEED, start, self._offset + self._filled - start)
        self._filled = min(self._filled, max(0, start - self._offset), beyond)


class Ring:
    """Parts of a memory one after the other, round and round, for all who ask: the next part is the one read longest ago.

    Reading a part takes a fraction of the time that reading all of it does, and no cache holds any of it, unless it holds nearly all.
    """

    def __init__(self, memory: np.ndarray):
        self.memory = memory
        self._at = 0

    def next(self, nbytes: int) -> int:
        """The address of the next so many bytes."""
        if self._at + nbytes > self.memory.nbytes:
            self._at = 0
        start = self.memory.ctypes.data + self._at
        self._at += nbytes
        return start
