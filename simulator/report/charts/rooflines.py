"""Rooflines: the parts of a model's step under the roof of a device, and a device alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simulator.forecast.capacity import largest_batch
from simulator.forecast.scenario import Scenario
from simulator.report import roofline_data
from simulator.report.charts.chart import Chart, Panel, Series, floats
from simulator.report.charts.naming import by_device, colours_of, line_name, panel_note, subtitle
from simulator.report.charts.source import source_of
from simulator.spec.hardware import Hardware

ROOF_BATCHES = (1, 2, 4, 8, 16, 32, 64)
PARTS = {
    "attention": "attention matrices", "ffn": "feed-forward", "experts": "routed experts", "shared": "shared experts",
    "router": "router", "head": "output head", "cache": "attention over the cache",
}  # fmt: skip


def roofline_chart(bases: Sequence[Scenario], batches: Sequence[int], context: int) -> Chart:
    """Under the roof of each device, and of each part of a machine that computes: the parts of a model's step, batch by batch.

    Of several models the whole step.
    """
    groups = by_device(bases)
    panels, shown = [], set()
    for title, group in groups.items():
        fitting = {id(base): _fitting(base, batches, context) for base in group}
        shown |= {batch for each in fitting.values() for batch in each}
        parts = group[0].hardware.parts
        for place, part in enumerate(parts):
            series = _series(group, bases, fitting, context, place)
            if place and not series:
                continue  # nothing is computed there
            note = (
                panel_note(group, bases, min(batches), context) if series and not place else ""
            )  # else the panel says so itself
            name = part.alone().full_title if len(parts) > 1 else title
            panels.append(
                Panel(name if len(groups) > 1 or len(parts) > 1 else "", series, "operations per second", part, note)
            )
    shown = shown or set(batches)
    told = f"batch {min(shown):,} to {max(shown):,}" if len(shown) > 1 else f"batch {min(shown):,}"
    hollow = f"batch {min(shown):,}" if len(shown) > 1 else ""
    return Chart("roofline", "roofline", "What holds it back", "operations per byte moved", tuple(panels),
                 source_of(bases, told, f"context {context:,}"), subtitle(bases), legend=hollow)  # fmt: skip


def _fitting(base: Scenario, batches: Sequence[int], context: int) -> tuple[int, ...]:
    room = largest_batch(base, context)
    return tuple(batch for batch in batches if batch <= room)


def _series(
    group: Sequence[Scenario],
    bases: Sequence[Scenario],
    fitting: Mapping[int, tuple[int, ...]],
    context: int,
    place: int,
) -> tuple[Series, ...]:
    """What a part of the machine computes: of one model its parts, of several the whole of each."""
    colour = colours_of(line_name(base, bases) for base in bases)
    series: list[Series] = []
    for base in group:
        here = fitting[id(base)]
        found = _operations(base, here, context, place) if here else {}
        if found:
            label = line_name(base, bases)
            series += [_step(label, here, found, colour[label])] if len(group) > 1 else _parts(here, found)
    return tuple(series)


def _operations(base: Scenario, batches: Sequence[int], context: int, place: int) -> dict[str, tuple[np.ndarray, ...]]:
    """Operations, bytes and seconds of each part of the model that a part of the machine computes, at each batch; what computes
    next to nothing is left out."""
    shape = (len(batches),)
    totals: dict[str, list[np.ndarray]] = {}
    for timed in base.at(np.array(batches), context).ops:
        if timed.op.place != place:
            continue
        sums = totals.setdefault(timed.op.part, [np.zeros(shape) for _ in range(3)])
        for number, value in enumerate((timed.op.cost.flops, timed.op.cost.streamed_bytes, timed.seconds)):
            sums[number] = sums[number] + timed.op.count * np.broadcast_to(value, shape)
    overall = sum(flops for flops, _, _ in totals.values())
    return {
        part: tuple(sums)
        for part, sums in totals.items()
        if np.all(sums[1] > 0) and np.all(sums[2] > 0) and np.any(sums[0] > 0.002 * overall)
    }


def _step(label: str, batches: Sequence[int], parts: dict[str, tuple[np.ndarray, ...]], colour: int) -> Series:
    """The parts of a step together."""
    totals = (sum(sums[number] for sums in parts.values()) for number in range(3))
    return _under_roof(label, batches, *totals, colour)


def _parts(batches: Sequence[int], parts: dict[str, tuple[np.ndarray, ...]]) -> list[Series]:
    """Each part of a step, always in its own colour."""
    numbers = {part: number for number, part in enumerate(PARTS)}
    return [
        _under_roof(PARTS.get(part, part), batches, *sums, numbers.get(part, len(PARTS)))
        for part, sums in parts.items()
    ]


def _under_roof(
    label: str, batches: Sequence[int], flops: np.ndarray, moved: np.ndarray, seconds: np.ndarray, colour: int
) -> Series:
    """Operations of a byte and of a second, batch by batch."""
    x, y = (floats(flops / each, len(batches)) for each in (moved, seconds))
    return Series(label, x, y, notes=tuple(map(str, batches)), colour=colour)


def device_chart(device: Hardware) -> Chart:
    """The roofs of a device, and where the engine's kernels were measured under them."""
    found: dict[str, list[roofline_data.Dot]] = {}
    for dot in roofline_data.dots_of(device):
        found.setdefault(dot.format, []).append(dot)
    series = [
        Series(name, tuple(dot.ops_per_byte for dot in dots), tuple(dot.ops_per_s for dot in dots), colour=number)
        for number, (name, dots) in enumerate(found.items())
    ]
    panel = Panel("", tuple(series), "operations per second", device)
    return Chart("device", "roofline", "Roofline", "operations per byte read", (panel,), roofline_data.origin(device),
                 device.full_title)  # fmt: skip
