"""Zyphra's Zamba: state-space layers, some of them after attention whose weights they share."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from typing import Any

from simulator.families.family import extra
from simulator.families.hybrid import Hybrid
from simulator.families.mamba import inner_width, mamba1, mamba2


class Zamba(Hybrid):
    """Zamba 1: Mamba 1; a hybrid layer also has attention and a network that read the embedding too, the same in all of them."""

    types = ("zamba",)
    tied = True
    mixers = {"linear_attention": "recurrence", "hybrid": "both"}
    n_blocks = 1  # sets of shared weights, which take turns

    def rule(self, index: int) -> str:
        """After three layers of which the last is hybrid, by attn_layer_period and attn_layer_offset."""
        if index < 3:
            return "hybrid" if index == 2 else "linear_attention"
        period, offset = self.config.size("attn_layer_period"), self.config.count("attn_layer_offset")
        return "hybrid" if (index - 3) % period == offset else "linear_attention"

    def turn(self, index: int) -> int:
        """How many hybrid layers stand before layer *index*."""
        return self._turns[index]

    @cached_property
    def _turns(self) -> list[int]:
        kinds = (self.layer_type(index) == "hybrid" for index in range(self.n_layers))
        return list(accumulate(kinds, initial=0))

    def is_again(self, index: int) -> bool:
        """Whether layer *index* reads an earlier one's attention: only where transformers ties weights at all."""
        return self.config.flag("tie_word_embeddings", default=self.tied) and self.turn(index) >= self.n_blocks

    @property
    def d_attention(self) -> int:
        """What attention reads: the stream and the embedding, side by side."""
        return self.config.size("attention_hidden_size", default=2 * self.d_model)

    def recurrence(self, index: int) -> dict[str, Any]:
        """Mamba 1, its heads making step, input and output for themselves."""
        config = self.config.of_layer(index)
        n_heads, has_bias = config.size("n_mamba_heads"), ("mamba_conv_bias", "mamba_proj_bias")
        inner = inner_width(config, self.d_model)
        if inner % n_heads:
            raise config.wrong("n_mamba_heads", f"it must divide the {inner:,} channels of the state")
        return mamba1(config, self.d_model, inner, n_heads=n_heads, has_bias=has_bias)

    def both(self, index: int) -> dict[str, Any]:
        """Attention, and the state-space layer after it."""
        return {"kind": "parallel", "parts": [self.shared_attention(index), self.recurrence(index)]}

    def shared_attention(self, index: int) -> dict[str, Any]:
        """Attention over stream and embedding."""
        head_dim = self.config.size("attention_head_dim", default=max(1, 2 * self.d_model // self._n_heads))
        found, again = self.grouped_query(index, head_dim=head_dim), self.is_again(index)
        q, kv = self._n_heads * head_dim, found["n_kv_heads"] * head_dim
        found["listed"] = [
            extra("attn_q", self.d_attention, q, again=again),
            extra("attn_k", self.d_attention, kv, again=again),
            extra("attn_v", self.d_attention, kv, again=again),
            extra("attn_output", q, self.d_model, again=again),
        ]
        return found

    @property
    def _n_heads(self) -> int:
        return self.config.size("num_attention_heads")

    def layer(self, index: int) -> dict[str, Any]:
        """The shared network stands beside the mixers: the state-space layer after it has none."""
        return {**super().layer(index), "norms": 1}

    def ffn(self, index: int) -> None:
        """None of its own."""

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Of a hybrid layer, the shared network and norms, and what joins their output to the stream."""
        if self.layer_type(index) != "hybrid":
            return []
        again = self.is_again(index)
        return [
            *self.shared_network(again),
            extra("attn_in_norm", self.d_attention, again=again),
            extra("ffn_in_norm", self.d_model, again=again),
            extra("ssm_join", self.d_model, self.d_model),
        ]

    def shared_network(self, again: bool) -> list[dict[str, Any]]:
        """Gate, up and down."""
        width = self.config.size("intermediate_size", default=4 * self.d_model)
        ups = [extra(role, self.d_model, width, again=again) for role in ("ffn_gate", "ffn_up")]
        return [*ups, extra("ffn_down", width, self.d_model, again=again)]

    def remarks(self) -> list[str]:
        """What is shared."""
        if not any(self.is_again(index) for index in range(self.n_layers) if self.layer_type(index) == "hybrid"):
            return []
        return ["hybrid layers share the weights of their attention: stored once, read in each of them"]


class Zamba2(Zamba):
    """Zamba 2: Mamba 2; num_mem_blocks sets of shared weights take turns, which each hybrid layer adapts at low rank."""

    types = ("zamba2",)
    harmless = ("gated_linear_unit",)

    @property
    def n_blocks(self) -> int:
        """Sets of shared weights."""
        return self.config.size("num_mem_blocks")

    @property
    def n_layers(self) -> int:
        """As many as layers_block_type lists, and without it num_hidden_layers."""
        listed = self.config.items("layers_block_type", "layer_types")
        return len(listed) if listed is not None else super().n_layers

    def rule(self, index: int) -> str:
        """That of Zamba2-2.7B: every sixth layer, and two more towards the end."""
        return "hybrid" if index in (6, 12, 18, 24, 30, 36, 42, 47, 51) else "linear_attention"

    def recurrence(self, index: int) -> dict[str, Any]:
        """Mamba 2, its convolution always with a bias."""
        config = self.config.of_layer(index)
        inner = inner_width(config, self.d_model)
        bias = config.flag("add_bias_linear")
        return mamba2(config, inner, heads="n_mamba_heads", groups=("mamba_ngroups",), bias=bias)

    def shared_network(self, again: bool) -> list[dict[str, Any]]:
        """And biases, where add_bias_linear says so."""
        found = super().shared_network(again)
        if self.config.flag("add_bias_linear"):
            width = self.config.size("intermediate_size", default=4 * self.d_model)
            found += [extra("ffn_up.bias", 2 * width, again=again), extra("ffn_down.bias", self.d_model, again=again)]
        return found

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """And the adapters."""
        found = super().layer_beside(index)
        return found + self.adapters(index) if found else []

    def adapters(self, index: int) -> list[dict[str, Any]]:
        """Of this layer; without tied weights each layer holds those of all that would share its block."""
        listed = self.config.items("hybrid_layer_ids")
        turn, n_hybrid = self.turn(index), self.turn(self.n_layers) if listed is None else len(listed)
        n_held = int(turn < n_hybrid)
        if not self.config.flag("tie_word_embeddings", default=self.tied):
            n_held = len(range(turn % self.n_blocks, n_hybrid, self.n_blocks))
        if not n_held:
            return []
        rank, width = self.config.size("adapter_rank"), self.config.size("intermediate_size", default=4 * self.d_model)
        wide = [("ffn_up", self.d_model, 2 * width)]
        if self.config.flag("use_shared_attention_adapter"):
            wide += [(f"attn_{each}", self.d_attention, self.d_attention) for each in "qkv"]
        found = []
        for role, columns, rows in wide:
            found += [extra(f"{role}.adapter_a", columns, rank), extra(f"{role}.adapter_b", rank, rows)]
            if n_held > 1:
                found.append(extra(f"{role}.adapters", columns + rows, rank * (n_held - 1), idle=True))
        return found
