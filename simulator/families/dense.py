"""Dense decoders of Llama's kind: attention with or without groups, a gated network, RMS norms."""

from __future__ import annotations

from typing import Any

from simulator.families.family import Family, extra
from simulator.families.files import Files, Windows


class Llama(Family):
    """Llama 1 to 3, and the many that are built like it."""

    types = ("llama",)
    gguf = ("llama",)


class Exaone(Llama):
    """LG's Exaone 3 and 3.5: Llama by other key names."""

    types = ("exaone",)
    gguf = ("exaone",)


class IQuestCoder(Llama):
    """IQuest-Coder: Llama."""

    types = ("iquestcoder",)
    converted = "llama"


class InternLm3(Llama):
    """InternLM3: the bias of the output goes with those of the network."""

    types = ("internlm3",)
    converted = "llama"

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """As `bias` says, which transformers calls mlp_bias."""
        return super().grouped_query(index, output_bias=self.config.flag("mlp_bias"), **more)


class Mistral(Family):
    """Mistral 7B and its successors: Llama with a window, where the config has one."""

    types = ("mistral",)
    converted = "llama"
    uses_window = True
    qkv_bias = output_bias = ffn_bias = False


class Ministral(Mistral):
    """Ministral 8B: windows in some layers."""

    types = ("ministral",)


class Ministral3(Mistral):
    """Ministral 3: one window, where the config has one."""

    types = ("ministral3",)
    gguf = ("mistral3",)


class Qwen2(Family):
    """Qwen 1.5 to 2.5: biases of query, key and value."""

    types = ("qwen2",)
    gguf = ("qwen2",)
    qkv_bias, output_bias, ffn_bias = True, False, False

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
    gguf = ("qwen3",)
    qk_norm = "head"
    qkv_bias = output_bias = None


class Phi3(Family):
    """Phi-3 and 4: query, key and value in one matrix, gate and up in another."""

    types = ("phi3", "phi4_multimodal")
    gguf = ("phi3",)
    uses_window = fused_qkv = fused_ffn = True
    qkv_bias = output_bias = ffn_bias = False

    def remarks(self) -> list[str]:
        """What stands beside the text part of the multimodal one."""
        if self.config.type == "phi3":
            return []
        return [
            "only the part that writes text is counted: towers for pictures and sound, and their adapters, are left out"
        ]


class Olmo(Family):
    """OLMo 1: norms without weights."""

    types = ("olmo",)
    gguf = ("olmo",)
    norms, final_norm, ffn_bias = 0, False, False


class Olmo2(Family):
    """OLMo 2: norms of query and key over all heads, the others after each half."""

    types = ("olmo2",)
    gguf = ("olmo2",)
    gguf_files = Files(windows=Windows(4))
    qk_norm = "full"
    ffn_bias = False


class Olmo3(Olmo2):
    """OLMo 3: OLMo 2 with windows in three of four layers."""

    types = ("olmo3",)
    gguf_also = {"olmo3": "olmo2"}  # of Ollama
    gguf_files = Olmo2.gguf_files
    converted = "olmo2"
    full_every = 4


class Granite(Family):
    """IBM Granite 3: Llama with constant factors."""

    types = ("granite",)
    gguf = ("granite",)


class GraniteSwa(Granite):
    """Granite with windows in three of four layers and a learned sink per head."""

    types = ("granite_swa",)
    gguf = ("granite_swa",)
    gguf_files = Files(windows=Windows())
    sinks = full_first = True
    full_every = 4


class SmolLM3(Family):
    """SmolLM3: every fourth layer without rotary positions, which may have a window then."""

    types = ("smollm3",)
    gguf = ("smollm3",)
    tied = True

    def is_windowed(self, index: int) -> bool:
        """Only where use_sliding_window says so, and then by layer_types, or where there are no rotary positions."""
        if not self.config.flag("use_sliding_window"):
            return False
        named = self.layer_type(index)
        if named is not None:
            return named == "sliding_attention"
        rotary = self.config.item(index, "no_rope_layers")
        if rotary is None:
            return (index + 1) % self.config.size("no_rope_layer_interval", default=4) == 0
        return not rotary


