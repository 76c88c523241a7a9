"""A large grid of workloads in pieces: what is worked out for one of them fits a processor's caches."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from simulator.spec.workload import Workload

T = TypeVar("T")

POINTS = 2**16  # of a piece: 512 KiB for each of the arrays that a forecast is made of


def pieces_of(load: Workload) -> list[Workload]:
    """The workload cut along the longest axis of its grid, in the order of that axis; itself where it is small."""
    shape, axis = _grid(load)
    size = int(np.prod(shape))
    if size <= POINTS:
        return [load]
    length = max(1, POINTS * shape[axis] // size)
    batch, context = (_aligned(each, len(shape)) for each in (load.batch, load.context))
    cuts = [slice(start, start + length) for start in range(0, shape[axis], length)]
    return [replace(load, batch=_cut(batch, axis, each), context=_cut(context, axis, each)) for each in cuts]


def joined(load: Workload, found: Sequence[Any]) -> np.ndarray:
    """One array over the workload's grid from those over its pieces."""
    _, axis = _grid(load)
    shapes = [np.broadcast_shapes(np.shape(each.batch), np.shape(each.context)) for each in pieces_of(load)]
    whole = [np.broadcast_to(each, shape) for each, shape in zip(found, shapes, strict=True)]
    return np.concatenate(whole, axis=axis)


def each_of(pieces: Sequence[Workload], result: Callable[[Workload], T]) -> list[T]:
    """Results of all pieces, in their order, worked out on all processors: numpy lets other threads run meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(pieces), os.cpu_count() or 1)) as threads:
        return list(threads.map(result, pieces))


def _grid(load: Workload) -> tuple[tuple[int, ...], int]:
    shape = np.broadcast_shapes(np.shape(load.batch), np.shape(load.context))
    return shape, int(np.argmax(shape)) if shape else 0


def _aligned(values: Any, n_axes: int) -> np.ndarray:
    """With axes of length 1 before its own, so that all axes of the grid are there."""
    return np.reshape(values, (1,) * (n_axes - np.ndim(values)) + np.shape(values))


def _cut(values: np.ndarray, axis: int, which: slice) -> np.ndarray:
    return values if values.shape[axis] == 1 else values[(slice(None),) * axis + (which,)]
