"""What a reader must know to trust a forecast: what it rests on, what was assumed, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from simulator.forecast.bandwidth import bandwidth_of
from simulator.forecast.capacity import largest_batch, largest_context
from simulator.forecast.fit import bytes_elsewhere
from simulator.forecast.interval import Evidence, evidence, own_evidence
from simulator.forecast.placed import threads_of
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.report import parts, storage
from simulator.report.kept import cache_kept
from simulator.spec.doubt import RESTLESS, told_doubts
from simulator.spec.figure import BY_DEFINITION, Figure
from simulator.spec.hardware import Hardware
from simulator.spec.kernels import Kernels
from simulator.spec.layers.attention import GroupedQuery
from simulator.spec.links import Link
from simulator.spec.machine import AS_ASKED
from simulator.spec.memory import BEYOND, INTERPOLATED, SHARED_OUT
from simulator.spec.model import Loaded, Model
from simulator.spec.own_figures import is_outdated
from simulator.spec.routing import Capacity
from simulator.units import GI, GIGA, counted, format_bytes, format_gib, format_number, format_rate

DERIVED = (INTERPOLATED, SHARED_OUT, BEYOND)  # how figures were made of measured ones
CONTRADICTS = 1.25  # factor between two figures of one speed
NOTABLE_SHARE = 0.05  # of a step's time: what matters less is not told
PROMPT = "reading the prompt, "
NOT_MODELLED = "sampling and tokenising, speculative decoding, thermal throttling, other programs"


def left_out(base: Scenario, is_request: bool = False) -> str:
    """What no figure accounts for: of decoding, or of a whole request."""
    n_devices = base.hardware.n_devices
    is_untold = base.hardware.layout.n_at_once > 1 and not base.hardware.links_among(n_devices)
    several = ", what the devices tell each other" if is_untold else ""
    prompt, paging = "" if is_request else PROMPT, "" if base.hardware.reads_from else ", paging"
    return prompt + NOT_MODELLED + paging + several


def rests_on(base: Scenario, points: list[Prediction]) -> Iterator[str]:
    """The figures that decide the result, with their provenance."""
    hardware, load, software = base.hardware, base.load, base.runtime.title or base.runtime.name
    last = points[-1]
    yield from (_told_memory(part, last) for part in hardware.parts)
    if last.unrest.spread > RESTLESS:
        yield (
            f"a restless machine: while {hardware.name} was profiled, decodes of the same models scattered by "
            f"{last.unrest.spread:.0%}, which the interval allows for"
        )
    yield from map(_told_evidence, dict.fromkeys(found for point in points for found in evidence(point)))
    yield from dict.fromkeys(line for point in points for line in _told_learned(point, software))
    doubts = told_doubts(hardware)
    if doubts:
        yield f"{hardware.name} has {doubts}"
    if load.threads and hardware.kind == "cpu" and not hardware.main_memory.gb_per_s_by_threads:
        yield f"bandwidth by threads is unknown for {hardware.name}: that of all is taken for {counted(load.threads, 'thread')}"
    for place, part in enumerate(hardware.parts):
        yield from _kernels_told(last, place, part, software)
    yield from storage.rests_on(base)


def _told_memory(part: Hardware, point: Prediction) -> str:
    """How fast a part of the machine reads, and how that is known."""
    main, sustained = part.main_memory, bandwidth_of(part, threads_of(part, point.load)).main
    whose = f"{part.name}: " if point.hardware.beside else ""
    line = f"{whose}memory {format_number(sustained.value / GIGA)} GB/s {_origin(sustained, part)}"
    if main.datasheet_gb_per_s and "of the datasheet" not in sustained.how:
        line += f", of {format_number(main.datasheet_gb_per_s.value)} GB/s in the datasheet"
    return line


def _kernels_told(last: Prediction, place: int, part: Hardware, software: str) -> Iterator[str]:
    """What of a part of the machine the kernels reach, for the weights that most bytes there are of; nothing where none are read."""
    mine = [timed for timed in last.ops if timed.op.place == place and timed.op.message is None]
    if not mine:
        return
    heaviest = max(mine, key=lambda timed: float(timed.op.count * timed.op.cost.weight_bytes))
    whose = f"{part.name}: " if last.hardware.beside else ""
    fmt, share, peak, kernels = heaviest.op.format, heaviest.bandwidth_share, heaviest.peak, _backend_on(last, part)
    if kernels:
        reached = kernels.bandwidth_share(fmt, heaviest.op.part == "experts")
        yield (
            f"{whose}{software} reaches {reached:.0%} of that bandwidth with {fmt.name} and takes {kernels.launch_s * 1e6:.1f} us to "
            f"begin an operation, fitted to measurements on {kernels.place.api}"
        )
        return
    if share.source != BY_DEFINITION:
        yield f"{whose}{software} reaches {share.value:.0%} of that bandwidth with {fmt.name} ({share.origin})"
    computing = sum(float(timed.limits[1]) for timed in mine)
    if peak and computing > NOTABLE_SHARE * float(last.seconds_given_memory):
        yield f"{whose}compute {format_rate(peak.value)} {_origin(peak, part)}"
        if heaviest.peak_share.source != BY_DEFINITION:
            reached = f"{heaviest.peak_share.value:.1%} of that peak with {fmt.name} ({heaviest.peak_share.origin})"
            yield f"{whose}{software} reaches {reached}"


def _backend_on(point: Prediction, part: Hardware) -> Kernels | None:
    return (point.backend if part is point.hardware else point.runtime.backend(part)).kernels


def _told_learned(point: Prediction, software: str) -> Iterator[str]:
    """What the device's owner measured, and what of the interval rests on it."""
    learned, error = point.learned, own_evidence(point)
    if learned:
        yield f"what {software} reaches on this device was learned from {learned.source}"
    if learned and error and error.count:
        unseen = "itself" if point.model.name in learned.models else "its whole model"
        yield f"interval from {counted(error.count, 'row')} of these, each forecast from what is learned without {unseen}"
    kernels = point.backend.kernels
    if kernels and is_outdated(point.hardware, point.runtime.name, kernels.place.api):
        yield (
            f"not what was learned of {software}: figures of {point.hardware.name} or of the runtime have changed since; run "
            "roofcast validate --learn once more"
        )


