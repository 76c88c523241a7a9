"""Every family, by what files call it."""

from __future__ import annotations

from simulator.families import dense, dense_further, gemma, gpt, hybrid, latent, mixed, mixtures, older
from simulator.families.family import FAMILIES, Family

MODULES = (dense, dense_further, gemma, gpt, hybrid, latent, mixed, mixtures, older)


def family_of(model_type: str) -> type[Family] | None:
    """The family of a model_type in a config.json; None where none is known."""
    return FAMILIES.get(model_type)
