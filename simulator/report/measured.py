"""Measurements to be shown beside forecasts, from any file that roofcast reads them from."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError, printable
from simulator.forecast import interval
from simulator.importers.measurements import load_measurements
from simulator.importers.records import MAX_ROWS
from simulator.judge.score import Row, Score, score
from simulator.probe.clock import spread_of
from simulator.spec.hardware import Hardware
from simulator.spec.model import Loaded
from simulator.spec.names import with_count
from simulator.spec.textfiles import read_json
from simulator.units import counted

if TYPE_CHECKING:
    from simulator.judge.compare import Comparison
    from simulator.judge.compare import Row as Case


@dataclass(frozen=True)
class Measured:
    """One measured decode with its forecast. Rates are tokens per second of all sequences together."""

    id: str
    model: str
    hardware: str  # with how many: 2xrtx-3090
    runtime: str
    weights: str
    batch: int
    context: int
    threads: int | None
    routing: str  # "uniform" where the file does not say
    sparsity: str | None
    tokens_per_s: float
    tokens_per_s_low: (
        float  # ends of the error bar: a standard deviation either way; both the rate where it is not known
    )
    tokens_per_s_high: float
    forecast: float
    forecast_low: float  # the 80 % interval
    forecast_high: float

    @property
    def error(self) -> float:
        """Forecast over measurement, minus 1."""
        return self.forecast / self.tokens_per_s - 1


def load_measured(
    path: Path, devices: Sequence[Hardware] = (), models: Sequence[Loaded] = (), weights: str | None = None
) -> list[Measured]:
    """What `validate --json` or `validate --against --json` wrote, or anything that `--against` reads.

    Where the file does not say on which device or of which model it is, the only one of *devices* or *models* is meant.
    InputError where nothing of it can be shown.
    """
    found = _of_json(path)
    if found is None:
        device, model = (each[0] if len(each) == 1 else None for each in (devices, models))
        measured = load_measurements(path, device, model, weights)
        scored = score(measured.published, device)
        found = of_score(scored)
        if not found:
            reasons = Counter(each.reason for each in (*measured.skipped, *scored.skipped))
            raise InputError(f"{printable(path)}: nothing of it can be shown: {reasons.most_common(1)[0][0]}")
    return found


def of_score(found: Score) -> list[Measured]:
    """Somebody's measurements, with the forecasts they were compared with."""
    return [_of_row(row) for row in found.rows]


def _of_row(row: Row) -> Measured:
    rate, spread = row.tokens_per_s_measured, row.spread or 0.0
    return Measured(
        row.id, row.model, row.label, row.runtime, row.weights, row.batch, row.context, row.threads, "uniform", None,
        rate, rate * math.exp(-spread), rate * math.exp(spread), row.tokens_per_s, row.low, row.high,
    )  # fmt: skip


def of_comparison(found: Comparison) -> list[Measured]:
    """What was decoded on this machine, with the forecasts as they stood; other steps than plain decoding have no place here."""
    return [_of_case(row) for row in found.rows if row.case.is_plain]


def _of_case(row: Case) -> Measured:
    case, forecast = row.case, row.forecast
    rate, spread = row.measurement.tokens_per_s, spread_of(row.measurement.seconds)
    return Measured(
        case.id, case.model.name, forecast.hardware.label, forecast.runtime.name, case.weights, case.batch, case.context,
        case.threads, case.routing, case.sparsity, rate, rate * math.exp(-spread), rate * math.exp(spread),
        float(forecast.tokens_per_s), float(forecast.tokens_per_s_low), float(forecast.tokens_per_s_high),
    )  # fmt: skip


# ---- our own JSON ----


