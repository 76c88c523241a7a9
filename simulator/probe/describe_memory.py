"""What was timed of memory and of the caches before it, as the fields of a hardware file."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from simulator.machine.host import Host
from simulator.probe.caches import find_levels, share_of_one
from simulator.probe.figures import as_told, measured, rate
from simulator.probe.knee import AGREES
from simulator.probe.readings import Readings
from simulator.units import GI, GIGA, KI, MI, format_capacity

HAD = 2.0  # a last cache that is told to be so many times as large as it was found to be is not had


class CacheSize(NamedTuple):
    """A cache of a name, all of a level together."""

    name: str
    nbytes: float
    how: str  # this is known


def memory_levels(readings: Readings) -> tuple[list[dict[str, Any]], list[str]]:
    """Caches with what the system says and what was read off the curve, then the memory; and where they disagree."""
    host, plan = readings.host, readings.plan
    found = find_levels(*_points(readings, plan.threads[-1]))
    told = _told_caches(host, plan.threads[-1])
    seen = [level.capacity for level in found if level.capacity]
    sizes = _had(_found_inside(told, seen), plan.cache_bytes, plan.is_cache_seen) or [
        CacheSize(f"cache {number}", size, "read off the curve") for number, size in enumerate(seen, 1)
    ]
    levels, below = [], 0.0
    for name, nbytes, how in sizes:
        if nbytes >= plan.buffer_bytes:
            continue
        share = _one_thread_share(readings, name, nbytes) if name == sizes[-1].name else {}
        levels.append({"name": name, **_capacity(nbytes, how), **share, **_level_rates(readings, below, nbytes)})
        below = nbytes
    memory = host.memory_bytes or 2 * plan.buffer_bytes
    main = {"name": host.memory_type or "memory", "capacity_gib": as_told(memory / GI, "as the system says")}
    if host.available_bytes and host.memory_bytes and host.available_bytes < host.memory_bytes:
        used = host.memory_bytes - host.available_bytes
        main["reserved_gib"] = measured(max(used / GI, 1e-3), "in use when it was measured", 0.0, 1)
    main |= _rates_at(readings, plan.buffer_bytes)
    return without_slow_caches([*levels, main]), _disagreements(told, sizes, seen, plan.buffer_bytes / 2)


def _told_caches(host: Host, threads: int) -> list[CacheSize]:
    """Name, bytes and make-up of the caches that *threads* threads have, those of a level together, smallest first."""
    found: dict[str, tuple[float, list[str]]] = {}
    for cache in host.caches:
        nbytes, parts = found.get(cache.name, (0.0, []))
        n = min(cache.n, threads)
        found[cache.name] = nbytes + n * cache.nbytes_each, [*parts, f"{n} x {format_capacity(cache.nbytes_each)}"]
    told = [
        CacheSize(name, nbytes, f"{', '.join(parts)}, as the system says") for name, (nbytes, parts) in found.items()
    ]
    return sorted(told, key=lambda cache: cache.nbytes)


def _found_inside(told: list[CacheSize], seen: list[float]) -> list[CacheSize]:
    """The caches as told, but those before the last one where the curve shows their ends, if it shows them elsewhere."""
    taken, below = [], 0.0
    for name, nbytes, how in told[:-1]:
        found = _nearest(nbytes, [size for size in seen if not any(_agree(size, other.nbytes) for other in told)])
        if found is not None and not any(_agree(nbytes, size) for size in seen) and below < found < told[-1].nbytes:
            nbytes, how = found, f"where reading gets slower; the system says {format_capacity(nbytes)}"
        taken.append(CacheSize(name, nbytes, how))
        below = nbytes
    return sorted([*taken, *told[-1:]], key=lambda cache: cache.nbytes)


def _nearest(nbytes: float, seen: list[float]) -> float | None:
    """The end of a cache that the curve shows, which may be that of one told to have *nbytes*."""
    nearest = min(seen, key=lambda capacity: abs(math.log(capacity / nbytes)), default=None)
    return nearest if nearest is not None and 1 / 4 < nearest / nbytes < 4 else None


def _agree(one: float, other: float) -> bool:
    return 1 / AGREES < one / other < AGREES


def _had(told: list[CacheSize], found: float, is_seen: bool) -> list[CacheSize]:
    """The caches as told, but the last one no larger than it was found to be: a virtual machine may have a part of it."""
    if not told or not is_seen or told[-1].nbytes < HAD * found:
        return told
    *before, last = told
    how = f"where reading gets slower; the system says {format_capacity(last.nbytes)}"
    taken = CacheSize(last.name, max(found, *(cache.nbytes for cache in before), 0.0), how)
    return sorted([*before, taken], key=lambda cache: cache.nbytes)


def _capacity(nbytes: float, how: str) -> dict[str, Any]:
    key, unit = ("capacity_kib", KI) if nbytes < MI else ("capacity_mib", MI)
    return {key: as_told(nbytes / unit, how)}


def _one_thread_share(readings: Readings, name: str, nbytes: float) -> dict[str, Any]:
    """What one thread can use of a cache of so many bytes: as its reading shows, or else as the system says; nothing of one thread."""
    n_threads = readings.plan.threads[-1]
    if n_threads == 1:
        return {}
    curve = _points(readings, 1)
    seen = share_of_one(*curve, nbytes, n_threads) if curve[0] else None
    if seen is not None:
        return {"one_thread_share": as_told(seen, "where one thread's reading gets slower")}
    told = [cache for cache in readings.host.caches if cache.name == name]
    if not told:
        return {}
    together = sum(min(cache.n, n_threads) * cache.nbytes_each for cache in told)
    share = min(1.0, max(cache.nbytes_each for cache in told) / together)
    return {"one_thread_share": as_told(share, "as the system says")}


def _level_rates(readings: Readings, below: float, capacity: float) -> dict[str, Any]:
    """Rates at the working set in the middle between a level's capacity and that of the one before it."""
    middle = (max(below, capacity / 8) * capacity) ** 0.5
    everyone = readings.plan.threads[-1]
    timed = [size for size in readings.plan.sizes if f"read {everyone} {size}" in readings.samples]
    size = min(timed, key=lambda each: abs(each - middle))
    return _rates_at(readings, size) if size <= max(capacity, readings.plan.sizes[0]) else {}


