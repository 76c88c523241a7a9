"""Stacks whose layers mix tokens in different ways: attention in some, a recurrence in others."""

from __future__ import annotations

from typing import Any, ClassVar

from simulator.families.config import Config
from simulator.families.family import Family, extra
from simulator.families.mixtures import Qwen3Moe

# Names that transformers' first versions gave to layers.
_OLD_NAMES = {
    "mamba": "linear_attention",
    "attention": "full_attention",
    "deepseek_sparse_attention": "indexed_attention",
    "qwen_sparse_attention": "indexed_attention",
}


def further_blocks(config: Config) -> list[str]:
    """A remark on blocks that predict more than the next token: what checkpoints hold of them is none of the layers."""
    key = next(
        (
            each
            for each in ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")
            if config.given(each)
        ),
        None,
    )
    n_more = config.count(key, default=0) if key else 0
    return [f"{key} {n_more}: blocks that predict further tokens are not counted"] if n_more else []


class Hybrid(Family):
    """A family that says for each layer what mixes tokens in it: `layer_types`, and without that list a rule of its own."""

    mixers: ClassVar[dict[str, str]] = {
        "full_attention": "grouped_query",
        "sliding_attention": "grouped_query",
        "linear_attention": "recurrence",
    }  # the method that makes what a layer's type names

    def rule(self, index: int) -> str:
        """The type of layer *index* where no list names it."""
        raise self.config.wrong("layer_types", "a list that names the type of each layer is needed")

    def layer_type(self, index: int) -> str:
        """What layer *index* is, by today's names."""
        named = super().layer_type(index)
        named = self.rule(index) if named is None else named
        return _OLD_NAMES.get(named, named)

    def attention(self, index: int) -> dict[str, Any] | None:
        """What the type of layer *index* says."""
        named = self.layer_type(index)
        if named not in self.mixers:
            raise self.config.wrong(
                "layer_types", f"a layer of a {self.config.type} model is {' or '.join(self.mixers)}"
            )
        return getattr(self, self.mixers[named])(index)

    def recurrence(self, index: int) -> dict[str, Any]:
        """The layer with a state."""
        raise NotImplementedError


class DeltaNets(Hybrid):
    """Gated delta nets by the usual keys; every full_attention_interval-th layer is attention."""

    def rule(self, index: int) -> str:
        """The last layer of every full_attention_interval is attention."""
        interval = self.config.size("full_attention_interval", default=4)
        return "full_attention" if (index + 1) % interval == 0 else "linear_attention"

    def recurrence(self, index: int, **more: Any) -> dict[str, Any]:
        """A gated delta net; *more* replaces fields."""
        config = self.config.of_layer(index)
        return {
            "kind": "gated_delta_net",
            "n_k_heads": config.size("linear_num_key_heads"),
            "n_v_heads": config.size("linear_num_value_heads"),
            "k_dim": config.size("linear_key_head_dim"),
            "v_dim": config.size("linear_value_head_dim"),
            "conv": config.size("linear_conv_kernel_dim"),
            **more,
        }


class Qwen3Next(DeltaNets, Qwen3Moe):
    """Qwen3-Next: three gated delta nets to one attention with an output gate, a gated shared expert."""

    types = ("qwen3_next",)
    gguf = ("qwen3next",)
    shared_gate = output_gate = True


class Qwen35(DeltaNets):
    """Qwen3.5: as Qwen3-Next, dense, with decay and step of the delta nets in matrices of their own."""

    types = ("qwen3_5_text",)
    gguf = ("qwen35",)
    qk_norm = "head"
    output_gate = True
    ffn_bias = False

    def recurrence(self, index: int, **more: Any) -> dict[str, Any]:
        """A gated delta net with two matrices for its gates."""
        return super().recurrence(index, split_gates=True, **more)

    def remarks(self) -> list[str]:
        """What the checkpoint holds beside these layers."""
        return further_blocks(self.config)


