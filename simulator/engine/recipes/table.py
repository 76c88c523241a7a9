"""The architectures whose arithmetic is known here, by the name in their files."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from simulator.engine.recipes import dense, layer_norms, mixtures, recurrent, usual
from simulator.engine.recipes.architecture import Architecture
from simulator.engine.recipes.keys import Keys
from simulator.engine.recipes.recipe import Recipe
from simulator.errors import InputError, describe
from simulator.spec.model import Model

ARCHITECTURES: dict[str, type[Architecture]] = {
    name: kind
    for module in (usual, dense, layer_norms, mixtures, recurrent)
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, Architecture) and kind.__module__ == module.__name__
    for name in kind.names
}


def recipe_of_file(path: str, keys: Mapping[str, Any], model: Model) -> Recipe:
    """The arithmetic that a GGUF's keys name; InputError if it is one that the engine does not have."""
    architecture = keys.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise InputError(
            f"{path}: the engine does not run architecture {describe(architecture)}, only those that roofcast show engine lists; "
            "a forecast needs no engine (roofcast simulate)"
        )
    return ARCHITECTURES[architecture](Keys(path, keys, architecture), model).recipe()
