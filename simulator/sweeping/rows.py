"""The rows of a part: forecasts of its points as columns of Arrow, and those as a Parquet file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.forecast.step import BOUNDS
from simulator.sweeping.axes import Sweep
from simulator.sweeping.combined import NAMES, Combined, Timed, combinations_of
from simulator.sweeping.parts import Part

if TYPE_CHECKING:
    import pyarrow

STATUSES = ("ok", "does_not_fit", "refused")
OK, DOES_NOT_FIT, REFUSED = range(3)
LIMITS = (*BOUNDS, "does_not_fit")
RATES = ("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling")
COLUMNS = (
    "model", *NAMES, "batch", "context", "status", "reason", *RATES, "bound", "is_upper_bound", "memory_bytes",
    "memory_limit_bytes",
)  # fmt: skip
MAY_BE_UNKNOWN = {"runtime", "weights", "cache", "reason", *RATES, "bound", "memory_bytes", "memory_limit_bytes"}
WRITTEN_AT_ONCE = 2**16  # values of a column
MARK = b"roofcast.sweep"  # in a file's metadata: the digest of its sweep, and which part it is
TALLY = b"roofcast.tally"  # and how many of its rows have each status


def table_of(sweep: Sweep, part: Part) -> pyarrow.Table:
    """The rows of a part without the model, which the name of their folder tells; what is unknown is null."""
    import pyarrow as pa

    combined = combinations_of(sweep, part)
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
        "is_upper_bound": pa.array(grid.repeated([bool(t and t.is_upper_bound) for t in grid.timed])),
        "memory_bytes": grid.numbers([t and t.memory_bytes for t in grid.timed]),
        "memory_limit_bytes": grid.numbers([t and t.memory_limit_bytes for t in grid.timed]),
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

    @property
    def timed(self) -> list[Timed | None]:
        """What is known of each."""
        return [each.timed for each in self.combined]

    def repeated(self, values: Any) -> np.ndarray:
        """A value of each combination at all its points."""
        return np.repeat(values, self.shape[0] * self.shape[1])

    def numbers(self, values: Sequence[Any]) -> pyarrow.ChunkedArray:
        """Of each combination an array over its points, in which NaN is null, a number for all of them, or None."""
        import pyarrow as pa

        def whole(value: Any) -> pyarrow.Array:
            if np.ndim(value) == 0:
                return pa.repeat(pa.scalar(value, pa.float64()), n) if value is not None else pa.nulls(n, pa.float64())
            return pa.array(np.ravel(np.broadcast_to(value, self.shape)), pa.float64(), from_pandas=True)

        n = self.shape[0] * self.shape[1]
        return pa.chunked_array([whole(each) for each in values])

    def texts(self, values: Sequence[str | None], where: Any = True) -> pyarrow.Array:
        """A text of each combination at all its points, or those *where* it holds; each text once."""
        known = [name for name in dict.fromkeys(values) if name is not None]
        places = {None: -1} | {name: place for place, name in enumerate(known)}
        codes = self.repeated(np.array([places[each] for each in values], np.int8))
        return _dictionary(codes if where is True else np.where(where, codes, np.int8(-1)), known)

    def rates(self) -> dict[str, pyarrow.ChunkedArray]:
        """The columns of RATES; an upper bound has no lower end."""
        found = [self._rates(timed) if timed else (None,) * len(RATES) for timed in self.timed]
        return {name: self.numbers(values) for name, values in zip(RATES, zip(*found, strict=True), strict=True)}

    def _rates(self, timed: Timed) -> tuple[np.ndarray | None, ...]:
        rates = zip(*(each.rates for each in timed.found), strict=True)
        rate, low, high, ceiling = (self._whole(timed, values, np.nan) for values in rates)
        return rate, None if timed.is_upper_bound else low, high, ceiling

    def statuses(self) -> np.ndarray:
        """The place in STATUSES of each point."""
        found = [
            np.int8(REFUSED) if t is None else np.where(t.fits, np.int8(OK), np.int8(DOES_NOT_FIT)) for t in self.timed
        ]
        return self._joined(found)

    def bounds(self, statuses: np.ndarray) -> np.ndarray:
        """The place in LIMITS of what takes most of each step, -1 where there is none."""
        largest = [np.int8(-1) if timed is None else self._largest(timed) for timed in self.timed]
        return np.where(statuses == DOES_NOT_FIT, np.int8(len(BOUNDS)), self._joined(largest))

    def _largest(self, timed: Timed) -> np.ndarray:
        return self._whole(timed, [each.largest_part for each in timed.found], np.int8(-1))

    def _whole(self, timed: Timed, values: Sequence[Any], outside: Any) -> np.ndarray:
        """What is known in a combination's boxes over all of the grid."""
        if len(values) == 1 and timed.fits.all():
            return values[0]
        found = np.full(self.shape, outside)
        for each, value in zip(timed.found, values, strict=True):
            np.copyto(found[each.box], value, where=each.where)
        return found

    def refusals(self) -> dict[str, int]:
        """Points that are refused, by the reason."""
        counts = Counter(each.reason for each in self.combined if each.timed is None)
        return {reason: n * self.shape[0] * self.shape[1] for reason, n in counts.items()}

    def _joined(self, values: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.ravel(np.broadcast_to(each, self.shape)) for each in values])


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
    texts = [*NAMES, "status", "reason", "bound"]
    counts = {"batch": "DELTA_BINARY_PACKED", "context": "DELTA_BINARY_PACKED"}
    pq.write_table(
        table, target, compression="snappy", use_dictionary=texts, column_encoding=counts,
        write_statistics=["batch", "context"], write_batch_size=WRITTEN_AT_ONCE, write_page_checksum=True,
    )  # fmt: skip
    return json.loads(tally[TALLY])
