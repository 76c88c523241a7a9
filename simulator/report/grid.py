"""What the page of a report holds: forecasts over batches and contexts for every model, device, format and routing."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simulator.forecast.bandwidth import bandwidth_of
from simulator.forecast.decode import cache_bytes_held
from simulator.forecast.fit import fixed_bytes
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import DEFAULT_CONTEXT, Scenario, scenario, usual_formats
from simulator.forecast.step import BOUNDS
from simulator.importers.open import load_model, load_routing
from simulator.progress import Progress
from simulator.report.charts import BATCHES, with_zeros
from simulator.report.crossings import Crossings, crossings
from simulator.report.roofline_data import ceilings_of
from simulator.spec.hardware import Hardware, load_hardware
from simulator.spec.model import Loaded
from simulator.spec.quant import Weights
from simulator.spec.routing import Routing, Uniform
from simulator.spec.workload import MAX_CONTEXT
from simulator.units import counted

CONTEXTS = (128, 1024, 4096, 8192, 16384, 32768, 65536, 131072)
ROUTINGS = ("uniform", "zipf:1.2", "worst")
ZERO_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)  # of the inputs of linear layers
BUDGET_BYTES = 2_000_000  # of all forecasts, as the page writes them
BOUND_LETTERS = {"memory": "m", "compute": "c", "overhead": "o", "does_not_fit": "x"}
MOST_AT_ONCE = 2_000  # batches
# What a surface takes there: for each of its points, and besides; measured on pages of 3 x 3 and 12 x 5.
POINT_BYTES, SURFACE_BYTES = 36, 800


@dataclass(frozen=True)
class Surface:
    """One model on one device in one format with one routing, over batches (down) and contexts (across)."""

    base: Scenario
    point: Prediction
    crossings: tuple[Crossings, ...]  # one for each context


@dataclass(frozen=True)
class InFormat:
    """One model on one device in one format."""

    surfaces: tuple[Surface, ...]  # one for each routing
    deepest: tuple[
        int | None, ...
    ]  # for each batch the longest context that fits; None where memory does not grow with it

    @property
    def base(self) -> Scenario:
        """Its scenario with the first routing."""
        return self.surfaces[0].base

    @property
    def name(self) -> str:
        """Of the format."""
        return self.base.load.weights.name


@dataclass(frozen=True)
class Pair:
    """One model on one device."""

    model: int  # which of the models
    device: int
    formats: tuple[InFormat, ...]
    default: int  # which of the formats is shown first
    sparse: tuple[Prediction, ...]  # for each share of zeros, over the batches, in that format at the shown context

    @property
    def base(self) -> Scenario:
        """Its scenario in the format that is shown first."""
        return self.formats[self.default].base


@dataclass(frozen=True)
class Grids:
    """All that a page can show, and what it was asked for."""

    models: tuple[str, ...]  # as a command names them
    devices: tuple[str, ...]
    options: str  # that a command needs to forecast the same: " --threads 2"
    batches: tuple[int, ...]
    contexts: tuple[int, ...]
    shown_context: int  # at which the page opens
    zero_shares: tuple[float, ...]
    pairs: tuple[Pair, ...]  # devices outermost
    thinned: tuple[str, ...]  # what was left out for the page's size


@dataclass(frozen=True)
class Extent:
    """How much of what was asked for a page holds."""

    contexts: tuple[int, ...]
    most_formats: int
    all_routings: int  # of so many formats, the first first; of the others one routing


@dataclass(frozen=True)
class Job:
    """A pair before anything is computed: the formats it may be shown in, the first choice first."""

    model: int
    device: int
    base: Scenario
    weights: tuple[Weights, ...]
    routings: tuple[Routing, ...]


def build_grids(
    models: Sequence[str | Path | Loaded],
    devices: Sequence[str | Path | Hardware],
    *,
    weights: Sequence[str] = (),
    batches: Sequence[int] = BATCHES,
    contexts: Sequence[int] = CONTEXTS,
    context: int = DEFAULT_CONTEXT,
    routings: Sequence[str] = ROUTINGS,
    cache: str | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    sparsity: str | None = None,
    n_devices: int | None = None,
    budget_bytes: int = BUDGET_BYTES,
    progress: Progress = lambda _share, _what: None,
) -> Grids:
    """Every model on every device; InputError where one cannot be forecast, such as in a format that was named.

    The page opens at the one of *contexts* that is nearest to *context*. What takes more than *budget_bytes* is thinned: first
    the routings of formats other than the first, then formats, then contexts.
    """
    loaded = [each if isinstance(each, Loaded) else load_model(each) for each in models]
    hardware = [each if isinstance(each, Hardware) else load_hardware(each) for each in devices]
    sizes = tuple(sorted({1, *batches}))  # one user is what most readers ask about
    depths = _depths(contexts, loaded)
    shown = min(depths, key=lambda depth: abs(depth - context))
    shared = {"cache": cache, "runtime": runtime, "threads": threads, "sparsity": sparsity, "devices": n_devices}
    shared["context"] = shown
    jobs = [
        _job(number, place, model, device, weights, routings, shared)
        for place, device in enumerate(hardware)
        for number, model in enumerate(loaded)
    ]
    extent = _extent(jobs, len(sizes), depths, shown, budget_bytes)
    pairs = []
    for number, job in enumerate(jobs):
        progress(number / len(jobs), f"{job.base.loaded.model.name} on {job.base.hardware.name}")
        pairs.append(_pair(job, extent, sizes, shown))
    return Grids(
        tuple(map(model_argument, models)),
        tuple(map(device_argument, devices)),
        _options(cache, runtime, threads, sparsity, n_devices),
        sizes,
        extent.contexts,
        shown,
        ZERO_SHARES,
        tuple(pairs),
        tuple(_thinned(jobs, extent, depths)),
    )


def model_argument(model: str | Path | Loaded) -> str:
    """How a command names a model."""
    return str(model.path or model.model.name) if isinstance(model, Loaded) else str(model)


def device_argument(device: str | Path | Hardware) -> str:
    """How a command names a device."""
    return device.label if isinstance(device, Hardware) else str(device)


def _options(
    cache: str | None, runtime: str | None, threads: int | None, sparsity: str | None, n_devices: int | None
) -> str:
    given = {"cache": cache, "runtime": runtime, "threads": threads, "sparsity": sparsity}
    given["devices"] = n_devices if n_devices and n_devices > 1 else None
    return "".join(f" --{name} {shlex.quote(str(value))}" for name, value in given.items() if value is not None)


# ---- what is asked for, and how much of it a page holds ----


def _depths(contexts: Sequence[int], models: Sequence[Loaded]) -> tuple[int, ...]:
    """Without those that no model was made for."""
    known = [each.model.max_context for each in models]
    deepest = MAX_CONTEXT if None in known else max(known)
    ordered = sorted(set(contexts))
    return tuple(each for each in ordered if each <= deepest) or (ordered[0],)


def _job(
    number: int,
    place: int,
    model: Loaded,
    device: Hardware,
    weights: Sequence[str],
    routings: Sequence[str],
    shared: dict[str, Any],
) -> Job:
    kinds = tuple(map(load_routing, routings)) if model.model.experts else (Uniform(),)
    first, *others = (scenario(model, device, weights=name, **shared) for name in weights or (None,))
    base, found = replace(first, load=replace(first.load, routing=kinds[0])), [first, *others]
    if not weights:
        return Job(number, place, base, _first_then(first.load.weights, usual_formats(first)), kinds)
    chosen = next((each for each in found if _fits_one(each, shared["context"])), first)
    names = {each.load.weights.name: each.load.weights for each in found}
    base = replace(base, load=replace(base.load, weights=chosen.load.weights))
    return Job(number, place, base, _first_then(chosen.load.weights, list(names.values())), kinds)


def _fits_one(base: Scenario, context: int) -> bool:
    return bool(base.at(1, context).fits)


def _first_then(first: Weights, others: Sequence[Weights]) -> tuple[Weights, ...]:
    return (first, *(each for each in others if each.name != first.name))


def _extent(jobs: Sequence[Job], n_batches: int, contexts: tuple[int, ...], shown: int, budget_bytes: int) -> Extent:
    """The largest that keeps to the budget; the smallest that there is where none does."""
    candidates = list(_extents(max(len(job.weights) for job in jobs), contexts, shown))
    fitting = (each for each in candidates if _bytes_of(jobs, each, n_batches) <= budget_bytes)
    return next(fitting, candidates[-1])


def _extents(n_formats: int, contexts: tuple[int, ...], shown: int) -> Iterator[Extent]:
    """The largest first."""
    yield Extent(contexts, n_formats, n_formats)
    for most in (n_formats, *(each for each in (5, 4, 3, 2, 1) if each < n_formats)):
        yield Extent(contexts, most, 1)
    while len(contexts) > 2:
        contexts = tuple(each for n, each in enumerate(contexts) if n % 2 == len(contexts) % 2 or each == shown)
        yield Extent(contexts, 1, 1)
    yield Extent(contexts, 1, 0)


def _bytes_of(jobs: Sequence[Job], extent: Extent, n_batches: int) -> int:
    surfaces = sum(
        len(_routings_of(job, extent, place))
        for job in jobs
        for place in range(min(len(job.weights), extent.most_formats))
    )
    return surfaces * (POINT_BYTES * n_batches * len(extent.contexts) + SURFACE_BYTES)


def _routings_of(job: Job, extent: Extent, place: int) -> tuple[Routing, ...]:
    """Of the format at a place among those of a pair."""
    return job.routings if place < extent.all_routings else job.routings[:1]


def _formats_of(job: Job, most: int) -> list[Weights]:
    """At most so many, the first choice and others evenly spread."""
    first, *others = job.weights
    places = np.unique(np.linspace(0, len(others) - 1, min(most - 1, len(others))).round().astype(int))
    return [first, *(others[place] for place in places)]


def _thinned(jobs: Sequence[Job], extent: Extent, contexts: Sequence[int]) -> Iterator[str]:
    """What a page leaves out, in sentences."""
    n_formats = max(len(job.weights) for job in jobs)
    if extent.most_formats < n_formats:
        yield f"at most {extent.most_formats} of {counted(n_formats, 'format')} of each model on each device"
    n_routings = max(len(job.routings) for job in jobs)
    if extent.all_routings < min(n_formats, extent.most_formats) and n_routings > 1:
        yield "only the first routing" + (" in formats other than the first" if extent.all_routings else "")
    if len(extent.contexts) < len(contexts):
        yield f"{len(extent.contexts)} of {len(contexts)} contexts"


# ---- forecasts ----


def _pair(job: Job, extent: Extent, batches: tuple[int, ...], shown: int) -> Pair:
    formats = []
    for place, weights in enumerate(_formats_of(job, extent.most_formats)):
        base = replace(job.base, load=replace(job.base.load, weights=weights))
        kinds = _routings_of(job, extent, place)
        formats.append(_in_format(base, kinds, np.array(batches), np.array(extent.contexts)))
    first = formats[0]
    formats.sort(key=lambda each: float(each.surfaces[0].point.weight_bytes))
    sparse = tuple(with_zeros(first.base, share).at(np.array(batches)[:, None], shown) for share in ZERO_SHARES)
    return Pair(job.model, job.device, tuple(formats), formats.index(first), sparse)


def _in_format(base: Scenario, routings: Sequence[Routing], batches: np.ndarray, contexts: np.ndarray) -> InFormat:
    surfaces = tuple(
        _surface(replace(base, load=replace(base.load, routing=each)), batches, contexts) for each in routings
    )
    return InFormat(surfaces, _deepest(base, batches))


def _surface(base: Scenario, batches: np.ndarray, contexts: np.ndarray) -> Surface:
    point = base.at(batches[:, None], contexts[None, :])
    return Surface(base, point, _crossings(base, int(batches[-1]), contexts))


def _crossings(base: Scenario, most: int, contexts: np.ndarray) -> tuple[Crossings, ...]:
    """As `crossings` finds them, for all contexts at once as long as there are few batches."""
    if most > MOST_AT_ONCE:
        return tuple(crossings(base, int(context), most) for context in contexts)
    point = base.at(np.arange(1, most + 1)[:, None], contexts[None, :])
    shape = (most, len(contexts))
    fits = np.broadcast_to(point.fits, shape)
    parts = point.parts_given_memory
    computes = fits & (parts["compute"] > parts["memory"])
    cached = fits & (point.bytes["cache"] > point.bytes["weights"] + point.bytes["experts"])
    room = fits.sum(axis=0)
    rows = zip(_first(computes), _first(cached), room, strict=True)
    return tuple(Crossings(one, other, int(most_held) if most_held < most else None) for one, other, most_held in rows)


def _first(holds: np.ndarray) -> list[int | None]:
    """For each context the first batch at which something holds."""
    found = zip(holds.any(axis=0), holds.argmax(axis=0), strict=True)
    return [int(place) + 1 if any_ else None for any_, place in found]


def _deepest(base: Scenario, batches: np.ndarray) -> tuple[int | None, ...]:
    """As `largest_context` finds it, for all batches at once."""
    low, high = np.zeros(len(batches), dtype=int), np.full(len(batches), MAX_CONTEXT)
    grows = np.broadcast_to(base.memory_bytes(batches, high) > base.memory_bytes(batches, high // 10), low.shape)
    fits = np.broadcast_to(base.memory_bytes(batches, low + 1) <= base.memory_limit_bytes, low.shape)
    while np.any(low < high):
        middle = (low + high + 1) // 2
        goes = base.memory_bytes(batches, middle) <= base.memory_limit_bytes
        low, high = np.where(goes, middle, low), np.where(goes, high, middle - 1)
    rows = zip(low, fits, grows, strict=True)
    return tuple(None if not rising else int(depth) if fit else 0 for depth, fit, rising in rows)


# ---- as the page's script reads it ----


@dataclass(frozen=True)
class Pool:
    """Arrays of a page, each once: rows, columns and little-endian float32 in base64. Equal rows or columns are one."""

    places: dict[tuple[int, int, str], int]

    def add(self, values: Any, n_rows: int, n_columns: int = 1) -> int:
        """The place of an array in the pool."""
        table = np.broadcast_to(np.asarray(values, dtype="<f4"), (n_rows, n_columns))
        if np.array_equal(table, np.broadcast_to(table[:, :1], table.shape), equal_nan=True):
            table = table[:, :1]
        if np.array_equal(table, np.broadcast_to(table[:1], table.shape), equal_nan=True):
            table = table[:1]
        packed = (*table.shape, base64.b64encode(np.ascontiguousarray(table).tobytes()).decode("ascii"))
        return self.places.setdefault(packed, len(self.places))

    @property
    def arrays(self) -> list[list[Any]]:
        """In the order of their places."""
        return [list(packed) for packed in self.places]


def as_data(grids: Grids) -> dict[str, Any]:
    """The grids as plain values for JSON: bytes, seconds, flops; `pool` holds the arrays that numbers elsewhere point to."""
    pool = Pool({})
    first = {each.device: each.base for each in reversed(grids.pairs)}
    data = {
        "batches": grids.batches,
        "contexts": grids.contexts,
        "context": grids.shown_context,
        "zeros": grids.zero_shares,
        "options": grids.options,
        "models": [_model_data(grids, number) for number in range(len(grids.models))],
        "devices": [_device_data(first[number], argument) for number, argument in enumerate(grids.devices)],
        "pairs": [_pair_data(pair, grids, pool) for pair in grids.pairs],
    }
    return {**data, "pool": pool.arrays}


def _model_data(grids: Grids, number: int) -> dict[str, Any]:
    model = next(pair.base.loaded.model for pair in grids.pairs if pair.model == number)
    counts = sorted({(ffn.n_experts, ffn.n_active) for ffn in model.experts})
    return {
        "name": model.name,
        "title": model.title or model.name,
        "argument": shlex.quote(grids.models[number]),
        "experts": counts[-1][0] if counts else 0,
        "active": counts[-1][1] if counts else 0,
        "deepest": model.max_context,
    }


def _device_data(base: Scenario, argument: str) -> dict[str, Any]:
    device, threads = base.hardware, base.load.threads or base.hardware.threads
    return {
        "name": device.label,
        "title": device.title or device.name,
        "argument": shlex.quote(argument),
        "memory": device.main_memory.name,
        "bandwidth": bandwidth_of(device, threads).main.value,
        "ceiling": device.main_memory.ceiling_bytes_per_s(),
        "source": "the datasheet" if device.main_memory.datasheet_gb_per_s else "the best measured",
        "peaks": [
            {"formats": ", ".join(each.formats), "rate": each.ops_per_s * device.thread_share(base.load.threads)}
            for each in ceilings_of(device)
        ],
    }


def _pair_data(pair: Pair, grids: Grids, pool: Pool) -> dict[str, Any]:
    base, shape = pair.base, (len(grids.batches), len(grids.contexts))
    point = pair.formats[0].surfaces[0].point
    held = cache_bytes_held(base.loaded.model, point.load)
    return {
        "model": pair.model,
        "device": pair.device,
        "runtime": base.runtime.name,
        "software": base.runtime.title or base.runtime.name,
        "threads": point.threads,
        "limit": base.memory_limit_bytes,
        "held": pool.add(held, *shape),
        "default": pair.default,
        "why": base.choice,
        "formats": [_format_data(each, pool, shape) for each in pair.formats],
        "sparse": [pool.add(each.tokens_per_s, shape[0]) for each in pair.sparse],
    }


def _format_data(each: InFormat, pool: Pool, shape: tuple[int, int]) -> dict[str, Any]:
    base, point = each.base, each.surfaces[0].point
    # A file's own mix has no name that a command takes: it is what is left out.
    is_own = base.loaded.weights is not None and base.load.weights == base.loaded.weights
    return {
        "name": each.name,
        "option": "" if is_own else f" --weights {shlex.quote(each.name)}",
        "fixed": fixed_bytes(base.loaded.model, point.load, base.runtime, base.hardware),
        "deepest": each.deepest,
        "routings": [_surface_data(surface, pool, shape) for surface in each.surfaces],
    }


def _surface_data(surface: Surface, pool: Pool, shape: tuple[int, int]) -> dict[str, Any]:
    point, routing = surface.point, surface.base.load.routing.name
    low = np.nan if point.is_upper_bound else point.tokens_per_s_low
    rates = (point.tokens_per_s, low, point.tokens_per_s_high, point.tokens_per_s_ceiling)
    return {
        "name": routing,
        "option": "" if routing == "uniform" else f" --routing {shlex.quote(routing)}",
        "rates": [pool.add(values, *shape) for values in rates],
        "limits": [pool.add(point.parts_given_memory[name], *shape) for name in BOUNDS],
        "bound": "".join(BOUND_LETTERS[str(name)] for name in np.broadcast_to(point.bound, shape).flat),
        "bytes": [pool.add(values, *shape) for values in point.bytes.values()],
        "parts": {name: [pool.add(values, *shape) for values in row] for name, row in _by_part(point).items()},
        "distinct": None if point.distinct_experts is None else pool.add(point.distinct_experts, shape[0]),
        "crossings": [(each.compute_from, each.cache_from, each.fits_to) for each in surface.crossings],
    }


def _by_part(point: Prediction) -> dict[str, tuple[Any, Any, Any]]:
    """Seconds, operations and streamed bytes of the step by part, and what belongs to none."""
    found: dict[str, tuple[Any, Any, Any]] = {}
    for timed in point.ops:
        cost, count = timed.op.cost, timed.op.count
        added = (count * timed.seconds, count * cost.flops, count * cost.streamed_bytes)
        old = found.get(timed.op.part, (0.0, 0.0, 0.0))
        found[timed.op.part] = tuple(one + other for one, other in zip(old, added, strict=True))
    return found | {"step": (point.step_overhead_s, 0.0, 0.0)}
