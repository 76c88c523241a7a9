"""Latent attention: DeepSeek-V2 and those that follow it."""

from __future__ import annotations

from typing import Any

from simulator.families.family import Family


class DeepSeek2(Family):
    """DeepSeek-V2."""

    types = ("deepseek_v2",)

    def attention(self, index: int) -> dict[str, Any] | None:
        """One latent for each token."""
        return self.latent(index)

    def latent(self, index: int, **more: Any) -> dict[str, Any]:
        """Latent attention by the usual keys; *more* replaces fields."""
        config = self.config.of_layer(index)
        return {
            "kind": "latent",
            "n_heads": config.size("num_attention_heads"),
            "q_rank": config.count("q_lora_rank", default=0) or None,
            "kv_rank": config.size("kv_lora_rank"),
            "qk_nope_dim": config.size("qk_nope_head_dim"),
            "qk_rope_dim": config.size("qk_rope_head_dim"),
            "v_dim": config.size("v_head_dim"),
            **more,
        }

    def has_experts(self, index: int) -> bool:
        """By mlp_layer_types, and without it every moe_layer_freq-th from first_k_dense_replace on."""
        if self.config.given("mlp_layer_types") or not self.n_experts:
            return super().has_experts(index)
        step = self.config.size("moe_layer_freq", default=1)
        return index >= self.config.count("first_k_dense_replace", default=0) and index % step == 0


class DeepSeek3(DeepSeek2):
    """DeepSeek-V3, R1 and Kimi K2: a bias that balances the experts."""

    types = ("deepseek_v3", "kimi_k2")
    router_bias = True
