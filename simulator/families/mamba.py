"""State-space layers: Mamba 1 and 2, alone, in turn with attention, or beside it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from simulator.errors import InputError
from simulator.families.config import Config
from simulator.families.family import Family, extra
from simulator.families.hybrid import Hybrid

_STATE, _CONV = ("mamba_d_state", "state_size", "ssm_state_size"), ("mamba_d_conv", "conv_kernel")
_EXPAND = ("mamba_expand", "expand")


def inner_width(config: Config, d_model: int, *names: str) -> int:
    """Channels of the state: what one of *names* states, or *expand* times *d_model*."""
    default = max(1, int(config.number(*_EXPAND, default=2) * d_model))
    return config.size(*names, default=default) if names else default


def mamba1(
    config: Config, d_model: int, inner: int, *, norms: bool = False, n_heads: int = 1, has_bias: tuple[str, ...]
) -> dict[str, Any]:
    """Mamba 1 (arXiv 2312.00752): a state of *state_size* for each channel; step, input and output made of the input.

    *has_bias* are the keys for biases of the convolution and of the projections; with *norms* of step, input and output;
    *n_heads* of them make these for themselves (Zamba).
    """
    state, conv = config.size(*_STATE), config.size(*_CONV)
    automatic = -(-d_model // 16)
    stated = config.get("time_step_rank", "mamba_dt_rank", default="auto")
    rank = automatic if stated == "auto" else config.size("time_step_rank", "mamba_dt_rank")
    conv_bias, bias = (config.flag(name) for name in has_bias)
    listed = [
        extra("ssm_in", d_model, 2 * inner),
        extra("ssm_conv1d", conv, inner, small=True),
        extra("ssm_x", inner // n_heads, (rank + 2 * state) * n_heads),
        extra("ssm_dt", rank, inner),
        extra("ssm_dt.bias", inner),
        extra("ssm_a", state, inner, small=True),
        extra("ssm_d", inner),
        extra("ssm_out", inner, d_model),
    ]
    listed += [extra("ssm_conv1d.bias", inner)] if conv_bias else []
    listed += [extra("ssm_in.bias", 2 * inner), extra("ssm_out.bias", d_model)] if bias else []
    if norms:
        listed += [extra("ssm_dt_norm", rank), extra("ssm_b_norm", state), extra("ssm_c_norm", state)]
    return {"kind": "recurrence", "of": "mamba", "state_values": inner * (state + conv - 1), "listed": listed}


def mamba2(config: Config, inner: int, *, heads: str, groups: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """Mamba 2 with *inner* channels; *heads* is the key that counts them, *groups* those for their groups, *more* further fields."""
    n_heads = config.size(heads)
    if inner % n_heads:
        raise InputError(f"{config.path}: {heads} {n_heads} must divide the {inner:,} channels of the state")
    return {
        "kind": "mamba2",
        "n_heads": n_heads,
        "head_dim": inner // n_heads,
        "n_groups": config.size(*groups),
        "d_state": config.size(*_STATE),
        "conv": config.size(*_CONV),
        **more,
    }


class Mamba(Family):
    """Mamba 1: nothing but state-space layers."""

    types = ("mamba", "falcon_mamba")
    gguf = ("mamba",)
    norms = 1
    tied = True

    def attention(self, index: int) -> dict[str, Any] | None:
        """A state-space layer."""
        inner = inner_width(self.config, self.d_model, "intermediate_size")
        return mamba1(self.config, self.d_model, inner, has_bias=("use_conv_bias", "use_bias"))

    def ffn(self, index: int) -> None:
        """None."""


class Mamba2(Mamba):
    """Mamba 2: nothing but state-space layers, with heads."""

    types = ("mamba2",)
    gguf = ("mamba2",)
    tied = False

    def attention(self, index: int) -> dict[str, Any] | None:
        """A state-space layer."""
        biases = {"conv_bias": self.config.flag("use_conv_bias"), "bias": self.config.flag("use_bias")}
        return mamba2(
            self.config, inner_width(self.config, self.d_model), heads="num_heads", groups=("n_groups",), **biases
        )


class Bamba(Hybrid):
    """IBM's Bamba: Mamba 2, and attention in the layers of attn_layer_indices."""

    types = ("bamba",)

    def architecture(self) -> str:
        """Without Mamba the converter makes a Granite of it."""
        if any(self.layer_type(index) == "linear_attention" for index in range(self.n_layers)):
            return "granitehybrid"
        return "granitemoe" if self.config.count("num_experts_per_tok", default=0) else "granite"

    def layer_type(self, index: int) -> str:
        """By attn_layer_indices alone."""
        return "full_attention" if index in (self.config.items("attn_layer_indices") or []) else "linear_attention"

    def recurrence(self, index: int) -> dict[str, Any]:
        """Mamba 2."""
        config = self.config.of_layer(index)
        biases = {"conv_bias": config.flag("mamba_conv_bias"), "bias": config.flag("mamba_proj_bias")}
        inner = inner_width(config, self.d_model)
        return mamba2(config, inner, heads="mamba_n_heads", groups=("mamba_n_groups",), **biases)


