"""Stacks of the bytes that a step moves, by component."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.forecast.scenario import Scenario
from simulator.report.charts.chart import BATCH, Chart, Panel, Series, floats, whole
from simulator.report.charts.naming import format_name, listed, model_name, panel_title, subtitle

COMPONENTS = ("weights", "experts", "cache", "activations")


def bytes_chart(bases: Sequence[Scenario], batches: Sequence[int], context: int) -> Chart:
    """Bytes that a step moves, by component, at each batch."""
    distinct = list(
        {(base.loaded.model.name, format_name(base), base.load.cache.name): base for base in bases}.values()
    )
    names = {"weights": "other weights" if any(base.loaded.model.experts for base in bases) else "weights"}
    panels = []
    for base in distinct:
        found = base.at(np.array(batches), context).bytes
        series = (
            Series(names.get(part, part), whole(batches), floats(found[part], len(batches)), colour=number)
            for number, part in enumerate(COMPONENTS)
        )
        title = panel_title(base, distinct, (model_name, format_name))
        panels.append(Panel(title, tuple(each for each in series if any(each.y)), "bytes of a step"))
    shared = subtitle(distinct).partition(" on ")[0] if len(distinct) == 1 else ""
    source = f"counted: context {context:,}, cache {listed(base.load.cache.name for base in bases)}"
    return Chart("bytes", "stacks", "Where the bytes of a step go", BATCH, tuple(panels), source, shared, y_log=False)
