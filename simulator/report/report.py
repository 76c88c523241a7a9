"""The command `report`: one page that answers what readers ask, its pictures beside it, and the data, in a folder."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError, printable
from simulator.hardware import Hardware, load_hardware
from simulator.model import Loaded, load_model
from simulator.report.grid import BATCHES, CONTEXTS, Grids, build_grids
from simulator.report.measured import Measured, accuracy, load_measured
from simulator.report.page import page
from simulator.report.pictures import draw_all, report_charts
from simulator.report.progress import Progress, progress_bar
from simulator.report.record import check_target, flattened, records, write_csv, write_whole

MAX_PAIRS = 64
PAGE = "index.html"
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
    more: dict[str, Any] = field(default_factory=dict)  # cache, runtime, threads: as `scenario` takes them


def run(request: Request) -> None:
    """Reads the measurements, if there are any, and writes the report."""
    folder = check_folder(request.folder)
    if not request.models:
        raise InputError(
            "report: name models before --on, as in: roofcast report qwen3-30b-a3b --on pi5-16gb -o report"
        )
    if not request.devices:
        raise InputError("report: name devices with --on, as in: --on pi5-16gb rtx-4090 (roofcast list hardware)")
    n_pairs = len(request.models) * len(request.devices)
    if n_pairs > MAX_PAIRS:
        raise InputError(
            f"report: {len(request.models)} models on {len(request.devices)} devices are {n_pairs} pairs, at most "
            f"{MAX_PAIRS} are readable on a page: make several reports"
        )
    measured = []
    if request.measured:
        devices, models = (
            [load_hardware(each) for each in request.devices],
            [load_model(each) for each in request.models],
        )
        measured = load_measured(Path(request.measured), devices, models)
    print(write_report(request, folder, measured))


def check_folder(given: str, option: str = "-o") -> Path:
    """The folder of a report, made if it is not there; InputError if nothing can be written in it."""
    folder = Path(given)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{option} {printable(given, 100)}: is a file, a folder is needed")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{option} {printable(given, 100)}: cannot be made ({error.strerror})") from None
    check_target(str(folder / PAGE), option)
    return folder


def write_report(request: Request, folder: Path, measured: Sequence[Measured]) -> str:
    """Pictures and data first, the page last, each file whole or not at all; returns a sentence on what was written."""
    with progress_bar("report") as progress:
        grids = build_grids(
            request.models,
            request.devices,
            weights=request.weights,
            batches=request.batches or BATCHES,
            contexts=request.contexts or CONTEXTS,
            progress=_part(progress, 0.0, 0.3),
            **request.more,
        )
        bases = [pair.base for pair in grids.pairs]
        charts = report_charts(bases, grids.batches, grids.contexts, grids.shown_context, measured)
        pictures = draw_all(charts, folder, _part(progress, 0.3, 0.9))
        progress(0.9, "data")
        files = _write_data(grids, measured, folder)
        progress(0.95, PAGE)
        told = accuracy([base.hardware.device_class for base in bases])
        titles = [(name, chart.title) for name, chart in zip(pictures, charts, strict=True)]
        write_whole(folder / PAGE, page(grids, measured, _command(request), titles, told, files))
    several = len(grids.models), len(grids.devices), len(charts)
    return (
        f"{folder / PAGE}: {_counted(several[0], 'model')} on {_counted(several[1], 'device')}; beside it "
        f"{_counted(several[2], 'picture')} as .png and .svg, forecasts.csv and forecasts.json"
    )


def report_measured(
    measured: Sequence[Measured],
    models: Mapping[str, str | Loaded],
    devices: Mapping[str, str | Hardware],
    folder: Path,
) -> str:
    """The report of what was measured most: *models* and *devices* by the names that the measurements have for them."""
    names, places = (
        [name for name, _ in Counter(getattr(each, field) for each in measured).most_common(most)]
        for field, most in (("model", MEASURED_MODELS), ("hardware", MEASURED_DEVICES))
    )
    shown = [each for each in measured if each.model in names and each.hardware in places]
    formats = [name for name, _ in Counter(each.weights for each in shown).most_common(MEASURED_FORMATS)]
    request = Request(
        [models[name] for name in names],
        [devices[name] for name in places],
        str(folder),
        weights=formats,
        more={"runtime": shown[0].runtime} if len({each.runtime for each in shown}) == 1 else {},
    )
    try:
        return write_report(request, folder, measured)
    except InputError:  # a format of one model does not suit the shapes of another
        return write_report(replace(request, weights=()), folder, measured)


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda share, what: progress(start + share * (end - start), what)


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _write_data(grids: Grids, measured: Sequence[Measured], folder: Path) -> list[tuple[str, str]]:
    """Forecasts with the first routing as `simulate --json` has them and as a table, and measurements; the files' names."""
    batches, contexts = np.array(grids.batches)[None, :], np.array(grids.contexts)[:, None]
    found = [
        row
        for pair in grids.pairs
        for in_format in pair.formats
        for row in records(in_format.base.at(batches, contexts))
    ]
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in found)
    write_whole(folder / "forecasts.json", f'{{"predictions": [\n{lines}\n]}}\n')
    write_csv([flattened(row) for row in found], folder / "forecasts.csv")
    if measured:
        write_csv([vars(each) for each in measured], folder / "measured.csv")
    files = [
        ("forecasts.csv", "every format, batch and context, as a table"),
        ("forecasts.json", "the same for programs"),
    ]
    return [*files, *([("measured.csv", "the measurements with their forecasts")] if measured else [])]


def _command(request: Request) -> str:
    """What makes the same report again."""
    names = [str(each.path or each.model.name) if isinstance(each, Loaded) else each for each in request.models]
    devices = [each.name if isinstance(each, Hardware) else each for each in request.devices]
    given = {
        "batch": ",".join(map(str, request.batches or ())),
        "context": ",".join(map(str, request.contexts or ())),
        "weights": ",".join(request.weights),
        "measured": request.measured,
        **request.more,
    }
    options = [part for name, value in given.items() if value for part in (f"--{name}", str(value))]
    return shlex.join(["roofcast", "report", *names, "--on", *devices, *options, "-o", request.folder])
