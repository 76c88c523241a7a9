"""The command `roofcast`: arguments in, a table or JSON out, and one sentence where something is wrong."""

from __future__ import annotations

import gc

# Most of a forecast's time is importing, where collecting garbage finds none: so this stands before the imports.
gc.set_threshold(100_000)

import itertools
import math
import re
import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.commands.ending import MISTAKE, ending_in_words, fail
from simulator.errors import InputError, hint, is_plain_line, printable
from simulator.interrupts import STATUS, end_interrupted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from simulator.forecast.scenario import Scenario


def _narrow_width() -> int | None:
    """Columns of a terminal that the help is too wide for if nobody tells it; None of any other."""
    width = shutil.get_terminal_size().columns
    return width if sys.stdout is not None and sys.stdout.isatty() and 20 <= width < 52 else None


app = typer.Typer(
    name="roofcast",
    help="Forecast how many tokens per second a language model decodes on a machine, and what holds it back.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": _narrow_width()},
)

_NUMBER = r"(\d+[kKmM]?)"
_MAX_DIGITS = 12
_SINGLE = re.compile(_NUMBER)
_RANGE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}(?:([*+]){_NUMBER})?")
_UNITS = {"k": 1024, "m": 1024**2}
MAX_VALUES = 10_000
MAX_POINTS = 2_000
MAX_SHOWN = 64  # batches or contexts of a picture
PLOTS = (
    "speed",
    "batch",
    "context",
    "experts",
    "bytes",
    "formats",
    "roofline",
    "sparsity",
    "routing",
    "measured",
    "device",
)


def parse_counts(text: str, option: str, highest: int) -> list[int]:
    """`1,2,4`, `1..8`, `1..64*2` (doubling), `0..32k+4k`; k is 1024, m 1024 k. InputError names the option."""
    counts: list[int] = []
    for part in (each.strip() for each in text.split(",")):
        is_number = _SINGLE.fullmatch(part) or _RANGE.fullmatch(part)
        if is_number and any(len(digits.lstrip("0")) > _MAX_DIGITS for digits in re.findall(r"\d+", part)):
            raise InputError(f"{option} {printable(part, 30)}: too large, at most {highest:,}")
        counts += _counts_of(part, text, option)
        if len(counts) > MAX_VALUES:
            raise InputError(f"{option} {text[:60]!r}: more than {MAX_VALUES:,} values")
    if max(counts) > highest:
        raise InputError(f"{option} {max(counts):,}: too large, at most {highest:,}")
    return list(dict.fromkeys(counts))


def _counts_of(part: str, text: str, option: str) -> list[int]:
    single = _SINGLE.fullmatch(part)
    if single:
        return [_count(single[1])]
    span = _RANGE.fullmatch(part)
    if not span:
        raise InputError(
            f"{option} {text[:60]!r}: write numbers such as 1,2,8k or a range such as 1..64*2 or 0..32k+4k"
        )
    low, high, step = _count(span[1]), _count(span[2]), _count(span[4] or "1")
    if high < low:
        raise InputError(f"{option} {part}: a range runs from a smaller to a larger number")
    if span[3] == "*":
        if step < 2 or low < 1:
            raise InputError(
                f"{option} {part}: a range that multiplies starts at 1 or more and multiplies by 2 or more"
            )
        return [low * step**power for power in range(64) if low * step**power <= high]
    if step < 1:
        raise InputError(f"{option} {part}: the step is 0, at least 1 is needed")
    if (high - low) // step > MAX_VALUES:
        raise InputError(f"{option} {part}: more than {MAX_VALUES:,} values, write a step as in {span[1]}..{span[2]}*2")
    return list(range(low, high + 1, step))


def _count(text: str) -> int:
    unit = _UNITS.get(text[-1].lower())
    return int(text[:-1]) * unit if unit else int(text)


def whole_number(text: str) -> int:
    """An option's value as a whole number."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{printable(text)!r}: a whole number is needed") from None


def number(text: str) -> float:
    """An option's value as a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise typer.BadParameter(f"{printable(text)!r}: a number is needed")
    return value


