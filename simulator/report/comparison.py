"""Decodes of this machine beside their forecasts: for programs as a record, for people with where the errors come from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Any

from simulator.judge.compare import Comparison, Crossing, Row, crossings
from simulator.judge.matrix import SHALLOW
from simulator.judge.measure import OUTSIDE
from simulator.judge.restless import READING, Flips
from simulator.report.screen import print_line
from simulator.report.table import print_table
from simulator.spec.hardware import Hardware
from simulator.units import GIGA, counted, format_number, format_seconds

N_WORST = 5
CHANGED = 1.25  # a machine that is so many times slower or faster than its profile needs another

# ---- for programs ----


def as_record(found: Comparison, hardware: Hardware, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """A comparison as plain data: every case with every timing, and the summary."""
    return {
        "hardware": hardware.name,
        "title": hardware.title,
        "profile": hardware.runs[-1].when if hardware.runs else None,
        "notes": list(notes),
        "rows": [_row_record(row, found.correction.is_used) for row in found.rows],
        "skipped": [{"id": each.id, "reason": each.reason} for each in found.skipped],
        "summary": {
            "n_rows": len(found.rows),
            "held": found.held(False),
            "told": found.told_held,
            "drift": {"corrected": found.correction.is_used, "why": found.correction.why},
            "states": [_flips_record(each) for each in found.flips],
            **{
                name: _summary_record(found, corrected)
                for name, corrected in (("raw", False), ("drift_corrected", True))
            },
            "by_kind": {
                name: {
                    "n_rows": len(each.rows),
                    "raw": _summary_record(each, False),
                    "drift_corrected": _summary_record(each, True),
                }
                for name, each in ((name, found.only(name)) for name in dict.fromkeys(row.kind for row in found.rows))
            },
            "crossings": [vars(each) | {"agrees": each.agrees} for each in crossings(found)],
        },
    }


def _flips_record(flips: Flips) -> dict[str, Any]:
    states = flips.states
    return {
        "what": flips.what,
        "threads": flips.threads,
        "unit": flips.unit,
        "slow": vars(states.low),
        "fast": vars(states.high),
        "changes": states.changes,
    }


def _summary_record(found: Comparison, corrected: bool) -> dict[str, float]:
    return {
        "median_abs_error": found.median_error(corrected),
        "p90_abs_error": found.tail_error(corrected),
        "bias": found.bias(corrected),
        "held": found.held(corrected),
    }


def _row_record(row: Row, corrected: bool) -> dict[str, Any]:
    case, forecast = row.case, row.forecast
    return {
        "id": case.id,
        "kind": row.kind,
        "model": case.model.name,
        "weights": case.weights,
        "batch": case.batch,
        "context": case.context,
        "threads": case.threads,
        "routing": case.routing if case.model.experts else None,
        "sparsity": case.sparsity,
        "tokens": case.tokens,
        "verifies": case.verifies,
        "on_disk": case.on_disk,
        "slow_layers": case.slow_layers,
        "tokens_per_s_measured": row.measurement.tokens_per_s,
        "tokens_per_s": float(forecast.tokens_per_s),
        "tokens_per_s_low": float(forecast.tokens_per_s_low),
        "tokens_per_s_high": float(forecast.tokens_per_s_high),
        "tokens_per_s_ceiling": float(forecast.tokens_per_s_ceiling),
        "error": row.error,
        "held": row.held,
        "error_drift_corrected": row.corrected_error,
        "held_drift_corrected": row.corrected_held,
        "bound": str(forecast.bound),
        "seconds": list(row.measurement.seconds),
        "looks": [vars(look) for look in row.measurement.looks],
        "looks_after": [vars(look) for look in row.measurement.after],
        "drifts": list(row.drifts),
        "parts": {part: {"measured": one, "forecast": two} for part, (one, two) in row.parts(corrected).items()},
        "bytes": {"weights": row.measurement.weight_bytes, "cache": row.measurement.cache_bytes},
        "distinct_experts": row.measurement.distinct_experts,
    }


# ---- for people ----


def print_comparison(found: Comparison, hardware: Hardware, notes: tuple[str, ...] = ()) -> None:
    """How far to trust a forecast for this machine, then every case, and where errors come from."""
    n = len(found.rows)
    print_line(f"{hardware.full_title}: {counted(n, 'decode')} with random weights")
    for line in (found.told_held, *state_lines(found)):
        print_line(line)
    print()
    head = ["decode", "batch", "measured", "forecast", "interval", "error", "held"]
    print_table(head, [_cells(row) for row in found.rows], left=("decode",))
    print_line(
        "(tokens/s of the whole batch; interval: 80 % of what is measured should lie in it; error: forecast over measured)"
    )
    print()
    _print_summary(found)
    crossed = crossings(found)
    for each in crossed:
        print_line(_crossing_line(each))
    if crossed:
        print()
    for line in _worst_lines(found):
        print_line(line)
    for each in found.skipped:
        print_line(f"left out: {each.id}: {each.reason}")
    for note in notes:
        print_line(f"note: {note}")


def state_lines(found: Comparison) -> Iterator[str]:
    """What the machine did beside the decodes: drift, what that did to the errors, and two states, in sentences."""
    drifts = sorted(drift for row in found.rows for drift in row.drifts)
    if not all(math.isclose(drift, 1) for drift in drifts):
        typical = statistics.median(drifts)
        remedy = "; profile again for forecasts of the machine as it is now" * (
            abs(math.log(typical)) > math.log(CHANGED)
        )
        yield (
            f"drift: by the reference models, decodes took {typical:.2f} times as long as when the machine was profiled "
            f"({drifts[0]:.2f} to {drifts[-1]:.2f}){remedy}"
        )
    yield found.correction.why
    if found.flips:
        clearest = found.flips[0] if found.flips[0].what == READING else max(found.flips, key=_factor)
        yield _flips_line(clearest)


def _factor(flips: Flips) -> float:
    return flips.states.high.value / flips.states.low.value


def _flips_line(flips: Flips) -> str:

    def speed(value: float) -> str:
        return f"{format_number(value / GIGA)} GB/s" if flips.unit == "B/s" else f"{format_number(value)} {flips.unit}"

    threads = counted(flips.threads, "thread")
    return f"two states: {flips.what} with {threads} {flips.states.told(speed, 'looks')}"


def _cells(row: Row) -> list[str]:
    forecast = row.forecast
    return [
        _decode(row),
        str(row.case.batch),
        format_number(row.measurement.tokens_per_s),
        format_number(float(forecast.tokens_per_s)),
        f"{format_number(float(forecast.tokens_per_s_low))}-{format_number(float(forecast.tokens_per_s_high))}",
        f"{row.error:+.0%}",
        "yes" if row.held else "no",
    ]


def _decode(row: Row) -> str:
    """The model, its format, and what else is particular, in few letters: threads where they are fewer, depth where it is great."""
    case, everyone = row.case, row.forecast.hardware.threads
    return " ".join(
        [
            case.model.name,
            case.weights,
            *([f"{_short_count(case.context)} deep"] if case.context > SHALLOW else []),
            *([case.routing] if case.model.experts and case.routing != "uniform" else []),
            *([case.sparsity.partition(":")[0]] if case.sparsity else []),
            *case.particulars,
            *([counted(case.threads, "thread")] if case.threads != everyone else []),
        ]
    )


def _short_count(n: int) -> str:
    return f"{n // 1024}k" if n % 1024 == 0 else str(n)


def _print_summary(found: Comparison) -> None:
    """Errors of all cases, and of each kind of model."""
    head = ["", "decodes", "held", "error", "nine in ten", "bias", "drift out"]
    groups = {name: found.only(name) for name in dict.fromkeys(row.kind for row in found.rows)} | {"all": found}
    rows = [
        [name, str(len(each.rows)), *_errors(each), f"{each.median_error(True):.1%}"] for name, each in groups.items()
    ]
    print_table(head, rows, left=("",))
    print_line(
        "(error: half of the decodes are at most so far off; bias: the median with its sign, above 0 is too fast; drift out: the "
        "error of the same forecast for the machine as it was just then)"
    )
    print()


def _errors(found: Comparison) -> list[str]:
    return [
        f"{found.held(False):.0%}",
        f"{found.median_error(False):.1%}",
        f"{found.tail_error(False):.1%}",
        f"{found.bias(False):+.1%}",
    ]


def _crossing_line(each: Crossing) -> str:
    def told(batch: float | None) -> str:
        return "beyond the largest" if batch is None else f"batch {batch:.1f}"

    verdict = "agree" if each.agrees else "disagree"
    return (
        f"experts lose half of their advantage over a dense model, {each.weights}: measured {told(each.measured)}, "
        f"forecast {told(each.forecast)}: they {verdict}"
    )


def _worst_lines(found: Comparison) -> Iterator[str]:
    """The cases that are furthest off, with the part that most of it comes from."""
    corrected = found.correction.is_used
    for row in found.worst[:N_WORST]:
        step, error = statistics.median(row.measurement.seconds), row.error_of(corrected)
        told = f"{abs(error):.0%} too {'fast' if error > 0 else 'slow'}{' with drift out' * corrected}"
        yield f"worst: {row.case.id}: {told} ({format_seconds(step)} a step); {_blame(row, corrected)}"


def _blame(row: Row, corrected: bool) -> str:
    part = row.worst_part(corrected)
    if part is None:
        return "spread over several parts"
    measured, forecast = row.parts(corrected)[part]
    where = part if part == OUTSIDE else f"in {part}"
    return f"most of it {where}: {format_seconds(measured)} measured, {format_seconds(forecast)} forecast"
