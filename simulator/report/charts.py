"""What each kind of picture shows, as plain numbers: drawn in a file or a terminal, and written as CSV, from the same values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from simulator.errors import InputError
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario, largest_batch, largest_context
from simulator.importers.open import load_routing
from simulator.report import roofline_data
from simulator.report.crossings import crossings
from simulator.report.measured import Measured, told_errors
from simulator.report.remarks import told_without_peak
from simulator.spec.hardware import Hardware
from simulator.spec.model import Experts
from simulator.spec.routing import Routing
from simulator.spec.sparsity import parse_sparsity
from simulator.units import counted, format_gib

Form = Literal["lines", "bars", "stacks", "roofline", "scatter"]
BATCHES = tuple(2**power for power in range(9))
FEW_BATCHES = (1, 4, 16)  # where each is a line of its own
ROOF_BATCHES = (1, 2, 4, 8, 16, 32, 64)
ZERO_SHARES = tuple(round(0.05 * step, 2) for step in range(20))  # of inputs
ROUTINGS = ("uniform", "zipf:0.6", "zipf:1.2", "worst")
COMPONENTS = ("weights", "experts", "cache", "activations")
PARTS = {
    "attention": "attention matrices", "ffn": "feed-forward", "experts": "routed experts", "shared": "shared experts",
    "router": "router", "head": "output head", "cache": "attention over the cache",
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """Where something changes along a line."""

    x: float
    y: float
    what: str  # one of CHANGES
    text: str


BATCH = "sequences decoded at once (batch)"
BAND = "band: 80 % interval; dotted: ceiling"
CHANGES = ("compute takes over", "cache outweighs weights", "memory is full")


@dataclass(frozen=True)
class Point:
    """One measurement, with its error bar."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """A line, or the bars of one colour; y is None where there is no value, as NaN is for what does not fit."""

    label: str
    x: tuple[Any, ...]  # numbers, or names where the form is bars
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()  # of the 80 % interval
    high: tuple[float | None, ...] = ()
    ceiling: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()  # of each bar
    marks: tuple[Mark, ...] = ()
    measured: tuple[Point, ...] = ()
    colour: int = 0  # the same thing has the same one in every panel

    def __post_init__(self):
        for name in ("y", "low", "high", "ceiling"):
            known = tuple(None if value is None or value != value else value for value in getattr(self, name))
            object.__setattr__(self, name, known)


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    series: tuple[Series, ...]
    y: str  # what is along it, with its unit
    device: Hardware | None = None  # of a roofline
    note: str = ""  # what its lines are of that their names leave out


@dataclass(frozen=True)
class Chart:
    """A picture."""

    kind: str
    form: Form
    title: str
    x: str  # what is along it, with its unit
    panels: tuple[Panel, ...]
    source: str  # what it rests on, in a line
    subtitle: str = ""  # of which model on which device
    x_log: bool = True
    y_log: bool = True
    legend: str = ""  # what the legend says besides
    each: str = ""  # what a bar is of; then x is what its length is

    @property
    def names(self) -> tuple[str, str]:
        """What the x and the y of its values are: of bars, x says which and y how long."""
        return self.each or self.x, ", or ".join(dict.fromkeys(panel.y for panel in self.panels))


def table_of(chart: Chart) -> list[dict[str, Any]]:
    """A row for each value that is drawn: for CSV, and where no picture can be shown."""
    rows = []
    for panel in chart.panels:
        if panel.device:
            roofs, ceilings = roofline_data.roofs_of(panel.device), roofline_data.ceilings_of(panel.device)
            rows += [{"panel": panel.title, "series": f"{roof.name}, bytes/s", "y": roof.bytes_per_s} for roof in roofs]
            rows += [
                {"panel": panel.title, "series": f"peak {', '.join(top.formats)}", "y": top.ops_per_s}
                for top in ceilings
            ]
        for each in panel.series:
            for number, x in enumerate(each.x):
                ends = {
                    name: values[number]
                    for name, values in (("low", each.low), ("high", each.high), ("ceiling", each.ceiling))
                    if values
                }
                rows.append(
                    {"panel": panel.title, "series": each.label, "x": x, "y": each.y[number], **ends}
                    | ({"note": each.notes[number]} if each.notes and each.notes[number] else {})
                )
            if chart.form != "scatter":  # there x is what was measured
                rows += [
                    {"panel": panel.title, "series": f"{each.label}, measured", **vars(point)}
                    | ({"x": each.x[int(point.x)]} if chart.form == "bars" else {})
                    for point in each.measured
                ]
    return rows


def without_zero(chart: Chart) -> Chart:
    """The same for drawing: what stands at 0 of a logarithmic axis, such as an empty cache, goes to 1."""
    if not chart.x_log or chart.form not in ("lines", "stacks"):
        return chart
    panels = (replace(panel, series=tuple(map(_from_one, panel.series))) for panel in chart.panels)
    return replace(chart, panels=tuple(panels))


def _from_one(each: Series) -> Series:
    marks, measured = (tuple(replace(one, x=max(one.x, 1)) for one in many) for many in (each.marks, each.measured))
    return replace(each, x=tuple(max(x, 1) for x in each.x), marks=marks, measured=measured)


# ---- names ----


def model_name(base: Scenario) -> str:
    """As people call it."""
    return base.loaded.model.title or base.loaded.model.name


def device_name(base: Scenario) -> str:
    """As people call it."""
    return base.hardware.title or base.hardware.name


def _format(base: Scenario) -> str:
    return base.load.weights.name


def told_apart(bases: Sequence[Scenario]) -> list[Scenario]:
    """The same scenarios, with its name in the title of each device and model that shares its title with another one."""
    devices = {base.hardware.label: device_name(base) for base in bases}
    models = {base.loaded.model.name: model_name(base) for base in bases}
    return [
        replace(
            base,
            hardware=_titled(base.hardware, base.hardware.label, devices),
            loaded=replace(base.loaded, model=_titled(base.loaded.model, base.loaded.model.name, models)),
        )
        for base in bases
    ]


def _titled(entry: Any, name: str, titles: dict[str, str]) -> Any:
    """A device or a model; *titles* are all there are, by name."""
    title = titles[name]
    if list(titles.values()).count(title) == 1:
        return entry
    return entry.model_copy(update={"title": f"{title} ({entry.name})"})


def by_device(bases: Sequence[Scenario]) -> dict[str, list[Scenario]]:
    """Scenarios by device, in the order given."""
    return _grouped(bases, device_name)


def _grouped(bases: Sequence[Scenario], name: Callable[[Scenario], str]) -> dict[str, list[Scenario]]:
    found: dict[str, list[Scenario]] = {}
    for base in bases:
        found.setdefault(name(base), []).append(base)
    return found


def _colours(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _one(names: Iterable[str]) -> str:
    """A name that all share; nothing where they differ."""
    found = list(dict.fromkeys(names))
    return found[0] if len(found) == 1 else ""


def listed(names: Iterable[str], most: int = 3) -> str:
    """So many names, and how many more there are."""
    found = list(dict.fromkeys(names))
    return (
        ", ".join(found) if len(found) <= most else f"{', '.join(found[: most - 1])} and {len(found) - most + 1} more"
    )


def _source(bases: Sequence[Scenario], *more: str) -> str:
    """Runtimes, what was taken for granted, and how well the memory of each device is known."""
    runtimes = listed(base.runtime.title or base.runtime.name for base in bases)
    more = (*more, *_assumed(bases))
    kinds: dict[str, list[str]] = {}
    for base in bases:
        figure = base.hardware.main_memory.sustained(base.hardware.device_class, None)
        names = kinds.setdefault(figure.origin, [])
        if base.hardware.name not in names:
            names.append(base.hardware.name)
    if any(base.hardware.n_devices > 1 and base.runtime.split == "tensors" for base in bases):
        more = (*more, "what devices tell each other left out: an upper bound")
    known = "; ".join(kind if len(kinds) == 1 else f"{kind} for {listed(names)}" for kind, names in kinds.items())
    told = ", ".join(text for text in (f"forecast for {runtimes}", *more, f"memory bandwidth {known}") if text)
    return "; ".join(filter(None, (told, told_without_peak(bases))))


def _assumed(bases: Sequence[Scenario]) -> Iterator[str]:
    """What was asked for besides the usual."""
    loads = [base.load for base in bases]
    routings = {base.load.routing.name for base in bases if base.loaded.model.experts} - {"uniform"}
    yield from (f"routing {name}" for name in sorted(routings))
    yield from sorted({load.sparsity.name for load in loads if load.sparsity})
    yield from sorted({f"cache {base.load.cache.name}" for base in bases if base.load.cache.name != base.runtime.cache})
    yield from sorted({f"{counted(load.threads, 'thread')}" for load in loads if load.threads})


# ---- tokens per second over something ----


def _values(values: Any, shape: tuple[int, ...], fits: np.ndarray) -> tuple[float | None, ...]:
    flat = np.broadcast_to(values, shape)
    return tuple(float(value) if ok else None for value, ok in zip(flat, fits, strict=True))


def _rates(label: str, x: Sequence[int], point: Prediction, share: Any = 1.0, **more: Any) -> Series:
    """A line of tokens per second times *share*, with interval and ceiling."""
    shape = (len(x),)
    fits = np.broadcast_to(point.fits, shape)
    low = () if point.is_upper_bound else _values(point.tokens_per_s_low * share, shape, fits)
    return Series(
        label,
        tuple(int(each) for each in x),
        _values(point.tokens_per_s * share, shape, fits),
        low,
        _values(point.tokens_per_s_high * share, shape, fits) if low else (),
        _values(point.tokens_per_s_ceiling * share, shape, fits),
        **more,
    )


def batch_chart(
    bases: Sequence[Scenario], batches: Sequence[int], context: int, measured: Sequence[Measured] = ()
) -> Chart:
    """Tokens per second against the batch: of all sequences together, and of each."""
    colour = _colours(_line_name(base, bases) for base in bases)
    devices = by_device(bases)
    panels = []
    if len(devices) > 1 and len({model_name(base) for base in bases}) == 1:
        devices = {model_name(bases[0]): list(bases)}
    for title, group in devices.items():
        together, alone = [], []
        for base in group:
            label = _line_name(base, bases)
            total, each = _over_batch(base, batches, context, measured, label, colour[label])
            together.append(total)
            alone.append(each)
        note = _panel_note(group, bases, min(batches), context)
        titles = (title, f"{title}, each") if len(devices) > 1 else ("All sequences together", "Each sequence")
        panels.append(Panel(titles[0], tuple(together), "tokens/s, all together", note=note))
        panels.append(Panel(titles[1], tuple(alone), "tokens/s, each", note=note))
    return Chart(
        "batch", "lines", "Tokens per second against the batch", BATCH,
        tuple(panels), _source(bases, f"context {context:,}"), _subtitle(bases), legend=BAND,
    )  # fmt: skip


def _subtitle(bases: Sequence[Scenario]) -> str:
    """The model and the device, as far as all share them."""
    model, device = _one(map(model_name, bases)), _one(map(device_name, bases))
    return " on ".join(part for part in (", ".join(filter(None, (model, _one(map(_format, bases))))), device) if part)


def _panel_title(base: Scenario, bases: Sequence[Scenario], names: Sequence[Callable[[Scenario], str]] = ()) -> str:
    """What tells a panel from the others."""
    names = names or (model_name, _format, device_name)
    return ", ".join(name(base) for name in names if len({name(each) for each in bases}) > 1)


def _line_name(base: Scenario, bases: Sequence[Scenario]) -> str:
    """What tells a scenario from the others: its model, where that is shared its device, and the format where it differs."""
    name_of = device_name if _one(map(model_name, bases)) and not _one(map(device_name, bases)) else model_name
    if _one(map(_format, bases)):
        return name_of(base)
    same = [each for each in bases if name_of(each) == name_of(base)]
    # A model in another format on every device is one colour and one name; each panel tells its format.
    apart = len(same) > len({device_name(each) for each in same})
    return f"{name_of(base)}, {_format(base)}" if apart or _one(map(_format, same)) else name_of(base)


def _untold_format(base: Scenario, bases: Sequence[Scenario]) -> str:
    """The format of a line, where neither its name nor the subtitle has it."""
    is_told = _one(map(_format, bases)) or _line_name(base, bases).endswith(f", {_format(base)}")
    return "" if is_told else _format(base)


def _panel_note(group: Sequence[Scenario], bases: Sequence[Scenario], batch: int, context: int) -> str:
    """What the names of a panel's lines leave out: their formats there, and which of them have no line since they do not fit."""
    fitting, others = [], []
    for base in group:
        fmt = _untold_format(base, bases)
        is_fitting = bool(base.at(batch, context).fits)
        told = _line_name(base, bases) + (f" in {fmt}" if fmt else "")
        if not is_fitting:
            others.append(f"{told} does not fit")
        elif fmt:
            fitting.append(told)
    return "; ".join(filter(None, (", ".join(fitting), *others)))


