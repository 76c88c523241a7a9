"""What a user names, opened: a model or a routing by its name, or by a file of whatever kind."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import InputError
from simulator.spec.library import find, shelf
from simulator.spec.model import Loaded, Model
from simulator.spec.routing import Routing, parse_routing
from simulator.spec.shipped import load_spec
from simulator.spec.textfiles import open_file


def load_model(given: str | Path) -> Loaded:
    """A model by shipped name, YAML, GGUF (any one of its parts) or Hugging Face config.json; InputError if unusable."""
    path = find(given, shelf("models"), "model")
    if path.suffix.lower() == ".gguf" or starts_with_gguf(path):
        from simulator.importers.gguf import load_gguf

        return load_gguf(path)
    if path.suffix == ".safetensors":
        raise InputError(f"{path}: give the folder with its config.json, which tells the shapes")
    if path.suffix == ".json" or path.is_dir():
        from simulator.importers.huggingface import load_huggingface

        return load_huggingface(path)
    return Loaded(load_spec(path, Model))


def starts_with_gguf(path: Path) -> bool:
    """Whether a file of any name is a GGUF: some tools keep them under a checksum."""
    try:
        with open_file(path) as file:
            return file.read(4) == b"GGUF"
    except (OSError, InputError):
        return False


def load_routing(text: str) -> Routing:
    """The routing written *text*: a name, a name with a number, or a file of counts or of recorded choices."""
    path = Path(text.strip())
    if path.suffix not in (".json", ".csv"):
        return parse_routing(text)
    from simulator.importers.routing import read_routing

    return read_routing(path)
