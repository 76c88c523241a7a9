"""Stacks of linear attention with a decay, and latents or softmax attention in some layers: Kimi Linear, Ling, MiniMax."""

from __future__ import annotations

from typing import Any

from simulator.families.family import extra
from simulator.families.files import Files
from simulator.families.hybrid import Hybrid
from simulator.families.latent import DeepSeek3


def delta_attention(
    d_model: int, n_heads: int, head_dim: int, conv: int, gates: list[dict[str, Any]]
) -> dict[str, Any]:
    """Kimi delta attention (arXiv 2510.26692): a matrix for each head that decays row by row; *gates* make the decay and the output's."""
    width = n_heads * head_dim
    listed = [
        extra("attn_q", d_model, width),
        extra("attn_k", d_model, width),
        extra("attn_v", d_model, width),
        extra("ssm_conv1d", conv, 3 * width, small=True),
        extra("ssm_dt.bias", width),
        extra("ssm_a", n_heads),
        extra("ssm_beta", d_model, n_heads),
        *gates,
        extra("ssm_norm", head_dim),
        extra("attn_output", width, d_model),
    ]
    state = width * head_dim + 3 * width * (conv - 1)
    return {"kind": "recurrence", "of": "kda", "state_values": state, "flops_per_value": 8.0, "listed": listed}


class KimiDelta(Hybrid, DeepSeek3):
    """Three layers of delta attention to one of latents without positions."""

    can_tie = False
    first_dense = 1
    mixers = {"full_attention": "latent", "linear_attention": "recurrence"}

    def rule(self, index: int) -> str:
        """As linear_attn_config lists them, counted from 1, and else every fourth but the first is attention."""
        linear = self.config.part("linear_attn_config")
        full, others = (linear.items(key) if linear else None for key in ("full_attn_layers", "kda_layers"))
        if linear and (full is None) != (others is None):
            raise self.config.wrong("linear_attn_config", "kda_layers and full_attn_layers are needed, both or neither")
        if full is None or others is None:
            return "full_attention" if index and index % 4 == 0 else "linear_attention"
        if index + 1 not in full and index + 1 not in others:
            raise self.config.wrong("linear_attn_config", f"layer {index + 1} is in neither of its lists")
        return "linear_attention" if index + 1 in others else "full_attention"

    def recurrence(self, index: int) -> dict[str, Any]:
        """Delta attention; decay and gate are made at the rank of a head's width."""
        own = self.config.part("linear_attn_config") or self.config
        sizes = (("num_heads", "linear_num_heads"), ("head_dim", "linear_head_dim"))
        conv = ("short_conv_kernel_size", "linear_conv_kernel_dim")
        n_heads, head_dim, conv = (
            own.size(older) if own is not self.config and own.given(older) else self.config.size(name)
            for older, name in (*sizes, conv)
        )
        width = n_heads * head_dim
        gates = [extra("ssm_f_a", self.d_model, head_dim), extra("ssm_f_b", head_dim, width)]
        if own.flag("use_full_rank_gate"):
            gates.append(extra("ssm_g", self.d_model, width))
        else:
            gates += [extra("ssm_g_a", self.d_model, head_dim), extra("ssm_g_b", head_dim, width)]
        return delta_attention(self.d_model, n_heads, head_dim, conv, gates)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of latent attention, where attention_bias says so."""
        return super().layer_beside(index) if self.layer_type(index) == "full_attention" else []


class KimiLinear(KimiDelta):
    """Kimi Linear, and Kimi K3 with what it adds by keys of its own: gates, narrow routed experts, attention to earlier blocks."""

    types = ("kimi_linear",)
    gguf = ("kimi-linear", "kimi-k3")
    harmless = ("mla_use_nope", "use_grouped_topk", "gate_lower_bound")

    @property
    def looks_back(self) -> bool:
        """Whether each half of a layer reads a mix of the outputs of earlier blocks of attn_res_block_size layers."""
        return self.config.count("attn_res_block_size", default=0) > 0

    def architecture(self) -> str:
        """K3 by its own name."""
        return "kimi-k3" if self.looks_back else "kimi-linear"

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """Routed experts of K3 work on routed_expert_hidden_size values."""
        latent = self.config.count("routed_expert_hidden_size", default=0)
        return super().experts(index, latent=latent or None, **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gate of latent attention, the norm of what narrow experts put out, and what scores earlier blocks."""
        found = super().layer_beside(index)
        if self.layer_type(index) == "full_attention" and self.config.flag("mla_use_output_gate"):
            latent = self.latent(index)
            found.append(extra("attn_gate", self.d_model, latent["n_heads"] * latent["v_dim"]))
        if self.has_experts(index) and self.config.flag("latent_moe_use_norm"):
            found.append(extra("ffn_latent_norm", self.config.size("routed_expert_hidden_size")))
        return found + (self.scores("attn") + self.scores("ffn") if self.looks_back else [])

    def scores(self, name: str) -> list[dict[str, Any]]:
        """A norm and a vector that score the outputs of earlier blocks."""
        return [extra(f"{name}_res_norm", self.d_model), extra(f"{name}_res_score", self.d_model)]

    def beside(self) -> list[dict[str, Any]]:
        """The same before the last norm."""
        return self.scores("output") if self.looks_back else []


