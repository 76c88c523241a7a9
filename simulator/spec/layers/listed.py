"""Parts of a layer told tensor by tensor, where no kind of its own describes them, and mixers that stand side by side."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.cached import Cached
from simulator.spec.layers.extra import Extra
from simulator.spec.layers.recurrent import GatedDeltaNet, Mamba2, Recurrent, ShortConv
from simulator.spec.layers.sparse import Compressed
from simulator.spec.layers.tensor import Tensor, Width
from simulator.spec.schema import Field, OneOf, Spec


class Recurrence(Recurrent):
    """A state of `state_values` numbers for each sequence, which each token reads and writes: Mamba, RWKV, linear attention, ...

    `flops_per_value` counts what a token computes with each of them beside the matrices.
    """

    kind: Literal["recurrence"] = "recurrence"
    of: str = Field(min_length=1, max_length=40)  # what it is called: mamba, rwkv7, lightning
    state_values: Width
    flops_per_value: float = Field(6.0, gt=0, le=100)
    launches: int = Field(12, ge=1, le=1000)  # kernels beside those of its matrices
    listed: tuple[Extra, ...] = Field(min_length=1, max_length=100)

    def flops(self, context):
        """Decay, input and output of every value of the state."""
        return self.flops_per_value * self.state_values + 0 * context

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:  # noqa: ARG002 - as of all mixers
        """As listed."""
        return tuple(each.tensor() for each in self.listed)


Mixer = Annotated[GroupedQuery | Latent | Compressed | GatedDeltaNet | Mamba2 | ShortConv | Recurrence, OneOf()]


class Parallel(Spec):
    """Mixers that read the same input and whose outputs are summed: attention beside a recurrence (Falcon-H1), for example."""

    kind: Literal["parallel"] = "parallel"
    parts: tuple[Mixer, ...] = Field(min_length=2, max_length=4)

    @property
    def queries_per_kv(self) -> int:
        """That of the attention among them."""
        return max(part.queries_per_kv for part in self.parts)

    @property
    def cached(self) -> tuple[Cached, ...]:
        """The stores of all parts."""
        return tuple(store for part in self.parts for store in part.cached)

    @property
    def cache_width(self) -> int:
        """Values kept for each token."""
        return sum(part.cache_width for part in self.parts)

    @property
    def launches(self) -> int:
        """Kernels of all parts, and the sum of what they put out."""
        return sum(part.launches for part in self.parts) + len(self.parts) - 1

    @property
    def state_bytes(self) -> int:
        """Bytes of one sequence's states."""
        return sum(part.state_bytes for part in self.parts)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of one sequence's tokens that wait to be compressed."""
        return sum(part.waiting_bytes for part in self.parts)

    def seen_tokens(self, context):
        """Cached tokens that a new token attends to, of all parts."""
        return sum(part.seen_tokens(context) for part in self.parts)

    def held_tokens(self, context):
        """Tokens that stay in memory, of all parts."""
        return sum(part.held_tokens(context) for part in self.parts)

    def flops(self, context):
        """Operations of all parts for one new token."""
        return sum(part.flops(context) for part in self.parts)

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """The tensors of all parts."""
        return tuple(tensor for part in self.parts for tensor in part.tensors(d_model))


def mixers_of(attention: Any) -> tuple[Any, ...]:
    """What mixes tokens in a layer, each by itself: the parts of parallel ones; nothing where the layer has none."""
    if attention is None:
        return ()
    return attention.parts if isinstance(attention, Parallel) else (attention,)
