"""One file of a sweep, read with pyarrow, or with DuckDB where only that is installed: both trust the same.

A file is known by its mark, which says of what sweep and which part it is, and each of its pages has a checksum, which is compared
before a value of it is given away. pyarrow does so itself; for DuckDB, which does not, it is done here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from simulator.errors import InputError
from simulator.sweeping.rows import MARK

Columns = dict[str, np.ndarray]
Reader = Callable[[Path, list[str], bytes], Columns]  # of a file with a mark

HEADER_BYTES = 2**16  # within which a page's header ends: it has a few numbers, and statistics of two of the columns
_SIZE, _CHECKSUM = 3, 4  # fields of a page's header: of its bytes as they are stored


def reader() -> Reader:
    """The one that is installed. What it raises where a file is not as it was written: OSError, ValueError or KeyError."""
    for name, found in (("pyarrow", _with_arrow), ("duckdb", _with_duckdb)):
        if find_spec(name) is not None:
            return found
    raise InputError("a sweep is read with pyarrow or duckdb: pip install '.[sweep]' in a checkout")


def _refuse_unmarked(found: bytes | None, mark: bytes) -> None:
    """ValueError for a file of another sweep, or of another part of this one."""
    if found != mark:
        raise ValueError("its rows are not those of this part of the sweep")


def _with_arrow(path: Path, columns: list[str], mark: bytes) -> Columns:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        _refuse_unmarked((file.metadata.metadata or {}).get(MARK), mark)
        table = file.read(columns)
    return {name: _values(table[name]) for name in columns}


def _values(column: Any) -> np.ndarray:
    """A column of Arrow's: texts once each, and None for those that are missing."""
    array = column.combine_chunks()
    if not hasattr(array, "dictionary"):
        return array.to_numpy(zero_copy_only=False)
    names = np.array([*array.dictionary.to_pylist(), None], object)
    return names[array.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def _with_duckdb(path: Path, columns: list[str], mark: bytes) -> Columns:
    import duckdb

    listed = ", ".join(f'"{name}"' for name in columns)
    try:
        with duckdb.connect() as connection:
            query = "select value from parquet_kv_metadata(?) where key = ?"
            marked = connection.execute(query, [str(path), MARK]).fetchone()
            _refuse_unmarked(marked and marked[0], mark)
            query = (
                "select coalesce(dictionary_page_offset, data_page_offset), total_compressed_size from parquet_metadata(?) "
                f"where path_in_schema in ({', '.join('?' * len(columns))})"
            )
            _compare_checksums(path, connection.execute(query, [str(path), *columns]).fetchall())
            query = f"select {listed} from read_parquet(?, hive_partitioning = false)"
            found = connection.execute(query, [str(path)]).fetchnumpy()
    except duckdb.Error as error:
        raise FileNotFoundError(str(error)) if not path.exists() else OSError(str(error)) from None
    return {name: _unmasked(np.ma.asarray(found[name])) for name in columns}


def _unmasked(values: np.ma.MaskedArray) -> np.ndarray:
    if values.dtype.kind == "f":
        return values.filled(np.nan)
    return np.where(np.ma.getmaskarray(values), None, values.data) if values.dtype == object else values.data


def _compare_checksums(path: Path, chunks: list[tuple[int, int]]) -> None:
    """OSError where a page of a column's chunk, of so many bytes from an offset on, has another checksum than it was written with."""
    with path.open("rb") as file:
        for start, length in chunks:
            for content, checksum in _pages(file, start, start + length):
                if checksum is None or zlib.crc32(content) != checksum % 2**32:
                    raise OSError("a page's checksum is another than its values have")


def _pages(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int | None]]:
    """The bytes of each page of a chunk, and the checksum that stands before them."""
    while start < end:
        file.seek(start)
        header = _Header(file.read(min(HEADER_BYTES, end - start)))
        try:
            fields = header.numbers()
        except IndexError:
            raise OSError("a page's header is cut off") from None
        size = fields.get(_SIZE, -1)
        if not 0 <= size <= end - start - header.at:
            raise OSError("a page's header is damaged")
        file.seek(start + header.at)
        yield file.read(size), fields.get(_CHECKSUM)
        start += header.at + size


class _Header:
    """A page's header as Thrift's compact protocol writes it: thrift/doc/specs/thrift-compact-protocol.md, parquet.thrift."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def numbers(self) -> dict[int, int]:
        """The whole numbers of a structure by their fields; what else it has is passed over. IndexError where it is cut off."""
        found, field = {}, 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            value = self._value(head & 15)
            if value is not None:
                found[field] = value
        return found

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _length(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def _number(self) -> int:
        value = self._length()
        return (value >> 1) ^ -(value & 1)

    def _value(self, kind: int) -> int | None:
        """What a field of a kind holds, if that is a whole number."""
        if kind in (1, 2):  # true and false, which are no more than their kind
            return None
        if kind in (4, 5, 6):
            return self._number()
        if kind == 12:
            self.numbers()
        elif kind in (3, 7):
            self.at += 1 if kind == 3 else 8
        elif kind == 8:
            length = self._length()
            self.at += length
        else:
            raise OSError("a page's header is damaged")
        return None
