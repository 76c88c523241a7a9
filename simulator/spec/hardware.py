"""A machine as its figures: how much memory, how fast at each level and thread count, how many operations a second."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PrivateAttr, field_validator, model_validator

from simulator.errors import InputError, describe
from simulator.spec.library import find, is_file, look_up, shelf
from simulator.spec.names import split_count, with_count
from simulator.spec.quant import FORMATS
from simulator.spec.reserve import MOST, OWN_MEMORY, Reserve, reserve_of
from simulator.spec.schema import Spec, load_spec
from simulator.units import GI, GIGA, KI, MI, TERA

Provenance = Literal["measured", "datasheet", "estimated"]
DeviceClass = Literal[
    "sbc", "phone", "laptop-cpu", "desktop-cpu", "server-cpu", "apple", "igpu", "consumer-gpu", "workstation-gpu",
    "datacenter-gpu",
]  # fmt: skip
Vendor = Literal["", "nvidia", "amd", "intel", "apple", "arm", "broadcom", "qualcomm", "riscv"]
# Vendors whose cores run one thread each: see `processor.ARM_CORES`. x86 has two where it has more than one.
ONE_THREAD_A_CORE = frozenset({"apple", "arm", "broadcom", "nvidia", "qualcomm"})
PEAK_FORMATS = ("f32", "tf32", "f16", "bf16", "fp8", "int8", "fp4", "int4")

# Read bandwidth over datasheet bandwidth where a device file has only the latter. Medians over published pairs:
# GPUs from large device copies (RTX 3090 0.89, 4090 0.90, 4070 Ti Super 0.90, L4 0.78, T4 0.75, A10 0.78, V100 0.85,
# A100 0.83-0.87, H100 0.87, 7900 XTX 0.83); Apple GPUs 0.77-0.90; CPUs from read or triad tests (EPYC 7452 0.66,
# 9355 0.87, 12 x DDR5-6400 0.97, 14900KF 0.82, DDR4-2400 0.97, DDR5-6000 0.60); integrated GPUs Strix Halo 0.86 and
# GB10 0.85; boards from the Pi 5 (0.68). Nothing is published for phones and laptops: taken as boards.
SUSTAINED_SHARE = {
    "sbc": 0.68, "phone": 0.68, "laptop-cpu": 0.68, "desktop-cpu": 0.8, "server-cpu": 0.75, "apple": 0.8, "igpu": 0.85,
    "consumer-gpu": 0.89, "workstation-gpu": 0.86, "datacenter-gpu": 0.85,
}  # fmt: skip


# Classes of one kind only; the others have a CPU and a GPU at one memory.
_KINDS = {
    "desktop-cpu": "cpu", "server-cpu": "cpu", "consumer-gpu": "gpu", "workstation-gpu": "gpu", "datacenter-gpu": "gpu",
}  # fmt: skip
MOST_GB_PER_S = 20_000  # of one device's main memory: what is beyond is a slip of the unit


INTERPOLATED = "interpolated between thread counts"
SHARED_OUT = "that of more threads, in proportion"
BEYOND = "that of the most threads that were measured"
BY_DEFINITION = "by definition"  # the source of a figure that nobody has to measure
ThreadCount = Annotated[int, Field(ge=1, le=100_000)]


class Figure(Spec):
    """A number with where it comes from. A bare number in a file is somebody's estimate."""

    value: float = Field(ge=1e-6, le=1e9)
    provenance: Provenance = "estimated"
    measured_on: str = ""  # what it was measured on, where that is another device than the file's
    source: str = ""
    how: str = ""
    median: float | None = Field(None, ge=0, le=1e12)  # in the field's unit; value is a mean
    spread: float | None = Field(
        None, ge=0, le=10
    )  # standard deviation of the logarithm, where it was timed repeatedly
    count: int | None = Field(None, ge=1, le=1_000_000_000)  # how often
    best: float | None = Field(None, ge=1e-6, le=1e9)  # the highest rate that was seen

    @model_validator(mode="before")
    @classmethod
    def _accept_bare_number(cls, data: Any) -> Any:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return {"value": data, "how": "as written in the file"}
        if not isinstance(data, dict | Figure):
            raise ValueError(  # noqa: TRY004 - pydantic collects ValueErrors
                "a number without its unit is needed (the unit is in the field's name), or {value: ..., provenance: measured, "
                f"source: ...}}, got {describe(data)}"
            )
        return data

    def times(self, factor: float) -> Figure:
        """The same figure in another unit, or of several devices."""
        # A copy is not validated: base units exceed what a YAML field may hold.
        best = None if self.best is None else self.best * factor
        return self.model_copy(update={"value": self.value * factor, "best": best})

    @property
    def origin(self) -> str:
        """Its provenance in words: `measured on an Apple M2 Max` where that is another device."""
        return (
            f"{self.provenance} on {self.measured_on}"
            if self.measured_on and self.provenance == "measured"
            else self.provenance
        )

    @property
    def known_spread(self) -> float | None:
        """Its spread; None where it was timed once, which shows none."""
        return None if self.count == 1 else self.spread

    @property
    def most(self) -> float:
        """The highest rate that was seen, where that was kept."""
        return max(self.value, self.best or 0.0)


