"""How likely it is that a forecast reaches what is asked, from its interval.

The logarithm of what is measured over what is forecast is taken as normal up to the ends of the 80 % interval, and from there as
wide as that of 95 % says: the same distribution that `interval.at_coverage` reads an interval of any other probability from.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from simulator.forecast.interval import PROMISED, WIDE
from simulator.forecast.prediction import Prediction
from simulator.forecast.request import RequestForecast

DISTRIBUTION = "log-normal about the forecast, its widths those of the 80 % and the 95 % interval"
_NORMAL = NormalDist()
_Z80, _Z95 = (_NORMAL.inv_cdf((1 + each) / 2) for each in (PROMISED, WIDE))


def chance_of(room: float, factor_80: float, factor_95: float) -> float:
    """The chance that something turns out worse by less than a factor of *room* than it is forecast.

    Args:
        room: forecast over goal of a rate, or goal over forecast of a time; below 1 the goal is missed by the forecast.
        factor_80, factor_95: by which the true value may differ with those probabilities.
    """
    if not room > 0:
        return 0.0
    z = _z_of(abs(math.log(room)), math.log(factor_80), math.log(factor_95))
    return _NORMAL.cdf(z if room >= 1 else -z)


def _z_of(distance: float, width_80: float, width_95: float) -> float:
    """Standard deviations for a distance between logarithms: piecewise linear between the widths of both intervals."""
    if not distance:
        return 0.0
    if distance <= width_80:
        return _Z80 * distance / width_80
    if distance > width_95 or width_95 <= width_80:
        return _Z95 * distance / width_95 if width_95 else math.inf
    return _Z80 + (_Z95 - _Z80) * (distance - width_80) / (width_95 - width_80)


def chance_of_rate(point: Prediction, tokens_per_s: float) -> float | None:
    """The chance that a step of a single point gives so many tokens per second of all sequences together.

    None where the forecast is an upper bound, of which no chance is known; 0 where it does not fit, or above the ceiling.
    """
    if not point.fits or tokens_per_s > float(point.tokens_per_s_ceiling):
        return 0.0
    room = float(point.tokens_per_s) / tokens_per_s
    if point.is_upper_bound:
        return None if room >= 1 else 0.0
    side = 0 if room >= 1 else 1  # by how much it may be slower, or faster
    return chance_of(room, *(float(point.factors(coverage)[side]) for coverage in (PROMISED, WIDE)))


def chance_of_first(request: RequestForecast, seconds: float) -> float:
    """The chance that the first token is there after so many seconds; 0 where the request does not fit."""
    if not request.reading.fits:
        return 0.0
    widths = (math.exp(request.reading.spread(coverage)) for coverage in (PROMISED, WIDE))
    return chance_of(seconds / request.seconds_to_first, *widths)
