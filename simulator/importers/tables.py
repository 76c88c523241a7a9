"""Tables of our own with a row for each measurement, other than of decodes: which kind a file is of, and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.errors import InputError, printable
from simulator.importers.records import MAX_ROWS, Record
from simulator.spec.library import is_file
from simulator.spec.textfiles import missing_told, parse_csv, read_text


def has_columns(path: Path, *names: str) -> bool:
    """Whether a file has such columns; what can be read only once is not looked into."""
    return is_file(path) and {*names} <= set(read_text(path).partition("\n")[0].strip().split(","))


def load_table(path: Path, needed: Sequence[str]) -> list[Record]:
    """The rows of a file; InputError where a *needed* column is not there."""
    columns, rows = parse_csv(read_text(path), path, MAX_ROWS)
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(f"{path}: {missing_told(columns, missing)}")
    return [
        Record(f"{path}:{line}", printable((row.get("id") or "").strip() or f"{path.name}:{line}"), row)
        for line, row in rows
    ]
