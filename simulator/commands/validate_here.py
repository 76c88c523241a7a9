"""What the command `validate` runs: decodes for real on this machine, and sets the forecast beside every case."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import yaml

from simulator.commands.hardware_file import DEFAULT_FILE
from simulator.commands.picture import check_path, show
from simulator.commands.report import report_measured
from simulator.commands.report_folder import check_folder
from simulator.engine import cpu
from simulator.errors import InputError, printable
from simulator.importers.records import Skipped
from simulator.judge.case_forecast import NO_DRIVE, has_drive
from simulator.judge.compare import Comparison, compare
from simulator.judge.matrix import Case, lack_of_memory, make_matrix
from simulator.judge.measure import Sizes, measure_cases
from simulator.machine.disturbances import describe_state, remark_on_others
from simulator.machine.host import Host
from simulator.machine.read import read_host
from simulator.machine.threads import most_threads
from simulator.probe.describe import identity
from simulator.probe.merge import difference, fields_of
from simulator.probe.plan import Plan, make_plan
from simulator.report.charts.measurements import measured_chart
from simulator.report.comparison import as_record, print_comparison, state_lines
from simulator.report.measured import of_comparison
from simulator.report.progress import progress_bar
from simulator.report.record import check_target, write_json
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware, refuse_several
from simulator.spec.model import Loaded
from simulator.units import MI

ROUNDS, QUICK_ROUNDS = 9, 3


def run(given: str | None, quick: bool, json: str | None, plot: str | None = None, report: str | None = None) -> None:
    """Decode, compare, print, and draw; InputError where the file is not of this machine."""
    check_target(json, "--json", given or DEFAULT_FILE)
    picture = check_path(plot, "--plot") if plot is not None else None
    folder = check_folder(report, "--report", given or DEFAULT_FILE) if report is not None else None
    hardware, host = _hardware(given), read_host()
    _refuse_stranger(hardware, host)
    notes = (*remark_on_others(), *describe_state(host))
    found = _decode(hardware, host, quick)
    if json != "-":
        print_comparison(found, hardware, notes)
    if json is not None:  # after the table, which took minutes: should the disk be full by now, that much remains
        write_json(as_record(found, hardware, notes), json)
    if plot is not None:
        show(measured_chart(of_comparison(found), hardware.full_title), picture, json == "-")
    if folder is not None:
        name = given or DEFAULT_FILE
        command = shlex.join(["roofcast", "validate", name, *(["--quick"] * quick), "--report", report])
        told = _write_page(found, {hardware.name: name}, folder, command)
        print(told, file=sys.stderr if json == "-" else sys.stdout)


def _decode(hardware: Hardware, host: Host, quick: bool) -> Comparison:
    """Every case that there is memory for, measured and beside its forecast."""
    everyone = hardware.threads or 1
    plan = make_plan(host, threads=everyone)
    sizes = _sizes(hardware, plan)
    every = make_matrix(host, everyone, sizes.cache, quick)
    reasons = {case.id: _reason_to_skip(case, hardware, host) for case in every}
    skipped = [Skipped(name, reason) for name, reason in reasons.items() if reason]
    cases = [case for case in every if not reasons[case.id]]
    if not cases:
        raise InputError(f"no decode fits in the free memory: {skipped[-1].id} {skipped[-1].reason}")
    with progress_bar("decoding") as progress:
        measured = measure_cases(cases, sizes, QUICK_ROUNDS if quick else ROUNDS, progress, folder=Path())
    return compare(hardware, measured, skipped)


def _reason_to_skip(case: Case, hardware: Hardware, host: Host) -> str:
    """Why a case is not run; empty where it is."""
    if case.on_disk and not has_drive(hardware):
        return NO_DRIVE
    return lack_of_memory(case, host)


def _write_page(found: Comparison, devices: dict[str, str], folder: Path, command: str) -> str:
    """The report of a run, in a sentence what was written; *devices*: the file of this machine by its name."""
    models, files = _models(found, folder)
    remarks = tuple(state_lines(found))
    return report_measured(of_comparison(found), models, devices, folder, command, remarks, files)


def _sizes(hardware: Hardware, plan: Plan) -> Sizes:
    """What the machine was looked at with when it was profiled; a file that does not say is of before that was noted."""
    engine = hardware.engine
    if engine and engine.cache_mib and engine.buffer_mib:
        return Sizes(memory=int(engine.buffer_mib * MI), cache=int(engine.cache_mib * MI))
    return Sizes(memory=plan.buffer_bytes, cache=plan.cache_bytes)


def _models(found: Comparison, folder: Path) -> tuple[dict[str, Loaded], dict[str, str]]:
    """The models of a run by name, and the files of its report that hold them, which the commands there name."""
    models = {row.case.model.name: row.case.model for row in found.rows}
    loaded = {name: Loaded(model, path=folder / "models" / f"{name}.yaml") for name, model in models.items()}
    files = {
        f"models/{name}.yaml": yaml.safe_dump(model.model_dump(exclude_unset=True), sort_keys=False)
        for name, model in models.items()
    }
    return loaded, files


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
    if everyone > most_threads(host):
        other = other or f"threads {everyone}, here are {most_threads(host)}"
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
