"""What was timed on a machine, written as the fields of a hardware file."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from simulator import __version__
from simulator.machine.disturbances import describe_state
from simulator.machine.host import Host
from simulator.probe.caches import find_levels
from simulator.probe.clock import Sample, difference_of, spread_fields, spread_of, typical_of
from simulator.probe.device import Readings, kernel_threads
from simulator.probe.kernels import LOOK_FORMAT, MATRIX_BYTES, matrix_sizes, start_seconds, whole_panels
from simulator.probe.knee import AGREES
from simulator.probe.parts import PartSpeed
from simulator.probe.states import State, find_states
from simulator.spec.doubt import told_doubts
from simulator.spec.hardware import Hardware
from simulator.units import GI, GIGA, KI, MI, TERA, counted, format_capacity

SOURCE = "profile"  # the key under which a file names where its figures come from
NOISY = 0.08  # standard deviation of the logarithm: beyond it, single runs say little
LEAST = 1e-4  # of any figure, in the unit of its field
HAD = 2.0  # a last cache that is told to be so many times as large as it was found to be is not had


def hardware_fields(readings: Readings, name: str, when: datetime) -> dict[str, Any]:
    """The mapping that a hardware file holds; unknown fields are left out."""
    host, plan = readings.host, readings.plan
    everyone = plan.threads[-1]
    memory, notes = _memory(readings)
    data = {
        "name": name,
        "title": _title(host),
        "class": host.device_class,
        **identity(host, everyone),
        "sources": {SOURCE: f"roofcast profile {__version__} on this machine"},
        "memory": memory,
        "peaks_tflops": {kind: _peak(readings, kind, everyone) for kind in ("f32", "int8")},
        "peaks_tflops_by_threads": {
            kind: {
                count: _peak(readings, kind, count) for count in plan.threads if _has(readings, f"peak {kind} {count}")
            }
            for kind in ("f32", "int8")
        },
        "storage": _storage(readings),
        "traffic": _traffic(readings),
        "engine": _engine(readings),
        "curve": _curve(readings),
        "runs": [_run(readings, when, (*describe_state(host), *notes, *noise_of(readings), *cut_of(readings)))],
    }
    return {key: value for key, value in data.items() if value not in (None, "", [], {})}


def identity(host: Host, threads: int) -> dict[str, Any]:
    """The fields by which a file is known to be of this machine, and which need no measuring."""
    return {
        "kind": "cpu",
        "vendor": host.vendor,
        "cores": host.n_cores,
        "threads": threads,
        "description": _describe(host),
    }


def _title(host: Host) -> str:
    cpu = f"{host.cpu or host.architecture or 'unknown processor'}"
    who = f"{host.board}, {cpu}" if host.board else cpu
    n_cores = host.n_cores or host.n_threads
    return f"{who}, {counted(n_cores, 'core')}"


def _describe(host: Host) -> str:
    caches = ", ".join(f"{cache.n} x {format_capacity(cache.nbytes_each)} {cache.name}" for cache in host.caches)
    parts = [
        f"{host.n_cores} cores" if host.n_cores else "",
        caches,
        f"{host.memory_bytes / GI:.1f} GiB {host.memory_type or 'memory'}" if host.memory_bytes else "",
        f"virtual machine ({host.virtual})" if host.virtual else "",
    ]
    return "; ".join(part for part in parts if part)


# ---- figures ----


def rate(sample: Sample, unit: float, how: str = "", amount: float | None = None) -> dict[str, Any]:
    """A figure of so much a second, in a unit."""
    amount = (sample.bytes or sample.flops) if amount is None else amount
    best, median = amount / min(sample.seconds) / unit, amount / sample.median_s / unit
    return _figure(amount / sample.typical_s / unit, how, sample.spread, sample.count, median) | {"best": _short(best)}


def _figure(value: float, how: str, spread: float, count: int, median: float | None = None) -> dict[str, Any]:
    found = {"value": _short(value), "provenance": "measured", "source": SOURCE}
    if how:
        found["how"] = how
    middle = {} if median is None else {"median": _short(median)}
    return found | middle | spread_fields(spread, count)


def _short(value: float) -> float:
    # What a restless machine seems to do in no time at all still has to be a figure.
    return float(f"{max(value, LEAST):.4g}")


def _told(value: float, how: str) -> dict[str, Any]:
    return {"value": _short(value), "provenance": "datasheet", "source": SOURCE, "how": how}


# ---- memory ----


def _memory(readings: Readings) -> tuple[list[dict[str, Any]], list[str]]:
    """Caches with what the system says and what was read off the curve, then the memory; and where they disagree."""
    host, plan = readings.host, readings.plan
    found = find_levels(*_points(readings, plan.threads[-1]))
    told = _told_caches(host, plan.threads[-1])
    seen = [level.capacity for level in found if level.capacity]
    sizes = _had(_found_inside(told, seen), plan.cache_bytes, plan.is_cache_seen) or [
        (f"cache {number}", size, "read off the curve") for number, size in enumerate(seen, 1)
    ]
    levels, below = [], 0.0
    for name, nbytes, how in sizes:
        if nbytes >= plan.buffer_bytes:
            continue
        levels.append({"name": name, **_capacity(nbytes, how), **_level_rates(readings, below, nbytes)})
        below = nbytes
    memory = host.memory_bytes or 2 * plan.buffer_bytes
    main = {"name": host.memory_type or "memory", "capacity_gib": _told(memory / GI, "as the system says")}
    if host.available_bytes and host.memory_bytes and host.available_bytes < host.memory_bytes:
        used = host.memory_bytes - host.available_bytes
        main["reserved_gib"] = _figure(max(used / GI, 1e-3), "in use when it was measured", 0.0, 1)
    main |= _rates_at(readings, plan.buffer_bytes)
    return without_slow_caches([*levels, main]), _disagreements(told, sizes, seen, plan.buffer_bytes / 2)


def _told_caches(host: Host, threads: int) -> list[tuple[str, float, str]]:
    """Name, bytes and make-up of the caches that *threads* threads have, those of a level together, smallest first."""
    found: dict[str, tuple[float, list[str]]] = {}
    for cache in host.caches:
        nbytes, parts = found.get(cache.name, (0.0, []))
        n = min(cache.n, threads)
        found[cache.name] = nbytes + n * cache.nbytes_each, [*parts, f"{n} x {format_capacity(cache.nbytes_each)}"]
    told = [(name, nbytes, f"{', '.join(parts)}, as the system says") for name, (nbytes, parts) in found.items()]
    return sorted(told, key=lambda each: each[1])


def _found_inside(told: list[tuple[str, float, str]], seen: list[float]) -> list[tuple[str, float, str]]:
    """The caches as told, but those before the last one where the curve shows their ends, if it shows them elsewhere."""
    taken, below = [], 0.0
    for name, nbytes, how in told[:-1]:
        found = _nearest(nbytes, [size for size in seen if not any(_agree(size, other) for _, other, _ in told)])
        if found is not None and not any(_agree(nbytes, size) for size in seen) and below < found < told[-1][1]:
            nbytes, how = found, f"where reading gets slower; the system says {format_capacity(nbytes)}"
        taken.append((name, nbytes, how))
        below = nbytes
    return sorted([*taken, *told[-1:]], key=lambda each: each[1])


def _nearest(nbytes: float, seen: list[float]) -> float | None:
    """The end of a cache that the curve shows, which may be that of one told to have *nbytes*."""
    nearest = min(seen, key=lambda capacity: abs(math.log(capacity / nbytes)), default=None)
    return nearest if nearest is not None and 1 / 4 < nearest / nbytes < 4 else None


def _agree(one: float, other: float) -> bool:
    return 1 / AGREES < one / other < AGREES


def _had(told: list[tuple[str, float, str]], found: float, is_seen: bool) -> list[tuple[str, float, str]]:
    """The caches as told, but the last one no larger than it was found to be: a virtual machine may have a part of it."""
    if not told or not is_seen or told[-1][1] < HAD * found:
        return told
    name, nbytes, _ = told[-1]
    how = f"where reading gets slower; the system says {format_capacity(nbytes)}"
    return sorted(
        [*told[:-1], (name, max(found, *(each[1] for each in told[:-1]), 0.0), how)], key=lambda each: each[1]
    )


def _capacity(nbytes: float, how: str) -> dict[str, Any]:
    key, unit = ("capacity_kib", KI) if nbytes < MI else ("capacity_mib", MI)
    return {key: _told(nbytes / unit, how)}


def _level_rates(readings: Readings, below: float, capacity: float) -> dict[str, Any]:
    """Rates at the working set in the middle between a level's capacity and that of the one before it."""
    middle = (max(below, capacity / 8) * capacity) ** 0.5
    everyone = readings.plan.threads[-1]
    timed = [size for size in readings.plan.sizes if _has(readings, f"read {everyone} {size}")]
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


