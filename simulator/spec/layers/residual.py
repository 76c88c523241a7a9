"""What some models have beside attention and feed-forward networks: inputs of each layer's own, and several residual streams."""

from __future__ import annotations

from typing import ClassVar, Literal

from simulator.spec.layers.tensor import Tensor, Width, matrix, vector
from simulator.spec.schema import Field, Spec


class PerLayerInput(Spec):
    """Gemma 3n and 4: an embedding of its own for each layer, of which a token looks up one row, gated into the residual stream.

    The table is as large as the rest of the model and lies wherever there is room for it; the projections are read in every step.
    """

    width: Width
    vocab: Width

    launches: ClassVar[int] = 5  # of a layer, beside its matrices: activation, product, norm, sum, scale

    def outside(self, d_model: int, n_layers: int) -> tuple[Tensor, ...]:
        """The table of all layers, and the projection of the token's ordinary embedding that is added to its row."""
        return (
            matrix("per_layer_token_embd", self.vocab, self.width * n_layers, is_idle=True),
            matrix("per_layer_model_proj", self.width * n_layers, d_model),
            vector("per_layer_proj_norm", self.width),
        )

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Of one layer: the gate, the projection back, its norm."""
        return (
            matrix("inp_gate", self.width, d_model),
            matrix("proj", d_model, self.width),
            vector("post_norm", d_model),
        )


class AltUp(Spec):
    """Gemma 3n: `n` residual streams of which one is computed and the rest predicted (arXiv 2301.13310), and a low-rank side path."""

    kind: Literal["altup"] = "altup"
    n: int = Field(ge=2, le=64)
    laurel_rank: Width

    launches: ClassVar[int] = 24  # of a layer: the router twice, prediction, correction, the side path's norm and sum

    def outside(self, d_model: int) -> tuple[Tensor, ...]:
        """What makes the further streams of the first, and the first of them again."""
        return (
            matrix("altup_proj", (self.n - 1) * d_model, d_model),
            matrix("altup_unembd_proj", (self.n - 1) * d_model, d_model),
        )

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Of one layer: prediction, correction, the router for both, and the low-rank path."""
        return (
            vector("altup_correct_coef", self.n * self.n),
            vector("altup_correct_scale", d_model),
            vector("altup_predict_coef", self.n**3),
            matrix("altup_router", self.n, d_model),
            vector("altup_router_norm", d_model),
            matrix("laurel_l", self.laurel_rank, d_model),
            matrix("laurel_r", d_model, self.laurel_rank),
            vector("laurel_post_norm", d_model),
        )


class HyperConnections(Spec):
    """DeepSeek-V4: `n` residual streams, mixed before and after attention and experts by weights of their own (arXiv 2512.24880)."""

    kind: Literal["hyper_connections"] = "hyper_connections"
    n: int = Field(ge=2, le=64)
    mixes: bool = True  # the streams with each other; without it a half only reads them and writes to them (Hy4)
    weighs_last: bool = True  # what joins them before the head; without it their sum (GLM-5.3 Flash)

    # Of a layer, where mixing is one kernel; without it 137 stand in place of one, twice (ggml-org/llama.cpp#26578).
    launches: ClassVar[int] = 24

    def outside(self, d_model: int) -> tuple[Tensor, ...]:
        """What joins the streams before the head."""
        if not self.weighs_last:
            return ()
        return (
            matrix("output_hc_fn", self.n, self.n * d_model),
            vector("output_hc_base", self.n),
            vector("output_hc_scale", 1),
        )

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Of one layer: for attention and for the experts what to read, what to write back, and how the streams mix."""
        weights = (2 + self.n if self.mixes else 2) * self.n
        return tuple(
            tensor
            for part in ("attn", "ffn")
            for tensor in (
                matrix(f"hc_{part}_fn", weights, self.n * d_model),
                vector(f"hc_{part}_base", weights),
                vector(f"hc_{part}_scale", 3 if self.mixes else 2),
            )
        )


class GatedResiduals(Spec):
    """Qwen4: `n` residual streams, of which a gate of rank `rank` makes what each half of a layer reads; norms among its weights."""

    kind: Literal["gated_residuals"] = "gated_residuals"
    n: int = Field(ge=2, le=64)
    rank: Width

    launches: ClassVar[int] = (
        14  # of a layer: for both halves the norm, activation, product and sum, and what is written back
    )

    def _gate(self, part: str, d_model: int) -> tuple[Tensor, ...]:
        width = self.n * d_model
        return (
            vector(f"{part}_norm", width),
            matrix(f"{part}_down", self.rank, width),
            matrix(f"{part}_up", width, self.rank),
        )

    def outside(self, d_model: int) -> tuple[Tensor, ...]:
        """What joins the streams before the head."""
        return self._gate("output_hc", d_model)

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Of one layer: for attention and for the experts what to read, and how much of each stream to write back to."""
        return tuple(
            tensor
            for part in ("hc_attn", "hc_ffn")
            for tensor in (*self._gate(part, d_model), matrix(f"{part}_inject", self.n, self.n * d_model))
        )
