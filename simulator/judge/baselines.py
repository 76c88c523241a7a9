"""What a forecast has to beat: two estimates that take a line each, on the same rows.

The first is datasheet bandwidth over the bytes that a step reads, counted as the forecast counts them: distinct experts
and caches with the weights. The second multiplies it by the share of it that other devices of that class reach, which is one
number fitted to them: the median over all rows of neither this device nor this model. A median over ratios minimises the
mean absolute error of the logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.judge.groups import Group, device_class, headline, of_usable
from simulator.judge.score import Row, Score


@dataclass(frozen=True)
class Compared:
    """A group of the headline with both simple estimates of its rows."""

    group: Group
    datasheet: Score
    efficiency: Score


def compared(found: Score) -> list[Compared]:
    """The headline's groups, usable rows alone."""
    usable = of_usable(found)
    simple = [
        {group.label: group.score for group in headline(each)}
        for each in (by_datasheet(usable), by_efficiency(usable, usable))
    ]
    return [Compared(each, *(of.get(each.label, Score(())) for of in simple)) for each in headline(found)]


def by_datasheet(found: Score) -> Score:
    """The rows as datasheet bandwidth over bytes would have them."""
    return Score(tuple(replace(row, tokens_per_s=row.roof) for row in found.rows))


def by_efficiency(found: Score, fitted_to: Score) -> Score:
    """The rows as one efficiency for each class would have them, *fitted_to* rows of other devices and other models.

    Where no other device is of the class, the efficiency is that of all others; a row is left out where there are none.
    """
    pairs = zip(found.rows, efficiencies(found, fitted_to), strict=True)
    return Score(tuple(replace(row, tokens_per_s=row.roof * share) for row, share in pairs if share is not None))


def efficiencies(found: Score, fitted_to: Score) -> list[float | None]:
    """The efficiency for each row; None where there is nothing to fit it to."""
    others = _Others(fitted_to)
    return [others.share(*_key(row)) for row in found.rows]


def _key(row: Row) -> tuple[str, str, str]:
    return device_class(row), row.hardware, row.model


class _Others:
    """What rows reach of datasheet bandwidth over bytes, by class, device and model."""

    def __init__(self, found: Score):
        keys = [_key(row) for row in found.rows]
        self._classes, self._devices, self._models = np.array(keys, dtype=object).reshape(-1, 3).T
        self._ratios = np.array([row.tokens_per_s_measured / row.roof for row in found.rows])
        self._known: dict[tuple[str, str, str], float | None] = {}

    def share(self, of_class: str, hardware: str, model: str) -> float | None:
        """The median of other devices and models of a class; None where there is nothing to fit to."""
        key = (of_class, hardware, model)
        if key not in self._known:
            is_other = (self._devices != hardware) & (self._models != model)
            of_its_class = is_other & (self._classes == of_class)
            chosen = self._ratios[of_its_class if of_its_class.any() else is_other]
            self._known[key] = float(np.median(chosen)) if chosen.size else None
        return self._known[key]
