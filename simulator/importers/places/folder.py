"""Which file of a folder says what the model is: a config.json, a GGUF file, or one of a store's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simulator.errors import InputError
from simulator.importers.places import hub, json_kinds, ollama
from simulator.importers.places.gguf_files import choose, gguf_files, models_and_others
from simulator.importers.places.place import Place, and_others, entries, folders_in, is_dangling, is_folder
from simulator.spec.library import is_file
from simulator.spec.textfiles import read_json

_WEIGHTS = (".safetensors", ".bin", ".pth", ".pt")
_DESCRIPTIONS = ("adapter_config.json", "params.json", "model_index.json", "mlc-chat-config.json")


def in_folder(folder: Path, tag: str = "", called: str = "") -> Place:
    """The file of a folder that holds or describes its model; InputError with what lies there instead.

    Of several GGUF files, *tag* tells which, and *called* is what the folder is known by, `org/name`.
    """
    if hub.is_cached(folder):
        return in_folder(hub.snapshot(folder), tag, called or hub.repository_of(folder))
    if ollama.is_store(folder):
        raise InputError(f"{folder}: is Ollama's store, give a model by its name: {_listed(ollama.all_names(folder))}")
    if "manifests" in folder.absolute().parts and ollama.manifests_in(folder):
        return _of_tags(folder)
    config, repository = folder / "config.json", hub.repository_of(folder)
    files = gguf_files(folder, deep=bool(tag or called or repository))
    if is_file(config) and not tag and _wins(folder, files):
        name = repository.rpartition("/")[2]
        return Place(config, name, _beside_config(folder, files))
    if files:
        place = choose(folder, files, tag, called)
        return replace(place, notes=(*place.notes, *_of_both(config)))
    _refuse_descriptions(folder)
    raise InputError(f"{folder}: {_nothing(folder, config, repository)}")


def _listed(names: list[str]) -> str:
    return and_others([f"ollama/{name}" for name in names]) if names else "it holds none yet"


def _of_tags(folder: Path) -> Place:
    """The only tag of a model in Ollama's store."""
    tags = ollama.manifests_in(folder)
    if len(tags) > 1:
        raise InputError(f"{folder}: has several tags, give one of them: {and_others([path.name for path in tags])}")
    return ollama.open_manifest(tags[0])


def _wins(folder: Path, files: list[Path]) -> bool:
    """Whether config.json is what to count, GGUF files or not: those are the weights where no others lie there."""
    return not files or any(path.suffix.lower() in _WEIGHTS for path in entries(folder))


def _beside_config(folder: Path, files: list[Path]) -> tuple[str, ...]:
    models = models_and_others(files)[0] if files else []
    if not models:
        return ()
    names = and_others([path.relative_to(folder).as_posix() for path in models])
    return (f"counted from config.json and what lies beside it; to count {names} instead, give it by its name",)


def _of_both(config: Path) -> tuple[str, ...]:
    return ("counted from the GGUF file; the config.json beside it was not needed",) if is_file(config) else ()


def _refuse_descriptions(folder: Path) -> None:
    """InputError for a folder that another file than config.json describes, with what that is."""
    for path in (folder / name for name in _DESCRIPTIONS):
        told = json_kinds.what_it_is(path, read_json(path, infinities=True)) if is_file(path) else None
        if told:
            raise InputError(f"{path}: {told}")


def _nothing(folder: Path, config: Path, repository: str) -> str:
    """What a folder holds that has no model to count."""
    if is_dangling(config):
        return f"its config.json leads to a file that is gone: {hub.fetch(repository or 'org/name')}"
    found = entries(folder)
    if not found:
        return "there is no config.json in this folder, which is empty: give the folder of a model, or a GGUF file"
    inner = {path.name: kind for path in folders_in(folder) if (kind := _kind_of(path))}
    if inner:
        what = "config.json" if set(inner.values()) == {"config.json"} else "model"
        return f"there is no {what} in this folder, but in folders in it, give one of them: {and_others([*inner])}"
    weights = [path for path in found if path.suffix.lower() in _WEIGHTS]
    if weights:
        fetch = f"hf download {repository or 'org/name'} config.json" + ("" if repository else f" --local-dir {folder}")
        return (
            f"there is no config.json in this folder, which tells the shapes of {weights[0].name}: fetch it beside that "
            f"({fetch}: a few kB)"
        )
    return "there is no config.json in this folder, and no GGUF file: give the folder of a model, or a GGUF file"


def _kind_of(folder: Path) -> str:
    """By what a folder in another tells its model, a repository of the hub's cache by its snapshot; empty where by nothing."""
    try:
        inner = hub.snapshot(folder) if hub.is_cached(folder) else folder
    except InputError:
        return ""
    if is_file(inner / "config.json"):
        return "config.json"
    return "GGUF" if hub.is_cached(folder) and gguf_files(inner, deep=True) else ""


def has_model(folder: Path) -> bool:
    """Whether a folder holds something that may be counted."""
    return is_folder(folder) and (is_file(folder / "config.json") or bool(gguf_files(folder, deep=True)))
