"""How fast a device reads, as a curve over the bytes that come round again and again: caches first, then its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.units import GIGA, KI


@dataclass(frozen=True)
class Bandwidth:
    """Bytes per second of a device as a curve over the working set, for a thread count.

    `levels` are (capacity in bytes, sustained figure, most it can deliver), nearest first, the main memory last.
    """

    levels: tuple[tuple[float, Figure, float], ...]
    curve: tuple[tuple[float, float], ...] = ()  # measured: (working set in bytes, bytes per second), smallest first
    cache_bytes: float = 0.0  # of the last cache, whether its speed is known or not

    @property
    def main(self) -> Figure:
        """Sustained rate of the main memory."""
        return self.levels[-1][1]

    def seconds_per_byte(self, working_set):
        """Sustained; between a level's capacity and twice that, the part that still hits shrinks to none.

        A step streams its working set in the same order each time, so a least-recently-used cache half the size keeps
        nothing of it.
        """
        if self.curve:
            return self._read_off(working_set, self._curve_seconds)
        return self._blend(working_set, [figure.value for _, figure, _ in self.levels])

    @property
    def _curve_seconds(self) -> np.ndarray:
        """Seconds for a byte at the curve's points, and beyond the last one at the main memory's rate."""
        return 1 / np.array([*(rate for _, rate in self.curve), self.main.value])

    def _read_off(self, working_set, seconds: np.ndarray):
        """Between measured points over the logarithm of the size."""
        sizes = np.log([*(size for size, _ in self.curve), 2 * self.curve[-1][0]])
        return np.interp(np.log(np.maximum(working_set, 1.0)), sizes, seconds)

    def ceiling_seconds_per_byte(self, working_set):
        """The same at datasheet rates; where a curve was measured, no more than it shows if a cache keeps all that it holds."""
        told = self._blend(working_set, [most for _, _, most in self.levels])
        if not self.curve:
            return told
        # A reading that was slower than one of a larger set was disturbed.
        fastest = np.minimum.accumulate(self._curve_seconds[::-1])[::-1]
        kept = np.clip(self.cache_bytes / np.maximum(working_set, 1.0), 0.0, 1.0)
        inside, outside = (self._read_off(size, fastest) for size in (self.cache_bytes / 2, working_set))
        return np.minimum(told, kept * np.minimum(inside, outside) + (1 - kept) * outside)

    def _blend(self, working_set, rates: Sequence[float]):
        seconds = 1 / rates[-1]
        for (capacity, _, _), rate in zip(self.levels[-2::-1], rates[-2::-1], strict=True):
            hits = np.clip(2 - np.asarray(working_set) / capacity, 0.0, 1.0)
            seconds = hits / rate + (1 - hits) * seconds
        return seconds


def bandwidth_of(hardware: Hardware, threads: int | None) -> Bandwidth:
    """The device's curve with *threads* threads."""
    levels: list[tuple[float, Figure, float]] = []
    for level in reversed(hardware.bandwidth_levels()):
        sustained = level.sustained(hardware.device_class, threads)
        if levels and sustained.value < levels[0][1].value:
            sustained = levels[0][1]  # a cache known for few threads only is no slower than the memory behind it
        levels.insert(0, (level.bytes_for(threads), sustained, max(level.ceiling_bytes_per_s(), sustained.value)))
    curve = _curve(hardware, threads, levels[-1][1].value)
    return Bandwidth(tuple(levels), curve, hardware.last_cache_bytes(threads))


def _curve(hardware: Hardware, threads: int | None, main: float) -> tuple[tuple[float, float], ...]:
    """The measured curve with *threads* threads: between two measured counts in a straight line, with fewer shared out."""
    if not hardware.curve:
        return ()
    counts = sorted({point.threads for point in hardware.curve})
    wanted = threads or hardware.threads or hardware.cores or 1
    lower = max((count for count in counts if count <= wanted), default=counts[0])
    upper = min((count for count in counts if count >= wanted), default=counts[-1])
    less, more = (
        {point.working_set_kib * KI: point.gb_per_s.value * GIGA for point in hardware.curve if point.threads == count}
        for count in (lower, upper)
    )
    share = (wanted - lower) / (upper - lower) if upper > lower else 0.0
    scale = min(1.0, wanted / lower)
    sizes = sorted(less.keys() & more.keys())
    return tuple((size, max(scale * ((1 - share) * less[size] + share * more[size]), main)) for size in sizes)
