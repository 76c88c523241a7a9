"""What a benchmark program printed, run by run, and what the user says of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from simulator.errors import InputError
from simulator.importers.benchmarks.source import Source
from simulator.importers.records import Published, Record, Skipped, Unusable
from simulator.spec.hardware import Hardware
from simulator.spec.model import Loaded

# Reasons that several programs' runs share.
PROMPT_ONLY = "reads a prompt and decodes nothing (pp)"
END_TO_END = "end to end: reading prompts and decoding in one time"
SEVERAL_REQUESTS = (
    "several requests at once of a server, which reads prompts between tokens: another forecast than of decoding alone"
)
DRAFTED = "decoded with drafts (speculation), which is another forecast"

_REMEDY = "; correct the row or leave it out"


def without_place(error: InputError, record: Record) -> str:
    """A mistake in a row as the reason why that is listed, which stands beside its place."""
    return str(error).removeprefix(f"{record.where}: ").removesuffix(_REMEDY)


@dataclass(frozen=True)
class Given:
    """What the user says of all runs of a file."""

    model: Loaded | None = None
    weights: str | None = None
    hardware: Hardware | None = None

    @property
    def n_devices(self) -> int:
        """How many devices the user says it ran on; one where nothing is said."""
        return self.hardware.count if self.hardware else 1


Convert = Callable[[Record, Given], Published]


@dataclass(frozen=True)
class Run:
    """One result that a program printed, where it stands, and how it becomes a measurement."""

    line: int
    record: Record
    convert: Convert
    made_with: str = ""  # program, build and machine

    def read(self, given: Given) -> Published | Skipped:
        """The measurement; or why it cannot be compared."""
        try:
            return self.convert(self.record, given)
        except Unusable as reason:
            return Skipped(self.record.id, str(reason), self.record.origin)
        except InputError as error:
            return Skipped(self.record.id, without_place(error, self.record), self.record.origin)


Find = Callable[[Source], Iterator[Run]]


def listed(reason: str) -> Convert:
    """For a run that is told and never compared."""

    def convert(_record: Record, _given: Given) -> NoReturn:
        raise Unusable(reason)

    return convert


def refuse_other_count(n_devices: int, given: Given) -> None:
    """Unusable where a run was made on another number of devices than the user's."""
    if n_devices == given.n_devices:
        return
    if given.n_devices == 1:
        raise Unusable(f"on {n_devices} devices, and one was given (write {n_devices}x before its name)")
    raise Unusable(f"on {n_devices} device{'s' * (n_devices > 1)}, and {given.n_devices} were given")
