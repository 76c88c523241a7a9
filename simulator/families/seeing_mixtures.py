"""The writing parts of models that also see, where those are mixtures of experts of their own."""

from __future__ import annotations

from typing import Any

from simulator.families.dense_first import DenseFirst, Ernie45Moe
from simulator.families.family import Family, extra, shared_biases
from simulator.families.files import Files, Windows


class DeepSeekOcr(DenseFirst):
    """DeepSeek-OCR 2: DeepSeek's experts over ordinary attention."""

    types = ("deepseek_ocr2_text",)
    gguf = ("deepseek2-ocr",)
    gguf_also = {"deepseekocr": "deepseek2-ocr"}  # of Ollama
    balance = False

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Heads share the width, whatever head_dim says."""
        width = self.d_model // self.config.size("num_attention_heads")
        return super().grouped_query(index, **{"head_dim": width, **more})

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of the shared experts as mlp_bias says."""
        if not self.config.flag("mlp_bias") or not self.has_experts(index):
            return []
        return shared_biases(self.experts(index)["d_shared"], self.d_model)


class Ernie45VlMoe(Ernie45Moe):
    """ERNIE 4.5 VL: experts for words and experts for pictures in each layer; words use theirs only."""

    types = ("ernie4_5_vl_moe_text",)

    def model(self) -> dict[str, Any]:
        """The head has no bias."""
        return {**super().model(), "head_bias": False}

    def _widths(self) -> list[int]:
        found = self.config.get("moe_intermediate_size", default=[1536, 512])
        if not (isinstance(found, list) and len(found) == 2 and all(isinstance(each, int) for each in found)):
            raise self.config.wrong("moe_intermediate_size", "two widths are needed: of words and of pictures")
        return found

    def has_experts(self, index: int) -> bool:
        """By mlp_layer_types, and without it all but the first."""
        named = self.config.item(index, "mlp_layer_types")
        return index > 0 if named is None else named == "sparse"

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """Those for words; shared ones have their width."""
        width, shared = self._widths()[0], self.config.count("moe_num_shared_experts", default=0)
        return {
            "kind": "experts", "n_experts": self.n_experts, "n_active": self.config.size("moe_k"), "d_expert": width,
            "router_bias": True, "n_shared": shared, "d_shared": shared * width, **more,
        }  # fmt: skip

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Router and experts for pictures, which words do not use."""
        if not self.has_experts(index):
            return []
        n, width = self.n_experts, self._widths()[1]
        return [
            *super().layer_beside(index),
            extra("vision_gate_inp", self.d_model, n, idle=True, small=True),
            extra("vision_gate_inp.bias", n, idle=True),
            extra("vision_gate_up_exps", self.d_model, 2 * width * n, idle=True),
            extra("vision_down_exps", width, self.d_model * n, idle=True),
        ]

    def remarks(self) -> list[str]:
        """What lies idle."""
        return ["experts for pictures are held, words do not use them"]


class Step35(DenseFirst):
    """Step 3.5 Flash: a gate for each head, windowed layers with as many heads as they say."""

    types = ("step3p5",)
    mtp_layer = 0  # dense
    gguf = ("step35",)
    gguf_files = Files(windows=Windows())
    qk_norm = "head"

    def has_experts(self, index: int) -> bool:
        """By mlp_layer_types, by the older moe_layers_enum, and without either from the fourth layer on."""
        older = self.config.get("moe_layers_enum")
        if self.config.items("mlp_layer_types") is not None:
            return super().has_experts(index)
        if older is None:
            return index >= self.config.count("first_k_dense_replace", default=3)
        listed = older.split(",") if isinstance(older, str) else older if isinstance(older, list) else []
        return str(index) in {str(each).strip() for each in listed}

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Windowed layers may have another number of heads."""
        older = self.config.part("attention_other_setting")
        own = self.config.count("num_sliding_attention_heads", default=0)
        own = own or (older.count("num_attention_heads", default=0) if older else 0)
        is_own = own and self.is_windowed(index) and not self.config.get("per_layer_config")
        return super().grouped_query(index, **({"n_heads": own} if is_own else {}), **more)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """A shared expert of its own width."""
        return super().experts(index, n_shared=1, d_shared=self.config.size("share_expert_dim"), **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gate, and biases of the shared expert as mlp_bias says."""
        found = [extra("attn_gate", self.d_model, self.grouped_query(index)["n_heads"])]
        if self.config.flag("mlp_bias") and self.has_experts(index):
            found += shared_biases(self.config.size("share_expert_dim"), self.d_model)
        return found


class MuseGlimmer(Family):
    """Muse Glimmer: four norms, a gate for what attention puts out, windows in three of four layers."""

    types = ("muse_glimmer_text",)
    gguf = ("muse-glimmer",)
    gguf_files = Files(windows=Windows(4))
    norms = 4
    ffn_bias = False

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it all but every fourth layer, counted from the last."""
        named = self.layer_type(index)
        return (self.n_layers - 1 - index) % 4 != 0 if named is None else named == "sliding_attention"

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gate."""
        found = self.grouped_query(index)
        return [extra("attn_gate", self.d_model, found["n_heads"] * found["head_dim"])]


class MuseSpark(MuseGlimmer):
    """Muse Spark: experts of a smaller width of tokens, gates for both residual sums."""

    types = ("muse_spark_text",)
    norms = 3
    balance = True

    @property
    def _inner(self) -> int:
        return self.config.size("moe_hidden_size")

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """They work on moe_hidden_size values, to which tokens are projected."""
        return super().experts(index, latent=self._inner, **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gates of the sums, and norms before and after the experts."""
        found = [*super().layer_beside(index), extra("attn_residual_gate", self.d_model)]
        found.append(extra("ffn_residual_gate", self.d_model))
        if self.has_experts(index):
            found += [extra("ffn_pre_expert_norm", self._inner), extra("ffn_post_expert_norm", self._inner)]
        return found
