"""Decoders of other kin than GPT-2 from before Llama, and the two that kept to layer norms after it."""

from __future__ import annotations

from typing import Any

from simulator.families.family import Family, extra


class Opt(Family):
    """Meta's OPT: learned positions with two rows more; some have a narrower embedding."""

    types = ("opt",)
    tied = plain_ffn = learned_positions = True
    position_rows = 2
    head_dim_key = kv_heads_key = False
    bias_key = "enable_bias"
    width_keys = ("ffn_dim",)

    @property
    def _affine(self) -> bool:
        return self.config.flag("layer_norm_elementwise_affine", default=True)

    @property
    def norms(self) -> int:
        """None with weights, where layer_norm_elementwise_affine is false."""
        return 2 if self._affine else 0

    @property
    def norm_bias(self) -> bool:
        """With their weights."""
        return self._affine

    @property
    def final_norm(self) -> bool:
        """Not where the norms stand after the halves, nor where it was taken out."""
        is_before = self.config.flag("do_layer_norm_before", default=True)
        return self._affine and is_before and not self.config.flag("_remove_final_layer_norm")

    @property
    def d_embed(self) -> int | None:
        """As word_embed_proj_dim says."""
        width = self.config.size("word_embed_proj_dim", default=self.d_model)
        return None if width == self.d_model else width

    def beside(self) -> list[dict[str, Any]]:
        """From a narrower embedding to d_model, and back before the head."""
        if self.d_embed is None:
            return []
        return [extra("project_in", self.d_embed, self.d_model), extra("project_out", self.d_model, self.d_embed)]


class Xglm(Family):
    """Meta's XGLM: computed positions, biases everywhere."""

    types = ("xglm",)
    tied = plain_ffn = ffn_bias = norm_bias = qkv_bias = output_bias = True
    head_dim_key = kv_heads_key = False
    width_keys = ("ffn_dim",)

    def attention(self, index: int) -> dict[str, Any] | None:
        """Where it attends to an encoder, too, there is an encoder that this file does not describe."""
        if self.config.flag("add_cross_attention"):
            raise self.config.wrong("add_cross_attention", "a decoder of another model's encoder is not described here")
        return super().attention(index)


class BioGpt(Family):
    """Microsoft's BioGPT: learned positions with two rows more, biases everywhere."""

    types = ("biogpt",)
    tied = plain_ffn = ffn_bias = norm_bias = qkv_bias = output_bias = learned_positions = True
    position_rows = 2
    head_dim_key = kv_heads_key = False


class Ctrl(Family):
    """Salesforce's CTRL: computed positions, biases everywhere, of the head as well."""

    types = ("ctrl",)
    tied = plain_ffn = ffn_bias = norm_bias = qkv_bias = output_bias = head_bias = True
    head_dim_key = kv_heads_key = False
    width_keys = ("dff",)


class CpmAnt(Family):
    """CPM-Ant: positions by learned distances, prompts as further rows of the embedding, a head of its own."""

    types = ("cpmant",)
    kv_heads_key = qkv_bias = output_bias = ffn_bias = False
    width_keys = ("dim_ff",)

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Heads have a width of their own."""
        return super().grouped_query(index, head_dim=self.config.size("dim_head"), **more)

    def model(self) -> dict[str, Any]:
        """Its head is never the embedding."""
        return {**super().model(), "tied_head": False}

    def beside(self) -> list[dict[str, Any]]:
        """Prompts, segments, and the bias of every pair of segments and every distance."""
        config = self.config
        prompts = config.count("prompt_types") * config.count("prompt_length")
        segments = config.size("segment_types")
        biases = config.size("position_bias_num_buckets") + segments * segments
        found = [extra("prompt_embd", self.d_model, prompts, idle=True)] if prompts else []
        found.append(extra("segment_embd", self.d_model, segments, idle=True))
        return [*found, extra("attn_rel_b", config.size("num_attention_heads"), biases, small=True, idle=True)]


class Persimmon(Family):
    """Adept's Persimmon, and Fuyu's text part: biases everywhere, norms of query and key as qk_layernorm says."""

    types = ("persimmon",)
    plain_ffn = ffn_bias = norm_bias = qkv_bias = output_bias = fused_qkv = True
    head_dim_key = kv_heads_key = False
    qk_norm, qk_norm_key = "head", "qk_layernorm"

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of those norms."""
        attention = self.grouped_query(index)
        if not attention["qk_norm"]:
            return []
        return [extra(f"attn_{each}_norm.bias", attention["head_dim"]) for each in ("q", "k")]


class Phi(Persimmon):
    """Phi-1 to 2: one norm before both halves, a bias of the head."""

    types = ("phi",)
    gguf = ("phi2",)
    norms = 1
    head_bias = kv_heads_key = head_dim_key = True
    fused_qkv = False
