"""What roofcast knows of a name: a model, device, runtime or format as its figures with their sources."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from simulator.errors import InputError, hint, printable
from simulator.forecast.decode import cache_bytes_per_token
from simulator.importers.open import load_model
from simulator.report.remarks import oddities
from simulator.report.screen import fold, print_line
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware, load_hardware, refuse_several
from simulator.spec.library import RUNTIMES, is_file, look_up, names, shelf
from simulator.spec.mixes import MIXES, base_format, parse_weights, weights_called
from simulator.spec.model import CONVENTIONS, Loaded, Model, weight_bytes
from simulator.spec.names import listed, split_count
from simulator.spec.quant import FORMATS, Weights, format_remark
from simulator.spec.runtime import Runtime, load_runtime, refuse_other_software
from simulator.spec.yamlfiles import read_yaml
from simulator.units import counted, format_bytes, format_gib, format_params


def show(name: str, weights: str | None, plot: str | None = None) -> None:
    """One entry by name or file, whatever it is; of a device a picture, too, in the file *plot*. Long lines are folded."""
    kind = "engine" if name == "engine" else _kind_of(name)
    if plot is not None and kind != "hardware":
        raise InputError(f"--plot: {printable(name)!r} is no device, and only a device has a roofline; leave it out")
    if weights is not None and kind != "model":
        raise InputError(f"--weights: {name!r} is no model, leave it out")
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        _show(kind, name, weights)
    drawn = _draw(name, plot) if plot is not None else ""
    for line in text.getvalue().splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        print(fold(line, rest=indent))
    if drawn:
        print_line(drawn)


def _show(kind: str, name: str, weights: str | None) -> None:
    if kind == "model":
        _show_model(load_model(name), parse_weights(weights) if weights is not None else None)
    elif kind == "hardware":
        _show_hardware(load_hardware(name))
    elif kind == "runtime":
        _show_runtime(load_runtime(name))
    elif kind == "engine":
        from simulator.commands.engine import print_engine  # with it comes numba

        print_engine()
    else:
        _show_format(name)


def _kind_of(name: str) -> str:
    shelves = {"model": shelf("models"), "hardware": shelf("hardware"), "runtime": RUNTIMES}
    for kind, folder in shelves.items():
        if is_file(folder / f"{name.lower()}.yaml"):
            return kind
    if name.lower() in FORMATS or name.lower() in MIXES:
        return "format"
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        data = read_yaml(path)
        is_mapping = isinstance(data, dict)
        return (
            "model"
            if is_mapping and "layers" in data
            else "runtime"
            if is_mapping and "backends" in data
            else "hardware"
        )
    if path.suffix in (".gguf", ".json") or len(path.parts) > 1 or (len(name) < 200 and path.is_dir()):
        return "model"
    return _kind_called(name, shelves)


def _kind_called(name: str, shelves: dict[str, Path]) -> str:
    """The kind of what another spelling means; InputError with all that it may mean."""
    meant = {
        kind: look_up(split_count(name)[1] if kind == "hardware" else name, each) for kind, each in shelves.items()
    }
    found = [kind for kind, meaning in meant.items() if meaning.name]
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


def _show_format(given: str) -> None:
    name = weights_called(given) or given
    if name in MIXES:
        print(
            f"{name}: a GGUF file, mostly {base_format(name).name}; roofcast show MODEL --weights {name} gives its size"
        )
    if name in FORMATS:
        fmt = FORMATS[name]
        size = counted(fmt.block_bytes, "byte")
        print(f"{name}: blocks of {counted(fmt.block, 'weight')} in {size}, {fmt.bits:.4g} bits each")
    if format_remark(given):
        print_line(f"Note: {format_remark(given)}")


def _show_model(loaded: Loaded, weights: Weights | None) -> None:
    model = loaded.model
    chosen = weights or loaded.weights
    try:
        size = weight_bytes(model, chosen) if chosen else None
    except ValueError as error:
        raise InputError(f"{model.name} with weights {chosen.name}: {error}") from None
    print(
        f"{model.title or model.name}: {counted(len(model.stack), 'layer')}, width {model.d_model}, vocabulary {model.vocab:,}"
    )
    for line in _describe_params(model):
        print(f"  {line}")
    per_token = cache_bytes_per_token(model, FORMATS["f16"])
    if per_token:
        print(f"  cache: {format_bytes(per_token)} a token in f16, windows not yet full")
    state = sum(layer.attention.state_bytes for layer in model.stack if layer.attention is not None)
    if state:
        print(f"  recurrent state: {format_bytes(state)} a sequence")
    if chosen:
        print(f"  weights {chosen.name}: {format_bytes(size)}")
    _print_more(model.sources, model.notes, (*loaded.notes, *oddities(model)))


def _describe_params(model: Model) -> list[str]:
    """Parameter counts by each convention, and what is published."""
    lines = [f"{format_params(model.total_params)} weights in all"]
    if model.experts:
        lines += [
            f"{format_params(model.active_params(convention))} active {convention.replace('_', ' ')}: {meaning}"
            for convention, meaning in CONVENTIONS.items()
        ]
    published = model.published
    if published.released:
        lines.append(f"released {published.released.month} ({published.released.source})")
    if published.total_params_b:
        lines.append(f"published: {published.total_params_b.value:g} B ({published.total_params_b.source})")
    if published.active_params_b:
        counts = f", {published.active_params_b.counts.replace('_', ' ')}" if published.active_params_b.counts else ""
        lines.append(
            f"published active: {published.active_params_b.value:g} B{counts} ({published.active_params_b.source})"
        )
    return lines


def _show_hardware(device: Hardware) -> None:
    title = device.title or device.name
    print(f"{device.asked} x {title}, each:" if (device.asked or 1) > 1 else title)
    if device.description:
        print(f"  {device.description}")
    for level in device.memory:
        print(f"  {level.name}: {format_gib(level.capacity_bytes)}")
        figures = {"sustained": level.gb_per_s, "datasheet": level.datasheet_gb_per_s}
        figures |= {f"{counted(threads, 'thread')}": figure for threads, figure in level.gb_per_s_by_threads.items()}
        for label, figure in figures.items():
            if figure:
                print(f"    {label}: {_figure(figure, 'GB/s')}")
        if level is device.main_memory:
            print(f"    reserved: {_figure(device.reserved, 'GiB')}")
    for name, figure in device.peaks_tflops.items():
        print(f"  peak {name}: {_figure(figure, 'TFLOP/s' if not name.startswith('int') else 'TOP/s')}")
    if device.launch_us:
        print(f"  start of an operation: {_figure(device.launch_us, 'us')}")
    for link in (*device.links, *device.storage):
        print(f"  {link.name}: {_figure(link.gb_per_s, 'GB/s')}")
    _print_more([f"{key}: {source}" for key, source in device.sources.items()], device.notes, ())


def _draw(name: str, target: str) -> str:
    from simulator.report.roofline_plot import write_plot
    from simulator.report.style import check_picture

    device = load_hardware(name)
    refuse_several(device, "--plot: a roofline")
    return write_plot(device, check_picture(target))


def _show_runtime(runtime: Runtime) -> None:
    print(runtime.title or runtime.name)
    for name, backend in runtime.backends.items():
        print(f"  on {name}:")
        for what, shares in (("of bandwidth", backend.bandwidth_share), ("of the peak", backend.peak_share)):
            for fmt, figure in shares.items():
                print(f"    {fmt} reaches {_figure(figure, what)}")
        for label, figure, unit in (
            ("experts reach", backend.expert_share, "of that"),
            ("starting an operation", backend.launch_us, "us where the device says nothing"),
            ("operations started", backend.launch_share, "of a plain graph"),
            ("each step", backend.step_us, "us"),
        ):
            if figure:
                print(f"    {label} {_figure(figure, unit)}")
    for name, other in runtime.same_as.items():
        print(f"  on {name}: as on {other}")
    _print_more([f"{key}: {source}" for key, source in runtime.sources.items()], runtime.notes, ())


def _figure(figure: Figure, unit: str) -> str:
    detail = "; ".join(each for each in (figure.how, figure.source) if each)
    return f"{figure.value:g} {unit} ({figure.origin}{': ' + detail if detail else ''})"


def _print_more(sources, notes: str, remarks) -> None:
    if sources:
        print("Sources")
        for source in sources:
            print(f"  {source}")
    for note in (notes.strip(), *remarks):
        if note:
            print(f"Note: {note}")
