"""Weights in memory: every tensor of a source checked, and packed for this processor's kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

import numpy as np

from simulator.engine import pack
from simulator.engine.column_matrix import ColumnMatrix, pack_columns
from simulator.engine.cpu import Path
from simulator.engine.file_source import FileSource
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.layout import Layout
from simulator.engine.mapped_experts import ExpertMap, is_expert, map_experts
from simulator.engine.memory import Pool, check_room, whole_lines
from simulator.engine.simd import LANES
from simulator.engine.team import Entry, Tape, Team
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

    def part(self, first: int, count: int) -> Matrix:
        """Some of its rows as a matrix of their own, in the same memory; they are whole panels, but for the last."""
        if self.copies != 1 or first % LANES:
            raise ValueError(f"rows from {first} on of {self.copies} copies are no whole panels")
        panels = slice(
            self.layout.matrix_bytes(first, self.columns), self.layout.matrix_bytes(first + count, self.columns)
        )
        return replace(self, rows=count, data=self.data[panels])

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
    held = [tensor for tensor in source.tensors if experts_in is None or not is_expert(tensor)]
    total = sum(tensor.nbytes for tensor in held)
    check_room(f"{source.name}: its weights need", total)
    if isinstance(source, FileSource):
        for tensor in held:
            _check_numbers(source, tensor, team)
    sizes = [_packed_bytes(tensor, by_column) for tensor in held if not tensor.is_vector]
    pool = Pool(sum(whole_lines(size) for size in sizes))
    matrices, vectors, done = {}, {}, 0
    for tensor in held:
        raw = source.raw(tensor)
        key = (tensor.layer, tensor.role)
        if tensor.is_vector:
            vectors[key] = np.ascontiguousarray(dequantise(raw.reshape(-1), tensor.format))
        elif by_column(tensor.role):
            matrices[key] = _packed_by_column(tensor, raw, pool, path)
        else:
            matrices[key] = _packed(tensor, raw, pool, team, path)
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
    return Loaded(matrices, vectors, mapped)


def _map_experts(
    source: Source, folder: str | FilePath, team: Team, path: Path, by_column: Callable[[str], bool]
) -> ExpertMap | None:
    """The file of a source's experts, checked and packed where it is new."""
    if any(by_column(tensor.role) for tensor in source.tensors if is_expert(tensor)):
        raise InputError(f"{source.name}: experts on a disk are read whole, leave the sparsity out")

    def pack_into(tensor: Stored, place: np.ndarray) -> None:
        raw, layout = source.raw(tensor), LAYOUTS[tensor.format]
        if isinstance(source, FileSource):
            _check_numbers(source, tensor, team)
        matrix = Matrix(layout, tensor.rows, tensor.columns, tensor.copies, place, path.signed)
        with _packing_tape(matrix, raw) as tape:
            team.run(tape)
        source.release()

    return map_experts(folder, source, path.signed, pack_into)


def _packed_bytes(tensor: Stored, by_column: Callable[[str], bool]) -> int:
    """Bytes of a tensor once it is packed."""
    if by_column(tensor.role):
        return tensor.nbytes
    return LAYOUTS[tensor.format].matrix_bytes(tensor.rows, tensor.columns) * tensor.copies


def _packed(tensor: Stored, raw: np.ndarray, pool: Pool, team: Team, path: Path) -> Matrix:
    layout = LAYOUTS[tensor.format]
    data = pool.take(layout.matrix_bytes(tensor.rows, tensor.columns) * tensor.copies)
    matrix = Matrix(layout, tensor.rows, tensor.columns, tensor.copies, data, path.signed)
    with _packing_tape(matrix, raw) as tape:
        team.run(tape)
    return matrix


def _packed_by_column(tensor: Stored, raw: np.ndarray, pool: Pool, path: Path) -> ColumnMatrix:
    data = pool.take(tensor.nbytes)
    for copy in range(tensor.copies):
        rows = slice(copy * tensor.rows, (copy + 1) * tensor.rows)
        place = data.reshape(tensor.copies, -1)[copy]
        pack_columns(np.ascontiguousarray(raw[rows]), tensor.format, tensor.columns, place, path.signed)
    return ColumnMatrix(tensor.format, tensor.rows, tensor.columns, tensor.copies, data)


@contextmanager
def _packing_tape(matrix: Matrix, raw: np.ndarray) -> Iterator[Tape]:
    """The tape that packs a matrix from its rows of blocks, all copies."""
    layout = matrix.layout
    planes, claimed = pack.plane_table(layout), np.zeros(matrix.copies * 8, np.int64)
    kernel = pack.kernel()
    row_bytes = layout.row_bytes(matrix.columns)
    entries = []
    for copy in range(matrix.copies):
        task = np.zeros(pack.PLANES + 1, np.int64)
        task[pack.SOURCE] = raw.ctypes.data + copy * matrix.rows * row_bytes
        task[pack.DESTINATION] = matrix.address + copy * matrix.copy_bytes
        task[pack.ROWS], task[pack.ROW_BYTES] = matrix.rows, row_bytes
        task[pack.N_BLOCKS] = matrix.columns // layout.block
        task[pack.BLOCK_BYTES] = FORMATS[layout.name].block_bytes
        task[pack.CLAIMED] = claimed.ctypes.data + 64 * copy
        task[pack.FLIP] = 0 if matrix.signed else 0x80808080
        task[pack.N_PLANES], task[pack.PLANES] = len(planes), planes.ctypes.data
        entries.append(Entry(kernel, task))
    yield Tape([entries])


_EXPONENTS = {"f32": (4, 0x7F800000), "f16": (2, 0x7C00), "bf16": (2, 0x7F80)}


def _check_numbers(source: Source, tensor: Stored, team: Team) -> None:
    """InputError if a scale, or an element of a float format, is infinite or not a number."""
    raw = source.raw(tensor)
    block_bytes = int(FORMATS[tensor.format].block_bytes)
    if tensor.format in _EXPONENTS:
        size, mask = _EXPONENTS[tensor.format]
        places = [0]
    else:
        size, mask = _EXPONENTS["f16"]
        places = [plane.offset for plane in LAYOUTS[tensor.format].planes if plane.name in ("scale", "minimum")]
    found = np.zeros(16, np.int64)
    checks = []
    for place in places:
        task = np.zeros(pack.C_LENGTH, np.int64)
        task[pack.C_SOURCE], task[pack.C_BLOCKS] = raw.ctypes.data, raw.size // block_bytes
        task[pack.C_BLOCK_BYTES], task[pack.C_OFFSET] = block_bytes, place
        task[pack.C_SIZE], task[pack.C_MASK], task[pack.C_FOUND] = size, mask, found.ctypes.data
        checks.append(Entry(pack.check_kernel(), task))
    team.run(Tape([checks]))
    if found[0]:
        what = "elements" if tensor.format in _EXPONENTS else "scales"
        raise InputError(
            f"{source.name}: tensor {printable(tensor.place)} has {found[0]:,} {what} that are infinite or not numbers: "
            "the file is damaged, fetch it again"
        )
