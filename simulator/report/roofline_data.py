"""What a picture of a device shows, as numbers: roofs, ceilings, the engine's kernels, and bandwidth over the working set."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from simulator.spec.engine_speeds import KernelSpeed
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.spec.quant import FORMATS
from simulator.units import GI, GIGA, KI, MI, TERA, format_number

ALIKE = 1.01  # peaks that differ by less than this factor share a line


@dataclass(frozen=True)
class Roof:
    """A level of memory: so many bytes a second allow so many operations a second for each operation on a byte."""

    name: str
    figure: Figure  # GB/s

    @property
    def bytes_per_s(self) -> float:
        """The sustained rate of reading."""
        return self.figure.value * GIGA


@dataclass(frozen=True)
class Ceiling:
    """A peak, and the number formats that share it."""

    formats: tuple[str, ...]
    figure: Figure  # Top/s

    @property
    def ops_per_s(self) -> float:
        """A multiply-add is two."""
        return self.figure.value * TERA


@dataclass(frozen=True)
class Dot:
    """One of the engine's kernels with its weights in memory."""

    format: str
    tokens: int  # at once
    ops_per_byte: float  # of weights
    ops_per_s: float


@dataclass(frozen=True)
class Stretch:
    """Reading with one thread count: at each size a rate and how it scatters."""

    threads: int | None
    sizes: tuple[float, ...]  # bytes
    bytes_per_s: tuple[float, ...]
    spreads: tuple[float, ...]  # standard deviations of the logarithm


def roofs_of(device: Hardware) -> list[Roof]:
    """Every level whose speed is known, nearest first, with the threads that the device decodes with."""
    levels = device.bandwidth_levels()
    return [Roof(level.name, level.sustained(device.device_class, device.threads).times(1 / GIGA)) for level in levels]


def ceilings_of(device: Hardware) -> list[Ceiling]:
    """The peaks, lowest first; formats with the same one share it."""
    found: list[Ceiling] = []
    for name, figure in sorted(device.peaks_tflops.items(), key=lambda item: item[1].value):
        if found and figure.value < ALIKE * found[-1].figure.value:
            found[-1] = Ceiling((*found[-1].formats, name), found[-1].figure)
        else:
            found.append(Ceiling((name,), figure))
    return found


def dots_of(device: Hardware) -> list[Dot]:
    """The engine's kernels with the fewest and the most tokens at once that were measured, on as many threads as were.

    A weight of b bits takes part in 2 n operations with n tokens at once: 16 n / b operations for each byte of weights.
    The height is what a kernel reaches where memory is as fast as the roof says. The file knows each kernel's seconds for
    a byte twice, beside those of a pure read: with its weights in each core's own cache (from `cached_gop_per_s`) and in
    memory (from `memory_share`). A straight line through both leads to the roof's, as in a forecast: a kernel that waits
    for memory goes along with it, one that computes keeps its speed. None is faster than in the cache, or than the roof.
    """
    engine = device.engine
    count = max(engine.kernels) if engine and engine.kernels else None
    beside = engine.read_gb_per_s.get(count) if engine else None
    if not beside:
        return []
    memory = roofs_of(device)[-1].figure.value
    return [
        _dot(name, tokens, speeds[tokens], beside, memory)
        for name, speeds in engine.kernels[count].items()
        for tokens in sorted({min(speeds), max(speeds)})
    ]


def _dot(name: str, tokens: int, speed: KernelSpeed, beside: Sequence[Figure], memory: float) -> Dot:
    ops_per_byte = 2 * tokens / (FORMATS[name].bits / 8)
    near, far = 1 / beside[0].value, 1 / (speed.memory_gb_per_s or beside[-1]).value  # ns for a byte of a pure read
    cached, streamed = ops_per_byte / speed.cached_gop_per_s.value, far / speed.memory_share.value
    slope = max(0.0, streamed - cached) / (far - near) if far > near else 0.0
    taken = max(cached, 1 / memory, streamed + slope * (1 / memory - far))
    return Dot(name, tokens, ops_per_byte, ops_per_byte * GIGA / taken)


