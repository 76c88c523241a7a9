"""Latent attention with an index, over several residual streams: Hy4 and GLM-5.3 Flash."""

from __future__ import annotations

from typing import Any

from simulator.families.family import extra
from simulator.families.latent import GlmDsa
from simulator.families.linear import KimiLinear


class HyV4(GlmDsa):
    """Tencent's Hy4: a gate and a learned sink for what attention puts out, streams that do not mix with each other."""

    types = ("hy_v4", "hy_v4_vl_text")
    gguf = ("hy_v4",)
    first_dense = 1

    def model(self) -> dict[str, Any]:
        """With hc_mult streams."""
        return {
            **super().model(),
            "streams": {"kind": "hyper_connections", "n": self.config.size("hc_mult"), "mixes": False},
        }

    def shares_index(self, index: int) -> bool:
        """By indexer_types, and without it only the first layer and every fourth after it have an index of their own."""
        named = self.config.item(index, "indexer_types")
        return index > 0 and (index - 1) % 4 != 0 if named is None else named == "shared"

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """And the gate and the sinks."""
        latent = self.latent(index)
        gate = extra("attn_gate", self.d_model, latent["n_heads"] * latent["v_dim"])
        return [*super().layer_beside(index), gate, extra("attn_sinks", latent["n_heads"])]


class Glm5Next(KimiLinear, GlmDsa):
    """GLM-5.3 Flash: delta attention, and every fourth layer latents without positions, whose index has a key for index_kpool tokens."""

    types = ("glm5_next_text",)
    converted = "glm5-next"
    can_tie = True
    first_dense = 3
    mixers = {"full_attention": "indexed", "indexed_attention": "indexed", "linear_attention": "recurrence"}

    def model(self) -> dict[str, Any]:
        """With hc_mult streams, whose sum goes to the head."""
        streams = {"kind": "hyper_connections", "n": self.config.size("hc_mult"), "weighs_last": False}
        return {**super().model(), "streams": streams}

    def architecture(self) -> str | None:
        """Its own, not Kimi's."""
        return self.converted

    def rule(self, index: int) -> str:
        """Every fourth layer has latents."""
        return "indexed_attention" if index % 4 == 3 else "linear_attention"

    def indexed(self, index: int) -> dict[str, Any]:
        """Latents of which an index picks pools of tokens."""
        return {**self.latent(index), "index": {**self.picks(index), "every": self.config.size("index_kpool")}}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """And what pools the keys of the index, where the layer has one."""
        if self.layer_type(index) == "linear_attention":
            return []
        found = GlmDsa.layer_beside(self, index)
        if self.shares_index(index):
            return found
        width = self.config.size("index_head_dim")
        pools = extra("indexer.kpool_ape", self.config.size("index_kpool"), width, small=True)
        return [*found, pools, extra("indexer.kpool_gate", self.d_model, width)]
