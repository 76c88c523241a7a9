"""What the class under architectures says of a config's model: whether it writes text at all, and whether it is of another type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, printable
from simulator.families.all import family_of
from simulator.families.config import config_classes, type_of_class
from simulator.families.family import BY_CLASS

# Heads that give a text, or its tokens, a label, a score or a vector, by how transformers, vLLM and their remote code call them.
_HEADS = {
    r"For(?:Sequence|Token|Image|Video|Audio)Classification": "a classifier: it gives a text or its tokens a label",
    r"(?:For\w*|ForCausalLM)QuestionAnswering": "a model that marks an answer in a text",
    r"ForMultipleChoice": "a model that scores choices",
    r"For\w*Reward(?:Model)?|RewardModel|ForScoring?|ForRanking|ForReranking|ForRegression": "a model that scores a text",
    r"For(?:Text)?(?:Embeddings?|Retrieval|TextEncoding)|Bi(?:directional)?(?:Text)?Model|EncoderModel": (
        "a model of embeddings: it gives a text a vector"
    ),
    r"ForMaskedLM": "a model that fills gaps: it reads a text whole",
}
# Classes that are called like a model without a head and were published for generators: chatglm2-6b, bloom-7b1.
_GENERATORS = ("ChatGLMModel", "BloomModel")


def check_writes(file: Path, whole: dict[str, Any]) -> None:
    """InputError where the first class under architectures has no head that writes text token by token."""
    name = _first_class(whole)
    if not name or name in _GENERATORS:
        return
    for pattern, what in _HEADS.items():
        if re.search(f"(?:{pattern})$", name):
            raise _refused(file, name, f"{what}, and writes no text token by token")
    if name.endswith("Model") and _is_base(name.removesuffix("Model")):
        raise _refused(
            file, name, "the layers without a head, as checkpoints of embeddings are: it writes no text token by token"
        )


def class_told(whole: dict[str, Any], model_type: str) -> str | None:
    """A remark where the class under architectures is of another family than the *model_type*, which was read."""
    name = _first_class(whole)
    known = type_of_class(name)
    of_class = BY_CLASS.get(name) or family_of(known or "")
    stated = {each for each in (model_type, whole.get("model_type")) if isinstance(each, str)}
    if of_class is None or any(family_of(each) is of_class and known in (None, each) for each in stated):
        return None
    if not any(each in config_classes() for each in stated) or _prefix(name) in {
        _of_type(each).lower() for each in stated
    }:
        return None
    return (
        f"model_type {describe(model_type)} and {printable(name, 60)} under architectures disagree: "
        f"read by its model_type, as {printable(model_type, 60)}"
    )


def _first_class(whole: dict[str, Any]) -> str:
    names = whole.get("architectures")
    first = names[0] if isinstance(names, list) and names else None
    return first if isinstance(first, str) else ""


def _is_base(prefix: str) -> bool:
    """Whether some generator's class is called *prefix* with its head behind it."""
    return any(
        each
        and (
            type_of_class(f"{each}ForCausalLM")
            or f"{each}ForCausalLM" in BY_CLASS
            or each in map(_of_type, config_classes())
        )
        for each in (prefix, prefix.removesuffix("Text"))
    )


def _of_type(model_type: str) -> str:
    """What the classes of a type begin with, as its config's does."""
    return config_classes().get(model_type, {}).get("class", "").removesuffix("Config").removesuffix("Text")


def _prefix(name: str) -> str:
    return re.sub(r"For(?:CausalLM|ConditionalGeneration)$|LMHeadModel$", "", name).removesuffix("Text").lower()


def _refused(file: Path, name: str, why: str) -> InputError:
    return InputError(
        f"{file}: architectures names {printable(name, 60)}, {why}; give the model that it was made from, if that writes text"
    )
