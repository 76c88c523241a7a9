"""Forecasts beside measurements: how far they lie apart, and how many of the measurements the interval holds."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from simulator.errors import InputError
from simulator.forecast.conditions import runtime_of, scenario_of
from simulator.forecast.fit import memory_limit
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.importers.records import DOES_NOT_FIT, UNSTATED, Origin, Published, Skipped, Unusable
from simulator.progress import Progress
from simulator.spec.hardware import Hardware
from simulator.spec.names import with_count
from simulator.spec.runtime import Runtime, load_runtime

WIDE = 0.95  # the coverage of the wider interval
Fitted = Callable[[Runtime, str, str], Runtime]  # the runtime to judge by, of the device and the model that are judged
MORE_MEMORY = "the device was made to give more memory than it does by default"


@dataclass(frozen=True)
class Row:
    """One measurement with its forecast. Rates are totals over the batch."""

    id: str
    model: str
    hardware: str
    device_class: str
    runtime: str
    weights: str
    cache: str
    batch: int
    context: int
    threads: int | None
    tokens_per_s_measured: float
    spread: float | None  # standard deviation of the measurement over its mean
    tokens_per_s: float
    low: float
    high: float
    ceiling: float
    bound: str
    wide: tuple[float, float] = (math.nan, math.nan)  # the 95 % interval
    roof: float = math.nan  # datasheet bandwidth over the bytes that the step reads
    is_mixture: bool = False
    assumed: tuple[str, ...] = ()
    devices: int = 1  # so many of the hardware
    origin: Origin = UNSTATED

    @property
    def label(self) -> str:
        """The hardware, with how many of it: `2xrtx-3090`."""
        return with_count(self.devices, self.hardware)

    @property
    def error(self) -> float:
        """Forecast over measurement, minus 1: above 0 the forecast is too fast."""
        return self.tokens_per_s / self.tokens_per_s_measured - 1

    @property
    def held(self) -> bool:
        """Whether the measurement lies inside the 80 % interval."""
        return self.low <= self.tokens_per_s_measured <= self.high

    @property
    def held_wide(self) -> bool:
        """Whether it lies inside the 95 % interval."""
        return self.wide[0] <= self.tokens_per_s_measured <= self.wide[1]

    @property
    def half_width(self) -> float:
        """Half of the 80 % interval over the forecast."""
        return (self.high - self.low) / 2 / self.tokens_per_s

    @property
    def is_above_ceiling(self) -> bool:
        """Whether more was measured than a datasheet allows, which shows a mistake, here or there."""
        return self.tokens_per_s_measured > self.ceiling


@dataclass(frozen=True)
class Score:
    """Every row that could be forecast, and those that could not. Summaries of no rows are None."""

    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...] = ()

    @cached_property
    def _errors(self) -> list[float]:
        return [abs(row.error) for row in self.rows]

    @property
    def median_abs_error(self) -> float | None:
        """Half of the rows are nearer than this."""
        return statistics.median(self._errors) if self.rows else None

    @property
    def p90_abs_error(self) -> float | None:
        """Nine in ten rows are nearer than this."""
        return float(np.percentile(self._errors, 90)) if self.rows else None

    @property
    def held(self) -> float | None:
        """Share of the measurements inside the 80 % interval: 0.8 would be right."""
        return sum(row.held for row in self.rows) / len(self.rows) if self.rows else None

    @property
    def held_wide(self) -> float | None:
        """The same of the 95 % interval."""
        return sum(row.held_wide for row in self.rows) / len(self.rows) if self.rows else None

    @property
    def half_width(self) -> float | None:
        """Median half-width of the 80 % interval."""
        return statistics.median(row.half_width for row in self.rows) if self.rows else None

    @property
    def n_above_ceiling(self) -> int:
        """Measurements above what the datasheet allows: each shows a mistake, here or there."""
        return sum(row.is_above_ceiling for row in self.rows)

    @property
    def bias(self) -> float | None:
        """Median of ln(forecast / measurement): above 0, forecasts are too fast."""
        return statistics.median(math.log(1 + row.error) for row in self.rows) if self.rows else None

    def worst(self, n: int) -> list[Row]:
        """The *n* rows that are furthest off, in either direction by factor."""
        return sorted(self.rows, key=lambda row: -abs(math.log(1 + row.error)))[:n]

    def where(self, holds: Callable[[Row | Skipped], bool]) -> Score:
        """The rows and the skipped ones for which *holds* is true."""
        return Score(tuple(filter(holds, self.rows)), tuple(filter(holds, self.skipped)))

    def by(self, field: str) -> dict[str, Score]:
        """The scores of the rows that share a value of *field*, such as device_class; without the skipped."""
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            groups[getattr(row, field)].append(row)
        return {value: Score(tuple(rows)) for value, rows in sorted(groups.items())}


def score(
    measured: Sequence[Published],
    hardware: Hardware | None = None,
    runtime: Runtime | str | None = None,
    fitted: Fitted | None = None,
    progress: Progress | None = None,
) -> Score:
    """The forecast of every measurement, in order; *hardware* where they name none, *runtime* instead of theirs.

    *fitted* changes a runtime for the device and the model that are judged, so that neither has to do with its figures.
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, each in enumerate(measured):
        groups[shared_by(each, hardware)].append(index)
    found: dict[int, Row | Skipped] = {}
    for number, indices in enumerate(groups.values()):
        group = [measured[index] for index in indices]
        if progress:
            progress(number / len(groups), group[0].loaded.model.name)
        rows = _forecast_group(group, hardware, lambda each: _runtime(each, hardware, runtime, fitted))
        found.update(zip(indices, rows, strict=True))
    ordered = [found[index] for index in sorted(found)]
    return Score(
        tuple(each for each in ordered if isinstance(each, Row)),
        tuple(each for each in ordered if isinstance(each, Skipped)),
    )


