"""What a GPU must be for software to have kernels for it."""

from __future__ import annotations

from simulator.spec.hardware import Hardware
from simulator.spec.schema import Field, Spec


class Requirement(Spec):
    """What a GPU must be for a runtime, or a format of it, to have kernels for it; with neither field there are none."""

    at_least: float | None = Field(None, gt=0, le=1_000)  # compute capability
    one_of: tuple[str, ...] = Field((), max_length=100)  # architectures
    source: str = Field(min_length=1)
    how: str = ""

    def is_met_by(self, hardware: Hardware) -> bool | None:
        """Whether *hardware* will do; None where its file does not say what it is."""
        if self.at_least is None and not self.one_of:
            return False
        if hardware.architecture is None:
            return None
        if self.at_least is not None:
            capability = hardware.architecture.compute_capability
            return None if capability is None else capability >= self.at_least
        return hardware.architecture.name in self.one_of

    def unmet(self, hardware: Hardware) -> str:
        """In words, what is needed and what is there."""
        if hardware.architecture is None or (self.at_least is None and not self.one_of):
            return self.how
        if self.at_least is not None:
            return f"compute capability {self.at_least:.1f} is needed, this GPU has {hardware.architecture.compute_capability:.1f}"
        return f"{' or '.join(self.one_of)} is needed, this GPU is {hardware.architecture.name}"