class MemoryLevel(Spec):
    """A cache or the main memory. Several cores' private caches count together."""

    name: str = Field(min_length=1)
    capacity_kib: Figure | None = None
    capacity_mib: Figure | None = None
    capacity_gib: Figure | None = None
    gb_per_s: Figure | None = None  # sustained, reading
    datasheet_gb_per_s: Figure | None = None
    gb_per_s_by_threads: dict[ThreadCount, Figure] = Field({}, max_length=256)
    reserved_gib: Figure | None = None  # held by the system, not for a model

    @model_validator(mode="after")
    def _check(self) -> MemoryLevel:
        if sum(each is not None for each in (self.capacity_kib, self.capacity_mib, self.capacity_gib)) != 1:
            raise ValueError("give one of capacity_kib, capacity_mib and capacity_gib")
        if self.datasheet_gb_per_s:
            limit = self.datasheet_gb_per_s.value
            for figure in (self.gb_per_s, *self.gb_per_s_by_threads.values()):
                if figure and figure.value > limit:
                    raise ValueError(
                        f"a sustained rate of {figure.value:g} GB/s exceeds datasheet_gb_per_s {limit:g}: one of them is wrong"
                    )
        if self.reserved_gib and self.reserved_gib.value * GI >= self.capacity_bytes:
            raise ValueError("reserved_gib leaves no memory")
        return self

    def times(self, n_devices: int) -> MemoryLevel:
        """The same level of *n_devices* together."""
        figures = {
            name: getattr(self, name) for name in type(self).model_fields if isinstance(getattr(self, name), Figure)
        }
        scaled: dict[str, Any] = {name: figure.times(n_devices) for name, figure in figures.items()}
        scaled["gb_per_s_by_threads"] = {n: figure.times(n_devices) for n, figure in self.gb_per_s_by_threads.items()}
        return self.model_copy(update=scaled)

    def with_capacity_of(self, n_devices: int) -> MemoryLevel:
        """The same level with the memory of *n_devices* and the speed of one."""
        names = ("capacity_kib", "capacity_mib", "capacity_gib", "reserved_gib")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return self.model_copy(update={name: figure.times(n_devices) for name, figure in given.items()})

    @property
    def capacity_bytes(self) -> float:
        """All of it, reserved or not."""
        for figure, unit in ((self.capacity_kib, KI), (self.capacity_mib, MI), (self.capacity_gib, GI)):
            if figure is not None:
                return figure.value * unit
        raise AssertionError("checked at construction")

    @property
    def has_bandwidth(self) -> bool:
        """Whether anything is known of its speed."""
        return bool(self.gb_per_s or self.datasheet_gb_per_s or self.gb_per_s_by_threads)

    def sustained(self, device_class: DeviceClass, threads: int | None) -> Figure | None:
        """Bytes per second that reading reaches with *threads* threads; None where nothing is known.

        Between measured thread counts the rate is interpolated, beyond them it stays; below the first it is shared
        out. It need not grow: on a Pi 5 two threads read faster than four.
        """
        if self.gb_per_s_by_threads and (threads is not None or not self.gb_per_s):
            return self._by_threads(threads or max(self.gb_per_s_by_threads)).times(GIGA)
        if self.gb_per_s:
            return self.gb_per_s.times(GIGA)
        if self.datasheet_gb_per_s:
            share = SUSTAINED_SHARE[device_class]
            guess = self.datasheet_gb_per_s.times(GIGA * share)
            return guess.model_copy(
                update={
                    "provenance": "estimated",
                    "how": f"{share:g} of the datasheet, as devices of class {device_class}",
                }
            )
        return None

    def _by_threads(self, threads: int) -> Figure:
        counts = sorted(self.gb_per_s_by_threads)
        if threads in self.gb_per_s_by_threads:
            return self.gb_per_s_by_threads[threads]
        if threads < counts[0]:
            fewest = self.gb_per_s_by_threads[counts[0]].times(threads / counts[0])
            return fewest.model_copy(update={"how": SHARED_OUT})
        rates = [self.gb_per_s_by_threads[count].value for count in counts]
        value = float(np.interp(threads, counts, rates))
        nearest = self.gb_per_s_by_threads[min(counts, key=lambda count: abs(count - threads))]
        # Beyond the most threads that were measured, the rate stays what it was with those.
        how = INTERPOLATED if threads < counts[-1] else BEYOND
        return nearest.model_copy(update={"value": value, "how": how})

    def ceiling_bytes_per_s(self) -> float | None:
        """The most it can deliver: the datasheet, or where there is none the best that was seen."""
        if self.datasheet_gb_per_s:
            return self.datasheet_gb_per_s.value * GIGA
        return self.fastest.most * GIGA if self.fastest else None

    @property
    def fastest(self) -> Figure | None:
        """The highest of its sustained rates; None where none is known."""
        known = [figure for figure in (self.gb_per_s, *self.gb_per_s_by_threads.values()) if figure]
        return max(known, key=lambda figure: figure.most, default=None)


