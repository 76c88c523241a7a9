"""What somebody wants of a machine."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import InputError
from simulator.forecast.capacity import LEAST_EACH, MOST_EACH
from simulator.spec.arguments import between, expect, positive, whole
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

MOST_SECONDS = 1e9


@dataclass(frozen=True)
class Goal:
    """Tokens per second of each of so many users at once, and the rest of what has to hold; None: it does not matter.

    Args:
        at_least: tokens per second of each user.
        users: sequences that decode at once.
        context: tokens in the cache of each.
        ttft: seconds to the first token of a prompt of `context` tokens, on a machine that does nothing else.
        budget: what it may cost, in the currency of the prices.
        chance: with which it has to be reached, from 0.01 to 0.99; a half: the forecast reaches both, rate and time.
    """

    at_least: float | None = None
    users: int = 1
    context: int = 1024
    ttft: float | None = None
    budget: float | None = None
    chance: float = 0.5

    @property
    def is_for_speed(self) -> bool:
        """Whether it is the fastest that a budget buys."""
        return self.at_least is None and self.budget is not None

    def __post_init__(self):
        if self.at_least is not None:
            between("at_least", self.at_least, LEAST_EACH, MOST_EACH)
        whole("users", self.users, 1, MAX_BATCH)
        whole("context", self.context, 0, MAX_CONTEXT)
        if self.ttft is not None:
            between("ttft", self.ttft, 1e-6, MOST_SECONDS)
            if not self.context:
                raise InputError("ttft: a prompt of no tokens has no first token: give a context of at least 1")
        if self.budget is not None:
            positive("budget", self.budget)
        between("chance", self.chance, 0.01, 0.99)

    @property
    def tokens_per_s(self) -> float | None:
        """Of all users together; None where no rate is asked for."""
        return None if self.at_least is None else self.at_least * self.users


def expect_goal(goal: Goal) -> None:
    """InputError for anything but a Goal."""
    expect("goal", goal, Goal, "a Goal, as Goal(at_least=20) makes one")
