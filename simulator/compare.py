"""Forecasts beside decodes that were timed here: how far off, whether the interval held, and which part was mistimed.

A forecast uses the hardware file alone. Beside it stands the same forecast for a machine whose memory, caches and clock are
scaled to what they gave in the looks before and after each burst: the difference between the two is the machine's drift.
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
from simulator.hardware import CurvePoint, EngineSpeeds, Figure, Hardware, MemoryLevel
from simulator.matrix import DENSE, MIXED, Case
from simulator.measure import Look, Measurement
from simulator.mixes import parse_weights
from simulator.predict import Prediction, predict
from simulator.probe.clock import spread_of
from simulator.probe.kernels import LOOK_FORMAT
from simulator.quant import FORMATS
from simulator.routing import parse_routing
from simulator.runtime import Runtime, load_runtime
from simulator.sparsity import parse_sparsity
from simulator.units import GIGA, KI, MICRO
from simulator.workload import Workload

HALVED = 0.5  # of its advantage at batch 1


@dataclass(frozen=True)
class Row:
    """One case: measured, forecast from the file, and forecast for the machine as it was just then."""

    measurement: Measurement
    forecast: Prediction
    corrected: tuple[Prediction, ...]  # one for each round

    @property
    def case(self) -> Case:
        """What was decoded."""
        return self.measurement.case

    @property
    def error(self) -> float:
        """Forecast over measured, minus 1."""
        return float(self.forecast.tokens_per_s) / self.measurement.tokens_per_s - 1

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """Corrected forecast over measured rate, of each round."""
        pairs = zip(self.corrected, self.measurement.seconds, strict=True)
        return tuple(seconds / float(each.seconds_per_step) for each, seconds in pairs)

    @property
    def corrected_error(self) -> float:
        """The same with the machine's drift taken out: the median over the rounds."""
        return statistics.median(self.ratios) - 1

    @property
    def held(self) -> bool:
        """Whether the interval contains what was measured."""
        rate = self.measurement.tokens_per_s
        return bool(self.forecast.tokens_per_s_low <= rate <= self.forecast.tokens_per_s_high)

    @property
    def corrected_held(self) -> bool:
        """Whether the interval without drift contains what was measured, typically."""
        low = statistics.median(float(each.tokens_per_s / each.tokens_per_s_low) for each in self.corrected)
        return 1 / low <= 1 + self.corrected_error <= low

    @cached_property
    def parts(self) -> dict[str, tuple[float, float]]:
        """Seconds of each part of the model, as (measured, forecast for the machine as it was)."""
        measured, guessed = self.measurement.parts, defaultdict(float)
        middle = sorted(self.corrected, key=lambda each: float(each.seconds_per_step))[len(self.corrected) // 2]
        for timed in middle.ops:
            part = "vectors" if timed.op.part == "vectors" else timed.op.part
            guessed[part] += timed.op.count * float(timed.seconds)
        return {part: (measured.get(part, 0.0), guessed.get(part, 0.0)) for part in {**measured, **guessed}}

    @property
    def worst_part(self) -> str:
        """The part whose forecast is furthest off, in seconds."""
        return max(self.parts, key=lambda part: abs(self.parts[part][0] - self.parts[part][1]))


@dataclass(frozen=True)
class Comparison:
    """All cases of a run."""

    rows: tuple[Row, ...]

    def errors(self, corrected: bool) -> list[float]:
        """Of every case."""
        return [row.corrected_error if corrected else row.error for row in self.rows]

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
        """By drift-corrected error, the worst first."""
        return sorted(self.rows, key=lambda row: -abs(math.log1p(row.corrected_error)))


def compare(hardware: Hardware, measurements: Sequence[Measurement]) -> Comparison:
    """Every measurement beside its forecast."""
    runtime = load_runtime("roofcast")
    return Comparison(tuple(_row(hardware, each, runtime) for each in measurements))


def _row(hardware: Hardware, measurement: Measurement, runtime: Runtime) -> Row:
    case = measurement.case
    spread = spread_of([math.exp(look.change) for look in measurement.looks]) / math.sqrt(2)
    corrected = tuple(
        _forecast(as_seen(hardware, look, case.threads, spread), case, runtime) for look in measurement.looks
    )
    return Row(measurement, _forecast(hardware, case, runtime), corrected)


def _forecast(hardware: Hardware, case: Case, runtime: Runtime) -> Prediction:
    load = Workload(
        weights=parse_weights(case.weights),
        batch=case.batch,
        context=case.context,
        cache=FORMATS["f16"],
        routing=parse_routing(case.routing),
        sparsity=parse_sparsity(case.sparsity) if case.sparsity else None,
        threads=case.threads,
    )
    try:
        return predict(case.model, hardware, load, runtime)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{case.id}: {error}") from None


# ---- drift ----


def as_seen(hardware: Hardware, look: Look, threads: int, spread: float) -> Hardware:
    """The machine as a look found it: bandwidths such that the engine's kernel reads what it read then, speeds by its clock.

    Working sets between the two that were looked at are scaled by what lies between. *spread* is how far the looks before
    and after a burst were apart: it stands for the drift that remains. A file without measured kernels stays as it is.
    """
    engine = hardware.engine
    expected = looked_at(engine, threads) if engine else None
    if expected is None:
        return hardware
    peak = hardware.peak("int8", threads)
    clock = look.flops_per_s / peak.value if peak else 1.0
    shared = look.shared_bytes_per_s / expected.kernel[1]
    memory = expected.read_at(look.memory_bytes_per_s, shared) / expected.read[2]

    def factor(size: float) -> float:
        edges = np.log([level.capacity_bytes for level in hardware.memory[-2:-1]] or [1.0])
        near, far = edges[0] - math.log(2), edges[0] + math.log(2)
        return math.exp(float(np.interp(math.log(size), [near, far], np.log([shared, memory]))))

    levels = [_scaled_level(level, shared, spread) for level in hardware.memory[:-1]]
    main = _scaled_level(hardware.main_memory, memory, spread)
    peaks = {name: _scaled(figure, clock, spread) for name, figure in hardware.peaks_tflops.items()}
    points = tuple(
        CurvePoint.model_construct(
            working_set_kib=point.working_set_kib,
            threads=point.threads,
            gb_per_s=_scaled(point.gb_per_s, factor(point.working_set_kib * KI), spread),
        )
        for point in hardware.curve
    )
    return hardware.model_copy(
        update={
            "memory": (*levels, main),
            "peaks_tflops": peaks,
            "engine": _scaled_engine(engine, threads, clock, shared, look),
            "curve": points,
        }
    )


@dataclass(frozen=True)
class Expected:
    """What the file says of the kernel that the machine is looked at with: cached, in the shared cache, in memory."""

    read: tuple[float, float, float]  # bytes per second of a pure read
    kernel: tuple[float, float, float]  # of the kernel

    def read_at(self, kernel_bytes_per_s: float, shared: float) -> float:
        """The pure read's rate at which the kernel would read so much from memory, the shared cache *shared* times as fast."""
        x1, x2 = 1 / (self.read[1] * shared), 1 / self.read[2]
        y1, y2 = 1 / (self.kernel[1] * shared), 1 / self.kernel[2]
        slope = (x2 - x1) / (y2 - y1) if y2 > y1 and x2 > x1 else x2 / y2
        return 1 / max(x1, x2 + slope * (1 / kernel_bytes_per_s - y2))


def looked_at(engine: EngineSpeeds, threads: int) -> Expected | None:
    """What is expected of a look with *threads* threads; None where that was not measured."""
    kernel = engine.kernels.get(threads, {}).get(LOOK_FORMAT, {}).get(1)
    reads = engine.read_gb_per_s.get(threads)
    if kernel is None or reads is None or kernel.cache_share is None:
        return None
    read = tuple(figure.value * GIGA for figure in reads)
    fmt = FORMATS[LOOK_FORMAT]
    cached = kernel.cached_gop_per_s.value * GIGA * fmt.block_bytes / fmt.block / 2
    return Expected(read, (cached, read[1] * kernel.cache_share.value, read[2] * kernel.memory_share.value))


def _scaled(figure: Figure, factor: float, spread: float | None = None) -> Figure:
    scaled = figure.times(factor)
    return scaled if spread is None else scaled.model_copy(update={"spread": spread})


def _scaled_level(level: MemoryLevel, factor: float, spread: float) -> MemoryLevel:
    by_threads = {n: _scaled(figure, factor, spread) for n, figure in level.gb_per_s_by_threads.items()}
    rate = _scaled(level.gb_per_s, factor, spread) if level.gb_per_s else None
    return level.model_copy(update={"gb_per_s": rate, "gb_per_s_by_threads": by_threads, "datasheet_gb_per_s": None})


def _scaled_engine(engine: EngineSpeeds, threads: int, clock: float, shared: float, look: Look) -> EngineSpeeds:
    def now(figures: dict[int, Figure], seconds: float) -> dict[int, Figure]:
        found = {"value": seconds / MICRO}
        return {n: figure.model_copy(update=found) if n == threads else figure for n, figure in figures.items()}

    row = engine.row_us.get(threads)
    passing = look.row_s / (row.value * MICRO) if row else 1 / clock
    items = {
        count: {work: _scaled(figure, passing if count > 1 else 1 / clock) for work, figure in found.items()}
        for count, found in engine.item_ns.items()
    }
    reads = {
        count: (figures[0], figures[1].times(shared) if count == threads else figures[1], figures[2])
        for count, figures in engine.read_gb_per_s.items()
    }
    changed = {
        "item_ns": items,
        "phase_us": now(engine.phase_us, look.phase_s),
        "start_us": now(engine.start_us, look.start_s),
        "read_gb_per_s": reads,
    }
    return engine.model_copy(update={"clock": engine.clock * clock, **changed})


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
    found = []
    for weights in dict.fromkeys(row.case.weights for row in comparison.rows):
        plain, mixed = (_by_batch(comparison, weights, name) for name in (DENSE, MIXED))
        batches = sorted(plain.keys() & mixed.keys())
        if len(batches) >= 4:
            measured, forecast = (
                crossing(batches, [_rate(mixed[b], is_forecast) / _rate(plain[b], is_forecast) for b in batches])
                for is_forecast in (False, True)
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
        if (row.case.threads, row.case.context, row.case.routing, row.case.sparsity) == (most, shallow, "uniform", None)
    }


def _rate(row: Row, is_forecast: bool) -> float:
    """Tokens per second of a model with a byte of weights, drift taken out of both."""
    measured = row.measurement.tokens_per_s
    return row.forecast.weight_bytes * (measured * (1 + row.corrected_error) if is_forecast else measured)


def crossing(batches: Sequence[int], ratios: Sequence[float]) -> float | None:
    """The batch at which a ratio has fallen to half of its value at the first one, interpolated over the logarithm."""
    half = HALVED * ratios[0]
    for number in range(1, len(batches)):
        if ratios[number] <= half:
            share = (ratios[number - 1] - half) / (ratios[number - 1] - ratios[number])
            return float(batches[number - 1] * (batches[number] / batches[number - 1]) ** share)
    return None
