"""The command `plot`: its options, and one kind of picture, in a file or in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.commands.line import options
from simulator.commands.line.parser import argument, option, subcommand, target
from simulator.commands.line.values import parse_names, parse_shown_grid
from simulator.commands.picture import check_path, show, show_device
from simulator.errors import InputError, hint, printable
from simulator.forecast.scenario import DEFAULT_CONTEXT, Scenario, scenario, usual_formats
from simulator.importers.open import load_model
from simulator.importers.routing_record import SUFFIX, read_record
from simulator.report.charts.bars import formats_chart, speed_chart
from simulator.report.charts.chart import Chart
from simulator.report.charts.experts import ROUTINGS, experts_chart, routing_chart
from simulator.report.charts.measurements import measured_chart
from simulator.report.charts.naming import told_apart
from simulator.report.charts.rates import BATCHES, batch_chart, context_chart
from simulator.report.charts.recorded import recorded_chart
from simulator.report.charts.requests import PROMPTS, prompt_chart
from simulator.report.charts.rooflines import ROOF_BATCHES, roofline_chart
from simulator.report.charts.sparsity import FEW_BATCHES, sparsity_chart
from simulator.report.charts.speculation import speculation_chart
from simulator.report.charts.split import split_chart
from simulator.report.charts.traffic import bytes_chart
from simulator.report.measured import Measured, load_measured
from simulator.spec.hardware import Hardware
from simulator.spec.library import is_file
from simulator.spec.machine import load_hardware, refuse_several
from simulator.spec.model import Loaded
from simulator.spec.speculation import Speculation, asked_for
from simulator.sweeping.folder import is_sweep, read_manifest

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
    speculation: Speculation | None = None
    more: dict[str, Any] | None = None  # cache, runtime, threads, sparsity, devices: as `scenario` takes them

    @property
    def batch(self) -> int:
        """Where one is needed."""
        return self.batches[0] if self.batches else 1

    @property
    def context(self) -> int:
        """Where one is needed."""
        return self.contexts[0] if self.contexts else DEFAULT_CONTEXT


KINDS: dict[str, Callable[[Request, list[Scenario], list[Measured]], Chart] | None] = {
    "speed": lambda r, bases, measured: speed_chart(bases, r.batch, r.context, measured),
    "batch": lambda r, bases, measured: batch_chart(bases, r.batches or BATCHES, r.context, measured),
    "context": lambda r, bases, measured: context_chart(bases, r.contexts or CONTEXTS, r.batch, measured),
    "prompt": lambda r, bases, _: prompt_chart(bases, r.contexts or PROMPTS),
    "experts": lambda r, bases, _: experts_chart(bases, r.batches or BATCHES, r.routings),
    "bytes": lambda r, bases, _: bytes_chart(bases, r.batches or BATCHES, r.context),
    "formats": lambda r, bases, measured: formats_chart(bases, r.batch, r.context, measured),
    "roofline": lambda r, bases, _: roofline_chart(bases, r.batches or ROOF_BATCHES, r.context),
    "sparsity": lambda r, bases, _: sparsity_chart(bases, r.batches or FEW_BATCHES, r.context),
    "routing": lambda r, bases, _: routing_chart(bases, r.batches or BATCHES, r.context, r.routings or ROUTINGS),
    "split": lambda r, bases, _: split_chart(bases, r.batch, r.context),
    "speculation": lambda r, bases, _: speculation_chart(bases, r.batches or (1,), r.context, r.speculation),
    "measured": None,  # these two are of no model on a device
    "device": None,
}
_NAMES = list(KINDS)


@subcommand("plot")
@argument("kind", f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}.")
@options.models
@options.on_devices
@target("-o", "--output", help="A .png, .svg or .pdf. [default: drawn in the terminal]")
@option("--batch", help="Sequences decoded at once: 1,2,4 or 1..64*2.")
@option("--context", help="Tokens already in each cache, or of a prompt: 1024,8k.")
@option("--weights", help="Formats: q4_k_m,q8_0. [default: what fits]")
@option("--cache", help="Format of the cache. [default: the runtime's]")
@options.runtime
@options.threads
@option("--routing", help="Of experts: uniform,zipf:1.2,worst. [default: uniform, or for plot routing several]")
@option("--sparsity", help="Zero inputs of the linear layers: q-sparse:0.5.")
@options.speculate
@options.draft
@options.draft_weights
@options.n_devices
@options.measured
def command(
    kind: str,
    models: tuple[str, ...],
    on: tuple[str, ...],
    output: str | None,
    batch: str | None,
    context: str | None,
    weights: str | None,
    routing: str | None,
    speculate: str | None,
    draft: str | None,
    draft_weights: str | None,
    measured: str | None,
    **assumed: Any,  # cache, runtime, threads, sparsity, devices: as `scenario` takes them
) -> None:
    """Draw one kind of picture, in a file or in the terminal."""
    texts = {"on": on, "output": output, "batch": batch, "context": context, "weights": weights}
    texts |= {"cache": assumed["cache"], "runtime": assumed["runtime"], "routing": routing}
    texts |= {"speculate": speculate, "draft": draft, "draft-weights": draft_weights}
    options.refuse_empty(texts | {"sparsity": assumed["sparsity"], "measured": measured})
    batches, contexts = parse_shown_grid(batch, context)
    request = Request(
        kind=kind,
        models=models,
        devices=tuple(options.device_names(on)),
        batches=batches,
        contexts=contexts,
        weights=parse_names("--weights", weights),
        routings=parse_names("--routing", routing),
        measured=measured,
        speculation=_drafts(kind, asked_for(speculate, draft, draft_weights)),
        more=assumed,
    )
    run(request, output)


def _drafts(kind: str, asked: Speculation | None) -> Speculation | None:
    """What is asked for of drafts; InputError where the picture has none."""
    if asked is not None and kind in KINDS and kind != "speculation":
        raise InputError(f"plot {kind} has no drafts: leave --speculate and --draft out, or draw plot speculation")
    return asked


def run(request: Request, target: str | None) -> None:
    """Draws into a file, or in the terminal; InputError where something is missing or unknown."""
    if request.kind not in KINDS:
        raise InputError(f"plot {printable(request.kind)!r} is unknown, {hint(request.kind, KINDS)}")
    path = check_path(target, "-o") if target else None
    if request.kind == "device":
        _device(request, path)
        return
    if request.kind == "routing" and len(request.models) == 1 and request.models[0].endswith(SUFFIX):
        show(_recorded(request), path)
        return
    if request.models and is_sweep(request.models[0]):
        show(_of_sweep(request), path)
        return
    swept = next(filter(is_sweep, request.models), None)
    if swept is not None:
        raise InputError(f"plot {request.kind}: {printable(swept, 100)} is a sweep: name it before the models")
    show(_chart(request), path)


def _of_sweep(request: Request) -> Chart:
    """What a folder of a sweep holds, of it what the names and options behind it choose."""
    from simulator.report.charts.swept import KINDS as OF_SWEEPS
    from simulator.report.charts.swept import swept_chart
    from simulator.sweeping.reading import open_sweep

    folder, *models = request.models
    if request.kind not in OF_SWEEPS:
        raise InputError(f"plot {request.kind}: of a sweep there are pictures of {', '.join(OF_SWEEPS)}")
    more = request.more or {}
    given = {"model": models, "hardware": request.devices, "weights": request.weights, "routing": request.routings,
             "cache": more.get("cache"), "runtime": more.get("runtime")}  # fmt: skip
    sweep = open_sweep(folder)
    return swept_chart(request.kind, sweep, request.batches, request.contexts, **{k: v for k, v in given.items() if v})


def _chart(request: Request) -> Chart:
    measured = _measured(request)
    if request.kind == "measured":
        return measured_chart(measured, printable(Path(request.measured).name))
    return KINDS[request.kind](request, scenarios(request), measured)


def _recorded(request: Request) -> Chart:
    """A record of a router's choices, which is of no device."""
    if request.devices:
        raise InputError(
            "plot routing: a record is drawn alone, leave --on out; plot routing MODEL --on HARDWARE --routing FILE forecasts with it"
        )
    return recorded_chart(read_record(Path(request.models[0])))


