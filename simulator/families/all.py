"""Every family, by what files call it."""

from __future__ import annotations

from simulator.families import (
    convolution,
    convolved,
    dense,
    dense_first,
    dense_further,
    gemma,
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
from simulator.families.family import FAMILIES, Family

MODULES = (
    convolution,
    convolved,
    dense,
    dense_first,
    dense_further,
    gemma,
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


def family_of(model_type: str) -> type[Family] | None:
    """The family of a model_type in a config.json; None where none is known."""
    return FAMILIES.get(model_type)