def _told_evidence(found: Evidence) -> str:
    where = f"of {counted(found.n_devices, 'device')}" if found.n_rows else "of no device"
    return f"interval from {counted(found.n_rows, 'published measurement')} {where}: {found.group}"


def assumptions(base: Scenario, points: list[Prediction]) -> Iterator[str]:
    """What was taken for granted, and what is missing from the files."""
    model, hardware, load = base.loaded.model, base.hardware, base.load
    if base.choice:
        yield f"weights {base.choice}"
    if base.passed_over:
        yield f"{base.runtime.title or base.runtime.name}, since {'; '.join(base.passed_over)}"
    if not base.runtime.is_sure(hardware):
        yield f"whether {base.runtime.title or base.runtime.name} runs on {hardware.name} is not known: its file gives no architecture"
    yield from base.remarks
    if load.weights.name.endswith("bpw"):
        yield f"{load.weights.name}: the same for every tensor; real mixes differ by tensor, so bytes are good to about 15 %"
    if model.experts and any(point.load.batch > 1 for point in points):
        yield f"routing {load.routing.name}: {load.routing.assumption}"
    yield from cache_kept(base)
    yield from storage.assumed(base)
    if any(layer.cross_attention for layer in model.stack):
        yield f"cross-attention reads a source of {counted(load.source_tokens, 'token')}"
    yield from _several(base)
    if isinstance(load.routing, Capacity) and model.experts:
        yield from _capacity(base, points[-1])
    if load.sparsity:
        counts = _layer_params(model)
        covered, zeros = load.sparsity.covered(counts), load.sparsity.overall(counts)
        yield f"{load.sparsity.name}: {zeros:.0%} of the weights meet a zero; {covered:.0%} of the layers' weights are in sparse matrices"
        yield from (f"{load.sparsity.name}: {note}" for note in load.sparsity.notes)
    yield from _overruled(hardware)
    yield from _unknown(points, hardware)
    yield from beyond_context(model, max(int(np.max(point.load.context)) for point in points))
    yield from base.loaded.notes
    yield from oddities(base.loaded)


