"""Liquid AI's models: short convolutions with attention in some layers."""

from __future__ import annotations

from typing import Any

from simulator.errors import InputError
from simulator.families.family import extra
from simulator.families.files import Files, Windows
from simulator.families.hybrid import Hybrid

_NORM_OF_LFM2 = {"token_embd_norm": "output_norm"}


class Lfm2(Hybrid):
    """LFM2: gated short convolutions, and attention in the layers of full_attn_idxs."""

    types = ("lfm2",)
    gguf = ("lfm2",)
    # Where the file has a window, every layer of attention has.
    gguf_files = Files(windows=Windows(0), roles=_NORM_OF_LFM2)
    qk_norm = "head"
    qkv_bias = output_bias = ffn_bias = False
    tied = True
    mixers = {"full_attention": "grouped_query", "sliding_attention": "grouped_query", "conv": "short_conv"}

    def model(self) -> dict[str, Any]:
        """The head is the embedding unless tie_embedding, or tie_word_embeddings, says otherwise."""
        tied = self.config.flag("tie_embedding", "tie_word_embeddings", default=self.tied)
        return {**super().model(), "tied_head": tied}

    def rule(self, index: int) -> str:
        """By full_attn_idxs, and without that attention everywhere."""
        listed = self.config.items("full_attn_idxs")
        return "full_attention" if listed is None or index in listed else "conv"

    def short_conv(self, index: int) -> dict[str, Any]:
        """A gated convolution over the last conv_L_cache tokens."""
        config = self.config.of_layer(index)
        bias = config.flag("conv_bias")
        return {"kind": "short_conv", "width": config.size("conv_L_cache"), "channels": self.d_model, "bias": bias}

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """Two thirds of the stated width, times block_ffn_dim_multiplier, up to a multiple of block_multiple_of."""
        width = self.config.size("block_ff_dim", "intermediate_size")
        if self.config.flag("block_auto_adjust_ff_dim", default=True):
            width = max(1, int(2 * width / 3))
            factor = self.config.number("block_ffn_dim_multiplier", default=0)
            multiple = self.config.size("block_multiple_of")
            width = multiple * -(-int(factor * width) // multiple) if factor else width
        if width < 1:
            raise InputError(
                f"{self.config.path}: block_ffn_dim_multiplier leaves no width to the feed-forward network"
            )
        return super().dense(index, d_ff=width, **more)


class Lfm2Moe(Lfm2):
    """LFM2-MoE: experts after the first num_dense_layers."""

    types = ("lfm2_moe",)
    gguf = ("lfm2moe",)
    gguf_files = Files(roles=_NORM_OF_LFM2)

    def rule(self, index: int) -> str:
        """There is none: layer_types is needed."""
        return Hybrid.rule(self, index)

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """The stated width as it is."""
        return super(Lfm2, self).dense(index, **more)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """A correction that balances them where use_expert_bias says so."""
        return super().experts(index, balance=self.config.flag("use_expert_bias", default=True), **more)

    def has_experts(self, index: int) -> bool:
        """From num_dense_layers on."""
        return bool(self.n_experts) and index >= self.config.count("num_dense_layers", default=0)


class Lfm3(Lfm2):
    """LFM3: windows in half of the attention layers, gates for their heads, norms before and after each half."""

    types = ("lfm3",)
    qkv_bias = output_bias = None

    def rule(self, index: int) -> str:
        """Of four layers the first has a window and the third sees everything."""
        if index % 4 == 2:
            return "full_attention"
        return "sliding_attention" if index and index % 4 == 0 else "conv"

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """The stated width as it is."""
        return super(Lfm2, self).dense(index, **more)

    def layer(self, index: int) -> dict[str, Any]:
        """Four norms, or two without use_sandwich_norm."""
        return {**super().layer(index), "norms": 4 if self.config.flag("use_sandwich_norm") else 2}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """A gate for each head of attention."""
        has_gate = self.layer_type(index) != "conv" and self.config.flag("use_attention_gate")
        return [extra("attn_gate", self.d_model, self.config.size("num_attention_heads"))] if has_gate else []
