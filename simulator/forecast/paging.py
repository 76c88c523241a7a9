"""What of a file larger than memory is still there when a step needs it: hit rates of the system's cache of its pages.

A step reads some weights always, and of each layer's experts those that its tokens choose. Two policies bound what a system does.
`lru` evicts what was used longest ago: of weights that are read in circles nothing is left as soon as one circle is larger than the
cache. `best` keeps what is used most often, which no system that does not know the future surpasses by much. Experts are chosen by
popularity, independently from step to step; which of them an LRU cache has follows from Che's approximation (Che, Tung and Wang,
IEEE JSAC 20(7), 2002): each expert stays for the same number of steps T after its last use, and T is such that the cache is full.
Where a router's choices were recorded in their order, so do the hits, with no chances in between: those are the uses no more than T
steps after the one before, and held are as many experts as T steps use (Denning, CACM 11(5), 1968).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from simulator.spec.recorded import Recorded
from simulator.spec.routing_statistics import intervals
from simulator.units import KI

# Linux reads around a fault: by default 128 KiB (read_ahead_kb), twice as much in a file that is said to be read in order, which
# llama.cpp says (src/llama-mmap.cpp, POSIX_FADV_SEQUENTIAL). The window lies half before the fault (mm/filemap.c,
# do_sync_mmap_readahead), so that a run of faults asks for half of it each time, and half of it is read in vain at either end.
AROUND = 256 * KI
REQUEST = AROUND // 2
# What a phone may read at a time: Android reclaims what is in use, and faults page by page (Helldez/BigMoeOnEdge pull 74: some
# 19,000 faults a token that each wait for flash).
PAGE = 4 * KI
LEAST_STEPS = 16  # of a record, from which it tells in which order as many sequences as a batch has use their experts
_POINTS = 2_000  # at which curves are worked out, from one token to as many as make all experts stay


@dataclass(frozen=True)
class ExpertGroup:
    """Layers whose experts are chosen alike: bytes of one expert, of all those layers together, and each one's chance with a token."""

    expert_bytes: float
    chances: tuple[float, ...]

    def used_bytes(self, new_tokens: float) -> float:
        """Bytes that a step of so many tokens uses on average."""
        return self.expert_bytes * float(np.sum(step_chances(self.chances, new_tokens)))

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
    new_tokens: float = 1.0  # of a step
    recorded: Recorded | None = None  # the order in which experts are used, where it is known

    @property
    def all_bytes(self) -> float:
        """Bytes that some step reads."""
        return self.always + sum(group.all_bytes for group in self.groups)

    @cached_property
    def used_bytes(self) -> float:
        """Bytes that a step reads on average."""
        if self._in_order:
            return self.always + sum(group.expert_bytes * used for group, (_, _, used) in self._in_order)
        return self.always + sum(group.used_bytes(self.new_tokens) for group in self.groups)

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
    def _in_order(self) -> list[tuple[ExpertGroup, tuple[np.ndarray, np.ndarray, float]]]:
        """Each group with what was recorded of such layers; empty where nothing was, or too little for so many sequences."""
        n_together = round(self.new_tokens)
        if self.recorded is None or len(self.recorded.tokens) < LEAST_STEPS * n_together:
            return []
        return [(group, _recorded_stays(self.recorded, len(group.chances), n_together)) for group in self.groups]

    @property
    def _lru_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Bytes held, and share of the experts used that are among them, for experts that stay longer and longer."""
        if self._in_order:
            held, hit = (
                sum(group.expert_bytes * found[place] for group, found in self._in_order) for place in range(2)
            )
            return self.always + held, hit / (self.used_bytes - self.always)
        held, stays = _stays(self.groups)
        hit = np.zeros_like(held)
        for group, (chances, times, share) in zip(self.groups, stays, strict=True):
            hit += group.expert_bytes * (share @ (times * step_chances(chances, self.new_tokens)))
        return self.always + held, hit / (self.used_bytes - self.always)

    @property
    def _best_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """The same for experts held in the order of their popularity."""
        chances, sizes, held = _by_popularity(self.groups)
        hit = np.concatenate(([0.0], np.cumsum(sizes * step_chances(chances, self.new_tokens))))
        return held, hit / hit[-1]


@lru_cache(maxsize=8)
def _stays(groups: tuple[ExpertGroup, ...]) -> tuple[np.ndarray, tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]]:
    """Bytes held of experts that stay for more and more tokens after their last use, and how many of each group do.

    Of each group: the chances of its experts, how many have each, and the share of those that are there, 1 - (1 - q)^T.
    """
    rarest = min(min(chance for chance in group.chances if chance > 0) for group in groups)
    tokens = np.geomspace(1.0, max(2.0, 40 / max(rarest, 1e-9)), _POINTS)
    held, found = np.zeros_like(tokens), []
    for group in groups:
        chances, times = np.unique(group.chances, return_counts=True)
        share = step_chances(chances, tokens[:, None])
        held += group.expert_bytes * (share @ times)
        found.append((chances, times, share))
    return held, tuple(found)


@lru_cache(maxsize=64)
def _recorded_stays(recorded: Recorded, n_experts: int, n_together: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Means over a record's layers of so many experts: held if each stays for 0, 1, ... steps, hits of a step then, uses of a step."""
    places = [place for place, n in enumerate(recorded.n_experts) if n == n_experts]
    counts, n_uses = 0.0, 0
    for place in places:
        found, n_steps = intervals(recorded.chosen[place], n_experts, n_together)
        counts = counts + np.bincount(found, minlength=n_steps + 1)
        n_uses += len(found)
    scale = 1 / (n_steps * len(places))
    hits = np.cumsum(counts) * scale
    used = n_uses * scale
    return np.concatenate(([0.0], np.cumsum(used - hits)[:-1])), hits, used


@lru_cache(maxsize=8)
def _by_popularity(groups: tuple[ExpertGroup, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The chance of each expert of all groups with a token, the likeliest first, their bytes, and those of all up to each."""
    chances = np.concatenate([np.asarray(group.chances, dtype=float) for group in groups])
    sizes = np.concatenate([np.full(len(group.chances), group.expert_bytes) for group in groups])
    order = np.argsort(-chances, kind="stable")
    return chances[order], sizes[order], np.concatenate(([0.0], np.cumsum(sizes[order])))


def step_chances(chances: Any, new_tokens: Any) -> np.ndarray:
    """That a step of so many tokens uses each expert, from the chance that one token does: 1 - (1 - q)^n."""
    unused = np.log1p(-np.minimum(np.asarray(chances, dtype=float), 1 - 1e-15))
    return -np.expm1(new_tokens * unused)


def read_in_vain(matrix_bytes, touched=0.0):
    """How many times its bytes are read for a matrix of which nothing is there; of those around it the step needs a share *touched*."""
    return 1 + AROUND / np.maximum(matrix_bytes, 1.0) * (1 - touched)


def reads_at_once(matrix_bytes, threads: int):
    """Reads under way while threads that share a matrix wait for its pages: one each, as far as it has so many requests in it."""
    return np.clip(np.asarray(matrix_bytes) / REQUEST, 1.0, float(threads))
