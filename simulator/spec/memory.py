"""Memories of a device, each with its size and speed."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from simulator.spec.figure import Figure, ThreadCount
from simulator.spec.schema import Field, Spec, rule
from simulator.units import GI, GIGA, KI, MI

DeviceClass = Literal[
    "sbc", "phone", "laptop-cpu", "desktop-cpu", "server-cpu", "apple", "igpu", "consumer-gpu", "workstation-gpu",
    "datacenter-gpu",
]  # fmt: skip


class Sustained(NamedTuple):
    """What reading reaches of the datasheet where a file has only that: from *n* published pairs of both figures."""

    share: float
    spread: float  # standard deviation of the logarithm, of those pairs; of few or mixed ones a guess on the safe side
    n: int
    of: str


# By memory type where one is named, which goes before the class. Tests that only read (and STREAM triad) where there are any:
# a copy of PyTorch reaches 0.82 to 0.99 of them on the same chip, and 0.75 to 0.78 on cards with error correction.
SUSTAINED_BY_MEMORY = {
    # RTX 3090 0.91, RTX 4090 0.91; a copy on an RTX 4070 Ti Super 0.90
    "GDDR6X": Sustained(0.905, 0.05, 3, "cards with GDDR6X"),
    # RTX 5090 0.93; a copy on an RTX 5070 Ti 0.85
    "GDDR7": Sustained(0.91, 0.06, 2, "cards with GDDR7"),
    # RTX 2080 Ti 0.95, A40 0.98, L40 0.92; a copy on an RTX 3060 0.92. Radeon and Arc cards say so in their files: they read less
    "GDDR6": Sustained(0.93, 0.05, 4, "cards with GDDR6"),
    # A100 0.97, 0.87 and 0.89, V100 0.97, H100 PCIe 0.95, SXM 0.87, GH200 0.94, MI210 0.85, MI300X 0.79, B200 0.87, B300 0.82
    "HBM": Sustained(0.87, 0.07, 11, "processors with HBM"),
}
# Mixed tests and devices, so with wide spreads: read or triad on all cores of EPYC 7452, 7002, 7003, 9004 (three), 9355, DDR5-6400,
# a shared one, Sapphire Rapids; of desktops a read, a copy and three others; boards mostly copy on one core (Pi 5 reads 0.68).
# Apple's GPUs: FluidX3D (as much read as written) or STREAM on M1 to M5, Pro, Max and Ultra, 0.80 to 0.94. Integrated: Strix Halo
# 0.86, GB10 0.85. Laptops: FluidX3D on five, 0.26 to 0.54, where desktops that read 0.82 reach 0.65. Phones: taken as boards.
SUSTAINED_BY_CLASS: dict[DeviceClass, Sustained] = {
    "sbc": Sustained(0.65, 0.24, 9, "boards"),
    "phone": Sustained(0.65, 0.30, 0, "boards"),
    "laptop-cpu": Sustained(0.65, 0.25, 5, "laptops"),
    "desktop-cpu": Sustained(0.80, 0.18, 5, "desktops"),
    "server-cpu": Sustained(0.80, 0.18, 11, "servers with one memory node"),
    "apple": Sustained(0.88, 0.04, 13, "Apple's GPUs"),
    "igpu": Sustained(0.85, 0.10, 2, "integrated GPUs"),
    "consumer-gpu": Sustained(0.87, 0.08, 4, "cards"),
    "workstation-gpu": Sustained(0.87, 0.08, 4, "cards"),
    "datacenter-gpu": Sustained(0.87, 0.08, 4, "cards"),
}

INTERPOLATED = "interpolated between thread counts"
SHARED_OUT = "that of more threads, in proportion"
BEYOND = "that of the most threads that were measured"


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
    one_thread_share: Figure | None = None  # what of a cache one thread can use: all, or that of its own core

    @rule
    def _check(self) -> None:
        if sum(each is not None for each in (self.capacity_kib, self.capacity_mib, self.capacity_gib)) != 1:
            raise ValueError("give one of capacity_kib, capacity_mib and capacity_gib")
        if self.datasheet_gb_per_s:
            limit = self.datasheet_gb_per_s.value
            for figure in (self.gb_per_s, *self.gb_per_s_by_threads.values()):
                if figure and figure.value > limit:
                    raise ValueError(
                        f"a sustained rate of {figure.value:g} GB/s exceeds datasheet_gb_per_s {limit:g}: one of them is wrong"
                    )
        if self.one_thread_share and self.one_thread_share.value > 1:
            raise ValueError(f"one_thread_share is {self.one_thread_share.value:g}, a share of at most 1 is needed")
        if self.reserved_gib and self.reserved_gib.value * GI >= self.capacity_bytes:
            raise ValueError("reserved_gib leaves no memory")

    def times(self, n_devices: int) -> MemoryLevel:
        """The same level of *n_devices* together."""
        fields = (name for name in type(self).model_fields if name != "one_thread_share")
        figures = {name: getattr(self, name) for name in fields if isinstance(getattr(self, name), Figure)}
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

    def bytes_for(self, threads: int | None) -> float:
        """What so many threads can use of it: all where one can, and where nothing is known of that."""
        share = self.one_thread_share.value if self.one_thread_share and threads else 1.0
        return self.capacity_bytes * min(1.0, share * (threads or 1))

    @property
    def has_bandwidth(self) -> bool:
        """Whether anything is known of its speed."""
        return bool(self.gb_per_s or self.datasheet_gb_per_s or self.gb_per_s_by_threads)

    @property
    def is_measured(self) -> bool:
        """Whether its speed was measured on such a device, not derived from its datasheet."""
        figures = [figure for figure in (self.gb_per_s, *self.gb_per_s_by_threads.values()) if figure]
        return any(figure.provenance == "measured" for figure in figures)

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
            usual = self._usual(device_class)
            guess = self.datasheet_gb_per_s.times(GIGA * usual.share)
            told = f"{usual.share:g} of the datasheet, as {usual.of}"
            known = {"spread": usual.spread, "count": usual.n or None, "best": None}
            return guess.model_copy(update={"provenance": "estimated", "measured_on": "", "how": told, **known})
        return None

    def _usual(self, device_class: DeviceClass) -> Sustained:
        kinds = (usual for name, usual in SUSTAINED_BY_MEMORY.items() if self.name.upper().startswith(name))
        return next(kinds, SUSTAINED_BY_CLASS[device_class])

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


class CurvePoint(Spec):
    """How fast a working set of some size is read over and over."""

    working_set_kib: float = Field(gt=0, le=1e12)
    threads: ThreadCount
    gb_per_s: Figure
