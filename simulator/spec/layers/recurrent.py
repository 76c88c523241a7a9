"""Layers that carry a state of fixed size instead of a cache that grows: linear attention, state-space, short convolution."""

from __future__ import annotations

from typing import ClassVar, Literal

from simulator.spec.layers.cached import Cached
from simulator.spec.layers.tensor import Tensor, Width, matrix, vector
from simulator.spec.schema import Spec

STATE_VALUE_BYTES = 4  # runtimes keep recurrent state in float32


class Recurrent(Spec):
    """What holds for all of them: nothing is cached per token."""

    queries_per_kv: ClassVar[int] = 1
    cache_width: ClassVar[int] = 0
    cached: ClassVar[tuple[Cached, ...]] = ()
    waiting_bytes: ClassVar[int] = 0

    def seen_tokens(self, context):
        """No past token is read again."""
        return 0 * context

    def held_tokens(self, context):
        """Nor kept."""
        return 0 * context

    @property
    def state_bytes(self) -> int:
        """Bytes of one sequence's state, read and written for each token."""
        return STATE_VALUE_BYTES * self.state_values


class GatedDeltaNet(Recurrent):
    """Gated delta rule (arXiv 2412.06464), the linear layers of Qwen3-Next: a k_dim x v_dim matrix per value head."""

    kind: Literal["gated_delta_net"] = "gated_delta_net"
    launches: ClassVar[int] = (
        15  # kernels beside its matrices: decay and step 4, convolution 5, norms of query and key 2, the state 2, gated norm 2
    )
    n_k_heads: Width
    n_v_heads: Width
    k_dim: Width
    v_dim: Width
    conv: Width
    split_gates: bool = False  # decay and step are stored as two matrices (Qwen3.5) rather than one

    @property
    def _mixed(self) -> int:
        return 2 * self.n_k_heads * self.k_dim + self.n_v_heads * self.v_dim

    @property
    def state_values(self) -> int:
        """The matrices, and the inputs that the convolution still needs."""
        return self.n_v_heads * self.k_dim * self.v_dim + self._mixed * (self.conv - 1)

    def flops(self, context):
        """Decay, read, delta update and query of each state matrix: about 8 operations an element."""
        return 8 * self.n_v_heads * self.k_dim * self.v_dim + 2 * self._mixed * self.conv + 0 * context

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Projections to query, key, value, output gate, decay and step; convolution; output."""
        values, n = self.n_v_heads * self.v_dim, self.n_v_heads
        split = (matrix("ssm_alpha", n, d_model), matrix("ssm_beta", n, d_model))
        return (
            matrix("attn_qkv", self._mixed, d_model),
            matrix("attn_gate", values, d_model),
            *(split if self.split_gates else (matrix("ssm_ba", 2 * n, d_model),)),
            vector("ssm_conv1d", self._mixed * self.conv),
            vector("ssm_dt.bias", self.n_v_heads),
            vector("ssm_a", self.n_v_heads),
            vector("ssm_norm", self.v_dim),
            matrix("ssm_out", d_model, values),
        )


class Mamba2(Recurrent):
    """State-space duality (arXiv 2405.21060): a head_dim x d_state matrix per head."""

    kind: Literal["mamba2"] = "mamba2"
    launches: ClassVar[int] = (
        14  # kernels beside its matrices: convolution 6, step 2, the state 2, skip 2, gated norm 2
    )
    n_heads: Width
    head_dim: Width
    n_groups: Width
    d_state: Width
    conv: Width
    conv_bias: bool = True
    bias: bool = False  # of the projections in and out
    norm: bool = True  # of what the state puts out, before its gate

    @property
    def _inner(self) -> int:
        return self.n_heads * self.head_dim

    @property
    def _convolved(self) -> int:
        return self._inner + 2 * self.n_groups * self.d_state

    @property
    def state_values(self) -> int:
        """The matrices, and the inputs that the convolution still needs."""
        return self._inner * self.d_state + self._convolved * (self.conv - 1)

    def flops(self, context):
        """Decay, input and output of each state matrix: about 6 operations an element."""
        return 6 * self._inner * self.d_state + 2 * self._convolved * self.conv + 0 * context

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Input projection (gate, input, B, C, step), convolution, decay, skip, norm, output."""
        made = self._inner + self._convolved + self.n_heads
        found = [matrix("ssm_in", made, d_model), vector("ssm_conv1d", self._convolved * self.conv)]
        found += [vector("ssm_conv1d.bias", self._convolved)] if self.conv_bias else []
        found += [vector(role, self.n_heads) for role in ("ssm_dt.bias", "ssm_a", "ssm_d")]
        found += [vector("ssm_norm", self._inner)] if self.norm else []
        found.append(matrix("ssm_out", d_model, self._inner))
        return (*found, *((vector("ssm_in.bias", made), vector("ssm_out.bias", d_model)) if self.bias else ()))


class ShortConv(Recurrent):
    """LFM2's gated short convolution over the last `width` tokens of each channel."""

    kind: Literal["short_conv"] = "short_conv"
    launches: ClassVar[int] = (
        7  # kernels beside its matrices: two gates, gathering, joining and storing the past, the convolution
    )
    width: Width
    channels: Width  # those of the residual stream: d_model
    bias: bool = False

    @property
    def state_values(self) -> int:
        """The inputs that the convolution still needs."""
        return self.channels * (self.width - 1)

    def flops(self, context):
        """The convolution and its two gates."""
        return (2 * self.width + 2) * self.channels + 0 * context

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Input projection (two gates and the signal), kernel, output."""
        parts = (("in_proj", 3 * d_model), ("conv", d_model), ("out_proj", d_model))
        biases = (vector(f"shortconv.{part}.bias", length) for part, length in parts)
        return (
            matrix("shortconv.in_proj", 3 * d_model, d_model),
            vector("shortconv.conv", d_model * self.width),
            matrix("shortconv.out_proj", d_model, d_model),
            *(biases if self.bias else ()),
        )
