"""What was timed on a machine: every sample, and what there was no time for."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.machine.host import Host
from simulator.probe.attention import Attention
from simulator.probe.clock import Sample
from simulator.probe.columns import Columns
from simulator.probe.plan import Plan


@dataclass(frozen=True)
class Readings:
    """What was timed on a machine."""

    host: Host
    plan: Plan
    path: str  # of the engine's kernels
    # With when each timing was begun: those of the reference models tell of a restless machine.
    samples: dict[str, Sample]
    items: dict[int, dict[str, Sample]] = field(default_factory=dict)  # seconds of one, by threads and kind of work
    overheads: dict[int, dict[str, Sample]] = field(default_factory=dict)
    columns: dict[int, dict[str, Columns]] = field(default_factory=dict)  # by threads and format
    attention: dict[int, Attention] = field(default_factory=dict)  # by threads
    storage: Sample | None = None
    storage_how: str = ""
    seconds: float = 0.0
    began: float = 0.0  # by the clock of the samples
    left_out: tuple[str, ...] = ()  # for lack of time, in words
    remarks: tuple[str, ...] = ()  # sentences on the last cache

    @property
    def rounds(self) -> int:
        """How often everything was timed."""
        return max(sample.count for sample in self.samples.values())
