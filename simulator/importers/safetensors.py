"""The header of a safetensors file: its tensors with their sizes, without reading a weight."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

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
    header = _header(path)
    header.pop("__metadata__", None)
    found = []
    for name, entry in header.items():
        dtype, shape, offsets = entry if isinstance(entry, tuple) else (None, None, None)
        if not _is_list_of_counts(offsets) or len(offsets) != 2:
            raise InputError(f"{path}: damaged safetensors header: tensor {printable(name[:80])} has no data_offsets")
        start, end = offsets
        if not 0 <= start <= end <= MAX_FILE_BYTES:
            raise InputError(
                f"{path}: damaged safetensors header: tensor {printable(name[:80])} lies at impossible offsets"
            )
        if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
            raise InputError(f"{path}: tensor {printable(name[:80])} has the dtype {describe(dtype)}, which is unknown")
        if not _is_list_of_counts(shape):
            raise InputError(f"{path}: damaged safetensors header: tensor {printable(name[:80])} has no shape")
        found.append(HeldTensor(name, dtype, tuple(shape), end - start))
    return found


def _is_list_of_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(each) is int for each in value)


def is_pointer(path: Path) -> bool:
    """Whether Git LFS left its note in place of the file."""
    try:
        with open_file(path) as file:
            return file.read(len(_POINTER)) == _POINTER
    except (OSError, InputError):
        return False


def _entry(pairs: list[tuple[str, object]]) -> object:
    """What is told of a tensor as a tuple, which takes a third of a dictionary's memory; another object as it is."""
    found = dict(pairs)
    if "data_offsets" in found or "dtype" in found:
        return found.get("dtype"), found.get("shape"), found.get("data_offsets")
    return found


def _header(path: Path) -> dict:
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
            left = os.fstat(file.fileno()).st_size - 8
            if not 2 <= length <= min(MAX_HEADER_BYTES, left):
                raise InputError(f"{path}: not a safetensors file, or damaged (its header claims {length:,} bytes)")
            raw = file.read(length)
        if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_ITEMS:
            raise InputError(f"{path}: damaged safetensors header: more than {MAX_ITEMS:,} values")
        header = json.loads(raw, object_pairs_hook=_entry)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except InputError:
        raise
    except (ValueError, RecursionError):
        raise InputError(f"{path}: damaged safetensors header: it is not JSON") from None
    if not isinstance(header, dict):
        raise InputError(f"{path}: damaged safetensors header: it is not a JSON object")
    return header
