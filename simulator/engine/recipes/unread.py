"""Keys that llama.cpp reads in the files of some architectures only: what it computes in all others, and what is told of it.

Which architectures read which stands in their classes; source: `src/models/` of llama.cpp b11549.
"""

from __future__ import annotations

from simulator.engine.recipes.keys import Keys
from simulator.engine.recipes.recipe import RouterRecipe, Yarn
from simulator.errors import describe
from simulator.spec.layers.ffn import Experts
from simulator.spec.model import Model

NORM, SCALE, GATING = ROUTER_KEYS = ("expert_weights_norm", "expert_weights_scale", "expert_gating_func")
FAST, SLOW, MULTIPLIER = YARN_KEYS = (
    "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow", "rope.scaling.yarn_log_multiplier"
)  # fmt: skip
NOT_ALWAYS_READ = (*ROUTER_KEYS, *YARN_KEYS)

SOFTMAX, SIGMOID, SOFTMAX_OF_CHOSEN = 1, 2, 3  # of the key expert_gating_func


def notes_on_unread(keys: Keys, read: tuple[str, ...], model: Model, router: RouterRecipe) -> tuple[str, ...]:
    """A sentence for each key that stands in the file, is not among those *read*, and says other than what is computed."""
    computed = _of_router(router) if any(isinstance(layer.ffn, Experts) for layer in model.stack) else {}
    if keys.value("rope.scaling.type") == "yarn":
        computed |= {FAST: (Yarn.fast,), SLOW: (Yarn.slow,), MULTIPLIER: (0,)}
    return tuple(
        f"{keys.path}: {keys.architecture}.{name} is {describe(keys.value(name))} and is left unread, as llama.cpp leaves it in "
        f"files of this architecture: what is computed is {describe(alike[0])}"
        for name, alike in computed.items()
        if name not in read and keys.value(name) is not None and keys.value(name) not in alike
    )


def _of_router(router: RouterRecipe) -> dict[str, tuple[bool | float, ...]]:
    """The values of each key that say what this router does, the plainest first; a softmax of those chosen is one of all, renormalised."""
    softmax = (SOFTMAX, SOFTMAX_OF_CHOSEN) if router.renormalise else (SOFTMAX,)
    return {
        NORM: (router.renormalise,),
        SCALE: (1.0, 0.0),
        GATING: (*((SIGMOID,) if router.sigmoid else softmax), 0),
    }
