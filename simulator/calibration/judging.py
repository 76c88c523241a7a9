"""Fits without whole devices and whole models, and how far off the forecasts of those are then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.calibration.fitting import Problem
from simulator.calibration.observations import Observation
from simulator.judge.folds import device_folds, device_group, model_folds
from simulator.progress import Progress

N_STEPS = 8  # of the search, which begins at the factors that all rows give


@dataclass(frozen=True)
class Judging:
    """Every pair of a fold of devices and a fold of models that has rows.

    *beside*: devices and models of rows that are judged, too, though nothing is fitted on them: of servers, or not usable.
    """

    problem: Problem
    beside: Sequence[tuple[str, str]] = ()

    @property
    def _observed(self) -> Sequence[Observation]:
        return self.problem.steps.observed

    @cached_property
    def devices(self) -> dict[str, int]:
        """The fold of each group of devices."""
        return device_folds(each.device for each in self._observed)

    @cached_property
    def models(self) -> dict[str, int]:
        """The fold of each model."""
        return model_folds(each.published.loaded.model.name for each in self._observed)

    @cached_property
    def of_rows(self) -> np.ndarray:
        """Array (row, 2): the folds of each row's device and model."""
        found = [
            (self.devices[device_group(each.device)], self.models[each.published.loaded.model.name])
            for each in self._observed
        ]
        return np.array(found)

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Those that have rows."""
        found = {(self.devices.get(device_group(device)), self.models.get(model)) for device, model in self.beside}
        known = {pair for pair in found if None not in pair}
        return sorted(known | {(int(device), int(model)) for device, model in self.of_rows})

    def fit(self, start: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """Array (pair, factor): factors fitted to all rows that share neither fold with the pair."""
        found = []
        for number, (device, model) in enumerate(self.pairs):
            if progress:
                progress(number / len(self.pairs), f"without fold {number + 1} of {len(self.pairs)}")
            kept = (self.of_rows[:, 0] != device) & (self.of_rows[:, 1] != model)
            found.append(self.problem.fit(kept.astype(float), start, N_STEPS))
        return np.array(found)

    def errors(self, values: np.ndarray) -> np.ndarray:
        """ln(measured / forecast seconds) of each row, by the factors of its own pair."""
        found = np.empty(len(self._observed))
        for pair, own in zip(self.pairs, values, strict=True):
            rows = (self.of_rows == pair).all(axis=1)
            found[rows] = np.log(self.problem.steps.seconds / self.problem.steps.timed(own)[0])[rows]
        return found
