"""The feed-forward half of a layer: two matrices, three, or a choice among many experts."""

from __future__ import annotations

from typing import Literal

from simulator.spec.layers.tensor import Count, Tensor, Width, matrix, vector
from simulator.spec.schema import Field, Spec, rule


class Plain(Spec):
    """Up, activation, down."""

    kind: Literal["plain"] = "plain"
    d_ff: Width
    bias: bool = False

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """The two matrices and their biases."""
        bias = (vector("ffn_up.bias", self.d_ff), vector("ffn_down.bias", d_model)) if self.bias else ()
        return (matrix("ffn_up", self.d_ff, d_model), matrix("ffn_down", d_model, self.d_ff), *bias)


class Gated(Spec):
    """Up times activated gate, down (SwiGLU, GeGLU)."""

    kind: Literal["gated"] = "gated"
    d_ff: Width
    bias: bool = False
    fused: bool = False  # gate and up stored as one matrix

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """The three matrices and their biases."""
        if self.fused:
            found = [matrix("ffn_up", 2 * self.d_ff, d_model)]
        else:
            found = [matrix("ffn_gate", self.d_ff, d_model), matrix("ffn_up", self.d_ff, d_model)]
        found.append(matrix("ffn_down", d_model, self.d_ff))
        if self.bias:
            found += [vector("ffn_gate.bias", self.d_ff), vector("ffn_up.bias", self.d_ff)]
            found.append(vector("ffn_down.bias", d_model))
        return tuple(found)


class Experts(Spec):
    """A router sends each token to `n_active` of `n_experts` experts; shared experts see every token."""

    kind: Literal["experts"] = "experts"
    n_experts: int = Field(ge=1, le=8_192)  # published models have up to 2,048
    n_active: int = Field(ge=1, le=8_192)
    n_zero: int = Field(
        0, ge=0, le=8_192
    )  # further experts that a token can choose, which pass it on as it is (LongCat-Flash)
    d_expert: Width
    gated: bool = True
    fused: bool = False  # gate and up of the routed experts stored as one tensor
    bias: bool = False
    router_bias: bool = False
    router_width: Width | None = None  # values that the router reads, where they are not the residual stream (Zaya)
    balance: bool = False  # a bias that takes part in the choice of experts only: saved as a buffer, no parameter
    n_shared: Count = 0
    d_shared: int = Field(0, ge=0, le=10_000_000)  # width of all shared experts together
    shared_gate: bool = False
    latent: Width | None = None  # routed experts work on so many values, to which and from which tokens are projected

    @rule
    def _check(self) -> None:
        if self.n_active > self.n_choices:
            raise ValueError(f"n_active ({self.n_active}) cannot exceed n_experts ({self.n_choices})")
        if self.n_shared and not self.d_shared:
            raise ValueError(
                f"d_shared is needed with n_shared {self.n_shared}: the width of all shared experts together"
            )

    @property
    def n_choices(self) -> int:
        """Among how many a token chooses."""
        return self.n_experts + self.n_zero

    @property
    def real_share(self) -> float:
        """The share of a token's choices that are experts with weights, all equally likely."""
        return self.n_experts / self.n_choices

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Router, routed experts (one tensor each of up, gate, down, holding every expert), shared experts."""
        if self.latent is None:
            return (*self._router(d_model), *self._routed(d_model), *self._shared(d_model))
        down, up = (
            matrix("ffn_latent_down", self.latent, d_model),
            matrix("ffn_latent_up", d_model, self.latent),
        )
        return (*self._router(d_model), down, *self._routed(self.latent), up, *self._shared(d_model))

    def _router(self, d_model: int) -> tuple[Tensor, ...]:
        bias = ()
        if self.router_bias or self.balance:
            bias = (vector("ffn_gate_inp.bias", self.n_choices, is_buffer=not self.router_bias),)
        return (matrix("ffn_gate_inp", self.n_choices, self.router_width or d_model), *bias)

    def _routed(self, d_model: int) -> tuple[Tensor, ...]:
        ups = ("ffn_gate_exps", "ffn_up_exps") if self.gated else ("ffn_up_exps",)
        found = [matrix(up, self.d_expert, d_model, copies=self.n_experts) for up in ups]
        width = self.d_expert
        if self.fused:
            ups, width = ("ffn_gate_up_exps",), 2 * self.d_expert
            found = [matrix("ffn_gate_up_exps", width, d_model, copies=self.n_experts)]
        found.append(matrix("ffn_down_exps", d_model, self.d_expert, copies=self.n_experts))
        if self.bias:
            found += [vector(f"{up}.bias", width, copies=self.n_experts) for up in ups]
            found.append(vector("ffn_down_exps.bias", d_model, copies=self.n_experts))
        return tuple(found)

    def _shared(self, d_model: int) -> tuple[Tensor, ...]:
        if not self.d_shared:
            return ()
        gate = (vector("ffn_gate_inp_shexp", d_model),) if self.shared_gate else ()
        ups = ("ffn_gate_shexp", "ffn_up_shexp") if self.gated else ("ffn_up_shexp",)
        return (
            *(matrix(up, self.d_shared, d_model) for up in ups),
            matrix("ffn_down_shexp", d_model, self.d_shared),
            *gate,
        )
