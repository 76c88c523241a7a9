"""Steps in whole ticks of a clock, so that many of them together take exactly what they take one by one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.traffic.step_tables import StepTables

TICKS_PER_S = 10**15  # of step times in seconds some twelve digits remain


class Piece(NamedTuple):
    """Steps of so many requests, whose ticks grow by as much with every token in their caches."""

    base: int
    slope: int  # for each token of all caches
    end: int  # tokens of all caches from which another piece begins

    def together(self, n_requests: int, cached: int, n_steps: int) -> int:
        """Ticks of so many steps, with *cached* tokens before the first."""
        first = self.base + self.slope * cached
        return n_steps * first + self.slope * n_requests * (n_steps * (n_steps - 1) // 2)


class StepTicks:
    """What `StepTables` say, looked up: whole ticks, linear between the points of their grids."""

    def __init__(self, tables: StepTables):
        self.tables = tables
        self._rows: dict[int, tuple[list[int], list[Piece], int, list[int]]] = {}
        self._tokens, self._starts = tables.tokens.tolist(), tables.starts.tolist()
        self._attention = _ticks(tables.attention_s)
        self._alone = _ticks(tables.linear_s[:, 0])
        self._host_tokens, (self._host, host_beside) = tables.host_tokens.tolist(), _ticks(tables.host_s)
        self._host_more = [full - alone for alone, full in zip(self._host, host_beside, strict=True)]
        self._most = int(tables.counts[-1])

    def piece(self, n_requests: int, cached: int) -> Piece:
        """For steps of so many requests that decode, with *cached* tokens in all their caches."""
        bounds, pieces, _, _ = self._row(n_requests)
        return pieces[min(max(bisect_right(bounds, cached) - 1, 0), len(pieces) - 1)]

    def reading(self, n_beside: int, cached: int, parts: Sequence[tuple[int, int]]) -> int:
        """Ticks of a step that reads *parts*, tokens of a prompt and those before them, beside so many that decode."""
        n_tokens = sum(tokens for tokens, _ in parts)
        ticks = sum(self._attending(*part) for part in parts)
        if n_beside:
            piece, (_, _, rest, linear) = self.piece(n_beside, cached), self._row(n_beside)
            ticks += piece.together(n_beside, cached, 1) - rest + _at(self._tokens, linear, n_tokens)
        else:
            ticks += _at(self._tokens, self._alone, n_tokens)
        host = (
            _at(self._host_tokens, self._host, n_tokens)
            + n_beside * _at(self._host_tokens, self._host_more, n_tokens) // self._most
        )
        return max(ticks + max(host, 0), 1)

    def _attending(self, n_tokens: int, start: int) -> int:
        low, high, part, whole = _place(self._tokens, n_tokens)
        first = _at(self._starts, self._attention[low], start)
        return first + (_at(self._starts, self._attention[high], start) - first) * part // whole if part else first

    def _row(self, n: int) -> tuple[list[int], list[Piece], int, list[int]]:
        """Of so many requests that decode: where pieces begin, pieces, ticks without caches, and ticks of prompts beside them."""
        if n not in self._rows:
            tables = self.tables
            decode, linear = (_between(tables.counts, each, n) for each in (tables.decode_s, tables.linear_s[:, 1:].T))
            rest = _ticks(_between(tables.counts, tables.rest_s[:, None], n))[0]
            self._rows[n] = *_pieces(n, tables.depths.tolist(), _ticks(decode)), rest, _ticks(linear)
        return self._rows[n]


def _pieces(n: int, depths: Sequence[int], ticks: Sequence[int]) -> tuple[list[int], list[Piece]]:
    bounds, pieces = [], []
    for place in range(len(depths) - 1):
        first, last = n * depths[place], n * depths[place + 1]
        slope = (ticks[place + 1] - ticks[place]) // (last - first)
        bounds.append(first)
        pieces.append(Piece(ticks[place] - slope * first, slope, last))
    pieces[-1] = pieces[-1]._replace(end=1 << 62)
    return bounds, pieces


def _between(counts: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """The row of *values* (counts, more) for n, linear between those of *counts*."""
    place = min(int(np.searchsorted(counts, n)), len(counts) - 1)
    if counts[place] == n or place == 0:
        return values[place]
    low, high = counts[place - 1], counts[place]
    return values[place - 1] + (values[place] - values[place - 1]) * ((n - low) / (high - low))


def _at(grid: Sequence[int], ticks: Sequence[int], x: int) -> int:
    low, high, part, whole = _place(grid, x)
    return ticks[low] + (ticks[high] - ticks[low]) * part // whole if part else ticks[low]


def _place(grid: Sequence[int], x: int) -> tuple[int, int, int, int]:
    """Between which points a number lies, and how far from the first as a share of two whole numbers; beyond the last as before it."""
    if len(grid) == 1:
        return 0, 0, 0, 1
    high = min(max(bisect_right(grid, x), 1), len(grid) - 1)
    return high - 1, high, x - grid[high - 1], grid[high] - grid[high - 1]


def _ticks(seconds) -> list:
    """Nested lists of whole ticks, of any size."""
    array = np.rint(np.asarray(seconds, dtype=np.float64) * TICKS_PER_S)
    return np.vectorize(int, otypes=[object])(array).tolist()
