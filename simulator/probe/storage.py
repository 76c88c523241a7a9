"""How fast a file is read from the disk, with the system's own copies of it out of the way."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from simulator.probe.clock import FOREVER, Clock, Deadline, Sample

BLOCK = 4 * 2**20  # bytes read at a time
FREE_SHARE = 0.1  # of the free space that a test file may take


WRITE_SHARE = 0.6  # of the time: writing takes longer than reading, and is done once
LEAST_BLOCKS = 4


def measure_storage(
    folder: Path, nbytes: int, rounds: int, clock: Clock = time.perf_counter, deadline: Deadline = FOREVER
) -> tuple[Sample | None, str]:
    """Reading a file of about *nbytes* in *folder* from end to end; None with the reason where that cannot be measured.

    On a slow disk the file is as small as has to be to be written in time.
    """
    try:
        room = int(shutil.disk_usage(folder).free * FREE_SHARE)
        nbytes = min(nbytes, room) // BLOCK * BLOCK
        if nbytes < LEAST_BLOCKS * BLOCK:
            return None, f"not measured: {folder} has too little free space"
        with _test_file(folder, nbytes, deadline.share(WRITE_SHARE)) as (handle, written):
            how, seconds = _leave_cache(handle), [_read(handle, clock)]
            while len(seconds) < rounds and not deadline.is_over:
                seconds.append(_read(handle, clock))
        return Sample(tuple(seconds), bytes=written), how
    except OSError as error:
        return None, f"not measured: {error.strerror or error}"


@contextlib.contextmanager
def _test_file(folder: Path, nbytes: int, deadline: Deadline) -> Iterator[tuple[int, int]]:
    """A file that is really on the disk, as its handle and its size. It has no name, so that it is gone however this process ends."""
    with tempfile.TemporaryFile(dir=folder, prefix=".roofcast-") as file:
        block = os.urandom(BLOCK)  # a disk that compresses must not gain by it
        while file.tell() < nbytes and not (file.tell() and deadline.is_over):
            for _ in range(min(LEAST_BLOCKS, (nbytes - file.tell()) // BLOCK)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        yield file.fileno(), file.tell()


def _leave_cache(handle: int) -> str:
    """Has the file read from the disk itself, if its file system can, and says so."""
    direct = getattr(os, "O_DIRECT", 0)
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, fcntl.fcntl(handle, fcntl.F_GETFL) | direct)
    except OSError:  # such as tmpfs before Linux 6.6
        direct = 0
    return "past the page cache (O_DIRECT)" if direct else "perhaps from the page cache: no O_DIRECT here"


def _read(handle: int, clock: Clock) -> float:
    os.lseek(handle, 0, os.SEEK_SET)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    with mmap.mmap(-1, BLOCK) as buffer:  # anonymous memory starts on a page, as O_DIRECT wants
        start = clock()
        while os.readv(handle, [buffer]):
            pass
        return clock() - start
