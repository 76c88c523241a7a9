"""The folder of a report: which files lie in it, and whether it can be one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from simulator.errors import InputError, printable
from simulator.report.leftovers import is_leftover
from simulator.report.pictures import CHARTS, SUFFIXES
from simulator.spec.library import is_file
from simulator.spec.textfiles import open_file

PAGE = "index.html"
MARK, MARK_BYTES = b'name="generator" content="roofcast"', 1024  # at the beginning of a page
FILES = {
    "forecasts.csv": "every format, batch and context, as a table",
    "forecasts.json": "the same for programs",
    "measured.csv": "the measurements with their forecasts",
}
NAMES = {PAGE, *FILES, "models"} | {f"{kind}.{suffix}" for kind in CHARTS for suffix in SUFFIXES}


def check_folder(given: str, option: str, *inputs: Any) -> Path:
    """The folder of a report; InputError if it cannot be made or written in, or holds anything but an earlier report.

    None of the *inputs* may lie in it: another report would be written over what it reads.
    """
    folder, shown = Path(given), f"{option} {printable(given, 100)}"
    try:
        is_there = folder.exists()
    except OSError as error:
        raise InputError(f"{shown}: cannot be made ({error.strerror})") from None
    if is_there and not folder.is_dir():
        raise InputError(f"{shown}: is a file, a folder is needed")
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), folder)
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"{shown}: cannot be made, {there} {'is write-protected' if there.is_dir() else 'is a file'}")
    for name in inputs:
        if isinstance(name, str | Path) and is_file(Path(name)) and Path(name).resolve().parent == folder.resolve():
            raise InputError(f"{shown}: {printable(name, 100)} is read from this folder; give another one")
    if folder.is_dir():
        strange = next((path.name for path in folder.iterdir() if not _is_of_report(path.name, folder)), None)
        page_path = folder / PAGE
        if strange is None and page_path.exists() and not _is_ours(page_path):
            strange = PAGE
        if strange is not None:
            raise InputError(
                f"{shown}: holds {printable(strange, 60)}, which is of no report; give a new or empty folder"
            )
    return folder


def _is_of_report(name: str, folder: Path) -> bool:
    """Whether a report has a file of this name, or leaves one where it is killed."""
    return name in NAMES or is_leftover(name, folder)


def _is_ours(path: Path) -> bool:
    try:
        with open_file(path) as file:
            return MARK in file.read(MARK_BYTES)
    except (OSError, InputError):
        return False
