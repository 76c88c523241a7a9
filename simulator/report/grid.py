"""What the page of a report holds: forecasts over batches and contexts for every model, device, format and routing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import DEFAULT_CONTEXT, Scenario
from simulator.forecast.splits import by_way
from simulator.importers.open import load_model
from simulator.progress import Progress
from simulator.report.charts.rates import BATCHES
from simulator.report.charts.sparsity import with_zeros
from simulator.report.crossings import Crossings, crossings_at
from simulator.report.extent import Extent, Job, depths_of, extent_of, formats_of, job_of, routings_of, thinned
from simulator.report.splits import options_of
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.model import Loaded
from simulator.spec.routing import Routing
from simulator.spec.workload import MAX_CONTEXT

CONTEXTS = (128, 1024, 4096, 8192, 16384, 32768, 65536, 131072)
ROUTINGS = ("uniform", "zipf:1.2", "worst")
ZERO_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)  # of the inputs of linear layers
BUDGET_BYTES = 2_000_000  # of all forecasts, as the page writes them


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
    # For each batch the longest context that fits; None where memory does not grow with it.
    deepest: tuple[int | None, ...]
    placements: tuple[InFormat, ...] = ()  # the same placed otherwise on the parts of a machine, the fastest first

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
    wide: int | None = None  # percentage of an interval that is shown beside that of 80 %


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
    depths = depths_of(contexts, loaded)
    shown = min(depths, key=lambda depth: abs(depth - context))
    shared = {"cache": cache, "runtime": runtime, "threads": threads, "sparsity": sparsity, "devices": n_devices}
    shared["context"] = shown
    jobs = [
        job_of(number, place, model, device, weights, routings, shared)
        for place, device in enumerate(hardware)
        for number, model in enumerate(loaded)
    ]
    extent = extent_of(jobs, len(sizes), depths, shown, budget_bytes)
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
        tuple(thinned(jobs, extent, depths)),
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


# ---- forecasts ----


def _pair(job: Job, extent: Extent, batches: tuple[int, ...], shown: int) -> Pair:
    formats = []
    for place, weights in enumerate(formats_of(job, extent.most_formats)):
        base = job.base.in_weights(weights)
        kinds = routings_of(job, extent, place)
        found = _in_format(base, kinds, np.array(batches), np.array(extent.contexts))
        others = _placed_otherwise(base, shown) if place == 0 else ()
        placed = (_in_format(each, kinds[:1], np.array(batches), np.array(extent.contexts)) for each in others)
        formats.append(replace(found, placements=tuple(placed)))
    first = formats[0]
    formats.sort(key=lambda each: float(each.surfaces[0].point.weight_bytes))
    sparse = tuple(with_zeros(first.base, share).at(np.array(batches)[:, None], shown) for share in ZERO_SHARES)
    return Pair(job.model, job.device, tuple(formats), formats.index(first), sparse)


def _placed_otherwise(base: Scenario, context: int) -> list[Scenario]:
    """The best of each other way to place it for one sequence, of those that options make."""
    if base.placement is None or base.hardware.host is None:
        return []
    ways = (each.base for each in by_way(base, 1, context))
    return [each for each in ways if each.placement != base.placement and options_of(each)]


def _in_format(base: Scenario, routings: Sequence[Routing], batches: np.ndarray, contexts: np.ndarray) -> InFormat:
    surfaces = tuple(
        _surface(replace(base, load=replace(base.load, routing=each)), batches, contexts) for each in routings
    )
    return InFormat(surfaces, _deepest(base, batches))


def _surface(base: Scenario, batches: np.ndarray, contexts: np.ndarray) -> Surface:
    point = base.at(batches[:, None], contexts[None, :])
    return Surface(base, point, crossings_at(base, contexts, int(batches[-1])))


def _deepest(base: Scenario, batches: np.ndarray) -> tuple[int | None, ...]:
    """As `largest_context` finds it, for all batches at once."""
    low, high = np.zeros(len(batches), dtype=int), np.full(len(batches), MAX_CONTEXT)
    grows = np.broadcast_to(base.memory_bytes(batches, high) > base.memory_bytes(batches, high // 10), low.shape)
    fits = np.broadcast_to(base.fits(batches, low + 1), low.shape)
    while np.any(low < high):
        middle = (low + high + 1) // 2
        goes = base.fits(batches, middle)
        low, high = np.where(goes, middle, low), np.where(goes, high, middle - 1)
    rows = zip(low, fits, grows, strict=True)
    return tuple(None if not rising else int(depth) if fit else 0 for depth, fit, rising in rows)
