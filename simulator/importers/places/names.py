"""A model by its name where another program keeps it on this device: nothing is fetched."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from simulator.errors import InputError
from simulator.importers.places import hub, ollama
from simulator.importers.places.folder import has_model, in_folder
from simulator.importers.places.gguf_files import choose
from simulator.importers.places.place import (
    Place,
    and_others,
    entries_if_any,
    folder_of_variable,
    home,
    is_dangling,
    is_folder,
)
from simulator.spec.library import find, is_file, look_up, shelf
from simulator.spec.textfiles import read_text

STORES = ("Hugging Face", "LM Studio", "llama.cpp", "Ollama")
_URL = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<rest>.+)", re.IGNORECASE)
_INSIDE = re.compile(r"(?P<repository>[^/]+/[^/]+)/(?:(?:blob|resolve|tree|raw)/[^/]+/?)?(?P<file>.*)")
_OLLAMA = re.compile(r"ollama(?:/|://|:)(?P<name>.+)", re.IGNORECASE)


def find_elsewhere(given: str | Path) -> Place:
    """Where a model lies that is neither a file nor shipped under just that name: in a store here, or by another spelling.

    InputError with what may be meant, or the command that would bring it, where there is none.
    """
    folder = shelf("models")
    if is_dangling(Path(given)):
        raise InputError(f"{given}: is a link to a file that is gone: fetch that again")
    if not isinstance(given, str):
        return Place(find(given, folder, "model"))
    text = given.strip()
    shipped = look_up(_without_store(text), folder).name
    try:
        place = in_stores(text)
    except InputError as error:
        if shipped is None:
            raise
        reason = f"{text} lies here, too, but not to be counted: {error}"
        return Place(folder / f"{shipped}.yaml", notes=(f"taken as the shipped {shipped}; {reason}",))
    if place is not None:
        return replace(
            place,
            notes=(*place.notes, *((f"to count the shipped {shipped} instead, write {shipped}",) if shipped else ())),
        )
    if shipped is not None:
        return Place(folder / f"{shipped}.yaml", notes=_not_pulled(text, shipped))
    return latest(text) or Place(_none(given, text))


def _not_pulled(text: str, shipped: str) -> tuple[str, ...]:
    """What to know where a name as Ollama writes it means the shipped model, since Ollama has none of that name here."""
    told = _OLLAMA.fullmatch(text)
    name = told["name"] if told else text
    if not told and (":" not in name or "/" in name):
        return ()
    return (f"Ollama has no {name} here: the shipped {shipped} is counted",)


def _without_store(text: str) -> str:
    """The name itself, as a shipped model may have it."""
    match = _OLLAMA.fullmatch(text) or _URL.fullmatch(text)
    return match.group(1) if match else text


def in_stores(text: str) -> Place | None:
    """The model called *text* in a store of Hugging Face, LM Studio, llama.cpp or Ollama; None where none has it."""
    told = _OLLAMA.fullmatch(text)
    if told:
        return _in_ollama(told["name"])
    url = _URL.fullmatch(text)
    rest = (url["rest"] if url else text).strip("/")
    repository, wanted = _split(rest)
    found = _of_repository(repository, wanted) if repository else None
    if found is not None:
        return found
    if url:
        return _in_ollama(f"hf.co/{rest}")
    return _in_ollama(text) if ":" in text or "/" in text else None


def _split(text: str) -> tuple[str, str]:
    """`org/name` and the format or file behind it: of `org/name:Q4_K_M`, a file in it, or the address of a page."""
    repository, _, tag = text.partition(":")
    if hub.is_repository(repository):
        return repository, tag
    match = _INSIDE.fullmatch(text)
    return (match["repository"], match["file"]) if match and hub.is_repository(match["repository"]) else ("", "")


def _in_ollama(name: str) -> Place | None:
    manifest = ollama.find(name)
    return ollama.open_manifest(manifest) if manifest else None


def latest(text: str) -> Place | None:
    """A name without a tag, which is `latest` in Ollama's store."""
    return _in_ollama(text) if "/" not in text else None


# ---- repositories ----


def _of_repository(repository: str, tag: str) -> Place | None:
    """A repository's model where some program keeps it."""
    cached = hub.find(repository)
    if cached is not None:
        return _said(in_folder(cached, tag, repository), f"{repository} in the cache of Hugging Face's hub")
    for folder in _lm_studio(repository):
        if has_model(folder):
            return _said(in_folder(folder, tag, repository), f"{repository} of LM Studio")
    files = _llama_cpp(repository)
    if files:
        return _said(choose(files[0].parent, files, tag, repository), f"{repository} in llama.cpp's cache")
    return None


def _said(place: Place, where: str) -> Place:
    return replace(place, notes=(f"{where}: {place.path}", *place.notes))


def _lm_studio(repository: str) -> list[Path]:
    """Folders where LM Studio may keep a repository: `models/org/name` in the folder that its pointer names, or a usual one."""
    pointer = home() / ".lmstudio-home-pointer"
    told = read_text(pointer).strip() if is_file(pointer) else ""
    bases = [
        *([Path(told)] if told and "\0" not in told else []),
        home() / ".lmstudio",
        home() / ".cache" / "lm-studio",
    ]
    return [base / "models" / repository for base in bases if is_folder(base / "models")]


def _llama_cpp(repository: str) -> list[Path]:
    """GGUF files of a repository in llama.cpp's own cache, which calls them `org_name_FILE.gguf`."""
    told, cache = folder_of_variable("LLAMA_CACHE"), folder_of_variable("XDG_CACHE_HOME") or home() / ".cache"
    folders = [told] if told else [cache / "llama.cpp", home() / "Library" / "Caches" / "llama.cpp"]
    start = repository.replace("/", "_").lower() + "_"
    found = [path for folder in folders for path in entries_if_any(folder)]
    return [path for path in found if path.name.lower().startswith(start) and path.suffix.lower() == ".gguf"]


# ---- what is nowhere ----


def _none(given: str, text: str) -> Path:
    """InputError with what may be meant, and how to bring what is not here."""
    told = _OLLAMA.fullmatch(text)
    tags = ollama.tags_of(told["name"] if told else text)
    if tags:
        raise InputError(f"{text}: Ollama has no such tag here, give one of those it has: {and_others(tags)}")
    closed = ollama.closed_store() if told else None
    if closed is not None:
        raise InputError(f"{text}: Ollama's store {closed} cannot be read: ask for the right to, or set OLLAMA_MODELS")
    if told:
        raise InputError(f"{text}: Ollama has no such model here; ollama pull {told['name']} brings it (all of it)")
    url = _URL.fullmatch(text)
    repository = _split((url["rest"] if url else text).strip("/"))[0]
    try:
        return find(given, shelf("models"), "model")
    except InputError as error:
        if not repository or not (url or _may_be_repository(text.partition(":")[0])):
            raise
        guess = str(error).partition("; ")[2]
        guess = f"; {guess}" if guess.startswith("did you mean") else ""
        raise InputError(
            f"{text}: no such file, and in no store here ({', '.join(STORES)}): "
            f"{hub.fetch(repository)}, then give this name again{guess}"
        ) from None


def _may_be_repository(text: str) -> bool:
    """Whether `org/name` is no path: nothing here is called so, and it does not end as a file does."""
    is_file_name = Path(text).suffix.lower() in (".yaml", ".yml", ".json", ".gguf", ".csv", ".safetensors", ".bin")
    return hub.is_repository(text) and not is_file_name and not is_folder(Path(text).parent)
