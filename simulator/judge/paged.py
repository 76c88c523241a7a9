"""Forecasts of models larger than memory, read from a drive, beside published measurements: nothing is fitted to them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import InputError, printable
from simulator.forecast.scenario import scenario
from simulator.importers.open import load_named
from simulator.importers.records import DOES_NOT_FIT, MAX_ROWS, Record, Skipped, Unusable
from simulator.spec.library import is_file
from simulator.spec.machine import LEAST_RAM_GIB, MAX_RAM_GIB, load_hardware
from simulator.spec.textfiles import missing_told, parse_csv, read_text
from simulator.spec.workload import MAX_CONTEXT, MAX_THREADS

NEEDED_COLUMNS = ("runtime", "device", "ram_gib", "model", "weights", "storage", "threads", "context", "tokens_per_s")


@dataclass(frozen=True)
class PagedRow:
    """One measurement with its forecast, in tokens per second."""

    id: str
    model: str
    hardware: str
    weights: str
    ram_gib: float
    storage: str
    measured: float
    forecast: float
    low: float
    high: float
    bound: str

    @property
    def error(self) -> float:
        """Forecast over measurement, minus 1: above 0 the forecast is too fast."""
        return self.forecast / self.measured - 1

    @property
    def held(self) -> bool:
        """Whether the 80 % interval has the measurement."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True)
class PagedScore:
    """Every row that could be forecast, and those that could not."""

    rows: tuple[PagedRow, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def median_factor(self) -> float:
        """Half of the rows are off by less than this factor, in either direction."""
        return math.exp(statistics.median(abs(math.log1p(row.error)) for row in self.rows))

    @property
    def n_held(self) -> int:
        """Rows whose 80 % interval has the measurement."""
        return sum(row.held for row in self.rows)


def is_paged(path: Path) -> bool:
    """Whether a file has the columns of such a table; what can be read only once is not looked into."""
    return is_file(path) and {"storage", "ram_gib"} <= set(read_text(path).partition("\n")[0].strip().split(","))


def paged_score(path: Path) -> PagedScore:
    """The rows of a file with their forecasts; InputError where it is no such table."""
    columns, rows = parse_csv(read_text(path), path, MAX_ROWS)
    missing = [name for name in NEEDED_COLUMNS if name not in columns]
    if missing:
        raise InputError(f"{path}: {missing_told(columns, missing)}")
    found: list[PagedRow | Skipped] = []
    for line, fields in rows:
        record = Record(f"{path}:{line}", printable((fields.get("id") or "").strip() or f"{path.name}:{line}"), fields)
        try:
            found.append(_forecast(record))
        except Unusable as reason:
            found.append(Skipped(record.id, str(reason), record.origin))
    return PagedScore(_of(found, PagedRow), _of(found, Skipped))


def _of(found: Sequence, kind: type) -> tuple:
    return tuple(each for each in found if isinstance(each, kind))


def _forecast(record: Record) -> PagedRow:
    if not record.origin.is_usable:
        raise Unusable(record.origin.why_not)
    measured, context = record.rate("tokens_per_s"), record.count("context", 0, MAX_CONTEXT)
    ram = record.number("ram_gib", LEAST_RAM_GIB, MAX_RAM_GIB)
    threads = record.count("threads", 1, MAX_THREADS) if record.text("threads") else None
    try:
        base = scenario(
            load_named(record.text("model")),
            load_hardware(record.text("device")),
            weights=record.text("weights"),
            runtime=record.text("runtime"),
            threads=threads,
            ram=ram,
            storage=record.text("storage"),
            context=context or 0,
        )
    except InputError as error:
        raise Unusable(str(error)) from None
    point = base.at(1, context)
    if not point.fits:
        raise Unusable(DOES_NOT_FIT)
    rates = (point.tokens_per_s, point.tokens_per_s_low, point.tokens_per_s_high)
    return PagedRow(
        record.id,
        base.loaded.model.name,
        base.hardware.label,
        base.load.weights.name,
        ram,
        base.hardware.reads_from.name if base.hardware.reads_from else "",
        measured,
        *map(float, rates),
        str(point.bound),
    )
