"""Speculative decoding: tokens a second with drafted tokens, whether that pays, and how many tokens to draft."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from simulator.errors import InputError
from simulator.forecast.draft_room import told_room, with_room
from simulator.forecast.drafting import Drafter, Pass, drafter_of
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.spec.arguments import expect, whole
from simulator.spec.hardware import Hardware
from simulator.spec.routing import Uniform
from simulator.spec.speculation import SharedExperts, Speculation, Text, expected_tokens
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

MOST_TRIED = 16  # drafted tokens, among which the best number is looked for


@dataclass(frozen=True)
class Outcome:
    """What speculation gives at one acceptance rate."""

    acceptance: float  # the chance that a drafted token is kept, where all before it were
    text: Text | None  # of which kind of text that is the rate; None where it was given
    tokens_per_step: float  # of each sequence
    tokens_per_s: float  # all sequences together; NaN where it does not fit
    tokens_per_s_low: float  # ends of the 80 % interval, the rate of acceptance taken as given
    tokens_per_s_high: float
    tokens_per_s_same_experts: (
        float | None
    )  # if verified tokens of a sequence shared their experts; None without experts
    speedup: float  # over plain decoding; NaN where either does not fit
    best_tokens: int  # drafted tokens with which it is fastest, 0 where plain decoding is
    best_tokens_per_s: float


@dataclass(frozen=True)
class Speculated:
    """Steps that verify drafted tokens, at one batch and context, beside plain decoding."""

    whole: Speculating
    plain: Prediction
    verification: (
        Prediction  # a step of the drafted tokens and one more of each sequence; all choose experts independently
    )
    passes: tuple[Pass, ...]

    @property
    def speculation(self) -> Speculation:
        """What was asked."""
        return self.whole.speculation

    @property
    def drafted(self) -> int:
        """Tokens drafted in a step for each sequence."""
        return int(self.verification.load.tokens) - 1

    @cached_property
    def draft_s(self) -> float:
        """Seconds of a step that go into drafting, with memory enough."""
        return float(sum(each.seconds for each in self.passes))

    @cached_property
    def verify_s(self) -> float:
        """Seconds of a step that go into verifying, with memory enough."""
        return float(self.verification.seconds_given_memory)

    @property
    def choose_s(self) -> float:
        """Seconds in which the host chooses the verified tokens beyond the first, which is left out as it is of plain decoding."""
        model = self.plain.model
        return int(self.plain.load.batch) * self.drafted * self.plain.runtime.drafting.sampling_s(model.n_logits)

    @property
    def seconds_given_memory(self) -> float:
        """Seconds of a step, with memory enough."""
        return self.draft_s + self.verify_s + self.choose_s

    @cached_property
    def held(self) -> tuple[tuple[Hardware, float, float], ...]:
        """Each part of the machine that takes part, bytes that it must hold with whoever drafts, and bytes that can be had there."""
        drafter, point = self.whole.drafter, self.verification
        held = point.held if point.placement else point.held[:1]
        more = drafter.held_bytes(self.whole.placed, point.load) if drafter and self.drafted else [0.0] * len(held)
        return tuple(
            (each.part, float(each.needed_bytes + other), float(each.limit_bytes))
            for each, other in zip(held, more, strict=False)  # the host of a GPU that holds everything is left out
        )

    @property
    def memory_bytes(self) -> float:
        """What memory must hold, of all parts that take part: model, caches, and whoever drafts."""
        return sum(needed for _, needed, _ in self.held)

    @property
    def memory_limit_bytes(self) -> float:
        """What of the memory of those parts the runtime can have."""
        return sum(limit for _, _, limit in self.held)

    @property
    def fits(self) -> bool:
        """Whether the model and whoever drafts go into the memory of each part together."""
        return all(needed <= limit for _, needed, limit in self.held)

    @property
    def seconds_per_step(self) -> float:
        """Seconds of a step; NaN where it does not fit."""
        return self.seconds_given_memory if self.fits else float("nan")

    def tokens_per_s(self, acceptance: float) -> float:
        """New tokens per second of all sequences at a rate of acceptance; NaN where it does not fit."""
        return int(self.plain.load.batch) * expected_tokens(acceptance, self.drafted) / self.seconds_per_step

    def speedup(self, acceptance: float) -> float:
        """That over plain decoding."""
        return self.tokens_per_s(acceptance) / float(self.plain.tokens_per_s)

    @cached_property
    def break_even(self) -> float | None:
        """The rate of acceptance from which on it is no slower than plain decoding; None where none is high enough."""
        needed = self.seconds_given_memory / float(self.plain.seconds_given_memory)
        if needed > self.drafted + 1:
            return None
        low, high = 0.0, 1.0
        for _ in range(60):  # halvings: to the last bit of a float
            middle = (low + high) / 2
            low, high = (middle, high) if expected_tokens(middle, self.drafted) < needed else (low, middle)
        return high if needed > 1 else 0.0

    def interval(self, acceptance: float) -> tuple[float, float]:
        """Tokens per second between which the true rate lies with probability 0.8, the rate of acceptance taken as given.

        As wide as that of the step that verifies. The ceiling of plain decoding does not hold here.
        """
        rate, factor = self.tokens_per_s(acceptance), float(self.verification.timed.interval_factor)
        return rate / factor, rate * factor

    def tokens_per_s_same_experts(self, acceptance: float) -> float | None:
        """The most that locality of experts could give: all verified tokens of a sequence need the same; None without experts."""
        if self.verification.distinct_experts is None:
            return None
        shared = self.whole.verified(self.plain, self.drafted, shares_experts=True)
        seconds = self.seconds_per_step - self.verify_s + float(shared.seconds_given_memory)
        return int(self.plain.load.batch) * expected_tokens(acceptance, self.drafted) / seconds

    @cached_property
    def _tried(self) -> tuple[Speculated, ...]:
        """The same with every number of drafted tokens that is looked at."""
        batch, context = int(self.plain.load.batch), int(self.plain.load.context)
        return tuple(self.whole.at(batch, context, tokens, self.plain) for tokens in range(MOST_TRIED + 1))

    def best(self, acceptance: float) -> tuple[int, float]:
        """With how many drafted tokens, 0 to 16, it is fastest at a rate of acceptance, and how fast; 0 where none fits."""
        rates = [(each.tokens_per_s(acceptance), -each.drafted) for each in self._tried if each.fits]
        rate, fewer = max(rates, default=(float("nan"), 0))
        return -fewer, rate

    @cached_property
    def outcomes(self) -> tuple[Outcome, ...]:
        """At the given rate of acceptance, or for every kind of text whose rate was published."""
        given = self.speculation.acceptance
        cases = [(given, None)] if given is not None else [(text.acceptance, text) for text in self.speculation.texts]
        return tuple(self._outcome(acceptance, text) for acceptance, text in cases)

    @property
    def mean_tokens_per_s(self) -> float:
        """Of all sequences, in the mean over the outcomes, each kind of text taken as likely; NaN where it does not fit."""
        return math.fsum(each.tokens_per_s for each in self.outcomes) / len(self.outcomes)

    @property
    def between(self) -> tuple[float, float]:
        """From the low end of the interval with the text that is drafted worst to the high end with that drafted best."""
        lows, highs = zip(*((each.tokens_per_s_low, each.tokens_per_s_high) for each in self.outcomes), strict=True)
        return min(lows), max(highs)

    def _outcome(self, acceptance: float, text: Text | None) -> Outcome:
        low, high = self.interval(acceptance)
        tokens, rate = self.best(acceptance)
        return Outcome(
            acceptance=acceptance,
            text=text,
            tokens_per_step=expected_tokens(acceptance, self.drafted),
            tokens_per_s=self.tokens_per_s(acceptance),
            tokens_per_s_low=low,
            tokens_per_s_high=high,
            tokens_per_s_same_experts=self.tokens_per_s_same_experts(acceptance),
            speedup=self.speedup(acceptance),
            best_tokens=tokens,
            best_tokens_per_s=rate,
        )


@dataclass(frozen=True)
class Speculating:
    """A scenario with whoever drafts in it, for every batch and context."""

    base: Scenario
    speculation: Speculation
    drafter: Drafter | None  # None: nothing is run to draft
    placed: Scenario  # as it lies on its machine with whoever drafts

    @classmethod
    def of(cls, base: Scenario, speculation: Speculation) -> Speculating:
        """Who drafts, found and checked; InputError where the model has no blocks that predict, or the draft cannot be used."""
        expect("base", base, Scenario, "a Scenario, as scenario(...) makes one")
        expect("speculation", speculation, Speculation, "a Speculation, as parse_speculation makes one")
        _refuse_a_drive(base)
        drafter_of(base, speculation)
        placed = with_room(base, speculation)
        return cls(base, speculation, drafter_of(placed, speculation), placed)

    def at(self, batch: int, context: int, tokens: int | None = None, plain: Prediction | None = None) -> Speculated:
        """At a batch and a context, both single numbers; *tokens* and *plain* where they are known."""
        plain = plain or self.base.at(whole("batch", batch, 1, MAX_BATCH), whole("context", context, 0, MAX_CONTEXT))
        tokens = self.speculation.tokens if tokens is None else tokens
        if not tokens:
            return Speculated(self, plain, plain, ())
        verification = self.verified(plain, tokens)
        drafter = self.drafter
        passes = tuple(drafter.passes(self.placed, verification.load, tokens)) if drafter else ()
        return Speculated(self, plain, verification, passes)

    def verified(self, plain: Prediction, tokens: int, shares_experts: bool = False) -> Prediction:
        """A step over the next token and *tokens* drafted ones of each sequence, whose logits are all made."""
        load = replace(self.base.load, tokens=tokens + 1, verifies=True)
        if shares_experts:
            load = replace(load, routing=SharedExperts(load.routing, tokens + 1))
        return replace(self.placed, load=load).at(plain.load.batch, plain.load.context)

    def assumptions(self) -> Iterator[str]:
        """What was taken for granted, in sentences without a full stop."""
        base, asked = self.base, self.speculation
        yield "each drafted token is kept with the same chance where all before it were, in every sequence alike"
        yield from (f"acceptance {text.name} {text.acceptance:.2f}: {text.source}" for text in asked.texts)
        if asked.kind == "ngram":
            yield "looking up n-grams takes no time, and every step finds a draft: where one does not, acceptance is lower than counted"
        yield from self.drafter.remarks if self.drafter else ()
        if base.loaded.model.experts:
            within = "equally likely experts" if isinstance(base.load.routing, Uniform) else base.load.routing.name
            yield (
                f"verified tokens choose experts independently of each other ({within}): the slow side, since neighbours share some; "
                "the fast side is in the column same experts"
            )
        if any(layer.attention is not None and layer.attention.state_bytes for layer in base.loaded.model.stack):
            yield f"recurrent states are kept after each of the {asked.tokens + 1} verified tokens, to go back to"
        yield from told_room(base, self.placed)
        yield from self._cautions()

    def _cautions(self) -> list[str]:
        """What measurements on such a GPU say against the forecast; none of n-grams were published."""
        hardware, told = self.base.hardware, self.base.runtime.drafting.cautions
        if hardware.kind != "gpu" or self.speculation.kind == "ngram":
            return []
        keys = (hardware.vendor, *([f"{hardware.vendor} mixtures"] if self.base.loaded.model.experts else []))
        return [told[key] for key in keys if key in told]


def speculate(base: Scenario, speculation: Speculation, batch: int = 1, context: int = 1024) -> Speculated:
    """Speculative decoding of a scenario at one point, beside plain decoding.

    *batch*: sequences at once; *context*: tokens in the cache of each. Rates are in tokens per second over all sequences, times in
    seconds of a step. InputError where the model has no blocks that predict further tokens, or the draft model is of no use.

    >>> from simulator import parse_speculation, scenario, speculate
    >>> found = speculate(scenario("qwen3.8-27b", "rtx-3090", weights="q4_k_m"), parse_speculation("mtp:2@0.85"))
    >>> print(f"{found.speedup(0.85):.2f} times plain, pays from {found.break_even:.2f}")
    """
    return Speculating.of(base, speculation).at(batch, context)


def _refuse_a_drive(base: Scenario) -> None:
    if base.hardware.reads_from is not None:
        raise InputError(
            "--storage: how a drafter and a model that is read from a drive share its reads is not forecast; leave it out, or "
            "--speculate and --draft"
        )


def refuse_with_density(density: str | None) -> None:
    """InputError where a density profile is given beside speculation: how the verified tokens share what they read is not known."""
    if density is not None:
        raise InputError(
            "--density gives each token layers of its own, and how the tokens that a step verifies share them is not known: leave it "
            "out, or --speculate and --draft"
        )
