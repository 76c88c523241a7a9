"""Pages of a cache: who holds how many, what common beginnings of prompts are kept, and when there are none left.

Every page holds so many tokens of one request. What a request's cache has besides, windows and states, counts as pages, too, as many as
they fill at the greatest depth.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from simulator.forecast.scenario import Scenario
from simulator.forecast.server_steps import Server

NO_GROWTH = 1 << 40  # tokens of a page where a cache does not grow
MOST_PAGES = 1 << 50


@dataclass(frozen=True)
class Room:
    """A cache's size."""

    pages: int
    page_tokens: int = 1
    request_pages: int = 0  # of every request, whatever its depth

    @property
    def is_growing(self) -> bool:
        """Whether a request's cache grows with its tokens."""
        return self.page_tokens < NO_GROWTH

    @property
    def tokens(self) -> int:
        """Tokens of a single request that it holds, if that has nothing besides."""
        return self.pages * self.page_tokens

    def fitting(self, n_tokens: int) -> int:
        """Requests of so many tokens each that it holds at once."""
        return self.pages // self.pages_of(n_tokens)

    def pages_of(self, n_tokens: int) -> int:
        """Of one request with so many tokens in the cache."""
        return self.request_pages - (-n_tokens // self.page_tokens)


@dataclass(slots=True)
class Prefix:
    """A beginning that several prompts have in common, in the cache."""

    pages: int
    users: int = 0


@dataclass(slots=True)
class Cache:
    """Who holds what; all numbers are pages, but for tokens where they are named."""

    room: Room
    is_growing: bool = True  # while requests decode; else they have taken all their pages before
    free: int = 0
    idle: int = 0  # of beginnings that nobody uses just now, which give way to whoever needs their pages
    peak: int = 0
    prefixes: dict[str, Prefix] = field(default_factory=dict)
    resting: OrderedDict[str, Prefix] = field(
        default_factory=OrderedDict
    )  # of these the idle, the one unused for longest first
    growing: list[int] = field(
        default_factory=list
    )  # of requests that decode: how many need a page in which of the next steps

    def __post_init__(self):
        self.free = self.room.pages
        self.is_growing &= self.room.is_growing
        self.growing = [0] * (self.room.page_tokens if self.is_growing else 1)

    @property
    def used(self) -> int:
        """Pages that requests hold."""
        return self.room.pages - self.free - self.idle

    def has(self, n_pages: int) -> bool:
        """Whether so many can be had."""
        return n_pages <= self.free + self.idle

    def take(self, n_pages: int) -> None:
        """Takes pages that can be had, those of beginnings that nobody uses where no others are left."""
        while n_pages > self.free:
            name, dropped = self.resting.popitem(last=False)
            del self.prefixes[name]
            self.idle -= dropped.pages
            self.free += dropped.pages
        self.free -= n_pages
        self.peak = max(self.peak, self.used)

    def give_back(self, n_pages: int) -> None:
        """Pages that nobody holds any more."""
        self.free += n_pages

    def use(self, name: str) -> None:
        """One more request uses a beginning."""
        prefix = self.prefixes[name]
        if not prefix.users:
            self.idle -= prefix.pages
            del self.resting[name]
        prefix.users += 1
        self.peak = max(self.peak, self.used)

    def leave(self, name: str) -> None:
        """One request fewer does."""
        prefix = self.prefixes[name]
        prefix.users -= 1
        if not prefix.users:
            self.idle += prefix.pages
            self.resting[name] = prefix

    def unused(self, name: str) -> int:
        """Pages of a beginning, if nobody uses it."""
        prefix = self.prefixes[name]
        return 0 if prefix.users else prefix.pages

    def keep(self, name: str, n_pages: int) -> None:
        """Pages of a request that uses them become those of a beginning."""
        self.prefixes[name] = Prefix(n_pages, 1)

    def grows(self, n_tokens: int, step: int, by: int = 1) -> None:
        """A request with so many tokens decodes from a step on; *by* -1: one that had so many does no more."""
        if self.is_growing:
            self.growing[(n_tokens - step) % self.room.page_tokens] += by

    def growth(self, n_requests: int, step: int, n_steps: int) -> int:
        """Pages that those who decode need for steps from *step* on."""
        size = self.room.page_tokens
        if not self.is_growing:
            return 0
        if n_steps == 1:
            return self.growing[-step % size]
        cycles, rest = divmod(n_steps, size)
        return cycles * n_requests + sum(self.growing[-(step + each) % size] for each in range(rest))

    def steps_with_room(self, n_requests: int, step: int, most: int) -> int:
        """For so many steps from *step* on, at most *most*, there are pages, without those of any beginning."""
        size, left = self.room.page_tokens, self.free
        if not self.is_growing or (most // size + 1) * n_requests <= left:
            return most
        cycles = left // n_requests
        left -= cycles * n_requests
        for rest in range(size):
            left -= self.growing[-(step + rest) % size]
            if left < 0 or cycles * size + rest >= most:
                return min(cycles * size + rest, most)
        return min((cycles + 1) * size, most)


def room_of_server(server: Server, deep: int) -> Room:
    """Of a server, for requests of up to *deep* tokens."""
    page_tokens = server.runtime.cache_rules.pad_tokens
    half, whole = _depths(deep, page_tokens)
    held = np.broadcast_to(server.held_bytes(np.array([half - 1, whole - 1])), (2,)).tolist()
    return _room(server.room_bytes, *held, whole - half, whole, page_tokens)


def room_of_scenario(base: Scenario, deep: int) -> Room:
    """Of any machine: of each of its parts, the one with least room."""
    page_tokens = base.runtime.cache_rules.pad_tokens
    half, whole = _depths(deep, page_tokens)
    found = []
    for shallow, full in zip(*(base.held(1, depth - 1) for depth in (half, whole)), strict=True):
        room_bytes = full.limit_bytes - (full.needed_bytes - full.mapped_bytes - full.cache_bytes)
        held = float(shallow.cache_bytes), float(full.cache_bytes)
        found.append(_room(max(0.0, float(room_bytes)), *held, whole - half, whole, page_tokens))
    return min(found, key=lambda each: each.pages // max(1, each.pages_of(whole)))


def _depths(deep: int, page_tokens: int) -> tuple[int, int]:
    """Half as deep and as deep, or two pages at least; in whole pages."""
    n_pages = max(2, -(-deep // page_tokens))
    return n_pages // 2 * page_tokens, n_pages * page_tokens


def _room(room_bytes: float, shallow: float, full: float, further: int, deep: int, page_tokens: int) -> Room:
    """Room for requests of so many bytes at two depths, *further* tokens apart, the greater of which is *deep*."""
    slope = (full - shallow) / further
    if slope <= 0:
        return Room(int(min(room_bytes // full, MOST_PAGES)) if full > 0 else MOST_PAGES, NO_GROWTH)
    page_bytes = slope * page_tokens
    besides = max(0.0, full - slope * deep)
    return Room(int(min(room_bytes // page_bytes, MOST_PAGES)), page_tokens, ceil(besides / page_bytes - 1e-6))


def endless(room: Room) -> Room:
    """The same with memory for everybody."""
    return replace(room, pages=MOST_PAGES)
