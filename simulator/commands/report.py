"""The command `report`: one page that answers what readers ask, its pictures beside it, and the data, in a folder."""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from simulator.errors import InputError, printable
from simulator.forecast.scenario import DEFAULT_CONTEXT
from simulator.importers.open import load_model
from simulator.progress import part_of
from simulator.report.charts import BATCHES
from simulator.report.grid import CONTEXTS, Grids, build_grids, device_argument, model_argument
from simulator.report.leftovers import is_leftover
from simulator.report.measured import Measured, accuracy, load_measured, usual_context
from simulator.report.page import page
from simulator.report.pictures import CHARTS, SUFFIXES, draw_all, report_charts
from simulator.report.progress import progress_bar
from simulator.report.record import as_csv, flattened, records, write_together
from simulator.report.screen import print_line
from simulator.spec.hardware import Hardware, load_hardware
from simulator.spec.library import is_file
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, weight_bytes
from simulator.spec.textfiles import open_file
from simulator.units import counted

MAX_PAIRS = 64
PAGE = "index.html"
MARK, MARK_BYTES = b'name="generator" content="roofcast"', 1024  # at the beginning of a page
FILES = {
    "forecasts.csv": "every format, batch and context, as a table",
    "forecasts.json": "the same for programs",
    "measured.csv": "the measurements with their forecasts",
}
NAMES = {PAGE, *FILES, "models"} | {f"{kind}.{suffix}" for kind in CHARTS for suffix in SUFFIXES}
MEASURED_MODELS, MEASURED_DEVICES, MEASURED_FORMATS = 6, 4, 8  # that a report of measurements is of


@dataclass(frozen=True)
class Request:
    """What the report is to be of, and in which folder."""

    models: Sequence[str | Loaded]
    devices: Sequence[str | Hardware]
    folder: str
    batches: Sequence[int] | None = None
    contexts: Sequence[int] | None = None
    weights: Sequence[str] = ()
    measured: str | None = None
    more: dict[str, Any] = field(default_factory=dict)  # as `build_grids` takes them: cache, runtime, threads ...
    command: str = ""  # that made it, where it was not `report`
    left_out: tuple[str, ...] = ()  # of what was measured
    remarks: tuple[str, ...] = ()  # on the machine, while that was measured


def run(request: Request) -> None:
    """Reads the measurements, if there are any, and writes the report."""
    if not request.models:
        raise InputError(
            "report: name models before --on, as in: roofcast report qwen3-30b-a3b --on pi5-16gb -o report"
        )
    if not request.devices:
        raise InputError("report: name devices with --on, as in: --on pi5-16gb rtx-4090 (roofcast list hardware)")
    n_pairs = len(request.models) * len(request.devices)
    if n_pairs > MAX_PAIRS:
        raise InputError(
            f"report: {counted(len(request.models), 'model')} on {counted(len(request.devices), 'device')}: {n_pairs} pairs, at most "
            f"{MAX_PAIRS} are readable on a page: make several reports"
        )
    folder = check_folder(request.folder, "-o", request.measured, *request.models, *request.devices)
    measured = []
    if request.measured:
        devices, models = (
            [load_hardware(each) for each in request.devices],
            [load_model(each) for each in request.models],
        )
        measured = load_measured(Path(request.measured), devices, models)
    print_line(write_report(request, folder, measured))


def check_folder(given: str, option: str, *inputs: Any) -> Path:
    """The folder of a report; InputError if it cannot be made or written in, or holds anything but an earlier report.

    None of the *inputs* may lie in it: another report would be written over what it reads.
    """
    folder, shown = Path(given), f"{option} {printable(given, 100)}"
    try:
        is_there = folder.exists()
    except OSError as error:
        raise InputError(f"{shown}: cannot be made ({error.strerror})") from None
    if is_there and not folder.is_dir():
        raise InputError(f"{shown}: is a file, a folder is needed")
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), folder)
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"{shown}: cannot be made, {there} {'is write-protected' if there.is_dir() else 'is a file'}")
    for name in inputs:
        if isinstance(name, str | Path) and is_file(Path(name)) and Path(name).resolve().parent == folder.resolve():
            raise InputError(f"{shown}: {printable(name, 100)} is read from this folder; give another one")
    if folder.is_dir():
        strange = next((path.name for path in folder.iterdir() if not _is_of_report(path.name, folder)), None)
        page_path = folder / PAGE
        if strange is None and page_path.exists() and not _is_ours(page_path):
            strange = PAGE
        if strange is not None:
            raise InputError(
                f"{shown}: holds {printable(strange, 60)}, which is of no report; give a new or empty folder"
            )
    return folder


def _is_of_report(name: str, folder: Path) -> bool:
    """Whether a report has a file of this name, or leaves one where it is killed."""
    return name in NAMES or is_leftover(name, folder)


def _is_ours(path: Path) -> bool:
    try:
        with open_file(path) as file:
            return MARK in file.read(MARK_BYTES)
    except (OSError, InputError):
        return False


