"""Files that a command writes, and those that its line names to be read, none of which it writes over."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import click

from simulator.errors import InputError, printable
from simulator.spec.library import is_file

FREE_TEXT = "prompt"  # names no file, whatever stands in it
MOST_MARKS = 16  # in a value that is taken apart
_MARKS = re.compile(r"[,+=:@]")  # mine.yaml+ryzen-7950x=700, qwen3-0.6b.gguf:4@0.6
# What is read beside a file that is named, or in a folder: of a checkpoint, a GGUF in parts, a sweep.
_BESIDE = re.compile(r".*config\.json|.*\.index\.json|_sweep\.json|.*\.(gguf|safetensors|parquet)", re.IGNORECASE)


class Target(click.Option):
    """An option that names a file to be written, which is checked before the command runs.

    One that is merged with what it holds is read, too, and its command checks it.
    """

    def __init__(self, *given: Any, is_merged: bool = False, **more: Any):
        super().__init__(*given, **more)
        self.is_merged = is_merged


def check_targets(parameters: Iterable[click.Parameter], values: Mapping[str, Any]) -> None:
    """InputError where a target cannot be written, is read by the same command, or is another target, too."""
    targets = [each for each in parameters if isinstance(each, Target) and values[each.name] not in (None, "", "-")]
    if not targets:
        return
    from simulator.report.record import check_target  # with it comes numpy

    places: dict[str, str] = {}
    for each in targets:
        option, target = max(each.opts, key=len), values[each.name]
        option = "-o" if option == "--output" else option
        if not each.is_merged:
            read = list(named_files(value for name, value in values.items() if name not in (each.name, FREE_TEXT)))
            check_target(target, option, *read, *_read_beside(Path(target), read))
        place = os.path.realpath(target)
        other = places.setdefault(place, option)
        if other != option and _is_file_or_new(Path(place)):
            raise InputError(f"{other} and {option} both write {printable(target, 100)}: give one another file name")


def _is_file_or_new(path: Path) -> bool:
    """Not so of a device such as /dev/null, which takes what several options write."""
    return path.is_file() or not path.exists()


def named_files(values: Iterable[Any]) -> Iterator[str]:
    """Files and folders that values of a command line name, alone or as parts of a value: 2xmine.yaml+ryzen-7950x=700."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from named_files(value)
        elif isinstance(value, str | os.PathLike):
            yield from filter(_is_there, dict.fromkeys(_parts(str(value))))


def _parts(text: str) -> Iterator[str]:
    """The text, and what stands between any two of the marks that set names apart in it."""
    yield text
    ends = [-1, *(match.start() for match in _MARKS.finditer(text)), len(text)][: MOST_MARKS + 2]
    for start, end in combinations(ends, 2):
        part = text[start + 1 : end].strip()
        yield part
        yield re.sub(r"^\d+\s*[x×*]\s*", "", part)


def _is_there(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):
        return False


def _read_beside(target: Path, read: Iterable[str]) -> Iterator[str]:
    """The *target* itself, where it is a file of those that are read with what is named, without being named."""
    if not (_BESIDE.fullmatch(target.name) and is_file(target)):
        return
    place = target.resolve()
    for path in map(Path, read):
        folder = path if path.is_dir() else path.parent
        if place.is_relative_to(folder.resolve()) if path.is_dir() else place.parent == folder.resolve():
            yield str(target)
