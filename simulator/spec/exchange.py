"""How a runtime's devices tell each other their parts of a result, where several of them decode one model."""

from __future__ import annotations

from typing import Literal

from simulator.spec.figure import Figure
from simulator.spec.schema import Spec


class Exchange(Spec):
    """What of a step goes over the links between devices, and by which algorithm."""

    values: Literal["f32", "f16", "bf16", "q8_0"] = "f32"  # what activations are sent in
    is_direct: bool = (
        False  # each device reads what all others have, where the links allow it, instead of passing parts on
    )
    direct_us: Figure | None = None  # of such a sum, beside the launch of its kernel and the links' own latency
    start_us: Figure | None = None  # of a sum that is passed around a ring, beside the launch of its kernel
    splits_head: bool = True  # whether the head's rows are shared out, too
    source: str = ""
    how: str = ""
