"""Which rows of a sweep are asked for: values of its columns, each of which it has, or is refused with the nearest that it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulator.errors import InputError, describe, hint, printable
from simulator.spec.arguments import whole
from simulator.spec.routing import Uniform
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT
from simulator.sweeping.combined import NAMES
from simulator.sweeping.rows import COLUMNS, LIMITS, MAY_BE_UNKNOWN, STATUSES

TEXTS = {"model", *NAMES, "status", "reason", "bound"}
MOST_LISTED = 8  # of what a sweep has, in a sentence
COUNTS = {"batch": ("batches", 1, MAX_BATCH), "context": ("contexts", 0, MAX_CONTEXT)}  # with the axis, and its ends
_AXES = {
    "model": "models",
    "hardware": "devices",
    "runtime": "runtimes",
    "routing": "routings",
    "placement": "placements",
}


@dataclass
class Chosen:
    """Values that rows must have one of, by column. What no row that is read has is told when all are read."""

    asked: dict[str, list[Any]]
    _unseen: dict[str, list[str]] = field(
        default_factory=dict
    )  # names of formats and the like, as the sweep writes them
    _seen: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, axes: Mapping[str, list[Any]], where: Mapping[str, Any]) -> Chosen:
        """Of a sweep with such *axes*; InputError for a column, a value or a kind of value that it cannot have."""
        refuse_columns(where)
        asked = {name: _values(name, given) for name, given in where.items()}
        for name, values in asked.items():
            _refuse_strangers(name, values, axes)
        names = {name: [each for each in asked[name] if each is not None] for name in asked.keys() & set(NAMES)}
        return cls(asked, names, {name: set() for name in names})

    def takes(self, found: Mapping[str, np.ndarray], n_rows: int) -> np.ndarray:
        """Which of a file's rows have such values, the model left out, which is the file's own."""
        kept = np.ones(n_rows, bool)
        for name in self.asked.keys() - {"model"}:
            kept &= _is_one_of(found[name], self.asked[name])
            self._note(name, found[name])
        return kept

    def _note(self, name: str, values: np.ndarray) -> None:
        if self._unseen.get(name):
            self._seen[name].update(filter(None, values.tolist()))
            self._unseen[name] = [each for each in self._unseen[name] if each not in self._seen[name]]

    def end(self) -> None:
        """InputError for a name that no row had."""
        for name, values in self._unseen.items():
            refuse_unknown(name, values, sorted(self._seen[name]))


def refuse_columns(names: Iterable[Any]) -> None:
    """InputError for what is no column of a sweep."""
    for name in names:
        if name not in COLUMNS:
            shown = repr(printable(name)) if isinstance(name, str) else describe(name)
            raise InputError(f"a sweep has no column {shown}, {hint(name, COLUMNS)}")


def refuse_unknown(name: str, asked: Iterable[str], there: Sequence[str]) -> None:
    """InputError for a name of a model, a machine or the like that a sweep has none of."""
    for each in asked:
        if each not in there:
            raise InputError(
                f"{name} {printable(each)!r} is none of the sweep's, {hint(each, there)}".removesuffix(", ")
            )


def refuse_missing(option: str, asked: Iterable[int], there: Sequence[int]) -> None:
    """InputError for a batch or context that a sweep lacks, with those that it has."""
    missing = sorted(set(asked).difference(there))
    if missing:
        near = min(there, key=lambda each: abs(each - missing[0]))
        shown = listed([f"{each:,}" for each in sorted(there)])
        more = f"; it has {shown}" if len(there) > 1 else ""
        raise InputError(f"{option} {missing[0]:,}: the sweep has none such, the nearest is {near:,}{more}")


def listed(names: Sequence[str]) -> str:
    """The first few of what a sweep has, and how many more."""
    shown = ", ".join(printable(each) for each in names[:MOST_LISTED])
    return shown if len(names) <= MOST_LISTED else f"{shown} and {len(names) - MOST_LISTED:,} more"


def _values(name: str, given: Any) -> list[Any]:
    """A value, or those of a list; InputError for none, and for those that no row of the column can have."""
    if isinstance(given, np.ndarray | np.generic):
        given = given.tolist()
    found = list(given) if isinstance(given, list | tuple | set | frozenset | range) else [given]
    if not found:
        raise InputError(f"{name}: a value, or a list of some, is needed to choose rows by, got {describe(given)}")
    if name in COUNTS:
        return [whole(name, each, *COUNTS[name][1:]) for each in found]
    is_right, needed = (_is_text, "names are") if name in TEXTS else _KINDS.get(name, (_is_number, "numbers are"))
    for each in found:
        if not is_right(each) and not (each is None and name in TEXTS & MAY_BE_UNKNOWN):
            raise InputError(f"{name}: {needed} needed to choose rows by, got {describe(each)}")
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


_KINDS = {"is_upper_bound": (lambda value: isinstance(value, bool), "True or False is")}


def _refuse_strangers(name: str, values: list[Any], axes: Mapping[str, list[Any]]) -> None:
    """InputError for what a sweep of such axes has none of, as far as they tell: names of formats may be written otherwise in rows."""
    there = {"status": STATUSES, "bound": LIMITS}.get(name)
    if name in COUNTS:
        refuse_missing(name, values, axes[COUNTS[name][0]])
    elif name in _AXES and not (name == "runtime" and None in axes["runtimes"]):
        there = [Uniform().name if each is None else each for each in axes[_AXES[name]]]
    if there is not None:
        refuse_unknown(name, (each for each in values if each is not None), there)


def _is_one_of(values: np.ndarray, asked: list[Any]) -> np.ndarray:
    """Where a column has one of some values."""
    if values.dtype == object:
        return np.logical_or.reduce([values == each for each in asked])
    return np.isin(values, asked)
