"""A Hugging Face config.json as a model: the family of its model_type reads the keys, and files beside it tell the formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, printable
from simulator.families.all import family_by_class, family_of
from simulator.families.heads import check_writes, class_told
from simulator.families.predicting import blocks_stated
from simulator.families.refused import what_is_missing, why_refused
from simulator.families.unnamed import named
from simulator.families.unread import check_unread
from simulator.families.wrappers import architecture_of_whole, check_head, text_part
from simulator.importers.quantised.checkpoint import checkpoint
from simulator.spec.model import Loaded, Model
from simulator.spec.schema import check
from simulator.spec.textfiles import read_json


def load_huggingface(path: Path) -> Loaded:
    """The model that a config.json (or the folder it is in) describes; InputError if its type is unknown."""
    file = path / "config.json" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise InputError(f"{path}: there is no config.json in this folder")
    whole = read_json(file, infinities=True)
    if not isinstance(whole, dict):
        raise InputError(f"{file}: expected a JSON object with model_type")
    model, remarks, numbers = _read(file, named(file, whole))
    loaded = checkpoint(file, whole, model, numbers)
    return replace(loaded, notes=(*remarks, *loaded.notes))


def _read(file: Path, whole: dict[str, Any]) -> tuple[Model, list[str], list[int]]:
    """The model, remarks, and the number of each of its layers in the config."""
    config, elsewhere = text_part(file, whole)
    for stated in (whole["model_type"], config.type):
        reason = why_refused(stated)
        if reason and family_of(stated) is None:
            raise InputError(f"{file}: model_type {describe(stated)} is {reason}")
    check_writes(file, whole)
    by_class = None if family_of(config.type) else family_by_class(config.type, config.data.get("architectures"))
    family, like = by_class or (family_of(config.type), None)
    if family is None:
        why = what_is_missing(config.data.get("architectures")) or "so its bytes per token would be a guess"
        raise InputError(
            f"{file}: model_type {describe(config.type)} is unknown, {why}; "
            "describe the model in a YAML file like the shipped ones, or give a GGUF file of it, which tells its tensors"
        )
    found = family(config.read_as(like or family.types[0]) if by_class else config)
    data = {**found.model(), "name": _name(file, whole)}
    data["architecture"] = architecture_of_whole(whole, config, data["architecture"])
    check_head(file, whole, data["tied_head"], data["vocab"], data["d_model"])
    numbers = [index for index, several in enumerate(found.layers_by_number) for _ in several]
    remarks = found.remarks()
    if by_class:
        stated = printable(config.data["architectures"][0], 60)
        remarks.append(
            f"model_type {describe(config.type)} is unknown here: read as {stated}, the class under architectures"
        )
    disagreement = None if by_class else class_told(whole, config.type)
    remarks += [disagreement] if disagreement else []
    remarks += check_unread(found, whole["model_type"], like)
    data |= {"mtp_blocks": blocks_stated(found.config), "mtp_layer": found.mtp_layer}
    if elsewhere:
        remarks.append(f"only the part that writes text is counted: {', '.join(elsewhere)} of the model left out")
    return check(data, Model, str(file)), remarks, numbers


def _name(file: Path, whole: dict[str, Any]) -> str:
    name = whole.get("_name_or_path")
    if isinstance(name, str) and name.strip("/ "):
        return printable(name.rstrip("/").rpartition("/")[2], 100)
    return printable(file.parent.resolve().name or file.stem, 100)
