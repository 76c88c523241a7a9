"""What a chart rests on, in a line: runtimes, what was taken for granted, and how well the memory of each part is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.forecast.scenario import Scenario
from simulator.report.charts.naming import listed
from simulator.report.remarks import told_without_peak
from simulator.units import counted


def source_of(bases: Sequence[Scenario], *more: str) -> str:
    """Runtimes, what was taken for granted, and how well the memory of each device is known, of a machine of parts that of each part."""
    runtimes = listed(base.runtime.title or base.runtime.name for base in bases)
    more = (*more, *_assumed(bases))
    kinds: dict[str, list[str]] = {}
    for part in (part for base in bases for part in base.hardware.parts):
        figure = part.main_memory.sustained(part.device_class, None)
        names = kinds.setdefault(figure.origin, [])
        if part.name not in names:
            names.append(part.name)
    several = [base.hardware for base in bases if base.hardware.layout.n_at_once > 1]
    if any(not hardware.links_among(hardware.n_devices) for hardware in several):
        more = (*more, "what devices tell each other left out: an upper bound")
    known = "; ".join(kind if len(kinds) == 1 else f"{kind} for {listed(names)}" for kind, names in kinds.items())
    told = ", ".join(text for text in (f"forecast for {runtimes}", *more, f"memory bandwidth {known}") if text)
    return "; ".join(filter(None, (told, told_without_peak(bases))))


def _assumed(bases: Sequence[Scenario]) -> Iterator[str]:
    """What was asked for besides the usual."""
    loads = [base.load for base in bases]
    routings = {base.load.routing.name for base in bases if base.loaded.model.experts} - {"uniform"}
    yield from (f"routing {name}" for name in sorted(routings))
    yield from sorted({load.sparsity.name for load in loads if load.sparsity})
    yield from sorted({f"cache {base.load.cache.name}" for base in bases if base.load.cache.name != base.runtime.cache})
    yield from sorted({f"{counted(load.threads, 'thread')}" for load in loads if load.threads})
