"""The folder of a sweep: what was asked, beside a file of rows for each part that is finished, in folders by model.

A file has its name only when it is whole, and the sweep that it is of in its metadata: so a run that is killed leaves
finished parts alone, and the next one goes on with those that are missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from simulator import __version__
from simulator.errors import InputError, printable
from simulator.interrupts import at_end
from simulator.spec.library import is_file
from simulator.sweeping.axes import Sweep
from simulator.sweeping.rows import MARK, TALLY, mark_of

MANIFEST = "_sweep.json"  # readers of Parquet folders leave names with such a beginning out
LOCK = "_sweep.lock"  # is never replaced or removed, so that all runs lock the same file
UNFINISHED = "_unfinished-"
_PACKAGE = Path(__file__).parent.parent
_SOURCES = ("spec", "families", "importers", "forecast", "runtimes", "sweeping")  # what rows depend on
AXES = ("models", "devices", "runtimes", "formats", "caches", "routings", "placements", "batches", "contexts")


@dataclass(frozen=True)
class SweepFolder:
    """Where the parts of a sweep go."""

    folder: Path
    sweep: Sweep
    digest: str  # of the sweep, and of the code that forecasts it

    @classmethod
    def of(cls, folder: Path, sweep: Sweep) -> SweepFolder:
        """The folder of a sweep, whether there already or not."""
        return cls(folder, sweep, hashlib.sha256(f"{sweep.digest()}{code_digest()}".encode()).hexdigest())

    def path(self, number: int) -> Path:
        """The file of a part."""
        return part_path(self.folder, self.sweep.models[self.sweep.parts[number].model].model.name, number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The folder, made where it is missing, for one process alone; InputError where it is another sweep's or in use.

        What killed runs were about to write is removed, before and after.
        """
        if "\0" in str(self.folder):
            raise InputError(f"{printable(self.folder, 100)}: cannot be written (embedded null byte)")
        try:
            self._is_begun()  # before anything is made in a folder of something else
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / LOCK).open("ab") as lock:  # NFS locks only what is open for writing
                _lock(lock, self.folder)
                if not self._is_begun():  # another run may have come first
                    self._begin()
                self._clear()
                with at_end(self._clear):
                    yield
        except OSError as error:
            where = error.filename2 or error.filename or self.folder
            raise InputError(
                f"{printable(where, 200)}: cannot be written ({error.strerror or error}); give another folder"
            ) from None

    def tallies(self, is_checked: bool = False) -> Iterator[dict[str, Any] | None]:
        """Of every part in order; None for one that is missing, or is not whole and so removed.

        Whole is a file whose end says that it is this part, and that all of it lies before that. *is_checked*: which is read, and
        whose values have the checksums that they were written with.
        """
        for number in range(len(self.sweep.parts)):
            path = self.path(number)
            is_there = _is_file(path)
            tally = self._tally(path, number, is_checked) if is_there else None
            if is_there and tally is None:
                path.unlink()
            yield tally

    def write(self, number: int, content: bytes) -> None:
        """A part whose bytes came from elsewhere."""
        with self.unfinished(number) as path:
            path.write_bytes(content)

    @contextmanager
    def unfinished(self, number: int) -> Iterator[Path]:
        """A path to write a part to, which gets its name behind the block."""
        target = self.path(number)
        target.parent.mkdir(exist_ok=True)
        part = target.with_name(f"{UNFINISHED}{os.getpid()}-{target.name}")
        yield part
        part.replace(target)

    def _tally(self, path: Path, number: int, is_checked: bool) -> dict[str, Any] | None:
        """What a file says of its rows; None for one that is cut off, or of other rows, or where it is checked damaged anywhere."""
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path, page_checksum_verification=is_checked) as file:
                told = file.metadata
                metadata = told.metadata or {}
                is_ours = metadata.get(MARK) == mark_of(self.digest, number)
                n_rows = file.read().num_rows if is_checked else told.num_rows
            is_whole = is_ours and n_rows == self.sweep.parts[number].n_rows and _n_bytes(told) == path.stat().st_size
            return json.loads(metadata[TALLY]) if is_whole else None
        except (OSError, ValueError, KeyError):  # Arrow's own errors are such, too
            return None

    def _is_begun(self) -> bool:
        """Whether this sweep's manifest is there; InputError where the folder holds anything else."""
        # Looked at before the manifest is, which comes first of all that another run may make meanwhile.
        there = [each.name for each in self.folder.iterdir()] if self.folder.exists() else []
        if (self.folder / MANIFEST).exists():
            _refuse_other(read_manifest(self.folder), self._manifest(), self.folder)
            return True
        strange = next((name for name in there if name != LOCK and not name.startswith(UNFINISHED)), None)
        if strange is not None:
            raise InputError(
                f"{printable(self.folder, 100)}: holds {printable(strange)}, which is of no sweep; give a new or empty folder"
            )
        return False

    def _begin(self) -> None:
        """Says what sweep this is, which makes the folder its own."""
        part = self.folder / f"{UNFINISHED}{os.getpid()}-{MANIFEST}"
        part.write_text(json.dumps(self._manifest(), indent=1) + "\n", encoding="utf-8")
        part.replace(self.folder / MANIFEST)

    def _manifest(self) -> dict[str, Any]:
        sweep = self.sweep
        return {
            "roofcast": __version__,
            "code": code_digest(),
            "sweep": sweep.digest(),
            "digest": self.digest,
            "points": sweep.n_points,
            "parts": len(sweep.parts),
            **sweep.named(),
        }

    def _clear(self) -> None:
        """Removes what nobody finishes any more."""
        for path in (*self.folder.glob(f"{UNFINISHED}*"), *self.folder.glob(f"*/{UNFINISHED}*")):
            with suppress(FileNotFoundError):
                path.unlink()


