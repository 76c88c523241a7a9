"""The command `report`: its options, and one page that answers what readers ask, its pictures beside it, and the data, in a folder."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from simulator.commands.line import options
from simulator.commands.line.parser import option, subcommand
from simulator.commands.line.targets import named_files
from simulator.commands.line.values import number, parse_names, parse_shown_grid, whole_number
from simulator.commands.report_folder import FILES, PAGE, check_folder
from simulator.errors import InputError
from simulator.forecast.planning.goal import Goal
from simulator.forecast.scenario import DEFAULT_CONTEXT
from simulator.importers.open import load_model
from simulator.progress import part_of
from simulator.report.accuracy import accuracy
from simulator.report.charts.rates import BATCHES
from simulator.report.decision import decision
from simulator.report.grid import CONTEXTS, Grids, build_grids, device_argument, model_argument
from simulator.report.measured import Measured, load_measured, usual_context
from simulator.report.page import page
from simulator.report.pictures import draw_all, report_charts
from simulator.report.progress import progress_bar
from simulator.report.record import as_csv, flattened, records, write_together
from simulator.report.screen import print_line
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, weight_bytes
from simulator.units import counted

MAX_PAIRS = 64
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
    wide: int | None = None  # percentage of a second interval
    at_least: float | None = None  # tokens per second that each user has to get
    users: int = 1


@subcommand("report")
@options.models
@options.on_devices
@option("-o", "--output", metavar="DIR", default="report", help="The folder, made if needed.")
@option("--batch", help="Batches to choose from. [default: 1..256*2]")
@option("--context", help="Contexts to choose from. [default: 128 to 128k]")
@option("--weights", help="Formats to choose from. [default: what people use]")
@option("--cache", help="Format of the cache. [default: the runtime's]")
@options.runtime
@options.threads
@option("--routing", help="Routings of experts to choose from. [default: uniform,zipf:1.2,worst]")
@option("--sparsity", help="Zero inputs of the linear layers: q-sparse:0.5.")
@options.n_devices
@option("--at-least", type=number, metavar="TOKENS/S", help="What each user has to get, for what should be done.")
@option("--users", type=whole_number, metavar="INTEGER", default=1, help="So many at once.")
@options.interval
@options.measured
def command(
    models: tuple[str, ...],
    on: tuple[str, ...],
    output: str,
    batch: str | None,
    context: str | None,
    weights: str | None,
    routing: str | None,
    measured: str | None,
    devices: int | None,
    at_least: float | None,
    users: int,
    interval: int | None,
    **assumed: Any,  # cache, runtime, threads, sparsity: as `build_grids` takes them
) -> None:
    """Write a page that answers what readers ask about MODELs on HARDWARE, with pictures and data beside it."""
    texts = {"on": on, "output": output, "batch": batch, "context": context, "weights": weights}
    texts |= {"cache": assumed["cache"], "runtime": assumed["runtime"], "measured": measured, "routing": routing}
    options.refuse_empty(texts | {"sparsity": assumed["sparsity"]})
    batches, contexts = parse_shown_grid(batch, context)
    formats = parse_names("--weights", weights)
    routings = {"routings": parse_names("--routing", routing)} if routing else {}
    run(
        Request(
            models=list(dict.fromkeys(models)),
            devices=list(dict.fromkeys(options.device_names(on))),
            folder=output,
            batches=batches,
            contexts=contexts,
            weights=formats,
            measured=measured,
            more={**assumed, "n_devices": devices, **routings},
            wide=options.parse_coverage(interval),
            at_least=at_least,
            users=users,
        )
    )


def run(request: Request) -> None:
    """Reads the measurements, if there are any, and writes the report."""
    if not request.models:
        raise InputError(
            "report: name models before --on, as in: roofcast report qwen3-30b-a3b --on pi5-16gb -o report"
        )
    if not request.devices:
        raise InputError("report: name devices with --on, as in: --on pi5-16gb rtx-4090 (roofcast list hardware)")
    Goal(request.at_least, request.users)  # a mistake in it is told before anything is done
    n_pairs = len(request.models) * len(request.devices)
    if n_pairs > MAX_PAIRS:
        raise InputError(
            f"report: {counted(len(request.models), 'model')} on {counted(len(request.devices), 'device')}: {n_pairs} pairs, at most "
            f"{MAX_PAIRS} are readable on a page: make several reports"
        )
    named = (request.measured, *request.models, *request.devices, *request.more.values())
    folder = check_folder(request.folder, "-o", *named_files(named))
    measured = []
    if request.measured:
        devices, models = (
            [load_hardware(each) for each in request.devices],
            [load_model(each) for each in request.models],
        )
        measured = load_measured(Path(request.measured), devices, models)
    print_line(write_report(request, folder, measured))


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
        grids = replace(grids, thinned=(*grids.thinned, *request.left_out), wide=request.wide)
        bases = [pair.base for pair in grids.pairs]
        charts = report_charts(bases, grids.batches, grids.contexts, grids.shown_context, measured)
        pictures = draw_all(charts, part_of(progress, 0.3, 0.9))
        progress(0.9, "data")
        data = _data(grids, measured)
        progress(0.95, PAGE)
        told = accuracy([base.hardware.device_class for base in bases])
        titles = [(f"{chart.kind}.png", chart.title) for chart in charts]
        files = [(name, FILES[name]) for name in data]
        goal = Goal(request.at_least, request.users, grids.shown_context)
        decided = decision(request.models, request.devices, goal, request.weights, request.more)
        command = request.command or _command(request)
        text = page(grids, measured, command, titles, told, files, request.remarks, decided)
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
        for row in records(in_format.base.at(batches, contexts), grids.wide)
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
        "interval": request.wide,
        "at-least": f"{request.at_least:g}" if request.at_least else None,
        "users": request.users if request.users > 1 else None,
        "devices": more["n_devices"] if (more.get("n_devices") or 1) > 1 else None,
    }
    options = [part for name, value in given.items() if value for part in (f"--{name}", str(value))]
    return shlex.join(["roofcast", "report", *names, "--on", *devices, *options, "-o", request.folder])
