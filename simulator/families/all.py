"""Every family, by what files call it."""

from __future__ import annotations

from simulator.families import (  # noqa: F401  importing them lists their families
    convolution,
    convolved,
    dense,
    dense_first,
    dense_further,
    gemma,
    gguf_only,
    gpt,
    hybrid,
    latent,
    linear,
    loops,
    mamba,
    mixed,
    mixtures,
    older,
    recurrent,
    remote,
    remote_dense,
    remote_mixtures,
    remote_recurrent,
    seeing,
    seeing_dense,
    seeing_mixtures,
    sparse,
    streams,
    zamba,
)
from simulator.families.config import config_classes, type_of_class
from simulator.families.family import ARCHITECTURES, BY_CLASS, FAMILIES, Family


def family_of(model_type: str) -> type[Family] | None:
    """The family of a model_type in a config.json; None where none is known."""
    return FAMILIES.get(model_type)


def family_of_files(architecture: str) -> type[Family] | None:
    """The family of a general.architecture, as llama.cpp or another program spells it; None where none is known."""
    return ARCHITECTURES.get(architecture)


def family_by_class(model_type: str, names: object) -> tuple[type[Family], str | None] | None:
    """The family of the first class that a config names under architectures, and the type of transformers' that has this class.

    Runtimes go by it: None where transformers knows the *model_type*, for then the class says nothing more, and where it is unknown.
    """
    first = names[0] if isinstance(names, list) and names else None
    if not isinstance(first, str) or model_type in config_classes():
        return None
    known = type_of_class(first)
    family = BY_CLASS.get(first) or FAMILIES.get(known or "")
    return (family, known) if family else None
