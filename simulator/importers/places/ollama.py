"""Ollama's store: manifests by a model's name and tag, and the blobs that they list.

`manifests/HOST/NAMESPACE/NAME/TAG` is JSON; each of its layers is a file `blobs/sha256-...` beside `manifests`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, printable
from simulator.importers.places.place import (
    Place,
    and_others,
    entries_if_any,
    folder_of_variable,
    folders_in,
    home,
    is_closed,
    is_folder,
    is_there,
)
from simulator.spec.library import is_file
from simulator.spec.textfiles import read_json
from simulator.units import counted, format_bytes

HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"
MAX_LAYERS = 100_000
_SERVICE = Path("/usr/share/ollama/.ollama/models")  # where Ollama's service on Linux keeps them, by its FAQ
_IMAGE = "application/vnd.ollama.image."
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_PART = re.compile(r"\w[\w.-]*", re.ASCII)
_BESIDE = {
    "projector": "the projector for pictures or sound is left out: a text token does not pass it",
    "adapter": "an adapter is left out: its own weights are not counted",
    "draft": "the draft model is left out: the forecast is of the model alone",
}


@dataclass(frozen=True)
class Name:
    """A model's name as Ollama takes it: `llama3.1:8b`, `hf.co/org/name:Q4_K_M`."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def shown(self) -> str:
        """As short as Ollama lists it."""
        parts = [self.model]
        if self.host != HOST:
            parts = [self.host, self.namespace, self.model]
        elif self.namespace != NAMESPACE:
            parts = [self.namespace, self.model]
        return f"{'/'.join(parts)}:{self.tag}"


def parse_name(text: str) -> Name | None:
    """The name that *text* writes, with Ollama's own host, namespace and tag where it leaves them out; None for no name."""
    rest, colon, tag = text.strip().rpartition(":")
    if not colon or "/" in tag:
        rest, tag = text.strip(), TAG
    parts = rest.split("/")
    if len(parts) > 3 or not all(_PART.fullmatch(part) and len(part) <= 80 for part in (*parts, tag)):
        return None
    host, namespace, model = [HOST, NAMESPACE][: 3 - len(parts)] + parts
    return Name(host, namespace, model, tag)


def stores() -> list[Path]:
    """Folders of Ollama's models: OLLAMA_MODELS, or where they are without it."""
    told = folder_of_variable("OLLAMA_MODELS")
    return [told] if told else [home() / ".ollama" / "models", _SERVICE]


def find(text: str) -> Path | None:
    """The manifest of a model by its name in Ollama, whatever its case; None where it is not on this device."""
    name = parse_name(text)
    if name is None:
        return None
    for store in stores():
        found = store / "manifests"
        for part in (name.host, name.namespace, name.model, name.tag):
            exact = found / part
            found = exact if is_there(exact) else _in_another_case(found, part)
            if found is None:
                break
        if found is not None and is_file(found):
            return found
    return None


def _in_another_case(folder: Path, name: str) -> Path | None:
    return next((path for path in entries_if_any(folder) if path.name.lower() == name.lower()), None)


def closed_store() -> Path | None:
    """A store that we may not read, as Ollama's service may keep its own."""
    return next((store for store in stores() if is_closed(store) or is_closed(store / "manifests")), None)


def tags_of(text: str) -> list[str]:
    """What Ollama has here of a model, whatever the tag: `llama3.1:8b`, ..."""
    name = parse_name(text)
    if name is None:
        return []
    found = []
    for store in stores():
        folder = store / "manifests" / name.host / name.namespace / name.model
        found += [Name(name.host, name.namespace, name.model, path.name).shown for path in manifests_in(folder)]
    return found


def manifests_in(folder: Path) -> list[Path]:
    """The manifests of one model, a file for each tag."""
    return [path for path in entries_if_any(folder) if not path.name.startswith(".") and is_file(path)]


def all_names(store: Path) -> list[str]:
    """Every model in a store."""
    return [
        Name(host.name, namespace.name, model.name, tag.name).shown
        for host in folders_in(store / "manifests")
        for namespace in folders_in(host)
        for model in folders_in(namespace)
        for tag in manifests_in(model)
    ]


def is_store(folder: Path) -> bool:
    """Whether a folder is a store of Ollama's."""
    return is_folder(folder / "manifests") and is_folder(folder / "blobs")


def is_manifest(data: Any) -> bool:
    """Whether JSON is a manifest of layers."""
    return (
        isinstance(data, dict)
        and isinstance(data.get("layers"), list)
        and bool({"schemaVersion", "mediaType"} & data.keys())
    )


def name_of(manifest: Path) -> str:
    """What Ollama calls the model of a manifest by where it lies; the file's name elsewhere."""
    parts = manifest.absolute().parts
    if len(parts) < 6 or parts[-5] != "manifests":
        return manifest.name
    return Name(*parts[-4:]).shown


