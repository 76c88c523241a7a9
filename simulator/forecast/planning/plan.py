"""Machines, formats and splits that reach a goal, the cheapest first, and what those miss that do not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from simulator.errors import InputError
from simulator.forecast.planning.candidates import Candidate, Search, ceiling_bytes_per_s, shipped_machines
from simulator.forecast.planning.choice import Choice
from simulator.forecast.planning.goal import Goal, expect_goal
from simulator.forecast.scenario import has_four_bits, loaded_of
from simulator.spec.arguments import between, expect
from simulator.spec.hardware import Hardware
from simulator.spec.machine import LEAST_RAM_GIB, MAX_RAM_GIB, SOLDERED, load_hardware, refuse_soldered, with_ram
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, Model
from simulator.spec.prices import Parts, checked_prices, kinds_of, parts_of, price_of, unpriced_parts
from simulator.spec.runtime import Runtime, load_runtime
from simulator.units import GI, format_price

ANY = "any"
NEAREST = 3  # of the machines that miss the goal, so many are told
LOOKED_AT = 16  # of those that decode fastest, for what else they miss
MOST_MACHINES = 1_000


@dataclass(frozen=True)
class Plan:
    """What reaches a goal, the cheapest first, or without prices the least machine that does; then what misses it.

    Of each machine all formats that reach it, what loses least of the model first: the published checkpoint's own, then the largest;
    of all shipped devices only that. Where no rate is asked for, the fastest comes first, of a machine or within a budget, but
    formats of fewer than 4 bits, which lose more of the model, after all others.
    """

    loaded: Loaded
    goal: Goal
    choices: tuple[Choice, ...]
    nearest: tuple[Choice, ...]  # of what misses the goal, one of a machine, the nearest first
    next_cheaper: Choice | None  # of what misses it, the dearest that is cheaper than the first choice
    left_out: Mapping[str, str]  # machines by name, and why they were not looked at
    unpriced: tuple[str, ...]  # of those that were, what may be over the budget, as nobody tells its price
    n_machines: int
    formats_left_out: Mapping[
        str, str
    ]  # of the named ones by format and machine, where that does not run them, or as well with less lost

    @property
    def best(self) -> Choice | None:
        """The first choice; where nothing reaches the goal, what comes nearest to it, None where nothing fits anywhere."""
        return self.choices[0] if self.choices else next((each for each in self.nearest if each.fits), None)


def plan(
    model: str | Path | Loaded | Model,
    on: str | Sequence[str | Path | Hardware] = ANY,
    goal: Goal = Goal(),  # noqa: B008 - frozen
    *,
    weights: str | Sequence[str] = (),
    runtime: str | Path | Runtime | None = None,
    prices: Mapping[str, float] | None = None,
    ram: float | None = None,
    **more: Any,
) -> Plan:
    """What to run a model on, and how, to reach a goal.

    Args:
        on: machines by name, file or as they were loaded, or "any": all shipped devices, and small numbers of cards.
        goal: tokens per second of each user, users, context, seconds to the first token, budget.
        weights: the name of a format, or several; none: those that people choose among on each machine.
        prices: of machines or of their parts, by name, in any one currency; what is not in it costs what its file says.
        ram: GiB of the hosts' memory, or of devices that are CPUs, of which one has to be there; None: as their files have it.
        more: as `scenario` takes it: cache, routing, threads, sparsity, storage.

    InputError says in a sentence what cannot be used, and why.
    """
    expect_goal(goal)
    formats = formats_of(weights)
    loaded = loaded_of(model)
    software = runtime if isinstance(runtime, Runtime | None) else load_runtime(runtime)
    search = Search(loaded, goal, formats, software, more)
    if on == ANY:
        if ram is not None:
            raise InputError(
                "ram: of which machine? All shipped devices have what their files say: name those that are meant"
            )
        search.refuse_strange()
        machines, is_any = list(shipped_machines()), True
    else:
        machines, is_any = [[each] for each in named_machines(on, ram)], False
    own = () if is_any else [each for row in machines for each in row]
    told = Found(search, checked_prices(prices, own), is_any, names_formats=bool(formats))
    for row in machines:
        told.look_at(row)
    return told.plan(sum(map(len, machines)))


def formats_of(weights: str | Sequence[str]) -> tuple[str, ...]:
    """The names of formats that somebody gives, one or several; InputError for anything else."""
    needed = "a format, as 'q4_k_m', or a list of them"
    expect("weights", weights, (str, list, tuple), needed)
    names = (weights,) if isinstance(weights, str) else tuple(weights)
    for each in names:
        expect("weights", each, str, needed)
        parse_weights(each)  # InputError for a name that is no format
    return names


def named_machines(on: Sequence[str | Path | Hardware] | str | Path | Hardware, ram: float | None) -> list[Hardware]:
    """Machines that somebody names, one or a list of them; InputError for anything else."""
    needed = "a name, a path, a Hardware or a list of them"
    expect("on", on, (str, Path, Hardware, list, tuple), needed)
    names = list(on) if isinstance(on, list | tuple) else [on]
    for each in names:
        expect("on", each, (str, Path, Hardware), needed)
    if not names or len(names) > MOST_MACHINES:
        raise InputError(
            f"plan: name machines with --on, as in --on rtx-3060 rtx-3090, or take all with --any; at most {MOST_MACHINES:,}"
        )
    found = _each_once(each if isinstance(each, Hardware) else load_hardware(each) for each in names)
    if ram is None:
        return found
    n_bytes = between("ram", ram, LEAST_RAM_GIB, MAX_RAM_GIB) * GI
    takes = [_takes(each, n_bytes) for each in found]
    if not any(takes):
        refuse_soldered(found[0], n_bytes, "ram")
        with_ram(found[0], n_bytes)  # InputError, which says whose it may be
    return [with_ram(each, n_bytes) if is_taken else each for each, is_taken in zip(found, takes, strict=True)]


def _each_once(machines: Iterable[Hardware]) -> list[Hardware]:
    """Without those that were named before, however they were spelled: rtx-3090 and 1xrtx-3090 are one."""
    found: dict[Parts, list[Hardware]] = {}
    kept = []
    for each in machines:
        alike = found.setdefault(parts_of(each.machine_name), [])
        plain = each.model_copy(update={"_asked": None})
        if plain not in alike:
            alike.append(plain)
            kept.append(each)
    return kept


def _takes(hardware: Hardware, n_bytes: float) -> bool:
    """Whether a machine can have so much RAM: a CPU, or a host beside cards, whose memory is no other that is soldered on."""
    cpu = hardware.host or hardware
    if hardware.host is None and hardware.has_own_memory:
        return False
    return cpu.device_class not in SOLDERED or n_bytes == cpu.main_memory.capacity_bytes


def refuse_without_prices(goal: Goal, machines: Sequence[Hardware], prices: Mapping[str, float]) -> None:
    """InputError for a budget where no price of any of some machines is known, with the part that lacks one where others have one."""
    if goal.budget is None:
        return
    lacking = (unpriced_parts(each, prices) for each in machines)
    names = next(
        (names for names, each in zip(lacking, machines, strict=True) if len(names) < len(kinds_of(each))), None
    )
    told = f"the price of {names[0]} is not known" if names else "no price of these machines is known"
    raise InputError(
        f"--budget {format_price(goal.budget)}: {told}: give --prices FILE.csv with the columns hardware and price, "
        "--prices rtx-3090=700, or price: in a device's own file"
    )


class Candidates(Protocol):
    """Whatever knows in which formats, and how, a machine may run the model."""

    loaded: Loaded
    goal: Goal
    left_out: Mapping[str, str]  # formats by name and machine, and why they do not run there

    def candidates(self, hardware: Hardware, price: float | None) -> Sequence[Candidate]:
        """Those of a machine, what loses least of the model first; InputError says why there are none."""
        ...


class Found:
    """What is found of one machine after the other."""

    def __init__(self, search: Candidates, prices: Mapping[str, float], is_any: bool, names_formats: bool = False):
        self._search, self._prices, self._is_any, self._names_formats = search, prices, is_any, names_formats
        self._reaching: list[Choice] = []
        self._missing: list[Sequence[Candidate]] = []  # of each machine that misses the goal, its formats
        self._left_out: dict[str, str] = {}
        self._pointless: dict[str, str] = {}  # formats by name and machine, and why
        self._unpriced: list[Hardware] = []
        self._is_priced = False

    def leave_out(self, label: str, why: str) -> None:
        """A machine that cannot be looked at."""
        self._left_out[label] = why

    def look_at(self, row: Sequence[Hardware]) -> None:
        """One machine, or the same with more devices where fewer do not do."""
        for hardware in row:
            price = price_of(hardware, self._prices)
            self._is_priced |= price is not None
            budget = self._search.goal.budget
            if budget is not None and self._is_any and (price is None or price > budget):
                self._left_out[hardware.label] = "its price is not known" if price is None else "over the budget"
                continue
            if budget is not None and price is None:
                self._unpriced.append(hardware)
            if self._reaches(hardware, price) and not self._search.goal.is_for_speed:
                return

    def _reaches(self, hardware: Hardware, price: float | None) -> bool:
        candidates = self._candidates(hardware, price)
        found: list[Choice] = []
        is_held = False
        for candidate in candidates:
            choice = None if is_held and candidate.is_spare else self._forecast(candidate)
            if choice is None:
                continue
            is_held |= choice.fits and not candidate.is_spare
            if choice.reaches:
                closer = next((each for each in found if each.tokens_per_s_each >= choice.tokens_per_s_each), None)
                if closer is None:
                    found.append(choice)
                else:
                    self._pointless[f"{_weights(choice)} on {hardware.label}"] = (
                        f"no faster than {_weights(closer)}, which loses less of the model"
                    )
            if found and self._is_any:
                break
        self._reaching += found
        if candidates and not found and hardware.label not in self._left_out:
            self._missing.append(candidates)
        return bool(found)

    def _candidates(self, hardware: Hardware, price: float | None) -> Sequence[Candidate]:
        try:
            return self._search.candidates(hardware, price)
        except InputError as error:
            self._left_out[hardware.label] = str(error)
            return []

    def _forecast(self, candidate: Candidate) -> Choice | None:
        """None where it is known to be of no use, or cannot run."""
        if self._is_any and candidate.is_hopeless:
            return None
        try:
            return candidate.choice
        except InputError as error:
            self._left_out.setdefault(candidate.hardware.label, str(error))
            return None

    def plan(self, n_machines: int) -> Plan:
        """All of it in order; InputError where nothing could be looked at."""
        goal = self._search.goal
        if not self._reaching and not self._missing:
            self._refuse()
        if not self._is_priced:
            refuse_without_prices(goal, self._unpriced, self._prices)
        choices = tuple(sorted(self._reaching, key=self._order))
        cheaper, unpriced = self._next_cheaper(choices), tuple(dict.fromkeys(each.label for each in self._unpriced))
        return Plan(
            self._search.loaded, goal, choices, self._nearest(), cheaper, self._left_out, unpriced, n_machines,
            self._told_formats(),
        )  # fmt: skip

    def _told_formats(self) -> Mapping[str, str]:
        """Of formats that somebody named all that are left out; of others nobody asks."""
        return {**self._search.left_out, **self._pointless} if self._names_formats else {}

    def _refuse(self) -> None:
        """InputError with the reason of the first machine, where somebody named it."""
        if self._left_out and not self._is_any:
            name, why = next(iter(self._left_out.items()))
            raise InputError(why if name in why else f"{name}: {why}")

    def _order(self, choice: Choice) -> tuple:
        if choice.goal.is_for_speed:
            return 0, *_preference(choice), choice.price
        if choice.price is not None:
            is_last = choice.goal.at_least is None and not has_four_bits(choice.base)
            return 0, is_last, choice.price, *_preference(choice)
        if choice.goal.at_least is None:
            return 1, *_preference(choice)
        return 1, ceiling_bytes_per_s(choice.base.hardware), *_preference(choice)

    def _nearest(self) -> tuple[Choice, ...]:
        """Of the machines that miss the goal those that come nearest, each in the format that does."""
        known = [best for each in self._missing if (best := _best_known(each))]
        found = sorted(known, key=lambda each: max(each.slowness, 1.0) * each.dearness)[:LOOKED_AT]
        unseen = sorted((each for each in self._missing if not _best_known(each)), key=lambda each: -each[-1].bandwidth)
        found += filter(None, (self._forecast_anyway(each[-1]) for each in unseen[:NEAREST]))
        return tuple(sorted(found, key=_shortness)[:NEAREST])

    def _forecast_anyway(self, candidate: Candidate) -> Choice | None:
        try:
            return candidate.choice
        except InputError:
            return None

    def _next_cheaper(self, choices: Sequence[Choice]) -> Choice | None:
        """The dearest machine below the first choice's price that misses the goal, in the format that comes nearest to it."""
        first = choices[0].price if choices else None
        if first is None:
            return None
        cheaper = [each for each in self._missing if each[0].price is not None and each[0].price < first]
        if not cheaper:
            return None
        nearest = max(cheaper, key=lambda each: each[0].price)
        return _best_known(nearest) or self._forecast_anyway(nearest[-1])