def _measured(request: Request) -> list[Measured]:
    if request.measured is None:
        if request.kind == "measured":
            raise InputError("plot measured needs --measured FILE: of validate --json, of llama-bench, or a CSV")
        return []
    devices = [load_hardware(each) for each in request.devices]
    return load_measured(Path(request.measured), devices, [load_model(each) for each in request.models])


def _model_or_sweep(kind: str, given: str) -> Loaded:
    """A model; InputError for what is none, which of some pictures may be meant as the folder of a sweep."""
    from simulator.report.charts.swept import KINDS as OF_SWEEPS

    if kind not in OF_SWEEPS:
        return load_model(given)
    if given.endswith("/") and not Path(given, "config.json").exists():
        read_manifest(Path(given))
    try:
        return load_model(given)
    except InputError as error:
        if is_file(Path(given)):
            raise
        told = "neither a model nor the folder of a sweep (roofcast sweep FILE.yaml -o OUT/ makes one)"
        raise InputError(f"{told}: {error}") from None


def scenarios(request: Request) -> list[Scenario]:
    """Every model on every device in every format."""
    if not request.models:
        raise InputError(
            f"plot {request.kind}: name a model, as in: roofcast plot {request.kind} qwen3-30b-a3b --on pi5-16gb"
        )
    if not request.devices:
        _model_or_sweep(request.kind, request.models[0])
        raise InputError(f"plot {request.kind}: name a device with --on, as in: --on pi5-16gb (roofcast list hardware)")
    models = [_model_or_sweep(request.kind, each) for each in dict.fromkeys(request.models)]
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
        return [found[0].in_weights(each) for each in usual_formats(found[0])]
    return found


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