# What several commands take alike.
_Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL...", help="Names (roofcast list models), YAML, GGUF or config.json."),
]
_Devices = Annotated[
    list[str] | None, typer.Option("--on", metavar="HARDWARE...", help="Names (roofcast list hardware) or YAML.")
]
_Threads = Annotated[
    int | None, typer.Option(parser=whole_number, metavar="INTEGER", help="CPU threads. [default: the device's]")
]
_Count = Annotated[
    int | None,
    typer.Option(
        parser=whole_number,
        metavar="INTEGER",
        help="So many of a device hold a model together, as in 2xrtx-3090. [default: 1]",
    ),
]
_Measured = Annotated[
    str | None, typer.Option(metavar="FILE", help="Measurements to show, of validate --json, llama-bench or a CSV.")
]
_Plot = Annotated[
    str | None, typer.Option(metavar="FILE", help="Draw it, as .png, .svg or .pdf, or - in the terminal.")
]
_Json = Annotated[str | None, typer.Option(help="Write JSON to a file, or - for standard output.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from simulator import __version__

        print(f"roofcast {__version__}")
        raise typer.Exit


@app.command()
def simulate(
    model: Annotated[str, typer.Argument(help="Name (roofcast list models), YAML, GGUF or config.json.")],
    hardware: Annotated[str, typer.Argument(help="Name (roofcast list hardware) or YAML.")],
    batch: Annotated[str, typer.Option(help="Sequences decoded at once: 1,2,4 or 1..64*2.")] = "1..32*2",
    context: Annotated[str | None, typer.Option(help="Tokens already in each cache: 1024,8k. [default: 1024]")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Formats: q4_k_m,q8_0, f16, fp8, int4-g128, mxfp4+bf16, 2.70bpw. [default: what fits]"),
    ] = None,
    cache: Annotated[
        str | None, typer.Option(help="Format of the cache: f16, q8_0, fp8. [default: the runtime's]")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="llama.cpp, vllm, roofcast, roofline (hardware alone) or YAML. [default: by device]"),
    ] = None,
    threads: _Threads = None,
    routing: Annotated[
        str, typer.Option(help="How a batch picks experts: uniform, worst, zipf:1.2, switch:1.25, FILE.json, FILE.csv.")
    ] = "uniform",
    sparsity: Annotated[
        str | None, typer.Option(help="Zero inputs of the linear layers: q-sparse:0.5, teal:0.4, FILE.yaml.")
    ] = None,
    density: Annotated[
        str | None, typer.Option(help="Share of the layers that tokens read: fixed:0.5, beta:2,5, FILE.yaml, FILE.csv.")
    ] = None,
    devices: _Count = None,
    json: _Json = None,
    plot: _Plot = None,
) -> None:
    """Forecast tokens per second of MODEL on HARDWARE."""
    from simulator.forecast.scenario import DEFAULT_CONTEXT, scenario, sweep
    from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

    texts = {"batch": batch, "context": context, "weights": weights, "cache": cache, "runtime": runtime, "plot": plot}
    _refuse_empty(texts | {"routing": routing, "sparsity": sparsity, "density": density, "json": json})
    picture = _picture(plot, json)
    if plot is not None and density is not None:
        raise InputError("--density gives a distribution for each point, which has no picture: leave --plot out")
    batches = parse_counts(batch, "--batch", MAX_BATCH)
    contexts = parse_counts(context, "--context", MAX_CONTEXT) if context else [DEFAULT_CONTEXT]
    if min(batches) < 1:
        raise InputError("--batch: at least 1 sequence is needed")
    shared = {"cache": cache, "runtime": runtime, "threads": threads, "routing": routing, "sparsity": sparsity}
    shared |= {"devices": devices, "batch": min(batches), "context": min(contexts)}
    names = list(dict.fromkeys(weights.split(","))) if weights else [None]
    n_points = len(names) * len(batches) * len(contexts)
    if n_points > MAX_POINTS:
        raise InputError(
            f"{n_points:,} points are too many for the command (at most {MAX_POINTS:,}); the Python API takes arrays"
        )
    if names[0] is not None and not all(name.strip() for name in names):
        raise InputError(f"--weights {printable(weights)!r}: a format is missing at a comma")
    bases = _each_format_once(scenario(model, hardware, weights=name, **shared) for name in names)
    _report([(base, sweep(base, batches, contexts)) for base in bases], density, json)
    if plot is not None:
        from simulator.commands.plot import show, simulated_chart

        show(simulated_chart(bases, batches, contexts), picture, json == "-")


def _each_format_once(bases: Iterable[Scenario]) -> list[Scenario]:
    """Without those whose format came before in another spelling: `fp16` behind `f16`."""
    found: dict[str, Scenario] = {}
    for base in bases:
        found.setdefault(base.load.weights.name, base)
    return list(found.values())


def _picture(plot: str | None, json: str | None) -> Path | None:
    """The path of a picture, checked before anything else is done; None for the terminal."""
    _refuse_both(plot, json)
    if plot is None:
        return None
    from simulator.commands.plot import check_path

    return check_path(plot, "--plot")


def _refuse_both(plot: str | None, json: str | None) -> None:
    if plot == "-" and json == "-":
        raise InputError("--plot - and --json - both want the standard output: give one of them a file")


def _refuse_empty(texts: dict[str, str | None]) -> None:
    for option, text in texts.items():
        if option == "on" and text is not None and not text.strip():
            raise InputError("--on: name a device after it, as in --on pi5-16gb (roofcast list hardware)")
        if text is not None and not text.strip():
            raise InputError(f"--{option}: nothing is given after it; leave it out for the default")


def _report(sweeps: list, density: str | None, json: str | None) -> None:
    """JSON where it is asked for, and the table unless JSON takes the standard output."""
    from simulator.forecast.scenario import with_density
    from simulator.spec.density import parse_density

    profile = parse_density(density) if density is not None else None
    points = [point for _, each in sweeps for point in each]
    densities = [with_density(point, profile) if profile and point.fits else None for point in points]
    if json is not None:
        from simulator.report.record import record, write_json

        rows = [record(point, found, density) for point, found in zip(points, densities, strict=True)]
        write_json({"predictions": rows}, json)
    if json != "-":
        from simulator.report.table import density_lines, print_forecast

        found = [(point, each) for point, each in zip(points, densities, strict=True) if each]
        print_forecast(sweeps, density_lines(found, density) if profile else ())


@app.command()
def generate(
    model: Annotated[str, typer.Argument(help="GGUF file; or a name or YAML, which gets random weights.")],
    prompt: Annotated[str | None, typer.Option(help="Text to go on from.")] = None,
    tokens: Annotated[
        int, typer.Option(parser=whole_number, metavar="INTEGER", help="How many to generate, at most.")
    ] = 64,
    threads: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="INTEGER", help="CPU threads. [default: all cores]")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(parser=whole_number, metavar="INTEGER", help="Room for so many tokens. [default: what is needed]"),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(parser=number, metavar="FLOAT", help="0 takes the likeliest token, 1 draws as the model says."),
    ] = 0.0,
    seed: Annotated[
        int, typer.Option(parser=whole_number, metavar="INTEGER", help="Of the drawing, and of random weights.")
    ] = 0,
    chat: Annotated[bool, typer.Option("--chat", help="Put the prompt into the model's chat template.")] = False,
    weights: Annotated[str | None, typer.Option(help="Format of random weights. [default: q8_0]")] = None,
    cache: Annotated[str, typer.Option(help="Format of the cache: f16 or f32.")] = "f16",
    convert: Annotated[
        str | None, typer.Option(help="Turn tensors of other formats into this one, such as q8_0.")
    ] = None,
    routing: Annotated[
        str, typer.Option(help="Who picks experts: own (the router), uniform, zipf:1.2, FILE.json, FILE.csv.")
    ] = "own",
    json: _Json = None,
) -> None:
    """Decode real tokens with the engine, and say how fast."""
    from simulator.commands.generate import Request, run

    texts = {"weights": weights, "cache": cache, "convert": convert, "routing": routing, "json": json}
    _refuse_empty(texts)
    run(
        Request(
            model=model,
            prompt=prompt,
            n_tokens=tokens,
            threads=threads,
            context=context,
            temperature=temperature,
            seed=seed,
            chat=chat,
            weights=weights,
            cache=cache,
            convert=convert,
            routing=routing,
            json=json,
        )
    )