class GraniteHybrid(Bamba):
    """Granite 4: Mamba 2 and attention; experts beside a network that every token sees, or that alone."""

    types = ("granitemoehybrid",)
    gguf = ("granitehybrid",)

    def layer_type(self, index: int) -> str:
        """By layer_types, and without it Mamba everywhere."""
        return Hybrid.layer_type(self, index)

    def rule(self, index: int) -> str:
        """Mamba."""
        return "linear_attention"

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """And the network for every token."""
        width = self.config.size("shared_intermediate_size")
        return super().experts(index, n_shared=1, d_shared=width, **more)

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """The network for every token."""
        return super().dense(index, d_ff=self.config.size("shared_intermediate_size"), bias=False, **more)


class FalconH1(Family):
    """Falcon-H1: Mamba 2 and attention side by side in every layer."""

    types = ("falcon_h1",)
    gguf = ("falcon-h1",)

    def attention(self, index: int) -> dict[str, Any] | None:
        """Both read the same input, and what they put out is summed."""
        return {"kind": "parallel", "parts": [self.state_space(), self.grouped_query(index)]}

    def state_space(self) -> dict[str, Any]:
        """Mamba 2; the bias of its projection out is that of `projectors_bias`, which `layer_beside` adds."""
        config, inner = self.config, inner_width(self.config, self.d_model, "mamba_d_ssm")
        more = {"conv_bias": config.flag("mamba_conv_bias"), "norm": config.flag("mamba_rms_norm")}
        return mamba2(config, inner, heads="mamba_n_heads", groups=("mamba_n_groups",), **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of the state-space layer's projections, in and out by a key each."""
        mixer = self.state_space()
        inner = mixer["n_heads"] * mixer["head_dim"]
        made = 2 * inner + 2 * mixer["n_groups"] * mixer["d_state"] + mixer["n_heads"]
        found = [extra("ssm_in.bias", made)] if self.config.flag("mamba_proj_bias") else []
        return [*found, *([extra("ssm_out.bias", self.d_model)] if self.config.flag("projectors_bias") else [])]


class Jamba(Hybrid):
    """AI21's Jamba: Mamba 1 with attention and experts every so many layers."""

    types = ("jamba",)
    gguf = ("jamba",)
    qkv_bias = output_bias = ffn_bias = False

    def layer_type(self, index: int) -> str:
        """By attn_layer_period and attn_layer_offset alone."""
        return "full_attention" if self._is_due(index, "attn_layer") else "linear_attention"

    def _is_due(self, index: int, what: str) -> bool:
        return index % self.config.size(f"{what}_period") == self.config.count(f"{what}_offset")

    def recurrence(self, index: int) -> dict[str, Any]:
        """Mamba 1 with norms of step, input and output."""
        config = self.config.of_layer(index)
        has_bias = ("mamba_conv_bias", "mamba_proj_bias")
        return mamba1(config, self.d_model, inner_width(config, self.d_model), norms=True, has_bias=has_bias)

    def has_experts(self, index: int) -> bool:
        """By expert_layer_period and expert_layer_offset; a single expert is a dense layer."""
        return self.n_experts > 1 and self._is_due(index, "expert_layer")


class NemotronH(Hybrid):
    """Nemotron-H and Nemotron 3: each layer is one of Mamba 2, attention, a network or experts, with one norm."""

    types = ("nemotron_h",)
    harmless = ("time_step_rank",)  # Mamba 2 has none
    gguf = ("nemotron_h", "nemotron_h_moe")
    gguf_also = {"nemotron_h_omni": "nemotron_h_moe"}  # of Ollama
    norms = 1
    can_tie = False
    balance = True
    plain_ffn = True
    qkv_bias = output_bias = False
    mixers = {**Hybrid.mixers, "moe": "no_mixer", "mlp": "no_mixer"}
    letters = {"M": "linear_attention", "E": "moe", "*": "full_attention", "-": "mlp"}

    def architecture(self) -> str:
        """As the converter has it: with experts where the file itself says how many a token takes."""
        return "nemotron_h_moe" if self.config.given("num_experts_per_tok") else "nemotron_h"

    @property
    def n_layers(self) -> int:
        """As many as the list or the pattern names."""
        return len(self._named)

    @cached_property
    def _named(self) -> list[Any]:
        listed = self.config.items("layer_types", "layers_block_type")
        pattern = self.config.text("hybrid_override_pattern")
        if listed is None and any(letter not in self.letters for letter in pattern):
            raise self.config.wrong("hybrid_override_pattern", f"the letters are {' '.join(self.letters)}")
        if listed is None and pattern:
            return [self.letters[letter] for letter in pattern]
        return ["linear_attention", "moe", "full_attention", "mlp"] if listed is None else listed

    def rule(self, index: int) -> str:
        """As the pattern says."""
        return self._named[index]

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Older files call the width of a head attention_head_dim."""
        return super().grouped_query(index, **{"head_dim": self.config.size("head_dim", "attention_head_dim"), **more})

    def no_mixer(self, index: int) -> None:
        """A layer of this type mixes no tokens."""

    def window(self, index: int) -> dict[str, int]:
        """None: sliding_window is stated and not used."""
        return {}

    def recurrence(self, index: int) -> dict[str, Any]:
        """Mamba 2."""
        config = self.config.of_layer(index)
        inner = config.size("mamba_num_heads") * config.size("mamba_head_dim")
        more = {"conv_bias": config.flag("mamba_conv_bias", "use_conv_bias"), "bias": config.flag("use_bias")}
        return mamba2(config, inner, heads="mamba_num_heads", groups=("mamba_n_groups", "n_groups"), **more)

    def ffn(self, index: int) -> dict[str, Any] | None:
        """Only in layers of its own."""
        named = self.layer_type(index)
        return self.experts(index) if named == "moe" else self.dense(index) if named == "mlp" else None

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """Two matrices each, on a latent where moe_latent_size gives one."""
        latent = self.config.count("moe_latent_size", default=0) or None
        shared = self.config.size("moe_shared_expert_intermediate_size")
        return super().experts(index, gated=False, n_shared=1, d_shared=shared, latent=latent, **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of the shared expert and of the projections to the latent and back."""
        if self.layer_type(index) != "moe" or not self.config.flag("mlp_bias"):
            return []
        ffn = self.experts(index)
        found = [extra("ffn_up_shexp.bias", ffn["d_shared"]), extra("ffn_down_shexp.bias", self.d_model)]
        if ffn["latent"]:
            found += [extra("ffn_latent_down.bias", ffn["latent"]), extra("ffn_latent_up.bias", self.d_model)]
        return found
