"""What to change on a machine that somebody has, the change that buys most first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.forecast.layouts import matrices_shared
from simulator.forecast.planning.candidates import SMALLER
from simulator.forecast.planning.changed import FASTER, Changed, Setup
from simulator.forecast.planning.choice import HALF, Choice, is_surely_faster
from simulator.forecast.planning.goal import Goal, expect_goal
from simulator.forecast.planning.plan import named_machines, refuse_without_prices
from simulator.forecast.scenario import loaded_of, usual_formats
from simulator.forecast.software import native_format
from simulator.forecast.splits import RAM_GIB, usual_host_of
from simulator.importers.open import load_model
from simulator.spec.arguments import expect_path
from simulator.spec.hardware import Hardware
from simulator.spec.library import names, shelf
from simulator.spec.machine import SOLDERED, join, load_hardware, with_ram
from simulator.spec.memory import MemoryLevel
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, Model, weight_bytes
from simulator.spec.names import with_count
from simulator.spec.prices import checked_prices, price_of, price_of_whole
from simulator.spec.quant import Weights
from simulator.spec.runtime import Runtime, load_runtime
from simulator.spec.speculation import DRAFT, MTP, NGRAM, Speculation
from simulator.units import GI, format_count

WORTH = 1.01  # by so much a change has to make a step faster to be told
FASTER_MEMORY = 1.25  # as DDR5-6000 is to DDR5-4800, and DDR4-3200 about to DDR4-2666
LEAST_CONTEXT = 512
SMALLER_CACHES = ("fp8", "q8_0", "q4_0")
DRAFTED = {MTP: 2, DRAFT: 4, NGRAM: 4}  # tokens in a step
TENSOR = "tensor"  # each matrix on all devices
MUCH_SMALLER = 4  # times as many active parameters has a model that another drafts for
MOST_IN_PAIRS, MOST_PAIRS = 6, 3  # changes that are tried two at a time where none is enough, and pairs that are told


@dataclass(frozen=True)
class Changes:
    """A machine as it is, and what changes of it buy, in the order of `_rank`; two at once where no single one is enough."""

    before: Choice
    changes: tuple[Changed, ...]
    refused: Mapping[str, str]  # changes by their words, and why they cannot be

    @property
    def goal(self) -> Goal:
        """What is wanted."""
        return self.before.goal

    @property
    def best(self) -> Changed | None:
        """The first: of those that reach the goal where one does; None where no change buys anything."""
        return next(iter(self.changes), None)


def plan_changes(
    model: str | Path | Loaded | Model,
    machine: str | Path | Hardware,
    goal: Goal = Goal(),  # noqa: B008 - frozen
    *,
    weights: str | Weights | None = None,
    cache: str | None = None,
    runtime: str | Path | Runtime | None = None,
    placement: Any = None,
    parallel: str | None = None,
    prices: Mapping[str, float] | None = None,
    ram: float | None = None,
    **more: Any,
) -> Changes:
    """What to change on a machine so that a model reaches a goal there.

    Fewer bits, a smaller cache, a shorter context, another split, matrices shared by equal cards, a second card, memory that is
    faster or more, drafts: each by itself, and two at once where none is enough. Arguments are as those of `scenario`; *prices* as
    those of `plan`.

    InputError says in a sentence what cannot be used, and why.
    """
    expect_goal(goal)
    expect_path("machine", machine, (Hardware,), "a name, a path or a Hardware")
    hardware = machine if isinstance(machine, Hardware) else load_hardware(machine)
    software = runtime if isinstance(runtime, Runtime | None) else load_runtime(runtime)
    (asked,) = named_machines(hardware, ram)
    told = checked_prices(prices, [asked])
    setup = Setup(
        loaded_of(model), asked, goal, weights, cache, software, placement, parallel=parallel, prices=told,
        price=price_of(asked, told), more=more,
    )  # fmt: skip
    if setup.choice.price is None:
        refuse_without_prices(goal, [asked], told)
    setup = replace(setup, weights=setup.base.load.weights)  # as it is, not as it would be chosen after each change
    tried = _Tried(setup)
    single = [each for change in _all(setup) if (each := tried.of_one(*change))]
    single = sorted((each for each in single if not _is_beaten(each, single, setup)), key=_rank)
    pairs: list[Changed] = []
    if not setup.choice.reaches and not any(each.reaches and not _gives_up(each) for each in single):
        both = combinations(single[:MOST_IN_PAIRS], 2)
        pairs = sorted((each for pair in both if (each := tried.of_both(*pair))), key=_rank)
        enough = [each for each in pairs if each.reaches][:MOST_PAIRS]
        pairs = enough or [each for each in pairs[:1] if _rank(each) < _rank(single[0])]
    return Changes(setup.choice, tuple(sorted((*single, *pairs), key=_rank)), tried.refused)


def _is_beaten(change: Changed, others: list[Changed], before: Setup) -> bool:
    """Whether it is a format than which one that loses less of the model is as fast, or matrices are shared for nothing."""
    if "parallel" in change.fields:
        plain = {name: value for name, value in change.fields.items() if name != "parallel"}
        alike = (each.choice for each in others if each.fields == plain)
        return not is_surely_faster(change.choice, next(alike, before.choice))
    if change.kinds != ("weights",):
        return False
    loses, rate = change.choice.loses, change.tokens_per_s_each
    closer = (each for each in others if each.kinds == ("weights",) and each.choice.loses < loses)
    return any(each.tokens_per_s_each >= rate for each in closer)


def _rank(change: Changed) -> tuple:
    """What reaches the whole goal before what does for a shorter context, before what does not; then by the chance, to a per cent as
    it is told, by how little is lacking, and by the speed; of those that are alike the simpler.
    """
    reached = (not change.reaches, change.reaches and _gives_up(change))
    return *reached, -_surely(change), change.shortfall, -change.tokens_per_s_each, len(change.kinds)


def _gives_up(change: Changed) -> bool:
    """Whether it leaves out a part of what is wanted: where a rate or a time is, that is for the whole context."""
    goal = change.setup.goal
    return "context" in change.kinds and bool(goal.at_least or goal.ttft)


def _surely(change: Changed) -> float:
    """The chance to a per cent; of an upper bound, which has none, that of a goal which the forecast just reaches."""
    return (HALF if change.reaches else 0.0) if change.chance is None else round(change.chance, 2)


def _buys_more(change: Changed, than: Changed | Choice) -> bool:
    """Whether a step is faster by as much as is worth telling, or the first token earlier where its time is asked for."""
    if not than.fits:
        return True
    first, before = (
        each.reading.seconds_to_first if isinstance(each, Changed) else each.seconds_to_first for each in (change, than)
    )
    is_earlier = first is not None and before is not None and before > WORTH * first
    return is_earlier or change.tokens_per_s_each > WORTH * than.tokens_per_s_each


class _Tried:
    """Changes that are worth telling, and those that cannot be."""

    def __init__(self, setup: Setup):
        self._setup = setup
        self.refused: dict[str, str] = {}

    def of_one(self, kind: str, words: str, fields: Mapping[str, Any]) -> Changed | None:
        """One change; None where it buys nothing, or cannot be."""
        return self._worth(Changed((kind,), (words,), fields, self._setup.changed(fields)))

    def of_both(self, first: Changed, second: Changed) -> Changed | None:
        """Two together; None of two that change the same, or of which one alone buys as much."""
        if first.fields.keys() & second.fields.keys():
            return None
        fields = {**first.fields, **second.fields}
        kinds, words = first.kinds + second.kinds, first.words + second.words
        both = self._worth(Changed(kinds, words, fields, self._setup.changed(fields)))
        return both if both and all(_buys_more(both, each) for each in (first, second)) else None

    def _worth(self, change: Changed) -> Changed | None:
        before = self._setup.choice
        try:
            return change if change.fits and _buys_more(change, before) else None
        except InputError as error:
            self.refused[" and ".join(change.words)] = str(error)
            return None


Change = tuple[str, str, Mapping[str, Any]]  # its kind, what to do, and the fields of the setup that it changes


def _all(setup: Setup) -> Iterator[Change]:
    yield from _formats(setup)
    yield from _caches(setup)
    yield from _contexts(setup)
    if setup.placement is not None:
        yield "split", "the fastest split in place of the one that is named", {"placement": None}
    yield from _matrices(setup)
    yield from _cards(setup)
    yield from _memories(setup)
    yield from _drafts(setup)


def _formats(setup: Setup) -> Iterator[Change]:
    """Fewer bits."""
    base = setup.base
    own_bytes = weight_bytes(base.loaded.model, base.load.weights)
    native = native_format(base.runtime, base.loaded.model)
    most = SMALLER * weight_bytes(base.loaded.model, parse_weights(native)) if native else math.inf
    rather_small = (parse_weights(name) for name in base.runtime.weights)
    known = {each.name: each for each in (*usual_formats(base), *rather_small)}
    for weights in known.values():
        try:
            n_bytes = weight_bytes(base.loaded.model, weights)
            is_smaller = n_bytes < own_bytes and (n_bytes < most or weights.name == native)
        except ValueError:
            continue  # rows that do not divide into this format's blocks: no such file exists
        if is_smaller and not base.runtime.refusal(base.hardware, weights.name):
            yield "weights", f"--weights {weights.name}", {"weights": weights}


def _caches(setup: Setup) -> Iterator[Change]:
    base = setup.base
    for name in SMALLER_CACHES:
        if name != base.load.cache.name and not base.runtime.refusal(base.hardware, name, "cache"):
            yield "cache", f"--cache {name}", {"cache": name}


def _contexts(setup: Setup) -> Iterator[Change]:
    """A half and a quarter of it."""
    for context in (setup.goal.context // 2, setup.goal.context // 4):
        if context >= LEAST_CONTEXT:
            yield "context", f"--context {format_count(context)}", {"goal": replace(setup.goal, context=context)}


def _matrices(setup: Setup) -> Iterator[Change]:
    """Each matrix on all devices, where they have other layers each."""
    if _shares_matrices(setup, setup.hardware):
        yield "parallel", f"--parallel {TENSOR}", {"parallel": TENSOR}


def _shares_matrices(setup: Setup, hardware: Hardware) -> bool:
    is_asked = setup.parallel is not None or setup.placement is not None
    return not is_asked and matrices_shared(hardware, setup.base.runtime, setup.loaded.model) is not None


def _cards(setup: Setup) -> Iterator[Change]:
    """Twice as many of the first card: most runtimes share layers among 1, 2, 4 or 8."""
    hardware = setup.hardware
    if not hardware.has_own_memory:
        return
    n = 2 * hardware.count
    more = hardware.one().model_copy(update={"_asked": n, "_machine": None}).joined(hardware.beside)
    words = f"{with_count(n, hardware.name)} in place of {hardware.own_label}"
    fields = {"hardware": more, "price": _with_more(setup, more, n - hardware.count)}
    yield "cards", words, fields
    if _shares_matrices(setup, more):
        yield "cards", f"{words} --parallel {TENSOR}", {**fields, "parallel": TENSOR}


def _with_more(setup: Setup, machine: Hardware, n: int) -> float | None:
    """The price of a machine with so many more of its first device: its own, or what is there by a price of all of it, and these."""
    before, each = price_of_whole(setup.hardware, setup.prices), price_of(setup.hardware.alone().one(), setup.prices)
    if price_of_whole(machine, setup.prices) is not None or before is None or each is None:
        return price_of(machine, setup.prices)
    return before + n * each


def _memories(setup: Setup) -> Iterator[Change]:
    """Of the host, or of a machine that is a CPU: more of it where the model does not fit, and faster one."""
    hardware = setup.hardware
    cpu = hardware.host or (hardware if hardware.kind == "cpu" else None)
    if cpu is None:
        yield from _hosts(setup)
        return
    if cpu.device_class in SOLDERED:
        return
    own_bytes = cpu.main_memory.capacity_bytes
    if not setup.choice.fits or hardware.reads_from:
        gib = next((each for each in RAM_GIB if each * GI > own_bytes), None)
        if gib:
            yield "ram", f"--ram {gib}", _with_bought(with_ram(hardware, gib * GI))
    faster = _with_faster_memory(cpu)
    machine = hardware.joined((*hardware.beside[:-1], faster)) if hardware.host else faster
    yield FASTER, f"memory of {cpu.name} {FASTER_MEMORY - 1:.0%} faster", _with_bought(machine)


def _hosts(setup: Setup) -> Iterator[Change]:
    """Of cards whose host is not named: with its memory, as little as will do."""
    hardware = setup.hardware
    if setup.choice.fits or not hardware.has_own_memory:
        return
    host = load_hardware(usual_host_of(hardware))
    for gib in RAM_GIB:
        machine = with_ram(join([hardware, host], hardware.label), gib * GI)
        if setup.changed({"hardware": machine}).choice.fits:
            yield "ram", f"with {machine.label} --ram {gib}", _with_bought(machine)
            return


def _with_bought(machine: Hardware) -> Mapping[str, Any]:
    return {"hardware": machine, "buys_memory": True}


def _with_faster_memory(part: Hardware) -> Hardware:
    return part.model_copy(update={"memory": (*part.memory[:-1], _faster(part.main_memory))})


def _faster(memory: MemoryLevel) -> MemoryLevel:
    named = {name: getattr(memory, name) for name in ("gb_per_s", "datasheet_gb_per_s")}
    figures = {name: figure.times(FASTER_MEMORY) for name, figure in named.items() if figure}
    by_threads = {n: figure.times(FASTER_MEMORY) for n, figure in memory.gb_per_s_by_threads.items()}
    return memory.model_copy(update={**figures, "gb_per_s_by_threads": by_threads})


def _drafts(setup: Setup) -> Iterator[Change]:
    """Blocks of the model's own, a smaller model of the same line, and n-grams."""
    model = setup.loaded.model
    if model.mtp_blocks:
        yield "drafts", f"--speculate mtp:{DRAFTED[MTP]}", {"speculation": Speculation(MTP, DRAFTED[MTP])}
    name = _drafter(model)
    if name:
        yield (
            "drafts",
            f"--draft {name}:{DRAFTED[DRAFT]}",
            {"speculation": Speculation(DRAFT, DRAFTED[DRAFT], draft=name)},
        )
    yield "drafts", f"--speculate ngram:{DRAFTED[NGRAM]}", {"speculation": Speculation(NGRAM, DRAFTED[NGRAM])}


def _drafter(model: Model) -> str | None:
    """The smallest shipped model of the same line with the same vocabulary, where that is much smaller; None where there is none."""
    line = model.name.partition("-")[0] + "-"
    others = (load_model(name).model for name in names(shelf("models")) if name.startswith(line) and name != model.name)
    sizes = {each.name: each.total_params for each in others if each.vocab == model.vocab}
    smallest = min(sizes, key=sizes.__getitem__, default=None)
    return smallest if smallest and sizes[smallest] * MUCH_SMALLER <= model.active_params("head") else None