class Link(Spec):
    """A way data comes in: PCIe, NVLink, a network, a disk; one direction."""

    name: str = Field(min_length=1)
    gb_per_s: Figure


class CurvePoint(Spec):
    """How fast a working set of some size is read over and over."""

    working_set_kib: float = Field(gt=0, le=1e12)
    threads: ThreadCount
    gb_per_s: Figure


class KernelSpeed(Spec):
    """What a kernel of the engine reaches with so many tokens at once, beside a pure read of the same working set."""

    cached_gop_per_s: Figure  # operations with the weights in each core's own cache; a multiply-add is two
    cache_share: Figure | None = None  # of a pure read's speed, weights in the cache that all share
    memory_share: Figure  # the same, weights in main memory
    # Of the pure reads beside it, where those were not the ones of `read_gb_per_s`.
    cache_gb_per_s: Figure | None = None
    memory_gb_per_s: Figure | None = None


class EngineSpeeds(Spec):
    """What roofcast's own engine does on a device, measured kernel by kernel, for some thread counts."""

    path: str = ""  # the instructions that its kernels are written for
    # A pure read of the working sets that kernels were measured at: in each core's cache, in the shared one, in memory.
    read_gb_per_s: dict[ThreadCount, tuple[Figure, Figure, Figure]] = Field({}, max_length=16)
    kernels: dict[ThreadCount, dict[str, dict[ThreadCount, KernelSpeed]]] = Field({}, max_length=16)  # format, tokens
    columns: dict[ThreadCount, dict[str, dict[ThreadCount, KernelSpeed]]] = Field(
        {}, max_length=16
    )  # zero inputs left out
    attention: dict[ThreadCount, dict[str, dict[ThreadCount, KernelSpeed]]] = Field(
        {}, max_length=16
    )  # queries of a key
    # What each matrix takes beside its bytes, in memory and in the cache that all share; the kernels' shares of a read hold
    # for matrices of these sizes.
    start_us: dict[ThreadCount, Figure] = Field({}, max_length=16)
    matrix_mib: float = Field(4.0, gt=0, le=1e6)
    shared_start_us: dict[ThreadCount, Figure] = Field({}, max_length=16)
    shared_matrix_mib: float = Field(1.0, gt=0, le=1e6)
    phase_us: dict[ThreadCount, Figure] = Field(
        {}, max_length=16
    )  # starting a kernel on all threads, waiting for the last
    # A step of two small models, by which the machine is compared with itself at another time.
    reference_us: dict[ThreadCount, dict[str, Figure]] = Field({}, max_length=16)
    # What those models were made for: bytes of the last cache, and of what was read as memory. Without them nobody knows their sizes.
    cache_mib: float | None = Field(None, gt=0, le=1e6)
    buffer_mib: float | None = Field(None, gt=0, le=1e6)
    step_us: Figure | None = None  # once a step, outside the kernels
    cold_step_us: Figure | None = None  # the same where the weights have left nothing else in the caches
    item_ns: dict[ThreadCount, dict[str, Figure]] = Field({}, max_length=16)  # of one thread; keys as in ops.WORK

    @field_validator("kernels", "columns", "attention")
    @classmethod
    def _check_formats(cls, kernels: dict[int, dict[str, dict]]) -> dict[int, dict[str, dict]]:
        for by_format in kernels.values():
            for name, speeds in by_format.items():
                if name not in FORMATS:
                    raise ValueError(f"{name}: unknown format")
                if not speeds:
                    raise ValueError(f"{name}: at least one number of tokens is needed")
        return kernels


