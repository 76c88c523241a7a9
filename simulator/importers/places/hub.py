"""The cache of the Hugging Face hub: `models--ORG--NAME` with `refs/`, `snapshots/REVISION/` and the files that those link to."""

from __future__ import annotations

import re
from pathlib import Path

from simulator.errors import InputError
from simulator.importers.places.place import and_others, folder_of_variable, folders_in, home, is_folder
from simulator.spec.library import is_file
from simulator.spec.textfiles import read_text

_REVISION = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"(?P<owner>\w[\w.-]*)/(?P<name>\w[\w.-]*)", re.ASCII)


def is_repository(text: str) -> bool:
    """Whether a text is written as `org/name` is."""
    return len(text) <= 200 and _REPOSITORY.fullmatch(text) is not None


def caches() -> list[Path]:
    """Folders of the cache: as huggingface_hub finds its own, and where llama.cpp has been told to keep another."""
    own = folder_of_variable("HF_HUB_CACHE") or folder_of_variable("HUGGINGFACE_HUB_CACHE")
    if own is None:
        base = folder_of_variable("HF_HOME")
        if base is None:
            base = (folder_of_variable("XDG_CACHE_HOME") or home() / ".cache") / "huggingface"
        own = base / "hub"
    llama = folder_of_variable("LLAMA_CACHE")
    return [own, *([llama] if llama else [])]


def find(repository: str) -> Path | None:
    """The folder of a repository in the cache, whatever the case of its name; None where it is not there."""
    wanted = "models--" + repository.replace("/", "--")
    for cache in caches():
        if is_folder(cache / wanted):
            return cache / wanted
        for folder in folders_in(cache):
            if folder.name.lower() == wanted.lower():
                return folder
    return None


def is_cached(folder: Path) -> bool:
    """Whether a folder is that of a repository in the cache."""
    return folder.name.startswith(("models--", "datasets--", "spaces--"))


def repository_of(folder: Path) -> str:
    """`org/name` of a repository's folder, or of what lies in a snapshot of it; empty elsewhere."""
    for each in (folder, *folder.absolute().parents[:6]):
        if each.name.startswith("models--"):
            return each.name.removeprefix("models--").replace("--", "/")
    return ""


def snapshot(folder: Path) -> Path:
    """The files of a repository in the cache: of the revision that `main` names, or of the only one."""
    if not folder.name.startswith("models--"):
        kind = folder.name.partition("--")[0].removesuffix("s")
        raise InputError(f"{folder}: is a {'data set' if kind == 'dataset' else kind} of the hub, not a model")
    found = folders_in(folder / "snapshots")
    main = folder / "refs" / "main"
    named = read_text(main).strip() if is_file(main) else ""
    if _REVISION.fullmatch(named) and is_folder(folder / "snapshots" / named):
        return folder / "snapshots" / named
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"{folder}: nothing of it has been fetched: {fetch(repository_of(folder))}")
    names = and_others([path.name for path in found])
    raise InputError(
        f"{folder}: has several revisions and refs/main names none of them: give one of the folders {names}"
    )


def fetch(repository: str) -> str:
    """The command that brings what a forecast needs of a repository."""
    if "gguf" in repository.lower():
        return f"hf download {repository} brings its files (name one of them behind it)"
    return f"hf download {repository} config.json brings its config (a few kB)"