def beyond_context(model: Model, context: int) -> Iterator[str]:
    """That a context is longer than the model was made for; nothing where it is not, or nobody knows."""
    if model.max_context and context > model.max_context:
        yield f"context {context:,} exceeds the {model.max_context:,} that the model was made for"


def oddities(loaded: Loaded) -> Iterator[str]:
    """Shapes of somebody's own description that can be counted but look like a misprint."""
    model = loaded.model
    if not loaded.is_own:
        return
    for attention in dict.fromkeys(layer.attention for layer in model.stack):
        if isinstance(attention, GroupedQuery):
            n, width = attention.n_heads, attention.n_heads * attention.head_dim
            if width != model.d_model and model.d_model % n:
                yield (
                    f"inconsistent: {counted(n, 'head')} of {attention.head_dim} make {width}, and d_model {model.d_model} does not divide "
                    f"among {counted(n, 'head')} ({model.d_model / n:g} each): a misprint?"
                )


def _capacity(base: Scenario, point: Prediction) -> Iterator[str]:
    ffn, routing, batch = base.loaded.model.experts[0], base.load.routing, int(point.load.batch)
    dropped = 1 - float(routing.served(ffn, batch)) / ffn.n_active
    yield (
        f"{routing.name}: at batch {batch} an expert takes at most {counted(int(routing.per_expert(ffn, batch)), 'token')}, "
        f"{dropped:.1%} of the choices are dropped"
    )


def _layer_params(model: Model) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _, indices, tensors in model.shapes[1:]:
        for tensor in tensors:
            counts[tensor.role] += len(indices) * tensor.params * (not tensor.is_vector)
    return counts


