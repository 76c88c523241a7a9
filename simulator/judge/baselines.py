"""What a forecast has to beat: two estimates that take a line each, on the same rows.

The first is datasheet bandwidth over the bytes that a step reads, counted as the forecast counts them: distinct experts
and caches with the weights. The second multiplies it by the share of it that other devices of that class reach, which is one
number fitted to them: the median over all rows of neither this device nor this model. A median over ratios minimises the
mean absolute error of the logarithm.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

from simulator.judge.groups import device_class
from simulator.judge.score import Row, Score


def by_datasheet(found: Score) -> Score:
    """The rows as datasheet bandwidth over bytes would have them."""
    return Score(tuple(replace(row, tokens_per_s=row.roof) for row in found.rows))


def by_efficiency(found: Score, fitted_to: Score) -> Score:
    """The rows as one efficiency for each class would have them, *fitted_to* rows of other devices and other models.

    Where no other device is of the class, the efficiency is that of all others.
    """
    shares: dict[Hashable, float] = {}
    for row in found.rows:
        key = (device_class(row), row.hardware, row.model)
        if key not in shares:
            shares[key] = _share(*key, fitted_to.rows)
    rows = (
        replace(row, tokens_per_s=row.roof * shares[device_class(row), row.hardware, row.model]) for row in found.rows
    )
    return Score(tuple(rows))


def _share(of_class: str, hardware: str, model: str, rows: Sequence[Row]) -> float:
    """The median share of datasheet bandwidth over bytes; 1 where there is nothing to fit to."""
    ratios: dict[bool, list[float]] = defaultdict(list)
    for row in rows:
        if row.hardware != hardware and row.model != model:
            ratios[device_class(row) == of_class].append(row.tokens_per_s_measured / row.roof)
    usable = ratios[True] or ratios[False]
    return statistics.median(usable) if usable else 1.0