@app.command()
def validate(
    hardware: Annotated[
        str | None,
        typer.Argument(help="The profile of this machine; with --against, the device measured. [default: mine.yaml]"),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What llama-bench or llama-batched-bench prints, or a CSV; - reads a pipe."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model measured, where FILE does not tell: GGUF or name.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Its format, where neither FILE nor a GGUF tells: q4_k_m.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A dozen decodes of small models.")] = False,
    json: _Json = None,
    plot: _Plot = None,
    report: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write a page of it, as the command report does.")
    ] = None,
) -> None:
    """Decode on this machine, or take somebody's measurements, and set the forecasts beside them."""
    texts = {"hardware": hardware, "against": against, "model": model, "weights": weights, "json": json, "plot": plot}
    _refuse_empty(texts | {"report": report})
    _refuse_both(plot, json)
    if against is None:
        if model or weights:
            raise InputError("--model and --weights tell what --against FILE was measured with; give that too")
        from simulator.commands.validate import run

        run(hardware, quick, json, plot, report)
        return
    if quick:
        raise InputError("--quick: nothing is decoded with --against, leave it out")
    from simulator.commands.against import Request
    from simulator.commands.against import run as run_against

    run_against(Request(against, hardware, model, weights, json, plot, report))


@app.command()
def profile(
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.yaml",
            help="Where to; an existing file is merged with. [default: mine.yaml, of a GPU gpu.yaml]",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="20 seconds: fewer formats, and wider spreads.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            parser=number,
            metavar="FLOAT",
            help="Of measuring, after compiling; what there is no time for is named. [default: 60]",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="INTEGER", help="CPU threads. [default: all cores]")
    ] = None,
    gpu: Annotated[
        int | None,
        typer.Option(
            parser=whole_number, metavar="[INDEX]", help="Measure an NVIDIA GPU instead, the first or this one."
        ),
    ] = None,
    plot: _Plot = None,
) -> None:
    """Measure this machine, and write it down as a hardware file."""
    _refuse_empty({"output": output, "plot": plot})
    if gpu is not None and threads is not None:
        raise InputError("--threads counts those of the CPU, which --gpu does not measure: leave one of them out")
    if quick and seconds is not None:
        raise InputError("--quick stands for --seconds 20: leave one of them out")
    from simulator.probe.plan import LEAST_SECONDS, MOST_SECONDS, QUICK_SECONDS, SECONDS

    if seconds is not None and not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise InputError(f"--seconds {seconds:g}: between {LEAST_SECONDS:g} and {MOST_SECONDS:,.0f} are possible")
    seconds = seconds or (QUICK_SECONDS if quick else SECONDS)
    if gpu is not None:
        from simulator.commands.profile_gpu import run_gpu

        run_gpu(output, seconds, gpu, plot)
        return
    from simulator.commands.profile import DEFAULT_FILE, run

    run(output or DEFAULT_FILE, seconds, threads, plot)


