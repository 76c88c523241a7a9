"""The most probable factors, given measurements and what was known before: a maximum of the posterior."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import diags

from simulator.calibration.observations import Observation
from simulator.calibration.timing import Steps

# Standard deviation of ln(measured seconds) about the model, beyond which a row counts less and less. Prompts scatter more: how large
# tiles are, and which of several kernels is taken, is not modelled for each program and card.
NOISE, NOISE_OF_PROMPTS = 0.16, 0.32


@dataclass(frozen=True)
class Problem:
    """Factors to be fitted to some steps."""

    steps: Steps

    @cached_property
    def prior(self) -> tuple[np.ndarray, np.ndarray]:
        """Medians' logarithms, and spreads."""
        listed = self.steps.factors
        return np.log([each.median for each in listed]), np.array([each.spread for each in listed])

    @cached_property
    def noise(self) -> np.ndarray:
        """Of each row."""
        return np.array([NOISE_OF_PROMPTS if each.is_prompt else NOISE for each in self.steps.observed])

    @cached_property
    def weights(self) -> np.ndarray:
        """What each row counts: a series of n rows of one model on one device counts as sqrt(n), so does a device beyond 30.

        Decodes and prompts are series of their own.
        """
        series = [_series(each) for each in self.steps.observed]
        n, devices = Counter(series), Counter((each.device, each.is_prompt) for each in self.steps.observed)
        by_device = [min(1.0, (30 / devices[each.device, each.is_prompt]) ** 0.5) for each in self.steps.observed]
        return np.array([n[key] ** -0.5 for key in series]) * np.sqrt(by_device)

    def fit(self, kept: np.ndarray, start: np.ndarray | None = None, n_steps: int = 60) -> np.ndarray:
        """Logarithms of the factors' values, from the rows that *kept* marks.

        Residuals count by the pseudo-Huber loss, so that a row that is far off pulls no harder than one a little off.
        """
        medians, spreads = self.prior
        weights, noise = self.weights * kept, self.noise
        measured = np.log(self.steps.seconds)

        def posterior(values: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
            seconds, changes = self.steps.timed(values)
            off, strayed = (np.log(seconds) - measured) / noise, (values - medians) / spreads
            root = np.sqrt(1 + off * off)
            loss = float(weights @ (2 * (root - 1)) + strayed @ strayed) / 2
            slope = changes.T @ (weights * off / root / noise) + strayed / spreads
            bend = (changes.T @ (diags(weights / root / noise**2) @ changes)).toarray() + np.diag(1 / spreads**2)
            return loss, slope, bend

        once = _Once(posterior)
        found = minimize(
            once.loss,
            medians if start is None else start,
            jac=once.slope,
            hess=once.bend,
            method="trust-exact",
            options={"maxiter": n_steps, "gtol": 1e-4, "initial_trust_radius": 5.0},
        )
        return found.x


class _Once:
    """A loss with its derivatives, worked out together once for each place."""

    def __init__(self, posterior):
        self._posterior, self._at, self._found = posterior, None, None

    def _look(self, values: np.ndarray):
        if self._at is None or not np.array_equal(values, self._at):
            self._at, self._found = values.copy(), self._posterior(values)
        return self._found

    def loss(self, values: np.ndarray) -> float:
        return self._look(values)[0]

    def slope(self, values: np.ndarray) -> np.ndarray:
        return self._look(values)[1]

    def bend(self, values: np.ndarray) -> np.ndarray:
        return self._look(values)[2]


def _series(each: Observation) -> tuple:
    made = each.published
    return each.device, made.runtime, made.api, made.loaded.model.name, made.weights, each.is_prompt
