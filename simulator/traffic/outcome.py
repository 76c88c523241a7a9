"""What requests waited for and what the server did meanwhile: times of each, percentiles, shares, and what holds it back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.errors import InputError, printable
from simulator.spec.arguments import between, expect, floats, one_of, within
from simulator.spec.counts import LEAST_SECONDS, MOST_SECONDS, parse_seconds

PERCENTS = (50, 90, 95, 99)
MEASURES = ("ttft", "tpot", "e2e")  # as people call them: time to first token, per output token, from end to end
USUAL_SHARE, LEAST_SHARE, MOST_SHARE = 0.99, 0.01, 0.9999
CROWDED = 0.1  # of the time, from which on what requests wait for is what holds the server back


@dataclass(frozen=True)
class ServiceGoal:
    """What requests are to keep, in seconds, and the share of them that has to; None: whatever it takes."""

    ttft_s: float | None = None  # to the first token
    tpot_s: float | None = None  # for each further one, in the mean of a request
    e2e_s: float | None = None  # until the last one
    share: float = USUAL_SHARE

    def __post_init__(self):
        if all(each is None for each in (self.ttft_s, self.tpot_s, self.e2e_s)):
            raise InputError("goal must have at least one of ttft, tpot and e2e, as in ttft=2s,tpot=50ms")
        for name, seconds in self.parts.items():
            between(f"{name}_s", seconds, LEAST_SECONDS, MOST_SECONDS)
        if MOST_SHARE < between("share", self.share, LEAST_SHARE, 1) < 1:
            raise InputError(
                f"share must be at most {MOST_SHARE:g}, or 1, of which every request is to keep it; got {self.share:.9g}"
            )

    @property
    def fewest(self) -> int:
        """Requests of which one may miss it: of fewer it is not told whether such a share keeps it."""
        return 1 if self.share == 1 else math.ceil(1 / (1 - self.share) - 1e-6)

    @property
    def parts(self) -> dict[str, float]:
        """Seconds by measure, of those that are asked for."""
        found = {name: getattr(self, f"{name}_s") for name in MEASURES}
        return {name: seconds for name, seconds in found.items() if seconds is not None}

    def __str__(self) -> str:
        return ",".join(f"{name}={_seconds_text(seconds)}" for name, seconds in self.parts.items())


def expect_goal(goal: ServiceGoal) -> None:
    """InputError for anything but a ServiceGoal."""
    expect("goal", goal, ServiceGoal, "a ServiceGoal, as ServiceGoal(ttft_s=2, tpot_s=0.05)")


def expect_met(goal: ServiceGoal, answers: Iterable[int]) -> None:
    """InputError where a goal asks for a time per further token, and of these *answers*, in tokens, none has one."""
    if goal.tpot_s is not None and max(answers) < 2:
        raise InputError(
            "goal must be without tpot: answers of one token have no further one that takes time; or ask for answers of two or more"
        )


def _seconds_text(seconds: float) -> str:
    return f"{seconds:.4g}s" if seconds >= 1 else f"{seconds * 1e3:.4g}ms"


def parse_goal(text: str, share: float = USUAL_SHARE) -> ServiceGoal:
    """`ttft=2s,tpot=50ms,e2e=1min`; InputError says what of it cannot be read."""
    expect("text", text, str, "a text, such as ttft=2s,tpot=50ms")
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (each.strip().lower() for each in part.partition("="))
        if name not in MEASURES or not value:
            raise InputError(f"goal {printable(text)!r}: write ttft, tpot or e2e with a time, as in ttft=2s,tpot=50ms")
        if name in found:
            raise InputError(f"goal {printable(text)!r}: {name} is there twice")
        try:
            found[name] = parse_seconds(value)
            if name == "tpot" and found[name] >= 1 and value[-1].isdigit():  # benchmarks tell it in milliseconds
                raise InputError(
                    f"of {printable(value)} s for each token: write {value}ms, or {value}s where that is meant"
                )
        except InputError as error:
            raise InputError(f"goal: {name} {error}") from None
    return ServiceGoal(*(found.get(name) for name in MEASURES), share=share)


@dataclass(frozen=True)
class Sums:
    """What the server did, in seconds and counts."""

    seconds: float  # from the first request to the last answer
    reading_s: float  # in steps that read prompts
    decoding_s: float  # in all others
    no_page_s: float  # of these, while the first that waits finds no room in the cache
    no_place_s: float  # while it finds the server full
    mean_batch: float
    peak_batch: int
    mean_queue: float
    peak_queue: int
    mean_cache: float  # share of it
    peak_cache: float
    n_steps: int
    stretches: int  # of steps that were taken together
    put_back: int  # requests whose cache was given up, and that were read again


@dataclass(frozen=True)
class Outcome:
    """All requests with their times, arrays in the order in which they came; times are seconds since the first one came."""

    asked_s: np.ndarray
    let_in_s: np.ndarray  # when the first of its tokens was read
    waits_s: (
        np.ndarray
    )  # (2, waits) when each wait began and ended, of all requests: until one is let in, and again when it was put back
    first_s: np.ndarray  # when the first token came
    ended_s: np.ndarray
    prompts: np.ndarray  # tokens
    answers: np.ndarray
    hits: np.ndarray  # tokens of prompts that the cache had
    put_back: np.ndarray  # how often
    users: int  # 0: requests came by themselves
    sums: Sums
    line: np.ndarray  # (3, times) seconds, requests that run, share of the cache
    bound: (
        str  # what takes most of a step that decodes as many as there were in the mean: memory, compute, overhead ...
    )

    def waiting_at(self, seconds: np.ndarray) -> np.ndarray:
        """Requests that have come, or were put back, and of which nothing is read, at some times."""
        seconds = floats("seconds", seconds)
        begun, ended = (np.searchsorted(np.sort(each), seconds, "right") for each in self.waits_s)
        return begun - ended

    def __len__(self) -> int:
        return len(self.asked_s)

    @cached_property
    def ttft(self) -> np.ndarray:
        """Seconds to the first token of each."""
        return self.first_s - self.asked_s

    @cached_property
    def tpot(self) -> np.ndarray:
        """Seconds for each further token, in the mean of each request; NaN where there is none."""
        further = np.where(self.answers > 1, self.answers - 1, np.nan)
        return (self.ended_s - self.first_s) / further

    @cached_property
    def e2e(self) -> np.ndarray:
        """Seconds until the last token of each."""
        return self.ended_s - self.asked_s

    @cached_property
    def counted(self) -> np.ndarray:
        """Which of the requests percentiles are of: of users who all ask at once, not the first of each, if there are others."""
        is_later = np.arange(len(self)) >= self.users
        return is_later if is_later.any() else np.ones(len(self), bool)

    def times(self, measure: str) -> np.ndarray:
        """Seconds of the requests that are counted and have such a time."""
        values = getattr(self, one_of("measure", measure, MEASURES))[self.counted]
        return values[np.isfinite(values)]

    def tells(self, measure: str, percent: float) -> bool:
        """Whether so many have such a time that one at least takes longer than a percentile: 100 for 99 %; the half any number tells."""
        n, percent = len(self.times(measure)), within("percent", percent, 0, 100)
        return n > 0 and (percent <= 50 or n * (100 - percent) >= 100)

    def highest(self, measure: str) -> int | None:
        """Of PERCENTS the highest that is told of a measure; None where no request has such a time."""
        return max((percent for percent in PERCENTS if self.tells(measure, percent)), default=None)

    def percentile(self, measure: str, percent: float) -> float:
        """So many per cent of the requests that are counted take no longer; NaN where none has such a time.

        Whether there are enough of them for that `tells` says.
        """
        values, percent = self.times(measure), within("percent", percent, 0, 100)
        return float(np.percentile(values, percent)) if values.size else math.nan

    def kept(self, goal: ServiceGoal) -> float:
        """The share of the counted requests that keep all of a goal."""
        expect_goal(goal)
        keep = np.ones(len(self), bool)
        for name, seconds in goal.parts.items():
            values = getattr(self, name)
            keep &= ~(values > seconds)  # a single token has no time per further one, and misses none
        return float(np.mean(keep[self.counted]))

    @property
    def requests_per_s(self) -> float:
        """Answers given per second."""
        return len(self) / self.sums.seconds

    @property
    def tokens_per_s(self) -> float:
        """Tokens of answers per second, of all requests together."""
        return float(self.answers.sum()) / self.sums.seconds

    @property
    def prompt_tokens_per_s(self) -> float:
        """Tokens of prompts per second, those with them that the cache had."""
        return float(self.prompts.sum()) / self.sums.seconds

    @property
    def busy_share(self) -> float:
        """Of the time in which the server does anything."""
        return (self.sums.reading_s + self.sums.decoding_s) / self.sums.seconds

    @property
    def hit_share(self) -> float:
        """Of the tokens of prompts those that the cache had."""
        return float(self.hits.sum() / self.prompts.sum())

    @property
    def settled_rate(self) -> float:
        """Answers per second while the server was as full as it gets: between a tenth and nine tenths of all."""
        ends = np.sort(self.ended_s)
        low, high = len(ends) // 10, max(len(ends) * 9 // 10, 1) - 1
        passed = ends[high] - ends[low]
        return float((high - low) / passed) if high > low and passed > 0 else self.requests_per_s

    @property
    def held_back_by(self) -> str:
        """In words, what would have to be more for the server to do more."""
        sums, busy_s = self.sums, self.sums.reading_s + self.sums.decoding_s
        if sums.no_page_s > CROWDED * busy_s:
            return "cache full"
        if sums.no_place_s > CROWDED * busy_s:
            return "server full"
        return "prompts" if sums.reading_s > sums.decoding_s else f"decoding, by {self.bound}"
