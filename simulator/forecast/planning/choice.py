"""A machine with a model in a format, beside a goal: whether it reaches it, with what chance, and what it misses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from simulator.forecast.capacity import Users, for_users, largest_batch, most_users
from simulator.forecast.fit import Held
from simulator.forecast.planning.chance import chance_of_first, chance_of_rate
from simulator.forecast.planning.goal import Goal
from simulator.forecast.prediction import Prediction
from simulator.forecast.request import Request, RequestForecast, forecast_request
from simulator.forecast.scenario import Scenario, needs_ram
from simulator.forecast.software import native_format
from simulator.forecast.splits import with_usual_host
from simulator.units import format_gib, format_number, format_price, format_seconds

SURELY = 1.1  # times the rate has to be that of matrices shared, whose sums rest on one pair of runs, to be taken for the faster
HALF = 0.5  # the chance with which a goal is reached that the forecast just reaches


@dataclass(frozen=True)
class Choice:
    """A scenario, judged by a goal."""

    base: Scenario
    goal: Goal
    price: float | None = None  # of all its devices; None: nobody told it

    @cached_property
    def point(self) -> Prediction:
        """The forecast with all users at once."""
        return self.base.at(self.goal.users, self.goal.context)

    @cached_property
    def request(self) -> RequestForecast | None:
        """One prompt on an idle machine; None where its time does not matter."""
        return forecast_request(self.base, Request(self.goal.context)) if self.goal.ttft else None

    @property
    def loses(self) -> tuple[bool, float]:
        """How little is lost of the model, in order: nothing with the published checkpoint's own format, else less with more bytes."""
        own = native_format(self.base.runtime, self.base.loaded.model)
        return self.base.load.weights.name != own, -float(self.point.weight_bytes)

    @property
    def fits(self) -> bool:
        """Whether memory holds it with all users."""
        return bool(self.point.fits)

    @property
    def tokens_per_s_each(self) -> float:
        """Of each user; NaN where it does not fit."""
        return float(self.point.tokens_per_s_per_sequence)

    @property
    def interval_each(self) -> tuple[float, float]:
        """The 80 % interval of that."""
        low, high = self.point.interval()
        return float(low) / self.goal.users, float(high) / self.goal.users

    @property
    def seconds_to_first(self) -> float | None:
        """Of a prompt as long as the context; None where nobody asked."""
        return self.request.seconds_to_first if self.request else None

    @cached_property
    def chance(self) -> float | None:
        """That the goal is reached; None where the forecast is an upper bound.

        Errors of decoding and of reading a prompt are taken as independent, as they are of a whole request.
        """
        rate = self._chance_of_rate
        if rate is None or not self.fits:
            return rate
        return rate * self.chance_of_first

    @property
    def chance_of_first(self) -> float:
        """That the first token is there in time; 1 where its time does not matter."""
        return chance_of_first(self.request, self.goal.ttft) if self.request and self.goal.ttft else 1.0

    @cached_property
    def _chance_of_rate(self) -> float | None:
        if self.goal.tokens_per_s is None:
            return float(self.fits)
        return chance_of_rate(self.point, self.goal.tokens_per_s)

    @property
    def is_within_budget(self) -> bool:
        """Whether its price is known to be within the budget, where there is one."""
        return self.goal.budget is None or (self.price is not None and self.price <= self.goal.budget)

    @property
    def dearness(self) -> float:
        """By which factor it is dearer than the budget; 1 where it is not, or nobody tells the price."""
        if self.goal.budget is None or self.price is None:
            return 1.0
        return max(1.0, self.price / self.goal.budget)

    @property
    def is_fast_enough(self) -> bool:
        """Whether it gives what is asked with the chance that is asked; an upper bound, of which none is known, only as forecast."""
        if not self.fits or (self.goal.chance >= HALF and self._lacks_rate):
            return False
        if self.goal.chance == HALF:
            return not self.is_late
        rate = self._chance_of_rate
        return rate is not None and rate >= self.goal.chance and (self.chance or 0.0) >= self.goal.chance

    @property
    def reaches(self) -> bool:
        """Whether it is what somebody wants."""
        return self.is_fast_enough and self.is_within_budget

    @property
    def _lacks_rate(self) -> bool:
        return self.goal.at_least is not None and self.tokens_per_s_each < self.goal.at_least

    @property
    def is_late(self) -> bool:
        """Whether the first token comes after its time."""
        return bool(self.request and self.goal.ttft and self.request.seconds_to_first > self.goal.ttft)

    @property
    def shortfall(self) -> float:
        """By which factor it is too slow or too late, 1 where neither; infinite where it does not fit."""
        if not self.fits:
            return math.inf
        return max(self.slowness, self.lateness, 1.0)

    @property
    def lateness(self) -> float:
        """The time to the first token over that which is asked for; 0 where it does not matter."""
        return self.request.seconds_to_first / self.goal.ttft if self.request and self.goal.ttft else 0.0

    @property
    def slowness(self) -> float:
        """By which factor it decodes too slowly, below 1 where it is faster than it has to be; infinite where it does not fit."""
        if not self.fits:
            return math.inf
        return self.goal.at_least / self.tokens_per_s_each if self.goal.at_least else 1.0

    @cached_property
    def _fullest(self) -> Held:
        held = self.base.held(self.goal.users, self.goal.context)
        used = [each for each in held if float(each.needed_bytes) > 0] or held
        return min(used, key=lambda each: float(each.limit_bytes - each.needed_bytes + each.mapped_bytes))

    @property
    def memory_left_bytes(self) -> float:
        """What is free in the fullest of the parts that hold something of it, negative where that is too small."""
        return float(self._fullest.limit_bytes - self._fullest.needed_bytes + self._fullest.mapped_bytes)

    @property
    def memory_limit_bytes(self) -> float:
        """What of that part the runtime can have in all."""
        return float(self._fullest.limit_bytes)

    @cached_property
    def users(self) -> Users | None:
        """How many users get the rate that is asked for, each; None where none is."""
        if self.goal.at_least is None:
            return None
        return most_users(self.base, self.goal.at_least, self.goal.context)

    @cached_property
    def base_of_most(self) -> Scenario:
        """As it lies with as many users as get the rate that is asked for."""
        return for_users(self.base, self.users.most, self.goal.context) if self.users and self.users.most else self.base

    @cached_property
    def point_of_most(self) -> Prediction | None:
        """The forecast with as many users as get the rate that is asked for; None where that is no more than are asked for."""
        if not self.fits or self.users is None or self.users.most <= self.goal.users:
            return None
        return self.base_of_most.at(self.users.most, self.goal.context)

    def misses(self) -> Iterator[str]:
        """What is lacking, and by how much, in a few words each."""
        goal = self.goal
        if not self.fits:
            where = self._fullest.part.own_label if self.base.placement else "it"
            missing = format_gib(-self.memory_left_bytes)
            yield f"{self._told_room()}needs {missing} more memory than {where} has{self._told_host()}"
        elif self._lacks_rate:
            short = 1 - self.tokens_per_s_each / goal.at_least
            yield f"{format_number(self.tokens_per_s_each)} of {format_number(goal.at_least)} tokens/s each, {short:.0%} too few"
        if self.fits and self.is_late:
            late = format_seconds(self.request.seconds_to_first - goal.ttft)
            yield f"first token after {format_seconds(self.request.seconds_to_first)}, {late} too late"
        if self.fits and not self.is_fast_enough and self.shortfall == 1.0:
            yield self._told_chance()
        if goal.budget is not None and self.price is None:
            yield "its price is not known"
        elif not self.is_within_budget:
            yield f"{format_price(self.price - goal.budget)} over the budget"

    def _told_room(self) -> str:
        """How many of several users it has memory for; empty where it has none for the model either."""
        room = largest_batch(self.base, self.goal.context) if self.goal.users > 1 else 0
        if not room:
            return ""
        return f"holds {room:,} of {self.goal.users:,} users at context {self.goal.context:,}, with all of them it "

    def _told_host(self) -> str:
        """That a host's memory beside cards may do; empty where one is there, or the runtime cannot use it."""
        machine = with_usual_host(self.base)
        return f", unless a host's is beside it: {machine}" if machine else ""

    def _told_chance(self) -> str:
        if self.chance is None:
            return "its chance is not known: what its devices tell each other is left out"
        return f"reaches it with a chance of {self.chance:.0%}, {self.goal.chance:.0%} are asked for"


def is_surely_faster(shared: Choice, usual: Choice) -> bool:
    """Whether cards that share each matrix are to be preferred to what the runtime does by itself: not for an upper bound, nor beside
    RAM, where nobody measured it.
    """
    if shared.point.is_upper_bound or needs_ram(shared.base):
        return False
    if not usual.fits:
        return shared.fits or shared.memory_left_bytes > usual.memory_left_bytes
    return shared.fits and shared.tokens_per_s_each > SURELY * usual.tokens_per_s_each
