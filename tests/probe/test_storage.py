"""Reading the disk: every byte of a file that has no name, or a reason why not."""

import errno
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from clocks import Ticking

from simulator.probe import storage
from simulator.probe.clock import in_seconds
from simulator.probe.storage import measure_storage
from simulator.units import KI

BLOCK = 64 * KI


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Files of some hundred kB."""
    monkeypatch.setattr(storage, "BLOCK", BLOCK)


def free(monkeypatch, nbytes):
    """Makes a disk of so much free space."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(2**40, 0, nbytes))


def test_a_file_is_read_from_end_to_end_in_each_round(tmp_path, monkeypatch):
    """Nine blocks and a half are asked for: nine blocks, three times, each between two looks at the clock."""
    read, readv = [], os.readv

    def count(handle, buffers):
        read.append(readv(handle, buffers))
        return read[-1]

    monkeypatch.setattr(os, "readv", count)
    sample, how = measure_storage(tmp_path, 9 * BLOCK + BLOCK // 2, 3, Ticking(1.0))
    assert sample.seconds == (1.0, 1.0, 1.0)
    assert sample.bytes == 9 * BLOCK
    assert read == [*[BLOCK] * 9, 0] * 3
    assert "O_DIRECT" in how


def test_the_file_has_no_name_while_it_is_read(tmp_path, monkeypatch):
    """So nothing of it remains if the process is killed; nor anything afterwards."""
    seen, readv = [], os.readv

    def look(handle, buffers):
        seen.append(list(tmp_path.iterdir()))
        return readv(handle, buffers)

    monkeypatch.setattr(os, "readv", look)
    assert measure_storage(tmp_path, 4 * BLOCK, 1, Ticking(1.0))[0]
    assert seen == [[]] * 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_nothing_is_left_where_reading_ends_early(tmp_path, monkeypatch, ending):
    """A broken disk is a reason; an interrupt goes on to whoever asked."""

    def fail(_handle, _buffers):
        raise ending

    monkeypatch.setattr(os, "readv", fail)
    if isinstance(ending, OSError):
        assert measure_storage(tmp_path, 4 * BLOCK, 1) == (None, "not measured: Input/output error")
    else:
        with pytest.raises(KeyboardInterrupt):
            measure_storage(tmp_path, 4 * BLOCK, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_file_takes_a_tenth_of_the_free_space(tmp_path, monkeypatch):
    """Of 75 blocks seven; of 39 only three, which are too few to be timed."""
    free(monkeypatch, 75 * BLOCK)
    assert measure_storage(tmp_path, 100 * BLOCK, 1, Ticking(1.0))[0].bytes == 7 * BLOCK
    free(monkeypatch, 39 * BLOCK)
    assert measure_storage(tmp_path, 100 * BLOCK, 1) == (None, f"not measured: {tmp_path} has too little free space")


def test_a_missing_folder_is_a_reason(tmp_path):
    """In the system's words."""
    assert measure_storage(tmp_path / "missing", 4 * BLOCK, 1) == (None, "not measured: No such file or directory")


def test_a_folder_that_must_not_be_written_is_a_reason(tmp_path, monkeypatch):
    """Such as one on a disk that is mounted for reading."""

    def refuse(*_arguments, **_options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert measure_storage(tmp_path, 4 * BLOCK, 1) == (None, "not measured: Read-only file system")


def test_a_disk_that_is_full_after_all_is_a_reason(tmp_path, monkeypatch):
    """What was written until then is gone."""

    def fail(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert measure_storage(tmp_path, 4 * BLOCK, 1) == (None, "not measured: No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_direct_reading_is_told(tmp_path, monkeypatch):
    """What is read may then come from memory."""

    def refuse(_handle, command, *_flags):
        if command == fcntl.F_SETFL:
            raise OSError(errno.EINVAL, "Invalid argument")
        return 0

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    sample, how = measure_storage(tmp_path, 4 * BLOCK, 2, Ticking(1.0))
    assert sample.count == 2
    assert how == "perhaps from the page cache: no O_DIRECT here"


def test_a_relative_folder_will_do(tmp_path, monkeypatch):
    """As for -o mine.yaml."""
    monkeypatch.chdir(tmp_path)
    assert measure_storage(Path(), 4 * BLOCK, 1, Ticking(1.0))[0].count == 1


def test_a_slow_disk_gets_a_small_file(tmp_path):
    """Two seconds, and each look at the clock takes one: 4 blocks are written, and read once, of the 12 and 3 that were asked for."""
    clock = Ticking(1.0)
    sample, _ = measure_storage(tmp_path, 12 * BLOCK, 3, clock, in_seconds(2.0, clock))
    assert sample.bytes == 4 * BLOCK
    assert sample.count == 1
