"""When weights that lie in a host's memory are brought to a GPU for a step, by the number of its tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.spec.layers.ffn import Experts
from simulator.spec.runtime import Runtime


def is_brought(runtime: Runtime, tokens: Any, experts: Experts | None = None) -> Any:
    """Whether a runtime brings them for so many *tokens* at once, a number or an array; *experts*: among which they are, if any."""
    if runtime.brings_from is None:
        return False
    if experts is None or not runtime.brings_experts_by_use:
        return np.asarray(tokens) >= runtime.brings_from
    return np.asarray(tokens) * experts.n_active >= runtime.brings_from * experts.n_experts
