"""Files and folders that are not whole yet, and what is left of them where a process was killed.

They stand beside what they become, as `.NAME.roofcast-xxxxxxxx`. Whoever writes one holds a lock on it, which ends with
the process: what has such a name and can be locked is nobody's, and the next that writes NAME removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from simulator.interrupts import at_end

MAX_NAME = 40  # characters of NAME: a file's name has 255 bytes at most
_RANDOM = re.compile(r"[a-z0-9_]{8}")


@contextmanager
def unfinished_file(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file beside *path*, open for writing, and its name; gone at the end of the block unless it was renamed."""
    clear(path, path.parent)
    handle, name = _locked(partial(tempfile.mkstemp, prefix=_prefix(path), dir=path.parent))
    with os.fdopen(handle, "wb") as file, at_end(partial(name.unlink, missing_ok=True)):
        yield file, name


@contextmanager
def unfinished_folder(path: Path, place: Path) -> Iterator[Path]:
    """A new folder in *place* for what becomes *path*; gone at the end of the block unless it was renamed."""
    clear(path, place)
    handle, name = _locked(partial(_made_folder, _prefix(path), place))
    try:
        with at_end(partial(_remove_folder, name)):
            yield name
    finally:
        os.close(handle)


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """A folder where the system has such; those of the same name that killed processes left are removed."""
    place = Path(tempfile.gettempdir())
    with unfinished_folder(place / name, place) as folder:
        yield folder


def clear(path: Path, place: Path) -> None:
    """Removes what killed processes left of *path* in *place*."""
    with suppress(OSError):
        for each in place.iterdir():
            if is_leftover(each.name, path):
                _discard(each)


def is_leftover(name: str, path: Path) -> bool:
    """Whether a file of this name is an unfinished one of *path*."""
    prefix = _prefix(path)
    return name.startswith(prefix) and _RANDOM.fullmatch(name.removeprefix(prefix)) is not None


def _prefix(path: Path) -> str:
    return f".{path.absolute().name[:MAX_NAME]}.roofcast-"


def _made_folder(prefix: str, place: Path) -> tuple[int, str]:
    name = tempfile.mkdtemp(prefix=prefix, dir=place)
    return os.open(name, os.O_RDONLY | os.O_CLOEXEC), name


def _locked(make: Callable[[], tuple[int, str]]) -> tuple[int, Path]:
    """A new file or folder, as its handle and name, with a lock on it where the file system has locks."""
    while True:
        handle, name = make()
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.lexists(name):  # nobody took it for a leftover before it was locked
            return handle, Path(name)
        os.close(handle)


def _discard(path: Path) -> None:
    """Removes a leftover, unless somebody is still at work on it, or it is another user's, or no file or folder."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(handle)
            if found.st_uid != os.geteuid():
                return
            if stat.S_ISREG(found.st_mode):
                path.unlink(missing_ok=True)
            elif stat.S_ISDIR(found.st_mode):
                _remove_folder(path)
        finally:
            os.close(handle)


def _remove_folder(path: Path) -> None:
    """With the files in it, and folders of files; deeper ones are not ours, and stay."""
    with suppress(OSError):
        for each in path.iterdir():
            if each.is_dir() and not each.is_symlink():
                for file in each.iterdir():
                    file.unlink(missing_ok=True)
                each.rmdir()
            else:
                each.unlink(missing_ok=True)
        path.rmdir()
