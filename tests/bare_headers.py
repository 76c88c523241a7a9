"""GGUF headers without weights: keys and names, shapes and types of tensors, as few bytes as that takes."""

import json
import re
import struct
from pathlib import Path

MODELS = Path(__file__).parent / "importers" / "gguf_models.json"  # written by tests/recorded/gguf_models.py


def text(value):
    """A string of GGUF."""
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def typed(value):
    """A value with its type before it: whole numbers in 32 bits, lists of one kind."""
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, list) and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    if isinstance(value, list):
        kind, code = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}[type(value[0])]
        return struct.pack(f"<IIQ{len(value)}{code}", 9, kind, len(value), *value)
    kind, code = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}[type(value)]
    return struct.pack(f"<I{code}", kind, value)


def write_header(path, architecture, keys, tensors, kind=1, kinds=None):
    """A header with these keys (`=`: without the architecture) and tensors (name: shape, row length first), in f16 but for *kinds*."""
    named = {"general.architecture": architecture}
    named |= {key[1:] if key.startswith("=") else f"{architecture}.{key}": value for key, value in keys.items()}
    data = b"".join(text(key) + typed(value) for key, value in named.items())
    for name, shape in tensors.items():
        data += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, (kinds or {}).get(name, kind), 0)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(named)) + data)
    return path


def recorded():
    """The models that llama.cpp made of keys, each with all its keys, and all its tensors by name."""
    data = json.loads(MODELS.read_text(encoding="utf-8"))
    return [
        model | {"tensors": dict(_unpacked(model["tensors"])), "keys": data["usual"] | model["keys"]}
        for model in data["models"]
    ]


def _unpacked(packed):
    for key, blocks in packed.items():
        role, _, sizes = key.partition(" ")
        shape = tuple(int(size) for size in sizes.split("x"))
        found = re.findall(r"(\d+)-(\d+)", blocks)
        if not found:
            yield role, shape
        for first, last in found:
            yield from ((role.replace("*", str(block)), shape) for block in range(int(first), int(last) + 1))