@app.command()
def plot(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(PLOTS[:-1])} or {PLOTS[-1]}.")],
    models: _Models = None,
    on: _Devices = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="A .png, .svg or .pdf. [default: drawn in the terminal]"),
    ] = None,
    batch: Annotated[str | None, typer.Option(help="Sequences decoded at once: 1,2,4 or 1..64*2.")] = None,
    context: Annotated[str | None, typer.Option(help="Tokens already in each cache: 1024,8k.")] = None,
    weights: Annotated[str | None, typer.Option(help="Formats: q4_k_m,q8_0. [default: what fits]")] = None,
    cache: Annotated[str | None, typer.Option(help="Format of the cache. [default: the runtime's]")] = None,
    runtime: Annotated[
        str | None, typer.Option(help="llama.cpp, vllm, roofcast, roofline or YAML. [default: by device]")
    ] = None,
    threads: _Threads = None,
    routing: Annotated[
        str | None,
        typer.Option(help="Of experts: uniform,zipf:1.2,worst. [default: uniform, or for plot routing several]"),
    ] = None,
    sparsity: Annotated[str | None, typer.Option(help="Zero inputs of the linear layers: q-sparse:0.5.")] = None,
    devices: _Count = None,
    measured: _Measured = None,
) -> None:
    """Draw one kind of picture, in a file or in the terminal."""
    from simulator.commands.plot import Request, run

    texts = {
        "on": " ".join(on) if on else None,
        "output": output,
        "batch": batch,
        "context": context,
        "weights": weights,
    }
    _refuse_empty(
        texts | {"cache": cache, "runtime": runtime, "routing": routing, "sparsity": sparsity, "measured": measured}
    )
    request = Request(
        kind=kind,
        models=tuple(models or ()),
        devices=tuple(name for each in on or () for name in each.split(",")),
        **_counts(batch, context),
        weights=_names("--weights", weights),
        routings=_names("--routing", routing),
        measured=measured,
        more={"cache": cache, "runtime": runtime, "threads": threads, "sparsity": sparsity, "devices": devices},
    )
    run(request, output)


