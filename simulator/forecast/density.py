"""Throughput as a distribution, where tokens read different shares of the layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError
from simulator.forecast.prediction import Prediction
from simulator.spec.arguments import expect

if TYPE_CHECKING:
    from simulator.spec.density import Density

PERCENTILES = (10, 50, 90)


@dataclass(frozen=True)
class DensityForecast:
    """Throughput as a distribution over steps, because tokens read different shares of the layers."""

    tokens_per_s: float  # over a long run: the inverse of the mean time
    percentiles: dict[int, float]  # tokens per second that so many per cent of the steps do not reach
    mean_share: float  # share of the layers' weights that a step reads on average


def with_density(full: Prediction, density: Density) -> DensityForecast:
    """Tokens per second of *full* (one point) where each token reads the share of layer weights that *density* gives it.

    NaN where it does not fit in memory.
    """
    from simulator.spec.density import Density

    expect("full", full, Prediction, "a Prediction, as Scenario.at gives one")
    expect("density", density, Density, "a Density, as parse_density makes one")
    if np.ndim(full.load.batch) or np.ndim(full.load.context):
        raise InputError(
            "full must be the forecast of one point, got one of a grid: a distribution belongs to each point"
        )
    batch, context = int(full.load.batch), int(full.load.context)
    shares = density.step_shares(context, batch)
    computed = density.shares(context).mean()  # each token computes with its own weights only
    seconds = full.seconds_per_step
    for timed in full.ops:
        if timed.op.part in ("attention", "ffn", "experts", "shared"):
            sparse = np.maximum(timed.memory_s * shares, timed.compute_s * computed)
            seconds = seconds + timed.op.count * (sparse - np.maximum(timed.memory_s, timed.compute_s))
    return DensityForecast(
        tokens_per_s=float(batch / seconds.mean()),
        percentiles={percent: float(np.percentile(batch / seconds, percent)) for percent in PERCENTILES},
        mean_share=float(shares.mean()),
    )
