"""How fast a file is read from the disk, with the system's own copies of it out of the way."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from simulator.probe.clock import Clock, Sample

BLOCK = 4 * 2**20  # bytes read at a time
FREE_SHARE = 0.1  # of the free space that a test file may take


def measure_storage(
    folder: Path, nbytes: int, rounds: int, clock: Clock = time.perf_counter
) -> tuple[Sample | None, str]:
    """Reading a file of about *nbytes* in *folder* from end to end; None with the reason where that cannot be measured."""
    try:
        room = int(shutil.disk_usage(folder).free * FREE_SHARE)
        nbytes = min(nbytes, room) // BLOCK * BLOCK
        if nbytes < 4 * BLOCK:
            return None, f"not measured: {folder} has too little free space"
        with _test_file(folder, nbytes) as path:
            seconds = [_read(path, clock) for _ in range(rounds)]
        how = "past the page cache (O_DIRECT)" if hasattr(os, "O_DIRECT") else "page cache not avoided"
        return Sample(tuple(seconds), bytes=nbytes), how
    except OSError as error:
        return None, f"not measured: {error.strerror or error}"


@contextlib.contextmanager
def _test_file(folder: Path, nbytes: int) -> Iterator[Path]:
    """A file that is really on the disk, gone afterwards whatever happens."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=".roofcast-")
    try:
        with os.fdopen(handle, "wb") as file:
            block = os.urandom(BLOCK)  # a disk that compresses must not gain by it
            for _ in range(nbytes // BLOCK):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _read(path: Path, clock: Clock) -> float:
    with (
        mmap.mmap(-1, BLOCK) as buffer,
        _opened(path) as handle,
    ):  # anonymous memory starts on a page, as O_DIRECT wants
        start = clock()
        while os.readv(handle, [buffer]):
            pass
        return clock() - start


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A file opened so that what is read comes from the disk, as far as the system and the file system allow."""
    flags = os.O_RDONLY
    try:
        handle = os.open(path, flags | getattr(os, "O_DIRECT", 0))
    except OSError:  # such as tmpfs
        handle = os.open(path, flags)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        yield handle
    finally:
        os.close(handle)