class Qwen35Moe(Qwen35):
    """Qwen3.5 mixtures: experts and a gated shared expert in every layer."""

    types = ("qwen3_5_moe_text",)
    gguf = ("qwen35moe",)
    shared_gate = True


class LaraMini(Qwen35Moe):
    """Translated's Lara 4 Mini: delta nets, windows and full attention in turn, an ungated shared expert."""

    types = ("lara_mini",)
    output_gate = shared_gate = False
    tied = True

    def rule(self, index: int) -> str:
        """A pattern of five layers."""
        pattern = ("linear_attention", "sliding_attention", "linear_attention", "full_attention", "sliding_attention")
        return pattern[index % len(pattern)]


class OlmoHybrid(DeltaNets):
    """OLMo Hybrid: three gated delta nets to one attention, norms of query and key over all heads."""

    types = ("olmo_hybrid",)
    qk_norm = "full"

    def rule(self, index: int) -> str:
        """Every fourth layer is attention, in a shorter stack the last."""
        is_full = index % 4 == 3 or (self.n_layers < 4 and index == self.n_layers - 1)
        return "full_attention" if is_full else "linear_attention"

    def recurrence(self, index: int, **more: Any) -> dict[str, Any]:
        """As many heads as attention has, keys of three quarters of the width, values twice as wide, where not stated."""
        n_heads = self.config.size("num_attention_heads")
        n_k = self.config.size("linear_num_key_heads", default=n_heads)
        k_dim = self.config.size("linear_key_head_dim", default=max(1, int(0.75 * self.d_model / n_k)))
        return {
            "kind": "gated_delta_net",
            "n_k_heads": n_k,
            "n_v_heads": self.config.size("linear_num_value_heads", default=n_heads),
            "k_dim": k_dim,
            "v_dim": self.config.size("linear_value_head_dim", default=2 * k_dim),
            "conv": self.config.size("linear_conv_kernel_dim"),
            "split_gates": True,
            **more,
        }


class RecurrentGemma(Hybrid):
    """RecurrentGemma (Griffin): two gated linear recurrences to one attention with a window."""

    types = ("recurrent_gemma",)
    tied = True
    ffn_bias = output_bias = uses_window = True

    def layer_type(self, index: int) -> str:
        """As block_types lists them, over and over."""
        kinds = self.config.items("block_types") or ["recurrent", "recurrent", "attention"]
        return "linear_attention" if kinds[index % len(kinds)] == "recurrent" else "sliding_attention"

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """intermediate_size counts gate and up together."""
        return super().dense(index, d_ff=max(1, self.config.size("intermediate_size") // 2), **more)

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """The width of a head is none of the keys."""
        head_dim = max(1, self.d_model // self.config.size("num_attention_heads"))
        return super().grouped_query(index, **{"head_dim": self.config.size("head_dim", default=head_dim), **more})

    def recurrence(self, index: int) -> dict[str, Any]:
        """Two projections in, a convolution, gates of each head's own, and the projection out."""
        width = self.config.size("lru_width", default=self.d_model)
        conv, n_heads = self.config.size("conv1d_width"), self.config.size("num_attention_heads")
        block = max(1, width // n_heads)
        listed = [
            extra("rec_y", self.d_model, width),
            extra("rec_y.bias", width),
            extra("rec_x", self.d_model, width),
            extra("rec_x.bias", width),
            extra("rec_conv1d", conv, width, small=True),
            extra("rec_conv1d.bias", width),
            extra("rec_a", width),
            extra("rec_input_gate", block, n_heads * block),
            extra("rec_input_gate.bias", n_heads * block),
            extra("rec_gate", block, n_heads * block),
            extra("rec_gate.bias", n_heads * block),
            extra("rec_out", width, self.d_model),
            extra("rec_out.bias", self.d_model),
        ]
        return {"kind": "recurrence", "of": "rg-lru", "state_values": width * conv, "listed": listed}
