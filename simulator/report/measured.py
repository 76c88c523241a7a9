"""Measurements to be shown beside forecasts, from any file that roofcast reads them from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One measured decode with its forecast. Rates are tokens per second of all sequences together."""

    id: str
    model: str
    hardware: str
    weights: str
    batch: int
    context: int
    threads: int | None
    routing: str  # "uniform" where the file does not say
    sparsity: str | None
    tokens_per_s: float
    tokens_per_s_low: (
        float  # ends of the error bar: a standard deviation either way; both the rate where it is not known
    )
    tokens_per_s_high: float
    forecast: float
    forecast_low: float  # the 80 % interval
    forecast_high: float

    @property
    def error(self) -> float:
        """Forecast over measurement, minus 1."""
        return self.forecast / self.tokens_per_s - 1