def _disagreements(
    told: list[tuple[str, float, str]], taken: list[tuple[str, float, str]], seen: list[float], most: float
) -> list[str]:
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


def _curve(readings: Readings) -> list[dict[str, Any]]:
    plan = readings.plan
    return [
        {
            "working_set_kib": size / KI,
            "threads": count,
            "gb_per_s": rate(readings.samples[f"read {count} {size}"], GIGA),
        }
        for count in dict.fromkeys((1, plan.threads[-1]))
        for size in plan.sizes
        if _has(readings, f"read {count} {size}")
    ]


def _has(readings: Readings, name: str) -> bool:
    """Whether there was time for a probe."""
    return name in readings.samples


def _traffic(readings: Readings) -> dict[str, Any]:
    plan = readings.plan
    large = format_capacity(plan.buffer_bytes)
    found = {
        f"{kind} {count} threads": rate(readings.samples[f"{kind} {count}"], GIGA, f"{large}, as STREAM counts")
        for kind in ("write", "copy", "triad")
        for count in plan.threads
        if _has(readings, f"{kind} {count}")
    }
    for name, sample in readings.samples.items():
        match = re.fullmatch(r"random (\d+)", name)
        if match:
            found[f"random {match[1]} B"] = rate(sample, GIGA, f"blocks of {large} in random order")
    return found


