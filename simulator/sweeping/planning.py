"""Machines, formats and splits that reach a goal, chosen among the rows of a sweep.

Rows say how fast each is, and whether it fits; only what is told of those few that are chosen is forecast once more, and has to be
what the rows say: memory left, what tokens draw, the command to run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from simulator.errors import InputError, printable
from simulator.forecast.fastest_on_grid import COLUMNS, is_for_grids
from simulator.forecast.planning.choice import HALF, Choice
from simulator.forecast.planning.goal import Goal, expect_goal
from simulator.forecast.planning.plan import MOST_MACHINES, Found, Plan, formats_of, named_machines
from simulator.forecast.scenario import Scenario, loaded_of, scenario
from simulator.forecast.software import native_format
from simulator.importers.dialects import meant, meant_of_cache
from simulator.importers.open import load_routing
from simulator.spec.arguments import expect, expect_path
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, Model, weight_bytes
from simulator.spec.prices import checked_prices
from simulator.spec.quant import Weights, parse_cache_format
from simulator.spec.routing import Uniform
from simulator.spec.runtime import Runtime, load_runtime
from simulator.sweeping.choosing import listed, refuse_missing, refuse_unknown
from simulator.sweeping.combined import NAMES
from simulator.sweeping.file import AskedPlacement
from simulator.sweeping.reading import SweptFolder, open_sweep
from simulator.sweeping.rows import RATES

_READ = (*NAMES, "status", "reason", *RATES, "is_upper_bound", "memory_bytes")
_LIKELY = 0.9  # the chance of a goal at the slow end of the 80 % interval
_CLOSE = 1e-6  # as far as sums of arrays and of numbers differ, and no other
_BETWEEN = 0.2  # as far as rates do of points between those at which placements are compared
MOST_ALIKE = 4  # rows of a machine and formats, by runtime and placement, of which one may reach a chance where a faster does not


@dataclass(frozen=True)
class Row:
    """A row of a sweep at the goal's batch and context."""

    hardware: str
    runtime: str | None
    weights: str | None
    cache: str | None
    routing: str
    placement: str
    status: str
    reason: str | None
    tokens_per_s: float
    tokens_per_s_low: float
    tokens_per_s_high: float
    tokens_per_s_ceiling: float
    is_upper_bound: bool
    memory_bytes: float

    @property
    def is_whole(self) -> bool:
        """Whether it has all that a row of its status has."""
        named = all(isinstance(name, str) for name in (self.hardware, self.routing, self.placement, self.status))
        if self.status == "refused" or not named:
            return named
        is_fast = self.status != "ok" or (self.tokens_per_s > 0 and self.tokens_per_s_ceiling > 0)
        return is_fast and all(isinstance(name, str) for name in (self.runtime, self.weights, self.cache))

    @property
    def rates(self) -> tuple[float, ...]:
        """As RATES; the lower end NaN where there is none."""
        return self.tokens_per_s, self.tokens_per_s_low, self.tokens_per_s_high, self.tokens_per_s_ceiling

    @property
    def formats(self) -> tuple[str | None, str | None]:
        """Of the weights and the cache."""
        return self.weights, self.cache

    def may_reach(self, goal: Goal) -> bool:
        """Whether it is fast enough; with a chance above 90 %, which ends within the row do not tell, whether it can be."""
        if self.status != "ok" or goal.tokens_per_s is None:
            return self.status == "ok"
        if goal.chance < HALF:
            return self.tokens_per_s_ceiling * (1 + _CLOSE) >= goal.tokens_per_s
        needed = self.tokens_per_s_low * (1 + _CLOSE) if goal.chance >= _LIKELY else self.tokens_per_s
        return needed >= goal.tokens_per_s