@app.command()
def report(
    models: _Models = None,
    on: _Devices = None,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR", help="The folder, made if needed.")
    ] = "report",
    batch: Annotated[str | None, typer.Option(help="Batches to choose from. [default: 1..256*2]")] = None,
    context: Annotated[str | None, typer.Option(help="Contexts to choose from. [default: 128 to 128k]")] = None,
    weights: Annotated[str | None, typer.Option(help="Formats to choose from. [default: what people use]")] = None,
    cache: Annotated[str | None, typer.Option(help="Format of the cache. [default: the runtime's]")] = None,
    runtime: Annotated[
        str | None, typer.Option(help="llama.cpp, vllm, roofcast, roofline or YAML. [default: by device]")
    ] = None,
    threads: _Threads = None,
    routing: Annotated[
        str | None, typer.Option(help="Routings of experts to choose from. [default: uniform,zipf:1.2,worst]")
    ] = None,
    sparsity: Annotated[str | None, typer.Option(help="Zero inputs of the linear layers: q-sparse:0.5.")] = None,
    devices: _Count = None,
    measured: _Measured = None,
) -> None:
    """Write a page that answers what readers ask about MODELs on HARDWARE, with pictures and data beside it."""
    from simulator.commands.report import Request, run

    texts = {"on": " ".join(on) if on is not None else None, "output": output, "batch": batch, "context": context}
    texts |= {"weights": weights, "cache": cache, "runtime": runtime, "measured": measured, "routing": routing}
    _refuse_empty(texts | {"sparsity": sparsity})
    more = {"cache": cache, "runtime": runtime, "threads": threads, "sparsity": sparsity, "n_devices": devices}
    run(
        Request(
            models=list(dict.fromkeys(models or [])),
            devices=list(dict.fromkeys(name for each in on or () for name in each.split(","))),
            folder=output,
            **_counts(batch, context),
            weights=_names("--weights", weights),
            measured=measured,
            more=more | ({"routings": _names("--routing", routing)} if routing else {}),
        )
    )


def _counts(batch: str | None, context: str | None) -> dict[str, tuple[int, ...] | None]:
    """Batches and contexts, None where nothing was given."""
    from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

    batches = tuple(parse_counts(batch, "--batch", MAX_BATCH)) if batch else None
    contexts = tuple(parse_counts(context, "--context", MAX_CONTEXT)) if context else None
    if batches and min(batches) < 1:
        raise InputError("--batch: at least 1 sequence is needed")
    for option, counts in (("--batch", batches), ("--context", contexts)):
        if counts and len(counts) > MAX_SHOWN:
            raise InputError(f"{option}: {len(counts):,} values are too many to show, at most {MAX_SHOWN}")
    return {"batches": batches, "contexts": contexts}


def _names(option: str, text: str | None) -> tuple[str, ...]:
    """What commas set apart."""
    found = tuple(each.strip() for each in text.split(",")) if text else ()
    if not all(found):
        raise InputError(f"{option} {printable(text)!r}: a name is missing at a comma")
    return found


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="models, hardware, runtimes or formats.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", help="Of models and hardware only those whose name holds each of these."),
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="HARDWARE", help="For models: those that fit there, and how fast.")
    ] = None,
    min_params: Annotated[
        str | None, typer.Option(metavar="SIZE", help="For models: of so many weights or more, such as 7b or 500m.")
    ] = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="SIZE", help="For models: of so many weights or fewer.")
    ] = None,
    moe: Annotated[bool, typer.Option("--moe", help="For models: mixtures of experts only.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every line; a terminal shows the first 20, a pipe or a file always gets all.")
    ] = False,
) -> None:
    """List what roofcast knows by name. Models that people measure come first, and of these the newest."""
    from simulator.commands.list import LISTS, Asked, print_list

    _refuse_empty({"on": on, "min-params": min_params, "max-params": max_params})
    if what not in LISTS:
        raise InputError(f"list {what!r} is unknown, {hint(what, LISTS)}")
    if on is not None and what != "models":
        raise InputError(f"list {printable(what)} --on {printable(on)}: only models are listed on a device")
    if what != "models" and (moe or min_params is not None or max_params is not None):
        raise InputError(f"list {what}: --min-params, --max-params and --moe choose among models, leave them out")
    if words and what in ("runtimes", "formats"):
        raise InputError(f"list {what} {printable(words[0])}: the list is short, leave the word out")
    print_list(Asked(what, tuple(words or ()), on, min_params, max_params, moe, everything))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A model, device, runtime or format: name or file; or engine.")],
    weights: Annotated[str | None, typer.Option(help="For a model: count its bytes in this format.")] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="For a device: draw its roofline, as .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Show one entry, with sources."""
    _refuse_empty({"plot": plot})
    from simulator.commands import show as catalogue

    catalogue.show(name, weights, plot)


