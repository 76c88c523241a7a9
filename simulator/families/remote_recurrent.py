"""Recurrent decoders whose code comes with the checkpoint: RWKV 5 to 7 and PLaMo 2, as llama.cpp b11549 and vLLM 0.11 read them."""

from __future__ import annotations

from typing import Any

from simulator.families.family import Family, extra
from simulator.families.files import Files
from simulator.families.hybrid import Hybrid


class Rwkv5(Family):
    """RWKV-5, Eagle (arXiv 2404.05892): a matrix for each head that decays, and a network that looks one token back."""

    types = ("rwkv5",)
    norm_bias = plain_ffn = True
    ffn_bias = can_tie = False
    harmless = ("head_size_divisor", "rescale_every", "model_version", "num_attention_heads")
    looks = "kvrg"  # what is made of a mix with the last token

    @property
    def head_size(self) -> int:
        """Width of a head."""
        return self.config.size("head_size", "head_dim", default=64)

    @property
    def width(self) -> int:
        """Of all heads."""
        width = self.config.size("attention_hidden_size", default=self.d_model)
        if width != self.d_model or width % self.head_size:
            raise self.config.wrong("attention_hidden_size", f"hidden_size, a multiple of {self.head_size}, is needed")
        return width

    def model(self) -> dict[str, Any]:
        """There is no limit to its context, and the head is a matrix of its own."""
        if self.config.flag("tie_word_embeddings"):
            raise self.config.wrong("tie_word_embeddings", "RWKV has a head of its own")
        return {**super().model(), "max_context": None}

    def attention(self, index: int) -> dict[str, Any] | None:
        """The state: a matrix for each head, and the last token's inputs to both halves."""
        width = self.width
        listed = [
            *(extra(f"time_mix_{each}", self.d_model, width) for each in ("receptance", "key", "value")),
            *self.gates(index),
            extra("time_mix_output", width, self.d_model),
            extra("time_mix_ln", width),
            extra("time_mix_ln.bias", width),
            *(extra(f"time_mix_lerp_{each}", self.d_model) for each in self.looks),
        ]
        state = width * self.head_size + 2 * self.d_model
        return {"kind": "recurrence", "of": self.config.type, "state_values": state, "listed": listed}

    def gates(self, index: int) -> list[dict[str, Any]]:
        """The gate, and for each channel a decay and a weight of the present token."""
        vectors = [extra(f"time_mix_{each}", self.width) for each in ("decay", "first")]
        return [extra("time_mix_gate", self.d_model, self.width), *vectors]

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """Three and a half times d_model wide, as a multiple of 32."""
        width = self.config.count("intermediate_size", default=0) or int(self.d_model * 3.5) // 32 * 32
        return {"kind": "plain", "d_ff": width}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """What the network weighs with the last token's input, its gate, and the norm of the embedding in the first layer."""
        found = [extra("channel_mix_receptance", self.d_model, self.d_model)]
        return found + [extra(f"channel_mix_lerp_{each}", self.d_model) for each in "kr"] + self.first_norm(index)

    def first_norm(self, index: int) -> list[dict[str, Any]]:
        """The norm of the embedding."""
        return [extra("token_embd_norm", 2, self.d_model, small=True)] if index == 0 else []


class Rwkv6(Rwkv5):
    """RWKV-6, Finch (arXiv 2404.05892): decay and mixes depend on the token, at low rank."""

    types = ("rwkv6",)
    gguf = ("rwkv6",)
    looks = "xwkvrg"

    def gates(self, index: int) -> list[dict[str, Any]]:
        """And what makes decay and mixes, at twice the rank where d_model is 4096."""
        mixed, decayed = (64, 128) if self.d_model == 4096 else (32, 64)
        made = [
            extra("time_mix_w1", self.d_model, 5 * mixed),
            extra("time_mix_w2", 5 * mixed, self.d_model),
            extra("time_mix_decay_w1", self.d_model, decayed),
            extra("time_mix_decay_w2", decayed, self.width),
        ]
        return [*super().gates(index), *made]