@dataclass
class Kept:
    """Of a machine's rows those that may be told: what may reach the goal, and what comes nearest where nothing does."""

    reaching: dict[tuple[str | None, str | None], list[Row]] = field(
        default_factory=dict
    )  # by formats, the fastest first
    nearest: Row | None = None
    refused: str = ""  # why, of the first row that is

    def add(self, row: Row, goal: Goal) -> None:
        """One more row."""
        if row.status == "refused":
            self.refused = self.refused or row.reason or "the sweep has no forecast of it"
            return
        if row.may_reach(goal):
            alike = sorted([*self.reaching.get(row.formats, ()), row], key=lambda each: -each.tokens_per_s)
            self.reaching[row.formats] = alike[: 1 if goal.chance == HALF else MOST_ALIKE]
        if self.nearest is None or _distance(row) < _distance(self.nearest):
            self.nearest = row


def _distance(row: Row) -> tuple[float, float]:
    return (-row.tokens_per_s if row.status == "ok" else math.inf), row.memory_bytes


def plan_from(
    folder: str | Path,
    goal: Goal = Goal(),  # noqa: B008 - frozen
    *,
    model: str | Path | Loaded | Model | None = None,
    on: Sequence[str | Path | Hardware] | str | Path | Hardware | None = None,
    weights: str | Sequence[str] = (),
    cache: str | None = None,
    runtime: str | Path | Runtime | None = None,
    routing: str | None = None,
    prices: Mapping[str, float] | None = None,
) -> Plan:
    """What to run a model on, and how, to reach a goal: of what a finished sweep has, by its rows.

    Args:
        folder: of the sweep, as `run_sweep` wrote it.
        goal: as in `plan`; its users and context are a batch and a context of the sweep. Rows know no prompts: no ttft.
        model: one of the sweep's; None where it has only one. What came from a file is named by that file, as are devices.
        on: machines of the sweep; None: all.
        weights, cache, runtime, routing: choose among its rows; left out all, and of several routings the uniform one.
        prices: as in `plan`.

    InputError says in a sentence what the sweep lacks, and what it has. A machine whose rows are not what is forecast now is left out.
    """
    expect_path("folder", folder)
    expect_goal(goal)
    if goal.ttft is not None:
        raise InputError("ttft: rows of a sweep know no prompts: leave it out, or plan without a sweep")
    given = None if model is None else loaded_of(model)
    machines = None if on is None else {each.label: each for each in named_machines(on, None)}
    asked = _Asked.of(weights, cache, runtime)
    expect("routing", routing, (str, type(None)), "the name of a routing, or None")
    checked = checked_prices(prices, (machines or {}).values())
    swept = open_sweep(folder)
    refuse_missing("--users", [goal.users], swept.axes["batches"])
    refuse_missing("--context", [goal.context], swept.axes["contexts"])
    loaded = _model_of(swept, given)
    search = SweptSearch(loaded, goal, swept, asked, _routing_of(swept, routing))
    refuse_unknown("hardware", machines or (), list(dict.fromkeys([*swept.axes["devices"], *search.by_machine])))
    labels = list(search.by_machine if machines is None else machines)
    if len(labels) > MOST_MACHINES:
        raise InputError(
            f"plan: the sweep has {len(labels):,} machines, at most {MOST_MACHINES:,} are compared: choose with --on"
        )
    told = Found(search, checked, is_any=False)
    for label in labels:
        try:
            hardware = machines[label] if machines else load_hardware(label)
        except InputError as error:
            told.leave_out(label, f"{error}; the sweep has it from a file: name that with --on")
        else:
            told.look_at([hardware])
    return told.plan(len(labels))


def _model_of(swept: SweptFolder, given: Loaded | None) -> Loaded:
    """The one that is named, or the sweep's only one."""
    names = swept.axes["models"]
    if given is not None:
        refuse_unknown("model", [given.model.name], names)
        return given
    if len(names) > 1:
        raise InputError(f"plan: the sweep has {len(names):,} models, name one: {listed(names)}")
    try:
        return loaded_of(names[0])
    except InputError as error:
        raise InputError(f"{error}; the sweep has it from a file: name that as the model") from None


def _routing_of(swept: SweptFolder, asked: str | None) -> str | None:
    """The one of the sweep's that rows are of: as asked, or uniform, or the only one; None where nobody named one."""
    there = swept.axes["routings"]
    name = Uniform().name if asked is None else load_routing(asked).name
    if name == Uniform().name and None in there:
        return None
    if name in there:
        return name
    if asked is None and len(there) == 1:
        return there[0]
    shown = listed([each or Uniform().name for each in there])
    raise InputError(f"routing {printable(name)}: the sweep has none such, but {shown}: name one with --routing")


