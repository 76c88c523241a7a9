"""Which of the GGUF files in a folder is the model: parts of one are one, and what lies beside a model is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from simulator.errors import InputError, printable
from simulator.importers.places.gguf_kinds import is_beside, is_beside_by_name
from simulator.importers.places.place import MAX_ENTRIES, Place, and_others, entries_if_any, folders_in

MAX_FOLDERS = 1000  # in one folder that are looked into
MAX_OPENED = 32  # files whose keys are read to tell models from the rest
_PART = re.compile(r"(?P<set>.+)-\d{5}-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)


def gguf_files(folder: Path, deep: bool) -> list[Path]:
    """The GGUF files of a folder, and of the folders in it where there are none or *deep* asks for all."""
    found = [path for path in entries_if_any(folder) if path.suffix.lower() == ".gguf"]
    if found and not deep:
        return found
    n_seen = 0
    for inner in folders_in(folder)[:MAX_FOLDERS]:
        inside = entries_if_any(inner)
        found += [path for path in inside if path.suffix.lower() == ".gguf"]
        n_seen += len(inside)
        if n_seen > MAX_ENTRIES:
            break
    return found


def models_and_others(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Models, the first part of each standing for all, and what lies beside them."""
    others = [path for path in files if is_beside_by_name(path)]
    models = _first_parts([path for path in files if path not in set(others)])
    if 1 < len(models) <= MAX_OPENED:
        beside = {path for path in models if is_beside(path)}
        others += sorted(beside)
        models = [path for path in models if path not in beside]
    return models, others


def _first_parts(files: Sequence[Path]) -> list[Path]:
    found: dict[tuple[Path, str, str], Path] = {}
    for path in sorted(files):
        match = _PART.fullmatch(path.name)
        key = (path.parent, match["set"], match["count"]) if match else (path.parent, path.name, "")
        found.setdefault(key, path)
    return list(found.values())


def choose(folder: Path, files: Sequence[Path], tag: str = "", called: str = "") -> Place:
    """The one model among these files, or the one whose name has *tag* in it; InputError that lists them.

    *called* is how they are named where that is not by their paths: `org/name`, behind which a tag is put.
    """
    models, others = models_and_others(files)
    if tag:
        models = [path for path in models if _has_tag(path.relative_to(folder).as_posix(), tag)] or _refuse_tag(
            folder, models, tag, called
        )
    if len(models) == 1:
        return Place(models[0], notes=_left_out(folder, others))
    if not models:
        raise InputError(f"{folder}: holds no model, only what lies beside one: {and_others(_names(folder, others))}")
    how = f"give one of them, as in {called}:{_tag(models[0])}" if called else "give one of them"
    raise InputError(f"{folder}: holds several GGUF models, {how}: {and_others(_names(folder, models))}")


def _left_out(folder: Path, others: Sequence[Path]) -> tuple[str, ...]:
    if not others:
        return ()
    return (f"{and_others(_names(folder, others))} beside it: left out, no text token streams it",)


def _has_tag(name: str, tag: str) -> bool:
    """As llama.cpp looks for `Q4_K_M` (common/download.cpp, find_best_model): before a dot or a hyphen, whatever the case."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(tag)}[.-]", name, re.IGNORECASE) is not None or name == tag


def _refuse_tag(folder: Path, models: Sequence[Path], tag: str, called: str) -> list[Path]:
    names = and_others(_names(folder, models)) if models else "none"
    raise InputError(
        f"{called or folder}:{printable(tag)}: no GGUF file here has that in its name; those here: {names}"
    )


def _tag(path: Path) -> str:
    """The format in a file's name, by which it can be asked for."""
    match = _PART.fullmatch(path.name)
    stem = match["set"] if match else path.stem
    return re.split(r"[-.]", stem)[-1]


def _names(folder: Path, files: Sequence[Path]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files]