class Rwkv7(Rwkv5):
    """RWKV-7, Goose (arXiv 2503.14456): a delta rule whose decay, rate, gate and mix of values are made at low rank."""

    types = ("rwkv7",)
    classes = (
        "Rwkv7ForCausalLM",
        "RWKV7ForCausalLM",
    )
    gguf = ("rwkv7",)
    looks = "rwkvag"
    harmless = (
        "num_heads", "attn_mode", "hidden_ratio", "norm_first", "fuse_norm", "value_dim", "fuse_cross_entropy", "rescale_every",
        "head_size_divisor", "num_attention_heads", "use_l2warp",
    )  # fmt: skip

    def model(self) -> dict[str, Any]:
        """Attention between is not known."""
        if self.config.get("attn") is not None:
            raise self.config.wrong("attn", "RWKV-7 with attention in some layers is not known here")
        if not self.config.flag("norm_bias", default=True):
            raise self.config.wrong("norm_bias", "only true is known")
        return super().model()

    def rank(self, *names: str, power: float = 0.5, factor: float) -> int:
        """As stated, or by the width."""
        worked_out = max(1, round(self.d_model**power * factor / 32)) * 32
        return self.config.size(*names, default=worked_out)

    def gates(self, index: int) -> list[dict[str, Any]]:
        """Two matrices each; the first layer mixes no values, for there is none before it."""
        ranks = {
            "w": self.rank("decay_low_rank_dim", "lora_rank_decay", factor=1.8),
            "a": self.rank("a_low_rank_dim", "lora_rank_iclr", factor=1.8),
            "v": self.rank("v_low_rank_dim", "lora_rank_value_residual_mix", factor=1.3),
            "g": self.rank("gate_low_rank_dim", "lora_rank_gate", power=0.8, factor=0.6),
        }
        if index == 0:
            del ranks["v"]
        found = [extra(f"time_mix_{each}", self.width) for each in ("k_k", "k_a", "r_k")]
        for each, rank in ranks.items():
            found += [extra(f"time_mix_{each}1", self.d_model, rank), extra(f"time_mix_{each}2", rank, self.width)]
            found += [] if each == "g" else [extra(f"time_mix_{each}0", self.width)]
        return found

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """Four times d_model wide."""
        return {"kind": "plain", "d_ff": self.config.count("intermediate_size", default=0) or 4 * self.d_model}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The mix with the last token, and the norm of the embedding in the first layer."""
        return [extra("channel_mix_lerp_k", self.d_model), *self.first_norm(index)]


class Plamo2(Hybrid):
    """PLaMo 2 and 2.1: Mamba 2 and attention in turn, four norms, norms of every query and key head."""

    types = ("plamo2",)
    gguf = ("plamo2",)
    gguf_files = Files(state_groups=True)
    harmless = ("mamba_chunk_size", "full_attention_idx", "attention_window_size")
    norms = 4
    qk_norm = "full"
    tied = fused_qkv = fused_ffn = True
    qkv_bias = output_bias = ffn_bias = False

    def rule(self, index: int) -> str:
        """The middle layer of every mamba_step is attention, in a shorter stack the last."""
        step = self.config.size("mamba_step", default=2)
        if not self.config.flag("mamba_enabled", default=True) or step < 2:
            raise self.config.wrong("mamba_step", "PLaMo 2 without Mamba is not known here")
        if self.n_layers <= step // 2:
            return "full_attention" if index == self.n_layers - 1 else "linear_attention"
        return "full_attention" if index % step == step // 2 else "linear_attention"

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Heads of hidden_size_per_head; windows of all layers but those of full_attention_idx."""
        config = self.config
        window = config.count("attention_window_size", default=0)
        own = {"head_dim": config.size("hidden_size_per_head"), "qk_norm": "full"}
        if window and index not in (config.items("full_attention_idx") or []):
            own["window"] = window
        return super().grouped_query(index, **{**own, **more})

    def recurrence(self, index: int) -> dict[str, Any]:
        """Mamba 2 whose step, input and output are made of what is convolved, each with a norm."""
        config, d_model = self.config, self.d_model
        n_heads, state = config.size("mamba_num_heads"), config.size("mamba_d_state")
        conv, inner = config.size("mamba_d_conv"), n_heads * config.size("hidden_size_per_head")
        rank = max(64, d_model // 16)
        listed = [
            extra("ssm_in", d_model, 2 * inner),
            extra("ssm_conv1d", conv, inner, small=True),
            extra("ssm_x", inner, rank + 2 * state),
            extra("ssm_dt", rank, n_heads),
            *(extra(role, n_heads) for role in ("ssm_dt.bias", "ssm_a", "ssm_d")),
            extra("ssm_dt_norm", rank),
            extra("ssm_b_norm", state),
            extra("ssm_c_norm", state),
            extra("ssm_out", inner, d_model),
        ]
        return {"kind": "recurrence", "of": "mamba2", "state_values": inner * (state + conv - 1), "listed": listed}
