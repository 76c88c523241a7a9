"""What a user names, opened: a model or a routing by its name, or by a file of whatever kind."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from simulator.errors import InputError, plain_line, printable
from simulator.importers.places.place import Place, first_bytes, is_folder
from simulator.spec.library import at_hand, find, is_file, is_shipped, shelf
from simulator.spec.model import Loaded, Model
from simulator.spec.routing import Routing, parse_routing
from simulator.spec.shipped import load_spec
from simulator.spec.textfiles import MAX_FILE_BYTES, read_json


def load_model(given: str | Path) -> Loaded:
    """A model by shipped name, by a file or folder (YAML, GGUF, config.json), or by its name in a store on this device.

    InputError says what a file is that holds no model, and what to give instead.
    """
    place = find_place(given)
    loaded = _load(place.path)
    if place.name:
        name = printable(place.name, 100)
        loaded = replace(loaded, model=loaded.model.model_copy(update={"name": name}))
    return replace(loaded, notes=tuple(map(plain_line, (*place.notes, *loaded.notes))))


def load_named(name: str) -> Loaded:
    """A model by shipped name or by a file: what others call theirs means no file of this device's stores."""
    return _load(find(name, shelf("models"), "model"))


def find_place(given: str | Path) -> Place:
    """The file that holds or describes the model which *given* names; InputError where there is none."""
    path = at_hand(given, shelf("models"), "model")
    if path is None:
        from simulator.importers.places.names import find_elsewhere

        place = find_elsewhere(given)
    else:
        place = Place(path)
    if is_shipped(place.path):
        return place
    inner = _inside(place.path)
    return place if inner is None else replace(inner, notes=(*place.notes, *inner.notes))


def is_kept_here(name: str) -> bool:
    """Whether another program keeps something of that name on this device, usable or not."""
    from simulator.importers.places.names import in_stores, latest

    try:
        return in_stores(name) is not None or latest(name) is not None
    except InputError:
        return True


def _inside(path: Path) -> Place | None:
    """The file that a folder or a manifest leads to; None for a file of its own."""
    if is_folder(path):
        from simulator.importers.places.folder import in_folder

        return in_folder(path)
    if _is_json(path) and path.stat().st_size <= MAX_FILE_BYTES:
        from simulator.importers.places import hub, ollama

        data = read_json(path, infinities=True)
        if ollama.is_manifest(data):
            return ollama.open_manifest(path, data)
        return Place(path, hub.repository_of(path).rpartition("/")[2])
    return None


def _load(path: Path) -> Loaded:
    """The model in a file."""
    if is_shipped(path):
        return Loaded(load_spec(path, Model))
    if is_folder(path):
        return load_model(path)
    if starts_with_gguf(path):
        return _load_gguf(path)
    _refuse_other(path)
    if path.suffix.lower() == ".gguf":
        return _load_gguf(path)
    if path.suffix.lower() == ".json" or _is_json(path):
        return _load_json(path)
    return Loaded(load_spec(path, Model), is_own=True)


def _refuse_other(path: Path) -> None:
    """InputError for a file that is no model, with what it is."""
    from simulator.importers.places import kinds, ollama

    if not is_file(path):  # a pipe that a shell made is read as text
        return
    told = kinds.what_it_is(path, first_bytes(path, kinds.HEAD_BYTES))
    if told is None and not _is_json(path):
        told = ollama.other_blob(path)
    if told:
        raise InputError(f"{path}: {told}")


def _load_gguf(path: Path) -> Loaded:
    from simulator.importers.gguf import load_gguf
    from simulator.importers.places.gguf_kinds import what_else

    try:
        return load_gguf(path)
    except InputError:
        told = what_else(path)
        if told is None:
            raise
    raise InputError(f"{path}: {told}")


def _load_json(path: Path) -> Loaded:
    from simulator.importers.huggingface import load_huggingface
    from simulator.importers.places import json_kinds, ollama

    if path.stat().st_size > MAX_FILE_BYTES:
        told = json_kinds.what_a_large_one_is(path, first_bytes(path, 65_536))
    else:
        data = read_json(path, infinities=True)
        if isinstance(data, dict) and {"d_model", "layers"} <= data.keys():  # our own model file, written as JSON
            return Loaded(load_spec(path, Model), is_own=True)
        told = json_kinds.what_it_is(path, data)
        if told is None and isinstance(data, dict) and not {"model_type", "text_config"} & data.keys():
            told = ollama.other_blob(path)
    if told:
        raise InputError(f"{path}: {told}")
    return load_huggingface(path)


def _is_json(path: Path) -> bool:
    """Whether a file starts as JSON does, and is not called YAML, which may start so, too."""
    start = first_bytes(path, 256).removeprefix(b"\xef\xbb\xbf")
    return path.suffix.lower() not in (".yaml", ".yml") and re.match(rb'\s*\{\s*(["}]|$)', start) is not None


def starts_with_gguf(path: Path) -> bool:
    """Whether a file of any name is a GGUF: some tools keep them under a checksum."""
    try:
        return first_bytes(path, 4) == b"GGUF"
    except InputError:
        return False


def load_routing(text: str) -> Routing:
    """The routing written *text*: a name, a name with a number, or a file of counts or of recorded choices."""
    path = Path(text.strip())
    if path.suffix == ".jsonl":
        from simulator.importers.routing_record import read_record

        return read_record(path)
    if path.suffix not in (".json", ".csv"):
        return parse_routing(text)
    from simulator.importers.routing import read_routing

    return read_routing(path)