class BailingHybrid(KimiDelta):
    """Ling 3: five layers of delta attention to one of latents with a gate for each head."""

    types = ("bailing_hybrid",)
    gguf = ("bailingmoe3",)
    first_dense = 2

    def rule(self, index: int) -> str:
        """The last of every layer_group_size is attention."""
        is_full = (index + 1) % self.config.size("layer_group_size") == 0
        return "full_attention" if is_full else "linear_attention"

    def recurrence(self, index: int) -> dict[str, Any]:
        """Delta attention; decay and gate are made at full rank."""
        config = self.config
        n_heads = config.size("linear_num_heads", default=config.size("num_attention_heads"))
        head_dim = config.size("linear_head_dim", default=config.size("head_dim"))
        conv = config.size("linear_conv_kernel_dim", default=config.size("short_conv_kernel_size"))
        gates = [extra(role, self.d_model, n_heads * head_dim) for role in ("ssm_f", "attn_gate")]
        return delta_attention(self.d_model, n_heads, head_dim, conv, gates)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """And the gate of each head."""
        if self.layer_type(index) != "full_attention":
            return []
        n_heads = self.config.size("num_attention_heads")
        return [*super().layer_beside(index), extra("attn_gate", self.d_model, n_heads)]


class MiniMax(Hybrid):
    """MiniMax-Text-01 and M1: lightning attention with softmax attention in some layers, experts in all."""

    types = ("minimax", "minimax_text_01", "minimax_m1")
    like = "minimax"
    gguf = ("minimax-01",)
    gguf_files = Files(lightning=True)
    harmless = ("postnorm", "shared_moe_mode")
    qkv_bias = output_bias = False

    def model(self) -> dict[str, Any]:
        """Older files state a shared expert, of no width in all that are published."""
        shared = self.config.get("shared_intermediate_size", default=0)
        if any(shared) if isinstance(shared, list) else shared:
            raise self.config.wrong("shared_intermediate_size", "MiniMax-01 with a shared expert is not known here")
        return super().model()

    def rule(self, index: int) -> str:
        """By attn_type_list of older files, where 1 is softmax attention; without it that first, then in turn."""
        older = self.config.item(index, "attn_type_list")
        if older is not None:
            return "full_attention" if older else "linear_attention"
        self.config.check_absence("attn_type_list", "layer_types")
        return "linear_attention" if index % 2 else "full_attention"

    def recurrence(self, index: int) -> dict[str, Any]:
        """Lightning attention (arXiv 2401.04658): a matrix for each head, a decay that is fixed, a gate, a norm of what it puts out."""
        config = self.config.of_layer(index)
        n_heads = config.size("num_attention_heads")
        head_dim = config.size("head_dim", default=max(1, self.d_model // n_heads))
        width = n_heads * head_dim
        listed = [
            extra("attn_qkv", self.d_model, 3 * width),
            extra("attn_gate", self.d_model, width),
            extra("attn_norm_2", width),
            extra("attn_output", width, self.d_model),
        ]
        return {"kind": "recurrence", "of": "lightning", "state_values": width * head_dim, "listed": listed}
