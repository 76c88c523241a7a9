"""What stands in a GGUF file before its weights: keys, and each tensor's name, shape and format.

The header alone is read, through a memory map and with every length checked first, so that a file of hundreds of
gigabytes, the first megabyte of one, or a damaged one is answered at once.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simulator.errors import InputError, describe, printable
from simulator.importers.ggml_types import ARM_NAMES, BITNET_NAMES, IK_NAMES, stored_as, why_not
from simulator.spec.quant import Format
from simulator.spec.textfiles import open_file
from simulator.units import counted, format_bytes

MAX_TENSORS = 200_000
MAX_KEYS = 100_000
MAX_PARTS = 1000
MAX_TEXTS = 4_000_000  # entries of a string array; the largest vocabularies have some 260,000
MAX_TEXT_BYTES = 64 * 2**20  # of one string value; chat templates have some kB
MAX_HEADER_BYTES = 2**30  # what is mapped: headers have some MB
MAX_NESTED = 64
MAX_DIMS = 4
_MAX_NAME = 65_536
_ENTRY = tuple(struct.Struct(f"<{n_dims}QIQ") for n_dims in range(MAX_DIMS + 1))  # shape, type and offset of a tensor

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_WINDOW = 2**16  # bytes of texts that are looked at together
_KEPT_ARRAY = 4096  # longer arrays (vocabularies) are known by their length only


@dataclass(frozen=True)
class FileTensor:
    """One tensor of the file."""

    name: str
    shape: tuple[int, ...]  # as the file has it: row length first
    format: Format
    path: Path | None = None  # the file, or the part of a split one, that holds it
    offset: int = 0  # where its data starts in that file
    stored: str = ""  # ggml's name of its type; where rows are interleaved, not the format's

    @property
    def columns(self) -> int:
        """Length of a row."""
        return self.shape[0] if self.shape else 1

    @property
    def rows(self) -> int:
        """Rows, all further dimensions together."""
        return prod(self.shape[1:])

    @cached_property
    def nbytes(self) -> float:
        """Bytes of its data."""
        return self.format.nbytes(self.rows, self.columns)


@dataclass(frozen=True)
class Header:
    """What stands before the weights; of a split file, of all its parts."""

    keys: dict[str, Any]
    tensors: tuple[FileTensor, ...]
    notes: tuple[str, ...] = ()

    @property
    def tensor_bytes(self) -> float:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors)


def read_header(path: Path) -> Header:
    """The header of a file, or of all parts of a split file given any one of them."""
    first = _read_part(path)
    count = first.keys.get("split.count", 1)
    if not isinstance(count, int) or count <= 1:
        return first
    parts = [first if part == path else _read_part(part) for part in _part_paths(path, count)]
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    keys = {key: value for part in reversed(parts) for key, value in part.keys.items()}
    return Header(keys, tensors, tuple(note for part in parts for note in part.notes))


def _part_paths(path: Path, count: int) -> list[Path]:
    match = re.fullmatch(r"(.+)-(\d{5})-of-(\d{5})\.gguf", path.name)
    if count > MAX_PARTS:
        raise InputError(f"{path}: damaged header: split into {count:,} parts")
    if not match or int(match[3]) != count:
        raise InputError(
            f"{path}: is one of {count} parts, which are found by names such as NAME-00001-of-{count:05d}.gguf"
        )
    paths = [path.with_name(f"{match[1]}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1)]
    missing = [part.name for part in paths if not part.is_file()]
    if missing:
        raise InputError(f"{path}: part {missing[0]} is missing ({len(missing)} of {count}), all headers are needed")
    return paths


class _Cursor:
    """A place in the mapped file; every step is checked against its end."""

    def __init__(self, path: Path, data: mmap.mmap):
        self.path, self.data, self.at = path, data, 0
        self.keeps = False  # whether long arrays are read, rather than known by their length

    def take(self, code: str) -> Any:
        layout = struct.Struct("<" + code)
        self._need(layout.size)
        (value,) = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return value

    def text(self, limit: int = _MAX_NAME) -> str:
        length = self.take("Q")
        if length > limit:
            raise InputError(f"{self.path}: damaged header: a text of {length:,} bytes at byte {self.at - 8:,}")
        self._need(length)
        raw = self.data[self.at : self.at + min(length, 65_536)]
        self.at += length
        return raw.decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self.take(_SCALARS[kind])
        if kind == _STRING:
            return self.text(MAX_TEXT_BYTES)
        if kind == _ARRAY and depth < 3:
            return self._array(depth)
        raise InputError(f"{self.path}: damaged header: unknown value type {kind} at byte {self.at:,}")

    def _array(self, depth: int) -> Any:
        kind, length = self.take("I"), self.take("Q")
        if kind in _SCALARS:
            return self._numbers(_SCALARS[kind], length)
        self._need(8 * length)
        if length > (MAX_TEXTS if kind == _STRING else MAX_NESTED):
            raise InputError(f"{self.path}: damaged header: an array of {length:,} entries at byte {self.at:,}")
        if kind == _STRING:
            return self._skip_texts(length)
        return [self.value(kind, depth + 1) for _ in range(length)]

    def _numbers(self, code: str, length: int) -> list | Unread:
        n_bytes = length * struct.calcsize("<" + code)
        self._need(n_bytes)
        start, self.at = self.at, self.at + n_bytes
        return (
            Unread(length)
            if length > _KEPT_ARRAY and not self.keeps
            else list(struct.unpack_from(f"<{length}{code}", self.data, start))
        )

    def _skip_texts(self, count: int) -> Unread:
        # A vocabulary has some 100,000 entries, and as many merges or more: the one hot loop of reading a header.
        at, data, end, unpack = self.at, self.data, len(self.data), struct.Struct("<Q").unpack_from
        at, left = _past_short_texts(data, at, count)
        for _ in range(left):
            if at + 8 > end:
                self._need(end)
            at += 8 + unpack(data, at)[0]
        if at > end:
            self._need(at - self.at)
        start, self.at = self.at, at
        return self._texts(start, count) if self.keeps else Unread(count)

    def _texts(self, at: int, count: int) -> list[str]:
        found, data, unpack = [], self.data, struct.Struct("<Q").unpack_from
        for _ in range(count):
            length = unpack(data, at)[0]
            found.append(data[at + 8 : at + 8 + length].decode("utf-8", "replace"))
            at += 8 + length
        return found

    def _need(self, n_bytes: int) -> None:
        if self.at + n_bytes > len(self.data):
            raise InputError(
                f"{self.path}: the file ends inside its header (at byte {len(self.data):,}): damaged or not fully downloaded"
            )


def _past_short_texts(data: mmap.mmap, at: int, count: int) -> tuple[int, int]:
    """Where the first text begins that is not one of many short ones, and how many of the *count* from *at* on are left.

    A text is a length of eight bytes and as many bytes as it says. Wherever seven zeros follow a byte a short text may begin; it does
    where the one before ends there, and the first begins at *at*.
    """
    while count:
        window = np.frombuffer(data[at : at + _WINDOW], np.uint8)
        zeros = window == 0
        pairs = zeros[:-1] & zeros[1:]
        fours = pairs[:-2] & pairs[2:]
        starts = np.flatnonzero(fours[1:-3] & fours[4:])
        ends = starts + 8 + window[starts]
        follows = ends[:-1] == starts[1:]
        told = min(count, len(follows) if follows.all() else int(follows.argmin()))
        if not told or starts[0]:
            break
        at, count = at + int(starts[told]), count - told
    return at, count


@dataclass(frozen=True)
class Unread:
    """A long array of which only the length was kept."""

    length: int


def read_long_keys(path: Path, prefix: str) -> dict[str, Any]:
    """The keys of a file that start with *prefix*, with their long arrays (vocabularies) in full."""

    def collect(cursor: _Cursor) -> dict[str, Any]:
        _, n_keys = _start(path, cursor)
        found = {}
        for _ in range(n_keys):
            key = cursor.text()
            cursor.keeps = key.startswith(prefix)
            value = cursor.value(cursor.take("I"))
            if cursor.keeps:
                found[key] = value
        return found

    return _with_cursor(path, lambda cursor, _size: collect(cursor))


def _read_part(path: Path) -> Header:
    return _with_cursor(path, lambda cursor, size: _parse(path, cursor, size))


def _with_cursor(path: Path, use: Callable[[_Cursor, int], Any]) -> Any:
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size < 24:
                raise InputError(f"{path}: {counted(size, 'byte')}, too few for a GGUF file")
            with mmap.mmap(file.fileno(), min(size, MAX_HEADER_BYTES), access=mmap.ACCESS_READ) as data:
                return use(_Cursor(path, data), size)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _start(path: Path, cursor: _Cursor) -> tuple[int, int]:
    """Past the magic and the version: how many tensors and keys there are."""
    if cursor.data[:4] != b"GGUF":
        raise InputError(f"{path}: not a GGUF file, which starts with the letters GGUF; fetch or convert it anew")
    cursor.at = 4
    version = cursor.take("I")
    if int.from_bytes(version.to_bytes(4, "little"), "big") in (2, 3):
        raise InputError(f"{path}: a big-endian GGUF file is not supported, convert it to little-endian")
    if version not in (2, 3):
        raise InputError(f"{path}: GGUF version {version} is not supported, versions 2 and 3 are")
    n_tensors, n_keys = cursor.take("Q"), cursor.take("Q")
    if n_tensors > MAX_TENSORS or n_keys > MAX_KEYS:
        raise InputError(f"{path}: damaged header: {n_tensors:,} tensors and {n_keys:,} keys")
    return n_tensors, n_keys


def _parse(path: Path, cursor: _Cursor, size: int) -> Header:
    n_tensors, n_keys = _start(path, cursor)
    keys = {}
    for _ in range(n_keys):
        key = cursor.text()
        keys[key] = cursor.value(cursor.take("I"))
    found = list(_entries(path, cursor, n_tensors))
    alignment = keys.get("general.alignment", 32)
    if isinstance(alignment, bool) or not isinstance(alignment, int) or not 1 <= alignment <= 2**30:
        found = "a long list" if isinstance(alignment, Unread) else describe(alignment)
        raise InputError(f"{path}: damaged header: general.alignment is {found}")
    start = -(-cursor.at // alignment) * alignment
    architecture = keys.get("general.architecture")
    tensors = tuple(_tensor(path, entry, start, architecture) for entry in found)
    return Header(keys, tensors, (*_other_readers(path, tensors), *_truncation(path, tensors, size)))


class _Entry(NamedTuple):
    """What the header says of one tensor."""

    name: str
    shape: tuple[int, ...]
    kind: int  # ggml's number of its type
    offset: int


def _entries(path: Path, cursor: _Cursor, count: int) -> Iterator[_Entry]:
    # Files with a tensor for each expert have some 100,000: the other hot loop.
    at, data, end = cursor.at, cursor.data, len(cursor.data)
    length_of, dims_of = struct.Struct("<Q").unpack_from, struct.Struct("<I").unpack_from
    for _ in range(count):
        length = length_of(data, at)[0] if at + 8 <= end else 0
        start = at + 8 + length
        if length > _MAX_NAME or start + 4 > end:
            cursor.at = at
            cursor.text()
            cursor.take("I")
        name = data[at + 8 : start].decode("utf-8", "replace")
        (n_dims,) = dims_of(data, start)
        if n_dims > MAX_DIMS:
            raise InputError(f"{path}: damaged header: tensor {name[:80]!r} has {n_dims} dimensions")
        layout = _ENTRY[n_dims]
        at = start + 4
        if at + layout.size > end:
            cursor.at = at
            cursor.take(f"{layout.size}s")
        *shape, kind, offset = layout.unpack_from(data, at)
        at += layout.size
        yield _Entry(name, tuple(shape), kind, offset)
    cursor.at = at


def _tensor(path: Path, entry: _Entry, start: int, architecture: object) -> FileTensor:
    name, shape = entry.name, entry.shape
    stored = stored_as(entry.kind, architecture)
    if stored is None:
        raise InputError(
            f"{path}: tensor {printable(name, 80)} is stored in ggml type {entry.kind}, {why_not(entry.kind)}"
        )
    if any(not 1 <= size <= 2**40 for size in shape) or prod(shape) > 2**50:
        raise InputError(f"{path}: damaged header: tensor {name[:80]!r} has the shape {shape}")
    columns = shape[0] if shape else 1
    if columns % stored.format.block:
        raise InputError(f"{path}: tensor {name[:80]!r}: rows of {columns} do not divide into {stored.name} blocks")
    return FileTensor(name, shape, stored.format, path, start + entry.offset, stored.name)


def _other_readers(path: Path, tensors: tuple[FileTensor, ...]) -> tuple[str, ...]:
    """Which of its types llama.cpp does not read, and who does."""
    names = {tensor.stored for tensor in tensors}
    notes = {
        "llama.cpp reads no more: it rearranges rows of q4_0 as it loads": names & ARM_NAMES,
        "ik_llama.cpp reads and llama.cpp does not": names & IK_NAMES,
        "bitnet.cpp reads and llama.cpp does not": names & BITNET_NAMES,
    }
    return tuple(f"{path.name} holds {', '.join(sorted(found))}, which {who}" for who, found in notes.items() if found)


def _truncation(path: Path, tensors: tuple[FileTensor, ...], size: int) -> tuple[str, ...]:
    needed = max((tensor.offset + tensor.nbytes for tensor in tensors), default=0)
    if size >= needed:
        return ()
    return (
        f"{path.name} holds {format_bytes(size)} of {format_bytes(needed)}: enough to forecast from its header, not to run",
    )
