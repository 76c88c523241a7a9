"""The header of a safetensors file: how many bytes it holds of which dtype, without reading a weight."""

from __future__ import annotations

import json
import os
from pathlib import Path

from simulator.errors import InputError, describe, printable
from simulator.spec.textfiles import open_file

MAX_HEADER_BYTES = 16 * 2**20  # a shard's header has up to a few MB

_DTYPES = frozenset(
    "F64 F32 F16 BF16 F8_E4M3 F8_E5M2 F8_E8M0 F4 I64 I32 I16 I8 U64 U32 U16 U8 BOOL".split()  # noqa: SIM905 - reads better
)


def bytes_by_dtype(path: Path) -> dict[str, int]:
    """Bytes by dtype, from the JSON header in front of the data."""
    header = _header(path)
    found: dict[str, int] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, offsets = (entry.get("dtype"), entry.get("data_offsets")) if isinstance(entry, dict) else (None, None)
        if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(each) is int for each in offsets)):
            raise InputError(f"{path}: damaged safetensors header: tensor {printable(name)} has no data_offsets")
        start, end = offsets
        if not 0 <= start <= end <= 2**50:
            raise InputError(f"{path}: damaged safetensors header: tensor {printable(name)} lies at impossible offsets")
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise InputError(f"{path}: tensor {printable(name)} has the dtype {describe(dtype)}, which is unknown")
        found[dtype] = found.get(dtype, 0) + end - start
    return found


def _header(path: Path) -> dict:
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, os.fstat(file.fileno()).st_size - 8):
                raise InputError(f"{path}: not a safetensors file, or damaged (its header claims {length:,} bytes)")
            header = json.loads(file.read(length))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except InputError:
        raise
    except (ValueError, RecursionError):
        raise InputError(f"{path}: damaged safetensors header: it is not JSON") from None
    if not isinstance(header, dict):
        raise InputError(f"{path}: damaged safetensors header: it is not a JSON object")
    return header