class SeedOss(Family):
    """ByteDance Seed-OSS: biases of query, key and value as attention_bias says, of the output as attention_out_bias."""

    types = ("seed_oss",)
    gguf = ("seed_oss",)

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """The output has a key of its own."""
        return super().grouped_query(index, output_bias=self.config.flag("attention_out_bias"), **more)


class Helium(Llama):
    """Kyutai's Helium: the output projects from d_model values, and has no bias."""

    types = ("helium",)
    output_bias = False

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Told tensor by tensor, as the output goes by d_model and not by the heads."""
        found = super().grouped_query(index, **more)
        widths = {"q": found["n_heads"], "k": found["n_kv_heads"], "v": found["n_kv_heads"]}
        listed = [extra("attn_output", self.d_model, self.d_model)]
        for name, heads in widths.items():
            listed.append(extra(f"attn_{name}", self.d_model, heads * found["head_dim"]))
            listed += [extra(f"attn_{name}.bias", heads * found["head_dim"])] if found["qkv_bias"] else []
        return {**found, "listed": listed}


class Cwm(Llama):
    """Meta's Code World Model: windows but in every fourth layer."""

    types = ("cwm",)
    qkv_bias = output_bias = False
    full_every, full_first = 4, True


class Ernie45(Family):
    """Baidu's dense Ernie 4.5: biases as use_bias says."""

    types = ("ernie4_5",)
    gguf = ("ernie4_5",)
    bias_key = "use_bias"


class HunyuanDense(Family):
    """Tencent's dense Hunyuan: norms of query and key."""

    types = ("hunyuan_v1_dense",)
    gguf = ("hunyuan-dense",)
    qk_norm = "head"
    ffn_bias = False


class HyperClovaX(Family):
    """Naver's HyperCLOVA X: constant factors, and norms after each half where use_post_norm says so."""

    types = ("hyperclovax",)

    @property
    def norms(self) -> int:
        """Two before the halves, and two after them."""
        return 4 if self.config.flag("use_post_norm") else 2


class Exaone4(Family):
    """LG's Exaone 4: norms of query and key, the others after each half, windows in three of four layers."""

    types = ("exaone4",)
    gguf = ("exaone4",)
    gguf_files = Files(windows=Windows(4, tokens=4096, asks=False, layers=64))
    qk_norm = "head"
    qkv_bias = output_bias = ffn_bias = False

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it by sliding_window_pattern: a period, or letters as in LLLG."""
        named = self.layer_type(index)
        if named is not None:
            return named == "sliding_attention"
        pattern = self.config.get("sliding_window_pattern")
        if isinstance(pattern, str) and pattern:
            return pattern[index % len(pattern)].upper() == "L"
        return (index + 1) % self.config.size("sliding_window_pattern", default=4) != 0


class Cohere(Family):
    """Cohere's Command R: one norm before both halves."""

    types = ("cohere",)
    gguf = ("command-r",)
    tied = True
    norms, ffn_bias = 1, False
    qk_norm, qk_norm_key = "full", "use_qk_norm"  # one vector a head


class Cohere2(Family):
    """Command R7B and A: windows in three of four layers."""

    types = ("cohere2",)
    gguf = ("cohere2",)
    gguf_files = Files(windows=Windows(4))
    tied = True
    norms, ffn_bias = 1, False

    @property
    def full_every(self) -> int:
        """One of so many layers sees everything."""
        return self.config.size("sliding_window_pattern", default=4)


class CohereCompass(Cohere2):
    """Cohere's text part of North Micro Vision: windows only where layer_types has them."""

    types = ("cohere_compass_text",)
    full_every = 0


class Glm(Family):
    """GLM-4-9B: biases of query, key and value, gate and up in one matrix."""

    types = ("glm",)
    gguf = ("chatglm",)
    output_bias = ffn_bias = False
    fused_ffn = True


class Glm4(Glm):
    """GLM-4-0414: further norms after each half."""

    types = ("glm4",)
    gguf = ("glm4",)
    norms = 4
