"""A machine as its figures: how much memory, how fast at each level and thread count, how many operations a second."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Annotated, Any, Literal

import numpy as np

from simulator.errors import hint
from simulator.spec.engine_speeds import EngineSpeeds
from simulator.spec.figure import Figure, ThreadCount
from simulator.spec.layout import Layout
from simulator.spec.learned import Learned
from simulator.spec.links import Link
from simulator.spec.memory import CurvePoint, DeviceClass, MemoryLevel
from simulator.spec.names import with_count
from simulator.spec.power import ListPrice, Power, Price
from simulator.spec.reserve import MOST, OWN_MEMORY, Reserve, reserve_of
from simulator.spec.schema import Field, Spec, accepts, rule, rule_for
from simulator.spec.storage import Storage
from simulator.units import GI, TERA

Vendor = Literal["", "nvidia", "amd", "intel", "apple", "arm", "broadcom", "qualcomm", "riscv"]
# Vendors whose cores run one thread each: see `processor.ARM_CORES`. x86 has two where it has more than one.
ONE_THREAD_A_CORE = frozenset({"apple", "arm", "broadcom", "nvidia", "qualcomm"})
# The widest kernels that runtimes have for a CPU, by the instructions that they use, widest first within a family. SVE counts as
# neon-i8mm, which every core with it has, and rvv is version 1.0 of RISC-V's vectors.
CPU_KERNELS = (
    "avx512-vnni", "avx512", "avx-vnni", "avx2", "avx", "sse", "neon-i8mm", "neon-dotprod", "neon", "rvv", "riscv",
)  # fmt: skip
# What a GPU of a maker is called, as a pattern and in words.
GPU_NAMES = {
    "nvidia": (r"sm_\d{2,}", "an NVIDIA GPU's is sm_ and its compute capability, as sm_86 for 8.6"),
    "amd": (r"gfx[0-9a-f]{3,}", "an AMD GPU's is the name of LLVM's target, as gfx1100"),
    "apple": (r"apple\d+", "an Apple GPU's is its Metal family, as apple7 for the M1"),
}
PEAK_FORMATS = ("f32", "tf32", "f16", "bf16", "fp8", "int8", "fp4", "int4")

# Classes of one kind only; the others have a CPU and a GPU at one memory.
_KINDS = {
    "desktop-cpu": "cpu", "server-cpu": "cpu", "consumer-gpu": "gpu", "workstation-gpu": "gpu", "datacenter-gpu": "gpu",
}  # fmt: skip
MOST_GB_PER_S = 20_000  # of one device's main memory: what is beyond is a slip of the unit


class Architecture(Spec):
    """By what a runtime has kernels for a device: what compilers call a GPU's kind (sm_86), a CPU's widest instructions (avx2)."""

    name: str = Field(pattern=r"^[a-z0-9_.-]{1,40}$")
    source: str = ""
    how: str = ""

    @accepts
    @staticmethod
    def _accept_bare_name(data: Any) -> Any:
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
    # Names that leave open which of several devices is meant: measurements that tell no more are taken to be of this one.
    stands_for: tuple[str, ...] = Field((), max_length=20)
    device_class: DeviceClass = Field(alias="class")
    kind: Literal["cpu", "gpu"]
    vendor: Vendor = ""  # who makes the compute unit; it decides which figures of a runtime hold for a GPU
    architecture: Architecture | None = None
    cores: int | None = Field(None, ge=1, le=1_000_000)
    threads: int | None = Field(None, ge=1, le=100_000)
    sockets: int = Field(1, ge=1, le=64)  # of a machine whose processors have memories of their own
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
    power: Power | None = None
    price: Price | None = None
    list_price: ListPrice | None = None
    learned: dict[str, Learned] = Field({}, max_length=64)  # by runtime: what its owner measured of that
    runs: tuple[Run, ...] = Field((), max_length=1_000)
    notes: str = ""
    _layout = Layout()
    _asked: int | None = None
    _beside: tuple[Hardware, ...] = ()
    _machine: tuple[str, str] | None = None
    _reads_from: Storage | None = None

    @rule_for("vendor", before=True)
    @staticmethod
    def _lower(vendor: Any) -> Any:
        return vendor.lower() if isinstance(vendor, str) else vendor

    @rule_for("peaks_tflops")
    @staticmethod
    def _check_peaks(peaks: dict[str, Figure]) -> dict[str, Figure]:
        for name in peaks:
            if name not in PEAK_FORMATS:
                raise ValueError(f"{name}: unknown number format, known: {', '.join(PEAK_FORMATS)}")
        return peaks

    @rule
    def _check(self) -> None:
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
        self._check_architecture()
        if not self.main_memory.has_bandwidth:
            raise ValueError(
                f"memory: {self.main_memory.name} holds the model, so its speed is needed: give datasheet_gb_per_s or gb_per_s"
            )
        for near, far in pairwise(self.bandwidth_levels()):
            if near.ceiling_bytes_per_s() < far.ceiling_bytes_per_s():
                raise ValueError(f"memory: {near.name} is slower than {far.name} behind it, one of them is wrong")

    def _check_architecture(self) -> None:
        if self.architecture is None:
            return
        name = self.architecture.name
        if self.kind == "cpu":
            if name not in CPU_KERNELS:
                raise ValueError(
                    f"architecture: a CPU's is the widest of its instructions that runtimes have kernels for, {hint(name, CPU_KERNELS)}"
                )
            return
        pattern, told = GPU_NAMES.get(self.vendor, ("", ""))
        if pattern and not re.fullmatch(pattern, name):
            raise ValueError(f"architecture: {told}, got {name}")

    @property
    def n_devices(self) -> int:
        """So many of it at work together."""
        return self._layout.n_devices

    def last_cache_bytes(self, threads: int | None) -> float:
        """What so many threads can use of the largest cache; 0 where none is known."""
        return max((level.bytes_for(threads) for level in self.memory[:-1]), default=0.0)

    @property
    def most_threads(self) -> int | None:
        """Threads that a CPU can run at once; None where nothing is known of its cores."""
        each = 1 if self.vendor in ONE_THREAD_A_CORE else 2
        return max((self.cores or 0) * each, self.threads or 0) or None

    @property
    def layout(self) -> Layout:
        """How they share a model."""
        return self._layout

    @property
    def asked(self) -> int | None:
        """So many of it were asked for by its name, as in `2xrtx-3090`; None where the name says nothing of that."""
        return self._asked

    @property
    def reads_from(self) -> Storage | None:
        """What weights are read from that its memory, or its host's, has no room for; None: they all have to fit."""
        return self._reads_from or (self.host.reads_from if self.host else None)

    def reading_from(self, storage: Storage | None) -> Hardware:
        """The same machine where such weights are read from a drive, or where they have to fit."""
        if self.host is not None:
            return self.joined(
                tuple(part.reading_from(storage) if part.kind == "cpu" else part for part in self.beside)
            )
        return self.model_copy(update={"_reads_from": storage})

    @property
    def count(self) -> int:
        """So many of it, whether they work together already or have only been asked for."""
        return max(self.n_devices, self.asked or 1)

    @property
    def label(self) -> str:
        """What it is called beside others, with how many of it there are: `2xrtx-3090`, `rtx-3090+ryzen-7950x`."""
        return "+".join(with_count(sum(part.count for part in row), row[0].name) for row in self._kinds())

    def _kinds(self) -> list[list[Hardware]]:
        """Parts of one kind that stand in a row."""
        return [list(alike) for _, alike in groupby(self.parts, key=lambda part: part.name)]

    @property
    def own_label(self) -> str:
        """The same without what stands beside it."""
        return with_count(self.count, self.name)

    @property
    def full_title(self) -> str:
        """Its title, and those of what stands beside it; behind that of a machine which has a file of its own."""
        found = (
            (len(row), " + ".join(dict.fromkeys(part.title or part.name for part in row))) for row in self._kinds()
        )
        titles = " + ".join(f"{n} x {title}" if n > 1 else title for n, title in found)
        name, title = self._machine or ("", "")
        return f"{title or name} ({titles})" if name else titles

    @property
    def machine_name(self) -> str:
        """What its file calls a machine of parts; its label where no file does."""
        return self._machine[0] if self._machine else self.label

    @property
    def beside(self) -> tuple[Hardware, ...]:
        """Other devices of the same machine, which hold and compute what this one does not: further GPUs, then the host."""
        return self._beside

    @property
    def parts(self) -> tuple[Hardware, ...]:
        """All devices of the machine, this one first; equal ones that work together are one part."""
        return (self, *self._beside)

    @property
    def host(self) -> Hardware | None:
        """The CPU whose memory the machine's GPUs stand beside; None where none is named."""
        return next((part for part in self._beside if part.kind == "cpu"), None)

    def joined(self, others: tuple[Hardware, ...]) -> Hardware:
        """The machine of it and *others*, a host among these last."""
        return self.model_copy(update={"_beside": others})

    def called(self, name: str, title: str) -> Hardware:
        """The machine of it and what stands beside it by a name and a title of its own."""
        return self.model_copy(update={"_machine": (name, title)})

    def alone(self) -> Hardware:
        """The same device without what stands beside it."""
        named = self._beside or self._machine
        return self.model_copy(update={"_beside": (), "_machine": None}) if named else self

    def one(self) -> Hardware:
        """One of it, where several are asked for, without what stands beside it."""
        return self.model_copy(update={"_asked": None, "_beside": ()})

    def without_host(self) -> Hardware:
        """The same machine as its GPUs alone."""
        others = tuple(part for part in self._beside if part.kind != "cpu")
        return self.alone().joined(others) if self._beside else self

    def with_memory(self, n_bytes: float, how: str) -> Hardware:
        """The same device with another size of its main memory, and as fast."""
        size = Figure.model_construct(value=n_bytes / GI, provenance="datasheet", how=how)
        nothing = {"capacity_kib": None, "capacity_mib": None, "reserved_gib": None}
        main = self.main_memory.model_copy(update={**nothing, "capacity_gib": size})
        return self.model_copy(update={"memory": (*self.memory[:-1], main)})

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
        nothing = Figure.model_construct(value=1e-6, how="nothing held back")
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

    def lanes(self, threads: int | None = None) -> Figure | None:
        """f32 operations per second of the vector units: where a file names only narrower ones, as many fewer as those are narrower."""
        for number_format in ("f32", *(name for name in PEAK_FORMATS if name != "f32")):
            figure = self.peak(number_format, threads)
            if figure:
                return figure.times(int(number_format[-2:].lstrip("tnp")) / 32)
        return None

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

    def links_among(self, n_devices: int) -> tuple[tuple[int, Link], ...]:
        """How *n_devices* of it are joined, the innermost first: so many by such a link, then so many of those groups by another.

        Each is the fastest link that is known to join devices of this kind; empty where there is none that joins so many.
        """
        joining = [link for link in self.links if link.kind and self.kind in link.kind.joins]
        found: list[tuple[int, Link]] = []
        missing, together = n_devices, 1
        for link in sorted(joining, key=lambda link: -link.gb_per_s.value):
            # Links of one board, however many kinds of them, join no more devices than stand on it.
            if missing > 1 and (link.most is None or link.most > together):
                joined = min(missing, link.most or missing)
                found.append((joined, link))
                together, missing = together * joined, -(-missing // joined)
        return tuple(found) if missing == 1 else ()

    def times(self, n_devices: int, split: str = "tensors") -> Hardware:
        """*n_devices* of it, which share each matrix, or split by layers have other layers each."""
        return self.arranged(Layout(pipeline=n_devices) if split == "layers" else Layout(tensor=n_devices))

    def one_stage(self) -> Hardware:
        """Of several that have other layers each, those of one stage as they work; the memory is still that of all."""
        return (
            self.model_copy(update={"_layout": replace(self.layout, pipeline=1)}) if self.layout.pipeline > 1 else self
        )

    def arranged(self, layout: Layout) -> Hardware:
        """So many of it as one as *layout* has.

        Those of a stage work at once: memory, bandwidth and peaks add up, and what each of them has to read or compute for
        itself counts as often as there are devices (`forecast.parallel`). Stages work one after the other: only memory adds
        up. What they tell each other is no property of theirs (`forecast.communication`).
        """
        if layout.n_devices == 1:
            return self
        n = layout.n_at_once
        *near, main = (level.times(n) for level in self.memory) if n > 1 else self.memory
        peaks = {name: figure.times(n) for name, figure in self.peaks_tflops.items()} if n > 1 else self.peaks_tflops
        return self.model_copy(
            update={
                "memory": (*near, main.with_capacity_of(layout.pipeline)),
                "peaks_tflops": peaks,
                "title": f"{layout.n_devices} x {self.title or self.name}",
                "_layout": layout,
            }
        )