@dataclass
class _Asked:
    """What chooses among rows, and what the rows have of it, to be told where none is chosen."""

    weights: tuple[str, ...]
    cache: str | None
    runtime: Runtime | None
    there: dict[str, dict[str, bool]] = field(
        default_factory=dict
    )  # by column: its values, and whether each is asked for

    @classmethod
    def of(cls, weights: str | Sequence[str], cache: str | None, runtime: str | Path | Runtime | None) -> _Asked:
        """Checked; InputError says what is no such name."""
        names = formats_of(weights)
        expect("cache", cache, (str, type(None)), "the name of a format, such as 'f16'")
        expect_path("runtime", runtime, (Runtime, type(None)), "a name, a path, a Runtime or None")
        return cls(names, cache, runtime if isinstance(runtime, Runtime | None) else load_runtime(runtime))

    def takes(self, row: Row, model: Model) -> bool:
        """Whether a row is of what is asked for."""
        software = self.runtime_of(row)
        asked = {
            "runtime": self.runtime is None or row.runtime in (None, self.runtime.name),
            "weights": not self.weights or row.weights in self._formats(software, model),
            "cache": self.cache is None or row.cache in self._caches(software),
        }
        for name, is_asked in asked.items():
            value = str(getattr(row, name) or "what is usual")
            seen = self.there.setdefault(name, {})
            seen[value] = seen.get(value, False) or is_asked
        return all(asked.values())

    def runtime_of(self, row: Row) -> Runtime | None:
        """The one that a row names; None where it names none, or one whose file nobody named."""
        if self.runtime is not None and row.runtime == self.runtime.name:
            return self.runtime
        try:
            return None if row.runtime is None else load_runtime(row.runtime)
        except InputError:
            return None

    def _formats(self, software: Runtime | None, model: Model) -> set[str | None]:
        named = {text: parse_weights(text).name for text in self.weights}
        theirs = {meant(text, name, software, model) for text, name in named.items()} if software else set()
        return {*named, *named.values(), *theirs}

    def _caches(self, software: Runtime | None) -> set[str | None]:
        name = meant_of_cache(self.cache, software) if software else self.cache
        return {self.cache, parse_cache_format(name).name}

    def refuse_none(self) -> None:
        """InputError with what the sweep has instead; for where no row was chosen."""
        for name, seen in self.there.items():
            if not any(seen.values()):
                raise InputError(f"--{name}: the sweep has no such rows, but {listed(sorted(seen))}")
        raise InputError("plan: the sweep has no rows of all that together: leave an option out")