def _over_batch(
    base: Scenario, batches: Sequence[int], context: int, measured: Sequence[Measured], label: str, colour: int
) -> tuple[Series, Series]:
    most = max(batches)
    found = crossings(base, context, most)
    sizes = sorted({*batches, *([found.fits_to] if found.fits_to else [])})
    point = base.at(np.array(sizes), context)
    points = [each for each in _matching(measured, base) if _near(each.context, context)]
    together = tuple(_bar(each.batch, each) for each in points)
    alone = tuple(_bar(each.batch, each, 1 / each.batch) for each in points)
    total = _rates(label, sizes, point, measured=together, colour=colour)
    each = _rates(label, sizes, point, 1 / np.array(sizes), measured=alone, colour=colour)
    marks = [
        tuple(mark for mark in _marks(base, context, found, alone) if mark.x >= sizes[0]) for alone in (False, True)
    ]
    return replace(total, marks=marks[0]), replace(each, marks=marks[1])


def _marks(base: Scenario, context: int, found: Any, each: bool = False) -> tuple[Mark, ...]:
    """The crossings, at the height of the line."""
    places = dict(zip(CHANGES, (found.compute_from, found.cache_from, found.fits_to), strict=True))
    words = {"memory is full": "fits up to {:,}"}
    marks = []
    for what, batch in places.items():
        if batch and (batch > 1 or what == "memory is full"):
            rate = float(base.at(batch, context).tokens_per_s) / (batch if each else 1)
            marks.append(Mark(batch, rate, what, words.get(what, what + " at {:,}").format(batch)))
    return tuple(marks)


