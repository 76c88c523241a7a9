"""A Hugging Face config.json as a model: the family of its model_type reads the keys, and files beside it tell the formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, printable
from simulator.families.all import family_of
from simulator.families.wrappers import check_head, text_part
from simulator.importers.places.kinds import is_pointer
from simulator.importers.places.place import is_dangling
from simulator.importers.safetensors import bytes_by_dtype
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, Model, weight_bytes
from simulator.spec.quant import FORMATS
from simulator.spec.schema import check
from simulator.spec.textfiles import read_json
from simulator.units import format_bytes

_WEIGHTS_OF_DTYPE = {"F32": "f32", "F16": "f16", "BF16": "bf16", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}


def load_huggingface(path: Path) -> Loaded:
    """The model that a config.json (or the folder it is in) describes; InputError if its type is unknown."""
    file = path / "config.json" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise InputError(f"{path}: there is no config.json in this folder")
    whole = read_json(file, infinities=True)
    if not isinstance(whole, dict):
        raise InputError(f"{file}: expected a JSON object with model_type")
    model, remarks = _read(file, whole)
    loaded = _with_weights(model, file)
    loaded = replace(loaded, notes=(*remarks, *loaded.notes))
    stated = whole.get("quantization_config")
    if isinstance(stated, dict) and model.native_weights is None:
        method = f"quantization_config ({describe(stated.get('quant_method'))}) is not understood: give --weights"
        loaded = replace(loaded, notes=(*loaded.notes, method))
    return loaded


def _read(file: Path, whole: dict[str, Any]) -> tuple[Model, list[str]]:
    config, elsewhere = text_part(file, whole)
    family = family_of(config.type)
    if family is None:
        raise InputError(
            f"{file}: model_type {describe(config.type)} is unknown, so its bytes per token would be a guess; "
            "describe the model in a YAML file like the shipped ones"
        )
    found = family(config)
    data = {**found.model(), "name": _name(file, whole), "native_weights": _quantised(whole)}
    check_head(file, whole, data["tied_head"], data["vocab"], data["d_model"])
    remarks = found.remarks()
    if elsewhere:
        remarks.append(f"only the part that writes text is counted: {', '.join(elsewhere)} of the model left out")
    return check(data, Model, str(file)), remarks


def _name(file: Path, whole: dict[str, Any]) -> str:
    name = whole.get("_name_or_path")
    if isinstance(name, str) and name.strip("/ "):
        return printable(name.rstrip("/").rpartition("/")[2], 100)
    return printable(file.parent.resolve().name or file.stem, 100)


def _quantised(whole: dict[str, Any]) -> str | None:
    """The format that quantization_config states, by our name for it; None where there is none or it is another."""
    stated = whole.get("quantization_config")
    if not isinstance(stated, dict):
        return None
    method, bits, group = (stated.get(key) for key in ("quant_method", "bits", "group_size"))
    if method in ("fp8", "mxfp4"):
        return method
    if method in ("awq", "gptq") and bits == 4 and f"int4-g{group}" in FORMATS:
        return f"int4-g{group}"
    return None


def _with_weights(model: Model, config: Path) -> Loaded:
    """The model with the formats of the safetensors beside its config, told by their headers."""
    files = sorted(config.parent.glob("*.safetensors"))
    absent = [file for file in files if is_dangling(file) or is_pointer(file)]
    if absent:
        note = f"{absent[0].name} only stands for a file that is not here: its formats are unknown, so give --weights"
        return Loaded(model, None, (note,))
    if not files:
        return Loaded(model)
    by_dtype: dict[str, int] = {}
    for file in files:
        for dtype, n_bytes in bytes_by_dtype(file).items():
            by_dtype[dtype] = by_dtype.get(dtype, 0) + n_bytes
    total = sum(by_dtype.values())
    if not total:
        return Loaded(model)
    main = max(by_dtype, key=by_dtype.__getitem__)
    listed = ", ".join(
        f"{dtype} {format_bytes(n_bytes)}" for dtype, n_bytes in sorted(by_dtype.items(), key=lambda each: -each[1])
    )
    if main not in _WEIGHTS_OF_DTYPE:
        return Loaded(model, None, (f"the safetensors files hold {listed}: packed, so give --weights",))
    weights = parse_weights(_WEIGHTS_OF_DTYPE[main])
    counted = weight_bytes(model, weights)
    notes = [f"safetensors files: {listed}"]
    if abs(counted / total - 1) > 0.01:
        notes.append(
            f"the files hold {format_bytes(total)}, {format_bytes(counted)} are counted: parts of the model are elsewhere or extra"
        )
    return Loaded(model, weights, tuple(notes))
