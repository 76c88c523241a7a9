"""A decode measurement that somebody made, as a value, and the row of a file that it is read from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.errors import InputError, describe, printable
from simulator.importers.in_ram import Split
from simulator.spec.hardware import Hardware
from simulator.spec.model import Loaded
from simulator.spec.quant import parse_cache_format
from simulator.spec.textfiles import parse_number

MAX_ROWS = 10_000
MAX_ADDRESS = 2_000  # characters
MIN_RATE, MAX_RATE = 1e-6, 1e9  # tokens per second: what lies beyond is a misprint
MAX_SPREAD = 10.0  # of a standard deviation over the rate

# Reasons that several readers, or several judges, give.
SPLIT = "weights split between GPU and CPU memory"
NO_HOST = f"{SPLIT}, and the CPU is not named: a machine is written as rtx-3090+ryzen-7950x"
DOES_NOT_FIT = "does not fit in the device's memory, as it is counted here"  # so there is no forecast to set beside it

Processor = Literal["cpu", "gpu", ""]


@dataclass(frozen=True)
class Origin:
    """What a collection says of a measurement whether or not it can be forecast; empty where it does not say."""

    why_not: str = ""  # why it is not to be judged by
    mode: str = ""  # single, tensor-parallel, layer-split ...
    device_class: str = ""
    device: str = ""
    model: str = ""
    runtime: str = ""
    batch: str = ""
    url: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether forecasts may be judged by it: it is of decoding alone, and its conditions are known."""
        return not self.why_not


UNSTATED = Origin()


@dataclass(frozen=True)
class Published:
    """One decode measurement, and what has to be known to forecast it."""

    id: str
    loaded: Loaded
    weights: str | None  # None: the formats of the file that was loaded
    cache: str
    batch: int
    context: int  # tokens in each cache, in the middle of the measured stretch
    tokens_per_s: float  # all sequences together
    spread: float | None = None  # standard deviation over the mean
    threads: int | None = None
    runtime: str = "llama.cpp"
    hardware: Hardware | None = None  # None: the source names no device that has a file
    routing: str = (
        ""  # which experts the batch touched, as parse_routing reads it; empty: each sequence those of its own tokens
    )
    ran_on: Processor = ""  # what did the arithmetic, where the source tells
    api: str = ""  # that a GPU was driven by: cuda, rocm, vulkan, metal, sycl
    date: str = ""  # 2024-05 or 2024-05-17
    flash_attention: bool | None = None  # None: not stated
    split: Split | None = None  # what lay in RAM beside a GPU; None: nothing, or only one memory
    assumed: tuple[str, ...] = ()
    origin: Origin = UNSTATED


class Unusable(ValueError):
    """A measurement cannot be set beside a forecast; the message is the reason, the same for all rows that share it."""


@dataclass(frozen=True)
class Skipped:
    """A measurement that is left out, and why."""

    id: str
    reason: str
    origin: Origin = UNSTATED


@dataclass(frozen=True)
class Measurements:
    """What a file holds: the measurements that can be forecast, the others, and what the file says of their making."""

    published: tuple[Published, ...]
    skipped: tuple[Skipped, ...]
    made_with: str = ""


@dataclass(frozen=True)
class Record:
    """One row of a file: its fields as they stand there, text or numbers, and its place."""

    where: str  # for messages: bench.csv:17
    id: str
    fields: Mapping[str, Any]
    columns: Mapping[str, str] = field(default_factory=dict)  # what the source calls fields that go by other names here

    def called(self, name: str) -> str:
        """A field's name in the source."""
        return self.columns.get(name, name)

    def text(self, name: str) -> str:
        """A field as text; empty where it is missing."""
        value = self.fields.get(name)
        return "" if value is None else str(value).strip()

    @property
    def origin(self) -> Origin:
        """What it says of itself."""
        return Origin(
            _why_not(self),
            *(printable(self.text(name)) for name in ("mode", "device_class", "device", "model", "runtime", "batch")),
            url=printable(self.text("source_url"), MAX_ADDRESS),
        )

    def number(self, name: str, lowest: float, highest: float) -> float:
        """A field as a number in these bounds; InputError says what stands there instead."""
        return self._bounded(name, lowest, highest, f"a number from {lowest:,} to {highest:,.0f}")

    def count(self, name: str, lowest: int, highest: int, default: int | None = None) -> int | None:
        """A field as a whole number in these bounds; *default* where it is missing and there is one."""
        if default is not None and not self.text(name):
            return default
        number = self.number(name, lowest, highest)
        if not number.is_integer():
            raise InputError(
                f"{self.where}: {self.called(name)} is {describe(self.fields[name])}, a whole number is needed"
            )
        return int(number)

    def rate(self, name: str) -> float:
        """A field as tokens per second: no less and no more than any machine does."""
        return self._bounded(name, MIN_RATE, MAX_RATE, f"a rate from {MIN_RATE:f} to {MAX_RATE:,.0f} tokens/s")

    def spread(self, name: str, rate: float) -> float | None:
        """A standard deviation as a share of *rate*; None where it is missing or, from a single run, 0."""
        spread = self.number(name, 0, MAX_RATE) / rate if self.text(name) else 0.0
        if spread > MAX_SPREAD:
            many = f"more than {MAX_SPREAD:g} times the rate itself, {rate:g}"
            raise InputError(
                f"{self.where}: {self.called(name)} is {describe(self.fields[name])}, {many}; correct the row or leave it out"
            )
        return spread or None

    def _bounded(self, name: str, lowest: float, highest: float, needed: str) -> float:
        if not self.text(name):
            raise InputError(f"{self.where}: {self.called(name)} is missing")
        value = self.fields[name]
        number = _as_number(value)
        if number is None or not lowest <= number <= highest:
            found = f"{self.called(name)} is {describe(value)}, {needed} is needed"
            raise InputError(f"{self.where}: {found}; correct the row or leave it out")
        return number


def _why_not(record: Record) -> str:
    if record.text("usable") not in ("", "yes"):
        return printable(record.text("why_not") or "no reason given")
    return "" if record.text("metric") in ("", "decode") else printable(record.text("metric"))


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return parse_number(value) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return None


def collect(records: Iterable[Record], convert: Callable[[Record], Published], made_with: str = "") -> Measurements:
    """Every record as a measurement, or among those that are skipped."""
    published, skipped = [], []
    for record in records:
        try:
            published.append(convert(record))
        except Unusable as reason:
            skipped.append(Skipped(record.id, str(reason), record.origin))
    return Measurements(tuple(published), tuple(skipped), made_with)


def cache_format(name: str) -> str:
    """The name of a format that a cache can be forecast in; Unusable for any other."""
    try:
        return parse_cache_format(name).name
    except InputError:
        raise Unusable(f"a cache in {printable(name)} is not forecast") from None
