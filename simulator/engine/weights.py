"""Weights in memory: read from a GGUF file or drawn at random, checked, and packed for this processor's kernels."""

from __future__ import annotations

import contextlib
import mmap
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np

from simulator.engine import pack
from simulator.engine.cpu import Path as CpuPath
from simulator.engine.formats import LAYOUTS, Layout
from simulator.engine.sparse import ColumnMatrix, pack_columns
from simulator.engine.team import Entry, Tape, Team
from simulator.errors import InputError, printable
from simulator.importers.gguf_header import FileTensor
from simulator.machine.files import Tree
from simulator.machine.memory import read_memory
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS, Weights, uniform
from simulator.spec.textfiles import open_file
from simulator.units import format_bytes

CONVERTIBLE = ("q8_0", "f16", "bf16", "f32", "q4_0", "q4_1", "q5_0", "q5_1")
_BLOCK = re.compile(r"blk\.(\d{1,6})\.(.+)")
Progress = Callable[[int, int], None]  # bytes done, of bytes in all


@dataclass(frozen=True)
class Stored:
    """One tensor of a model as its source has it."""

    role: str  # GGUF's name without block and `.weight`
    layer: int  # -1 outside the layers
    format: str
    rows: int  # of one copy
    columns: int
    copies: int  # experts; 1 for anything else
    is_vector: bool  # norms, biases and tables: kept as float32, not packed

    @property
    def nbytes(self) -> int:
        """Bytes of its data."""
        return int(FORMATS[self.format].nbytes(self.rows * self.copies, self.columns))

    @property
    def place(self) -> str:
        """Its name as a file has it."""
        return f"blk.{self.layer}.{self.role}" if self.layer >= 0 else self.role


class Source(Protocol):
    """Where weights come from."""

    name: str
    tensors: tuple[Stored, ...]

    def raw(self, tensor: Stored) -> np.ndarray:
        """The tensor's bytes: uint8 [copies * rows, bytes of a row]."""

    def release(self) -> None:
        """Lets go of the memory that reading took."""


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


def dequantise(raw: np.ndarray, name: str) -> np.ndarray:
    """Blocks of a format as float32."""
    if name == "f32":
        return raw.view(np.float32)
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    return dequantize(raw, GGMLQuantizationType[name.upper()]).astype(np.float32, copy=False)


LINE = 64  # bytes of a cache line
LARGE_PAGE = 2**21


def aligned(nbytes: int) -> np.ndarray:
    """Uninitialised memory that starts on a cache line: uint8 [nbytes]."""
    room = np.empty(nbytes + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + nbytes]


def mapped_memory(nbytes: int) -> mmap.mmap:
    """So much memory of zeros, in large pages where the system gives them; MemoryError where it does not give so much."""
    try:
        found = mmap.mmap(-1, nbytes)
    except OSError as error:  # what the system says of lack of memory, numpy says in this way
        raise MemoryError(f"{format_bytes(nbytes)}: {error.strerror}") from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a wish, not a need
            found.madvise(mmap.MADV_HUGEPAGE)
    return found