def open_manifest(manifest: Path, data: Any = None) -> Place:
    """The model file that a manifest lists; InputError with what is missing, or what the layers are instead."""
    data = read_json(manifest) if data is None else data
    if not is_manifest(data):
        raise InputError(f"{manifest}: is no manifest of Ollama's: a list of layers is needed in it")
    layers = _layers(manifest, data)
    model = next((layer for layer in reversed(layers) if _sort(layer) == "model"), None)
    if model is None:
        raise InputError(f"{manifest}: {_without_model(manifest, data, layers)}")
    name, blob = name_of(manifest), _blob(manifest, model)
    beside = dict.fromkeys(_BESIDE[_sort(layer)] for layer in layers if _sort(layer) in _BESIDE)
    return Place(blob, name, (f"the file of {name} in Ollama: {blob}", *(f"{name}: {each}" for each in beside)))


def _layers(manifest: Path, data: dict) -> list[dict]:
    layers = data["layers"]
    if len(layers) > MAX_LAYERS:
        raise InputError(f"{manifest}: {len(layers):,} layers, at most {MAX_LAYERS:,} are possible")
    for number, layer in enumerate(layers):
        if not isinstance(layer, dict) or not isinstance(layer.get("mediaType"), str):
            raise InputError(f"{manifest}: layers[{number}].mediaType is missing, it names what the layer is: damaged")
    return layers


def _sort(layer: dict) -> str:
    """What a layer is: model, projector, adapter, params, template, tensor, ..."""
    return layer["mediaType"].removeprefix(_IMAGE)


def _blob(manifest: Path, layer: dict) -> Path:
    digest = layer.get("digest")
    match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if not match:
        raise InputError(
            f"{manifest}: the digest of its {_sort(layer)} layer is {describe(digest)}, sha256: with 64 digits is needed"
        )
    name = f"sha256-{match[1].lower()}"
    folders = [
        folder / "blobs" for folder in (*manifest.absolute().parents[:6], *manifest.resolve().parents[:6], *stores())
    ]
    found = next((folder / name for folder in folders if is_file(folder / name)), None)
    closed = next((folder for folder in folders if is_closed(folder)), None)
    if found is None and closed is not None:
        raise InputError(
            f"{manifest}: its {_sort(layer)} layer lies in {closed}, which cannot be read: ask for the right to"
        )
    if found is None:
        home_of_blobs = next((folder for folder in folders if is_folder(folder)), folders[-1])
        raise InputError(
            f"{manifest}: its {_sort(layer)} layer is missing: {home_of_blobs / name}; fetch it with "
            f"ollama pull {name_of(manifest)}, or set OLLAMA_MODELS to where the blobs are"
        )
    return found


def _without_model(manifest: Path, data: dict, layers: list[dict]) -> str:
    """Why a manifest without a GGUF file cannot be counted, and what can."""
    tensors = [layer for layer in layers if _sort(layer) == "tensor"]
    if tensors:
        return _of_tensors(manifest, layers, tensors)
    if any("gguf" in _sort(layer) for layer in layers):
        return "is a manifest of Docker's, whose blobs lie elsewhere: give the GGUF file among them (blobs/sha256/...)"
    host = _config(manifest, data).get("remote_host")
    if isinstance(host, str) and host:
        return (
            f"runs on {printable(host)}, not here: Ollama holds no weights of it; give a GGUF file, or a shipped name"
        )
    sorts = and_others(sorted({printable(_sort(layer), 30) for layer in layers})) if layers else "none"
    return f"lists no model layer (its layers: {sorts}): fetch it again with ollama pull {name_of(manifest)}"


def _of_tensors(manifest: Path, layers: list[dict], tensors: list[dict]) -> str:
    sizes = [layer["size"] for layer in tensors if type(layer.get("size")) is int and 0 <= layer["size"] < 2**50]
    told = (
        f"keeps each tensor in a safetensors blob of its own ({counted(len(tensors), 'blob')}, {format_bytes(sum(sizes))}, "
        "for Ollama's MLX engine), which is not counted here"
    )
    config = next((layer for layer in layers if _sort(layer) == "json" and layer.get("name") == "config.json"), None)
    if config is None:
        return f"{told}: give the folder with config.json that it was made from"
    return f"{told}: give its config.json, {_blob(manifest, config)}, and --weights"


def _config(manifest: Path, data: dict) -> dict:
    """What Ollama keeps about the model beside its layers; empty where that is not at hand."""
    layer = data.get("config")
    if not isinstance(layer, dict) or "digest" not in layer:
        return {}
    try:
        found = read_json(_blob(manifest, {"mediaType": "config", **layer}), infinities=True)
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def other_blob(path: Path) -> str | None:
    """What a blob of Ollama's is that holds no model, by its name; None for another file."""
    if not _DIGEST.fullmatch(path.name):
        return None
    return (
        "is one of Ollama's blobs and not a model (a template, parameters, a licence): give the model's name in "
        "Ollama, as in ollama/llama3.1:8b, or its manifest"
    )
