"""How wide the 80 % interval is: each figure's own doubt, weighed by the share of the time that rests on it.

The widths are first values by provenance, not yet calibrated against measurements; SPREAD is the one place to do that.
"""

from __future__ import annotations

import numpy as np

from simulator.hardware import BY_DEFINITION, Figure

# Standard deviation of the logarithm. `measured`: boards and runs of one kind differ by some per cent (five Pi 5 boards:
# 4.5 to 5.55 tokens/s for one model, 8 %). `datasheet`: taken as a sustained rate. `estimated`: published decode rates of
# one device class scatter around their best common efficiency by 7 to 49 % (median).
SPREAD = {"measured": 0.06, "datasheet": 0.12, "estimated": 0.20}
# What the model itself leaves out, whatever the figures: kernels' shapes, clocks, other load.
MODEL_SPREAD = 0.05
# The share of experts that a batch really touches: 2 to 24 % below uniform (MoE-CAP).
ROUTING_SPREAD = 0.08
Z80 = 1.2816  # a normal variable lies within this many standard deviations with 80 % probability


def spread_of(figure: Figure) -> float:
    """Standard deviation of the logarithm of a figure; 0 for one that holds by definition.

    One that was timed repeatedly on the device itself has its own.
    """
    if figure.spread is not None:
        return figure.spread
    return 0.0 if figure.source == BY_DEFINITION else SPREAD[figure.provenance]


def factor(variances, model_spread: float = MODEL_SPREAD) -> np.ndarray:
    """exp(1.28 sigma), sigma the root of the summed *variances* of ln(seconds): the interval is seconds times / by it."""
    return np.exp(Z80 * np.sqrt(model_spread**2 + variances))
