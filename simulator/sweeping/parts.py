"""A sweep in parts, each a file of rows: which combinations, batches and contexts it has, worked out from its number alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

ROWS = 2**18  # of a part at most: a tenth of a second's work, and 10 MB of memory
COMBINATIONS = (
    32  # of a part at most: each may have to be placed on its machine, which takes longer than forecasting it
)


@dataclass(frozen=True)
class Part:
    """Neighbouring combinations of one model, at the same batches and contexts; rows by combination, batch and context."""

    number: int  # in the sweep, from 0
    model: int  # by its place in the sweep's list
    first: int  # combination of that model
    last: int  # behind the last of them
    batches: slice  # of the sweep's
    contexts: slice
    n_rows: int


@dataclass(frozen=True)
class Parts:
    """How a sweep is divided, by the lengths of its lists: into combinations, and those of a large grid into tiles of it."""

    n_models: int
    settings: tuple[int, ...]  # that make a combination, the last changing fastest
    n_batches: int
    n_contexts: int

    @property
    def n_combinations(self) -> int:
        """Of each model."""
        return prod(self.settings)

    @cached_property
    def _tile(self) -> tuple[int, int]:
        """Batches and contexts of a part: all of them, or equal numbers of batches at as many contexts as there is room for."""
        contexts = _evenly(self.n_contexts, ROWS)
        return _evenly(self.n_batches, max(1, ROWS // contexts)), contexts

    @cached_property
    def _tiles(self) -> tuple[int, int]:
        """How many of those there are, along batches and along contexts."""
        batches, contexts = self._tile
        return -(-self.n_batches // batches), -(-self.n_contexts // contexts)

    @cached_property
    def _together(self) -> int:
        """Combinations of a part: one of a grid in tiles, several of a small one."""
        batches, contexts = self._tile
        return min(max(1, ROWS // (batches * contexts)), COMBINATIONS) if self._tiles == (1, 1) else 1

    @cached_property
    def _groups(self) -> int:
        """Groups of combinations of a model."""
        return -(-self.n_combinations // self._together)

    def __len__(self) -> int:
        return self.n_models * self._groups * prod(self._tiles)

    def __getitem__(self, number: int) -> Part:
        if not 0 <= number < len(self):
            raise IndexError(number)
        rest, column = divmod(number, self._tiles[1])
        rest, row = divmod(rest, self._tiles[0])
        model, group = divmod(rest, self._groups)
        first = group * self._together
        last = min(first + self._together, self.n_combinations)
        batches, contexts = _cut(row, self._tile[0], self.n_batches), _cut(column, self._tile[1], self.n_contexts)
        n_rows = (last - first) * (batches.stop - batches.start) * (contexts.stop - contexts.start)
        return Part(number, model, first, last, batches, contexts, n_rows)

    def places(self, combination: int) -> tuple[int, ...]:
        """The places of a combination's settings in their lists."""
        found = []
        for length in reversed(self.settings):
            combination, place = divmod(combination, length)
            found.append(place)
        return tuple(reversed(found))


def _evenly(length: int, most: int) -> int:
    """The length of pieces as equal as can be, none longer than *most*."""
    return -(-length // -(-length // most))


def _cut(number: int, length: int, whole: int) -> slice:
    return slice(number * length, min((number + 1) * length, whole))
