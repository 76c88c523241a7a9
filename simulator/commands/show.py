"""The command `show`: its options, and what roofcast knows of a name, whatever it is the name of."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from simulator.commands.line import options
from simulator.commands.line.parser import argument, flag, option, subcommand, target
from simulator.errors import InputError, hint, printable
from simulator.importers.open import is_kept_here, load_model
from simulator.report.entry import print_format, print_hardware, print_model, print_runtime
from simulator.report.screen import fold, print_line
from simulator.spec.library import RUNTIMES, is_file, is_written_as_path, look_up, names, shelf
from simulator.spec.machine import load_hardware, refuse_several
from simulator.spec.mixes import GROUPS, MIXES, PURE, parse_weights, weights_called
from simulator.spec.names import listed, split_count
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import load_runtime, refuse_other_software
from simulator.spec.yamlfiles import read_yaml


@subcommand("show")
@argument("name", "A model, device, runtime or format: name or file; or engine.")
@option("--weights", help="For a model: count its bytes in this format.")
@target("--plot", help="For a device: draw its roofline, as .png, .svg or .pdf.")
@flag("--measure", help="For engine: measure which kernels are the fastest here.")
def command(name: str, weights: str | None, plot: str | None, measure: bool) -> None:
    """Show one entry, with sources."""
    options.refuse_empty({"plot": plot})
    show(name, weights, plot, measure=measure)


def show(name: str, weights: str | None, plot: str | None = None, *, measure: bool = False) -> None:
    """One entry by name or file, whatever it is; of a device a picture, too, in the file *plot*. Long lines are folded."""
    kind = "engine" if name == "engine" else _kind_of(name)
    if plot is not None and kind != "hardware":
        raise InputError(f"--plot: {printable(name)!r} is no device, and only a device has a roofline; leave it out")
    if weights is not None and kind != "model":
        raise InputError(f"--weights: {name!r} is no model, leave it out")
    if measure and kind != "engine":
        raise InputError(f"--measure: {printable(name)!r} is not the engine, leave it out")
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        _show(kind, name, weights, measure)
    drawn = _draw(name, plot) if plot is not None else ""
    for line in text.getvalue().splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        print(fold(line, rest=indent))
    if drawn:
        print_line(drawn)


def _show(kind: str, name: str, weights: str | None, measure: bool) -> None:
    if kind == "model":
        print_model(load_model(name), parse_weights(weights) if weights is not None else None)
    elif kind == "hardware":
        for part in load_hardware(name).parts:
            print_hardware(part.alone())
    elif kind == "runtime":
        print_runtime(load_runtime(name))
    elif kind == "engine":
        from simulator.commands.engine import print_engine  # with it comes numba

        print_engine(anew=measure)
    else:
        print_format(name)


def _kind_of(name: str) -> str:
    shelves = {"model": shelf("models"), "hardware": shelf("hardware"), "runtime": RUNTIMES}
    for kind, folder in shelves.items():
        if is_file(folder / f"{name.lower()}.yaml"):
            return kind
    if any(name.lower().removeprefix(PURE) in names for names in GROUPS.values()):
        return "format"
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        data = read_yaml(path)
        is_mapping = isinstance(data, dict)
        return (
            "model"
            if is_mapping and "layers" in data
            else "runtime"
            if is_mapping and {"backends", "apis", "like"} & data.keys()
            else "hardware"
        )
    is_path = len(path.parts) > 1 or is_written_as_path(name)
    if path.suffix in (".gguf", ".json") or is_path or (len(name) < 200 and path.is_dir()):
        return "model"
    try:
        return _kind_called(name, shelves)
    except InputError:
        if is_file(path) or is_kept_here(name):
            return "model"
        raise


def _kind_called(name: str, shelves: dict[str, Path]) -> str:
    """The kind of what another spelling means; InputError with all that it may mean."""
    meant = {
        kind: look_up(split_count(name)[1] if kind == "hardware" else name, each) for kind, each in shelves.items()
    }
    found = [kind for kind, meaning in meant.items() if meaning.name]
    if not found and "+" in name and look_up(split_count(name.split("+")[0])[1], shelves["hardware"]).name:
        return "hardware"  # parts of a machine: mxfp4+bf16 and others with a plus name no device
    candidates = tuple(each for meaning in meant.values() for each in meaning.candidates)
    if len(found) == 1:
        return found[0]
    if len(candidates) > 1:
        raise InputError(f"{name[:200]!r} could be {listed(candidates)}: write one of them")
    if weights_called(name):
        return "format"
    refuse_other_software(name)
    known = [*(each for folder in shelves.values() for each in names(folder)), *FORMATS, *MIXES]
    guess = f"did you mean {candidates[0]}?" if candidates else hint(name.lower(), known)
    guess = f"; {guess}" if guess.startswith("did") else ""
    raise InputError(
        f"nothing is called {name[:200]!r} (see roofcast list models, hardware, runtimes or formats){guess}"
    )


def _draw(name: str, target: str) -> str:
    from simulator.report.drawing.device import write_plot
    from simulator.report.drawing.files import check_picture

    device = load_hardware(name)
    refuse_several(device, "--plot: a roofline")
    return write_plot(device, check_picture(target))
