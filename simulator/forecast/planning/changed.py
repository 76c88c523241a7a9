"""A machine as somebody runs a model on it, and the same with something changed, each judged by a goal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from simulator.forecast.energy import Spending, Tariff, decode_watts, spending
from simulator.forecast.interval import PROMISED, WIDE, at_coverage
from simulator.forecast.planning.chance import chance_of
from simulator.forecast.planning.choice import HALF, Choice
from simulator.forecast.planning.goal import Goal
from simulator.forecast.scenario import Scenario, scenario
from simulator.forecast.speculation import Speculated, Speculating
from simulator.spec.arguments import expect
from simulator.spec.hardware import Hardware
from simulator.spec.model import Loaded
from simulator.spec.quant import Weights
from simulator.spec.runtime import Runtime
from simulator.spec.speculation import Speculation

FASTER = "memory"  # a kind of change that no name of a machine tells of
BOUGHT = ("cards", "ram", FASTER)  # kinds of changes after which it is another machine


@dataclass(frozen=True)
class Setup:
    """What decides a scenario of a model, and what of that can be changed."""

    loaded: Loaded
    hardware: Hardware
    goal: Goal
    weights: str | Weights | None = None
    cache: str | None = None
    runtime: Runtime | None = None
    placement: Any = None  # as `scenario` takes it; None: the fastest that fits
    speculation: Speculation | None = None
    parallel: str | None = None  # how several devices share it; None: as the runtime usually does
    prices: Mapping[str, float] = field(default_factory=dict)
    price: float | None = None  # of the machine; None: not known
    more: Mapping[str, Any] = field(default_factory=dict)  # as `scenario` takes it: threads, routing, storage
    buys_memory: bool = False  # more of it or faster, of which no price is known

    @cached_property
    def base(self) -> Scenario:
        """The scenario; InputError where it cannot be."""
        goal = self.goal
        return scenario(
            self.loaded, self.hardware, weights=self.weights, cache=self.cache, runtime=self.runtime,
            placement=self.placement, parallel=self.parallel, batch=goal.users, context=goal.context, **self.more,
        )  # fmt: skip

    @cached_property
    def choice(self) -> Choice:
        """As it is forecast, without drafts."""
        return Choice(self.base, self.goal, None if self.buys_memory else self.price)

    def changed(self, changes: Mapping[str, Any]) -> Setup:
        """The same with other values of some fields."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Changed:
    """A setup with one change or two, beside the goal."""

    kinds: tuple[str, ...]  # weights, cache, context, split, parallel, cards, ram, memory, drafts
    words: tuple[str, ...]  # what to do, a few words each
    fields: Mapping[str, Any]  # of the setup, as they are then
    setup: Setup

    @property
    def choice(self) -> Choice:
        """Without drafts."""
        return self.setup.choice

    @cached_property
    def drafting(self) -> Speculated | None:
        """With drafts, where there are any."""
        speculation, goal = self.setup.speculation, self.setup.goal
        if speculation is None:
            return None
        return Speculating.of(self.setup.base, speculation).at(goal.users, goal.context, plain=self.choice.point)

    @property
    def fits(self) -> bool:
        """Whether memory holds it."""
        return self.choice.fits and (self.drafting is None or self.drafting.fits)

    @cached_property
    def reading(self) -> Choice:
        """As a prompt is read: where somebody drafts, the model as it lies beside it, whose first token comes before any draft."""
        if self.drafting is None:
            return self.choice
        return replace(self.choice, base=self.drafting.whole.placed)

    @property
    def tokens_per_s_each(self) -> float:
        """Of each user, with drafts in the mean over kinds of text; NaN where it does not fit."""
        if self.drafting is None:
            return self.choice.tokens_per_s_each
        if not self.fits:
            return math.nan
        return self.drafting.mean_tokens_per_s / self.setup.goal.users

    @property
    def is_upper_bound(self) -> bool:
        """Whether it is at most so fast, as what devices tell each other is not known."""
        return (self.choice.point if self.drafting is None else self.drafting.verification).is_upper_bound

    @property
    def interval_each(self) -> tuple[float, float]:
        """The 80 % interval; with drafts from its low end with the text that is drafted worst to its high end with that drafted best."""
        if self.drafting is None:
            return self.choice.interval_each
        low, high = self.drafting.between
        return low / self.setup.goal.users, high / self.setup.goal.users

    @property
    def chance(self) -> float | None:
        """That it reaches the goal, as that of a choice; with drafts in the mean over kinds of text, of which each is taken as likely."""
        if self.drafting is None:
            return self.choice.chance
        rate = self._chance_of_rate
        return rate * self.reading.chance_of_first if rate else rate

    @cached_property
    def _chance_of_rate(self) -> float | None:
        drafting, rate = self.drafting, self.setup.goal.tokens_per_s
        if drafting is None or rate is None or not self.fits:
            return float(self.fits)
        if self.is_upper_bound:
            return None if self.tokens_per_s_each * self.setup.goal.users >= rate else 0.0
        timed = drafting.verification.timed
        factors = tuple(float(at_coverage(each, timed.interval_factor, timed.wide_factor)) for each in (PROMISED, WIDE))
        chances = [chance_of(each.tokens_per_s / rate, *factors) for each in drafting.outcomes]
        return math.fsum(chances) / len(chances)

    @property
    def shortfall(self) -> float:
        """By which factor it is too slow or too late, 1 where neither; infinite where it does not fit."""
        if not self.fits:
            return math.inf
        goal = self.setup.goal
        slow = goal.at_least / self.tokens_per_s_each if goal.at_least else 1.0
        return max(slow, self.reading.lateness, 1.0)

    @property
    def _fullest(self) -> tuple[float, float]:
        """Bytes that are free in the fullest part, whoever drafts counted, and those that can be had there in all."""
        if self.drafting is None:
            return self.choice.memory_left_bytes, self.choice.memory_limit_bytes
        return min((limit - needed, limit) for _, needed, limit in self.drafting.held)

    @property
    def memory_left_bytes(self) -> float:
        """What is free in the fullest of the parts that hold something, with whoever drafts."""
        return self._fullest[0]

    @property
    def memory_limit_bytes(self) -> float:
        """What of that part the runtime can have in all."""
        return self._fullest[1]

    @property
    def reaches(self) -> bool:
        """Whether it does, with the chance that is asked for."""
        if self.drafting is None:
            return self.choice.reaches
        return self.fits and self.choice.is_within_budget and self._is_fast_enough

    @property
    def _is_fast_enough(self) -> bool:
        """Of drafts: with a half asked for, rate and first token each by themselves, as of a choice."""
        rate, chance = self._chance_of_rate, self.setup.goal.chance
        if chance == HALF:
            return (rate is None or rate >= HALF) and not self.reading.is_late
        return (self.chance or 0.0) >= chance

    def spending(self, tariff: Tariff) -> Spending | None:
        """What a generated token takes, with drafts in the mean over kinds of text; None where it does not fit.

        Of another machine than the tariff is of, what is known without its watts and its price of an hour. A verified token is
        taken to draw what a sequence does.
        """
        if not set(BOUGHT).isdisjoint(self.kinds):
            tariff = Tariff(price_per_kwh=None if tariff.price_per_hour else tariff.price_per_kwh)
        plain = spending(self.choice.point, tariff) if self.fits else None
        if plain is None or self.drafting is None:
            return plain
        users, rate = self.setup.goal.users, self.tokens_per_s_each
        low, high = self.interval_each
        tokens = users * (self.drafting.drafted + 1)
        watts = decode_watts(self.choice.point.hardware, tokens, tariff.watts)
        slower = None if self.is_upper_bound else rate / low
        return replace(plain, tokens_per_s=rate * users, slower=slower, faster=high / rate, watts=watts)

    def gain(self, before: Choice) -> float:
        """By which factor it is faster than before; NaN where that did not fit."""
        expect("before", before, Choice, "a Choice, as Changes.before is one")
        return self.tokens_per_s_each / before.tokens_per_s_each
