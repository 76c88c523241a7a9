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

    @property
    def seconds_per_token(self) -> float | None:
        """The median step."""
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def tokens_per_s(self) -> float | None:
        """Steps in all, over their time in all."""
        return len(self.seconds) / sum(self.seconds) if self.seconds else None

    @property
    def bytes_per_s(self) -> float | None:
        """Bytes read over the time of the steps."""
        return sum(read.total for read in self.reads) / sum(self.seconds) if self.seconds else None

    @property
    def bytes_per_token(self) -> dict[str, float] | None:
        """Mean bytes of a step by component."""
        if not self.reads:
            return None
        names = vars(self.reads[0])
        return {name: statistics.fmean(getattr(read, name) for read in self.reads) for name in names}


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
    step: Step = engine.prompt(prompt)
    found.prompt_tokens, found.prompt_seconds = len(prompt), time.perf_counter() - start
    for number in range(n_tokens):
        token = sample(step.logits[-1], temperature, rng)
        found.tokens.append(token)
        yield token
        if token in end_tokens or number == n_tokens - 1 or engine.lengths[0] >= engine.context:
            return
        start = time.perf_counter()
        step = engine.decode([token], [0], routing)
        found.seconds.append(time.perf_counter() - start)
        found.reads.append(step.read)
        found.experts.append(step.distinct_experts)
