"""What a server is asked, and how it mixes reading prompts with decoding."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.spec.arguments import whole
from simulator.spec.figure import Figure
from simulator.spec.schema import Field, Spec
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT


class Serving(Spec):
    """What its scheduler does while requests arrive."""

    chunk_tokens: int = Field(8192, ge=1, le=10_000_000)  # of prompts in one step at most
    mixes_prompts: bool = True  # prompts are read in steps that decode, too; else decoding waits for them
    request_ms: Figure | None = (
        None  # until a prompt is in the queue and its first token with who asked: HTTP, tokenizing
    )
    source: str = ""
    how: str = ""


@dataclass(frozen=True)
class Traffic:
    """Requests of which always as many are there, each of so many tokens of prompt and of answer."""

    concurrency: int
    input_tokens: int
    output_tokens: int

    def __post_init__(self):
        whole("concurrency", self.concurrency, 1, MAX_BATCH)
        whole("input_tokens", self.input_tokens, 1, MAX_CONTEXT)
        whole("output_tokens", self.output_tokens, 2, MAX_CONTEXT)
