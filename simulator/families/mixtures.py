"""Mixtures of experts over ordinary attention."""

from __future__ import annotations

from typing import Any

from simulator.families.dense import Llama, Qwen2
from simulator.families.family import Family


class Mixtral(Family):
    """Mixtral: every layer has experts."""

    types = ("mixtral",)
    uses_window = True


class QwenMoe(Qwen2):
    """Some layers are dense: those of mlp_only_layers, and but for each decoder_sparse_step-th all."""

    def has_experts(self, index: int) -> bool:
        """By mlp_only_layers and decoder_sparse_step."""
        step = self.config.size("decoder_sparse_step", default=1)
        only = self.config.items("mlp_only_layers") or []
        return bool(self.n_experts) and index not in only and (index + 1) % step == 0


class Qwen2Moe(QwenMoe):
    """Qwen 1.5 and 2 mixtures: a gated shared expert."""

    types = ("qwen2_moe",)
    shared_gate = True


class Qwen3Moe(QwenMoe):
    """Qwen3 mixtures: no shared expert."""

    types = ("qwen3_moe",)
    qk_norm = "head"
    qkv_bias = output_bias = None


class PhiMoe(Family):
    """Phi-3.5-MoE: layer norms, biases everywhere."""

    types = ("phimoe",)
    norm_bias = output_bias = qkv_bias = head_bias = uses_window = True


class Olmoe(Family):
    """OLMoE: norms of query and key over all heads."""

    types = ("olmoe",)
    qk_norm = "full"


class GraniteMoe(Family):
    """Granite 3 mixtures."""

    types = ("granitemoe",)


class GptOss(Family):
    """gpt-oss: biases everywhere, a learned sink per head, every second layer with a window."""

    types = ("gpt_oss",)
    qkv_bias = output_bias = sinks = expert_bias = router_bias = True

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it every second layer from the first on."""
        named = self.layer_type(index)
        return index % 2 == 0 if named is None else named == "sliding_attention"


class Glm4Moe(Family):
    """GLM-4.5 to 4.7: dense layers first, a bias that balances the experts."""

    types = ("glm4_moe",)
    router_bias = True
    output_bias = False

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Norms of query and key where use_qk_norm says so."""
        norm = "head" if self.config.flag("use_qk_norm") else None
        return super().grouped_query(index, qk_norm=norm, **more)

    def has_experts(self, index: int) -> bool:
        """From layer first_k_dense_replace on."""
        return bool(self.n_experts) and index >= self.config.count("first_k_dense_replace", default=0)


class Llama4(Llama):
    """Llama 4: chunks in three of four layers, a shared expert."""

    types = ("llama4_text",)

    def window(self, index: int) -> dict[str, int]:
        """Chunks, but in every no_rope_layer_interval-th layer."""
        named = self.layer_type(index)
        step = self.config.size("no_rope_layer_interval", default=4)
        is_chunked = (index + 1) % step != 0 if named is None else named == "chunked_attention"
        return {"chunk": self.config.size("attention_chunk_size", default=8192)} if is_chunked else {}

    def has_experts(self, index: int) -> bool:
        """As moe_layers lists them, or every interleave_moe_layer_step-th."""
        listed = self.config.items("moe_layers")
        step = self.config.size("interleave_moe_layer_step", default=1)
        return index in listed if listed is not None else (index + 1) % step == 0

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """The dense layers have a width of their own."""
        return super().dense(index, d_ff=self.config.size("intermediate_size_mlp"), **more)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """And one shared expert of an expert's width."""
        width = self.config.size("intermediate_size")
        return super().experts(index, d_expert=width, n_shared=1, d_shared=width, **more)
