"""What a server is asked, and how it mixes reading prompts with decoding."""

from __future__ import annotations

from dataclasses import dataclass, fields

from simulator.spec.arguments import whole
from simulator.spec.figure import Figure
from simulator.spec.schema import Field, Spec
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT


@dataclass(frozen=True)
class Scheduling:
    """What decides when prompts are read."""

    chunk_tokens: int = 8192  # of prompts in one step at most
    mixes_prompts: bool = True
    splits_prompts: bool = True
    max_requests: int | None = None
    poll_steps: int = 1
    wait_steps: int = 0
    wait_share: float = 0.0
    graph_tokens: int = 0
    groups: int = 1


@dataclass(frozen=True)
class Told:
    """What a server was told, None where it does what its runtime does by itself."""

    chunk_tokens: int | None = None
    max_requests: int | None = None
    poll_steps: int | None = None
    wait_steps: int | None = None
    wait_share: float | None = None
    graph_tokens: int | None = None


class Serving(Spec):
    """What its scheduler does while requests arrive."""

    chunk_tokens: int = Field(8192, ge=1, le=10_000_000)  # of prompts in one step at most
    mixes_prompts: bool = True  # prompts are read in steps that decode, too; else decoding waits for them
    splits_prompts: bool = True
    graph_tokens: int = Field(0, ge=0, le=10_000_000)
    eager_us: Figure | None = None
    prompt_share: Figure | None = None
    request_ms: Figure | None = (
        None  # until a prompt is in the queue and its first token with who asked: HTTP, tokenizing
    )
    source: str = ""
    how: str = ""

    def scheduling(self, told: Told, groups: int = 1) -> Scheduling:
        given = {f.name: getattr(told, f.name) for f in fields(told) if getattr(told, f.name) is not None}
        own = dict(
            chunk_tokens=self.chunk_tokens,
            mixes_prompts=self.mixes_prompts,
            splits_prompts=self.splits_prompts,
            graph_tokens=self.graph_tokens,
            groups=groups,
        )
        return Scheduling(**(own | given))


@dataclass(frozen=True)
class Traffic:
    """Requests of which always as many are there, each of so many tokens of prompt and of answer."""

    concurrency: int
    input_tokens: int
    output_tokens: int
    least_share: float = 1.0
    requests_each: int = 10
    told: Told = Told()

    def __post_init__(self):
        whole("concurrency", self.concurrency, 1, MAX_BATCH)
        whole("input_tokens", self.input_tokens, 1, MAX_CONTEXT)
        whole("output_tokens", self.output_tokens, 2, MAX_CONTEXT)