def write_report(
    request: Request, folder: Path, measured: Sequence[Measured], more: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Pictures, data, the page and *more* files, all of them or none; returns a sentence on what was written."""
    with progress_bar("report") as progress:
        context = usual_context(measured, DEFAULT_CONTEXT)
        grids = build_grids(
            request.models,
            request.devices,
            weights=request.weights,
            batches=request.batches or BATCHES,
            contexts=request.contexts or {*CONTEXTS, context},
            context=context,
            progress=part_of(progress, 0.0, 0.3),
            **request.more,
        )
        grids = replace(grids, thinned=(*grids.thinned, *request.left_out))
        bases = [pair.base for pair in grids.pairs]
        charts = report_charts(bases, grids.batches, grids.contexts, grids.shown_context, measured)
        pictures = draw_all(charts, part_of(progress, 0.3, 0.9))
        progress(0.9, "data")
        data = _data(grids, measured)
        progress(0.95, PAGE)
        told = accuracy([base.hardware.device_class for base in bases])
        titles = [(f"{chart.kind}.png", chart.title) for chart in charts]
        files = [(name, FILES[name]) for name in data]
        text = page(grids, measured, request.command or _command(request), titles, told, files, request.remarks)
        write_together({**pictures, **data, **more, PAGE: text}, folder)
    several = len(grids.models), len(grids.devices), len(charts)
    return (
        f"{folder / PAGE}: {counted(several[0], 'model')} on {counted(several[1], 'device')}; beside it "
        f"{counted(several[2], 'picture')} as .png and .svg, forecasts.csv and forecasts.json"
    )


def report_measured(
    measured: Sequence[Measured],
    models: Mapping[str, str | Loaded],
    devices: Mapping[str, str | Hardware],
    folder: Path,
    command: str,
    remarks: tuple[str, ...] = (),
    more: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The report of what was measured most: *models* and *devices* by the names that the measurements have for them.

    *more*: files that are written with it.
    """
    kinds = (("model", MEASURED_MODELS), ("hardware", MEASURED_DEVICES))
    counts = {field: Counter(getattr(each, field) for each in measured) for field, _ in kinds}
    names, places = ([name for name, _ in counts[field].most_common(most)] for field, most in kinds)
    shown = [each for each in measured if each.model in names and each.hardware in places]
    runtimes = {each.runtime for each in shown}
    request = Request(
        [models[name] for name in names],
        [devices[name] for name in places],
        str(folder),
        weights=_formats_of_all(shown, [models[name] for name in names]),
        more={"runtime": runtimes.pop()} if len(runtimes) == 1 else {},
        command=command,
        remarks=remarks,
        left_out=tuple(
            f"{counted(len(counts[field]) - most, what)} with fewer measurements" for (field, most), what in
            zip(kinds, ("model", "device"), strict=True) if len(counts[field]) > most
        ),
    )  # fmt: skip
    return write_report(request, folder, measured, more)


def _formats_of_all(measured: Sequence[Measured], models: Sequence[str | Loaded]) -> list[str]:
    """The formats that were measured most, as far as the rows of every model divide into their blocks."""
    loaded = [each if isinstance(each, Loaded) else load_model(each) for each in models]
    names = [name for name, _ in Counter(each.weights for each in measured).most_common()]
    return [name for name in names if all(_suits(each, name) for each in loaded)][:MEASURED_FORMATS]


def _suits(model: Loaded, name: str) -> bool:
    try:
        weight_bytes(model.model, parse_weights(name))
    except (InputError, ValueError):
        return False
    return True


def _data(grids: Grids, measured: Sequence[Measured]) -> dict[str, str]:
    """Forecasts with the first routing as `simulate --json` has them and as a table, and measurements: files by name."""
    batches, contexts = np.array(grids.batches)[None, :], np.array(grids.contexts)[:, None]
    found = [
        row
        for pair in grids.pairs
        for in_format in pair.formats
        for row in records(in_format.base.at(batches, contexts))
    ]
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in found)
    files = {
        "forecasts.csv": as_csv([flattened(row) for row in found]),
        "forecasts.json": f'{{"predictions": [\n{lines}\n]}}\n',
    }
    return files | ({"measured.csv": as_csv([vars(each) for each in measured])} if measured else {})


def _command(request: Request) -> str:
    """What makes the same report again."""
    names, devices = map(model_argument, request.models), map(device_argument, request.devices)
    more = request.more
    given = {
        "batch": ",".join(map(str, request.batches or ())),
        "context": ",".join(map(str, request.contexts or ())),
        "weights": ",".join(request.weights),
        "measured": request.measured,
        **{name: more.get(name) for name in ("cache", "runtime", "threads", "sparsity")},
        "routing": ",".join(more.get("routings", ())),
        "devices": more["n_devices"] if (more.get("n_devices") or 1) > 1 else None,
    }
    options = [part for name, value in given.items() if value for part in (f"--{name}", str(value))]
    return shlex.join(["roofcast", "report", *names, "--on", *devices, *options, "-o", request.folder])
