"""The header of a safetensors file: its tensors with their sizes, without reading a weight."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from simulator.errors import InputError, describe, printable
from simulator.spec.textfiles import open_file

# 100,000 tensors take 15 MB; the largest that are published have about 5,000 in a shard.
MAX_HEADER_BYTES = 32 * 2**20
MAX_ITEMS = 4_000_000  # values in a header: what many small lists would take in memory is bounded by it
MAX_FILE_BYTES = 2**50

DTYPE_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8,
    "BOOL": 8, "C64": 64,
}  # fmt: skip
_POINTER = b"version https://git-lfs"


class HeldTensor(NamedTuple):
    """A tensor of a file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


def read_tensors(path: Path) -> list[HeldTensor]:
    """The tensors of a file in the order of its header; InputError if it is damaged."""
    with _collecting_later():
        return _tensors(path)


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Without searches for rings of garbage, which take three times what reading a large header does."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _tensors(path: Path) -> list[HeldTensor]:
    found = []
    for name, entry in _header(path):
        if name == "__metadata__":
            continue
        fields = dict(entry) if type(entry) is tuple else {}
        dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
        if not _are_counts(offsets) or len(offsets) != 2:
            raise InputError(f"{path}: damaged safetensors header: tensor {printable(name[:80])} has no data_offsets")
        start, end = offsets
        if not 0 <= start <= end <= MAX_FILE_BYTES:
            raise InputError(
                f"{path}: damaged safetensors header: tensor {printable(name[:80])} lies at impossible offsets"
            )
        if type(dtype) is not str or dtype not in DTYPE_BITS:
            raise InputError(f"{path}: tensor {printable(name[:80])} has the dtype {describe(dtype)}, which is unknown")
        if not _are_counts(shape):
            raise InputError(f"{path}: damaged safetensors header: tensor {printable(name[:80])} has no shape")
        found.append(HeldTensor(name, dtype, tuple(shape), end - start))
    return found


_INTEGERS = {int}


def _are_counts(value: object) -> bool:
    return type(value) is list and _INTEGERS.issuperset(map(type, value))


def is_pointer(path: Path) -> bool:
    """Whether Git LFS left its note in place of the file."""
    try:
        with open_file(path) as file:
            return file.read(len(_POINTER)) == _POINTER
    except (OSError, InputError):
        return False


def _header(path: Path) -> tuple[tuple[str, object], ...]:
    """The JSON in front of the data, its objects as tuples of pairs, which take a third of the memory of dictionaries."""

    def take(file: BinaryIO) -> bytes:
        length = int.from_bytes(file.read(8), "little")
        left = os.fstat(file.fileno()).st_size - 8
        if not 2 <= length <= min(MAX_HEADER_BYTES, left):
            raise InputError(f"{path}: not a safetensors file, or damaged (its header claims {length:,} bytes)")
        return file.read(length)

    return json_object(path, take, "damaged safetensors header", tuple)


def json_object(path: Path, take: Callable[[BinaryIO], bytes], wrong: str, kind: type) -> Any:
    """The JSON object whose text *take* reads, its objects as *kind* makes them of pairs; *wrong* says what is no such thing."""
    try:
        with open_file(path) as file:
            raw = take(file)
        if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_ITEMS:
            raise InputError(f"{path}: {wrong}: more than {MAX_ITEMS:,} values")
        found = json.loads(raw, object_pairs_hook=kind)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except InputError:
        raise
    except (ValueError, RecursionError):
        raise InputError(f"{path}: {wrong}: it is not JSON") from None
    if not isinstance(found, kind):
        raise InputError(f"{path}: {wrong}: it is not a JSON object")
    return found
