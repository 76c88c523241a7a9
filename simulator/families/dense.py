"""Dense decoders of Llama's kind: attention with or without groups, a gated network, RMS norms."""

from __future__ import annotations

from typing import Any

from simulator.families.family import Family


class Llama(Family):
    """Llama 1 to 3, and the many that are built like it."""

    types = ("llama",)
    gguf = ("llama",)


class Mistral(Family):
    """Mistral 7B and its successors: Llama with a window, where the config has one."""

    types = ("mistral",)
    converted = "llama"
    uses_window = True


class Qwen2(Family):
    """Qwen 1.5 to 2.5: biases of query, key and value."""

    types = ("qwen2",)
    qkv_bias, output_bias = True, False

    def is_windowed(self, index: int) -> bool:
        """Only where use_sliding_window says so, and then from max_window_layers on."""
        if not self.config.flag("use_sliding_window"):
            return False
        named = self.layer_type(index)
        return (
            index >= self.config.count("max_window_layers", default=0)
            if named is None
            else named == "sliding_attention"
        )


class Qwen3(Qwen2):
    """Qwen3: norms of query and key in place of biases."""

    types = ("qwen3",)
    qk_norm = "head"
    qkv_bias = output_bias = None


class Phi3(Family):
    """Phi-3 and 4: query, key and value in one matrix, gate and up in another."""

    types = ("phi3",)
    gguf = ("phi3",)
    uses_window = True

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Query, key and value are one matrix."""
        return super().grouped_query(index, fused_qkv=True, **more)


class Olmo(Family):
    """OLMo 1: norms without weights."""

    types = ("olmo",)
    norms, final_norm = 0, False


class Olmo2(Family):
    """OLMo 2: norms of query and key over all heads, the others after each half."""

    types = ("olmo2",)
    qk_norm = "full"


class Granite(Family):
    """IBM Granite 3: Llama with constant factors."""

    types = ("granite",)


class SmolLM3(Family):
    """SmolLM3: every fourth layer without rotary positions."""

    types = ("smollm3",)
    tied = True


class SeedOss(Family):
    """ByteDance Seed-OSS: biases of query, key and value as attention_bias says."""

    types = ("seed_oss",)
    output_bias = False


class StableLm(Family):
    """StableLM: layer norms with biases."""

    types = ("stablelm",)
    norm_bias = True
    output_bias = False
