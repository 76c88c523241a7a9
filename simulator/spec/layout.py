"""How devices that work together share a model."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.spec.arguments import whole
from simulator.spec.names import MAX_DEVICES


@dataclass(frozen=True)
class Layout:
    """So many devices: `tensor` of them share each matrix, and `data` such groups have sequences of their own in attention.

    Everything but attention is shared by all. Experts are whole in `expert` groups of devices, each with others; within such a
    group every expert is cut like any other matrix.
    """

    tensor: int = 1
    data: int = 1
    expert: int = 1

    def __post_init__(self):
        for name in ("tensor", "data", "expert"):
            whole(name, getattr(self, name), 1, MAX_DEVICES)

    @property
    def n_devices(self) -> int:
        """All of them."""
        return self.tensor * self.data
