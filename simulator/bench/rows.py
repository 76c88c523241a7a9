"""One line of a benchmark's result."""

from __future__ import annotations

from typing import Any

import numpy as np


def row(case: str, values: np.ndarray, ratios: np.ndarray, against: str, target: str, unit: str) -> dict[str, Any]:
    """Medians, and the spread of the rounds' ratios."""
    return {
        "case": case,
        "value": float(np.median(values)),
        "unit": unit,
        "ratio": float(np.median(ratios)),
        "ratio_low": float(ratios.min()),
        "ratio_high": float(ratios.max()),
        "against": against,
        "target": target,
        "rounds": len(ratios),
    }