class Architecture(Spec):
    """What compilers call a GPU's kind, by which a runtime has kernels for it or has none: sm_86, gfx1100."""

    name: str = Field(pattern=r"^[a-z0-9_.-]{1,40}$")
    source: str = ""
    how: str = ""

    @model_validator(mode="before")
    @classmethod
    def _accept_bare_name(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @property
    def compute_capability(self) -> float | None:
        """NVIDIA's number for it: 8.6 of sm_86; None for a GPU of another maker."""
        digits = re.fullmatch(r"sm_(\d+)(\d)", self.name)
        return float(f"{digits[1]}.{digits[2]}") if digits else None


class Run(Spec):
    """One measuring of a device: what is kept of it when the next one is merged in."""

    when: str = Field(max_length=40)
    by: str = Field("", max_length=100)
    seconds: float = Field(0, ge=0, le=1e6)
    rounds: int = Field(ge=1, le=1_000_000)
    figures: dict[str, Figure] = Field({}, max_length=64)  # as they stood in that run
    # Of the reference models, by threads, model and batch: (seconds since the start, microseconds of a step) of every timing.
    watch_us: dict[str, Annotated[tuple[tuple[float, float], ...], Field(max_length=1_000)]] = Field({}, max_length=64)
    notes: tuple[str, ...] = Field((), max_length=50)


class Hardware(Spec):
    """One device. Memory is listed from the nearest level to the one that holds the model."""

    name: str = Field(min_length=1, max_length=200)
    title: str = ""
    aliases: tuple[str, ...] = Field((), max_length=20)  # other names that it is found by
    device_class: DeviceClass = Field(alias="class")
    kind: Literal["cpu", "gpu"]
    vendor: Vendor = ""  # who makes the compute unit; it decides which figures of a runtime hold for a GPU
    architecture: Architecture | None = None
    cores: int | None = Field(None, ge=1, le=1_000_000)
    threads: int | None = Field(None, ge=1, le=100_000)
    description: str = ""
    sources: dict[str, str] = Field({}, max_length=200)
    memory: tuple[MemoryLevel, ...] = Field(min_length=1, max_length=16)
    peaks_tflops: dict[str, Figure] = Field({}, max_length=64)  # dense; a multiply-add is two operations
    peaks_tflops_by_threads: dict[str, dict[ThreadCount, Figure]] = Field({}, max_length=64)
    launch_us: Figure | None = None
    links: tuple[Link, ...] = ()
    storage: tuple[Link, ...] = ()
    curve: tuple[CurvePoint, ...] = Field((), max_length=2_000)  # reading, measured
    traffic: dict[str, Figure] = Field({}, max_length=200)  # GB/s of other patterns: write, copy, triad, random blocks
    engine: EngineSpeeds | None = None
    runs: tuple[Run, ...] = Field((), max_length=1_000)
    notes: str = ""
    _n_devices: int = PrivateAttr(1)
    _asked: int | None = PrivateAttr(None)

    @field_validator("vendor", mode="before")
    @classmethod
    def _lower(cls, vendor: Any) -> Any:
        return vendor.lower() if isinstance(vendor, str) else vendor

    @field_validator("peaks_tflops")
    @classmethod
    def _check_peaks(cls, peaks: dict[str, Figure]) -> dict[str, Figure]:
        for name in peaks:
            if name not in PEAK_FORMATS:
                raise ValueError(f"{name}: unknown number format, known: {', '.join(PEAK_FORMATS)}")
        return peaks

    @model_validator(mode="after")
    def _check(self) -> Hardware:
        needed = _KINDS.get(self.device_class, self.kind)
        if self.kind != needed:
            raise ValueError(f"kind: a {self.device_class} is a {needed}, got {self.kind}: change kind or class")
        figures = (self.main_memory.datasheet_gb_per_s, self.main_memory.gb_per_s)
        for figure in (*figures, *self.main_memory.gb_per_s_by_threads.values()):
            if figure and figure.value > MOST_GB_PER_S:
                raise ValueError(
                    f"memory: {figure.value:,.0f} GB/s of {self.main_memory.name} are more than any device has "
                    f"({MOST_GB_PER_S:,} at most): GB/s are meant, not MB/s?"
                )
        sizes = [level.capacity_bytes for level in self.memory]
        if sizes != sorted(sizes):
            raise ValueError("memory: list the levels from the smallest to the largest, the model's own last")
        if self.vendor == "nvidia" and self.architecture and self.architecture.compute_capability is None:
            raise ValueError(
                f"architecture: an NVIDIA GPU's is sm_ and its compute capability, as sm_86 for 8.6, got {self.architecture.name}"
            )
        if not self.main_memory.has_bandwidth:
            raise ValueError(
                f"memory: {self.main_memory.name} holds the model, so its speed is needed: give datasheet_gb_per_s or gb_per_s"
            )
        for near, far in pairwise(self.bandwidth_levels()):
            if near.ceiling_bytes_per_s() < far.ceiling_bytes_per_s():
                raise ValueError(f"memory: {near.name} is slower than {far.name} behind it, one of them is wrong")
        return self

    @property
    def n_devices(self) -> int:
        """So many of it at work together."""
        return self._n_devices

    @property
    def most_threads(self) -> int | None:
        """Threads that a CPU can run at once; None where nothing is known of its cores."""
        each = 1 if self.vendor in ONE_THREAD_A_CORE else 2
        return max((self.cores or 0) * each, self.threads or 0) or None

    @property
    def asked(self) -> int | None:
        """So many of it were asked for by its name, as in `2xrtx-3090`; None where the name says nothing of that."""
        return self._asked

    @property
    def count(self) -> int:
        """So many of it, whether they work together already or have only been asked for."""
        return max(self.n_devices, self.asked or 1)

    @property
    def label(self) -> str:
        """What it is called beside others, with how many of it there are: `2xrtx-3090`."""
        return with_count(self.count, self.name)

    @property
    def main_memory(self) -> MemoryLevel:
        """The level that holds the model."""
        return self.memory[-1]

    @property
    def reserve(self) -> Reserve:
        """What devices of its kind cannot give to a model, where its file does not say."""
        main = self.main_memory
        as_reported = main.capacity_gib is not None and main.capacity_gib.provenance == "measured"
        size = main.capacity_bytes / GI / self.n_devices
        return reserve_of(self.device_class, self.kind, self.vendor, main.name, size, as_reported)

    @property
    def reserved(self) -> Figure:
        """GiB of its memory that no model can have: as its file says, else what its kind holds back."""
        if self.main_memory.reserved_gib:
            return self.main_memory.reserved_gib
        kind, size = self.reserve, self.main_memory.capacity_bytes / GI
        held = min(kind.share * size + kind.gib * self.n_devices, MOST * size)
        return Figure.model_construct(value=held, source=kind.source, how=kind.how)

    @property
    def usable_bytes(self) -> float:
        """What of its memory a model can have."""
        return self.main_memory.capacity_bytes - self.reserved.value * GI

    def with_all_memory(self) -> Hardware:
        """The same device with nothing held back."""
        nothing = Figure(value=1e-6, how="nothing held back")
        main = self.main_memory.model_copy(update={"reserved_gib": nothing})
        return self.model_copy(update={"memory": (*self.memory[:-1], main)})

    @property
    def has_own_memory(self) -> bool:
        """Whether it is a card, whose memory is not that of the machine around it."""
        return self.device_class in OWN_MEMORY

    def peak(self, number_format: str, threads: int | None = None) -> Figure | None:
        """Operations per second in *number_format*; a CPU's share of its cores where fewer *threads* run."""
        figure = self.peaks_tflops.get(number_format)
        if figure is None:
            return None
        return figure.times(TERA * self.thread_share(threads, number_format))

    def thread_share(self, threads: int | None, number_format: str = "int8") -> float:
        """What *threads* threads of a CPU compute of what all do: as measured, or in proportion."""
        full = self.threads or self.cores  # hybrid CPUs: the peak is that of the threads that decode
        if self.kind != "cpu" or not threads or not full or threads >= full:
            return 1.0
        measured = self.peaks_tflops_by_threads.get(number_format)
        if not measured:
            return threads / full
        counts = [0, *sorted(measured)]
        rates = [0.0, *(measured[count].value for count in counts[1:])]
        return min(1.0, float(np.interp(threads, counts, rates)) / rates[-1])

    def bandwidth_levels(self) -> tuple[MemoryLevel, ...]:
        """The levels whose speed is known, nearest first; the main memory is always among them."""
        return tuple(level for level in self.memory if level.has_bandwidth)

    def times(self, n_devices: int, split: str = "tensors") -> Hardware:
        """*n_devices* of it as one, communication left out.

        Split by tensors, all work at once: memory, bandwidth and peaks add up. Split by layers, one works after the
        other: only memory adds up.
        """
        if n_devices == 1:
            return self
        if split == "layers":
            changes: dict[str, Any] = {"memory": (*self.memory[:-1], self.main_memory.with_capacity_of(n_devices))}
        else:
            peaks = {name: figure.times(n_devices) for name, figure in self.peaks_tflops.items()}
            changes = {"memory": tuple(level.times(n_devices) for level in self.memory), "peaks_tflops": peaks}
        title = f"{n_devices} x {self.title or self.name}"
        together = self.model_copy(update={**changes, "title": title})
        together._n_devices = n_devices
        return together


def load_hardware(given: str | Path) -> Hardware:
    """A device by shipped name or YAML file, or several as `2xrtx-3090`; InputError if it is unusable."""
    count, one = counted_device(given) if isinstance(given, str) else (None, given)
    device = load_spec(find(one, shelf("hardware"), "hardware"), Hardware)
    device._asked = count
    return device


def counted_device(given: str) -> tuple[int | None, str]:
    """How many of which device: a file or device whose own name begins with a number is one."""
    is_one = is_file(Path(given)) or look_up(given, shelf("hardware")).name
    return (None, given) if is_one else split_count(given)


def refuse_several(hardware: Hardware, what: str) -> None:
    """InputError where a name stands for several devices, and *what* is of one."""
    if hardware.asked and hardware.asked > 1:
        raise InputError(f"{what} is of one device, not of {hardware.asked} x {hardware.name}: leave the number out")