def _rates_at(readings: Readings, size: int) -> dict[str, Any]:
    by_threads = {
        count: rate(readings.samples[f"read {count} {size}"], GIGA, f"reading {format_capacity(size)}")
        for count in readings.plan.threads
        if f"read {count} {size}" in readings.samples
    }
    return {"gb_per_s": by_threads[readings.plan.threads[-1]], "gb_per_s_by_threads": by_threads}


def without_slow_caches(levels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Levels without the speeds of caches that seem slower than what is behind them: they were not seen."""
    behind, most, kept = 0.0, 0.0, []
    for level in reversed(levels):
        figures = [level.get("gb_per_s"), *level.get("gb_per_s_by_threads", {}).values()]
        timed = [figure for figure in figures if isinstance(figure, dict)]
        best = max((figure.get("best", figure["value"]) for figure in timed), default=0.0)
        typical = timed[0]["value"] if timed else 0.0
        if kept and timed and (typical < behind or best < most):
            level = {key: value for key, value in level.items() if key not in ("gb_per_s", "gb_per_s_by_threads")}
        elif timed:
            behind, most = typical, best
        kept.insert(0, level)
    return kept


def _disagreements(told: list[CacheSize], taken: list[CacheSize], seen: list[float], most: float) -> list[str]:
    """Sentences on caches of which another size is taken than the system says, or whose ends the curve, up to *most*, does not show."""
    notes, sizes = [], {name: nbytes for name, nbytes, _ in taken}
    for name, nbytes, how in told:
        makes = how.removesuffix(", as the system says")
        says = f"{name}: the system says {makes}"
        if sizes[name] != nbytes:
            notes.append(f"{says}, reading slows down from {format_capacity(sizes[name])} on, which is taken")
        elif nbytes <= most and not any(_agree(size, nbytes) for size in seen):
            notes.append(f"{says}, the curve shows no step there: the size is the one that the system says")
    return notes


def _points(readings: Readings, threads: int) -> tuple[list[int], list[float]]:
    found = {
        size: readings.samples[f"read {threads} {size}"].bytes_per_s
        for size in readings.plan.sizes
        if f"read {threads} {size}" in readings.samples
    }
    return list(found), list(found.values())


def curve_points(readings: Readings) -> list[dict[str, Any]]:
    """How fast every working set was read, by one thread and by all."""
    plan = readings.plan
    return [
        {
            "working_set_kib": size / KI,
            "threads": count,
            "gb_per_s": rate(readings.samples[f"read {count} {size}"], GIGA),
        }
        for count in dict.fromkeys((1, plan.threads[-1]))
        for size in plan.sizes
        if f"read {count} {size}" in readings.samples
    ]


def traffic(readings: Readings) -> dict[str, Any]:
    """How fast memory is moved otherwise than by reading it from end to end."""
    plan = readings.plan
    large = format_capacity(plan.buffer_bytes)
    found = {
        f"{kind} {count} threads": rate(readings.samples[f"{kind} {count}"], GIGA, f"{large}, as STREAM counts")
        for kind in ("write", "copy", "triad")
        for count in plan.threads
        if f"{kind} {count}" in readings.samples
    }
    for name, sample in readings.samples.items():
        match = re.fullmatch(r"random (\d+)", name)
        if match:
            found[f"random {match[1]} B"] = rate(sample, GIGA, f"blocks of {large} in random order")
    return found
