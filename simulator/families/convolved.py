"""Attention whose keys and values pass through short convolutions: Inkling and Zaya."""

from __future__ import annotations

from typing import Any

from simulator.families.family import extra
from simulator.families.hybrid import Hybrid
from simulator.families.loops import check_runs


def convolutions(channels: int, width: int, listed: list[dict[str, Any]]) -> dict[str, Any]:
    """Short convolutions over the last *width* tokens of *channels*: the state is what they still need of the past."""
    state = channels * max(1, width - 1)
    return {
        "kind": "recurrence",
        "of": "short convolutions",
        "state_values": state,
        "flops_per_value": 3.0,
        "listed": listed,
    }


class Inkling(Hybrid):
    """Thinking Machines' Inkling: convolutions of keys, values and both halves' outputs, learned relative positions, shared experts."""

    types = ("inkling_text",)
    qk_norm = "head"
    qkv_bias = output_bias = ffn_bias = False
    can_tie = False
    balance = True
    mixers = {"hybrid": "convolved", "hybrid_sliding": "convolved"}

    def rule(self, index: int) -> str:
        """By local_layer_ids, and without them all but every sixth layer has a window."""
        listed = self.config.items("local_layer_ids")
        is_local = (index + 1) % 6 != 0 if listed is None else index in listed
        return "hybrid_sliding" if is_local else "hybrid"

    def is_local(self, index: int) -> bool:
        """Whether layer *index* has a window."""
        return self.layer_type(index) == "hybrid_sliding"

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Layers with a window have heads of their own."""
        own = "swa_" if self.is_local(index) else ""
        names = {"n_heads": "num_attention_heads", "n_kv_heads": "num_key_value_heads", "head_dim": "head_dim"}
        window = {"window": self.config.size("sliding_window_size", "sliding_window")} if own else {}
        found = {field: self.config.size(own + name) for field, name in names.items()}
        return {"kind": "grouped_query", "qk_norm": self.qk_norm, **found, **window, **more}

    def convolved(self, index: int) -> dict[str, Any]:
        """Attention, and the convolutions beside it."""
        found = self.grouped_query(index)
        width = self.config.size("conv_kernel_size", "sconv_kernel_size")
        kv = found["n_kv_heads"] * found["head_dim"]
        channels = {"attn_k": kv, "attn_v": kv, "attn_out": self.d_model, "ffn_out": self.d_model}
        listed = [extra(f"{role}_conv1d", width, count, small=True) for role, count in channels.items()]
        return {"kind": "parallel", "parts": [found, convolutions(sum(channels.values()), width, listed)]}

    def relative_positions(self, index: int) -> list[dict[str, Any]]:
        """A projection for each head, and what it weighs by distance."""
        found, d_rel = self.grouped_query(index), self.config.size("d_rel")
        extent = found.get("window") or self.config.size("rel_extent")
        return [
            extra("attn_rel", self.d_model, found["n_heads"] * d_rel),
            extra("attn_rel_bias", extent, d_rel, small=True),
        ]

    def _widths(self) -> tuple[int, int]:
        """Of the dense network and of an expert: older files call the first dense_intermediate_size, the second intermediate_size."""
        older = self.config.count("dense_intermediate_size", default=0)
        if older:
            return older, self.config.size("intermediate_size")
        return self.config.size("intermediate_size"), self.config.size("moe_intermediate_size")

    def has_experts(self, index: int) -> bool:
        """By mlp_layer_types, and without it from dense_mlp_idx on."""
        named = self.config.item(index, "mlp_layer_types")
        return index >= self.config.count("dense_mlp_idx", default=0) if named is None else named == "sparse"

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """Gate, up and down."""
        return super().dense(index, d_ff=self._widths()[0], **more)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """Shared experts as wide as the others."""
        width, n_shared = self._widths()[1], self.config.count("n_shared_experts", default=0)
        return super().experts(index, d_expert=width, n_shared=n_shared, d_shared=n_shared * width, **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Relative positions; the router's rows for shared experts; a scale of what the network puts out."""
        found = [*self.relative_positions(index), extra("ffn_scale", 1)]
        n_shared = self.config.count("n_shared_experts", default=0) if self.has_experts(index) else 0
        return found + ([extra("ffn_gate_inp.shared", self.d_model, n_shared, small=n_shared == 1)] if n_shared else [])

    def beside(self) -> list[dict[str, Any]]:
        """The norm of the embedding."""
        return [extra("token_embd_norm", self.d_model)]


