"""How wide intervals have to be: quantiles of left-out errors, by group of alike forecasts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from simulator.calibration.observations import Observation
from simulator.spec.spread import COVERAGES, LEAST_ROWS, groups_of


def spreads(observed: Sequence[Observation], errors: np.ndarray) -> list[dict]:
    """For each group of forecasts, the left-out errors (logarithms) that COVERAGES of its measurements stay within.

    Conformal prediction by group: of n measurements the quantile is taken among n + 1, so that it holds for one more.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(observed):
        for group in groups_of(each.place, each.batch, each.is_prompt):
            members[group].append(index)
    found = []
    for group, rows in sorted(members.items()):
        devices = {observed[row].device for row in rows}
        if len(rows) >= LEAST_ROWS:
            within = [_quantile(np.abs(errors[rows]), coverage) for coverage in COVERAGES]
            found.append({"group": group, "rows": len(rows), "devices": len(devices), "within": within})
    return found


def _quantile(errors: np.ndarray, coverage: float) -> float:
    ordered = np.sort(errors)
    place = min(ordered.size - 1, int(np.ceil(coverage * (ordered.size + 1))) - 1)
    return float(f"{ordered[place]:.3g}")
