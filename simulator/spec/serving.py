"""What a server is asked, and how it mixes reading prompts with decoding."""

from __future__ import annotations

from dataclasses import dataclass, fields

from simulator.spec.arguments import between, whole
from simulator.spec.figure import Figure
from simulator.spec.schema import Field, Spec
from simulator.spec.workload import MAX_CONTEXT
from simulator.units import MICRO, MILLI

MAX_USERS = 100_000
MAX_CHUNK = 10_000_000
LEAST_SHARE = 0.01
MAX_STEPS = 10_000  # for which a scheduler may look away or hold prompts back
REQUESTS_EACH = (
    10  # of a user, in a benchmark that starts with all at once: InferenceX sends CONC * 10 prompts (benchmark_lib.sh)
)


@dataclass(frozen=True)
class Told:
    """What a server was told by whoever started it; None: it does what its runtime does by itself."""

    chunk_tokens: int | None = None
    max_requests: int | None = None
    poll_steps: int | None = None
    wait_steps: int | None = None
    wait_share: float | None = None
    graph_tokens: int | None = None


@dataclass(frozen=True)
class Scheduling:
    """What decides which steps read prompts."""

    chunk_tokens: int = 8192  # of prompts, and of requests that decode in the same step, at most
    mixes_prompts: bool = True
    splits_prompts: bool = True
    graph_tokens: int = 0
    max_requests: int | None = None  # that decode, or whose prompt is being read, at once
    poll_steps: int = 1  # that decode, from one look at what has been sent to the next
    wait_steps: int = 0  # that decode, for which prompts are held back so that several are read at once
    wait_share: float = 0.0  # of `chunk_tokens`: with so many waiting they are not held back
    groups: int = 1  # of devices with prompts of their own: each has room for `chunk_tokens`, and waits for the others


class Serving(Spec):
    """What its scheduler does while requests arrive, and what steps with prompts take beside their operations."""

    chunk_tokens: int = Field(8192, ge=1, le=MAX_CHUNK)  # of prompts in one step at most
    mixes_prompts: bool = True  # prompts are read in steps that decode, too; else decoding waits for them
    splits_prompts: bool = True  # of a prompt that has no room any more in a step, a part is read; else it waits
    graph_tokens: int = Field(0, ge=0, le=MAX_CHUNK)  # steps with up to so many tokens are one CUDA graph
    request_ms: Figure | None = (
        None  # until a prompt is in the queue and its first token with who asked: HTTP, tokenizing
    )
    # In steps that are no CUDA graph the host begins each operation (one of a runtime that fuses nothing), and sorts out each layer of
    # experts. That adds to what the device takes: of one at a time, or hidden where that takes longer, or in part, times to the first
    # token of short and of long prompts agree best with the first.
    eager_us: Figure | None = None
    eager_experts_us: Figure | None = None
    prompt_scales: dict[str, Figure] = Field(
        {}, max_length=32
    )  # by format of the weights: by which prompts take longer
    reserves_answers: bool = (
        False  # a request is let in where its cache has room for the whole answer; else some are put back
    )
    source: str = ""
    how: str = ""

    @property
    def is_fitted(self) -> bool:
        """Whether it is known from measured servers what steps take beside operations."""
        return self.eager_us is not None

    @property
    def request_s(self) -> float:
        """Seconds of a request outside the steps."""
        return self.request_ms.value * MILLI if self.request_ms else 0.0

    def prompt_scale(self, weights: str) -> float:
        """By which prompts take longer with weights of such a format."""
        return self.prompt_scales[weights].value if weights in self.prompt_scales else 1.0

    def host_s(self, n_operations: float, n_expert_layers: int) -> float:
        """Seconds that the host adds to a step that is no CUDA graph."""
        host_us = self.eager_us.value * n_operations if self.eager_us else 0.0
        host_us += self.eager_experts_us.value * n_expert_layers if self.eager_experts_us else 0.0
        return host_us * MICRO

    def scheduling(self, told: Told, groups: int = 1) -> Scheduling:
        """By itself, but for what it was told; with so many *groups* of devices that have requests of their own."""
        own = Scheduling(self.chunk_tokens, self.mixes_prompts, self.splits_prompts, self.graph_tokens, groups=groups)
        given = {each.name: getattr(told, each.name) for each in fields(told)}
        return Scheduling(**(vars(own) | {name: value for name, value in given.items() if value is not None}))


@dataclass(frozen=True)
class Traffic:
    """Requests of which always as many are there, each of so many tokens of prompt and of answer.

    With *least_share* below 1 lengths are spread evenly from that share of the stated ones to all of them, as InferenceX draws them.
    """

    concurrency: int
    input_tokens: int
    output_tokens: int
    least_share: float = 1.0
    told: Told = Told()

    def __post_init__(self):
        whole("concurrency", self.concurrency, 1, MAX_USERS)
        whole("input_tokens", self.input_tokens, 1, MAX_CONTEXT)
        whole("output_tokens", self.output_tokens, 2, MAX_CONTEXT)
        between("least_share", self.least_share, LEAST_SHARE, 1.0)

    @property
    def mean_input(self) -> int:
        """Tokens of prompt of a request, in the mean."""
        return max(1, round(self.input_tokens * (1 + self.least_share) / 2))

    @property
    def mean_output(self) -> int:
        """Tokens of answer of a request, in the mean."""
        return max(2, round(self.output_tokens * (1 + self.least_share) / 2))
