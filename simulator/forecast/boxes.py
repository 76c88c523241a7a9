"""Boxes around what is asked for of a grid of batches and contexts, so that little else is worked out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.forecast.pieces import POINTS

WORTH = 2**15  # points that can be left out for which one more call is worth its while

Box = tuple[slice, slice]  # of a grid's batches and contexts


def pieces_of(asked: np.ndarray) -> Iterator[Box]:
    """Boxes that hold all that is asked for, in rows that a processor's caches hold."""
    for rows, columns in boxes_of(asked):
        step = max(1, POINTS // (columns.stop - columns.start))
        for start in range(rows.start, rows.stop, step):
            yield slice(start, min(start + step, rows.stop)), columns


def boxes_of(fits: np.ndarray) -> list[Box]:
    """Boxes that hold all that fits, and little else; where nothing does, one point, which tells whether it can be timed at all.

    Larger batches fit at fewer contexts, so that what fits of a grid is often the smaller part of the box around it.
    """
    rows = np.flatnonzero(fits.any(axis=1))
    if not rows.size:
        return [(slice(0, 1), slice(0, 1))]
    starts = np.argmax(fits, axis=1)
    stops = np.where(fits.any(axis=1), fits.shape[1] - np.argmax(fits[:, ::-1], axis=1), 0)
    starts = np.where(stops, starts, fits.shape[1])
    return list(_boxes(int(rows[0]), int(rows[-1]) + 1, starts, stops))


def _boxes(first: int, last: int, starts: np.ndarray, stops: np.ndarray) -> Iterator[Box]:
    """Of rows from *first* to before *last*: one box, or where that leaves out much more, those of two groups of them."""
    above = _widths(starts[first:last], stops[first:last])
    below = _widths(starts[first:last][::-1], stops[first:last][::-1])[::-1]
    n_rows = np.arange(1, last - first)
    areas = n_rows * above[:-1] + n_rows[::-1] * below[1:]
    if areas.size and (last - first) * above[-1] - areas.min() > WORTH:
        middle = first + 1 + int(np.argmin(areas))
        yield from _boxes(first, middle, starts, stops)
        yield from _boxes(middle, last, starts, stops)
        return
    yield slice(first, last), slice(int(starts[first:last].min()), int(stops[first:last].max()))


def _widths(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Of boxes around the first row, the first two and so on."""
    return np.maximum(np.maximum.accumulate(stops) - np.minimum.accumulate(starts), 0)
