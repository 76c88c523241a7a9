"""Splits of a model over the memories of a machine side by side: of each way, of each format, and what runs where none fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from simulator.errors import InputError
from simulator.forecast.fastest import fitted_ways
from simulator.forecast.scenario import Scenario, scenario, usual_formats
from simulator.forecast.software import formats_suited
from simulator.spec.hardware import Hardware
from simulator.spec.library import names, shelf
from simulator.spec.machine import join, load_hardware, usual_host_of, with_ram, written_with_host
from simulator.spec.mixes import parse_weights
from simulator.spec.model import weight_bytes
from simulator.spec.quant import Weights
from simulator.units import GI

MORE_DEVICES = (2, 4, 8)  # times as many as there are
RAM_GIB = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)  # sizes that memory comes in


@dataclass(frozen=True)
class Split:
    """A scenario with its placement, and what it gives at one batch and context."""

    base: Scenario
    batch: int
    context: int
    tokens_per_s: float  # of all sequences

    @classmethod
    def of(cls, base: Scenario, batch: int, context: int) -> Split:
        """As fast as it is forecast."""
        if base.placement is None:
            return cls(base, batch, context, float(base.at(batch, context).tokens_per_s))
        return cls(base, batch, context, batch * base.load.tokens / base.trials(batch, context).seconds(base.placement))


def by_way(base: Scenario, batch: int, context: int) -> tuple[Split, ...]:
    """The best that fits of each way to leave something in RAM, the fastest first; nothing where all fits on the GPUs."""
    found = fitted_ways(base.trials(batch, context))
    named = (replace(base, placement=each.placement, placed_for=None) for each in found)
    return _sorted(Split.of(each, batch, context) for each in named)


def by_format(
    base: Scenario, batch: int, contexts: Sequence[int], formats: Sequence[Weights] | None = None
) -> tuple[Split, ...]:
    """The fastest split that fits of each format, at each context in turn; the fastest first of each context."""
    formats = usual_formats(base) if formats is None else formats
    found: list[Split] = []
    for context in contexts:
        placed = (replace(base, placed_for=(batch, context)).in_weights(each) for each in formats)
        found += _sorted(Split.of(each, batch, context) for each in placed if each.fits(batch, context))
    return tuple(found)


def _sorted(found: Iterator[Split]) -> tuple[Split, ...]:
    return tuple(sorted(found, key=lambda each: -each.tokens_per_s))


def instead(base: Scenario, batch: int, context: int) -> list[tuple[str, Split]]:
    """What runs where a model does not fit: the fastest split with a host's RAM, the largest format that fits, more devices, the next.

    Each with what one has to write for it.
    """
    ways = (_smaller, _more_devices, _next_device)
    more = None if placed_anew(base, batch, context) else _with_host(base, batch, context)
    found = (more, *(way(base, batch, context) for way in ways))
    return [each for each in found if each is not None]


def placed_anew(base: Scenario, batch: int, context: int) -> Split | None:
    """The fastest split of the same machine where somebody named one that does not fit; None where none fits, or none was named."""
    if base.placement is None or base.placed_for is not None:
        return None
    found = replace(base, placed_for=(batch, context)).in_weights(base.load.weights)
    return Split.of(found, batch, context) if found.fits(batch, context) else None


def _with_host(base: Scenario, batch: int, context: int) -> tuple[str, Split] | None:
    """On the same GPUs with as little RAM beside them as will do, of a usual host, or more than the machine's own host has."""
    hardware = base.hardware
    if not (hardware.has_own_memory and base.runtime.uses_host):
        return None
    own_bytes = hardware.host.main_memory.capacity_bytes if hardware.host else 0
    for gib in (each for each in RAM_GIB if each * GI > own_bytes):
        try:
            machine = with_ram(_hosted(hardware), gib * GI)
            found = _again(base, machine, base.load.weights, batch, context)
        except InputError:  # no link is known, or the runtime does not run on such a host
            return None
        if found.fits(batch, context):
            return f"{found.hardware.label} --ram {gib}", Split.of(found, batch, context)
    return None


def _hosted(hardware: Hardware) -> Hardware:
    """With a host; several devices are loaded anew, as what works together is one device to all that follows."""
    fresh = load_hardware(hardware.label) if any(part.count > 1 for part in hardware.parts) else hardware
    if fresh.host is not None:
        return fresh
    host = load_hardware(usual_host_of(hardware))
    return join([fresh.alone(), *fresh.beside, host], hardware.label)


