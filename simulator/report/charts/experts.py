"""Mixtures of experts: how many experts a step reads, and what it changes how tokens pick them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.scenario import Scenario
from simulator.importers.open import load_routing
from simulator.report.charts.chart import BATCH, Chart, Panel, Series, whole
from simulator.report.charts.naming import listed, model_name, panel_title, subtitle
from simulator.report.charts.rates import rate_line
from simulator.report.charts.source import source_of
from simulator.spec.layers.ffn import Experts
from simulator.spec.routing import Routing, mean_read

ROUTINGS = ("uniform", "zipf:0.6", "zipf:1.2", "worst")


def mixtures_of(bases: Sequence[Scenario]) -> list[Scenario]:
    """The scenarios of models with experts; InputError if there is none."""
    found = [base for base in bases if base.loaded.model.experts]
    if not found:
        names = listed(map(model_name, bases))
        raise InputError(f"{names}: without experts, and only a mixture of experts has this picture")
    return found


def experts_chart(bases: Sequence[Scenario], batches: Sequence[int], routings: Sequence[str] = ()) -> Chart:
    """Distinct experts of a layer that a step reads, against the batch, for each routing; InputError where no model has experts."""
    mixtures = list({base.loaded.model.name: base for base in mixtures_of(bases)}.values())
    sizes = np.array(sorted(batches))
    series = []
    for base in mixtures:
        layer = base.loaded.model.experts[0]
        name = f"{model_name(base)}, {layer.n_active} of {layer.n_experts}"
        for way in [load_routing(each) for each in routings] or [base.load.routing]:
            label = way.name if len(mixtures) == 1 else f"{name}, {way.name}" if routings else name
            found = np.broadcast_to(_distinct(base.loaded.model.experts, way, sizes), sizes.shape)
            series.append(Series(label, whole(sizes), tuple(map(float, found)), colour=len(series)))
    plain = listed(model_name(base) for base in bases if not base.loaded.model.experts)
    ways = listed(routings or dict.fromkeys(base.load.routing.name for base in mixtures), 5)
    source = f"computed from how tokens pick experts: {ways}" + (f"; without experts: {plain}" if plain else "")
    return Chart("experts", "lines", "Distinct experts that a step reads in a layer", BATCH, (Panel("", tuple(series), "experts"),),
                 source, name if len(mixtures) == 1 else "")  # fmt: skip


def _distinct(layers: Sequence[Experts], routing: Routing, batches: np.ndarray) -> Any:
    """Of a layer in the mean over all *layers*."""
    # In the order of the layers: that of a set is another in every run, and so may be the last digit of the sum.
    kinds = Counter(layers)
    return sum(n * mean_read(routing, ffn, batches) for ffn, n in kinds.items()) / len(layers)


def routing_chart(
    bases: Sequence[Scenario], batches: Sequence[int], context: int, routings: Sequence[str] = ROUTINGS
) -> Chart:
    """Tokens per second of a mixture against the batch, for several ways in which tokens pick experts."""
    mixtures = mixtures_of(bases)
    panels = []
    for base in mixtures:
        series = []
        for number, name in enumerate(routings):
            skewed = replace(base, load=replace(base.load, routing=load_routing(name)))
            line = rate_line(name, batches, skewed.at(np.array(batches), context), colour=number)
            series.append(replace(line, low=(), high=(), ceiling=()))
        panels.append(Panel(panel_title(base, mixtures), tuple(series), "tokens/s, all together"))
    plain = listed(model_name(base) for base in bases if not base.loaded.model.experts)
    source = source_of(mixtures, f"context {context:,}", f"without experts: {plain}" if plain else "")
    return Chart("routing", "lines", "What skewed routing changes", BATCH, tuple(panels), source, subtitle(mixtures))  # fmt: skip
