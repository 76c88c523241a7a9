"""What was timed on a machine, written as the fields of a hardware file."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from simulator import __version__
from simulator.machine.disturbances import describe_state
from simulator.machine.host import Host
from simulator.probe.describe_engine import engine_fields
from simulator.probe.describe_memory import curve_points, memory_levels, traffic
from simulator.probe.describe_run import cut_of, noise_of, run_fields
from simulator.probe.figures import SOURCE, rate
from simulator.probe.readings import Readings
from simulator.spec.doubt import told_doubts
from simulator.spec.hardware import Hardware
from simulator.units import GI, GIGA, TERA, counted, format_capacity


def hardware_fields(readings: Readings, name: str, when: datetime) -> dict[str, Any]:
    """The mapping that a hardware file holds; unknown fields are left out."""
    host, plan = readings.host, readings.plan
    everyone = plan.threads[-1]
    memory, notes = memory_levels(readings)
    data = {
        "name": name,
        "title": _title(host),
        "class": host.device_class,
        **identity(host, everyone),
        "architecture": {"name": host.kernels, "how": "as the system tells of its cores"} if host.kernels else None,
        "sources": {SOURCE: f"roofcast profile {__version__} on this machine"},
        "memory": memory,
        "peaks_tflops": {kind: _peak(readings, kind, everyone) for kind in ("f32", "int8")},
        "peaks_tflops_by_threads": {
            kind: {
                count: _peak(readings, kind, count)
                for count in plan.threads
                if f"peak {kind} {count}" in readings.samples
            }
            for kind in ("f32", "int8")
        },
        "storage": _storage(readings),
        "traffic": traffic(readings),
        "engine": engine_fields(readings),
        "curve": curve_points(readings),
        "runs": [run_fields(readings, when, (*describe_state(host), *notes, *noise_of(readings), *cut_of(readings)))],
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


def with_doubts(fields: dict[str, Any], hardware: Hardware) -> dict[str, Any]:
    """The fields of a file, whose run names the figures of *hardware*, the same once more, that cannot be."""
    doubts = told_doubts(hardware)
    if not doubts:
        return fields
    *before, run = fields["runs"]
    return {**fields, "runs": [*before, {**run, "notes": [*run.get("notes", ()), doubts]}]}


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


def _peak(readings: Readings, kind: str, threads: int) -> dict[str, Any]:
    how = "multiply-adds in registers" if kind == "f32" else f"int8 dot products in registers, {readings.path}"
    return rate(readings.samples[f"peak {kind} {threads}"], TERA, how)


def _storage(readings: Readings) -> list[dict[str, Any]]:
    if readings.storage is None:
        return []
    how = f"a file of {format_capacity(readings.storage.bytes)}, {readings.storage_how}"
    return [{"name": "disk", "gb_per_s": rate(readings.storage, GIGA, how)}]
