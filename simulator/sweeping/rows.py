"""The rows of a part: forecasts of its points as columns of Arrow, and those as a Parquet file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario, scenario
from simulator.forecast.step import BOUNDS
from simulator.sweeping.axes import Sweep
from simulator.sweeping.parts import Part

if TYPE_CHECKING:
    import pyarrow

STATUSES = ("ok", "does_not_fit", "refused")
OK, DOES_NOT_FIT, REFUSED = range(3)
LIMITS = (*BOUNDS, "does_not_fit")
NAMES = ("hardware", "runtime", "weights", "cache", "routing", "placement")  # of a combination
RATES = ("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling")
COLUMNS = (
    "model", *NAMES, "batch", "context", "status", "reason", *RATES, "bound", "is_upper_bound", "memory_bytes",
    "memory_limit_bytes",
)  # fmt: skip
MAY_BE_UNKNOWN = {"runtime", "weights", "cache", "reason", *RATES, "bound", "memory_bytes", "memory_limit_bytes"}
MARK = b"roofcast.sweep"  # in a file's metadata: the digest of its sweep, and which part it is
TALLY = b"roofcast.tally"  # and how many of its rows have each status


@dataclass(frozen=True)
class Combined:
    """A combination of a part: what it is called, and its forecasts or why there are none."""

    names: tuple[str | None, ...]  # as NAMES
    found: Prediction | None
    reason: str  # of those that are refused, or do not fit


def forecast_of(sweep: Sweep, part: Part) -> list[Combined]:
    """Every combination of a part, over its batches and contexts."""
    batches, contexts = sweep.batches[part.batches, None], sweep.contexts[None, part.contexts]
    return [_combined(sweep, part.model, each, batches, contexts) for each in range(part.first, part.last)]


def _combined(sweep: Sweep, model: int, combination: int, batches: np.ndarray, contexts: np.ndarray) -> Combined:
    base = _base(sweep, model, combination)
    if isinstance(base, Scenario):
        try:
            found = base.at(batches, contexts)
        except InputError as error:
            base = error
        else:
            placement = _settings(sweep, combination)[-1]
            load = base.load
            names = (base.hardware.label, base.runtime.name, load.weights.name, load.cache.name, load.routing.name)
            return Combined((*names, str(placement)), found, f"{base.hardware.label} has no memory for it")
    device, runtime, fmt, cache, routing, placement = _settings(sweep, combination)
    names = (device.label, runtime and runtime.name, fmt, cache, routing.name if routing else "uniform", str(placement))
    return Combined(names, None, str(base).split("\n")[0])


@lru_cache(maxsize=64)  # the tiles of one grid follow each other
def _base(sweep: Sweep, model: int, combination: int) -> Scenario | InputError:
    """What the points of a combination share, or why there are none."""
    device, runtime, fmt, cache, routing, placement = _settings(sweep, combination)
    batch, context = sweep.smallest
    try:
        return scenario(
            sweep.models[model], device, weights=fmt, cache=cache, runtime=runtime, routing=routing,
            parallel=placement.parallel, placement=None if placement.options.is_empty else placement.options,
            storage=placement.storage, batch=batch, context=context,
        )  # fmt: skip
    except InputError as error:
        return error


def _settings(sweep: Sweep, combination: int) -> tuple[Any, ...]:
    return tuple(axis[place] for axis, place in zip(sweep.settings, sweep.parts.places(combination), strict=True))


def table_of(sweep: Sweep, part: Part) -> pyarrow.Table:
    """The rows of a part without the model, which the name of their folder tells; what is unknown is null."""
    import pyarrow as pa

    combined = forecast_of(sweep, part)
    batches, contexts = sweep.batches[part.batches], sweep.contexts[part.contexts]
    grid = Grid((len(batches), len(contexts)), combined)
    statuses = grid.statuses()
    columns = {name: grid.texts([each.names[place] for each in combined]) for place, name in enumerate(NAMES)}
    columns |= {
        "batch": pa.array(np.tile(np.repeat(batches.astype(np.int32), len(contexts)), len(combined))),
        "context": pa.array(np.tile(contexts.astype(np.int32), len(combined) * len(batches))),
        "status": _dictionary(statuses, STATUSES),
        "reason": grid.texts([each.reason for each in combined], statuses != OK),
    }
    columns |= grid.rates()
    columns |= {
        "bound": _dictionary(grid.bounds(statuses), LIMITS),
        "is_upper_bound": pa.array(
            grid.repeated([bool(each.found and each.found.is_upper_bound) for each in combined])
        ),
        "memory_bytes": grid.numbers([each.found and each.found.memory_bytes for each in combined]),
        "memory_limit_bytes": grid.numbers([each.found and each.found.memory_limit_bytes for each in combined]),
    }
    tally = {"status": np.bincount(statuses, minlength=len(STATUSES)).tolist(), "refused": grid.refusals()}
    schema = pa.schema(
        [pa.field(name, column.type, nullable=name in MAY_BE_UNKNOWN) for name, column in columns.items()],
        metadata={TALLY: json.dumps(tally).encode()},
    )
    return pa.table(columns, schema)


@dataclass(frozen=True)
class Grid:
    """Combinations over the same batches and contexts, one after the other."""

    shape: tuple[int, int]
    combined: Sequence[Combined]

    def repeated(self, values: Any) -> np.ndarray:
        """A value of each combination at all its points."""
        return np.repeat(values, self.shape[0] * self.shape[1])

    def numbers(self, values: Sequence[Any]) -> pyarrow.ChunkedArray:
        """Of each combination an array over its points, a number, or None; what is NaN is null."""
        import pyarrow as pa

        whole = (np.broadcast_to(np.nan if each is None else each, self.shape) for each in values)
        return pa.chunked_array([pa.array(np.ravel(each), pa.float64(), from_pandas=True) for each in whole])

    def texts(self, values: Sequence[str | None], where: Any = True) -> pyarrow.Array:
        """A text of each combination at all its points, or those *where* it holds; each text once."""
        known = [name for name in dict.fromkeys(values) if name is not None]
        places = {None: -1} | {name: place for place, name in enumerate(known)}
        return _dictionary(
            np.where(where, self.repeated(np.array([places[each] for each in values], np.int8)), -1), known
        )

    def rates(self) -> dict[str, pyarrow.ChunkedArray]:
        """The columns of RATES; an upper bound has no lower end."""
        found = []
        for point in (each.found for each in self.combined):
            if point is None:
                found.append((None,) * len(RATES))
                continue
            low, high = point.interval()
            found.append((point.tokens_per_s, None if point.is_upper_bound else low, high, point.tokens_per_s_ceiling))
        return {name: self.numbers(values) for name, values in zip(RATES, zip(*found, strict=True), strict=True)}

    def statuses(self) -> np.ndarray:
        """The place in STATUSES of each point."""
        found = [
            REFUSED if each.found is None else np.where(each.found.fits, OK, DOES_NOT_FIT) for each in self.combined
        ]
        return self._joined(found, np.int8)

    def bounds(self, statuses: np.ndarray) -> np.ndarray:
        """The place in LIMITS of what takes most of each step, -1 where there is none."""
        largest = [-1 if each.found is None else each.found.timed.largest_part for each in self.combined]
        return np.where(statuses == DOES_NOT_FIT, np.int8(len(BOUNDS)), self._joined(largest, np.int8))

    def refusals(self) -> dict[str, int]:
        """Points that are refused, by the reason."""
        counts = Counter(each.reason for each in self.combined if each.found is None)
        return {reason: n * self.shape[0] * self.shape[1] for reason, n in counts.items()}

    def _joined(self, values: list[Any], kind: type) -> np.ndarray:
        found = np.empty((len(values), *self.shape), kind)
        for row, value in zip(found, values, strict=True):
            row[...] = value
        return found.ravel()


def _dictionary(codes: np.ndarray, names: Sequence[str]) -> pyarrow.Array:
    """Texts by their places among *names*; null for -1. Of two equal names Arrow's files would hold what was in memory before."""
    import pyarrow as pa

    unknown = codes < 0
    indices = pa.array(codes.astype(np.int8, copy=False), mask=unknown if unknown.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(names), pa.string()))


def mark_of(digest: str, number: int) -> bytes:
    """What the file of a part of a sweep is known by."""
    return f"{digest}-{number}".encode()


def write_part(sweep: Sweep, digest: str, part: Part, target: Any) -> dict[str, Any]:
    """A part as a Parquet file, to a path or whatever Arrow writes to; returned is its tally.

    The same part is the same bytes wherever and whenever it is written by one version of pyarrow.
    """
    import pyarrow.parquet as pq

    table = table_of(sweep, part)
    tally = table.schema.metadata
    table = table.replace_schema_metadata({**tally, MARK: mark_of(digest, part.number)})
    texts = [*NAMES, "status", "reason", "bound", "memory_limit_bytes"]
    counts = {"batch": "DELTA_BINARY_PACKED", "context": "DELTA_BINARY_PACKED"}
    pq.write_table(
        table, target, compression="snappy", use_dictionary=texts, column_encoding=counts,
        write_statistics=["batch", "context"],
    )  # fmt: skip
    return json.loads(tally[TALLY])
