"""A whole request of one user on an idle machine: the prompt is read in passes, then each further token decodes at a greater depth."""

from __future__ import annotations

from simulator.spec.arguments import whole
from simulator.spec.runtime import Runtime
from simulator.spec.workload import MAX_CONTEXT


def micro_batch_of(runtime: Runtime, asked: int | None = None) -> int:
    """Tokens of a prompt that pass through the weights in one step: those *asked* for, or the runtime's own number."""
    if asked is not None:
        return whole("ubatch", asked, 1, MAX_CONTEXT)
    return runtime.micro_batch or runtime.serving.chunk_tokens


def passes_of(prompt_tokens: int, cached: int, micro_batch: int) -> list[tuple[int, int]]:
    """The passes in which a prompt is read: tokens in the cache before each, and its own."""
    return [
        (cached + start, min(micro_batch, prompt_tokens - start)) for start in range(0, prompt_tokens, micro_batch)
    ]