def _storage(readings: Readings) -> list[dict[str, Any]]:
    if readings.storage is None:
        return []
    how = f"a file of {format_capacity(readings.storage.bytes)}, {readings.storage_how}"
    return [{"name": "disk", "gb_per_s": rate(readings.storage, GIGA, how)}]


def _peak(readings: Readings, kind: str, threads: int) -> dict[str, Any]:
    how = "multiply-adds in registers" if kind == "f32" else f"int8 dot products in registers, {readings.path}"
    return rate(readings.samples[f"peak {kind} {threads}"], TERA, how)


# ---- the engine ----


def _engine(readings: Readings) -> dict[str, Any]:
    overheads, plan = readings.overheads, readings.plan
    counts = [count for count in kernel_threads(plan) if _formats(readings, count)]
    attention = {count: {"f16": _parts(found.speeds)} for count, found in readings.attention.items()}
    columns = {
        count: {fmt: _parts(speeds) for fmt, speeds in by_format.items()}
        for count, by_format in readings.columns.items()
    }
    looked = [count for count in kernel_threads(plan) if _has(readings, f"reference {count} large 1")]
    every = overheads.get(plan.threads[-1], {})
    outside = {
        "step_us": ("step", "a step of a model of width 64, outside its kernels"),
        "cold_step_us": ("cold step", "the same after all of memory was read"),
    }
    found = {
        "path": readings.path,
        "read_gb_per_s": {count: _reads(readings, count) for count in counts},
        "kernels": {
            count: {fmt: _kernel(readings, count, fmt) for fmt in _formats(readings, count)} for count in counts
        },
        "columns": columns,
        "attention": attention,
        "start_us": {count: _start(readings, count, "memory", "pieces") for count in counts},
        "matrix_mib": MATRIX_BYTES / MI,
        "shared_start_us": {count: _start(readings, count, "shared", "shared pieces") for count in counts},
        "shared_matrix_mib": round(matrix_sizes(plan.shared_bytes)["shared"] / MI, 4),
        "phase_us": {count: _seconds(found["phase"], 1e-6) for count, found in overheads.items()},
        "reference_us": {count: _references(readings, count) for count in looked},
        "cache_mib": round(plan.cache_bytes / MI, 4),
        "buffer_mib": round(plan.buffer_bytes / MI, 4),
        **{key: _seconds(every[name], 1e-6, how) for key, (name, how) in outside.items() if name in every},
        "item_ns": {count: _items(readings, count) for count in kernel_threads(plan)},
    }
    return {key: value for key, value in found.items() if value not in ({}, [])}


def _formats(readings: Readings, threads: int) -> list[str]:
    """Those whose kernels there was time for with so many threads."""
    return [fmt for fmt in readings.plan.formats if _has(readings, f"pair {threads} {fmt} memory")]


def _references(readings: Readings, threads: int) -> dict[str, Any]:
    prefix = f"reference {threads} "
    found = {name.removeprefix(prefix): sample for name, sample in readings.samples.items() if name.startswith(prefix)}
    return {name: _seconds(sample, 1e-6) for name, sample in found.items()}


