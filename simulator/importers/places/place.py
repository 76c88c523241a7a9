"""Where a model lies, and a look into folders that cannot take long."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from simulator.errors import InputError, printable
from simulator.spec.library import is_file
from simulator.spec.names import FEW, MAX_LISTED
from simulator.spec.textfiles import open_file

MAX_ENTRIES = 20_000  # of one folder, and files of one repository, that are looked at


@dataclass(frozen=True)
class Place:
    """A file that holds or describes a model, what it is called where it lies, and remarks for the reader."""

    path: Path
    name: str = ""  # empty: the file's own name is what it is called
    notes: tuple[str, ...] = ()


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False, too, for a name that no folder can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Whether there is something of that name that we may see."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_closed(path: Path) -> bool:
    """Whether what lies there is kept from us."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return not os.access(path, os.R_OK)


def is_dangling(path: Path) -> bool:
    """Whether a link leads to nothing, as one into a store whose file has been deleted."""
    return path.is_symlink() and not is_there(path)


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; InputError where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(folder / entry.name for entry in islice(found, MAX_ENTRIES))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


def entries_if_any(folder: Path) -> list[Path]:
    """The same, and nothing of a folder that is missing or closed to us: a store that may not be there."""
    try:
        return entries(folder) if is_folder(folder) else []
    except InputError:
        return []


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder that may not be there, hidden ones left out."""
    return [path for path in entries_if_any(folder) if not path.name.startswith(".") and is_folder(path)]


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a regular file; none of anything else."""
    if not is_file(path):
        return b""
    try:
        with open_file(path) as file:
            return file.read(count)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def home() -> Path:
    """The user's folder; a path that leads nowhere where there is none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull) / "home"


def folder_of_variable(name: str) -> Path | None:
    """The folder that a variable of the environment names, as a shell would read it; None where it is not set."""
    text = os.environ.get(name, "").strip().strip("\"'")
    if not text or "\0" in text:
        return None
    return Path(os.path.expandvars(text)).expanduser() if not text.startswith("~") else _expanded(text)


def _expanded(text: str) -> Path:
    return home() / text[1:].lstrip("/") if text[:2] in ("~", "~/") else Path(text)


def and_others(names: list[str]) -> str:
    """`a, b and c`; of very many the first few and how many more."""
    shown = [printable(name, 80) for name in names]
    if len(shown) > MAX_LISTED:
        return f"{', '.join(shown[:FEW])} and {len(shown) - FEW} more"
    *most, last = shown
    return f"{', '.join(most)} and {last}" if most else last