def _is_file(path: Path) -> bool:
    """Whether a part is there; InputError where something else has its name, which is nobody's to remove."""
    try:
        is_there = path.exists()
    except NotADirectoryError:  # in place of the folder of a model
        return False
    if is_there and not path.is_file():
        raise InputError(
            f"{printable(path, 200)}: is no file, but a part of the sweep goes there; move it away, or give another folder"
        )
    return is_there


def _n_bytes(metadata: Any) -> int:
    """Of the Parquet file that ends with such metadata: its last values, the metadata, their length and the format's name."""
    group = metadata.row_group(metadata.num_row_groups - 1)
    last = group.column(group.num_columns - 1)
    starts = (last.dictionary_page_offset if last.has_dictionary_page else None, last.data_page_offset)
    return min(filter(None, starts)) + last.total_compressed_size + metadata.serialized_size + 8


def part_path(folder: Path, model: str, number: int) -> Path:
    """The file of a part, in a folder that tells its column `model` as Hive, Arrow and DuckDB read it."""
    return folder / f"model={quote(model, safe='')}" / f"part-{number:06}.parquet"


def is_sweep(given: str) -> bool:
    """Whether a text names the folder of a sweep."""
    return is_file(Path(given) / MANIFEST)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a sweep's folder says of it; InputError where it is none."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{printable(folder, 100)}: no folder of a sweep ({MANIFEST} is missing): roofcast sweep FILE.yaml -o OUT/ makes one"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or printable(error)})") from None
    except (ValueError, RecursionError):
        raise InputError(
            f"{path}: is damaged, no manifest of a sweep; remove the folder and run roofcast sweep again"
        ) from None
    if not isinstance(found, dict) or not {"digest", "points", "parts", "code", *AXES} <= found.keys():
        raise InputError(f"{path}: is no manifest of a sweep; give another folder")
    for name in AXES:
        if not _is_axis(name, found[name]):
            raise InputError(f"{path}: {name}: a list of {_ENTRIES.get(name, 'names')} is needed; give another folder")
    if type(found["points"]) is not int:
        raise InputError(f"{path}: points: a whole number is needed; give another folder")
    return found


_ENTRIES = {"batches": "numbers", "contexts": "numbers"}


def _is_axis(name: str, given: Any) -> bool:
    """Whether it is a list such as `Sweep.named` has it."""
    if not isinstance(given, list) or not given:
        return False
    if name in _ENTRIES:
        return all(type(each) is int for each in given)
    is_named = name in ("models", "devices", "placements")
    return all(isinstance(each, str) or (each is None and not is_named) for each in given)


def _refuse_other(there: Mapping[str, Any], asked: Mapping[str, Any], folder: Path) -> None:
    """InputError where a folder holds another sweep than the one that is asked for."""
    if there["digest"] == asked["digest"]:
        return
    shown = printable(folder, 100)
    other = next((axis for axis in AXES if there[axis] != asked[axis]), None)
    if other is not None:
        raise InputError(f"{shown}: holds a sweep of other {other}; give another folder, or remove this one")
    if there["code"] != asked["code"]:
        raise InputError(
            f"{shown}: was begun by another build of roofcast ({printable(there.get('roofcast'))}), whose forecasts may "
            "differ; give another folder, or remove this one"
        )
    raise InputError(
        f"{shown}: holds a sweep of the same names, but a file of a model, device, runtime or routing has changed since; "
        "give another folder, or remove this one"
    )


def _lock(file: Any, folder: Path) -> None:
    """Holds a file until it is closed or the process ends; InputError where another process does."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{printable(folder, 100)}: another run is writing there; wait for it, or end it") from None


@lru_cache(maxsize=1)
def code_digest() -> str:
    """What tells this code from other that may forecast otherwise: its version, and all that stands in its files."""
    digest = hashlib.sha256(__version__.encode())
    files = [*_PACKAGE.glob("*.py"), *(path for room in _SOURCES for path in (_PACKAGE / room).rglob("*.*"))]
    for path in sorted(path for path in files if path.suffix in (".py", ".yaml", ".json", ".csv")):
        digest.update(f"{path.relative_to(_PACKAGE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