def _start(readings: Readings, threads: int, where: str, pieces: str) -> dict[str, Any]:
    large, small = (readings.samples[f"start {threads} {each}"] for each in (where, pieces))
    sizes = matrix_sizes(readings.plan.shared_bytes)
    pair = whole_panels(LOOK_FORMAT, sizes[where]), whole_panels(LOOK_FORMAT, sizes[pieces])
    rounds = zip(large.seconds, small.seconds, strict=True)
    found = [start_seconds(large, one, small, other, pair) for one, other in rounds]
    return _difference(
        Sample(tuple(found)), 1e-6, f"matrices of {format_capacity(pair[1])} against {format_capacity(pair[0])}"
    )


def _items(readings: Readings, threads: int) -> dict[str, Any]:
    items, differences = readings.items.get(threads, {}), {}
    if threads in readings.attention:
        differences["run"] = readings.attention[threads].run
    if threads == 1:
        outside = readings.overheads.get(threads, {})
        differences |= {name: outside[name] for name in ("token", "cold token") if name in outside}
    found = {work: _seconds(sample, 1e-9) for work, sample in items.items()}
    return found | {work: _difference(sample, 1e-9) for work, sample in differences.items()}


def _reads(readings: Readings, threads: int) -> list[dict[str, Any]]:
    """Pure reads beside the kernels, of all formats together."""
    found = []
    for where in ("cached", "shared", "memory"):
        pairs = [readings.samples[f"pair {threads} {fmt} {where}"] for fmt in _formats(readings, threads)]
        every = Sample(tuple(seconds for pair in pairs for seconds in pair.seconds), pairs[0].bytes)
        found.append(rate(every, GIGA, f"reading {format_capacity(every.bytes)}"))
    return found


def _kernel(readings: Readings, threads: int, fmt: str) -> dict[int, Any]:
    samples, found = readings.samples, {}
    for n in readings.plan.tokens:
        cached = samples[f"cached {threads} {fmt} {n}"]
        found[n] = {"cached_gop_per_s": rate(cached, GIGA, amount=cached.flops)}
        for where, key in (("shared", "cache_share"), ("memory", "memory_share")):
            kernel, read = samples[f"{where} {threads} {fmt} {n}"], samples[f"pair {threads} {fmt} {where}"]
            found[n][key] = _ratio(_paired(kernel, read))
    return found


def _parts(speeds: dict[int, PartSpeed]) -> dict[int, Any]:
    return {n: _part(speed) for n, speed in speeds.items()}


def _part(speed: PartSpeed) -> dict[str, Any]:
    found = {"cached_gop_per_s": rate(speed.cached, GIGA)}
    if speed.cache_share:
        found["cache_share"] = _ratio(speed.cache_share)
    if speed.cache_read:
        found["cache_gb_per_s"] = rate(speed.cache_read, GIGA)
    return found | {"memory_share": _ratio(speed.memory_share), "memory_gb_per_s": rate(speed.read, GIGA)}


def _paired(kernel: Sample, read: Sample) -> tuple[float, ...]:
    """Rates of a kernel as shares of those of reading, round by round."""
    pairs = zip(kernel.seconds, read.seconds, strict=True)
    return tuple(kernel.bytes / mine / (read.bytes / theirs) for mine, theirs in pairs)


def _ratio(shares: Sequence[float]) -> dict[str, Any]:
    return _figure(typical_of(shares), "", spread_of(shares), len(shares), statistics.median(shares))


def _seconds(sample: Sample, unit: float, how: str = "") -> dict[str, Any]:
    return _figure(sample.typical_s / unit, how, sample.spread, sample.count, sample.median_s / unit)


def _difference(sample: Sample, unit: float, how: str = "") -> dict[str, Any]:
    value, spread = difference_of(sample)
    return _figure(value / unit, how, spread, sample.count)


# ---- the run ----


def with_doubts(fields: dict[str, Any], hardware: Hardware) -> dict[str, Any]:
    """The fields of a file, whose run names the figures of *hardware*, the same once more, that cannot be."""
    doubts = told_doubts(hardware)
    if not doubts:
        return fields
    *before, run = fields["runs"]
    return {**fields, "runs": [*before, {**run, "notes": [*run.get("notes", ()), doubts]}]}


