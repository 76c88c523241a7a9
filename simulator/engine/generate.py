"""Text out of the engine: one token after the other, with the time and the bytes that each took."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.engine.routing import Routing
from simulator.engine.step import Engine, Read, Step


def sample(logits: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
    """The next token: the most likely one at temperature 0, else drawn by softmax(logits / temperature).

    Args:
        logits: float32 [vocab].
    """
    if temperature <= 0:
        return int(logits.argmax())
    scaled = (logits - logits.max()).astype(np.float64) / temperature
    chances = np.exp(scaled)
    return int(rng.choice(len(chances), p=chances / chances.sum()))


@dataclass(frozen=True)
class Token:
    """One generated token."""

    id: int
    seconds: float  # of the step that put out its logits; 0 for the first, which the prompt's last step did
    read: Read | None


@dataclass
class Generation:
    """What was generated so far, and what it took."""

    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    tokens: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of each decoding step
    reads: list[Read] = field(default_factory=list)
    experts: list[tuple[int, ...]] = field(default_factory=list)  # distinct ones by layer, of each step
    chosen: list[tuple[np.ndarray, ...]] | None = None  # where a list is given: by layer [tokens, active], of all steps
    drafted: list[int] = field(default_factory=list)  # tokens that each step verified beside its first
    given: list[int] = field(
        default_factory=list
    )  # tokens that each step gave: those of its draft that were right, and one

    def add_step(self, step: Step, seconds: float, drafted: int = 0, given: int = 1) -> None:
        """One more step of decoding."""
        self.seconds.append(seconds)
        self.reads.append(step.read)
        self.experts.append(step.distinct_experts)
        self.drafted.append(drafted)
        self.given.append(given)
        self.keep_experts(step)

    def keep_experts(self, step: Step) -> None:
        """Notes which experts a step chose, where that is wanted."""
        if self.chosen is not None:
            self.chosen.append(step.experts)

    @property
    def seconds_per_step(self) -> float | None:
        """The median step."""
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens in all, over their steps' time in all."""
        return sum(self.given) / sum(self.seconds) if self.seconds else None

    @property
    def tokens_per_step(self) -> float | None:
        """How many a step gave, on average."""
        return statistics.fmean(self.given) if self.given else None

    @property
    def accepted_share(self) -> float | None:
        """Which share of the drafted tokens was right; None where none was drafted."""
        return (sum(self.given) - len(self.given)) / sum(self.drafted) if any(self.drafted) else None

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """Tokens of the prompt, over its time."""
        return self.prompt_tokens / self.prompt_seconds if self.prompt_seconds else None

    @property
    def bytes_per_s(self) -> float | None:
        """Bytes read over the time of the steps."""
        return sum(read.total for read in self.reads) / sum(self.seconds) if self.seconds else None

    @property
    def bytes_per_token(self) -> dict[str, float] | None:
        """Bytes read by component, for each token that they gave."""
        if not self.reads:
            return None
        names = vars(self.reads[0])
        return {name: sum(getattr(read, name) for read in self.reads) / sum(self.given) for name in names}


def generate(
    engine: Engine,
    prompt: Sequence[int],
    n_tokens: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    end_tokens: frozenset[int] = frozenset(),
    routing: Routing | None = None,
    into: Generation | None = None,
) -> Iterator[int]:
    """Yields up to *n_tokens* tokens after a prompt, as sequence 0 of the engine; *into* collects what they took.

    Stops early at one of *end_tokens*, or where the context is full.
    """
    found = into if into is not None else Generation()
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    step: Step = engine.prompt(prompt, routing=routing, seen=found.keep_experts)
    found.prompt_tokens, found.prompt_seconds = len(prompt), time.perf_counter() - start
    for number in range(n_tokens):
        token = sample(step.logits[-1], temperature, rng)
        found.tokens.append(token)
        yield token
        if token in end_tokens or number == n_tokens - 1 or engine.lengths[0] >= engine.context:
            return
        start = time.perf_counter()
        step = engine.decode([token], [0], routing)
        found.add_step(step, time.perf_counter() - start)
