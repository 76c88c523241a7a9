"""How far forecasts can be trusted, in sentences, as the score of the shipped measurements found it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from simulator.spec.library import SCORE
from simulator.spec.textfiles import read_json
from simulator.units import counted

FEW_ROWS = 5  # fewer say nothing of a class


@lru_cache(maxsize=1)
def shipped_score() -> Mapping[str, Any]:
    """What `roofcast score` found for the shipped set when the figures were last changed, without the rows."""
    return read_json(SCORE)


def accuracy(device_classes: Sequence[str]) -> list[str]:
    """How far off forecasts of all published measurements were, and those for devices of some classes."""
    found = shipped_score()
    everything, classes = found["summary"]["all"], found["by"]["device class"]
    simple = " and ".join(
        f"{what} by {everything[name]['median_abs_error']:.0%}"
        for name, what in (
            ("bandwidth_over_bytes", "datasheet bandwidth over bytes errs"),
            ("one_efficiency", "one efficiency for each class of device"),
        )
    )
    told = [f"Published measurements, {found['basis']}: {_told(everything)}; on the same rows {simple} in the median."]
    for name in dict.fromkeys(device_classes):
        told.append(f"Of devices of the class {name}: {_told_class(classes.get(name))}.")
    return told


def _told_class(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "none among them, so nothing is known of how far off such forecasts are"
    n = found["n_rows"]
    return _told(found) if n >= FEW_ROWS else f"{counted(n, 'measurement')}, too few to tell"


def _told(found: Mapping[str, Any]) -> str:
    return (
        f"{counted(found['n_rows'], 'measurement')}, median error {found['median_abs_error']:.1%}, nine in ten within "
        f"{found['p90_abs_error']:.0%}; the 80 % interval holds {found['held']:.0%} of them, the 95 % interval {found['held_95']:.0%}"
    )
