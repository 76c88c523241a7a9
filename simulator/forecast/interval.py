"""How wide intervals are.

Of kernels that were fitted to published measurements: as far off as forecasts of the same kind were, on devices and of models that
the fit had not seen (`spec/spread.py`). Otherwise: each figure's own doubt, weighed by the share of the time that rests on it; those
widths are by provenance, and SPREAD is the one place to change them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from simulator.spec.factors import Place
from simulator.spec.figure import BY_DEFINITION, Figure
from simulator.spec.hardware import Hardware
from simulator.spec.runtime import MODEL_SPREAD
from simulator.spec.spread import within
from simulator.units import counted

# Standard deviation of the logarithm. `measured`: boards and runs of one kind differ by some per cent (five Pi 5 boards:
# 4.5 to 5.55 tokens/s for one model, 8 %). `datasheet`: taken as a sustained rate. `estimated`: published decode rates of
# one device class scatter around their best common efficiency by 7 to 49 % (median).
SPREAD = {"measured": 0.06, "datasheet": 0.12, "fitted": 0.12, "estimated": 0.20}
# The share of experts that a batch really touches: 2 to 24 % below uniform (MoE-CAP).
ROUTING_SPREAD = 0.08
PROMISED = 0.8  # share of all measurements that the interval is made to hold
WIDE = 0.95  # the wider one
COVERAGES = (0.5, 0.99)  # the least and the most that may be asked instead
UNLIKELY = 0.05  # chance of so few held, were it as wide as that
Z80, Z95 = (
    1.2816,
    1.96,
)  # a normal variable lies within so many standard deviations with 80 %, and with 95 % probability


def expected_spread(figure: Figure) -> float:
    """Standard deviation of the logarithm of a figure; 0 for one that holds by definition.

    One that was timed repeatedly on the device itself has its own.
    """
    if figure.known_spread is not None:
        return figure.known_spread
    return 0.0 if figure.source == BY_DEFINITION else SPREAD[figure.provenance]


# The same as Z80 of Student's t, by degrees of freedom: of a spread that is itself known from few values.
T80 = {1: 3.0777, 2: 1.8856, 3: 1.6377, 4: 1.5332, 5: 1.4759, 6: 1.4398, 8: 1.3968, 10: 1.3722, 15: 1.3406, 30: 1.3104}


@dataclass(frozen=True)
class Unrest:
    """How decodes of the same models scattered while a device was profiled."""

    spread: float = 0.0  # standard deviation of the logarithm
    count: int = 1  # timings that it is known from, at different moments

    @property
    def variance(self) -> float:
        """Of one more decode beside their mean: s^2 (1 + 1 / n), wider by Student's t over the normal quantile.

        That is the prediction interval for a single further observation (Hahn and Meeker, Statistical Intervals, 1991). A decode
        that lasts longer than those of a profile averages over more moments and scatters less: this errs to the safe side.
        """
        freedom = max(1, self.count - 1)
        known = sorted(T80, reverse=True)
        t80 = np.interp(1 / freedom, [0.0, *(1 / each for each in known)], [Z80, *(T80[each] for each in known)])
        return float((self.spread * t80 / Z80) ** 2 * (1 + 1 / self.count))

    @property
    def mean_variance(self) -> float:
        """Of their mean: s^2 / n."""
        return self.spread**2 / self.count


def unrest_of(hardware: Hardware, threads: int | None) -> Unrest:
    """What the reference models of a profile tell, at the nearest number of threads; none where a file has no such decodes.

    They are whole decodes, timed again and again: what memory, caches and processor gave from moment to moment is all in them.
    """
    by_threads = hardware.engine.reference_us if hardware.engine else {}
    nearest = min(by_threads, key=lambda count: abs(count - (threads or hardware.threads or 1)), default=None)
    figures = [each for each in by_threads[nearest].values() if each.known_spread is not None] if nearest else []
    if not figures:
        return Unrest()
    spread = math.sqrt(math.fsum(figure.known_spread**2 for figure in figures) / len(figures))
    return Unrest(spread, min(figure.count or 1 for figure in figures))


class Evidence(NamedTuple):
    """The published measurements that an interval was made from."""

    n_rows: int
    n_devices: int
    group: str  # what they have in common, in words: "consumer GPUs, one sequence"


def own_evidence(prediction: Any) -> Figure | None:
    """How far off forecasts of such a case are on the device itself, where its owner's measurements tell."""
    learned = prediction.learned
    if prediction.load.is_prompt:
        return None  # it tells of decoding
    return learned.error(prediction.model.name, int(np.max(prediction.load.batch)) == 1) if learned else None


