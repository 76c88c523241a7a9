"""How restless a machine was while decodes were timed on it: two states, drift, and whether taking that out helped.

Nothing here knows how a forecast is made: it is told errors and timings.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from simulator.judge.measure import Look, Measurement
from simulator.probe.states import States, find_states

LEAST_JUDGED = 3  # decodes in each half


# ---- whether a correction for drift helps ----


@dataclass(frozen=True)
class Correction:
    """Whether the machine's drift is taken out of a run's forecasts, and why or why not."""

    is_used: bool
    why: str


def judge(errors: Sequence[float], corrected: Sequence[float], groups: Sequence[Hashable]) -> Correction:
    """Whether errors (forecast over measured, minus 1) are smaller once drift is out of them.

    Every second one of the *groups* of decodes that were timed together makes up one half of the run. The correction is used
    where it brings down the median error of both: so it is judged by other decodes, at other moments, than it is used for.
    """
    if all(math.isclose(1 + one, 1 + two) for one, two in zip(errors, corrected, strict=True)):
        return Correction(False, "nothing is known of a drift since the machine was profiled")
    order = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    halves = [[place for place, group in enumerate(groups) if order[group] % 2 == half] for half in (0, 1)]
    if min(map(len, halves)) < LEAST_JUDGED:
        return Correction(False, "drift was not corrected: these decodes are too few to show whether that helps")
    pairs = [[_median(each, half) for each in (errors, corrected)] for half in halves]
    told = " and ".join(f"from {before:.1%} to {after:.1%}" for before, after in pairs)
    is_used = all(after < before for before, after in pairs)
    if is_used:
        return Correction(True, f"taking drift out helps: the median error of both halves of the decodes falls, {told}")
    return Correction(
        False, f"drift was not corrected: the median error does not fall in both halves of the decodes ({told})"
    )


def _median(errors: Sequence[float], places: Sequence[int]) -> float:
    return statistics.median(abs(errors[place]) for place in places)


# ---- states ----

READING = "reading memory"


@dataclass(frozen=True)
class Flips:
    """One piece of work that is done at two speeds by turns."""

    what: str
    threads: int
    unit: str  # of the speeds: "B/s" or "steps/s"
    states: States


def find_flips(measurements: Sequence[Measurement]) -> tuple[Flips, ...]:
    """What the looks at the machine find in two states, reading memory first; looks are those with the most common threads."""
    counts = Counter(each.case.threads for each in measurements)
    if not counts:
        return ()
    threads = counts.most_common(1)[0][0]
    found = [look for each in measurements if each.case.threads == threads for look in each.after]
    looks = sorted(found, key=lambda look: look.at_s)
    series = {READING: ("B/s", [look.memory_bytes_per_s for look in looks])}
    for name in dict.fromkeys(name for look in looks for name in look.reference_s):
        series[f"decoding the reference model {name}"] = ("steps/s", _steps_per_s(looks, name))
    states = {what: (unit, find_states(values)) for what, (unit, values) in series.items()}
    return tuple(Flips(what, threads, unit, each) for what, (unit, each) in states.items() if each is not None)


def _steps_per_s(looks: Sequence[Look], name: str) -> list[float]:
    return [1 / look.reference_s[name] for look in looks if name in look.reference_s]
