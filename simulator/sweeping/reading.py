"""What a finished sweep holds, read part by part: columns as arrays, without ever holding all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError, describe, printable
from simulator.spec.arguments import expect_path
from simulator.sweeping.choosing import TEXTS, Chosen, refuse_columns
from simulator.sweeping.files import Columns, Reader, reader
from simulator.sweeping.folder import AXES, part_path, read_manifest
from simulator.sweeping.parts import Part, Parts
from simulator.sweeping.rows import COLUMNS, mark_of

ANEW = "the same roofcast sweep with --check makes it anew"
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

    def batches(self, columns: Sequence[str] | str | None = None, **where: Any) -> Iterator[Columns]:
        """Rows a file at a time, in order: the *columns* asked for, None for all; numbers, or texts and None as objects.

        Args:
            where: values of columns, one or a list of them, as in hardware="rtx-3090", batch=[1, 8], status="ok". Files that
                have none of a model, device, batch or context are not opened.

        What is unknown is NaN in columns of numbers, and None in others. InputError for a column, a value or a name that the sweep
        has none of, with the nearest that it has; for names of formats when all rows are read, as only those know what was chosen.
        """
        wanted = _wanted(columns)
        return self._batches(wanted, Chosen.of(self.axes, where), reader())

    def read(self, columns: Sequence[str] | str | None = None, **where: Any) -> Columns:
        """The same in one: of a large sweep ask for few of the rows."""
        found = list(self.batches(columns, **where))
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}

    def _batches(self, wanted: list[str], chosen: Chosen, read: Reader) -> Iterator[Columns]:
        for number in range(len(self.parts)):
            part = self.parts[number]
            if self._may_have(part, chosen.asked):
                yield self._rows(part, wanted, chosen, read)
        chosen.end()

    def _rows(self, part: Part, wanted: list[str], chosen: Chosen, read: Reader) -> Columns:
        model = self.axes["models"][part.model]
        own = list(dict.fromkeys(name for name in (*wanted, *chosen.asked) if name != "model")) or ["batch"]
        path = part_path(self.folder, model, part.number)
        found = self._values_in(path, own, part, read)
        kept = chosen.takes(found, part.n_rows)
        found = {name: values[kept] for name, values in found.items()}
        found["model"] = np.full(np.count_nonzero(kept), model, object)
        return {name: found[name] for name in wanted}

    def _values_in(self, path: Path, names: list[str], part: Part, read: Reader) -> Columns:
        """Columns of a part's file; InputError where they are not what was written."""
        if path.is_dir():
            raise InputError(
                f"{path}: is a folder where a file of the sweep belongs; remove it, and run the same roofcast sweep again"
            )
        try:
            found = read(path, names, mark_of(self.digest, part.number))
        except FileNotFoundError:
            raise InputError(f"{path}: is missing; {ANEW}") from None
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path}: cannot be read ({printable(error)}); {ANEW}") from None
        for name, values in found.items():
            if (values.dtype == object) != (name in TEXTS) or len(values) != part.n_rows:
                raise InputError(f"{path}: {name}: other values than a sweep's; {ANEW}")
        return found

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


def _wanted(columns: Sequence[str] | str | None) -> list[str]:
    """The columns that are asked for, a single one by its name alone; InputError for others than a sweep has."""
    if columns is None:
        return list(COLUMNS)
    if not isinstance(columns, str | list | tuple | set | np.ndarray):
        raise InputError(f"columns must be names, as in ['batch', 'tokens_per_s'], got {describe(columns)}")
    wanted = [columns] if isinstance(columns, str) else list(columns)
    refuse_columns(wanted)
    return wanted


def open_sweep(folder: str | Path) -> SweptFolder:
    """A finished sweep for reading; InputError for a folder that is none, or in which parts are missing."""
    expect_path("folder", folder)
    place = Path(folder)
    if place.is_file():
        raise InputError(
            f"{printable(folder, 100)}: is a file, the folder that roofcast sweep -o has written is needed"
        )
    told = read_manifest(place)
    found = SweptFolder(place, {name: told[name] for name in AXES}, told["points"], told["digest"])
    n_there = sum(1 for _ in place.glob("model=*/part-*.parquet"))
    if n_there < len(found.parts):
        raise InputError(
            f"{printable(folder, 100)}: {n_there:,} of {len(found.parts):,} parts are there; the same roofcast sweep again makes the rest"
        )
    return found
