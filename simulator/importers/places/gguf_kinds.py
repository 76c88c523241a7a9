"""GGUF files that hold no model: projectors, adapters, importance matrices, control vectors, vocabularies, drafts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from simulator.errors import InputError, printable
from simulator.importers.gguf_header import Header, read_header, read_long_keys

# As llama.cpp's own downloader tells them from models (common/download.cpp, gguf_filename_is_model).
_BESIDE = re.compile(r"mmproj|imatrix|mtp-|eagle3-|dflash-|dspark-", re.IGNORECASE)
_DRAFTS = ("eagle3", "dflash")
_IMAGE_MODELS = (
    "flux",
    "sd1",
    "sdxl",
    "sd3",
    "aura",
    "hidream",
    "cosmos",
    "ltxv",
    "hyvid",
    "wan",
    "lumina2",
    "qwen_image",
)


def what_else(path: Path) -> str | None:
    """What a GGUF file is that is no model, and what to give instead; None for a model, or what cannot be read."""
    try:
        header = read_header(path)
    except InputError:
        return None
    return _by_keys(header.keys) or _by_tensors(header)


def _by_keys(keys: dict[str, Any]) -> str | None:
    """By general.type, or by an architecture that only such files have."""
    kind, architecture = keys.get("general.type"), keys.get("general.architecture")
    if kind == "mmproj" or architecture == "clip":
        return f"is {_projector(keys)}, which lies beside a model and holds none: give the model's GGUF file"
    if kind == "adapter":
        return (
            f"is a LoRA adapter, which changes a model and is none: give the GGUF file of its base model{_base(keys)}"
        )
    if kind == "imatrix":
        return "is an importance matrix, by which a model was quantised: give the model's GGUF file"
    if architecture == "controlvector":
        made_for = keys.get("controlvector.model_hint")
        hint = f" (made for {printable(made_for)})" if isinstance(made_for, str) and made_for else ""
        return f"is a control vector{hint}, which is added to a model and is none: give the model's GGUF file"
    if architecture in _DRAFTS:
        return f"is a draft head ({architecture}), which guesses ahead for a model: give that model's GGUF file"
    if architecture in _IMAGE_MODELS:
        return f"is a model of images or video ({architecture}): no tokens are decoded by it; give a language model"
    return None


def _projector(keys: dict[str, Any]) -> str:
    """Of pictures, of sound or of both, by the encoders that its keys name."""
    sorts = {"clip.has_vision_encoder": "pictures", "clip.has_audio_encoder": "sound"}
    found = [name for key, name in sorts.items() if keys.get(key) is True]
    return f"a projector (mmproj) for {' and '.join(found or ['pictures or sound'])}"


def _base(keys: dict[str, Any]) -> str:
    name = keys.get("general.base_model.0.name")
    return f" ({printable(name)})" if isinstance(name, str) and name.strip() else ""


def _by_tensors(header: Header) -> str | None:
    """What older writers did not name: an adapter's pairs of matrices, and a vocabulary without weights."""
    names = {tensor.name for tensor in header.tensors}
    if any(name.endswith((".lora_a", ".lora_b")) for name in names) and "token_embd.weight" not in names:
        return "is a LoRA adapter, which changes a model and is none: give the GGUF file of its base model"
    if not header.tensors and any(key.startswith("tokenizer.") for key in header.keys):
        return "holds a vocabulary and no weights: give the model's GGUF file"
    return None


def is_beside_by_name(path: Path) -> bool:
    """Whether a GGUF file is called as those that lie beside a model are."""
    return _BESIDE.search(path.name) is not None


def is_beside(path: Path) -> bool:
    """The same, or its keys say so; a file that cannot be read is not."""
    if is_beside_by_name(path):
        return True
    try:
        return _by_keys(read_long_keys(path, "general.")) is not None
    except InputError:
        return False
