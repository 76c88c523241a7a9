"""What the command `validate --against` runs: somebody's measurements, the forecasts beside them, and pictures of both."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.commands.line.targets import named_files
from simulator.errors import InputError, printable
from simulator.importers.measurements import load_measurements
from simulator.importers.open import load_model
from simulator.importers.records import Measurements
from simulator.judge.score import score
from simulator.report.measured import of_score
from simulator.report.score import report, report_listed
from simulator.report.screen import print_line
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded
from simulator.spec.textfiles import STANDARD_INPUT


@dataclass(frozen=True)
class Request:
    """The file or `-` for standard input, what it leaves open, and what is to be written."""

    file: str
    hardware: str | None = None
    model: str | None = None
    weights: str | None = None
    json: str | None = None
    plot: str | None = None
    folder: str | None = None  # of a report
    learn: str | None = None  # the device file that what is learned goes into


def run(request: Request) -> None:
    """Compare, print, draw; InputError before anything where something cannot be read or written."""
    picture, folder = _places(request)
    device = _device(request)
    named = parse_weights(request.weights).name if request.weights is not None else None
    model = load_model(request.model) if request.model is not None else None
    measured = load_measurements(Path(request.file), device, model, named, lists_mistakes=True)
    found = score(measured.published, device)
    found = replace(found, skipped=(*measured.skipped, *found.skipped))
    source = str(STANDARD_INPUT) if request.file == "-" else request.file
    if not found.rows and not (request.learn or request.plot or request.folder):
        report_listed(found.skipped, source, measured.made_with, request.json)
        return
    report(found, source, measured.made_with, request.json)
    if request.learn is not None and request.hardware is not None and device is not None:
        from simulator.commands.learn import learn_from

        for line in learn_from(measured.published, request.hardware, request.learn, source, found.skipped):
            print_line(line, stream=sys.stderr if request.json == "-" else sys.stdout)
    if request.plot is not None:
        from simulator.commands.picture import show
        from simulator.report.charts.measurements import measured_chart

        show(measured_chart(of_score(found), printable(source)), picture, request.json == "-")
    if folder is not None:
        from simulator.commands.report import report_measured

        models, devices = _sources(measured, request, device)
        told = report_measured(of_score(found), models, devices, folder, _command(request))
        print(told, file=sys.stderr if request.json == "-" else sys.stdout)


def _device(request: Request) -> Hardware | None:
    """The device measured; with --learn with nothing learned of it yet, so that forecasts are those from before."""
    if request.learn is None:
        return load_hardware(request.hardware) if request.hardware is not None else None
    if request.hardware is None:
        raise InputError(
            "--learn: of one device something is learned, write roofcast validate MACHINE --against FILE --learn FILE"
        )
    from simulator.commands.learned_file import device_to_learn

    return device_to_learn(request.hardware, request.learn).model_copy(update={"learned": {}})


def _command(request: Request) -> str:
    given = {
        "--against": request.file,
        "--model": request.model,
        "--weights": request.weights,
        "--report": request.folder,
    }
    options = [part for name, value in given.items() if value for part in (name, value)]
    return shlex.join(["roofcast", "validate", *([request.hardware] if request.hardware else []), *options])


def _places(request: Request) -> tuple[Path | None, Path | None]:
    """Of the picture and of the report, where there is to be one."""
    picture = folder = None
    if request.plot is not None:
        from simulator.commands.picture import check_path

        picture = check_path(request.plot, "--plot")
    if request.folder is not None:
        from simulator.commands.report_folder import check_folder

        named = named_files((request.file, request.hardware, request.model))
        folder = check_folder(request.folder, "--report", *named)
    return picture, folder


def _sources(
    measured: Measurements, request: Request, device: Hardware | None
) -> tuple[dict[str, Loaded], dict[str, str | Hardware]]:
    """Models and devices by their names, as a report takes them."""
    models = {each.loaded.model.name: each.loaded for each in measured.published}
    devices: dict[str, str | Hardware] = {
        each.hardware.label: each.hardware for each in measured.published if each.hardware is not None
    }
    return models, devices | ({device.label: request.hardware} if device else {})
