"""What is asked of the model: how many sequences, how deep, in which formats, and what is assumed of their tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.spec.arguments import counts, expect, expect_method, whole
from simulator.spec.quant import FORMATS, Format, Weights
from simulator.spec.routing import Routing, Uniform
from simulator.spec.sparsity import Sparsity

MAX_BATCH = 1_000_000
MAX_CONTEXT = 100_000_000
MAX_THREADS = 100_000
# New tokens of a sequence from which a step reads a prompt: fewer verify a draft, and run as decoding does.
PROMPT_TOKENS = 32


def expect_context(prompt: int, generate: int) -> None:
    """InputError, by the longer of both, where a prompt and its answer come to more tokens than any context has."""
    (short, other), (long, name) = sorted([(prompt, "prompt"), (generate, "generate")])
    if short + long > MAX_CONTEXT:
        beside = f"{name} must be at most {MAX_CONTEXT - short:,} beside {other} {short:,}"
        raise InputError(f"{beside}, got {long:,}: no context has more than {MAX_CONTEXT:,} tokens")


@dataclass(frozen=True)
class Workload:
    """One decode step: `batch` sequences with `context` tokens in the cache of each get their next `tokens` tokens.

    `batch` and `context` may be arrays of whole numbers that broadcast together: then every result is such an array.
    `tokens` is 1 for decoding; a prompt is a step of many tokens of one sequence. Where a step `verifies`, any of them may be
    the last that is kept: it makes logits of all, and keeps a recurrent state after each. One that `drafts` passes what was
    verified through whoever drafts. Neither reads a prompt, however many tokens it has.
    `threads` None is the device's default. `source_tokens` is what an encoder-decoder model's cross-attention reads.
    """

    weights: Weights
    batch: Any = 1
    context: Any = 1024
    cache: Format = field(default_factory=lambda: FORMATS["f16"])
    routing: Routing = field(default_factory=Uniform)
    sparsity: Sparsity | None = None
    threads: int | None = None
    tokens: int = 1
    source_tokens: int = 512
    verifies: bool = False
    drafts: bool = False

    def __post_init__(self):
        expect("weights", self.weights, Weights, "a Weights, as parse_weights makes one")
        expect("cache", self.cache, Format, "a Format, as parse_cache_format gives one")
        expect_method("routing", self.routing, ("distinct", "served"), "a routing, as parse_routing makes one")
        expect("sparsity", self.sparsity, (Sparsity, type(None)), "a Sparsity or None")
        self._keep("batch", counts("batch", self.batch, 1, MAX_BATCH))
        self._keep("context", counts("context", self.context, 0, MAX_CONTEXT))
        self._keep("tokens", whole("tokens", self.tokens, 1, MAX_CONTEXT))
        self._keep("source_tokens", whole("source_tokens", self.source_tokens, 0, MAX_CONTEXT))
        for name in ("verifies", "drafts"):
            expect(name, getattr(self, name), bool, "True or False")
        if self.threads is not None:
            self._keep("threads", whole("threads", self.threads, 1, MAX_THREADS))
        try:
            np.broadcast_shapes(np.shape(self.batch), np.shape(self.context))
        except ValueError:
            shapes = f"{np.shape(self.batch)} and {np.shape(self.context)}"
            raise InputError(f"batch and context must broadcast together, their shapes are {shapes}") from None

    def _keep(self, name: str, number: Any) -> None:
        object.__setattr__(self, name, number)  # the same number, of a type that does not overflow

    @cached_property
    def new_tokens(self):
        """Tokens that pass through the weights in the step, all sequences together; floats, since products of them get large."""
        return self.batch * float(self.tokens)

    @cached_property
    def logit_rows(self):
        """Tokens whose logits are made: the last of each sequence, or all that are verified."""
        return self.new_tokens if self.verifies else self.batch

    @cached_property
    def states_kept(self) -> int:
        """Recurrent states of a sequence that the step writes, and memory keeps: one, or one after each verified token."""
        return self.tokens if self.verifies else 1

    @property
    def is_prompt(self) -> bool:
        """Whether the step reads a prompt: many new tokens of each sequence, none of them drafted."""
        return self.tokens >= PROMPT_TOKENS and not (self.verifies or self.drafts)
