"""Weights in memory: every tensor of a source checked, and packed for this processor's kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

import numpy as np

from simulator.engine import pack
from simulator.engine.column_matrix import ColumnMatrix, pack_columns, scales_of
from simulator.engine.cpu import Path
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.layout import Layout
from simulator.engine.mapped_experts import ExpertMap, is_expert, map_experts
from simulator.engine.memory import Pool, check_room, whole_lines
from simulator.engine.simd import LANES
from simulator.engine.team import Team
from simulator.engine.tensors import SCALE, SCALED, Source, Stored, dequantise
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
    step: int = 0  # bytes from one copy to the next, where each is part of a larger one
    scales: np.ndarray | None = None  # float32 [copies]: what is multiplied by it, where the file has such

    @property
    def address(self) -> int:
        """Where its first panel is."""
        return self.data.ctypes.data

    @property
    def copy_bytes(self) -> int:
        """Bytes from one copy to the next."""
        return self.step or self.layout.matrix_bytes(self.rows, self.columns)

    def part(self, first: int, count: int) -> Matrix:
        """Some of its rows, of every copy, as a matrix of their own in the same memory; they are whole panels, but for the last."""
        if first % LANES:
            raise ValueError(f"rows from {first} on are no whole panels")
        start, size = self.layout.matrix_bytes(first, self.columns), self.layout.matrix_bytes(count, self.columns)
        end = start + (self.copies - 1) * self.copy_bytes + size
        return replace(self, rows=count, data=self.data[start:end], step=self.copy_bytes if self.copies > 1 else 0)

    def rows_of(self, numbers: np.ndarray) -> np.ndarray:
        """Some rows: float32 [n, columns]."""
        raw = pack.unpack_rows(self.data, self.layout, np.asarray(numbers), self.columns, self.signed)
        return dequantise(raw, self.layout.name)


@dataclass(frozen=True)
class Loaded:
    """A model's weights, by layer and role."""

    matrices: Mapping[tuple[int, str], Matrix | ColumnMatrix]
    vectors: Mapping[tuple[int, str], np.ndarray]  # float32
    mapped: ExpertMap | None = None  # the file that experts are read from, if not from memory

    @property
    def nbytes(self) -> int:
        """Bytes in memory; experts in a file take none of it for good."""
        mapped = sum(place.stop - place.start for place in self.mapped.places.values()) if self.mapped else 0
        return sum(each.data.nbytes for each in self.matrices.values()) + self.vector_bytes - mapped

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
    experts_in: str | FilePath | None = None,
) -> Loaded:
    """Every tensor of a source checked for numbers that are none, then packed; InputError names what cannot be used.

    *by_column* says which roles are packed for sparse inputs; *experts_in* names a folder that experts are kept in.
    """
    if experts_in is not None and not any(map(is_expert, source.tensors)):
        raise InputError(f"{source.name} has no experts to keep in {printable(str(experts_in))}, leave that out")
    held = [tensor for tensor in source.tensors if experts_in is None or not is_expert(tensor)]
    total = sum(tensor.nbytes for tensor in held)
    check_room(f"{source.name}: its weights need", total)
    sizes = [_packed_bytes(tensor, by_column) for tensor in held if not tensor.is_vector]
    pool = Pool(sum(whole_lines(size) for size in sizes))
    matrices, vectors, done = {}, {}, 0
    for tensor in held:
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
    mapped = None if experts_in is None else _map_experts(source, experts_in, team, path, by_column)
    for tensor in mapped.places if mapped else ():
        layout = LAYOUTS[tensor.format]
        matrices[tensor.layer, tensor.role] = Matrix(
            layout, tensor.rows, tensor.columns, tensor.copies, mapped.data(tensor), path.signed
        )
    _attach_scales(source, matrices, vectors)
    return Loaded(matrices, vectors, mapped)


def _attach_scales(source: Source, matrices: dict, vectors: Mapping[tuple[int, str], np.ndarray]) -> None:
    """Gives matrices the scales of their results."""
    for (layer, role), scales in vectors.items():
        key = (layer, role.removesuffix(SCALE))
        if key[1] not in SCALED or not role.endswith(SCALE):
            continue
        if len(scales) != matrices[key].copies:
            raise InputError(
                f"{source.name}: tensor blk.{layer}.{role} has {len(scales):,} numbers, {matrices[key].copies:,} are needed"
            )
        matrices[key] = replace(matrices[key], scales=scales)


def _map_experts(
    source: Source, folder: str | FilePath, team: Team, path: Path, by_column: Callable[[str], bool]
) -> ExpertMap:
    """The file of a source's experts, checked and packed where it is new."""
    if any(by_column(tensor.role) for tensor in source.tensors if is_expert(tensor)):
        raise InputError(f"{source.name}: experts on a disk are read whole, leave the sparsity out")

    def pack_into(tensor: Stored, place: np.ndarray) -> None:
        _pack_into(source, tensor, place, team, path)
        source.release()

    return map_experts(folder, source, path.signed, pack_into)


def _packed_bytes(tensor: Stored, by_column: Callable[[str], bool]) -> int:
    """Bytes of a tensor once it is packed."""
    if by_column(tensor.role):
        return tensor.nbytes
    return LAYOUTS[tensor.format].matrix_bytes(tensor.rows, tensor.columns) * tensor.copies


def _packed(source: Source, tensor: Stored, pool: Pool, team: Team, path: Path) -> Matrix:
    layout = LAYOUTS[tensor.format]
    data = pool.take(layout.matrix_bytes(tensor.rows, tensor.columns) * tensor.copies)
    _pack_into(source, tensor, data, team, path)
    return Matrix(layout, tensor.rows, tensor.columns, tensor.copies, data, path.signed)


def _pack_into(source: Source, tensor: Stored, place: np.ndarray, team: Team, path: Path) -> None:
    """Writes a tensor's panels; InputError if it has numbers that are none."""
    shape = (tensor.copies, tensor.rows, tensor.columns)
    _refuse(source, tensor, pack.pack_rows(team, source.raw(tensor), place, LAYOUTS[tensor.format], shape, path.signed))


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