# Typer carries its own copy of click, or uses the installed one: the classes are reached through one it exports.
_UsageError = typer.BadParameter.__base__
_ClickException = _UsageError.__base__


def main(arguments: list[str] | None = None) -> None:
    """Run the command; every mistake of the user's ends as one sentence on stderr and exit status 2."""
    with ending_in_words():
        arguments = with_index(sys.argv[1:] if arguments is None else arguments)
        if arguments[:1] and arguments[0] in ("plot", "report"):
            arguments = with_every_device(arguments)
        _refuse_what_is_not_shown(arguments)
        _refuse_options_as_files(arguments)
        status = _run(arguments)
    if status == STATUS:  # typer turns an interrupt into this, or lets it through
        end_interrupted()
    sys.exit(status if isinstance(status, int) else 0)


def _run(arguments: list[str]) -> object:
    """What the command returns: an exit status, or anything else where all is well."""
    try:
        return app(args=arguments, prog_name="roofcast", standalone_mode=False)
    except _ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message(), file=sys.stderr)
            sys.exit(MISTAKE)
        fail(_usage(error, arguments))
    except (KeyboardInterrupt, typer.Abort):
        return STATUS


def with_every_device(arguments: list[str]) -> list[str]:
    """The same with `--on` before each of the names that follow one: the parser knows no option of several values."""
    found, follows = [], False
    for argument in arguments:
        if argument.startswith("-") and argument != "-":
            follows = argument == "--on"
        elif follows:
            found += ["--on"] if found[-1] != "--on" else []
        found.append(argument)
    return found


def with_index(arguments: list[str]) -> list[str]:
    """The same with `--gpu` alone as `--gpu 0`: the parser knows no option whose value may be left out."""
    found = []
    for number, argument in enumerate(arguments):
        found.append(argument)
        if (
            argument == "--gpu"
            and arguments[0] == "profile"
            and not re.match(r"-[0-9]|[^-]", "".join(arguments[number + 1 : number + 2]))
        ):
            found.append("0")
    return found


_FILE_OPTIONS = ("--json", "--plot", "--output", "-o", "--measured", "--report", "--against")


def _refuse_options_as_files(arguments: list[str]) -> None:
    """`--json -o`, where a file's name was forgotten, would write a file called -o."""
    for option, value in itertools.pairwise(arguments):
        if option in _FILE_OPTIONS and value.startswith("-") and value != "-":
            raise InputError(
                f"{option} {printable(value)}: a file is needed; write ./{printable(value)} for one of that name"
            )


def _refuse_what_is_not_shown(arguments: list[str]) -> None:
    """Names of files are printed wherever they are used, and stand in pages and pictures; only a prompt is free text."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        is_prompt = before == "--prompt" or argument.startswith("--prompt=")
        if not (is_prompt or is_plain_line(argument)):
            shown = printable(argument)
            raise InputError(
                f"'{shown}': has a line end or a character in it that cannot be shown; a file must be renamed to be used"
            )


def _usage(error: Exception, arguments: list[str]) -> str:
    """The message of the argument parser, as one sentence in our words."""
    message = error.format_message().strip().rstrip(".")
    for theirs, ours in _WORDS.items():
        message = re.sub(theirs, ours, message)
    command = " ".join(
        [
            "roofcast",
            *(
                each
                for each in arguments[:1]
                if each in ("simulate", "generate", "profile", "validate", "plot", "report", "list", "show")
            ),
        ]
    )
    return f"{message[:1].lower()}{message[1:]}; see {command} --help".replace("\n", " ")


_WORDS = {
    r"Got unexpected extra arguments? ?\(?s?\)? \((.*)\)": r"too many arguments: \1",
    r"\. Did you mean (.*)\?": r" (did you mean \1?)",
    r"\(Possible options: (.*)\)": r"(did you mean \1?)",
    r"Missing argument '(.*)'": lambda match: f"missing {match[1].upper()}",
}
