"""What was timed of the engine, as the fields of a hardware file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.probe.clock import Sample
from simulator.probe.columns import Columns
from simulator.probe.figures import difference_in, rate, ratio, seconds_in
from simulator.probe.kernels import LOOK_FORMAT, MATRIX_BYTES, matrix_sizes, start_seconds, whole_panels
from simulator.probe.part_speed import PartSpeed
from simulator.probe.plan import kernel_threads
from simulator.probe.readings import Readings
from simulator.units import GIGA, MI, format_capacity

_TOKENS = ("token", "cold token", "shared token")


def engine_fields(readings: Readings) -> dict[str, Any]:
    """What a file says of the engine; what there was no time for is left out."""
    overheads, plan = readings.overheads, readings.plan
    counts = [count for count in kernel_threads(plan) if _formats(readings, count)]
    attention = {count: {"f16": _parts(found.speeds)} for count, found in readings.attention.items()}
    looked = [count for count in kernel_threads(plan) if f"reference {count} large 1" in readings.samples]
    every = overheads.get(plan.threads[-1], {})
    outside = {
        "step_us": ("step", "a step of a model of width 64, outside its kernels"),
        "cold_step_us": ("cold step", "the same after all of memory was read"),
        "shared_step_us": ("shared step", "the same after what fits into the cache that all share was read"),
    }
    found = {
        "path": readings.path,
        "read_gb_per_s": {count: _reads(readings, count) for count in counts},
        "kernels": {
            count: {fmt: _kernel(readings, count, fmt) for fmt in _formats(readings, count)} for count in counts
        },
        "columns": _columns(readings, lambda found: found.large_tiles),
        "small_tiles": _columns(readings, lambda found: found.small_tiles),
        "attention": attention,
        "start_us": {count: _start(readings, count, "memory", "pieces") for count in counts},
        "matrix_mib": MATRIX_BYTES / MI,
        "shared_start_us": {count: _start(readings, count, "shared", "shared pieces") for count in counts},
        "shared_matrix_mib": round(matrix_sizes(plan.shared_bytes)["shared"] / MI, 4),
        "phase_us": {count: seconds_in(found["phase"], 1e-6) for count, found in overheads.items()},
        "reference_us": {count: _references(readings, count) for count in looked},
        "cache_mib": round(plan.cache_bytes / MI, 4),
        "buffer_mib": round(plan.buffer_bytes / MI, 4),
        **{key: seconds_in(every[name], 1e-6, how) for key, (name, how) in outside.items() if name in every},
        "item_ns": {count: _items(readings, count) for count in kernel_threads(plan)},
    }
    return {key: value for key, value in found.items() if value not in ({}, [])}


def _formats(readings: Readings, threads: int) -> list[str]:
    """Those whose kernels there was time for with so many threads."""
    return [fmt for fmt in readings.plan.formats if f"pair {threads} {fmt} memory" in readings.samples]


def _references(readings: Readings, threads: int) -> dict[str, Any]:
    prefix = f"reference {threads} "
    found = {name.removeprefix(prefix): sample for name, sample in readings.samples.items() if name.startswith(prefix)}
    return {name: seconds_in(sample, 1e-6) for name, sample in found.items()}


def _start(readings: Readings, threads: int, where: str, pieces: str) -> dict[str, Any]:
    large, small = (readings.samples[f"start {threads} {each}"] for each in (where, pieces))
    sizes = matrix_sizes(readings.plan.shared_bytes)
    pair = whole_panels(LOOK_FORMAT, sizes[where]), whole_panels(LOOK_FORMAT, sizes[pieces])
    rounds = zip(large.seconds, small.seconds, strict=True)
    found = [start_seconds(large, one, small, other, pair) for one, other in rounds]
    return difference_in(
        Sample(tuple(found)), 1e-6, f"matrices of {format_capacity(pair[1])} against {format_capacity(pair[0])}"
    )


def _items(readings: Readings, threads: int) -> dict[str, Any]:
    items, differences = readings.items.get(threads, {}), {}
    if threads in readings.attention:
        differences["run"] = readings.attention[threads].run
    if threads == 1:
        outside = readings.overheads.get(threads, {})
        differences |= {name: outside[name] for name in _TOKENS if name in outside}
    found = {work: seconds_in(sample, 1e-9) for work, sample in items.items()}
    return found | {work: difference_in(sample, 1e-9) for work, sample in differences.items()}


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
    for n in (*readings.plan.tokens, readings.plan.many_tokens):
        if f"cached {threads} {fmt} {n}" not in samples:
            continue
        cached = samples[f"cached {threads} {fmt} {n}"]
        found[n] = {"cached_gop_per_s": rate(cached, GIGA, amount=cached.flops)}
        for where, key in (("shared", "cache_share"), ("memory", "memory_share")):
            kernel, read = samples[f"{where} {threads} {fmt} {n}"], samples[f"pair {threads} {fmt} {where}"]
            found[n][key] = ratio(_paired(kernel, read))
    return found


def _paired(kernel: Sample, read: Sample) -> tuple[float, ...]:
    """Rates of a kernel as shares of those of reading, round by round."""
    pairs = zip(kernel.seconds, read.seconds, strict=True)
    return tuple(kernel.bytes / mine / (read.bytes / theirs) for mine, theirs in pairs)


def _columns(readings: Readings, which: Callable[[Columns], dict[int, PartSpeed]]) -> dict[int, Any]:
    found = {
        count: {fmt: _parts(which(each)) for fmt, each in by_format.items() if which(each)}
        for count, by_format in readings.columns.items()
    }
    return {count: by_format for count, by_format in found.items() if by_format}


def _parts(speeds: dict[int, PartSpeed]) -> dict[int, Any]:
    return {n: _part(speed) for n, speed in speeds.items()}


def _part(speed: PartSpeed) -> dict[str, Any]:
    found = {"cached_gop_per_s": rate(speed.cached, GIGA)}
    if speed.start:
        found["start_us"] = difference_in(speed.start, 1e-6)
    if speed.again:
        found["again_gop_per_s"] = rate(speed.again, GIGA)
    if speed.cache_share:
        found["cache_share"] = ratio(speed.cache_share)
    if speed.cache_read:
        found["cache_gb_per_s"] = rate(speed.cache_read, GIGA)
    return found | {"memory_share": ratio(speed.memory_share), "memory_gb_per_s": rate(speed.read, GIGA)}