def evidence(prediction: Any) -> tuple[Evidence, ...]:
    """The published measurements of such a case as a Prediction is of, for each part of the machine that decodes.

    None where the figures' provenance decides alone, or what was measured on the device itself.
    """
    if own_evidence(prediction):
        return ()
    load = prediction.load
    used = {timed.op.place for timed in prediction.ops if timed.op.message is None}
    kernels = [prediction.runtime.backend(prediction.hardware.parts[place]).kernels for place in sorted(used)]
    which = int(np.max(load.batch)), load.is_prompt
    found = [within(each.place, *which) for each in kernels if each is not None]
    return tuple(Evidence(each.rows, each.devices, each.group) for each in found)


LEARNED_FLOOR = 0.05  # the least width of an 80 % interval, however well what was measured on the device itself is met


def fitted_factors(
    place: Place,
    batch: Any,
    unrest: Unrest,
    learned: tuple[Figure | None, Figure | None] = (None, None),
    of_prompt: bool = False,
) -> tuple[Any, Any]:
    """The factors of the 80 % and the 95 % interval of a forecast by fitted kernels, for one sequence or several, or a prompt.

    *learned*: how far off forecasts for one and for several are by what was measured on the device itself, where that is known.
    """
    is_one = np.asarray(batch) == 1
    found = []
    for place_of, coverage in enumerate((PROMISED, WIDE)):
        of_moment = NormalDist().inv_cdf((1 + coverage) / 2) ** 2 * unrest.variance
        widths = [
            _learned_width(error, coverage)
            if error
            else math.sqrt(within(place, n, of_prompt).errors[place_of] ** 2 + of_moment)
            for n, error in zip((1, 2), learned, strict=True)
        ]
        found.append(np.exp(np.where(is_one, *widths))[()])
    return found[0], found[1]


def _learned_width(error: Figure, coverage: float) -> float:
    """Of the interval of one more measurement beside those that have such a standard deviation; they hold the device's unrest."""
    assert error.count is not None  # as the file's rules say
    sure = math.sqrt(Unrest(error.value, error.count).variance) * NormalDist().inv_cdf((1 + coverage) / 2)
    return max(sure, LEARNED_FLOOR * NormalDist().inv_cdf((1 + coverage) / 2) / Z80)


def factor(variances, model_spread: float = MODEL_SPREAD) -> np.ndarray:
    """exp(1.28 sigma), sigma the root of the summed *variances* of ln(seconds): the interval is seconds times / by it."""
    return np.exp(Z80 * np.sqrt(model_spread**2 + variances))


def at_coverage(coverage: float, factor_80: Any, factor_95: Any) -> Any:
    """The factor of the interval that holds with another probability: errors are normal up to 80 % and from there to 95 %."""
    normal = NormalDist()
    z, z80, z95 = (normal.inv_cdf((1 + each) / 2) for each in (coverage, PROMISED, WIDE))
    if coverage == PROMISED:
        return factor_80
    if coverage < PROMISED:
        return factor_80 ** (z / z80)
    if coverage > WIDE:
        return factor_95 ** (z / z95)
    share = (z - z80) / (z95 - z80)
    return factor_80 ** (1 - share) * factor_95**share


def with_waits(factor_80: Any, seconds: Any, wait: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Factors by which *seconds* may be slower, and faster, where some of them are a `wait` for storage; each of 80 % and of 95 %.

    The rest of the step is as sure as it is without, and both err together at worst.
    """
    rest = seconds - wait.likely_s
    slower, faster = (rest * factor_80 + wait.most_s) / seconds, seconds / (rest / factor_80 + wait.least_s)
    return (slower, widened(slower)), (faster, widened(faster))


def widened(factor_80: Any) -> Any:
    """The factor of the 95 % interval where errors are taken as normal."""
    return factor_80 ** (NormalDist().inv_cdf((1 + WIDE) / 2) / Z80)


def told_held(n_held: int, n: int, what: str = "decode") -> str:
    """What share of *n* measurements the interval held, and whether those are too few to be chance."""
    verdict = ": it is too narrow here" if _chance_of_most(n_held, n) < UNLIKELY else ""
    return f"the 80 % interval held {n_held / n:.0%} of {counted(n, what)}{verdict}"


def _chance_of_most(n_held: int, n: int) -> float:
    """That at most *n_held* of *n* are held where each is with the probability that is promised."""

    def log_ways(k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    yes, no = math.log(PROMISED), math.log(1 - PROMISED)
    return math.fsum(math.exp(log_ways(k) + k * yes + (n - k) * no) for k in range(n_held + 1))
