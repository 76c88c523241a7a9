"""What a finished sweep holds, read part by part: columns as arrays, without ever holding all of it.

Read with pyarrow, or with DuckDB where only that is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError, describe, hint, printable
from simulator.spec.arguments import expect_path
from simulator.sweeping.folder import AXES, part_path, read_manifest
from simulator.sweeping.parts import Part, Parts
from simulator.sweeping.rows import COLUMNS, MARK, NAMES, mark_of

Columns = dict[str, np.ndarray]
TEXTS = {"model", *NAMES, "status", "reason", "bound"}
MOST_LISTED = 8  # of what a sweep has, in a sentence
SETTINGS = AXES[1:7]  # that make a combination, in the order of `Sweep.settings`


@dataclass(frozen=True)
class SweptFolder:
    """A sweep's folder, open for reading; `columns` are what rows have."""

    folder: Path
    axes: dict[str, list[Any]]  # by AXES: what was asked; models and devices by their names in rows
    n_points: int
    digest: str  # that each of its files is marked with

    columns = COLUMNS

    @cached_property
    def parts(self) -> Parts:
        """How its rows are divided into files."""
        settings = tuple(len(self.axes[name]) for name in SETTINGS)
        return Parts(len(self.axes["models"]), settings, len(self.axes["batches"]), len(self.axes["contexts"]))

    def batches(self, columns: Sequence[str] | None = None, **where: Any) -> Iterator[Columns]:
        """Rows a file at a time, in order: the *columns* asked for, None for all; numbers, or texts and None as objects.

        Args:
            where: values of columns, one or a list of them, as in hardware="rtx-3090", batch=[1, 8], status="ok". Files that
                have none of a model, device, batch or context are not opened.

        What is unknown is NaN in columns of numbers, and None in others.
        """
        wanted = list(COLUMNS if columns is None else columns)
        asked = {name: _listed(given) for name, given in where.items()}
        for name in (*wanted, *asked):
            if name not in COLUMNS:
                raise InputError(f"a sweep has no column {printable(name)!r}, {hint(name, COLUMNS)}")
        read = _reader()
        for number in range(len(self.parts)):
            part = self.parts[number]
            if self._may_have(part, asked):
                yield self._rows(part, wanted, asked, read)

    def read(self, columns: Sequence[str] | None = None, **where: Any) -> Columns:
        """The same in one: of a large sweep ask for few of the rows."""
        wanted = list(COLUMNS if columns is None else columns)
        found = list(self.batches(wanted, **where))
        return {name: np.concatenate([each[name] for each in found]) if found else np.empty(0) for name in wanted}

    def _rows(self, part: Part, wanted: list[str], asked: dict[str, list[Any]], read: Reader) -> Columns:
        model = self.axes["models"][part.model]
        own = list(dict.fromkeys(name for name in (*wanted, *asked) if name != "model")) or ["batch"]
        path = part_path(self.folder, model, part.number)
        try:
            found = read(path, own, mark_of(self.digest, part.number))
        except FileNotFoundError:
            raise InputError(f"{path}: is missing; run roofcast sweep again, which makes it anew") from None
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{path}: cannot be read ({printable(error)}); run roofcast sweep again, which makes it anew"
            ) from None
        for name, values in found.items():
            if (values.dtype == object) != (name in TEXTS) or len(values) != part.n_rows:
                raise InputError(f"{path}: {name}: other values than a sweep's; run roofcast sweep again")
        kept = np.ones(part.n_rows, bool)
        for name in asked.keys() - {"model"}:
            kept &= _is_one_of(name, found[name], asked[name])
        found = {name: values[kept] for name, values in found.items()}
        found["model"] = np.full(np.count_nonzero(kept), model, object)
        return {name: found[name] for name in wanted}

    def _may_have(self, part: Part, asked: dict[str, list[Any]]) -> bool:
        """Whether a part can have rows that are asked for, by what its number tells."""
        there = {
            "model": lambda: {self.axes["models"][part.model]},
            "hardware": lambda: {self.axes["devices"][place] for place in self._devices_of(part)},
            "batch": lambda: set(self.axes["batches"][part.batches]),
            "context": lambda: set(self.axes["contexts"][part.contexts]),
        }
        return all(name not in asked or not values().isdisjoint(asked[name]) for name, values in there.items())

    def _devices_of(self, part: Part) -> range:
        """The devices of a part, which change more slowly than all other settings."""
        return range(self.parts.places(part.first)[0], self.parts.places(part.last - 1)[0] + 1)


