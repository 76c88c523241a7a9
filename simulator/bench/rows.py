"""One line of a benchmark's result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def row(
    case: str, values: ArrayLike, ratios: ArrayLike, against: str, target: str, unit: str, limit: float | None = None
) -> dict[str, Any]:
    """Medians, and the spread of the rounds' ratios; *limit*: the target as a number, where programs compare with it."""
    return {
        "case": case,
        "value": float(np.median(values)),
        "unit": unit,
        "ratio": float(np.median(ratios)),
        "ratio_low": float(np.min(ratios)),
        "ratio_high": float(np.max(ratios)),
        "against": against,
        **({} if limit is None else {"limit": limit}),
        "target": target,
        "rounds": len(ratios),
    }
