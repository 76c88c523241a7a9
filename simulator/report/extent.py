"""How much of what was asked for a page holds: contexts, formats and routings are thinned until it keeps to its budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.forecast.scenario import Scenario, scenario, usual_formats
from simulator.importers.open import load_routing
from simulator.spec.hardware import Hardware
from simulator.spec.model import Loaded
from simulator.spec.quant import Weights
from simulator.spec.routing import Routing, Uniform
from simulator.spec.workload import MAX_CONTEXT
from simulator.units import counted

# What a surface takes on a page: for each of its points, and besides; measured on pages of 3 x 3 and 12 x 5.
POINT_BYTES, SURFACE_BYTES = 36, 800


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


def job_of(
    number: int,
    place: int,
    model: Loaded,
    device: Hardware,
    weights: Sequence[str],
    routings: Sequence[str],
    shared: dict[str, Any],
) -> Job:
    """A model on a device in the formats that were named, or in the usual ones."""
    kinds = tuple(map(load_routing, routings)) if model.model.experts else (Uniform(),)
    first, *others = (scenario(model, device, weights=name, **shared) for name in weights or (None,))
    base, found = replace(first, load=replace(first.load, routing=kinds[0])), [first, *others]
    if not weights:
        return Job(number, place, base, _first_then(first.load.weights, usual_formats(first)), kinds)
    chosen = next((each for each in found if _fits_one(each, shared["context"])), first)
    names = {each.load.weights.name: each.load.weights for each in found}
    base = base.in_weights(chosen.load.weights)
    return Job(number, place, base, _first_then(chosen.load.weights, list(names.values())), kinds)


def _fits_one(base: Scenario, context: int) -> bool:
    return bool(base.at(1, context).fits)


def _first_then(first: Weights, others: Sequence[Weights]) -> tuple[Weights, ...]:
    return (first, *(each for each in others if each.name != first.name))


def depths_of(contexts: Sequence[int], models: Sequence[Loaded]) -> tuple[int, ...]:
    """Without those that no model was made for."""
    known = [each.model.max_context for each in models]
    deepest = MAX_CONTEXT if None in known else max(known)
    ordered = sorted(set(contexts))
    return tuple(each for each in ordered if each <= deepest) or (ordered[0],)


def extent_of(jobs: Sequence[Job], n_batches: int, contexts: tuple[int, ...], shown: int, budget_bytes: int) -> Extent:
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
        len(routings_of(job, extent, place))
        for job in jobs
        for place in range(min(len(job.weights), extent.most_formats))
    )
    return surfaces * (POINT_BYTES * n_batches * len(extent.contexts) + SURFACE_BYTES)


def routings_of(job: Job, extent: Extent, place: int) -> tuple[Routing, ...]:
    """Of the format at a place among those of a pair."""
    return job.routings if place < extent.all_routings else job.routings[:1]


def formats_of(job: Job, most: int) -> list[Weights]:
    """At most so many, the first choice and others evenly spread."""
    first, *others = job.weights
    places = np.unique(np.linspace(0, len(others) - 1, min(most - 1, len(others))).round().astype(int))
    return [first, *(others[place] for place in places)]


def thinned(jobs: Sequence[Job], extent: Extent, contexts: Sequence[int]) -> Iterator[str]:
    """What a page leaves out, in sentences."""
    n_formats = max(len(job.weights) for job in jobs)
    if extent.most_formats < n_formats:
        yield f"at most {extent.most_formats} of {counted(n_formats, 'format')} of each model on each device"
    n_routings = max(len(job.routings) for job in jobs)
    if extent.all_routings < min(n_formats, extent.most_formats) and n_routings > 1:
        yield "only the first routing" + (" in formats other than the first" if extent.all_routings else "")
    if len(extent.contexts) < len(contexts):
        yield f"{len(extent.contexts)} of {len(contexts)} contexts"
