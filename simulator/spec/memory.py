"""Memories of a device, each with its size and speed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from simulator.spec.figure import Figure, ThreadCount
from simulator.spec.schema import Field, Spec, rule
from simulator.units import GI, GIGA, KI, MI

DeviceClass = Literal[
    "sbc", "phone", "laptop-cpu", "desktop-cpu", "server-cpu", "apple", "igpu", "consumer-gpu", "workstation-gpu",
    "datacenter-gpu",
]  # fmt: skip
# Read bandwidth over datasheet bandwidth where a device file has only the latter. Medians over published pairs:
# GPUs from large device copies (RTX 3090 0.89, 4090 0.90, 4070 Ti Super 0.90, L4 0.78, T4 0.75, A10 0.78, V100 0.85,
# A100 0.83-0.87, H100 0.87, 7900 XTX 0.83); Apple GPUs 0.77-0.90; CPUs from read or triad tests (EPYC 7452 0.66,
# 9355 0.87, 12 x DDR5-6400 0.97, 14900KF 0.82, DDR4-2400 0.97, DDR5-6000 0.60); integrated GPUs Strix Halo 0.86 and
# GB10 0.85; boards from the Pi 5 (0.68). Nothing is published for phones and laptops: taken as boards.
SUSTAINED_SHARE = {
    "sbc": 0.68, "phone": 0.68, "laptop-cpu": 0.68, "desktop-cpu": 0.8, "server-cpu": 0.75, "apple": 0.8, "igpu": 0.85,
    "consumer-gpu": 0.89, "workstation-gpu": 0.86, "datacenter-gpu": 0.85,
}  # fmt: skip

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
        if self.reserved_gib and self.reserved_gib.value * GI >= self.capacity_bytes:
            raise ValueError("reserved_gib leaves no memory")

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


class CurvePoint(Spec):
    """How fast a working set of some size is read over and over."""

    working_set_kib: float = Field(gt=0, le=1e12)
    threads: ThreadCount
    gb_per_s: Figure
