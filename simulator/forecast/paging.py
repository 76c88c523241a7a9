"""What of a file larger than memory is still there when a step needs it: hit rates of the system's cache of its pages.

A step reads some weights always, and of each layer's experts those that its tokens choose. Two policies bound what a system does.
`lru` evicts what was used longest ago: of weights that are read in circles nothing is left as soon as one circle is larger than the
cache. `best` keeps what is used most often, which no system that does not know the future surpasses by much. Experts are chosen by
popularity, independently from step to step; which of them an LRU cache has follows from Che's approximation (Che, Tung and Wang,
IEEE JSAC 20(7), 2002): each expert stays for the same number of steps T after its last use, and T is such that the cache is full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from simulator.units import KI

# Linux reads around a fault: by default 128 KiB (read_ahead_kb), twice as much in a file that is said to be read in order, which
# llama.cpp says (src/llama-mmap.cpp, POSIX_FADV_SEQUENTIAL). The window lies half before the fault (mm/filemap.c,
# do_sync_mmap_readahead), so that a run of faults asks for half of it each time, and half of it is read in vain at either end.
AROUND = 256 * KI
REQUEST = AROUND // 2
# What a phone may read at a time: Android reclaims what is in use, and faults page by page (Helldez/BigMoeOnEdge pull 74: some
# 19,000 faults a token that each wait for flash).
PAGE = 4 * KI
_STEPS = 2_000  # at which curves are worked out, from one step to as many as make all experts stay


@dataclass(frozen=True)
class ExpertGroup:
    """Layers whose experts are chosen alike: bytes of one expert, of all those layers together, and each one's chance in a step."""

    expert_bytes: float
    chances: tuple[float, ...]

    @property
    def used_bytes(self) -> float:
        """Bytes that a step uses on average."""
        return self.expert_bytes * float(np.sum(self.chances))

    @property
    def all_bytes(self) -> float:
        """Bytes of all of them."""
        return self.expert_bytes * len(self.chances)


@dataclass(frozen=True)
class Missing:
    """Shares of the bytes that a step uses which are not in memory."""

    always: Any
    experts: Any


@dataclass(frozen=True)
class Pages:
    """The pages of a file: bytes that every step reads, and experts. *room* below is a number of bytes, or an array."""

    always: float
    groups: tuple[ExpertGroup, ...] = ()

    @property
    def all_bytes(self) -> float:
        """Bytes that some step reads."""
        return self.always + sum(group.all_bytes for group in self.groups)

    @property
    def used_bytes(self) -> float:
        """Bytes that a step reads on average."""
        return self.always + sum(group.used_bytes for group in self.groups)

    def lru(self, room: Any) -> Missing:
        """What is missing where the page that was used longest ago makes room for the next."""
        room = np.asarray(room, dtype=float)
        is_whole, has_circle = room >= self.all_bytes, room >= self.used_bytes
        hit = np.interp(room, *self._lru_curve) if self.groups else 1.0
        kept = np.where(is_whole, 1.0, np.where(has_circle, hit, 0.0))
        return Missing(np.where(has_circle, 0.0, 1.0)[()], (1 - kept)[()])

    def best(self, room: Any) -> Missing:
        """What is missing where those pages stay that are used most often."""
        room = np.asarray(room, dtype=float)
        always = np.clip(1 - room / self.always, 0.0, 1.0) if self.always else np.zeros_like(room)
        kept = np.interp(room - self.always, *self._best_curve) if self.groups else np.ones_like(room)
        return Missing(always[()], (1 - kept)[()])

    @cached_property
    def _lru_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Bytes held, and share of the experts used that are among them, for experts that stay longer and longer."""
        rarest = min(min(chance for chance in group.chances if chance > 0) for group in self.groups)
        longest = max(2.0, 40 / max(rarest, 1e-9))
        steps = np.geomspace(1.0, longest, _STEPS)
        held, hit = np.full_like(steps, self.always), np.zeros_like(steps)
        for group in self.groups:
            chances, times = np.unique(group.chances, return_counts=True)
            stays = -np.expm1(np.multiply.outer(steps, np.log1p(-np.minimum(chances, 1 - 1e-15))))
            held += group.expert_bytes * (stays * times).sum(axis=1)
            hit += group.expert_bytes * (stays * chances * times).sum(axis=1)
        return held, hit / (self.used_bytes - self.always)

    @cached_property
    def _best_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """The same for experts held in the order of their popularity."""
        chances = np.concatenate([np.asarray(group.chances, dtype=float) for group in self.groups])
        sizes = np.concatenate([np.full(len(group.chances), group.expert_bytes) for group in self.groups])
        order = np.argsort(-chances, kind="stable")
        held = np.concatenate(([0.0], np.cumsum(sizes[order])))
        hit = np.concatenate(([0.0], np.cumsum((sizes * chances)[order])))
        return held, hit / hit[-1]


Policy = Callable[[Pages, Any], Missing]


def step_chances(chances: Sequence[float], new_tokens: float) -> tuple[float, ...]:
    """That a step of so many tokens uses each expert, from the chance that one token does: 1 - (1 - q)^n."""
    unused = np.log1p(-np.minimum(np.asarray(chances, dtype=float), 1 - 1e-15))
    return tuple((-np.expm1(new_tokens * unused)).tolist())


def read_in_vain(matrix_bytes, touched=0.0):
    """How many times its bytes are read for a matrix of which nothing is there; of those around it the step needs a share *touched*."""
    return 1 + AROUND / np.maximum(matrix_bytes, 1.0) * (1 - touched)


def reads_at_once(matrix_bytes, threads: int):
    """Reads under way while threads that share a matrix wait for its pages: one each, as far as it has so many requests in it."""
    return np.clip(np.asarray(matrix_bytes) / REQUEST, 1.0, float(threads))
