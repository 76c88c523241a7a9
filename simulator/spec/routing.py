"""Which experts a batch of tokens touches: the closed forms, skewed or bounded, and what capacity limits drop.

All assume that the tokens of a batch choose independently. Measured routing is more concentrated than uniform: at batch 8
on MATH by 2 % (Qwen1.5-MoE) to 24 % (DeepSeek-R1), MoE-CAP, arXiv 2412.07067, section 4.3. Among Zipf's laws that is an exponent of 0.3
to 0.9; so is the popularity that was recorded in Qwen3-30B-A3B, whose entropy falls short of the uniform one by 11 % on mixed text and
15 % on Python alone: 0.78 and 0.91 (mcp-tool-shop-org.github.io/gpu-container/handbook/derisk). zipf:0.7 is in the middle of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol

import numpy as np

from simulator.errors import InputError, hint
from simulator.spec.layers.ffn import Experts
from simulator.units import counted


class Routing(Protocol):
    """What the counting asks of a routing."""

    name: str
    assumption: str  # what it takes for granted, for the reader

    def distinct(self, ffn: Experts, batch):
        """Mean number of distinct experts of one layer that *batch* tokens touch, broadcast over *batch*."""

    def served(self, ffn: Experts, batch):
        """Mean number of experts that really serve one token."""


INDEPENDENT = "tokens of a batch choose their experts independently"


class _Dropless:
    """Every token is served by all the experts that it chose."""

    def served(self, ffn: Experts, batch):
        """k, whatever the batch."""
        return ffn.n_active + 0.0 * batch


@dataclass(frozen=True)
class Uniform(_Dropless):
    """Every expert equally likely: E (1 - (1 - k/E)^B)."""

    name: str = "uniform"
    assumption: ClassVar[str] = f"{INDEPENDENT}, all equally likely; batches of real text touch 2-24 % fewer experts"

    def distinct(self, ffn: Experts, batch):
        """Mean number of distinct experts that *batch* tokens touch."""
        touched = ffn.n_experts * -np.expm1(batch * _log1p(-ffn.n_active / ffn.n_experts))
        return np.maximum(touched, ffn.n_active)  # one token: exactly k, not k less a rounding


@dataclass(frozen=True)
class Same(_Dropless):
    """Every sequence decodes the same tokens after the same prompt, and so needs the same experts: k."""

    name: str = "same"
    assumption: ClassVar[str] = (
        "all sequences of a batch decode the same tokens and share their experts: the fastest case"
    )

    def distinct(self, ffn: Experts, batch):
        """k, whatever the batch."""
        return ffn.n_active + 0.0 * batch


@dataclass(frozen=True)
class Worst(_Dropless):
    """No two tokens share an expert until all are in use: min(E, k B)."""

    name: str = "worst"
    assumption: ClassVar[str] = "no two tokens of a batch share an expert until all are in use: the slowest case"

    def distinct(self, ffn: Experts, batch):
        """As many distinct experts as *batch* tokens can touch."""
        return np.minimum(ffn.n_experts, ffn.n_active * batch) + 0.0


@dataclass(frozen=True)
class Popular(_Dropless):
    """Experts of unequal popularity: sum over experts of 1 - (1 - q)^B, q the chance that a token uses the expert.

    The chances are proportional to `popularity` as far as none exceeds 1, and sum to k. With `popularity` None they
    follow Zipf's law, rank to the power of minus `exponent`.
    """

    name: str
    exponent: float = 0.0
    popularity: tuple[float, ...] | None = None
    assumption: ClassVar[str] = f"{INDEPENDENT}, each expert as often as its popularity says"

    def chances(self, ffn: Experts) -> np.ndarray:
        """The chance of each expert to serve a token, shape (E,)."""
        if self.popularity is None:
            weight = np.arange(1, ffn.n_experts + 1) ** -float(self.exponent)
        else:
            weight = np.asarray(self.popularity, dtype=float)
            if len(weight) != ffn.n_experts:
                raise InputError(
                    f"routing {self.name}: the file has {counted(len(weight), 'expert')}, the model {ffn.n_experts}: one count per expert"
                )
            if np.count_nonzero(weight) < ffn.n_active:
                raise InputError(
                    f"routing {self.name}: fewer experts are ever used than the {ffn.n_active} that the model needs"
                )
        return inclusion_chances(weight, ffn.n_active)

    def distinct(self, ffn: Experts, batch):
        """Mean number of distinct experts that *batch* tokens touch."""
        sizes, inverse = np.unique(np.asarray(batch, dtype=float), return_inverse=True)
        touched = np.array([_touched(self, ffn, size) for size in sizes.tolist()])
        # One token: exactly k, not k less a rounding.
        return np.maximum(touched, ffn.n_active)[inverse].reshape(np.shape(batch))


@lru_cache(maxsize=2**16)  # a large grid is forecast in pieces, which have many sizes in common
def _touched(routing: Popular, ffn: Experts, size: float) -> float:
    times, log_unused = _chance_counts(routing, ffn)
    return -(times * np.expm1(size * log_unused)).sum()


@lru_cache(maxsize=1000)  # one for each layer of the deepest model
def _chance_counts(routing: Popular, ffn: Experts) -> tuple[np.ndarray, np.ndarray]:
    """How many experts share a chance, and ln(1 - chance): a clipped histogram has few different ones."""
    chances, times = np.unique(routing.chances(ffn), return_counts=True)
    return times, np.array([_log1p(-chance) for chance in chances.tolist()])


def inclusion_chances(weight: np.ndarray, n_active: int) -> np.ndarray:
    """Chances proportional to *weight*, at most 1 each, that sum to *n_active*.

    The m most popular experts are certain (chance 1), with the smallest m for which no other's share exceeds 1.
    """
    weight = np.asarray(weight, dtype=float)
    order = np.argsort(-weight, kind="stable")
    ranked = weight[order] / weight.max()
    rest = np.cumsum(ranked[::-1])[::-1]  # of an expert and all less popular ones
    certain = np.arange(len(ranked))
    fine = (n_active - certain) * ranked <= rest * (1 + 1e-12)
    first = int(np.argmax(fine)) if fine.any() else n_active
    first = min(first, n_active)
    chances = np.ones_like(ranked)
    chances[first:] = (
        (n_active - first) * ranked[first:] / rest[first] if first < len(ranked) and rest[first] > 0 else 0.0
    )
    found = np.empty_like(chances)
    found[order] = np.minimum(chances, 1.0)
    return found


@dataclass(frozen=True)
class Trace:
    """Recorded choices: the mean number of distinct experts among B tokens drawn from the record without replacement.

    `uses` counts for each layer how many of its `tokens` recorded tokens used each expert; batches larger than the
    record are answered as if it were repeated (drawn with replacement).
    """

    name: str
    tokens: int
    uses: tuple[tuple[int, ...], ...]
    assumption: ClassVar[str] = "a batch is a random set of the recorded tokens"

    def distinct(self, ffn: Experts, batch):
        """Mean over the recorded layers."""
        if any(len(layer) > ffn.n_experts for layer in self.uses):
            raise InputError(
                f"routing {self.name}: the trace names more than the model's {counted(ffn.n_experts, 'expert')}"
            )
        batch = np.asarray(batch, dtype=float)
        total = np.zeros_like(batch)
        counts, times = np.unique([count for layer in self.uses for count in layer if count], return_counts=True)
        for count, repeated in zip(counts, times, strict=True):
            total = total + repeated * (1 - self._chance_unused(int(count), batch))
        return total / len(self.uses)

    def _chance_unused(self, count: int, batch):
        # C(N - n, B) / C(N, B) through log-gamma; past the record, (1 - n/N)^B.
        with_replacement = np.exp(batch * _log1p(-count / self.tokens))
        inside = np.minimum(batch, self.tokens - count)
        log_chance = (
            _lgamma(self.tokens - count + 1)
            - _lgamma(self.tokens - count - inside + 1)
            - math.lgamma(self.tokens + 1)
            + _lgamma(self.tokens - inside + 1)
        )
        drawn = np.where(batch > self.tokens - count, 0.0, np.exp(np.minimum(log_chance, 0.0)))
        return np.where(batch > self.tokens, np.minimum(with_replacement, drawn), drawn)

    def served(self, ffn: Experts, batch):  # noqa: ARG002 - a trace knows its own
        """Mean number of experts that a recorded token used."""
        mean = sum(sum(layer) for layer in self.uses) / len(self.uses) / self.tokens
        return mean + 0.0 * batch


@dataclass(frozen=True)
class Capacity:
    """Each expert takes a bounded number of the batch's tokens; a token over it skips the expert. Uniform choice.

    Switch (arXiv 2101.03961, section 2.2) bounds it at `factor` times the fair share k B / E; GShard (arXiv 2006.16668,
    section 2.2) at 2 B / E for its top-2, which is factor 2 with `times_active` false.
    """

    name: str
    factor: float
    times_active: bool = True  # the factor multiplies k B / E rather than B / E
    assumption: ClassVar[str] = f"{INDEPENDENT}; what overflows an expert is dropped"

    def per_expert(self, ffn: Experts, batch):
        """Tokens that one expert takes, rounded up."""
        active = ffn.n_active if self.times_active else 1
        return np.ceil(self.factor * active * np.asarray(batch) / ffn.n_experts)

    def distinct(self, ffn: Experts, batch):
        """As without a bound: an expert that overflows is read all the same."""
        return Uniform().distinct(ffn, batch)

    def served(self, ffn: Experts, batch):
        """k less what is dropped."""
        shape = np.shape(batch)
        sizes, inverse = np.unique(np.asarray(batch), return_inverse=True)
        kept = [1 - dropped_share(int(size), ffn.n_experts, ffn.n_active, self.per_expert(ffn, size)) for size in sizes]
        return ffn.n_active * np.asarray(kept)[inverse].reshape(shape)


@lru_cache(maxsize=2**16)  # as above
def dropped_share(batch: int, n_experts: int, n_active: int, capacity: float) -> float:
    """Share of the token-to-expert assignments that overflow *capacity* per expert, uniform choice.

    An expert is chosen by Binomial(B, k/E) tokens; what exceeds its capacity is dropped: E[(X - C)+] / E[X].
    """
    chance = n_active / n_experts
    if capacity >= batch:
        return 0.0
    if chance >= 1:
        return max(0.0, 1 - capacity / batch)
    taken = np.arange(min(batch, math.ceil(capacity)) + 1)
    log_binomial = math.lgamma(batch + 1) - _lgamma(taken + 1) - _lgamma(batch - taken + 1)
    probability = np.exp(log_binomial + taken * math.log(chance) + (batch - taken) * math.log1p(-chance))
    expected_kept = float(
        (probability * np.minimum(taken, capacity)).sum() + capacity * max(0.0, 1 - probability.sum())
    )
    return max(0.0, 1 - expected_kept / (batch * chance))


@dataclass(frozen=True)
class ExpertChoice:
    """Experts pick tokens: each takes its best k = n c / e of the batch's n (arXiv 2202.09368, equation 1).

    It looks at the whole batch at once, later tokens too, so it has no meaning for decoding a single sequence.
    """

    name: str
    factor: float
    assumption: ClassVar[str] = "experts choose among all tokens of the batch at once, which no causal decoder can do"

    def tokens_per_expert(self, n_tokens, n_experts: int):
        """k = n c / e."""
        return np.asarray(n_tokens) * self.factor / n_experts

    def distinct(self, ffn: Experts, batch):
        """All experts: each takes its k tokens."""
        k = self.tokens_per_expert(batch, ffn.n_experts)
        if np.any(k < 1):
            smallest = math.ceil(ffn.n_experts / self.factor)
            raise InputError(
                f"routing {self.name}: expert choice needs a batch of at least {smallest} here (k = n*c/e = {float(np.min(k)):.3g} "
                f"tokens per expert): every expert picks among all tokens of the batch, so it cannot decode token by token"
            )
        return ffn.n_experts + 0.0 * batch

    def served(self, ffn: Experts, batch):
        """Mean number of experts that a token ends up with."""
        return np.floor(self.tokens_per_expert(batch, ffn.n_experts)) * ffn.n_experts / np.asarray(batch)


def mean_read(routing: Routing, ffn: Experts, batch):
    """Mean number of distinct experts with weights that *batch* tokens touch: of those that they choose, zero experts have none."""
    return routing.distinct(all_choices(ffn), batch) * ffn.real_share


def mean_used(routing: Routing, ffn: Experts, batch):
    """Mean number of experts with weights that really serve one token."""
    return routing.served(all_choices(ffn), batch) * ffn.real_share


def all_choices(ffn: Experts) -> Experts:
    """The same with its zero experts counted among the others: all that a token chooses among."""
    return ffn.model_copy(update={"n_experts": ffn.n_choices, "n_zero": 0}) if ffn.n_zero else ffn


def repeat_chance(n_experts: int, n_active: int) -> float:
    """Chance that two tokens, routed at random, share at least one of their experts: 1 - C(E-k, k) / C(E, k)."""
    return 1 - math.comb(n_experts - n_active, n_active) / math.comb(n_experts, n_active)


_BY_NAME = {"uniform": Uniform(), "same": Same(), "worst": Worst()}
_WITH_NUMBER = {
    "zipf": lambda text, value: Popular(text, exponent=value),
    "switch": Capacity,
    "gshard": lambda text, value: Capacity(text, value, times_active=False),
    "expert-choice": ExpertChoice,
}
KNOWN = (
    "uniform",
    "same",
    "worst",
    "zipf:1.2",
    "switch:1.25",
    "gshard:2",
    "expert-choice:2",
    "FILE.jsonl",
    "FILE.json",
    "FILE.csv",
)


def parse_routing(text: str) -> Routing:
    """The routing written *text*: a name, or a name with a number."""
    text = text.strip()
    head, colon, tail = text.partition(":")
    if text in _BY_NAME:
        return _BY_NAME[text]
    if head in _WITH_NUMBER:
        return _WITH_NUMBER[head](text, _number(text, tail if colon else ""))
    raise InputError(f"routing {text[:60]!r} is unknown, {hint(text, KNOWN)}")


def _number(text: str, tail: str) -> float:
    head = text.partition(":")[0]
    try:
        value = float(tail)
    except ValueError:
        example = next(known for known in KNOWN if known.startswith(head))
        raise InputError(f"routing {text[:60]!r}: a number belongs after the colon, as in {example}") from None
    if not (math.isfinite(value) and 0 < value <= 100):
        raise InputError(f"routing {text[:60]!r}: the number must be above 0 and at most 100")
    return value


def _log1p(value: float) -> float:
    return math.log1p(value) if value > -1 else -math.inf


_lgamma = np.vectorize(math.lgamma, otypes=[float])
