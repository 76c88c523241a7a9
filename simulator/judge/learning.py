"""What a user's own measurements say of a runtime on their device: few multipliers of what is known of it from others'.

They are the most probable ones given the measurements and how much devices differ (`factors.OWN`): a maximum of the posterior, found
by Gauss-Newton steps over derivatives by small differences. Measured seconds scatter about the model by NOISE; beyond that a row
counts less and less. With one row little but the bandwidth moves; with many everything that they tell of does.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from simulator.errors import InputError
from simulator.forecast.conditions import runtime_of, scenario_of
from simulator.forecast.prediction import Prediction
from simulator.forecast.roofline import time_ops
from simulator.importers.records import DOES_NOT_FIT, Published, Skipped, Unusable
from simulator.judge.score import Fitted, shared_by
from simulator.spec.factors import Factor
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.spec.learned import KINDS, MOST, MOST_ERROR, Learned
from simulator.spec.own_figures import basis_of

NOISE = 0.05  # standard deviation of ln(measured seconds) about the model, beyond which a row counts less and less
MODEL_SPREAD = 0.08  # how much what a model takes differs beside that, all its rows alike
N_STEPS, N_REWEIGHTED = 12, 8
LEAST_SHARE = 0.005  # of a Gauss-Newton step: where kernels switch, times bend sharply, and a long one overshoots
N_PARTS = 200  # that rows are left out in, one by one up to so many
STEP = 0.01  # of a logarithm, for derivatives
TELLS = 0.02  # a row tells of a factor if its time changes by so much of what the factor does
NOT_FITTED = "of a runtime that rests on the device's own figures: roofcast profile measures those"
FORMATS_UNSAID = "in formats that nobody says, from which nothing is learned: give --weights"
SEVERAL = "of several devices: what one of them does is learned"


@dataclass(frozen=True)
class Lesson:
    """Measurements under one scenario, and its forecasts with nothing of the device's own."""

    rows: tuple[Published, ...]
    points: Prediction

    @property
    def key(self) -> tuple[str, str]:
        """The runtime, and the API that it ran on."""
        return self.points.runtime.name, self.points.backend.kernels.place.api

    def factors(self) -> dict[str, Factor]:
        """Those of the device's own that their seconds rest on."""
        return self._timed({})[2]

    def seconds(self, own: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of their operations, and of their steps beside those, by factors of the device's own (logarithms)."""
        return self._timed(own)[:2]

    def told_by(self, names: Iterable[str]) -> Iterator[str]:
        """The factors without which their seconds would be others."""
        now = sum(self.seconds({}))
        for name in names:
            if np.any(np.abs(np.log(sum(self.seconds({name: STEP})) / now)) > TELLS / 2 * STEP):
                yield name

    def _timed(self, own: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray, dict[str, Factor]]:
        points = self.points
        kernels = points.backend.kernels.with_own(own)
        backend = points.backend.model_copy(update={"_kernels": kernels})
        ops = time_ops([timed.op for timed in points.ops], points.hardware, backend, points.threads, points.working_set)
        seconds = sum(timed.op.count * timed.seconds for timed in ops)
        ops_s, step_s = (
            np.broadcast_to(each, len(self.rows)) for each in (seconds, kernels.overhead_s(points.load.batch))
        )
        return ops_s, step_s, kernels.own_factors()


def lessons_of(
    measured: Sequence[Published], device: Hardware | None, fitted: Fitted | None = None
) -> tuple[list[Lesson], list[Skipped]]:
    """Those measurements that something can be learned from, by scenario, and the others with the reason."""
    groups: dict[Hashable, list[Published]] = defaultdict(list)
    for each in measured:
        groups[shared_by(each, device)].append(each)
    lessons: list[Lesson] = []
    skipped: list[Skipped] = []
    for rows in groups.values():
        try:
            lesson, unfit = _lesson(rows, device, fitted)
        except (InputError, Unusable) as reason:
            skipped += [Skipped(each.id, str(reason), each.origin) for each in rows]
            continue
        lessons += [lesson] if lesson else []
        skipped += [Skipped(each.id, DOES_NOT_FIT, each.origin) for each in unfit]
    return lessons, skipped


def _lesson(
    rows: Sequence[Published], device: Hardware | None, fitted: Fitted | None
) -> tuple[Lesson | None, list[Published]]:
    first = rows[0]
    hardware, runtime = first.hardware or device, runtime_of(first)
    if hardware is None:
        raise Unusable("the device is not stated")
    runtime = fitted(runtime, hardware.name, first.loaded.model.name) if fitted else runtime
    known = replace(first, hardware=hardware.model_copy(update={"learned": {}}))
    base = scenario_of(known, None, runtime)
    if base.hardware.n_devices > 1:
        raise Unusable(SEVERAL)
    if rows[0].weights is None and rows[0].loaded.weights is None:
        raise Unusable(FORMATS_UNSAID)

    def at(some: Sequence[Published]) -> Prediction:
        return base.at(np.array([each.batch for each in some]), np.array([each.context for each in some]))

    points = at(rows)
    if points.backend.kernels is None:
        raise Unusable(NOT_FITTED)
    fits = np.broadcast_to(points.fits, len(rows))
    fitting = [each for each, is_fitting in zip(rows, fits, strict=True) if is_fitting]
    unfit = [each for each, is_fitting in zip(rows, fits, strict=True) if not is_fitting]
    if not fitting:
        return None, unfit
    return Lesson(tuple(fitting), at(fitting) if unfit else points), unfit


@dataclass(frozen=True)
class Linear:
    """Seconds near the most probable multipliers: how far off they are there, and how they change with each of them."""

    values: np.ndarray  # logarithms of factors, then of models
    off: np.ndarray  # ln(measured / forecast seconds) of each row at these values
    changes: np.ndarray  # (row, value): of ln(forecast seconds)
    spreads: np.ndarray  # of each value before any measurement

    def solve(self, kept: np.ndarray) -> np.ndarray:
        """The most probable values by the rows that *kept* marks with 1."""
        values = self.values
        for _ in range(N_REWEIGHTED):
            off = self._off(values)
            weights = self._weights(off, kept)
            # The prior's medians are 1, whose logarithms are 0.
            slope = self.changes.T @ (weights * off) - values / self.spreads**2
            values = values + np.linalg.solve(self._bend(weights), slope)
        return values

    def loss(self) -> float:
        """What the values minimise: the less the more probable they are."""
        return float(np.sum(np.sqrt(1 + (self.off / NOISE) ** 2)) + np.sum((self.values / self.spreads) ** 2) / 2)

    def error_without(self, left_out: np.ndarray) -> np.ndarray:
        """How far off the rows that *left_out* marks are by values from all others."""
        return self._off(self.solve(1.0 - left_out))[left_out > 0]

    def deviations(self) -> np.ndarray:
        """How well each value is known: its standard deviation."""
        return np.sqrt(np.diag(np.linalg.inv(self._bend(self._weights(self.off, np.ones(self.off.size))))))

    def _off(self, values: np.ndarray) -> np.ndarray:
        return self.off - self.changes @ (values - self.values)

    @staticmethod
    def _weights(off: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return kept / np.sqrt(1 + (off / NOISE) ** 2) / NOISE**2

    def _bend(self, weights: np.ndarray) -> np.ndarray:
        return (self.changes * weights[:, None]).T @ self.changes + np.diag(1 / self.spreads**2)


@dataclass(frozen=True)
class Learning:
    """What is learned of one runtime on one API from some lessons."""

    lessons: tuple[Lesson, ...]

    @cached_property
    def rows(self) -> tuple[Published, ...]:
        """The measurements, lesson by lesson."""
        return tuple(each for lesson in self.lessons for each in lesson.rows)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Their models, each once."""
        return tuple(dict.fromkeys(self._models))

    @cached_property
    def _models(self) -> tuple[str, ...]:
        return tuple(each.loaded.model.name for each in self.rows)

    @cached_property
    def factors(self) -> dict[str, Factor]:
        """Every factor of the device's own that the time of some row tells of."""
        listed = {name: each for lesson in self.lessons for name, each in lesson.factors().items()}
        told = {name for lesson in self.lessons for name in lesson.told_by(lesson.factors())}
        return {name: each for name, each in listed.items() if name in told}

    @cached_property
    def before(self) -> np.ndarray:
        """ln(measured / forecast seconds) of each row with nothing learned."""
        return self._log_measured - np.log(sum(self._seconds(np.zeros(len(self.factors)))))

    @cached_property
    def left_out(self) -> np.ndarray:
        """The same of each row by what is learned from all others; of very many, a part at a time from all other parts."""
        found, part_of = np.empty(len(self.rows)), np.arange(len(self.rows)) % N_PARTS
        for part in np.unique(part_of):
            found[part_of == part] = self.fitted.error_without((part_of == part).astype(float))
        return found

    @cached_property
    def of_other_models(self) -> np.ndarray:
        """The same by what is learned from all rows of other models."""
        found = np.empty(len(self.rows))
        for model in self.models:
            of_it = np.array([each == model for each in self._models])
            found[of_it] = self.fitted.error_without(of_it.astype(float))
        return found

    @cached_property
    def fitted(self) -> Linear:
        """The most probable values, and what is near them."""
        at = self._linear(np.zeros(len(self.factors) + len(self.models)))
        for _ in range(N_STEPS):
            step, loss = at.solve(np.ones(len(self.rows))) - at.values, at.loss()
            if np.max(np.abs(step)) < STEP / 2:
                break
            share, nearer = 1.0, at
            while share > LEAST_SHARE and nearer.loss() >= loss:
                limit = math.log(MOST)
                nearer, share = self._linear(np.clip(at.values + share * step, -limit, limit)), share / 2
            if nearer.loss() >= loss:
                break
            at = nearer
        return at

    @cached_property
    def _log_measured(self) -> np.ndarray:
        return np.log([each.batch / each.tokens_per_s for each in self.rows])

    def _seconds(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = dict(zip(self.factors, logs.tolist(), strict=True))
        found = [lesson.seconds(own) for lesson in self.lessons]
        return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])

    def _linear(self, values: np.ndarray) -> Linear:
        n = len(self.factors)
        of_model = np.array([[float(each == model) for model in self.models] for each in self._models])
        scale = np.exp(of_model @ values[n:])

        def log_seconds(logs: np.ndarray) -> np.ndarray:
            ops_s, step_s = self._seconds(logs)
            return np.log(scale * ops_s + step_s)

        now = log_seconds(values[:n])
        by_factor = [(log_seconds(values[:n] + STEP * each) - now) / STEP for each in np.eye(n)]
        ops_s, step_s = self._seconds(values[:n])
        by_model = of_model * (scale * ops_s / (scale * ops_s + step_s))[:, None]
        spreads = [*(each.spread for each in self.factors.values()), *(MODEL_SPREAD for _ in self.models)]
        return Linear(values, self._log_measured - now, np.column_stack([*by_factor, by_model]), np.array(spreads))

    def learned(self, hardware: Hardware, source: str) -> Learned:
        """What goes into the file of the device; *source*: the measurements' file, and the day."""
        names = [*(name.removeprefix("own/") for name in self.factors), *self.models]
        tells = np.sum(np.abs(self.fitted.changes) > TELLS, axis=0)
        found = {
            name: _figure(math.exp(value), source, int(count), float(spread))
            for name, value, count, spread in zip(
                names, self.fitted.values, tells, self.fitted.deviations(), strict=True
            )
            if count
        }
        of_factors = {name: found[name] for name in names[: len(self.factors)] if name in found}
        return Learned.model_construct(
            api=self.lessons[0].key[1],
            source=source,
            basis=basis_of(hardware),
            multipliers=of_factors,
            models={name: found[name] for name in self.models if name in found},
            errors=self._errors(source),
        )

    def _errors(self, source: str) -> dict[str, Figure]:
        is_one = np.array([each.batch == 1 for each in self.rows])
        chosen: list[tuple[str, np.ndarray, Callable[[], np.ndarray]]] = [
            (KINDS[0], is_one, lambda: self.left_out),
            (KINDS[1], ~is_one, lambda: self.left_out),
        ]
        if len(self.models) > 1:  # else nothing is left where one is left out
            chosen += [
                (KINDS[2], is_one, lambda: self.of_other_models),
                (KINDS[3], ~is_one, lambda: self.of_other_models),
            ]
        return {
            kind: _figure(
                min(max(1e-4, float(np.sqrt(np.mean(errors()[rows] ** 2)))), MOST_ERROR), source, int(np.sum(rows))
            )
            for kind, rows, errors in chosen
            if np.any(rows)
        }


def _figure(value: float, source: str, count: int, spread: float | None = None) -> Figure:
    fields = {"value": float(f"{value:.4g}"), "provenance": "measured", "source": source, "count": count}
    return Figure.model_validate(fields | ({} if spread is None else {"spread": float(f"{spread:.2g}")}))


def learn(
    measured: Sequence[Published], device: Hardware | None, fitted: Fitted | None = None
) -> tuple[dict[tuple[str, str], Learning], list[Skipped]]:
    """What measurements on one device say, by runtime and API, and those that say nothing.

    *fitted* changes a runtime for the device and the model that are judged, as in `score`.
    """
    lessons, skipped = lessons_of(measured, device, fitted)
    by_key: dict[tuple[str, str], list[Lesson]] = defaultdict(list)
    for each in lessons:
        by_key[each.key].append(each)
    return {key: Learning(tuple(each)) for key, each in by_key.items()}, skipped