@dataclass(frozen=True)
class SweptSearch:
    """A model's rows of a sweep beside a goal."""

    loaded: Loaded
    goal: Goal
    left_out: Mapping[str, str] = field(
        default_factory=dict, init=False
    )  # a format that a row cannot have is its reason
    swept: SweptFolder
    asked: _Asked
    routing: str | None  # of its rows; None: nobody named one
    _sizes: dict[str | None, float] = field(default_factory=dict)

    @cached_property
    def by_machine(self) -> dict[str, Kept]:
        """Rows by the machine's name, read a file at a time; InputError where none is chosen."""
        found: dict[str, Kept] = {}
        for row in self._rows():
            if self.asked.takes(row, self.loaded.model):
                found.setdefault(row.hardware, Kept()).add(row, self.goal)
        if not found:
            self.asked.refuse_none()
        return found

    def _rows(self) -> Iterator[Row]:
        """All of the model at the goal's batch and context, under the routing."""
        where = {"model": self.loaded.model.name, "batch": self.goal.users, "context": self.goal.context}
        where["routing"] = self.routing or Uniform().name
        for rows in self.swept.batches(_READ, **where):
            for values in zip(*(rows[name].tolist() for name in _READ), strict=True):
                row = Row(*values)
                if not row.is_whole:
                    raise InputError(
                        f"{self.swept.folder}: rows of {printable(row.hardware)} lack values; run roofcast sweep anew"
                    )
                yield row

    def candidates(self, hardware: Hardware, price: float | None) -> list[SweptCandidate]:
        """What of a machine may reach the goal, the largest first, none than which a larger one is as fast; else the nearest row."""
        kept = self.by_machine.get(hardware.label)
        if kept is None:
            raise InputError("the sweep has no such rows of it")
        rows = [row for alike in kept.reaching.values() for row in alike]
        rows.sort(key=lambda row: (*self._loses(row), -parse_cache_format(row.cache).bits, -row.tokens_per_s))
        if self.goal.chance == HALF:
            rows = [
                row for place, row in enumerate(rows) if all(e.tokens_per_s < row.tokens_per_s for e in rows[:place])
            ]
        if not rows and kept.nearest is None:
            raise InputError(kept.refused)
        return [SweptCandidate(self, hardware, row, price) for row in rows or [kept.nearest]]

    def weights(self, name: str) -> Weights:
        """A format of a row: the file's own, or that which has the name."""
        own = self.loaded.weights
        return own if own is not None and own.name == name else parse_weights(name)

    def _loses(self, row: Row) -> tuple[bool, float]:
        """How little is lost of the model, in order, as of a choice."""
        runtime = self.asked.runtime_of(row)
        own = runtime and native_format(runtime, self.loaded.model)
        return row.weights != own, -self._size(row.weights)

    def _size(self, name: str) -> float:
        if name not in self._sizes:
            self._sizes[name] = self._bytes_in(name)
        return self._sizes[name]

    def _bytes_in(self, name: str) -> float:
        try:
            return weight_bytes(self.loaded.model, self.weights(name))
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"with {printable(name)}: {error}; the sweep is of another such model") from None


@dataclass(frozen=True)
class SweptCandidate:
    """A row, and the machine that it is of."""

    search: SweptSearch
    hardware: Hardware
    row: Row
    price: float | None
    is_spare: ClassVar[bool] = False  # every row is looked at

    @cached_property
    def choice(self) -> Choice:
        """What the row says, with all else that is told of a choice; InputError where that is not what is forecast now."""
        search, row = self.search, self.row
        placed = AskedPlacement.written(row.placement)
        base = scenario(
            search.loaded, self.hardware, weights=search.weights(row.weights), cache=row.cache,
            runtime=search.asked.runtime_of(row) or row.runtime, routing=search.routing, parallel=placed.parallel,
            placement=None if placed.options.is_empty else placed.options, storage=placed.storage,
            batch=search.goal.users, context=search.goal.context,
        )  # fmt: skip
        found = Choice(base, search.goal, self.price)
        self._refuse_other(found)
        return found

    def _refuse_other(self, found: Choice) -> None:
        point, row = found.point, self.row
        rates: tuple[Any, ...] = (point.tokens_per_s, *point.interval(), point.tokens_per_s_ceiling)
        is_same = point.fits == (row.status == "ok") and all(
            math.isclose(float(now), then, rel_tol=self._tolerance(found.base))
            for now, then in zip(rates, row.rates, strict=True)
            if point.fits and not math.isnan(then)
        )
        if not is_same:
            now = f"{float(point.tokens_per_s):.4g} tokens/s" if point.fits else "not to fit"
            then = f"{row.tokens_per_s:.4g} tokens/s" if row.status == "ok" else "not to fit"
            raise InputError(
                f"with {row.weights} it is {then} in the sweep and forecast {now}: a file behind a name, or roofcast, has changed "
                "since; name its files, or run the sweep anew in another folder"
            )

    def _tolerance(self, base: Scenario) -> float:
        """By how much of it a row's rate may differ from that of its point alone, as sweeps place points; whether it fits never does."""
        if base.placement is None or base.placed_for is None:
            return _CLOSE
        if not is_for_grids(base.hardware, base.runtime):
            return math.inf  # a row's placement may be that of another point
        return _CLOSE if len(self.search.swept.axes["contexts"]) <= COLUMNS else _BETWEEN