def _again(base: Scenario, hardware: Hardware, weights: Weights, batch: int, context: int) -> Scenario:
    """The same on another machine, placed for that batch and context."""
    load, layout, drive = base.load, base.hardware.layout, base.hardware.reads_from
    cpu = hardware.host or (hardware if hardware.kind == "cpu" else None)
    threads = min(load.threads, cpu.most_threads or load.threads) if load.threads and cpu else None
    if drive and cpu:
        hardware = hardware.reading_from(drive)
    return scenario(
        base.loaded, hardware, weights=weights, cache=load.cache.name, runtime=base.copying or base.runtime,
        routing=load.routing, sparsity=load.sparsity, threads=threads,
        parallel=layout if 1 < layout.n_devices == hardware.count else None, batch=batch, context=context,
    )  # fmt: skip


def _smaller(base: Scenario, batch: int, context: int) -> tuple[str, Split] | None:
    """In the largest that fits there of the smaller formats that people choose among, placed as somebody named it."""
    rather_small = [parse_weights(name) for name in formats_suited(base.runtime, base.hardware, base.runtime.weights)]
    formats = {each.name: each for each in (*reversed(usual_formats(base)), *rather_small)}
    for weights in formats.values():
        if not _is_smaller(base, weights):
            continue
        found = replace(base, placed_for=base.placed_for and (batch, context)).in_weights(weights)
        if found.fits(batch, context):
            return f"--weights {weights.name}", Split.of(found, batch, context)
    return None


def _is_smaller(base: Scenario, weights: Weights) -> bool:
    try:
        return weight_bytes(base.loaded.model, weights) < weight_bytes(base.loaded.model, base.load.weights)
    except ValueError:
        return False  # rows that do not divide into this format's blocks: no such file exists


def _more_devices(base: Scenario, batch: int, context: int) -> tuple[str, Split] | None:
    """On twice as many of the same cards, four or eight times."""
    own = base.hardware
    if not own.has_own_memory or own.beside:
        return None
    for times in MORE_DEVICES:
        found = _on_shipped(base, f"{own.count * times}x{own.name}", batch, context)
        if found is not None:
            return found
    return None


def _on_shipped(base: Scenario, name: str, batch: int, context: int) -> tuple[str, Split] | None:
    """On shipped devices of that name; None where it does not fit, or does not run."""
    try:
        found = _again(base, load_hardware(name), base.load.weights, batch, context)
        return (name, Split.of(found, batch, context)) if found.fits(batch, context) else None
    except InputError:
        return None


def _next_device(base: Scenario, batch: int, context: int) -> tuple[str, Split] | None:
    """On as many of another shipped device of the same maker, of those that hold it the one with least memory.

    Of the same class before others.
    """
    own = base.hardware
    many = f"{own.count}x" if own.count > 1 and not own.beside else ""
    shipped = (load_hardware(name) for name in names(shelf("hardware")))
    larger = (
        each
        for each in shipped
        if (each.vendor, each.kind, each.has_own_memory) == (own.vendor, own.kind, own.has_own_memory)
        and each.usable_bytes > own.usable_bytes / own.count
    )
    for device in sorted(
        larger, key=lambda each: (each.device_class != own.device_class, each.usable_bytes, each.name)
    ):
        found = _on_shipped(base, f"{many}{device.name}", batch, context)
        if found is not None:
            return found
    return None


def with_usual_host(base: Scenario) -> str:
    """What cards are called with a host beside them in whose memory the rest fits, with more of it where needed; empty where none does.

    Also where one is there, or the runtime cannot use it.
    """
    hardware, (batch, context) = base.hardware, base.placed_for or (1, 1)
    name = "" if hardware.beside or not base.runtime.uses_host else written_with_host(hardware)
    if not name:
        return ""
    try:
        found = _again(base, _hosted(hardware), base.load.weights, batch, context)
    except InputError:  # the runtime does not run on such a host
        return ""
    if found.fits(batch, context):
        return name
    more = _with_host(base, batch, context)
    return f"{name} --ram{more[0].rpartition('--ram')[2]}" if more else ""
