"""How often random tokens, as benchmarks read them, choose the same experts: fitted without the model that is judged by it."""

from __future__ import annotations

import json
import math
from functools import cache

from simulator.spec.library import SPLIT
from simulator.spec.model import Model
from simulator.spec.routing import Popular, Routing, Uniform

LEFT_OUT = SPLIT.with_name("skew_left_out.json")
ALL = ""  # the name under which the fit to all rows stands


@cache
def _fits() -> dict[str, float]:
    return json.loads(LEFT_OUT.read_text(encoding="utf-8"))


def skew_for(model: str) -> float:
    """From the rows of other models than *model*; from all where none of it was fitted to."""
    return _fits().get(model, _fits()[ALL])


def random_tokens(model: Model, skew: float) -> Routing:
    """Which experts random tokens choose: popularity falls by the same factor from each expert to the next.

    *skew*: how much more often the most popular is chosen than the least one, as a logarithm.
    """
    if not model.experts or not skew:
        return Uniform()
    n_experts = model.experts[0].n_experts
    popularity = tuple(math.exp(-skew * rank / n_experts) for rank in range(n_experts))
    return Popular("random tokens", popularity=popularity)
