"""The command `validate`: decodes for real on this machine, and sets the forecast beside every case."""

from __future__ import annotations

import shlex
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from simulator.compare import Comparison, Crossing, Row, compare, crossings
from simulator.engine import cpu
from simulator.errors import InputError, printable
from simulator.hardware import Hardware, load_hardware, refuse_several
from simulator.host import Host, describe_state, read_host, remark_on_others
from simulator.importers.measurements import Skipped
from simulator.matrix import lack_of_memory, make_matrix
from simulator.measure import OUTSIDE, Sizes, measure_cases
from simulator.probe.describe import identity
from simulator.probe.device import make_plan
from simulator.probe.merge import difference, fields_of
from simulator.report.charts import measured_chart
from simulator.report.measured import of_comparison
from simulator.report.plot import check_path, show
from simulator.report.profile import DEFAULT_FILE
from simulator.report.progress import progress_bar
from simulator.report.record import check_target, write_json, write_whole
from simulator.report.report import check_folder, report_measured
from simulator.report.table import print_table
from simulator.units import format_number, format_seconds

ROUNDS, QUICK_ROUNDS = 9, 3
N_WORST = 5


def run(given: str | None, quick: bool, json: str | None, plot: str | None = None, report: str | None = None) -> None:
    """Decode, compare, print, and draw; InputError where the file is not of this machine."""
    check_target(json, "--json", given or DEFAULT_FILE)
    picture = check_path(plot, "--plot") if plot is not None else None
    folder = check_folder(report, "--report", given or DEFAULT_FILE) if report is not None else None
    hardware, host = _hardware(given), read_host()
    _refuse_stranger(hardware, host)
    everyone = hardware.threads or 1
    notes = (*remark_on_others(), *describe_state(host))
    plan = make_plan(host, threads=everyone)
    every = make_matrix(host, everyone, max(host.cache_bytes.values(), default=plan.buffer_bytes / 4), quick)
    skipped = [Skipped(case.id, reason) for case in every if (reason := lack_of_memory(case, host))]
    cases = [case for case in every if not lack_of_memory(case, host)]
    if not cases:
        raise InputError(f"no decode fits in the free memory: {skipped[-1].id} {skipped[-1].reason}")
    sizes = Sizes(memory=plan.buffer_bytes, cache=plan.cache_bytes)
    with progress_bar("decoding") as progress:
        measured = measure_cases(cases, sizes, QUICK_ROUNDS if quick else ROUNDS, progress)
    found = compare(hardware, measured, skipped)
    if json != "-":
        print_comparison(found, hardware, notes)
    if json is not None:  # after the table, which took minutes: should the disk be full by now, that much remains
        write_json(as_record(found, hardware, notes), json)
    if plot is not None:
        show(measured_chart(of_comparison(found), hardware.title or hardware.name), picture, json == "-")
    if folder is not None:
        models = _write_models(found, folder / "models")
        command = shlex.join(
            ["roofcast", "validate", given or DEFAULT_FILE, *(["--quick"] * quick), "--report", report]
        )
        told = report_measured(of_comparison(found), models, {hardware.name: given or DEFAULT_FILE}, folder, command)
        print(told, file=sys.stderr if json == "-" else sys.stdout)