def _several(base: Scenario) -> Iterator[str]:
    """How several devices share the model, and over what they tell each other of it."""
    hardware, layout = base.hardware, base.hardware.layout
    if layout.n_devices == 1:
        return
    flags = base.runtime.exchange.flags_for(layout)
    if flags:
        yield f"{layout.n_devices} devices by {layout}: {flags}"
    if layout.pipeline > 1:
        yield _told_stages(base, layout.pipeline)
    if layout.n_at_once == 1:
        return
    many = f"{layout.n_at_once} devices{' of a stage' * (layout.pipeline > 1)} work at once and"
    links, within = (hardware.links_among(n) for n in (layout.n_devices, layout.n_devices // layout.pipeline))
    if links:
        yield f"{many} add up their parts of each result: {', '.join(_told_link(n, link) for n, link in within)}"
        if layout.pipeline > 1:
            yield f"between stages: {_told_link(layout.pipeline, links[-1][1])}"
    else:
        yield f"{many} tell each other nothing, since their file names no link: an upper bound, without an interval"
    start = base.runtime.exchange.start_us
    if layout.tensor > 1 and base.runtime.split == "layers" and start:
        where = base.runtime.sources.get(start.source, start.source)
        yield f"each sum {start.value:g} us beside the links, {start.provenance} ({where}): the interval comes from runs of other splits"
    if layout.data > 1:
        what = "attention" if base.loaded.model.experts else "the model"
        yield f"sequences in {layout.data} groups, each with all of {what} on {counted(layout.tensor, 'device')}"
    if layout.expert > 1:
        yield f"experts in {layout.expert} groups of devices; the busiest decides, each expert chosen independently of the others"


def _told_stages(base: Scenario, n_stages: int) -> str:
    each = "devices" if base.hardware.layout.n_at_once == 1 else "stages of devices"
    hold = f"{n_stages} {each} hold a part of the layers each and work"
    if base.runtime.exchange.fills_stages:
        return f"{hold} at once, each on another part of the batch, whose bytes are told; a single sequence has one of them at work"
    return f"{hold} one after the other: the speed of one, the memory of all"


def _told_link(n_devices: int, link: Link) -> str:
    rate = f"{format_number(link.bytes_per_s / GIGA)} GB/s, {link.latency.value:g} us a hop"
    return f"{n_devices} over {link.name} ({rate}, {link.latency.origin})"


def _overruled(hardware: Hardware) -> Iterator[str]:
    """A speed of memory that somebody wrote into a profile, in which other figures of the same speed go on deciding."""
    main, threads, engine = hardware.main_memory, hardware.threads, hardware.engine
    if main.gb_per_s is None or hardware.n_devices > 1:
        return
    curve = {point.working_set_kib: point.gb_per_s for point in hardware.curve if point.threads == threads}
    reads = engine.read_gb_per_s.get(threads) if engine else None
    others = {
        "gb_per_s_by_threads": main.gb_per_s_by_threads.get(threads),
        "curve": curve[max(curve)] if curve else None,
        "engine.read_gb_per_s": reads[-1] if reads else None,
    }
    told = [
        f"{name} {format_number(other.value)}"
        for name, other in others.items()
        if other and _contradict(main.gb_per_s, other)
    ]
    if told:
        yield (
            f"gb_per_s {format_number(main.gb_per_s.value)} of {main.name} changes little, since {hardware.name} also has for "
            f"{counted(threads, 'thread')} {', '.join(told)}: change those, too"
        )


def _contradict(one: Figure, other: Figure) -> bool:
    """Whether two figures of one speed are of different origin, and far apart."""
    return one.source != other.source and max(one.value, other.value) > CONTRADICTS * min(one.value, other.value)


def formats_without_peak(point: Prediction) -> list[str]:
    """The formats whose products nothing but bandwidth limits, since the device's peak is unknown; none where they are a trifle."""
    blind = {
        timed.op.format.name: float(timed.op.count * timed.op.cost.flops)
        for timed in point.ops
        if timed.peak is None and timed.op.part not in ("vectors", "cache")
    }
    return list(blind) if sum(blind.values()) > NOTABLE_SHARE * float(point.cost.flops) else []


def told_without_peak(bases: Iterable[Scenario]) -> str:
    """What comparing devices has to say of those without a known peak; empty where there is none."""
    names = dict.fromkeys(base.hardware.name for base in bases if formats_without_peak(base.at(1, 0)))
    if not names:
        return ""
    return f"no compute peak is known for {', '.join(names)}: batches may be forecast too fast"


def _not_profiled(point: Prediction) -> Iterator[str]:
    """Formats of weights whose kernels the profile that a forecast rests on did not measure."""
    speeds = point.backend.speeds
    if not speeds:
        return
    measured = {name for by_format in speeds.kernels.values() for name in by_format}
    products = (
        timed.op for timed in point.ops if timed.op.part not in ("cache", "vectors") and np.any(timed.op.cost.flops)
    )
    missing = [name for name in dict.fromkeys(op.format.name for op in products) if name not in measured]
    if missing and measured:
        yield (
            f"{point.hardware.name}'s profile did not measure {', '.join(missing)}, only {', '.join(sorted(measured))}: what kernels reach "
            "there is the runtime's estimate for any processor, and the interval does not allow for it"
        )


def _unknown(points: list[Prediction], hardware: Hardware) -> Iterator[str]:
    point = points[-1]
    backend = point.backend
    yield from _not_profiled(point)
    blind = formats_without_peak(point)
    if blind:
        yield (
            f"no compute peak is known for {hardware.name} in {', '.join(blind)}: only bandwidth limits there, large batches may be "
            "forecast too fast"
        )
    if point.threads and hardware.cores and point.threads > max(hardware.cores, hardware.threads or 0):
        yield f"{counted(point.threads, 'thread')} on {counted(hardware.cores, 'core')}: forecast as if they did not hinder each other"
    if hardware.kind == "gpu" and not hardware.vendor:
        yield f"vendor is not given for {hardware.name}: the runtime's figures for GPUs in general are taken"
    if hardware.main_memory.datasheet_gb_per_s is None:
        fastest = hardware.main_memory.fastest
        rests = "the best that was measured" if fastest.provenance == "measured" else "a rate that is estimated"
        yield f"no datasheet bandwidth is known for {hardware.name}: the ceiling rests on {rests}"
    if backend.launch_share is not None and hardware.launch_us is None and backend.launch_us is None:
        yield f"the cost of starting an operation is unknown for {hardware.name}: small models may be forecast too fast"
    for level in hardware.memory[:-1]:
        if not level.has_bandwidth and point.weight_bytes < level.capacity_bytes:
            yield (
                f"the weights ({format_bytes(point.weight_bytes)}) fit in {level.name} ({format_gib(level.capacity_bytes)}), whose speed "
                "is unknown: main memory is assumed, the truth may be faster"
            )
            break


def capacity(base: Scenario, points: list[Prediction]) -> Iterator[str]:
    """What fits: the largest batch and context, or by how much it does not and what storage would give."""
    first = points[0]
    batch, context = int(first.load.batch), int(first.load.context)
    limit = first.memory_limit_bytes
    if first.fits:
        yield f"needs {format_gib(first.memory_bytes)} at batch {batch:,}, context {context:,}; {format_gib(limit)} can be had"
        yield from storage.told(base, first)
    else:
        yield from parts.lacking([first])
        yield from storage.told_copies(base)
        yield from storage.from_drives(base, first)
    elsewhere = bytes_elsewhere(base.loaded.model, base.load, base.runtime, base.hardware)
    if elsewhere and base.hardware.host is None:
        software = base.runtime.title or base.runtime.name
        yield f"{format_gib(elsewhere)} of embeddings are not in that: {software} keeps them in the memory of the machine around the card"
    most, deepest = largest_batch(base, context), largest_context(base, batch)
    if most and context:
        yield f"room for batch {most:,} at context {context:,}{_deepest(base, batch, deepest)}"


def reserved(base: Scenario) -> Iterator[str]:
    """What of the memory cannot be had, who holds it, how that is known, and how to say otherwise."""
    for part in base.hardware.parts if base.placement else (base.hardware,):
        yield _held_back(base, part)
    if base.runtime.memory_share < 1:
        title = base.runtime.title or base.runtime.name
        yield f"of the rest {title} takes {base.runtime.memory_share:.0%}, its default (memory_share in its file)"


def _held_back(base: Scenario, hardware: Hardware) -> str:
    figure, kind = hardware.reserved, hardware.reserve
    is_own = hardware.main_memory.reserved_gib is not None
    origin = _origin(figure, hardware) if is_own else f"({figure.provenance}: {kind.how}; {kind.source})"
    held = f"{format_gib(figure.value * GI)} of {format_gib(hardware.main_memory.capacity_bytes)}"
    remedy = "reserved_gib in a device file of your own says otherwise"
    remedy = remedy if is_own or not kind.more else f"{kind.more}; then {remedy}"
    whose = f" of {hardware.name}" if base.hardware.beside else ""
    asked = "" if hardware.kind == "gpu" or not whose else ", as its file has it (--ram says otherwise)"
    asked = "" if hardware.main_memory.capacity_gib and hardware.main_memory.capacity_gib.how == AS_ASKED else asked
    return f"{held}{whose}{asked} are held by {'the system' if is_own else kind.held_by} {origin}; {remedy}"


def _deepest(base: Scenario, batch: int, deepest: int | None) -> str:
    if not deepest:
        return ""
    known = base.loaded.model.max_context
    if known and deepest >= known:
        return f", and for the model's whole context of {known:,} at batch {batch:,}"
    return f", or context {deepest:,} at batch {batch:,}"


def _origin(figure: Figure, hardware: Hardware) -> str:
    """Where a figure of the device comes from, in brackets; what was derived from measured ones is not called measured."""
    is_told = figure.how and (figure.provenance == "estimated" or not figure.source)
    detail = f": {figure.how}" if is_told else ""
    source = f"; {figure.source}" if figure.source in hardware.sources else ""
    return f"({figure.how if figure.how in DERIVED else figure.origin + detail}{source})"
