"""Experts that a model's own router picked for a text, token by token and layer by layer, and what batches and caches make of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError, printable
from simulator.spec.routing import Trace
from simulator.units import counted

if TYPE_CHECKING:
    from simulator.spec.layers.ffn import Experts
    from simulator.spec.model import Model


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a router picked; as a routing it answers for batches of its tokens in any order."""

    name: str  # of the file
    model: str  # as its own file calls it
    layers: tuple[int, ...]  # numbers of those with experts, from 0
    n_experts: tuple[int, ...]  # of each of these layers
    n_active: tuple[int, ...]
    tokens: tuple[int, ...]  # in their order: those of the prompt, then what was generated
    n_prompt: int
    chosen: tuple[np.ndarray, ...]  # of each of these layers: int64 [tokens, active]

    @property
    def assumption(self) -> str:
        """What a forecast takes for granted with it."""
        return (
            f"a batch is a random set of the {counted(len(self.tokens), 'token')} that {self.model} was recorded with"
        )

    @cached_property
    def uses(self) -> tuple[np.ndarray, ...]:
        """Of each layer, how many tokens used each expert: int64 [experts]."""
        pairs = zip(self.chosen, self.n_experts, strict=True)
        return tuple(np.bincount(chosen.ravel(), minlength=n) for chosen, n in pairs)

    @cached_property
    def trace(self) -> Trace:
        """The same without its order."""
        return Trace(self.name, len(self.tokens), tuple(tuple(uses.tolist()) for uses in self.uses))

    def distinct(self, ffn: Experts, batch):
        """Mean number of distinct experts of a layer that *batch* of the tokens touch, drawn without replacement."""
        return self.trace.distinct(ffn, batch)

    def served(self, ffn: Experts, batch):
        """Mean number of experts that serve a token."""
        return self.trace.served(ffn, batch)


def refuse_other_model(recorded: Recorded, model: Model) -> None:
    """InputError where a model's layers have other experts than those of which a record tells."""
    here = [(ffn.n_choices, ffn.n_active) for ffn in model.experts]
    there = list(zip(recorded.n_experts, recorded.n_active, strict=True))
    if not here or here == there:  # a dense model has no use for it, and is told so elsewhere
        return
    raise InputError(
        f"routing {recorded.name}: was recorded of {printable(recorded.model)} with {_told(there)}, {model.name} has {_told(here)}; "
        "record it anew with generate --record-routing"
    )


def _told(layers: list[tuple[int, int]]) -> str:
    kinds = list(dict.fromkeys(layers))
    each = " or ".join(f"{active} of {n}" for n, active in kinds[:2]) + (" or others" if len(kinds) > 2 else "")
    return f"{counted(len(layers), 'layer')} that use {each} experts"