def _matching(measured: Sequence[Measured], base: Scenario) -> list[Measured]:
    """Measurements of a scenario's model, device, runtime and format, with its routing and sparsity."""
    load = base.load
    return [
        each
        for each in measured
        if (each.model, each.hardware) == (base.loaded.model.name, base.hardware.label)
        and (each.runtime, each.weights) == (base.runtime.name, load.weights.name)
        and (each.routing, each.sparsity) == (load.routing.name, load.sparsity.name if load.sparsity else None)
        and each.threads in (None, load.threads or base.hardware.threads or base.hardware.cores)
    ]


def _near(found: int, wanted: int) -> bool:
    """Contexts so near that the difference does not show."""
    return abs(found - wanted) <= max(128, wanted // 4)


def _bar(x: float, each: Measured, share: float = 1.0) -> Point:
    return Point(x, each.tokens_per_s * share, each.tokens_per_s_low * share, each.tokens_per_s_high * share)


def context_chart(
    bases: Sequence[Scenario], contexts: Sequence[int], batch: int, measured: Sequence[Measured] = ()
) -> Chart:
    """Tokens per second against the tokens in the cache."""
    colour = _colours(_line_name(base, bases) for base in bases)
    devices = {"": list(bases)} if len({model_name(base) for base in bases}) == 1 else by_device(bases)
    panels = [
        Panel(
            title if len(devices) > 1 else "",
            tuple(
                _over_context(base, contexts, batch, measured, label, colour[label])
                for base in group
                for label in [_line_name(base, bases)]
            ),
            "tokens/s" + (", all together" if batch > 1 else ""),
            note=_panel_note(group, bases, batch, min(contexts)),
        )
        for title, group in devices.items()
    ]
    source = _source(bases, f"batch {batch:,}")
    return Chart("context", "lines", "Tokens per second against context", "tokens in the cache of each sequence", tuple(panels), source,
                 _subtitle(bases), legend=BAND)  # fmt: skip


def _over_context(
    base: Scenario, contexts: Sequence[int], batch: int, measured: Sequence[Measured], label: str, colour: int
) -> Series:
    """As deep as the model goes and memory holds."""
    room, known = largest_context(base, batch), base.loaded.model.max_context
    deepest = min(each for each in (max(contexts), room, known) if each is not None)
    depths = sorted({each for each in contexts if each <= deepest} | {max(deepest, min(contexts))})
    points = tuple(_bar(each.context, each) for each in _matching(measured, base) if each.batch == batch)
    line = _rates(label, depths, base.at(batch, np.array(depths)), colour=colour, measured=points)
    if room != deepest or not line.y[-1]:
        return line
    return replace(line, marks=(Mark(deepest, line.y[-1], "memory is full", f"fits up to {deepest:,}"),))


# ---- bars ----


def speed_chart(bases: Sequence[Scenario], batch: int, context: int, measured: Sequence[Measured] = ()) -> Chart:
    """Models and devices beside each other at one batch and context."""
    devices, models = by_device(bases), _grouped(bases, model_name)
    if len(models) == 1 and len(devices) > 1:
        groups = {"": (list(bases), device_name)}
    elif len(devices) == 1:
        groups = {"": (list(bases), model_name)}
    else:
        groups = {title: (group, model_name) for title, group in devices.items()}
    shared = _one(map(_format, bases))
    colour = _colours(name(base) for group, name in groups.values() for base in group)
    panels = [
        Panel(title, (_bars(group, lambda b, name=name: name(b) + ("" if shared else f", {_format(b)}"), batch, context, measured,
                            lambda b, name=name: colour[name(b)]),), _rate_name(batch))
        for title, (group, name) in groups.items()
    ]  # fmt: skip
    is_of_devices = any(name is device_name for _, name in groups.values())
    each = ("device" if is_of_devices else "model") + ("" if shared else ", format")
    return _bar_chart("speed", "Tokens per second", each, panels, bases, batch, context)


def _rate_name(batch: int) -> str:
    return "tokens/s" + (", all sequences together" if batch > 1 else "")


def formats_chart(bases: Sequence[Scenario], batch: int, context: int, measured: Sequence[Measured] = ()) -> Chart:
    """Formats of each model on each device, the smallest first."""
    groups = _grouped(bases, lambda base: f"{model_name(base)}\n{device_name(base)}")
    panels = []
    for group in groups.values():
        title = _panel_title(group[0], bases, (model_name, device_name))
        ordered = sorted(group, key=lambda base: float(base.at(1, 0).weight_bytes))
        bars = _bars(
            ordered, lambda b: f"{_format(b)}, {format_gib(b.at(1, 0).weight_bytes)}", batch, context, measured
        )
        panels.append(Panel(title if len(groups) > 1 else "", (bars,), _rate_name(batch)))
    return _bar_chart("formats", "Tokens per second by format", "format, its weights", panels, bases, batch, context)


def _bar_chart(
    kind: str, title: str, each: str, panels: Sequence[Panel], bases: Sequence[Scenario], batch: int, context: int
) -> Chart:
    source = _source(bases, f"batch {batch:,}", f"context {context:,}")
    is_wide = any(_is_wide([y for each in panel.series for y in each.y if y]) for panel in panels)
    has_low = any(low for panel in panels for each in panel.series for low in each.low)
    has_stars = any(each.measured for panel in panels for each in panel.series)
    told = (*(["bar: 80 % interval"] if has_low else []), "tick: ceiling", *(["star: measured"] if has_stars else []))
    x = _rate_name(batch) + (", logarithmic" if is_wide else "")
    shared = {"x_log": is_wide, "y_log": False, "legend": "; ".join(told), "each": each}
    return Chart(kind, "bars", title, x, tuple(panels), source, _subtitle(bases), **shared)


def _is_wide(rates: Sequence[float]) -> bool:
    """Whether the shortest bar could not be seen beside the longest, on axes of their own."""
    return bool(rates) and max(rates) > 30 * min(rates)


def _bars(
    bases: Sequence[Scenario],
    name: Callable[[Scenario], str],
    batch: int,
    context: int,
    measured: Sequence[Measured],
    colour: Callable[[Scenario], int] = lambda _: 0,
) -> Series:
    points = [base.at(batch, context) for base in bases]
    found = [
        Point(number, each.tokens_per_s, each.tokens_per_s_low, each.tokens_per_s_high)
        for number, base in enumerate(bases)
        for each in _matching(measured, base)
        if each.batch == batch and _near(each.context, context)
    ]
    fitting = [bool(point.fits) for point in points]

    def known(values: Iterable[Any]) -> tuple[float | None, ...]:
        found = zip(values, fitting, strict=True)
        return tuple(float(value) if fits and value is not None else None for value, fits in found)

    return Series(
        "tokens/s",
        tuple(_apart([name(base) for base in bases])),
        known(point.tokens_per_s for point in points),
        known(None if point.is_upper_bound else point.tokens_per_s_low for point in points),
        known(point.tokens_per_s_high for point in points),
        known(point.tokens_per_s_ceiling for point in points),
        tuple(_bar_note(point) for point in points),
        measured=tuple(found),
        colour=colour(bases[0]),
    )


def _apart(names: Sequence[str]) -> list[str]:
    """The same names with a number where two are alike."""
    return [
        name if names[:n].count(name) == 0 else f"{name} ({names[:n].count(name) + 1})" for n, name in enumerate(names)
    ]


def _bar_note(point: Prediction) -> str:
    if not point.fits:
        return f"does not fit: needs {format_gib(float(point.memory_bytes))} of {format_gib(point.memory_limit_bytes)}"
    return f"{point.bound}-bound"


# ---- experts, bytes ----


def mixtures_of(bases: Sequence[Scenario]) -> list[Scenario]:
    """The scenarios of models with experts; InputError if there is none."""
    found = [base for base in bases if base.loaded.model.experts]
    if not found:
        names = listed(map(model_name, bases))
        raise InputError(f"{names}: without experts, and only a mixture of experts has this picture")
    return found


def experts_chart(bases: Sequence[Scenario], batches: Sequence[int], routings: Sequence[str] = ()) -> Chart:
    """Distinct experts of a layer that a step reads, against the batch, for each routing; InputError where no model has experts."""
    mixtures = list({base.loaded.model.name: base for base in mixtures_of(bases)}.values())
    sizes = np.array(sorted(batches))
    series = []
    for base in mixtures:
        layer = base.loaded.model.experts[0]
        name = f"{model_name(base)}, {layer.n_active} of {layer.n_experts}"
        for way in [load_routing(each) for each in routings] or [base.load.routing]:
            label = way.name if len(mixtures) == 1 else f"{name}, {way.name}" if routings else name
            found = np.broadcast_to(_distinct(base.loaded.model.experts, way, sizes), sizes.shape)
            series.append(Series(label, _whole(sizes), tuple(map(float, found)), colour=len(series)))
    plain = listed(model_name(base) for base in bases if not base.loaded.model.experts)
    ways = listed(routings or dict.fromkeys(base.load.routing.name for base in mixtures), 5)
    source = f"computed from how tokens pick experts: {ways}" + (f"; without experts: {plain}" if plain else "")
    return Chart("experts", "lines", "Distinct experts that a step reads in a layer", BATCH, (Panel("", tuple(series), "experts"),),
                 source, name if len(mixtures) == 1 else "")  # fmt: skip


def _whole(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _distinct(layers: Sequence[Experts], routing: Routing, batches: np.ndarray) -> Any:
    kinds = {ffn: list(layers).count(ffn) for ffn in set(layers)}
    return sum(n * routing.distinct(ffn, batches) for ffn, n in kinds.items()) / len(layers)


def bytes_chart(bases: Sequence[Scenario], batches: Sequence[int], context: int) -> Chart:
    """Bytes that a step moves, by component, at each batch."""
    distinct = list({(base.loaded.model.name, _format(base), base.load.cache.name): base for base in bases}.values())
    names = {"weights": "other weights" if any(base.loaded.model.experts for base in bases) else "weights"}
    panels = []
    for base in distinct:
        found = base.at(np.array(batches), context).bytes
        series = (
            Series(names.get(part, part), _whole(batches), _floats(found[part], len(batches)), colour=number)
            for number, part in enumerate(COMPONENTS)
        )
        panels.append(
            Panel(
                _panel_title(base, distinct, (model_name, _format)),
                tuple(each for each in series if any(each.y)),
                "bytes of a step",
            )
        )
    shared = _subtitle(distinct).partition(" on ")[0] if len(distinct) == 1 else ""
    source = f"counted: context {context:,}, cache {listed(base.load.cache.name for base in bases)}"
    return Chart("bytes", "stacks", "Where the bytes of a step go", BATCH, tuple(panels), source, shared, y_log=False)


def _floats(values: Any, count: int) -> tuple[float, ...]:
    return tuple(float(value) for value in np.broadcast_to(values, (count,)))


# ---- what sparsity and skew would buy ----


def sparsity_chart(bases: Sequence[Scenario], batches: Sequence[int], context: int) -> Chart:
    """How many times as fast a model gets where so many inputs of its linear layers are zero and their weights are not read."""
    panels = []
    for base in bases:
        fitting = [batch for batch in batches if batch <= largest_batch(base, context)]
        series = []
        if fitting:
            points = (with_zeros(base, share).at(np.array(fitting), context) for share in ZERO_SHARES)
            rates = np.array([point.tokens_per_s for point in points])
            x = tuple(100 * share for share in ZERO_SHARES)
            series = [
                Series(f"batch {batch:,}", x, _floats(column / column[0], len(column)), colour=n)
                for n, (batch, column) in enumerate(zip(fitting, rates.T, strict=True))
            ]
        panels.append(Panel(_panel_title(base, bases), tuple(series), "times as fast as without"))
    source = _source(bases, f"context {context:,}", "zeros independent of each other")
    return Chart("sparsity", "lines", "What zero inputs buy", "inputs of the linear layers that are zero, %", tuple(panels), source,
                 _subtitle(bases), x_log=False, y_log=False)  # fmt: skip


def with_zeros(base: Scenario, share: float) -> Scenario:
    """The same with a share of zero inputs in every linear layer; sparsity that it had gives way."""
    zeros = parse_sparsity(f"columns:{share:g}") if share else None
    return replace(base, load=replace(base.load, sparsity=zeros))


def routing_chart(
    bases: Sequence[Scenario], batches: Sequence[int], context: int, routings: Sequence[str] = ROUTINGS
) -> Chart:
    """Tokens per second of a mixture against the batch, for several ways in which tokens pick experts."""
    mixtures = mixtures_of(bases)
    panels = []
    for base in mixtures:
        series = []
        for number, name in enumerate(routings):
            skewed = replace(base, load=replace(base.load, routing=load_routing(name)))
            line = _rates(name, batches, skewed.at(np.array(batches), context), colour=number)
            series.append(replace(line, low=(), high=(), ceiling=()))
        panels.append(Panel(_panel_title(base, mixtures), tuple(series), "tokens/s, all together"))
    plain = listed(model_name(base) for base in bases if not base.loaded.model.experts)
    source = _source(mixtures, f"context {context:,}", f"without experts: {plain}" if plain else "")
    return Chart("routing", "lines", "What skewed routing changes", BATCH, tuple(panels), source, _subtitle(mixtures))  # fmt: skip


# ---- rooflines ----


def roofline_chart(bases: Sequence[Scenario], batches: Sequence[int], context: int) -> Chart:
    """Under the roof of each device: the parts of a model's step, or of several models the whole step, batch by batch."""
    groups = by_device(bases)
    panels, shown = [], set()
    colour = _colours(_line_name(base, bases) for base in bases)
    for title, group in groups.items():
        series: list[Series] = []
        for base in group:
            room = largest_batch(base, context)
            fitting = tuple(batch for batch in batches if batch <= room)
            if not fitting:
                continue
            shown |= set(fitting)
            found = _operations(base, fitting, context)
            if len(group) > 1:
                x, y = _step(found)
                series.append(
                    Series(
                        _line_name(base, bases),
                        x,
                        y,
                        notes=tuple(map(str, fitting)),
                        colour=colour[_line_name(base, bases)],
                    )
                )
                continue
            for part, (flops, moved, seconds) in found.items():
                x, y = _floats(flops / moved, len(fitting)), _floats(flops / seconds, len(fitting))
                number = list(PARTS).index(part) if part in PARTS else len(PARTS)
                series.append(Series(PARTS.get(part, part), x, y, notes=tuple(map(str, fitting)), colour=number))
        note = _panel_note(group, bases, min(batches), context) if series else ""  # else the panel says so itself
        panels.append(
            Panel(title if len(groups) > 1 else "", tuple(series), "operations per second", group[0].hardware, note)
        )
    shown = shown or set(batches)
    told = f"batch {min(shown):,} to {max(shown):,}" if len(shown) > 1 else f"batch {min(shown):,}"
    hollow = f"batch {min(shown):,}" if len(shown) > 1 else ""
    return Chart("roofline", "roofline", "What holds it back", "operations per byte moved", tuple(panels),
                 _source(bases, told, f"context {context:,}"), _subtitle(bases), legend=hollow)  # fmt: skip


def _operations(base: Scenario, batches: Sequence[int], context: int) -> dict[str, tuple[np.ndarray, ...]]:
    """Operations, bytes and seconds of each part of the model, at each batch; what computes next to nothing is left out."""
    shape = (len(batches),)
    totals: dict[str, list[np.ndarray]] = {}
    for timed in base.at(np.array(batches), context).ops:
        sums = totals.setdefault(timed.op.part, [np.zeros(shape) for _ in range(3)])
        for number, value in enumerate((timed.op.cost.flops, timed.op.cost.streamed_bytes, timed.seconds)):
            sums[number] = sums[number] + timed.op.count * np.broadcast_to(value, shape)
    overall = sum(flops for flops, _, _ in totals.values())
    return {
        part: tuple(sums)
        for part, sums in totals.items()
        if np.all(sums[1] > 0) and np.all(sums[2] > 0) and np.any(sums[0] > 0.002 * overall)
    }


def _step(parts: dict[str, tuple[np.ndarray, ...]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    flops, moved, seconds = (sum(sums[number] for sums in parts.values()) for number in range(3))
    return _floats(flops / moved, len(flops)), _floats(flops / seconds, len(flops))


def device_chart(device: Hardware) -> Chart:
    """The roofs of a device, and where the engine's kernels were measured under them."""
    found: dict[str, list[roofline_data.Dot]] = {}
    for dot in roofline_data.dots_of(device):
        found.setdefault(dot.format, []).append(dot)
    series = [
        Series(name, tuple(dot.ops_per_byte for dot in dots), tuple(dot.ops_per_s for dot in dots), colour=number)
        for number, (name, dots) in enumerate(found.items())
    ]
    panel = Panel("", tuple(series), "operations per second", device)
    return Chart("device", "roofline", "Roofline", "operations per byte read", (panel,), roofline_data.origin(device),
                 device.title or device.name)  # fmt: skip


# ---- measured ----


def measured_chart(measured: Sequence[Measured], what: str) -> Chart:
    """Every forecast against its measurement."""
    groups: dict[str, list[Measured]] = {}
    several = len({each.model for each in measured}) <= 7
    for each in measured:
        groups.setdefault(each.model if several else "measurements", []).append(each)
    series = []
    for number, (label, rows) in enumerate(groups.items()):
        bars = tuple(
            Point(each.tokens_per_s, each.forecast, each.tokens_per_s_low, each.tokens_per_s_high) for each in rows
        )
        series.append(
            Series(
                label,
                tuple(each.tokens_per_s for each in rows),
                tuple(each.forecast for each in rows),
                tuple(each.forecast_low for each in rows),
                tuple(each.forecast_high for each in rows),
                notes=tuple(each.id for each in rows),
                measured=bars,
                colour=number,
            )
        )
    panel = Panel("", tuple(series), "forecast, tokens/s")
    return Chart("measured", "scatter", "Forecast against measured", "measured, tokens/s", (panel,), told_errors(measured), what,
                 legend="bars: 80 % interval, spread of the measurement")  # fmt: skip
