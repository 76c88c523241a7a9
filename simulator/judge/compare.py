"""Forecasts beside decodes that were timed here: how far off, whether the interval held, and which part was mistimed.

A forecast uses the hardware file alone. Beside it stands the same forecast times the machine's drift: how much faster or slower
two small reference models were decoded just before and after each burst than when the machine was profiled. What that is worth
is judged in each run.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.errors import InputError
from simulator.forecast import interval
from simulator.forecast.prediction import Prediction
from simulator.importers.records import DOES_NOT_FIT, Skipped
from simulator.judge.case_forecast import NO_DRIVE, forecast_case, has_drive, other_kind
from simulator.judge.matrix import DENSE, MIXED, SHALLOW, Case
from simulator.judge.measure import OUTSIDE, Look, Measurement, loaded_together
from simulator.judge.restless import Correction, Flips, find_flips, judge
from simulator.probe.clock import spread_of
from simulator.probe.reference import BATCHES
from simulator.spec.hardware import Hardware
from simulator.spec.runtime import Runtime, load_runtime
from simulator.units import MICRO, format_gib

HALVED = 0.5  # of its advantage at batch 1
BLAMED = 0.5  # share of all parts' errors that one of them has to account for


@dataclass(frozen=True)
class Row:
    """One case: measured, forecast from the file, and how much slower the machine was in each round than in its file."""

    measurement: Measurement
    forecast: Prediction
    drifts: tuple[float, ...]  # seconds then over seconds when profiled

    @property
    def case(self) -> Case:
        """What was decoded."""
        return self.measurement.case

    @property
    def kind(self) -> str:
        """What sort of decode it was: the model, and what is particular about it."""
        case = self.case
        if not case.is_plain:
            return other_kind(case)
        if case.sparsity:
            return "zero inputs left out"
        if case.context > SHALLOW:
            return f"{case.model.name}, deep cache"
        return case.model.name

    @property
    def error(self) -> float:
        """Forecast over measured, minus 1."""
        return float(self.forecast.tokens_per_s) / self.measurement.tokens_per_s - 1

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """Forecast without drift over measured rate, of each round."""
        forecast = float(self.forecast.seconds_per_step)
        return tuple(
            seconds / (forecast * drift) for seconds, drift in zip(self.measurement.seconds, self.drifts, strict=True)
        )

    @property
    def corrected_error(self) -> float:
        """The error with the machine's drift taken out: the median over the rounds."""
        return statistics.median(self.ratios) - 1

    def error_of(self, corrected: bool) -> float:
        """One of the two errors."""
        return self.corrected_error if corrected else self.error

    @property
    def held(self) -> bool:
        """Whether the interval contains what was measured."""
        rate = self.measurement.tokens_per_s
        return bool(self.forecast.tokens_per_s_low <= rate <= self.forecast.tokens_per_s_high)

    @property
    def corrected_held(self) -> bool:
        """Whether the interval contains what was measured, without the part of it that stands for the machine's drift."""
        low = 1 / self.undrifting_factor
        return low <= 1 + self.corrected_error <= 1 / low

    @property
    def undrifting_factor(self) -> float:
        """How far the interval reaches either way for the timing model, for what changed between two looks, and for what they are
        compared with: the mean of a profile's."""
        looks = spread_of([math.exp(look.change) for look in self.measurement.looks]) / math.sqrt(2)
        variances = looks**2 + self.forecast.unrest.mean_variance
        return float(interval.factor(variances, self.forecast.runtime.model_spread))

    def parts(self, corrected: bool) -> dict[str, tuple[float, float]]:
        """Seconds of each part of the model and outside its kernels, as (measured, forecast).

        Parts were timed one by one, at another moment than the step: they have the shares of then and make up the step.
        *corrected*: forecast for the machine as it was just then.
        """
        timed_s = sum(self.measurement.parts.values())
        if not timed_s:
            return {}
        step_s = statistics.median(self.measurement.seconds)
        drift = step_s / ((1 + self.error_of(corrected)) * float(self.forecast.seconds_per_step))
        measured = {part: seconds * step_s / timed_s for part, seconds in self.measurement.parts.items()}
        guessed = defaultdict(float, {OUTSIDE: float(self.forecast.step_overhead_s) * drift})
        for timed in self.forecast.ops:
            guessed[timed.op.part] += timed.op.count * float(timed.seconds) * drift
        return {part: (measured.get(part, 0.0), guessed[part]) for part in {**measured, **guessed}}

    def worst_part(self, corrected: bool) -> str | None:
        """The part that accounts for more than half of the error, in its direction; None where several share in it."""
        gaps = {part: measured - forecast for part, (measured, forecast) in self.parts(corrected).items()}
        error, blamed_s = sum(gaps.values()), BLAMED * sum(abs(gap) for gap in gaps.values())
        return next((part for part, gap in gaps.items() if abs(gap) > blamed_s and gap * error > 0), None)