def _preference(choice: Choice) -> tuple:
    """What comes first on one machine: the format that loses least where all are fast enough; the fastest where no rate is asked for."""
    if choice.goal.at_least is not None:
        return choice.loses
    return not has_four_bits(choice.base), -choice.tokens_per_s_each, *choice.loses


def _weights(choice: Choice) -> str:
    return choice.base.load.weights.name


def _best_known(candidates: Iterable[Candidate]) -> Choice | None:
    """What comes nearest to the goal of those that were forecast, of several that are fast enough the one that comes first."""
    known = (each.choice for each in candidates if "choice" in vars(each))
    return min(known, key=lambda each: (max(each.slowness, 1.0), _lacking(each), *_preference(each)), default=None)


def _lacking(choice: Choice) -> float:
    """Bytes of memory that are missing; 0 where it fits."""
    return 0.0 if choice.fits else -choice.memory_left_bytes


def _shortness(choice: Choice) -> tuple:
    """How far from the goal: those that fit by the factors by which they are too slow and too dear, others by what they lack of memory.

    What nobody tells a price of comes behind what has one, where there is a budget.
    """
    is_unpriced = choice.goal.budget is not None and choice.price is None
    return math.isinf(choice.shortfall), is_unpriced, choice.shortfall * choice.dearness, _lacking(choice)


def expect_plan(found: Plan) -> None:
    """InputError for anything but a Plan."""
    expect("plan", found, Plan, "a Plan, as plan(...) makes one")
