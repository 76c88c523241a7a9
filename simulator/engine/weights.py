"""Weights in memory: every tensor of a source checked, and packed for this processor's kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from simulator.engine import pack
from simulator.engine.column_matrix import ColumnMatrix, pack_columns, scales_of
from simulator.engine.cpu import Path
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.layout import Layout
from simulator.engine.memory import Pool, check_room, whole_lines
from simulator.engine.team import Team
from simulator.engine.tensors import Source, Stored, dequantise
from simulator.errors import InputError, printable
from simulator.spec.quant import FORMATS

Progress = Callable[[int, int], None]  # bytes done, of bytes in all


@dataclass(frozen=True)
class Matrix:
    """A packed matrix, or as many of equal shape as there are experts."""

    layout: Layout
    rows: int
    columns: int
    copies: int
    data: np.ndarray  # uint8, on a cache line
    signed: bool

    @property
    def address(self) -> int:
        """Where its first panel is."""
        return self.data.ctypes.data

    @property
    def copy_bytes(self) -> int:
        """Bytes of one copy."""
        return self.layout.matrix_bytes(self.rows, self.columns)

    def rows_of(self, numbers: np.ndarray) -> np.ndarray:
        """Some rows: float32 [n, columns]."""
        raw = pack.unpack_rows(self.data, self.layout, np.asarray(numbers), self.columns, self.signed)
        return dequantise(raw, self.layout.name)


@dataclass(frozen=True)
class Loaded:
    """A model's weights, by layer and role."""

    matrices: Mapping[tuple[int, str], Matrix | ColumnMatrix]
    vectors: Mapping[tuple[int, str], np.ndarray]  # float32

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(each.data.nbytes for each in self.matrices.values()) + self.vector_bytes

    @property
    def vector_bytes(self) -> int:
        """Bytes of norms, biases and tables."""
        return sum(each.nbytes for each in self.vectors.values())


def load(
    source: Source,
    team: Team,
    path: Path,
    progress: Progress | None = None,
    by_column: Callable[[str], bool] = lambda _role: False,
) -> Loaded:
    """Every tensor of a source checked for numbers that are none, then packed; InputError names what cannot be used.

    *by_column* says which roles are packed for sparse inputs.
    """
    total = sum(tensor.nbytes for tensor in source.tensors)
    check_room(f"{source.name}: its weights need", total)
    sizes = [_packed_bytes(tensor, by_column) for tensor in source.tensors if not tensor.is_vector]
    pool = Pool(sum(whole_lines(size) for size in sizes))
    matrices, vectors, done = {}, {}, 0
    for tensor in source.tensors:
        key = (tensor.layer, tensor.role)
        if tensor.is_vector:
            vectors[key] = _vector(source, tensor)
        elif by_column(tensor.role):
            matrices[key] = _packed_by_column(source, tensor, pool, path)
        else:
            matrices[key] = _packed(source, tensor, pool, team, path)
        done += tensor.nbytes
        source.release()
        if progress:
            progress(done, total)
    return Loaded(matrices, vectors)


def _packed_bytes(tensor: Stored, by_column: Callable[[str], bool]) -> int:
    """Bytes of a tensor once it is packed."""
    if by_column(tensor.role):
        return tensor.nbytes
    return LAYOUTS[tensor.format].matrix_bytes(tensor.rows, tensor.columns) * tensor.copies


def _packed(source: Source, tensor: Stored, pool: Pool, team: Team, path: Path) -> Matrix:
    layout, raw = LAYOUTS[tensor.format], source.raw(tensor)
    data = pool.take(layout.matrix_bytes(tensor.rows, tensor.columns) * tensor.copies)
    shape = (tensor.copies, tensor.rows, tensor.columns)
    _refuse(source, tensor, pack.pack_rows(team, raw, data, layout, shape, path.signed))
    return Matrix(layout, tensor.rows, tensor.columns, tensor.copies, data, path.signed)


def _vector(source: Source, tensor: Stored) -> np.ndarray:
    values = np.ascontiguousarray(dequantise(source.raw(tensor).reshape(-1), tensor.format))
    _refuse(source, tensor, _not_finite(values))
    return values


def _packed_by_column(source: Source, tensor: Stored, pool: Pool, path: Path) -> ColumnMatrix:
    raw, data = source.raw(tensor), pool.take(tensor.nbytes)
    for copy in range(tensor.copies):
        rows = slice(copy * tensor.rows, (copy + 1) * tensor.rows)
        place = data.reshape(tensor.copies, -1)[copy]
        pack_columns(np.ascontiguousarray(raw[rows]), tensor.format, tensor.columns, place, path.signed)
    _refuse(source, tensor, _not_finite(scales_of(raw, tensor.format)))
    return ColumnMatrix(tensor.format, tensor.rows, tensor.columns, tensor.copies, data)


def _not_finite(values: np.ndarray) -> int:
    return values.size - int(np.isfinite(values).sum())


def _refuse(source: Source, tensor: Stored, n_found: int) -> None:
    """InputError if some of a tensor's scales, or of the elements of a float format, are infinite or not numbers."""
    if n_found:
        what = "elements" if FORMATS[tensor.format].block == 1 else "scales"
        raise InputError(
            f"{source.name}: tensor {printable(tensor.place)} has {n_found:,} {what} that are infinite or not numbers: "
            "the file is damaged, fetch it again"
        )
