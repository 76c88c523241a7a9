"""Stacks of recurrent layers with attention in some: gated delta nets, Mamba, short convolutions."""

from __future__ import annotations

from typing import Any

from simulator.families.mixtures import Qwen3Moe


class Qwen3Next(Qwen3Moe):
    """Qwen3-Next: three gated delta nets to one attention with an output gate."""

    types = ("qwen3_next",)
    shared_gate = output_gate = True

    def attention(self, index: int) -> dict[str, Any] | None:
        """Gated delta nets, and softmax attention in every full_attention_interval-th layer."""
        named = self.layer_type(index)
        if named is None:
            interval = self.config.size("full_attention_interval", default=4)
            named = "full_attention" if (index + 1) % interval == 0 else "linear_attention"
        return self.delta_net(index) if named == "linear_attention" else self.grouped_query(index)

    def delta_net(self, index: int, **more: Any) -> dict[str, Any]:
        """A gated delta net by the usual keys; *more* replaces fields."""
        config = self.config.of_layer(index)
        return {
            "kind": "gated_delta_net",
            "n_k_heads": config.size("linear_num_key_heads"),
            "n_v_heads": config.size("linear_num_value_heads"),
            "k_dim": config.size("linear_key_head_dim"),
            "v_dim": config.size("linear_value_head_dim"),
            "conv": config.size("linear_conv_kernel_dim"),
            **more,
        }
