"""How fast a device reads, as a curve over the bytes that come round again and again: caches first, then its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.hardware import Figure, Hardware
from simulator.units import GIGA, KI


@dataclass(frozen=True)
class Bandwidth:
    """Bytes per second of a device as a curve over the working set, for a thread count.

    `levels` are (capacity in bytes, sustained figure, most it can deliver), nearest first, the main memory last.
    """

    levels: tuple[tuple[float, Figure, float], ...]
    curve: tuple[tuple[float, float], ...] = ()  # measured: (working set in bytes, bytes per second), smallest first

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
            return self._read_off(working_set)
        return self._blend(working_set, [figure.value for _, figure, _ in self.levels])

    def _read_off(self, working_set):
        """Between measured points over the logarithm of the size; beyond the last one the main memory's rate."""
        sizes, rates = (np.array(each) for each in zip(*self.curve, strict=True))
        seconds = np.append(1 / rates, 1 / self.main.value)
        sizes = np.log(np.append(sizes, 2 * sizes[-1]))
        return np.interp(np.log(np.maximum(working_set, 1.0)), sizes, seconds)

    def ceiling_seconds_per_byte(self, working_set):
        """The same at datasheet rates."""
        return self._blend(working_set, [most for _, _, most in self.levels])

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
        levels.insert(0, (level.capacity_bytes, sustained, max(level.ceiling_bytes_per_s(), sustained.value)))
    return Bandwidth(tuple(levels), _curve(hardware, threads, levels[-1][1].value))


def _curve(hardware: Hardware, threads: int | None, main: float) -> tuple[tuple[float, float], ...]:
    """The measured curve with *threads* threads: of the nearest count that was measured, in proportion to the main memory's rate."""
    if not hardware.curve:
        return ()
    wanted = threads or hardware.threads or hardware.cores or 1
    counts = {point.threads for point in hardware.curve}
    nearest = min(counts, key=lambda count: (abs(count - wanted), count))
    scale = 1.0 if nearest == wanted else wanted / nearest
    points = sorted((p.working_set_kib * KI, p.gb_per_s.value * GIGA) for p in hardware.curve if p.threads == nearest)
    return tuple((size, max(rate * scale, main)) for size, rate in points)
