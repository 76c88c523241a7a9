"""A large grid of workloads in pieces: what is worked out for one of them fits a processor's caches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.spec.workload import Workload

POINTS = 2**16  # of a piece: 512 KiB for each of the arrays that a forecast is made of
FEW = 64  # points of a batch for which a row of them is worth its while


@dataclass(frozen=True)
class Pieces:
    """Smaller workloads that make up a large one, and how an array over its grid is put together from those over theirs."""

    loads: list[Workload]
    joined: Callable[[Sequence[Any]], np.ndarray]


def pieces_of(load: Workload) -> Pieces | None:
    """A workload in pieces; None for one that is small."""
    shape = np.broadcast_shapes(np.shape(load.batch), np.shape(load.context))
    size = int(np.prod(shape))
    if size <= POINTS:
        return None
    if np.size(load.batch) == np.size(load.context) == size:
        return _rows_of_a_batch(load, shape) or _cut(load, shape)
    return _cut(load, shape)


def _cut(load: Workload, shape: tuple[int, ...]) -> Pieces:
    """Cut along one axis, in its order: the longest of the batch's, so that no batch stands in two pieces, or of all."""
    size = int(np.prod(shape))
    batch, context = (_aligned(each, len(shape)) for each in (load.batch, load.context))
    axis = int(np.argmax(batch.shape))
    if size // batch.shape[axis] > POINTS:
        axis = int(np.argmax(shape))
    length = max(1, POINTS * shape[axis] // size)
    cuts = [slice(start, start + length) for start in range(0, shape[axis], length)]
    loads = [replace(load, batch=_part(batch, axis, each), context=_part(context, axis, each)) for each in cuts]
    return Pieces(loads, lambda found: np.concatenate(_whole(loads, found), axis=axis))


def _aligned(values: Any, n_axes: int) -> np.ndarray:
    """With axes of length 1 before its own, so that all axes of the grid are there."""
    return np.reshape(values, (1,) * (n_axes - np.ndim(values)) + np.shape(values))


def _part(values: np.ndarray, axis: int, which: slice) -> np.ndarray:
    return values if values.shape[axis] == 1 else values[(slice(None),) * axis + (which,)]


def _whole(loads: Sequence[Workload], found: Sequence[Any]) -> list[np.ndarray]:
    """Results with every axis of their piece at its full length."""
    shapes = [np.broadcast_shapes(np.shape(each.batch), np.shape(each.context)) for each in loads]
    return [np.broadcast_to(each, shape) for each, shape in zip(found, shapes, strict=True)]


def _rows_of_a_batch(load: Workload, shape: tuple[int, ...]) -> Pieces | None:
    """Single points gathered in rows of one batch each; None where too few of them share one.

    Most of a step depends on the batch alone, and is worked out once for a row. Rows are of one length: the last of each
    batch is filled up with a context that is left out again.
    """
    batch, context = np.ravel(load.batch), np.ravel(load.context)
    # Numbers of 16 bits are sorted by their digits, five times as fast.
    order = np.argsort(batch.astype(np.uint16) if batch.max() < 2**16 else batch, kind="stable")
    batches, starts, counts = np.unique(batch[order], return_index=True, return_counts=True)
    if batch.size < FEW * batches.size:
        return None
    length = min(POINTS, batch.size // (4 * batches.size))
    n_rows = -(-counts // length)
    first = (np.cumsum(n_rows) - n_rows) * length  # where the points of each batch begin in the rows
    places = np.arange(batch.size) + np.repeat(first - starts, counts)
    depths = np.zeros((n_rows.sum(), length), np.int64)
    depths.ravel()[places] = context[order]
    sizes = np.repeat(batches, n_rows)[:, None]
    step = max(1, POINTS // length)
    cuts = [slice(start, start + step) for start in range(0, len(depths), step)]
    loads = [replace(load, batch=sizes[each], context=depths[each]) for each in cuts]

    def joined(found: Sequence[Any]) -> np.ndarray:
        rows = np.concatenate(_whole(loads, found))
        values = np.empty(batch.size, rows.dtype)
        values[order] = rows.ravel()[places]
        return values.reshape(shape)

    return Pieces(loads, joined)