class Inkling2(Inkling):
    """Inkling 2: layers read a mixture of earlier blocks' outputs; gates and learned sinks, no shared experts."""

    types = ("inkling2_text",)
    qk_norm = None

    def rule(self, index: int) -> str:
        """All but every sixth layer have a window."""
        return "hybrid_sliding" if (index + 1) % 6 else "hybrid"

    def model(self) -> dict[str, Any]:
        """The head leaves out the rows that only pad the vocabulary."""
        return {**super().model(), "head_rows": self.config.size("unpadded_vocab_size", default=self.vocab)}

    def has_experts(self, index: int) -> bool:
        """Always."""
        return True

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """No shared ones."""
        width = self.config.size("moe_intermediate_size", "intermediate_size")
        return super(Inkling, self).experts(index, d_expert=width, n_shared=0, d_shared=0, **more)

    def layer(self, index: int) -> dict[str, Any]:
        """Where attention sees everything, queries, keys and values have norms of their own."""
        return {**super().layer(index), "norms": 2 if self.is_local(index) else 4}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Positions, scales, gates and sinks of attention, and what weighs earlier blocks."""
        found, d_rel = self.grouped_query(index), self.config.size("d_rel")
        n_heads, head_dim, n_kv = found["n_heads"], found["head_dim"], found["n_kv_heads"]
        listed = [
            *self.relative_positions(index),
            extra("attn_rel_scale", n_heads, d_rel, small=True),
            extra("attn_q_scale", n_heads, head_dim, small=True),
            extra("attn_gate", self.d_model, n_heads * head_dim),
            extra("attn_sink", self.d_model, n_heads),
            extra("ffn_blocks", self.d_model),
        ]
        is_local = self.is_local(index)
        if index:
            listed.append(extra("attn_blocks", self.d_model, 1 if is_local else 3, small=True))
        if not is_local:  # convolutions of keys and values there are made of the token
            rows = n_kv * self.config.size("conv_kernel_size", "sconv_kernel_size")
            listed += [extra(f"{role}_conv_made", self.d_model, rows) for role in ("attn_k", "attn_v")]
        return listed

    def beside(self) -> list[dict[str, Any]]:
        """And what weighs the blocks before the head."""
        return [*super().beside(), extra("output_blocks", self.d_model)]


class Inkling2Loop(Inkling2):
    """Inkling 2 with layers in the middle that run loop_num_passes times, with messages from pass to pass."""

    types = ("inkling2_loop_text",)

    def _loop(self, name: str, older: str) -> int:
        part = self.config.part("loop_config")
        stated = part.count(older, default=-1) if part and part.given(older) else -1
        return self.config.size(name) if stated < 0 else stated

    @property
    def _span(self) -> range:
        start, end = self._loop("loop_layer_index_start", "core_start"), self._loop("loop_layer_index_end", "core_end")
        return range(start, end)

    def model(self) -> dict[str, Any]:
        """The layers, and after them those that run again."""
        data = super().model()
        n_again = self._loop("loop_num_passes", "num_passes") - 1
        again = data["layers"][self._span.start : self._span.stop]
        check_runs(self.config, "loop_num_passes", len(data["layers"]) + max(0, n_again) * len(again))
        repeated = [{**layer, "shares_weights": True} for layer in again]
        numbers = [*range(len(data["layers"]))][self._span.start : self._span.stop]
        return {**data, "layers": [*data["layers"], *(n_again * repeated)], "repeats": n_again * numbers}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """And the gates of four messages, in layers that run again."""
        found = super().layer_beside(index)
        if index not in self._span:
            return found
        rank = self._loop("loop_gate_rank", "gate_rank")
        for what in ("q", "k", "v", "ffn"):
            found.append(extra(f"message_{what}_down", 2 * self.d_model, rank))
            found += [extra(f"message_{what}_{gate}", rank, self.d_model) for gate in ("forget", "write")]
        return found

    def beside(self) -> list[dict[str, Any]]:
        """And what weighs the messages of each layer."""
        n_weights = 4 * len(self._span)
        more = [extra("message_blocks", self.d_model, n_weights, small=True)] if n_weights else []
        return [*super().beside(), *more]

    def remarks(self) -> list[str]:
        """What runs again."""
        n_passes, span = self._loop("loop_num_passes", "num_passes"), self._span
        return [
            f"layers {span.start} to {span.stop - 1} run {n_passes} times for each token: read as often, cached for each"
        ]


class Zaya(Hybrid):
    """Zyphra's ZAYA1: attention in a compressed, convolved space; a router of three matrices that can choose no expert at all."""

    types = ("zaya",)
    tied = True
    balance = True
    mixers = {"hybrid": "convolved", "hybrid_sliding": "convolved"}

    def rule(self, index: int) -> str:
        """No windows."""
        return "hybrid"

    def is_windowed(self, index: int) -> bool:
        """By the layer's type."""
        return self.layer_type(index) == "hybrid_sliding"

    def convolved(self, index: int) -> dict[str, Any]:
        """Attention, and what queries, keys and half of the values still need of the past."""
        found = self.grouped_query(index)
        n_heads, n_kv, head_dim = found["n_heads"], found["n_kv_heads"], found["head_dim"]
        q, kv = n_heads * head_dim, n_kv * head_dim
        shapes = [("attn_q", self.d_model, q), ("attn_k", self.d_model, kv)]
        shapes += [
            ("attn_v", self.d_model, kv // 2),
            ("attn_v_late", self.d_model, kv // 2),
            ("attn_output", q, self.d_model),
        ]
        found["listed"] = [extra(role, columns, rows) for role, columns, rows in shapes]
        if found["qkv_bias"]:
            found["listed"] += [extra(f"{role}.bias", rows) for role, _, rows in shapes]
        found["listed"].append(extra("attn_k_scale", n_kv))
        first, second = self.config.size("cca_time0"), self.config.size("cca_time1")
        listed = [
            extra("attn_conv1d", first, q + kv, small=True),
            extra("attn_conv1d.bias", q + kv),
            extra("attn_conv1d_heads", second * head_dim, q + kv),
            extra("attn_conv1d_heads.bias", q + kv),
        ]
        state = (q + kv) * (first + second - 2) + kv // 2
        more = {"state_values": max(1, state), "flops_per_value": 3.0, "listed": listed}
        return {"kind": "parallel", "parts": [found, {"kind": "recurrence", "of": "short convolutions", **more}]}

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """One more choice, which skips the experts; the router's last matrix reads what the others made."""
        return super().experts(index, n_zero=1, router_width=self.config.size("router_hidden_size"), **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The router's other matrices, and scales and biases of both residual sums."""
        width = self.config.size("router_hidden_size")
        found = [extra("ffn_gate_inp_down", self.d_model, width), extra("ffn_gate_inp_down.bias", width)]
        for number in (1, 2):
            found += [extra(f"ffn_gate_inp_fc{number}", width, width), extra(f"ffn_gate_inp_fc{number}.bias", width)]
        found += [extra("ffn_gate_inp_norm", width)] + ([extra("ffn_gate_inp_scale", width)] if index else [])
        return [*found, extra("residual_scales", self.d_model, 8, small=True)]

    def beside(self) -> list[dict[str, Any]]:
        """Scale and bias of the embedding."""
        return [extra("token_embd_scale", self.d_model, 2, small=True)]