def noise_of(readings: Readings) -> tuple[str, ...]:
    """A sentence where the machine is too restless for its figures to be trusted, with how much: that which scatters the most."""
    everyone = readings.plan.threads[-1]
    memory = f"read {everyone} {readings.plan.buffer_bytes}"
    kernels = tuple(f"{where} {everyone} " for where in ("cached", "shared", "memory"))
    scatter = {
        "memory": _scatter(readings, lambda name: name == memory),
        "decodes of the same models": _scatter(readings, lambda name: name.startswith(f"reference {everyone} ")),
        "the engine's kernels": _scatter(readings, lambda name: name.startswith(kernels)),
        "reading caches": _scatter(readings, lambda name: name.startswith(f"read {everyone} ") and name != memory),
    }
    what = max(scatter, key=scatter.get)
    if scatter[what] <= NOISY:
        return ()
    if what == "memory":
        rates = sorted(_memory_rates(readings))
        low, high = rates[len(rates) // 10], rates[-1 - len(rates) // 10]
        seen = f"the memory gave from {low:.1f} to {high:.1f} GB/s (a tenth of the readings lies beyond either)"
    else:
        seen = f"{what} scattered by {scatter[what]:.0%}"
    return (
        f"noisy: within {readings.seconds:.0f} s {seen}, so expect a forecast to be off by some {scatter[what]:.0%} for that alone; "
        "stop other programs and profile again",
    )


def _scatter(readings: Readings, is_meant: Callable[[str], bool]) -> float:
    """The spreads of some samples together; a single timing has none, and counts for nothing."""
    spreads = [sample.spread for name, sample in readings.samples.items() if is_meant(name) and sample.count > 1]
    return math.sqrt(statistics.fmean(each**2 for each in spreads)) if spreads else 0.0


def cut_of(readings: Readings) -> tuple[str, ...]:
    """Sentences on what the budget did not reach, and on a last cache that was not seen."""
    if not readings.left_out:
        return readings.remarks
    return (
        *readings.remarks,
        f"left out for lack of time ({readings.plan.budget_s:g} s): {'; '.join(readings.left_out)}; give --seconds more",
    )


def _watch(readings: Readings) -> dict[str, list[list[float]]]:
    """When each decode of the reference models was begun, in seconds, and how long its step took, in microseconds."""
    return {
        name: [
            [round(at - readings.began, 3), _short(1e6 * taken)]
            for at, taken in zip(sample.at, sample.seconds, strict=True)
        ]
        for name, sample in readings.samples.items()
        if name.startswith("reference") and sample.at
    }


def _run(readings: Readings, when: datetime, notes: Sequence[str]) -> dict[str, Any]:
    plan, samples = readings.plan, readings.samples
    everyone = plan.threads[-1]
    return {
        "when": when.strftime("%Y-%m-%d %H:%M"),
        "by": f"roofcast {__version__}",
        "seconds": round(readings.seconds, 1),
        "rounds": readings.rounds,
        "figures": {
            "read_gb_per_s": rate(samples[f"read {everyone} {plan.buffer_bytes}"], GIGA),
            "f32_tflops": rate(samples[f"peak f32 {everyone}"], TERA),
            "int8_tflops": rate(samples[f"peak int8 {everyone}"], TERA),
            **_state_figures(readings),
        },
        **({"watch_us": watched} if (watched := _watch(readings)) else {}),
        "notes": [*notes, *states_of(readings)],
    }


# ---- two states ----


def states_of(readings: Readings) -> tuple[str, ...]:
    """A sentence on each piece of work that the machine did at two speeds by turns, reading memory first."""
    told, everyone = [], readings.plan.threads[-1]
    found = find_states(_memory_rates(readings))
    if found:
        told.append(f"two states: reading memory {found.told(lambda rate: f'{rate:.1f} GB/s', 'readings')}")
    for name in ("large 1", "large 16", "small 1", "small 16"):
        sample = readings.samples.get(f"reference {everyone} {name}")
        found = find_states([1 / seconds for seconds in sample.seconds]) if sample else None
        if found:
            speeds = found.told(lambda rate: f"{rate:.3g} steps/s", "readings")
            told.append(f"two states: decoding the reference model {name} {speeds}")
    return tuple(told)


def _state_figures(readings: Readings) -> dict[str, Any]:
    """The two speeds of reading memory; empty where it has one."""
    found = find_states(_memory_rates(readings))
    return {"slow_read_gb_per_s": _state(found.low), "fast_read_gb_per_s": _state(found.high)} if found else {}


def _state(state: State) -> dict[str, Any]:
    figure = {"value": _short(state.value), "provenance": "measured", "source": SOURCE, "count": state.count}
    return figure | {"how": f"{state.share:.0%} of the readings"}


def _memory_rates(readings: Readings) -> list[float]:
    sample = readings.samples[f"read {readings.plan.threads[-1]} {readings.plan.buffer_bytes}"]
    return [sample.bytes / seconds / GIGA for seconds in sample.seconds]
