"""The forecasts of a page as its script reads them: plain values for JSON, and arrays in base64, each once."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.forecast.bandwidth import bandwidth_of
from simulator.forecast.fit import cache_held
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.forecast.step import BOUNDS
from simulator.report.grid import Grids, InFormat, Pair, Surface
from simulator.report.roofline_data import ceilings_of
from simulator.report.splits import options_of, written

BOUND_LETTERS = {
    "memory": "m",
    "compute": "c",
    "overhead": "o",
    "communication": "l",
    "storage": "s",
    "does_not_fit": "x",
}


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
        "title": device.full_title,
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
    held = cache_held(base.loaded.model, point.load, base.runtime, base.hardware)
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


def _format_data(each: InFormat, pool: Pool, shape: tuple[int, int], is_other: bool = False) -> dict[str, Any]:
    """*is_other*: placed otherwise than it is by itself, as options of a command say."""
    base, point = each.base, each.surfaces[0].point
    # A file's own mix has no name that a command takes: it is what is left out.
    is_own = base.loaded.weights is not None and base.load.weights == base.loaded.weights
    # On a machine of parts what memory holds beside caches depends on the batch, too, and each format is placed by itself.
    memory = (
        {"fixed": 0.0, "held": pool.add(point.memory_bytes, *shape)}
        if base.placement
        else {"fixed": float(point.held[0].weight_bytes + point.held[0].scratch_bytes)}
    )
    words = options_of(base)
    return {
        "name": each.name,
        "option": ("" if is_own else f" --weights {shlex.quote(each.name)}")
        + (f" {written(words)}" if is_other else ""),
        "placed": written(words) if words else "all on it",
        "placements": [_format_data(other, pool, shape, is_other=True) for other in each.placements],
        **memory,
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
        "crossings": [
            (each.compute_from, each.cache_from, each.fits_to, each.brought_from) for each in surface.crossings
        ],
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
