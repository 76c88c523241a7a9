"""The command `plot`: one kind of picture, in a file or in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simulator.errors import InputError, hint, printable
from simulator.forecast.scenario import DEFAULT_CONTEXT, Scenario, scenario, usual_formats
from simulator.importers.open import load_model
from simulator.report.charts.bars import formats_chart, speed_chart
from simulator.report.charts.chart import Chart
from simulator.report.charts.experts import ROUTINGS, experts_chart, routing_chart
from simulator.report.charts.measurements import measured_chart
from simulator.report.charts.naming import told_apart
from simulator.report.charts.rates import BATCHES, batch_chart, context_chart
from simulator.report.charts.rooflines import ROOF_BATCHES, device_chart, roofline_chart
from simulator.report.charts.sparsity import FEW_BATCHES, sparsity_chart
from simulator.report.charts.traffic import bytes_chart
from simulator.report.measured import Measured, load_measured
from simulator.report.progress import progress_bar
from simulator.report.screen import print_line
from simulator.spec.hardware import Hardware, load_hardware, refuse_several
from simulator.spec.model import Loaded

CONTEXTS = (128, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
MAX_SCENARIOS, MAX_BARS = 24, 96  # of a picture


@dataclass(frozen=True)
class Request:
    """What is to be drawn."""

    kind: str
    models: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    batches: tuple[int, ...] | None = None
    contexts: tuple[int, ...] | None = None
    weights: tuple[str, ...] = ()
    routings: tuple[str, ...] = ()
    measured: str | None = None
    more: dict[str, Any] | None = None  # cache, runtime, threads, sparsity, devices: as `scenario` takes them

    @property
    def batch(self) -> int:
        """Where one is needed."""
        return self.batches[0] if self.batches else 1

    @property
    def context(self) -> int:
        """Where one is needed."""
        return self.contexts[0] if self.contexts else DEFAULT_CONTEXT


def run(request: Request, target: str | None) -> None:
    """Draws into a file, or in the terminal; InputError where something is missing or unknown."""
    if request.kind not in KINDS:
        raise InputError(f"plot {printable(request.kind)!r} is unknown, {hint(request.kind, KINDS)}")
    path = check_path(target, "-o") if target else None
    if request.kind == "device":
        _device(request, path)
        return
    show(_chart(request), path)


def check_path(target: str, option: str) -> Path | None:
    """Where a picture goes: a file, or for `-` the terminal."""
    if target == "-":
        return None
    from simulator.report.drawing.files import check_picture

    return check_picture(target, option)


def simulated_chart(bases: Sequence[Scenario], batches: Sequence[int], contexts: Sequence[int]) -> Chart:
    """The picture that shows what was asked: over the batch, over the context, of formats, or of what holds one step back."""
    bases = told_apart(bases)
    if len(batches) > 1:
        chart = batch_chart(bases, batches, contexts[0])
        return replace(chart, title=f"{chart.title}, context {contexts[0]:,}") if len(contexts) > 1 else chart
    if len(contexts) > 1:
        return context_chart(bases, contexts, batches[0])
    if len(bases) > 1:
        return formats_chart(bases, batches[0], contexts[0])
    return roofline_chart(bases, batches, contexts[0])


def show(chart: Chart, path: Path | None, quiet: bool = False) -> None:
    """A chart in a file, with a word on what was written unless *quiet*, or in the terminal."""
    if path is None:
        from simulator.report.terminal.picture import print_chart

        print_chart(chart)
        return
    from simulator.report.drawing.picture import save_chart

    with progress_bar("drawing") as progress:
        progress(0.3, chart.title)
        save_chart(chart, path)
    stream = sys.stderr if quiet else sys.stdout
    print_line(f"{path}: {chart.title[:1].lower()}{chart.title[1:]}", stream=stream)


# ---- what is drawn ----


def _chart(request: Request) -> Chart:
    measured = _measured(request)
    if request.kind == "measured":
        return measured_chart(measured, printable(Path(request.measured).name))
    return KINDS[request.kind](request, scenarios(request), measured)


def _measured(request: Request) -> list[Measured]:
    if request.measured is None:
        if request.kind == "measured":
            raise InputError("plot measured needs --measured FILE: of validate --json, of llama-bench, or a CSV")
        return []
    devices = [load_hardware(each) for each in request.devices]
    return load_measured(Path(request.measured), devices, [load_model(each) for each in request.models])


def scenarios(request: Request) -> list[Scenario]:
    """Every model on every device in every format."""
    if not request.models:
        raise InputError(
            f"plot {request.kind}: name a model, as in: roofcast plot {request.kind} qwen3-30b-a3b --on pi5-16gb"
        )
    if not request.devices:
        raise InputError(f"plot {request.kind}: name a device with --on, as in: --on pi5-16gb (roofcast list hardware)")
    models = [load_model(each) for each in dict.fromkeys(request.models)]
    devices = [load_hardware(each) for each in dict.fromkeys(request.devices)]
    found = [base for device in devices for model in models for base in _in_formats(model, device, request)]
    found = told_apart(found)
    most = MAX_BARS if request.kind in ("formats", "speed") else MAX_SCENARIOS
    if len(found) > most:
        raise InputError(
            f"plot {request.kind}: {len(found):,} models on devices are too many for one picture, at most {most:,}"
        )
    return found


def _in_formats(model: Loaded, device: Hardware, request: Request) -> list[Scenario]:
    """One scenario for each format that was named, or for the one that fits; where formats are compared, for the usual ones."""
    routing = {"routing": request.routings[0]} if len(request.routings) == 1 else {}
    shared = {"batch": request.batch, "context": request.context, **(request.more or {}), **routing}
    found = [scenario(model, device, weights=name, **shared) for name in request.weights or (None,)]
    if request.kind == "formats" and not request.weights:
        return [replace(found[0], load=replace(found[0].load, weights=each)) for each in usual_formats(found[0])]
    return found


KINDS: dict[str, Callable[[Request, list[Scenario], list[Measured]], Chart] | None] = {
    "speed": lambda r, bases, measured: speed_chart(bases, r.batch, r.context, measured),
    "batch": lambda r, bases, measured: batch_chart(bases, r.batches or BATCHES, r.context, measured),
    "context": lambda r, bases, measured: context_chart(bases, r.contexts or CONTEXTS, r.batch, measured),
    "experts": lambda r, bases, _: experts_chart(bases, r.batches or BATCHES, r.routings),
    "bytes": lambda r, bases, _: bytes_chart(bases, r.batches or BATCHES, r.context),
    "formats": lambda r, bases, measured: formats_chart(bases, r.batch, r.context, measured),
    "roofline": lambda r, bases, _: roofline_chart(bases, r.batches or ROOF_BATCHES, r.context),
    "sparsity": lambda r, bases, _: sparsity_chart(bases, r.batches or FEW_BATCHES, r.context),
    "routing": lambda r, bases, _: routing_chart(bases, r.batches or BATCHES, r.context, r.routings or ROUTINGS),
    "measured": None,  # these two are of no model on a device
    "device": None,
}


def _device(request: Request, path: Path | None) -> None:
    if request.models:
        raise InputError(
            "plot device: a device alone is drawn, leave the model out; plot roofline puts one under the roof"
        )
    if len(request.devices) != 1:
        raise InputError("plot device: name one device with --on, as in: roofcast plot device --on pi5-16gb")
    device = load_hardware(request.devices[0])
    refuse_several(device, "plot device: a roofline")
    show_device(device, path)


def show_device(hardware: Hardware, path: Path | None) -> None:
    """The roofline of a device, and in a file also how fast it reads."""
    if path is None:
        show(device_chart(hardware), None)
        return
    from simulator.report.drawing.device import write_plot

    print_line(write_plot(hardware, path))
