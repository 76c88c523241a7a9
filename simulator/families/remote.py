"""Dense decoders that transformers does not know: their code comes with the checkpoint, their shapes as llama.cpp b11549 reads them."""

from __future__ import annotations

from typing import Any

from simulator.errors import InputError
from simulator.families.config import Config
from simulator.families.family import Family, extra
from simulator.families.files import Files


class InternLm2(Family):
    """InternLM 2 and 2.5: query, key and value in one matrix, biases of attention as bias says."""

    types = ("internlm2",)
    gguf = ("internlm2",)
    fused_qkv = True
    bias_key = "bias"
    ffn_bias = False


class Baichuan(Family):
    """Baichuan 1 and 2: query, key and value in one matrix."""

    types = ("baichuan",)
    gguf = ("baichuan",)
    fused_qkv = True
    kv_heads_key = qkv_bias = output_bias = ffn_bias = False


class Xverse(Family):
    """XVERSE: Llama."""

    types = ("xverse",)
    gguf = ("xverse",)


class MiniCpm(Family):
    """MiniCPM 1, 2 and 4: Llama with constant factors, whose head is the embedding."""

    types = ("minicpm",)
    gguf = ("minicpm",)
    tied = True


class Orion(Family):
    """Orion 14B: layer norms with biases."""

    types = ("orion",)
    gguf = ("orion",)
    norm_bias = True


class Qwen(Family):
    """Qwen 1: biases of query, key and value, gate and up of half the width that intermediate_size says."""

    types = ("qwen",)
    gguf = ("qwen",)
    harmless = ("no_bias",)
    qkv_bias = fused_qkv = True
    kv_heads_key = output_bias = ffn_bias = False

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Heads are kv_channels wide."""
        shared_out = max(1, self.d_model // self.config.size("num_attention_heads"))
        return super().grouped_query(index, head_dim=self.config.size("kv_channels", default=shared_out), **more)

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """It counts gate and up together."""
        return super().dense(index, **{"d_ff": self.config.size("intermediate_size") // 2, **more})


class ChatGlm(Family):
    """ChatGLM 2 and 3, and GLM-4-9B by its first code: few key/value heads, gate and up in one matrix."""

    types = ("chatglm",)
    harmless = ("rmsnorm", "post_layer_norm", "original_rope", "interleaved_qkv")
    converted = "chatglm"
    fused_qkv = fused_ffn = True
    bias_key = "add_bias_linear"
    width_keys = ("ffn_hidden_size",)

    @property
    def vocab(self) -> int:
        """With the rows that fill it up."""
        return self.config.size("padded_vocab_size", "vocab_size")

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """multi_query_group_num key/value heads, each kv_channels wide."""
        config = self.config
        if config.given("inner_hidden_size"):
            raise InputError(
                f"{config.path}: this is the first ChatGLM-6B, which has other layers: name the shipped chatglm-6b"
            )
        n_heads = config.size("num_attention_heads")
        n_kv = config.size("multi_query_group_num") if config.flag("multi_query_attention") else n_heads
        if n_heads % n_kv:
            raise InputError(f"{config.path}: multi_query_group_num {n_kv} must divide num_attention_heads {n_heads}")
        shared_out = max(1, self.d_model // n_heads)
        own = {
            "n_kv_heads": n_kv,
            "head_dim": config.size("kv_channels", default=shared_out),
            "qkv_bias": config.flag("add_qkv_bias") or config.flag("add_bias_linear"),
        }
        return super().grouped_query(index, **{**own, **more})


class Deci(Family):
    """Nvidia's Nemotron 49B to 253B: block_configs tells each layer's key/value heads and width, or that a half is none."""

    types = ("nemotron-nas",)
    gguf = ("deci",)
    gguf_files = Files(bare_output=True)
    qkv_bias = output_bias = ffn_bias = False

    def _half(self, index: int, name: str) -> Config:
        block = self.config.item(index, "block_configs")
        half = block.get(name) if isinstance(block, dict) else None
        if not isinstance(half, dict):
            raise InputError(f"{self.config.path}: block_configs of layer {index} needs {name}, a mapping")
        return Config(self.config.path, "", half)

    def layer(self, index: int) -> dict[str, Any]:
        """A half that is none has no norm; one that is a single matrix has."""
        attention, ffn = (self._half(index, name) for name in ("attention", "ffn"))
        kept = [half for half in (attention, ffn) if not half.flag("no_op")]
        linear = [name for name, half in (("attn", attention), ("ffn", ffn)) if half.flag("replace_with_linear")]
        return {
            "attention": self.deci_attention(attention, index),
            "ffn": self.deci_ffn(ffn, index),
            "norms": len(kept),
            "beside": [extra(f"{name}_linear", self.d_model, self.d_model) for name in linear],
        }

    def deci_attention(self, half: Config, index: int) -> dict[str, Any] | None:
        """n_heads_in_group query heads for each key."""
        if half.flag("no_op") or half.flag("replace_with_linear"):
            return None
        n_heads, n_each = self.config.size("num_attention_heads"), half.size("n_heads_in_group")
        if n_heads % n_each:
            raise InputError(f"{self.config.path}: n_heads_in_group {n_each} must divide num_attention_heads {n_heads}")
        return self.grouped_query(index, n_kv_heads=n_heads // n_each)

    def deci_ffn(self, half: Config, index: int) -> dict[str, Any] | None:
        """Two thirds of ffn_mult times d_model, doubled, and rounded up to a multiple of 256."""
        if half.flag("no_op") or half.flag("replace_with_linear"):
            return None
        width = int(2 * half.number("ffn_mult", default=0) * self.d_model / 3)
        if width < 1:
            raise InputError(f"{self.config.path}: block_configs of layer {index} needs ffn_mult, a number above 0")
        return self.dense(index, d_ff=-(-width // 256) * 256)