def _of_json(path: Path) -> list[Measured] | None:
    """The rows of a file that `validate` wrote; None where it is something else."""
    if path.suffix != ".json":
        return None
    data = read_json(path)
    rows = data.get("rows") if isinstance(data, dict) else None
    if rows == []:
        raise InputError(f"{path}: has no measurements, its rows are empty; give a file that has some")
    if not (isinstance(rows, list) and rows and isinstance(rows[0], dict) and "tokens_per_s_measured" in rows[0]):
        return None
    if len(rows) > MAX_ROWS:
        raise InputError(f"{path}: more than {MAX_ROWS:,} rows are too many")
    shown = [(number, row) for number, row in enumerate(rows, 1) if not _is_other_step(row)]
    if not shown:
        raise InputError(f"{path}: nothing of it can be shown: none of its rows is plain decoding")
    return [_of_record(row, data, f"{path}: row {number}") for number, row in shown]


def _is_other_step(row: Any) -> bool:
    """Whether a row of ours is a prompt's chunk, drafted tokens, or weights in another memory."""
    return isinstance(row, dict) and (row.get("tokens", 1) != 1 or bool(row.get("on_disk") or row.get("slow_layers")))


def _of_record(row: Any, data: Mapping[str, Any], where: str) -> Measured:
    if not isinstance(row, dict):
        raise InputError(f"{where}: is no object with the fields of a measurement")
    rates = [
        _rate(row, name, where)
        for name in ("tokens_per_s_measured", "tokens_per_s", "tokens_per_s_low", "tokens_per_s_high")
    ]
    if not rates[2] <= rates[1] <= rates[3]:
        raise InputError(f"{where}: tokens_per_s lies outside tokens_per_s_low to tokens_per_s_high")
    seconds = row.get("seconds")
    is_timed = isinstance(seconds, list) and seconds and all(_is_rate(each) for each in seconds)
    spread = spread_of(seconds) if is_timed else row.get("spread") if _is_rate(row.get("spread")) else 0.0
    texts = {name: _text(row, name, where) for name in ("model", "weights")}
    devices = _count(row, "devices", 1, where) if "devices" in row else 1
    hardware = with_count(devices, str(row.get("hardware", data.get("hardware"))))
    threads, sparsity = row.get("threads"), row.get("sparsity")
    return Measured(
        str(row.get("id", where)), texts["model"], hardware, str(row.get("runtime") or "roofcast"), texts["weights"],
        _count(row, "batch", 1, where),
        _count(row, "context", 0, where), threads if isinstance(threads, int) else None, str(row.get("routing") or "uniform"),
        str(sparsity) if sparsity else None, rates[0], rates[0] * math.exp(-min(spread, 5.0)), rates[0] * math.exp(min(spread, 5.0)),
        *rates[1:],
    )  # fmt: skip


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15


def _rate(row: Mapping[str, Any], name: str, where: str) -> float:
    if not _is_rate(row.get(name)):
        raise InputError(f"{where}: {name} is {printable(str(row.get(name)), 40)}, a number above 0 is needed")
    return float(row[name])


def _count(row: Mapping[str, Any], name: str, lowest: int, where: str) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= 10**9:
        raise InputError(f"{where}: {name} is {printable(str(value), 40)}, a whole number from {lowest} is needed")
    return value


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    if not isinstance(row.get(name), str):
        raise InputError(f"{where}: {name} is {printable(str(row.get(name)), 40)}, a name is needed")
    return row[name]


# ---- how far to trust it ----


def told_held(measured: Sequence[Measured]) -> str:
    """What share of the measurements the interval held, in words."""
    return interval.told_held(_n_held(measured), len(measured), "measurement")


def _n_held(measured: Sequence[Measured]) -> int:
    return sum(each.forecast_low <= each.tokens_per_s <= each.forecast_high for each in measured)


def usual_context(measured: Sequence[Measured], otherwise: int) -> int:
    """The context at which most was measured, the shortest of several; *otherwise* where nothing was."""
    counts = Counter(each.context for each in measured)
    return min(counts, key=lambda context: (-counts[context], context), default=otherwise)


def told_errors(measured: Sequence[Measured]) -> str:
    """How far off, in a line."""
    errors = [abs(each.error) for each in measured]
    held = _n_held(measured)
    n, median = len(measured), statistics.median(errors)
    count = f"{counted(n, 'measurement')}"
    return f"{count}: median error {median:.1%}, {held:,} inside the 80 % interval ({held / n:.0%})"
