"""Families whose layers are dense or mixtures, as mlp_layer_types says, over attention with windows."""

from __future__ import annotations

from typing import Any

from simulator.families.family import Family, extra
from simulator.families.files import Files, Windows


class Beam(Family):
    """Beam: an output gate with a bias for each head, four norms, windows but in every sixth layer and the last, three dense layers."""

    types = ("beam",)
    norms, full_every = 4, 6
    qk_norm = "head"
    ffn_bias = False

    def is_windowed(self, index: int) -> bool:
        """By layer_types; without it the last layer has none, either."""
        is_last = index == self.n_layers - 1 and self.layer_type(index) is None
        return not is_last and super().is_windowed(index)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gate, which has its own matrix."""
        attention = self.grouped_query(index)
        width = attention["n_heads"] * attention["head_dim"]
        return [extra("attn_gate", self.d_model, width), extra("attn_gate.bias", attention["n_heads"])]

    def has_experts(self, index: int) -> bool:
        """By mlp_layer_types, and without it but for the first three layers."""
        return super().has_experts(index) and (index > 2 or self.config.items("mlp_layer_types") is not None)


class Mellum(Family):
    """JetBrains' Mellum 2: norms of query and key, windows where layer_types has them, experts but where mlp_layer_types says not."""

    types = ("mellum",)
    gguf = ("mellum",)
    gguf_files = Files(windows=Windows(4))
    qk_norm = "head"
    ffn_bias = False

    def remarks(self) -> list[str]:
        """What a file may hold beside."""
        if not self.config.count("num_nextn_predict_layers", default=0):
            return []
        return ["a layer for multi-token prediction, which transformers does not load, is left out"]