def open_sweep(folder: str | Path) -> SweptFolder:
    """A finished sweep for reading; InputError for a folder that is none, or in which parts are missing."""
    expect_path("folder", folder)
    place = Path(folder)
    told = read_manifest(place)
    found = SweptFolder(place, {name: told[name] for name in AXES}, told["points"], told["digest"])
    n_there = sum(1 for _ in place.glob("model=*/part-*.parquet"))
    if n_there < len(found.parts):
        raise InputError(
            f"{printable(folder, 100)}: {n_there:,} of {len(found.parts):,} parts are there; the same roofcast sweep again makes the rest"
        )
    return found


def refuse_unknown(name: str, asked: Iterable[str], there: Sequence[str]) -> None:
    """InputError for a model or machine that a sweep has none of."""
    for each in asked:
        if each not in there:
            raise InputError(
                f"{name} {printable(each)!r} is none of the sweep's, {hint(each, there)}".removesuffix(", ")
            )


def refuse_missing(option: str, asked: Iterable[int], there: Sequence[int]) -> None:
    """InputError for a batch or context that a sweep lacks, with those that it has."""
    missing = sorted(set(asked) - set(there))
    if missing:
        near = min(there, key=lambda each: abs(each - missing[0]))
        shown = listed([f"{each:,}" for each in sorted(there)])
        more = f"; it has {shown}" if len(there) > 1 else ""
        raise InputError(f"{option} {missing[0]:,}: the sweep has none such, the nearest is {near:,}{more}")


def listed(names: Sequence[str]) -> str:
    """The first few of what a sweep has, and how many more."""
    shown = ", ".join(printable(each) for each in names[:MOST_LISTED])
    return shown if len(names) <= MOST_LISTED else f"{shown} and {len(names) - MOST_LISTED:,} more"


Reader = Callable[[Path, list[str], bytes], Columns]  # of a file with a mark


def _reader() -> Reader:
    for name, reader in (("pyarrow", _with_arrow), ("duckdb", _with_duckdb)):
        if find_spec(name) is not None:
            return reader
    raise InputError("a sweep is read with pyarrow or duckdb: pip install '.[sweep]' in a checkout")


def _with_arrow(path: Path, columns: list[str], mark: bytes) -> Columns:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        _refuse_unmarked((file.metadata.metadata or {}).get(MARK), mark)
        table = file.read(columns)
    return {name: _values(table[name]) for name in columns}


def _refuse_unmarked(found: bytes | None, mark: bytes) -> None:
    """ValueError for a file of another sweep, or of another part of this one."""
    if found != mark:
        raise ValueError("its rows are not those of this part of the sweep")


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
            query = f"select {listed} from read_parquet(?, hive_partitioning = false)"
            found = connection.execute(query, [str(path)]).fetchnumpy()
    except duckdb.Error as error:
        raise FileNotFoundError(str(error)) if not path.exists() else OSError(str(error)) from None
    return {name: _unmasked(np.ma.asarray(found[name])) for name in columns}


def _unmasked(values: np.ma.MaskedArray) -> np.ndarray:
    if values.dtype.kind == "f":
        return values.filled(np.nan)
    return np.where(np.ma.getmaskarray(values), None, values.data) if values.dtype == object else values.data


def _is_one_of(name: str, values: np.ndarray, asked: list[Any]) -> np.ndarray:
    """Where a column has one of some values; InputError for texts where it has numbers."""
    if values.dtype == object:
        return np.logical_or.reduce([values == each for each in asked])
    if not all(isinstance(each, int | float | np.number | np.bool_) for each in asked):
        raise InputError(f"{name}: numbers are needed to choose rows by, got {describe(asked[0])}")
    return np.isin(values, asked)


def _listed(given: Any) -> list[Any]:
    found = list(given) if isinstance(given, list | tuple | set | range | np.ndarray) else [given]
    if not found:
        raise InputError(f"a value, or a list of some, is needed to choose rows by, got {describe(given)}")
    return found