def shared_by(each: Published, hardware: Hardware | None) -> Hashable:
    """What rows have in common that one sweep can forecast."""
    return (
        id(each.loaded),
        each.routing,
        each.weights,
        each.cache,
        each.threads,
        each.runtime,
        id(each.hardware or hardware),
        each.ran_on,
        each.api,
        tuple(bool(each.date) and each.date < month for month in _turns(each.runtime)),
        each.flash_attention,
        each.split,
    )


@lru_cache(maxsize=256)
def _turns(runtime: str) -> tuple[str, ...]:
    """The months at which a runtime changed: between them a date makes no difference."""
    found = load_runtime(runtime)
    return tuple(filter(None, (found.early_until, found.flash_since)))


def _forecast_group(
    group: list[Published], hardware: Hardware | None, software: Callable[[Published], Runtime]
) -> list[Row | Skipped]:
    """Rows that differ in batch and context only, forecast in one pass."""
    try:
        base = scenario_of(group[0], hardware, software(group[0]))
        points = base.at(np.array([each.batch for each in group]), np.array([each.context for each in group]))
    except (InputError, Unusable) as reason:
        return [Skipped(each.id, str(reason), each.origin) for each in group]
    return _rows(group, base, points, _usual_memory(group[0].hardware or hardware, base))


def _usual_memory(hardware: Hardware, base: Scenario) -> float:
    """Bytes that the parts of a machine that take part give where nobody told them otherwise."""
    device = hardware.arranged(base.hardware.layout)
    taking_part = {part.name for part in (base.hardware.parts if base.placement else (base.hardware,))}
    return sum(memory_limit(part, base.runtime) for part in device.parts if part.name in taking_part)


def _runtime(
    each: Published, hardware: Hardware | None, runtime: Runtime | str | None, fitted: Fitted | None
) -> Runtime:
    """The software that a measurement is forecast with."""
    found = runtime_of(each, runtime)
    return fitted(found, (each.hardware or hardware).name, each.loaded.model.name) if fitted else found


def _rows(group: list[Published], base: Scenario, points: Prediction, usual: float) -> list[Row | Skipped]:
    """Each measurement beside its forecast; *usual*: bytes that the device gives where nobody told it otherwise."""
    values = [
        points.tokens_per_s,
        *points.interval(),
        points.tokens_per_s_ceiling,
        *points.interval(WIDE),
        _roof(points),
    ]
    rates = np.broadcast_arrays(*values, np.zeros(len(group)))[:-1]
    bounds, needed = (np.broadcast_to(each, len(group)) for each in (points.bound, points.memory_bytes))
    found: list[Row | Skipped] = []
    for place, each in enumerate(group):
        if bounds[place] == "does_not_fit":
            found.append(Skipped(each.id, DOES_NOT_FIT, each.origin))
            continue
        rate, low, high, ceiling, *wide, roof = (float(values[place]) for values in rates)
        found.append(
            Row(
                id=each.id,
                model=base.loaded.model.name,
                hardware=base.hardware.label if base.hardware.beside else base.hardware.name,
                device_class=base.hardware.device_class,
                runtime=base.runtime.name,
                weights=base.load.weights.name,
                cache=base.load.cache.name,
                batch=each.batch,
                context=each.context,
                threads=points.threads,
                tokens_per_s_measured=each.tokens_per_s,
                spread=each.spread,
                tokens_per_s=rate,
                low=low,
                high=high,
                ceiling=ceiling,
                bound=str(bounds[place]),
                wide=(wide[0], wide[1]),
                roof=roof,
                is_mixture=bool(base.loaded.model.experts),
                assumed=(*each.assumed, *([MORE_MEMORY] if needed[place] > usual else [])),
                devices=base.hardware.n_devices,
                origin=each.origin,
            )
        )
    return found


def _roof(points: Prediction):
    """Datasheet bandwidth over the bytes of weights and caches that a step reads: what anyone can work out by hand."""
    bytes_per_s = points.hardware.main_memory.ceiling_bytes_per_s()
    return points.load.new_tokens * bytes_per_s / points.cost.streamed_bytes
