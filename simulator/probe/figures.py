"""Figures of a hardware file: values with where they come from, how they were had, and how they scatter."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from simulator.probe.clock import Sample, difference_of, spread_fields, spread_of, typical_of

SOURCE = "profile"  # the key under which a file names where its figures come from
LEAST = 1e-4  # of any figure, in the unit of its field


def rate(sample: Sample, unit: float, how: str = "", amount: float | None = None) -> dict[str, Any]:
    """A figure of so much a second, in a unit."""
    amount = (sample.bytes or sample.flops) if amount is None else amount
    best, median = amount / min(sample.seconds) / unit, amount / sample.median_s / unit
    return measured(amount / sample.typical_s / unit, how, sample.spread, sample.count, median) | {
        "best": rounded(best)
    }


def ratio(shares: Sequence[float]) -> dict[str, Any]:
    """A figure of how many times as much one thing is as another."""
    return measured(typical_of(shares), "", spread_of(shares), len(shares), statistics.median(shares))


def seconds_in(sample: Sample, unit: float, how: str = "") -> dict[str, Any]:
    """A figure of the seconds that something takes, in a unit."""
    return measured(sample.typical_s / unit, how, sample.spread, sample.count, sample.median_s / unit)


def difference_in(sample: Sample, unit: float, how: str = "") -> dict[str, Any]:
    """A figure of the seconds that one thing takes more than another, in a unit."""
    value, spread = difference_of(sample)
    return measured(value / unit, how, spread, sample.count)


def measured(value: float, how: str, spread: float, count: int, median: float | None = None) -> dict[str, Any]:
    """A figure that was timed *count* times; nothing is said of how it was had where *how* is empty."""
    found = {"value": rounded(value), "provenance": "measured", "source": SOURCE}
    if how:
        found["how"] = how
    middle = {} if median is None else {"median": rounded(median)}
    return found | middle | spread_fields(spread, count)


def as_told(value: float, how: str) -> dict[str, Any]:
    """A figure that the system tells."""
    return {"value": rounded(value), "provenance": "datasheet", "source": SOURCE, "how": how}


def rounded(value: float) -> float:
    """Four digits. What a restless machine seems to do in no time at all still has to be a figure."""
    return float(f"{max(value, LEAST):.4g}")