class Pool:
    """Memory for many matrices in one piece, in large pages where the system gives them.

    With pages of 4 KiB a processor looks up where they are again and again: matrices of some MB were read 3 to 5 % slower.
    """

    def __init__(self, nbytes: int):
        room = np.frombuffer(mapped_memory(nbytes + LARGE_PAGE), np.uint8)
        self._room = room[-room.ctypes.data % LARGE_PAGE :]
        self._used = 0

    @staticmethod
    def size_of(nbytes: int) -> int:
        """Bytes that so many take up."""
        return -(-nbytes // LINE) * LINE

    def take(self, nbytes: int) -> np.ndarray:
        """The next piece: uint8 [nbytes], starting on a cache line."""
        start = self._used
        self._used += self.size_of(nbytes)
        return self._room[start : start + nbytes]


# ---- from a file ----


class FileSource:
    """The tensors of a GGUF file, mapped into memory part by part."""

    def __init__(self, path: Path, tensors: tuple[FileTensor, ...], convert: str | None = None):
        """*convert* names a format that tensors in formats without a kernel are turned into; None refuses them."""
        if convert is not None and convert not in CONVERTIBLE:
            raise InputError(f"--convert {convert[:40]!r}: tensors can be turned into {', '.join(CONVERTIBLE)}")
        self.name = str(path)
        self.path = path
        self._files = {}
        self._where: dict[Stored, FileTensor] = {}
        self._convert = convert
        for tensor in tensors:
            self._add(tensor)
        self.tensors = tuple(self._where)

    def _add(self, tensor: FileTensor) -> None:
        match = _BLOCK.fullmatch(tensor.name)
        if not match and tensor.name.startswith("blk."):
            raise InputError(f"{self.path}: tensor {printable(tensor.name)} belongs to no layer: damaged")
        name = (match[2] if match else tensor.name).removesuffix(".weight")
        is_vector = len(tensor.shape) < 2
        stored = Stored(
            role=name,
            layer=int(match[1]) if match else -1,
            format=self._format(tensor, is_vector),
            rows=1 if is_vector else tensor.shape[1],
            columns=tensor.columns,
            copies=prod(tensor.shape[2:]),
            is_vector=is_vector,
        )
        self._where[stored] = tensor

    def _format(self, tensor: FileTensor, is_vector: bool) -> str:
        name = tensor.format.name
        if name in LAYOUTS:
            return name
        wanted = "f32" if is_vector else self._convert
        if not self._convert:
            raise InputError(
                f"{self.path}: tensor {printable(tensor.name)} is stored in {name}, which the engine has no kernel for; "
                f"--convert q8_0 turns such tensors into q8_0 while loading (kernels: {', '.join(LAYOUTS)})"
            )
        if tensor.columns % FORMATS[wanted].block:
            raise InputError(
                f"{self.path}: tensor {printable(tensor.name)}: rows of {tensor.columns} do not divide into {wanted} blocks"
            )
        return wanted

    def raw(self, tensor: Stored) -> np.ndarray:
        """The tensor's bytes: uint8 [copies * rows, bytes of a row]."""
        there = self._where[tensor]
        path = there.path or self.path
        if path not in self._files:
            try:
                with open_file(path) as file:
                    self._files[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: cannot be read ({error})") from None
        nbytes = int(there.nbytes)
        found = np.frombuffer(self._files[path], np.uint8, nbytes, there.offset).reshape(there.rows, -1)
        if there.format.name == tensor.format:
            return found
        try:
            return _converted(found, there.format.name, tensor.format)
        except (NotImplementedError, ValueError, KeyError) as error:
            raise InputError(
                f"{path}: tensor {printable(there.name)} cannot be turned from {there.format.name} into {tensor.format} ({error!r})"
            ) from None

    def release(self) -> None:
        """Gives the mapped pages back: they stay in the system's cache, but count no longer as ours."""
        for mapped in self._files.values():
            if hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)


def _converted(raw: np.ndarray, name: str, wanted: str) -> np.ndarray:
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    return quantize(dequantise(raw, name), GGMLQuantizationType[wanted.upper()]).view(np.uint8)


def check_vectors(source: FileSource, model: Model, n_pairs: int) -> None:
    """InputError if a vector is missing, has not the length of what it meets, or is one that the engine would not use.

    *n_pairs*: pairs of a head's dimensions that turn, each with a factor where the file has a table of them.
    """
    wanted = {(t.layer, t.role): t.columns for t in _stored_tensors(model, uniform(FORMATS["f32"])) if t.is_vector}
    found = {(t.layer, t.role): t for t in source.tensors if t.is_vector}
    for key, tensor in found.items():
        length = n_pairs if key == (-1, "rope_freqs") else wanted.get(key)
        if length is None:
            raise InputError(
                f"{source.name}: the engine would not use the vector {printable(tensor.place)}, so it stops here"
            )
        if tensor.columns != length:
            raise InputError(
                f"{source.name}: vector {printable(tensor.place)} has {tensor.columns:,} elements, {length:,} are needed"
            )
    for layer, role in wanted.keys() - found.keys():
        place = f"blk.{layer}.{role}" if layer >= 0 else role
        raise InputError(f"{source.name}: vector {place} is missing: damaged, or another kind of model")


# ---- drawn ----


class DrawnSource:
    """Random weights of any model's shapes, drawn as blocks of their format: nothing passes through float32.

    Quants are uniform; scales are such that a matrix keeps the size of its input.
    """

    def __init__(self, model: Model, weights: Weights, seed: int = 0):
        self.name = f"{model.name}, random weights"
        self._seed = seed
        self.tensors = tuple(_stored_tensors(model, weights))

    def raw(self, tensor: Stored) -> np.ndarray:
        """The tensor's bytes: uint8 [copies * rows, bytes of a row]."""
        if tensor.is_vector:
            fill = 0.0 if tensor.role.endswith(".bias") or tensor.role == "ffn_gate_inp_shexp" else 1.0
            return np.full((1, tensor.columns), fill, np.float32).view(np.uint8)
        key = [self._seed, tensor.layer + 1, *tensor.role.encode()]
        rng = np.random.Generator(np.random.SFC64(key))
        words = rng.integers(0, 2**64, -(-tensor.nbytes // 8), np.uint64)
        raw = words.view(np.uint8)[: tensor.nbytes].reshape(tensor.rows * tensor.copies, -1)
        _set_scales(raw, tensor.format, tensor.columns)
        return raw

    def release(self) -> None:
        """Nothing is held."""


def _stored_tensors(model: Model, weights: Weights) -> Iterator[Stored]:
    for layer, indices, tensors in model.shapes:
        for index in indices:
            for tensor in tensors:
                fmt = weights.choose(model.slot(index, layer, tensor)).name
                role = _FILE_NAMES.get(tensor.role, tensor.role) if layer else tensor.role
                where = index if layer else -1
                if tensor.is_vector:
                    fmt = "f32"
                if fmt not in LAYOUTS:
                    raise InputError(
                        f"weights {weights.name}: the engine has no kernel for {fmt}, only for {', '.join(LAYOUTS)}"
                    )
                if tensor.columns % FORMATS[fmt].block:
                    raise InputError(
                        f"weights {weights.name}: rows of {tensor.columns} ({tensor.role}) do not divide into {fmt} blocks of "
                        f"{FORMATS[fmt].block}"
                    )
                yield Stored(role, where, fmt, tensor.rows, tensor.columns, tensor.copies, tensor.is_vector)


_FILE_NAMES = {
    "norm_0": "attn_norm",
    "norm_1": "ffn_norm",
    "norm_2": "post_attention_norm",
    "norm_3": "post_ffw_norm",
}

# Standard deviation of a block's integers when its bytes are uniform, and the centre that a minimum has to take away.
_SPREAD = {"q8_0": 73.9, "q4_0": 4.61, "q4_1": 4.61, "q5_0": 9.23, "q5_1": 9.23, "q4_k": 195, "q5_k": 390, "q6_k": 1370}
_CENTRE = {"q4_1": -7.5, "q5_1": -15.5, "q4_k": 7.5, "q5_k": 15.5}


def _set_scales(raw: np.ndarray, name: str, columns: int) -> None:
    """Writes scales into random blocks so that weights have a standard deviation of about columns ** -0.5."""
    spread = columns**-0.5
    if name in ("f32", "f16", "bf16"):
        _set_exponents(raw, name, spread)
        return
    layout = LAYOUTS[name]
    blocks = raw.reshape(len(raw), -1, int(FORMATS[name].block_bytes))
    scale = spread / _SPREAD[name]
    for plane in layout.planes:
        value = {"scale": scale, "minimum": scale * _CENTRE.get(name, 0.0)}.get(plane.name)
        if value is not None:
            blocks[:, :, plane.offset : plane.offset + 2] = np.array([value], np.float16).view(np.uint8)


def _set_exponents(raw: np.ndarray, name: str, spread: float) -> None:
    """Keeps sign and fraction of random floats, and sets their exponent: |w| between 0.7 and 1.4 of the spread."""
    bits = {"f32": (np.uint32, 23, 8, 127), "f16": (np.uint16, 10, 5, 15), "bf16": (np.uint16, 7, 8, 127)}[name]
    kind, fraction, width, bias = bits
    words = raw.view(kind)
    exponent = round(np.log2(spread / 1.53)) + bias  # fractions between 1 and 2 have a root mean square of 1.53
    words &= kind(~(((1 << width) - 1) << fraction) & ((1 << 8 * words.itemsize) - 1))
    words |= kind(max(exponent, 1) << fraction)


# ---- into memory ----


def load(
    source: Source,
    team: Team,
    path: CpuPath,
    progress: Progress | None = None,
    by_column: Callable[[str], bool] = lambda _role: False,
) -> Loaded:
    """Every tensor of a source checked for numbers that are none, then packed; InputError names what cannot be used.

    *by_column* says which roles are packed for sparse inputs.
    """
    total = sum(tensor.nbytes for tensor in source.tensors)
    check_room(f"{source.name}: its weights need", total)
    if isinstance(source, FileSource):
        for tensor in source.tensors:
            _check_numbers(source, tensor, team)
    sizes = [_packed_bytes(tensor, by_column) for tensor in source.tensors if not tensor.is_vector]
    pool = Pool(sum(Pool.size_of(size) for size in sizes))
    matrices, vectors, done = {}, {}, 0
    for tensor in source.tensors:
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
    return Loaded(matrices, vectors)


def check_room(what: str, needed: int) -> None:
    """InputError if there is less memory than is needed."""
    available = available_bytes()
    if available is not None and needed > available:
        raise InputError(f"{what} {format_bytes(needed)} of memory, {format_bytes(available)} are available")


def available_bytes() -> int | None:
    """Memory that can be had without swapping, as far as the system tells; a container has only what it was given."""
    return read_memory(Tree(Path("/")))[1]


def _packed_bytes(tensor: Stored, by_column: Callable[[str], bool]) -> int:
    """Bytes of a tensor once it is packed."""
    if by_column(tensor.role):
        return tensor.nbytes
    return LAYOUTS[tensor.format].matrix_bytes(tensor.rows, tensor.columns) * tensor.copies


def _packed(tensor: Stored, raw: np.ndarray, pool: Pool, team: Team, path: CpuPath) -> Matrix:
    layout = LAYOUTS[tensor.format]
    data = pool.take(layout.matrix_bytes(tensor.rows, tensor.columns) * tensor.copies)
    matrix = Matrix(layout, tensor.rows, tensor.columns, tensor.copies, data, path.signed)
    with _packing_tape(matrix, raw) as tape:
        team.run(tape)
    return matrix


def _packed_by_column(tensor: Stored, raw: np.ndarray, pool: Pool, path: CpuPath) -> ColumnMatrix:
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