@dataclass(frozen=True)
class Comparison:
    """All cases of a run, and those that were left out."""

    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...] = ()

    def only(self, kind: str) -> Comparison:
        """The cases of one kind."""
        return Comparison(tuple(row for row in self.rows if row.kind == kind))

    @cached_property
    def correction(self) -> Correction:
        """Whether the machine's drift is taken out of the figures of this run."""
        groups = [loaded_together(row.case) for row in self.rows]
        return judge(self.errors(False), self.errors(True), groups)

    @cached_property
    def flips(self) -> tuple[Flips, ...]:
        """What the machine did at two speeds by turns."""
        return find_flips([row.measurement for row in self.rows])

    @property
    def told_held(self) -> str:
        """What share of the decodes the interval held, in words."""
        return interval.told_held(sum(row.held for row in self.rows), len(self.rows))

    def errors(self, corrected: bool) -> list[float]:
        """Of every case."""
        return [row.error_of(corrected) for row in self.rows]

    def median_error(self, corrected: bool) -> float:
        """Half of the cases are at most so far off."""
        return statistics.median(abs(each) for each in self.errors(corrected))

    def tail_error(self, corrected: bool) -> float:
        """Nine of ten cases are at most so far off."""
        return float(np.percentile([abs(each) for each in self.errors(corrected)], 90))

    def bias(self, corrected: bool) -> float:
        """The median error with its sign: above 0 is too fast."""
        return statistics.median(self.errors(corrected))

    def held(self, corrected: bool) -> float:
        """Share of the cases in whose 80 % interval the measurement lies."""
        return statistics.fmean(row.corrected_held if corrected else row.held for row in self.rows)

    @property
    def worst(self) -> list[Row]:
        """By error, without the machine's drift where that is corrected; the worst first."""
        return sorted(self.rows, key=lambda row: -abs(math.log1p(row.error_of(self.correction.is_used))))


def compare(hardware: Hardware, measurements: Sequence[Measurement], skipped: Sequence[Skipped] = ()) -> Comparison:
    """Every measurement beside its forecast; those of what should not fit are left out, since they have none."""
    runtime = load_runtime("roofcast")
    known = has_drive(hardware)
    rows = [_row(hardware, each, runtime) for each in measurements if known or not each.case.on_disk]
    driveless = [Skipped(each.case.id, NO_DRIVE) for each in measurements if each.case.on_disk and not known]
    fitting = [row for row in rows if row.forecast.fits]
    if rows and not fitting:
        limit = format_gib(rows[0].forecast.memory_limit_bytes)
        raise InputError(
            f"{hardware.name}: no decode that ran should fit in the {limit} that can be had by its file: correct its capacity"
        )
    unfit = [Skipped(row.case.id, DOES_NOT_FIT) for row in rows if not row.forecast.fits]
    return Comparison(tuple(fitting), (*skipped, *driveless, *unfit))