def _write_models(found: Comparison, folder: Path) -> dict[str, str]:
    """The models of a run as files, which the commands in its report name; their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {row.case.model.name: folder / f"{row.case.model.name}.yaml" for row in found.rows}
    for row in found.rows:
        fields = row.case.model.model_dump(mode="json", exclude_unset=True)
        write_whole(paths[row.case.model.name], yaml.safe_dump(fields, sort_keys=False))
    return {name: str(path) for name, path in paths.items()}


def _hardware(given: str | None) -> Hardware:
    if given is not None:
        device = load_hardware(given)
        refuse_several(device, "validate: what decodes here")
        return device
    if not Path(DEFAULT_FILE).exists():
        raise InputError(
            f"validate needs a profile of this machine: roofcast profile -o {DEFAULT_FILE}, then roofcast validate"
        )
    return load_hardware(DEFAULT_FILE)


def _refuse_stranger(hardware: Hardware, host: Host) -> None:
    name = printable(hardware.name)
    remedy = f"profile this one first: roofcast profile -o {DEFAULT_FILE}"
    if hardware.kind != "cpu":
        raise InputError(
            f"{name} is a GPU; roofcast's engine decodes on CPUs, so give --against FILE with somebody's measurements"
        )
    everyone = hardware.threads or 1
    other = difference(fields_of(hardware), identity(host, everyone))
    if everyone > host.n_threads:
        other = other or f"threads {everyone}, here are {host.n_threads}"
    if other:
        raise InputError(f"{name} is another machine than this one ({other}); {remedy}, or give --against FILE")
    if hardware.engine is None or not hardware.engine.kernels:
        raise InputError(
            f"{name} has no measured kernels, so nothing of this machine is known; {remedy}, or give --against FILE"
        )
    path = cpu.choose().name
    if hardware.engine.path != path:
        then = printable(hardware.engine.path) or "unknown"
        raise InputError(f"{name} was measured with the engine's path {then}, here {path} runs; {remedy}")


# ---- for programs ----


def as_record(found: Comparison, hardware: Hardware, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """A comparison as plain data: every case with every timing, and the summary."""
    return {
        "hardware": hardware.name,
        "title": hardware.title,
        "profile": hardware.runs[-1].when if hardware.runs else None,
        "notes": list(notes),
        "rows": [_row_record(row) for row in found.rows],
        "skipped": [vars(each) for each in found.skipped],
        "summary": {
            "n_rows": len(found.rows),
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


def _summary_record(found: Comparison, corrected: bool) -> dict[str, float]:
    return {
        "median_abs_error": found.median_error(corrected),
        "p90_abs_error": found.tail_error(corrected),
        "bias": found.bias(corrected),
        "held": found.held(corrected),
    }


def _row_record(row: Row) -> dict[str, Any]:
    case, forecast = row.case, row.forecast
    return {
        "id": case.id,
        "model": case.model.name,
        "weights": case.weights,
        "batch": case.batch,
        "context": case.context,
        "threads": case.threads,
        "routing": case.routing if case.model.experts else None,
        "sparsity": case.sparsity,
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
        "drifts": list(row.drifts),
        "parts": {part: {"measured": one, "forecast": two} for part, (one, two) in row.parts.items()},
        "bytes": {"weights": row.measurement.weight_bytes, "cache": row.measurement.cache_bytes},
        "distinct_experts": row.measurement.distinct_experts,
    }


# ---- for people ----


def print_comparison(found: Comparison, hardware: Hardware, notes: tuple[str, ...] = ()) -> None:
    """Every case, how far off, and what that says of a forecast for this machine."""
    print(f"{hardware.title or hardware.name}: {len(found.rows)} decodes with random weights\n")
    head = [
        "model",
        "weights",
        "batch",
        "depth",
        "threads",
        "measured",
        "forecast",
        "error",
        "80 % interval",
        "held",
        "drift out",
        "held ",
    ]
    print_table(head, [_cells(row) for row in found.rows], left=("model", "weights"))
    print(
        "(tokens/s of the whole batch; drift out: the error of the same forecast for the machine as it was just then)\n"
    )
    _print_summary(found)
    for each in crossings(found):
        print(_crossing_line(each))
    print()
    for line in _worst_lines(found):
        print(line)
    for each in found.skipped:
        print(f"left out: {each.id}: {each.reason}")
    for note in notes:
        print(f"note: {note}")


def _cells(row: Row) -> list[str]:
    case, forecast = row.case, row.forecast
    model = " ".join(
        [
            case.model.name,
            *([case.routing] if case.model.experts and case.routing != "uniform" else []),
            *([case.sparsity] if case.sparsity else []),
        ]
    )
    return [
        model,
        case.weights,
        str(case.batch),
        f"{case.context:,}",
        str(case.threads),
        format_number(row.measurement.tokens_per_s),
        format_number(float(forecast.tokens_per_s)),
        f"{row.error:+.0%}",
        f"{format_number(float(forecast.tokens_per_s_low))} - {format_number(float(forecast.tokens_per_s_high))}",
        "yes" if row.held else "no",
        f"{row.corrected_error:+.0%}",
        "yes" if row.corrected_held else "no",
    ]


def _print_summary(found: Comparison) -> None:
    """Errors of all cases, and of each kind of model."""
    head = [
        "",
        "cases",
        "error: median",
        "nine in ten within",
        "bias",
        "held",
        "drift out: median",
        "nine in ten within ",
        "bias ",
        "held ",
    ]
    groups = {name: found.only(name) for name in dict.fromkeys(row.kind for row in found.rows)} | {"all": found}
    rows = [[name, str(len(each.rows)), *_errors(each, False), *_errors(each, True)] for name, each in groups.items()]
    print_table(head, rows, left=("",))
    print()


def _errors(found: Comparison, corrected: bool) -> list[str]:
    return [
        f"{found.median_error(corrected):.1%}",
        f"{found.tail_error(corrected):.1%}",
        f"{found.bias(corrected):+.1%}",
        f"{found.held(corrected):.0%}",
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
    """The cases that are furthest off once drift is out, with the part that most of it comes from."""
    for row in found.worst[:N_WORST]:
        step = statistics.median(row.measurement.seconds)
        direction = "fast" if row.corrected_error > 0 else "slow"
        error = f"{abs(row.corrected_error):.0%} too {direction} ({format_seconds(step)} a step)"
        yield f"worst: {row.case.id}: {error}; {_blame(row)}"


def _blame(row: Row) -> str:
    if row.worst_part is None:
        return "spread over several parts"
    measured, forecast = row.parts[row.worst_part]
    where = row.worst_part if row.worst_part == OUTSIDE else f"in {row.worst_part}"
    return f"most of it {where}: {format_seconds(measured)} measured, {format_seconds(forecast)} forecast"
