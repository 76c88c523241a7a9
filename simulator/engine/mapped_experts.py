"""Experts kept on a disk: packed once into a file, which is mapped read-only, so that memory holds what is in use.

A file of panels stands in a folder that the caller names, under a name that says whose tensors it holds and what it was made of; a
later start maps it as it is. One made of the same tensors when their file was another, or roofcast, is of no more use and is removed.
The system reads a file's pages when a step first needs them, and may forget them again at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.engine.compiled import source_digest
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.memory import whole_lines
from simulator.engine.tensors import Source, Stored
from simulator.errors import InputError, printable
from simulator.units import format_bytes

Pack = Callable[[Stored, np.ndarray], None]  # writes a tensor's panels into uint8 memory


@dataclass(frozen=True)
class ExpertMap:
    """The file of a model's experts, mapped read-only."""

    path: Path
    view: mmap.mmap
    places: dict[Stored, slice]
    removed_bytes: int = 0  # of files that this one superseded

    @property
    def nbytes(self) -> int:
        """Bytes of the file."""
        return len(self.view)

    def data(self, tensor: Stored) -> np.ndarray:
        """A tensor's panels: uint8, which cannot be written."""
        return np.frombuffer(self.view, np.uint8)[self.places[tensor]]

    def forget(self) -> None:
        """Has the system let go of all its pages, as far as it does, so that the next step reads from the disk."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.view.madvise(mmap.MADV_DONTNEED)
        if hasattr(os, "posix_fadvise"):
            with self.path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def is_expert(tensor: Stored) -> bool:
    """Whether a step reads only some copies of a tensor; heads' matrices of latents are several, too, and all of them are read."""
    return tensor.copies > 1 and tensor.role.endswith("_exps")


def map_experts(folder: str | Path, source: Source, signed: bool, pack: Pack) -> ExpertMap:
    """The experts of a source, which has some, in a file of the folder, written where it is not there.

    *signed*: of the path that the panels are for. InputError where the folder cannot hold it.
    """
    places, nbytes = {}, 0
    for tensor in filter(is_expert, source.tensors):
        size = LAYOUTS[tensor.format].matrix_bytes(tensor.rows, tensor.columns) * tensor.copies
        places[tensor] = slice(nbytes, nbytes + size)
        nbytes += whole_lines(size)
    whose = _digest(source.place, list(places), signed)
    path = Path(folder) / f"experts-{whose}-{_digest(source.identity, source_digest())}.panels"
    try:
        removed_bytes = sum(map(_remove, _superseded(path, whose)))
        if not path.exists() or path.stat().st_size != nbytes:
            with _new_file(path, nbytes) as memory:
                for tensor, place in places.items():
                    pack(tensor, memory[place])
        with path.open("rb") as file:
            view = mmap.mmap(file.fileno(), nbytes, access=mmap.ACCESS_READ)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"experts in {printable(str(folder))}: {path.name} cannot be kept there ({reason})") from None
    return ExpertMap(path, view, places, removed_bytes)


def _digest(*made_of: object) -> str:
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]


def _superseded(path: Path, whose: str) -> list[Path]:
    """Files of the same tensors, made of what is no more."""
    return [each for each in path.parent.glob(f"experts-{whose}-*.panels") if each != path]


def _remove(path: Path) -> int:
    """Bytes that were in a file, which is gone; whoever has it mapped keeps what it holds."""
    try:
        nbytes = path.stat().st_size
        path.unlink()
    except OSError:  # gone already, or in use on a system that keeps it then
        return 0
    return nbytes


@contextlib.contextmanager
def _new_file(path: Path, nbytes: int) -> Iterator[np.ndarray]:
    """Memory that becomes the file, whole or not at all."""
    free = shutil.disk_usage(path.parent).free
    if nbytes > free:
        raise InputError(
            f"experts in {printable(str(path.parent))}: they take {format_bytes(nbytes)}, {format_bytes(free)} are free there"
        )
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("w+b") as file:
            file.truncate(nbytes)
            view = mmap.mmap(file.fileno(), nbytes)
            yield np.frombuffer(view, np.uint8)
            view.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