def _row(hardware: Hardware, measurement: Measurement, runtime: Runtime) -> Row:
    forecast = forecast_case(hardware, measurement.case, runtime)
    return Row(measurement, forecast, tuple(drift(forecast, look) for look in measurement.looks))


# ---- drift ----


def drift(forecast: Prediction, look: Look) -> float:
    """How much longer than when it was profiled the machine took for such a step; 1 where nothing is known of that.

    A large model goes as the large reference model does: as with one token where memory takes its time, as with 16 where
    arithmetic does. A model that the caches hold goes as the small one, between its two batches by the logarithm.
    """
    engine = forecast.hardware.engine
    # A file made before the models' sizes were noted says nothing of those that are decoded now.
    then = engine.reference_us.get(forecast.threads, {}) if engine and engine.cache_mib else {}
    if any(name not in then for name in look.reference_s):
        return 1.0
    slower = {name: math.log(seconds / (then[name].value * MICRO)) for name, seconds in look.reference_s.items()}
    few, many = BATCHES
    if float(forecast.working_set) <= forecast.hardware.last_cache_bytes(forecast.threads):
        share = math.log(min(max(int(forecast.load.batch), few), many) / few) / math.log(many / few)
        return math.exp((1 - share) * slower[f"small {few}"] + share * slower[f"small {many}"])
    parts = forecast.parts_given_memory
    share = float(parts["memory"]) / float(sum(parts.values()))
    return math.exp(share * slower[f"large {few}"] + (1 - share) * slower[f"large {many}"])


# ---- the batch at which experts lose their advantage ----


@dataclass(frozen=True)
class Crossing:
    """The batch at which a mixture of experts keeps half of its advantage over a dense model of as many bytes."""

    weights: str
    measured: float | None  # None: beyond the batches that were run
    forecast: float | None

    @property
    def agrees(self) -> bool:
        """Whether the two are within a factor of 2."""
        if self.measured is None or self.forecast is None:
            return self.measured == self.forecast
        return 0.5 <= self.measured / self.forecast <= 2


def crossings(comparison: Comparison) -> list[Crossing]:
    """Of each format in which both models were run at several batches."""
    found, corrected = [], comparison.correction.is_used

    def forecast_rate(row: Row) -> float:
        return _measured_rate(row) * (1 + row.error_of(corrected))

    for weights in dict.fromkeys(row.case.weights for row in comparison.rows):
        plain, mixed = (_by_batch(comparison, weights, name) for name in (DENSE, MIXED))
        batches = sorted(plain.keys() & mixed.keys())
        if len(batches) >= 4:
            measured, forecast = (
                crossing(batches, [rate(mixed[b]) / rate(plain[b]) for b in batches])
                for rate in (_measured_rate, forecast_rate)
            )
            found.append(Crossing(weights, measured, forecast))
    return found


def _by_batch(comparison: Comparison, weights: str, model: str) -> dict[int, Row]:
    rows = [row for row in comparison.rows if row.case.weights == weights and row.case.model.name == model]
    if not rows:
        return {}
    most = max(row.case.threads for row in rows)
    shallow = min(row.case.context for row in rows)
    return {
        row.case.batch: row
        for row in rows
        if row.case.is_plain
        and (row.case.threads, row.case.context, row.case.routing, row.case.sparsity)
        == (most, shallow, "uniform", None)
    }


def _measured_rate(row: Row) -> float:
    """Tokens per second of a model with a byte of weights."""
    return row.forecast.weight_bytes * row.measurement.tokens_per_s


def crossing(batches: Sequence[int], ratios: Sequence[float]) -> float | None:
    """The batch at which a ratio has fallen to half of its value at the first one, interpolated over the logarithm."""
    half = HALVED * ratios[0]
    for number in range(1, len(batches)):
        if ratios[number] <= half:
            share = (ratios[number - 1] - half) / (ratios[number - 1] - ratios[number])
            return float(batches[number - 1] * (batches[number] / batches[number - 1]) ** share)
    return None
