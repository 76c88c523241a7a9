"""Recurrent networks without attention: RWKV-4 and xLSTM."""

from __future__ import annotations

from typing import Any

from simulator.families.family import Family, extra


class Rwkv4(Family):
    """RWKV-4: a weighted average that decays in each channel, and a network that looks one token back."""

    types = ("rwkv",)
    norm_bias = plain_ffn = True
    ffn_bias = False

    def attention(self, index: int) -> dict[str, Any] | None:
        """The state: numerator, denominator and exponent of each channel, and the last token's inputs to both halves."""
        d_model = self.d_model
        width = self.config.size("attention_hidden_size", default=d_model)
        listed = [
            extra("time_mix_key", d_model, width),
            extra("time_mix_value", d_model, width),
            extra("time_mix_receptance", d_model, width),
            extra("time_mix_output", width, d_model),
            *(extra(f"time_mix_{each}", width) for each in ("decay", "first")),
            *(extra(f"time_mix_lerp_{each}", d_model) for each in "kvr"),
        ]
        return {"kind": "recurrence", "of": "rwkv4", "state_values": 3 * width + 2 * d_model, "listed": listed}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """What the network weighs with the last token's input, its gate, and the norm of the embedding in the first layer."""
        found = [extra("channel_mix_receptance", self.d_model, self.d_model)]
        found += [extra(f"channel_mix_lerp_{each}", self.d_model) for each in "kr"]
        return found + ([extra("token_embd_norm", 2, self.d_model, small=True)] if index == 0 else [])


class XLstm(Family):
    """xLSTM: matrix memories with input and forget gates for each head."""

    types = ("xlstm",)
    can_tie = False

    @property
    def n_layers(self) -> int:
        """num_blocks, and without it num_hidden_layers."""
        return self.config.count("num_blocks", default=0) or super().n_layers

    def _round_up(self, value: float, multiple: int) -> int:
        return int((value + multiple - 1) // multiple * multiple)

    def attention(self, index: int) -> dict[str, Any] | None:
        """A matrix, a vector and a number for each head."""
        config, d_model = self.config, self.d_model
        n_heads = config.size("num_heads")
        qk, v = (
            max(1, self._round_up(d_model * config.number(f"{each}_dim_factor", default=default), 64))
            for each, default in (("qk", 0.5), ("v", 1.0))
        )
        biased = (("attn_q", qk), ("attn_k", qk), ("attn_v", v), ("attn_gate", v))
        listed = [extra(role, d_model, rows) for role, rows in biased]
        for gate in ("ssm_i", "ssm_f"):
            listed += [extra(gate, d_model, n_heads), extra(f"{gate}.bias", n_heads)]
        listed += [extra("ssm_norm", v), extra("attn_output", v, d_model)]
        if config.flag("use_bias"):
            listed += [
                extra(f"{role}.bias", rows) for role, rows in (*biased, ("ssm_norm", v), ("attn_output", d_model))
            ]
        state = (qk // n_heads) * (v // n_heads) * n_heads + qk + n_heads
        return {"kind": "recurrence", "of": "mlstm", "state_values": state, "listed": listed}

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """ffn_proj_factor times the stream's width, up to a multiple of ffn_round_up_to_multiple_of."""
        factor = self.config.number("ffn_proj_factor", default=2.667)
        width = self._round_up(self.d_model * factor, self.config.size("ffn_round_up_to_multiple_of"))
        if width < 1:
            raise self.config.wrong("ffn_proj_factor", "it leaves no width to the feed-forward network")
        return {"kind": "gated", "d_ff": width, "bias": self.config.flag("use_bias")}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of the norms."""
        return [extra("norms.bias", 2, self.d_model, small=True)] if self.config.flag("use_bias") else []
