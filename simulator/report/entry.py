"""What roofcast knows of a model, a device, a runtime or a format: its figures with their sources."""

from __future__ import annotations

from simulator.errors import InputError
from simulator.forecast.decode import cache_bytes_per_token
from simulator.importers.dialects import dialect
from simulator.report.remarks import oddities
from simulator.report.screen import print_line
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.spec.mixes import MIXES, PURE, base_format, weights_called
from simulator.spec.model import CONVENTIONS, Loaded, Model, weight_bytes
from simulator.spec.quant import FORMATS, TENSORS_ONLY, Weights, format_called, format_remark
from simulator.spec.recipes import RECIPES
from simulator.spec.runtime import Runtime
from simulator.units import counted, format_bytes, format_gib, format_params


def print_format(given: str) -> None:
    """A file's mix of formats, and the type of blocks of that name, in whatever spelling."""
    block = given.strip().lower().removeprefix(PURE)
    name = "" if block != given.strip().lower() else weights_called(given) or ""
    if name in MIXES:
        print_line(
            f"{name}: a GGUF file, mostly {base_format(name).name}; roofcast show MODEL --weights {name} gives its size"
        )
    if name in RECIPES:
        recipe = RECIPES[name]
        print_line(f"{name}: a GGUF file, of mixtures of experts {recipe.mixture}, of dense models {recipe.dense}")
    fmt = FORMATS.get(format_called(block, FORMATS) or name)
    if fmt:
        size = counted(fmt.block_bytes, "byte")
        print(f"{fmt.name}: blocks of {counted(fmt.block, 'weight')} in {size}, {fmt.bits:.4g} bits each")
    remark = format_remark(given)
    if fmt and (name in MIXES or fmt.name in TENSORS_ONLY) and f"{PURE}{fmt.name}" not in remark:
        print_line(f"--weights {PURE}{fmt.name} is every matrix in these blocks.")
    if remark:
        print_line(f"Note: {remark}")


def print_model(loaded: Loaded, weights: Weights | None) -> None:
    """Shapes, parameters and bytes of a model; InputError where the weights do not suit its rows."""
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
        print(
            f"  cache: {format_bytes(per_token)} a token in f16{', windows not yet full' if _has_windows(model) else ''}"
        )
    state = sum(layer.attention.state_bytes for layer in model.stack if layer.attention is not None)
    if state:
        print(f"  recurrent state: {format_bytes(state)} a sequence")
    if chosen:
        print(f"  weights {chosen.name}: {format_bytes(size)}")
    _print_more(model.sources, model.notes, (*loaded.notes, *oddities(loaded)))


def _has_windows(model: Model) -> bool:
    return any(each.window for layer in model.stack if layer.attention is not None for each in layer.attention.cached)


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


def print_hardware(device: Hardware) -> None:
    """Every figure of a device, with where it is from."""
    title = device.full_title
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
    if device.power:
        power, whose = device.power, " of the whole machine" if device.power.of == "machine" else ""
        peak = ", at its peak" if power.decode_is == "peak" else ""
        kinds = {
            "limit": power.limit_w,
            f"decoding{whose}{peak}": power.decode_w,
            f"reading a prompt{whose}": power.prompt_w,
        }
        for label, figure in kinds.items():
            if figure:
                print(f"  {label}: {_figure(figure, 'W')}")
    if device.price:
        told = "; ".join(filter(None, (device.price.date, device.price.how, device.price.source)))
        print(f"  price: {device.price.value:,.10g}{f' ({told})' if told else ''}")
    if device.list_price:
        listed = device.list_price
        told = "; ".join(filter(None, (listed.date, listed.provenance, listed.how, listed.source)))
        print(f"  list price: {listed.value:,.10g} {listed.currency} ({told})")
    _print_more([f"{key}: {source}" for key, source in device.sources.items()], device.notes, ())


def print_runtime(runtime: Runtime) -> None:
    """Every figure of a runtime on each kind of device."""
    print(runtime.title or runtime.name)
    if runtime.apis:
        print(f"  kernels of {runtime.kernels or runtime.name}, fitted to published measurements (roofcast score):")
    for vendor, apis in runtime.apis.items():
        where = {"cpu": "CPUs", "gpu": "other GPUs"}.get(vendor, f"GPUs of {vendor}")
        print(f"    on {where}{': ' + ' or '.join(apis) if vendor != 'cpu' else ''}")
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
    for typed, name in dialect(runtime.name, runtime.like).items():
        print(f"  {typed} as weights is {name}")
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
