"""How files say that positions are stretched beyond what the model was first trained with: linear, YaRN, or tables of factors."""

from __future__ import annotations

import math
from dataclasses import replace

from simulator.engine.recipes.keys import Keys
from simulator.engine.recipes.recipe import Rotation, Yarn
from simulator.engine.recipes.unread import FAST, MULTIPLIER, SLOW
from simulator.spec.model import Model

KINDS = ("none", "linear", "yarn", "longrope")
_SHORT, _LONG = "rope_factors_short", "rope_factors_long"


def scaled(rotation: Rotation, keys: Keys, model: Model) -> Rotation:
    """The rotation as the keys stretch it; InputError for a kind that the engine does not have."""
    kind = keys.value("rope.scaling.type")
    if kind is not None and kind not in KINDS:
        raise keys.wrong("rope.scaling.type", f"; the engine runs {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    # Files of 2023 have the second name, and neither always comes with a kind.
    factor = keys.number("rope.scaling.factor", 0.0) or keys.number("rope.scale_linear", 0.0) or 1.0
    found = replace(
        rotation,
        factor=1.0 if kind == "none" else factor,
        magnitude=keys.positive("rope.scaling.attn_factor", 1.0),
        original=original_context(keys, model),
    )
    if kind == "yarn":
        return _yarn(found, keys)
    has_tables = {each.role for each in model.beside} >= {_SHORT, _LONG}
    return replace(found, table=_SHORT, long_table=_LONG) if has_tables else replace(found, original=0.0)


def plain_rotation(rotation: Rotation, base: float) -> Rotation:
    """The same pairs, turned with another base and not stretched."""
    return Rotation(base, rotated=rotation.rotated, halves=rotation.halves, table="")


def original_context(keys: Keys, model: Model) -> float:
    """Tokens that the model was first trained with."""
    return keys.number("rope.scaling.original_context_length", model.max_context or 0)


def _yarn(rotation: Rotation, keys: Keys) -> Rotation:
    if not rotation.original:
        raise keys.wrong("rope.scaling.original_context_length", ", which YaRN needs")
    fast, slow = keys.positive(FAST, Yarn.fast), keys.positive(SLOW, Yarn.slow)
    grown, multiplier = math.log(max(rotation.factor, 1.0)) / 10, keys.number(MULTIPLIER, 0.0)
    magnitude = rotation.magnitude * (1 + grown) / (1 + multiplier * grown)
    return replace(rotation, yarn=Yarn(rotation.original, fast, slow), magnitude=magnitude, original=0.0)
