"""The writing parts of models that also see or hear, where they are a family that exists under another name."""

from __future__ import annotations

from typing import Any

from simulator.families.dense import Llama, Qwen2, Qwen3
from simulator.families.dense_first import Glm4Moe
from simulator.families.family import Family, extra
from simulator.families.mixtures import Qwen3Moe


class Qwen2Seeing(Qwen2):
    """Qwen2-VL, Qwen2.5-VL and Qwen2.5-Omni: Qwen2 with positions of three parts."""

    types = ("qwen2_vl_text", "qwen2_5_vl_text", "qwen2_5_omni_text")
    gguf = ("qwen2vl",)
    gguf_also = {"qwen25vl": "qwen2vl"}  # of Ollama


class Qwen3Seeing(Qwen3):
    """Qwen3-VL: Qwen3, whose first layers also take what the eyes saw."""

    types = ("qwen3_vl_text",)
    gguf = ("qwen3vl",)

    def window(self, index: int) -> dict[str, int]:
        """None."""
        return {}


class Qwen3MoeSeeing(Qwen3Moe):
    """Qwen3-VL and Qwen3-Omni mixtures: a window, where the config has one, in every layer."""

    types = ("qwen3_vl_moe_text", "qwen3_omni_moe_text")
    gguf = ("qwen3vlmoe",)

    def is_windowed(self, index: int) -> bool:
        """All layers."""
        return True


class Glm4Seeing(Family):
    """GLM-4.1V and 4.6V: four norms, biases of query, key and value, gate and up in one matrix."""

    types = ("glm4v_text",)
    converted = "glm4"
    norms = 4
    qkv_bias, output_bias, ffn_bias = True, False, False

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """Gate and up are one matrix."""
        return super().dense(index, fused=True, **more)


class GlmOcr(Glm4Seeing):
    """GLM-OCR: without those biases."""

    types = ("glm_ocr_text",)
    converted = "glm4"
    gguf_also = {"glmocr": "glm4"}  # of Ollama
    qkv_bias = False


class Glm4MoeSeeing(Glm4Moe):
    """GLM-4.5V: GLM-4.5 without norms of query and key."""

    types = ("glm4v_moe_text",)
    converted = "glm4moe"


class PlainLlama(Llama):
    """Emu3, ERNIE OCR and others: Llama's layers."""

    types = ("emu3_text_model", "granite4_vision_text", "granite_docling_text")


class Cosmos3Edge(Llama):
    """Cosmos 3 Edge: two matrices in the network."""

    types = ("cosmos3_edge_text",)
    plain_ffn = True
    can_tie = False


class HunyuanVl(Llama):
    """Hunyuan VL: norms of query and key."""

    types = ("hunyuan_vl_text",)
    gguf = ("hunyuan_vl",)
    qk_norm = "head"


class PaddleOcr(Llama):
    """PaddleOCR-VL: ERNIE 4.5's layers, biases as use_bias says."""

    types = ("paddleocr_vl_text",)
    gguf = ("paddleocr",)
    bias_key = "use_bias"


class Molmo2(Llama):
    """Molmo 2: norms of query and key, further rows of the embedding that have no logits."""

    types = ("molmo2_text",)
    output_bias = ffn_bias = can_tie = False

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Norms for each head, or over all of them, as qk_norm_type says."""
        norm = "head" if self.config.get("qk_norm_type") == "qwen3" else "full"
        return super().grouped_query(index, **{"qk_norm": norm, **more})

    def beside(self) -> list[dict[str, Any]]:
        """The further rows."""
        further = self.config.count("additional_vocab_size", default=0)
        return [extra("token_embd_further", self.d_model, further, small=True, idle=True)] if further else []
