"""What zero inputs would buy: speed over the share of them, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.forecast.capacity import largest_batch
from simulator.forecast.scenario import Scenario
from simulator.report.charts.chart import Chart, Panel, Series, floats
from simulator.report.charts.naming import panel_title, subtitle
from simulator.report.charts.source import source_of
from simulator.spec.sparsity import parse_sparsity

FEW_BATCHES = (1, 4, 16)  # where each is a line of its own
ZERO_SHARES = tuple(round(0.05 * step, 2) for step in range(20))  # of inputs


def sparsity_chart(bases: Sequence[Scenario], batches: Sequence[int], context: int) -> Chart:
    """How many times as fast a model gets where so many inputs of its linear layers are zero and their weights are not read."""
    panels = []
    for base in bases:
        fitting = [batch for batch in batches if batch <= largest_batch(base, context)]
        series = []
        if fitting:
            points = (with_zeros(base, share).at(np.array(fitting), context) for share in ZERO_SHARES)
            rates = np.array([point.tokens_per_s for point in points])
            x = tuple(100 * share for share in ZERO_SHARES)
            series = [
                Series(f"batch {batch:,}", x, floats(column / column[0], len(column)), colour=n)
                for n, (batch, column) in enumerate(zip(fitting, rates.T, strict=True))
            ]
        panels.append(Panel(panel_title(base, bases), tuple(series), "times as fast as without"))
    source = source_of(bases, f"context {context:,}", "zeros independent of each other")
    return Chart("sparsity", "lines", "What zero inputs buy", "inputs of the linear layers that are zero, %", tuple(panels), source,
                 subtitle(bases), x_log=False, y_log=False)  # fmt: skip


def with_zeros(base: Scenario, share: float) -> Scenario:
    """The same with a share of zero inputs in every linear layer; sparsity that it had gives way."""
    zeros = parse_sparsity(f"columns:{share:g}") if share else None
    return replace(base, load=replace(base.load, sparsity=zeros))