def stretches_of(device: Hardware) -> list[Stretch]:
    """The measured curve, one for each thread count; empty where there is none."""
    found = []
    for count in sorted({point.threads for point in device.curve}):
        points = sorted((p for p in device.curve if p.threads == count), key=lambda p: p.working_set_kib)
        found.append(
            Stretch(
                None if device.kind == "gpu" else count,
                tuple(point.working_set_kib * KI for point in points),
                tuple(point.gb_per_s.value * GIGA for point in points),
                tuple(point.gb_per_s.spread or 0.0 for point in points),
            )
        )
    return found


def steps_of(device: Hardware) -> list[Stretch]:
    """What is known of a device without a curve: each level's rate, from the capacity of the one before it to its own."""
    counts = sorted({n for level in device.memory for n in level.gb_per_s_by_threads}) or [None]
    found = []
    for count in counts:
        sizes: list[float] = []
        rates: list[float] = []
        spreads: list[float] = []
        for near, level in pairwise((None, *device.memory)):
            if level.has_bandwidth:
                figure = level.sustained(device.device_class, count)
                sizes += [near.capacity_bytes if near else level.capacity_bytes / 16, level.capacity_bytes]
                rates += [figure.value] * 2
                spreads += [figure.spread or 0.0] * 2
        found.append(Stretch(count, tuple(sizes), tuple(rates), tuple(spreads)))
    return found


def caches_of(device: Hardware) -> list[tuple[str, float]]:
    """Names and bytes of the levels before the main memory; those of one size are one."""
    found: dict[float, str] = {}
    for level in device.memory[:-1]:
        size = level.capacity_bytes
        found[size] = f"{found[size]}, {level.name}" if size in found else level.name
    return [(name, size) for size, name in found.items()]


def random_of(device: Hardware) -> list[tuple[int, Figure]]:
    """Bytes of a block, and GB/s of reading blocks in random order."""
    found = [(re.fullmatch(r"random (\d{1,9}) B", name), figure) for name, figure in device.traffic.items()]
    return sorted((int(match[1]), figure) for match, figure in found if match and int(match[1]))


def origin(device: Hardware) -> str:
    """Where the figures come from, in a line."""
    groups = {
        "bandwidth": [roof.figure for roof in roofs_of(device)],
        "peaks": list(device.peaks_tflops.values()),
    }
    told: dict[str, list[str]] = {}
    for group, figures in groups.items():
        told.setdefault(_origins(figures), []).append(group)
    parts = [f"{' and '.join(names)} {text}" for text, names in told.items() if text]
    return "; ".join([*parts, *([f"last on {device.runs[-1].when}"] if device.runs else [])])


def _origins(figures: Iterable[Figure]) -> str:
    keys: dict[str, list[str]] = {}
    for figure in figures:
        known = keys.setdefault(figure.provenance, [])
        if figure.source and figure.source not in known:
            known.append(figure.source)
    return ", ".join(f"{kind} ({', '.join(known)})" if known else kind for kind, known in keys.items())


def format_binary(nbytes: float) -> str:
    """Bytes of a cache or a working set as makers write them: `32 KiB`."""
    unit, name = next((each for each in ((GI, "GiB"), (MI, "MiB"), (KI, "KiB")) if nbytes >= each[0]), (1, "B"))
    value = nbytes / unit
    return (
        f"{value:.0f} {name}" if math.isclose(value, round(value), rel_tol=1e-3) else f"{format_number(value)} {name}"
    )


def spread_apart(wanted: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Centres for labels of some sizes along a line, in the order of *wanted* and near it, none on another.

    Where they fit, all lie between *low* and *high*.
    """
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    # How far the middle of each stands behind the start of the first, were all pressed together.
    before = {
        number: sum(sizes[each] for each in order[:place]) + sizes[number] / 2 for place, number in enumerate(order)
    }
    blocks: list[list[float]] = []  # where such a start should be, and for how many labels
    for number in order:
        blocks.append([wanted[number] - before[number], 1])
        while len(blocks) > 1 and blocks[-1][0] < blocks[-2][0]:
            (one, n), (two, m) = blocks[-2:]
            blocks[-2:] = [[(one * n + two * m) / (n + m), n + m]]
    starts = [place for place, count in blocks for _ in range(int(count))]
    highest = high - sum(sizes)
    inside = {
        number: max(low, min(start, highest)) + before[number] for number, start in zip(order, starts, strict=True)
    }
    return [inside[number] for number in range(len(wanted))]
