"""The shelf of shipped files: a name becomes the path of a device, model or runtime file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from simulator.arguments import expect_path
from simulator.errors import InputError, hint

_PACKAGE = Path(__file__).parent


def shelf(kind: str) -> Path:
    """The folder of shipped *kind* files: inside the installed package, or beside it in a checkout."""
    inside = _PACKAGE / "library" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def names(folder: Path) -> list[str]:
    """Every name on a shelf, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def is_file(path: Path) -> bool:
    """Whether there is such a file; False, too, for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def find(given: str | Path, folder: Path, what: str) -> Path:
    """The path of a file or of a shipped name; InputError with the nearest names where there is neither.

    Something with a folder or a suffix in it is a path; anything else is a shipped name first.
    """
    expect_path(what, given)
    text = str(given)
    if not text.strip() or "\0" in text:
        raise InputError(f"{what} {text!r} is not a name; see roofcast list {_PLURAL[what]}")
    path = Path(text)
    if isinstance(given, str) and path.name == text and is_file(folder / f"{text.lower()}.yaml"):
        return folder / f"{text.lower()}.yaml"
    try:
        if path.exists():
            return path
    except OSError as error:
        raise InputError(f"{text[:80]}: cannot be read ({error.strerror})") from None
    return _by_alias(text.lower(), folder) or _refuse(text[:200], path, folder, what)


def _by_alias(text: str, folder: Path) -> Path | None:
    """The file that lists *text* among its other names."""
    for path in folder.glob("*.yaml"):
        line = re.search(r"^aliases: \[(.*)\]$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if line and text in (name.strip() for name in line[1].split(",")):
            return path
    return None


def _refuse(text: str, path: Path, folder: Path, what: str) -> NoReturn:
    raise InputError(_unknown(text, path, folder, what))


_PLURAL = {"model": "models", "hardware": "hardware", "runtime": "runtimes"}


def _unknown(text: str, path: Path, folder: Path, what: str) -> str:
    other = {"model": "hardware", "hardware": "model"}.get(what)
    if other and is_file(shelf(_PLURAL[other]) / f"{text.lower()}.yaml"):
        return f"{text!r} is a {other} name, a {what} name is needed here: write roofcast simulate MODEL HARDWARE"
    guess = hint(path.name.lower(), names(folder))
    guess = guess if guess.startswith("did") else ""
    if path.suffix in (".yaml", ".yml", ".json", ".gguf", ".csv", ".safetensors") or len(path.parts) > 1:
        return f"{text}: no such file{'; ' + guess if guess else ''}"
    return f"unknown {what} {text!r} (give a file, or see roofcast list {_PLURAL[what]}){'; ' + guess if guess else ''}"
