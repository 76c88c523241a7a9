"""A machine as its system tells of it: the values that are read of it."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.spec.hardware import Vendor
from simulator.spec.memory import DeviceClass


@dataclass(frozen=True)
class Cache:
    """Caches of one level and size: `L1 data`, `L2`, `L3`. A hybrid processor has two entries of a level."""

    name: str
    nbytes_each: int
    n: int  # that the usable cores have between them

    @property
    def nbytes(self) -> int:
        """All of them together."""
        return self.n * self.nbytes_each


@dataclass(frozen=True)
class Frequency:
    """The clock of the fastest core now, and what the cores can be set to."""

    current_hz: float | None = None
    lowest_hz: float | None = None
    highest_hz: float | None = None


@dataclass(frozen=True)
class Host:
    """A machine, of which this process may use some hardware threads; None or empty is what its system does not tell."""

    n_threads: int  # hardware threads that this process may use
    cpu: str | None = None  # its name, as people know it
    vendor: Vendor = ""
    architecture: str = ""
    kernels: str = ""  # the widest that runtimes have for its cores, as device files name them
    board: str | None = None
    n_cores: int | None = None  # physical ones behind those threads
    cpu_quota: float | None = None  # how many threads' worth of time a control group allows, where that is less
    caches: tuple[Cache, ...] = ()  # nearest first
    memory_bytes: int | None = None  # of the machine, or what a control group allows
    available_bytes: int | None = None  # of it without swapping
    memory_type: str | None = None
    frequency: Frequency = Frequency()
    frequency_driver: str | None = None
    governor: str | None = None  # several, joined by commas, where the cores differ
    temperature_c: float | None = None  # of the hottest sensor in the processor
    throttling: tuple[str, ...] = ()  # sentences
    virtual: str = ""  # the hypervisor
    container: str = ""
    device_class: DeviceClass = "desktop-cpu"  # a guess

    @property
    def cache_bytes(self) -> dict[str, int]:
        """All caches of a level together, by its name, nearest first."""
        names = dict.fromkeys(cache.name for cache in self.caches)
        return {name: sum(cache.nbytes for cache in self.caches if cache.name == name) for name in names}
