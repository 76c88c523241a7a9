"""Lines of tokens per second: over the batch, and over the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from simulator.forecast.capacity import largest_context
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.report.charts.chart import BAND, BATCH, CHANGES, Chart, Mark, Panel, Series
from simulator.report.charts.measurements import error_bar, is_near, measured_of
from simulator.report.charts.naming import by_device, colours_of, line_name, model_name, panel_note, subtitle
from simulator.report.charts.source import source_of
from simulator.report.crossings import Crossings, crossings
from simulator.report.measured import Measured

BATCHES = tuple(2**power for power in range(9))


def batch_chart(
    bases: Sequence[Scenario], batches: Sequence[int], context: int, measured: Sequence[Measured] = ()
) -> Chart:
    """Tokens per second against the batch: of all sequences together, and of each."""
    colour = colours_of(line_name(base, bases) for base in bases)
    devices = by_device(bases)
    panels = []
    if len(devices) > 1 and len({model_name(base) for base in bases}) == 1:
        devices = {model_name(bases[0]): list(bases)}
    for title, group in devices.items():
        together, alone = [], []
        for base in group:
            label = line_name(base, bases)
            total, each = _over_batch(base, batches, context, measured, label, colour[label])
            together.append(total)
            alone.append(each)
        note = panel_note(group, bases, min(batches), context)
        titles = (title, f"{title}, each") if len(devices) > 1 else ("All sequences together", "Each sequence")
        panels.append(Panel(titles[0], tuple(together), "tokens/s, all together", note=note))
        panels.append(Panel(titles[1], tuple(alone), "tokens/s, each", note=note))
    return Chart(
        "batch", "lines", "Tokens per second against the batch", BATCH,
        tuple(panels), source_of(bases, f"context {context:,}"), subtitle(bases), legend=BAND,
    )  # fmt: skip


def _over_batch(
    base: Scenario, batches: Sequence[int], context: int, measured: Sequence[Measured], label: str, colour: int
) -> tuple[Series, Series]:
    most = max(batches)
    found = crossings(base, context, most)
    sizes = sorted({*batches, *([found.fits_to] if found.fits_to else []), *_sides(found.brought_from, min(batches))})
    point = base.at(np.array(sizes), context)
    points = [each for each in measured_of(measured, base) if is_near(each.context, context)]
    together = tuple(error_bar(each.batch, each) for each in points)
    alone = tuple(error_bar(each.batch, each, 1 / each.batch) for each in points)
    total = rate_line(label, sizes, point, measured=together, colour=colour)
    each = rate_line(label, sizes, point, 1 / np.array(sizes), measured=alone, colour=colour)
    marks = [
        tuple(mark for mark in _marks(base, context, found, alone) if mark.x >= sizes[0]) for alone in (False, True)
    ]
    return replace(total, marks=marks[0]), replace(each, marks=marks[1])


def _sides(change: int | None, least: int) -> tuple[int, ...]:
    """The batches before and at a change that a line leaps at, which would otherwise lie on its slope between two others."""
    return () if change is None or change <= least else (change - 1, change)


def _marks(base: Scenario, context: int, found: Crossings, each: bool = False) -> tuple[Mark, ...]:
    """The crossings, at the height of the line."""
    places = dict(zip(CHANGES, (found.compute_from, found.cache_from, found.fits_to, found.brought_from), strict=True))
    words = {"memory is full": "fits up to {:,}"}
    marks = []
    for what, batch in places.items():
        if batch and (batch > 1 or what == "memory is full"):
            rate = float(base.at(batch, context).tokens_per_s) / (batch if each else 1)
            marks.append(Mark(batch, rate, what, words.get(what, what + " at {:,}").format(batch)))
    return tuple(marks)


def context_chart(
    bases: Sequence[Scenario], contexts: Sequence[int], batch: int, measured: Sequence[Measured] = ()
) -> Chart:
    """Tokens per second against the tokens in the cache."""
    colour = colours_of(line_name(base, bases) for base in bases)
    devices = {"": list(bases)} if len({model_name(base) for base in bases}) == 1 else by_device(bases)
    panels = [
        Panel(
            title if len(devices) > 1 else "",
            tuple(
                _over_context(base, contexts, batch, measured, label, colour[label])
                for base in group
                for label in [line_name(base, bases)]
            ),
            "tokens/s" + (", all together" if batch > 1 else ""),
            note=panel_note(group, bases, batch, min(contexts)),
        )
        for title, group in devices.items()
    ]
    source = source_of(bases, f"batch {batch:,}")
    return Chart("context", "lines", "Tokens per second against context", "tokens in the cache of each sequence", tuple(panels), source,
                 subtitle(bases), legend=BAND)  # fmt: skip


def _over_context(
    base: Scenario, contexts: Sequence[int], batch: int, measured: Sequence[Measured], label: str, colour: int
) -> Series:
    """As deep as the model goes and memory holds."""
    room, known = largest_context(base, batch), base.loaded.model.max_context
    deepest = min(each for each in (max(contexts), room, known) if each is not None)
    depths = sorted({each for each in contexts if each <= deepest} | {max(deepest, min(contexts))})
    points = tuple(error_bar(each.context, each) for each in measured_of(measured, base) if each.batch == batch)
    line = rate_line(label, depths, base.at(batch, np.array(depths)), colour=colour, measured=points)
    if room != deepest or not line.y[-1]:
        return line
    return replace(line, marks=(Mark(deepest, line.y[-1], "memory is full", f"fits up to {deepest:,}"),))


def rate_line(label: str, x: Sequence[int], point: Prediction, share: Any = 1.0, **more: Any) -> Series:
    """A line of tokens per second times *share*, with interval and ceiling."""
    shape = (len(x),)
    fits = np.broadcast_to(point.fits, shape)
    low = () if point.is_upper_bound else _values(point.tokens_per_s_low * share, shape, fits)
    return Series(
        label,
        tuple(int(each) for each in x),
        _values(point.tokens_per_s * share, shape, fits),
        low,
        _values(point.tokens_per_s_high * share, shape, fits) if low else (),
        _values(point.tokens_per_s_ceiling * share, shape, fits),
        **more,
    )


def _values(values: Any, shape: tuple[int, ...], fits: np.ndarray) -> tuple[float | None, ...]:
    flat = np.broadcast_to(values, shape)
    return tuple(float(value) if ok else None for value, ok in zip(flat, fits, strict=True))
