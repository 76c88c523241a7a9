"""Records what llama.cpp's converter calls each model of transformers: `python tests/recorded/converted.py FOLDER`.

FOLDER is llama.cpp's source; transformers must be installed. By model_type of the whole config: the architecture that the converter
writes for its class (conversion/*.py: what a class is registered for, and its `model_arch`). Written to tests/families/converted.json.
"""

import ast
import json
import sys
from pathlib import Path

import transformers
from transformers.models.auto import modeling_auto

TARGET = Path(__file__).parents[1] / "families" / "converted.json"
HEADS = ("CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "SPEECH_SEQ_2_SEQ", "PRETRAINING")


def registered(folder: Path) -> dict[str, str]:
    """The class of a checkpoint: the constant of its architecture."""
    classes = {}
    for file in sorted((folder / "conversion").glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name] = node
    found = {}
    for node in classes.values():
        calls = [call for call in node.decorator_list if isinstance(call, ast.Call) and call.func.attr == "register"]
        names = [each.value for call in calls for each in call.args]
        arch = architecture(node, classes)
        if arch not in (None, "MMPROJ"):
            found |= dict.fromkeys(names, arch)
    return found


def architecture(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> str | None:
    """What `model_arch` is in a class, or in the first of those it is derived from."""
    for each in node.body:
        if (
            isinstance(each, ast.Assign)
            and each.targets[0].id == "model_arch"
            and isinstance(each.value, ast.Attribute)
        ):
            return each.value.attr
    parents = (classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes)
    return next(filter(None, (architecture(parent, classes) for parent in parents)), None)


def main(folder: Path) -> None:
    """Writes the table."""
    sys.path.insert(0, str(folder / "gguf-py"))
    from gguf import constants

    of_class = registered(folder)
    found, others = {}, dict(of_class)
    for head in HEADS:
        for model_type, name in getattr(modeling_auto, f"MODEL_FOR_{head}_MAPPING_NAMES").items():
            names = [name] if isinstance(name, str) else name
            for each in names:
                others.pop(each, None)
                if each in of_class:
                    found.setdefault(model_type, constants.MODEL_ARCH_NAMES[constants.MODEL_ARCH[of_class[each]]])
    source = f"llama.cpp b11549: conversion/*.py; transformers {transformers.__version__}"
    names = {name: constants.MODEL_ARCH_NAMES[constants.MODEL_ARCH[arch]] for name, arch in sorted(others.items())}
    data = {"source": source, "types": dict(sorted(found.items())), "other_classes": names}
    TARGET.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
