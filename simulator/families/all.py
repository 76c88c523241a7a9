"""Every family, by what files call it."""

from __future__ import annotations

from simulator.families import (
    convolution,
    dense,
    dense_first,
    dense_further,
    gemma,
    gpt,
    hybrid,
    latent,
    mamba,
    mixed,
    mixtures,
    older,
    remote,
    seeing,
    seeing_dense,
    seeing_mixtures,
)
from simulator.families.family import FAMILIES, Family

MODULES = (
    convolution,
    dense,
    dense_first,
    dense_further,
    gemma,
    gpt,
    hybrid,
    latent,
    mamba,
    mixed,
    mixtures,
    older,
    remote,
    seeing,
    seeing_dense,
    seeing_mixtures,
)


def family_of(model_type: str) -> type[Family] | None:
    """The family of a model_type in a config.json; None where none is known."""
    return FAMILIES.get(model_type)
