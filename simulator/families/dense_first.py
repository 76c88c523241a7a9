"""Mixtures of experts whose first layers are dense, as DeepSeek's are, over ordinary attention."""

from __future__ import annotations

from typing import Any

from simulator.families.family import Family, extra, shared_biases
from simulator.families.files import Files, Windows


class DenseFirst(Family):
    """Which layers have experts: by mlp_layer_types, and without it from first_k_dense_replace on."""

    balance = True

    def has_experts(self, index: int) -> bool:
        """By either."""
        if not self.n_experts:
            return False
        if self.config.items("mlp_layer_types") is None:
            return index >= self.config.count("first_k_dense_replace", default=1)
        return super().has_experts(index)


class _FirstKeyAlone(DenseFirst):
    """Those that know no mlp_layer_types."""

    def has_experts(self, index: int) -> bool:
        """From first_k_dense_replace on."""
        return bool(self.n_experts) and index >= self.config.count("first_k_dense_replace", default=0)


class Glm4Moe(_FirstKeyAlone):
    """GLM-4.5 to 4.7: norms of query and key as use_qk_norm says."""

    types = ("glm4_moe",)
    gguf = ("glm4moe",)
    output_bias = False
    qk_norm, qk_norm_key = "head", "use_qk_norm"


class SarvamMoe(Glm4Moe):
    """Sarvam's mixtures: GLM-4.5's layers."""

    types = ("sarvam_moe",)
    converted = "bailingmoe2"  # by the class that published checkpoints name


class SolarOpen(DenseFirst):
    """Solar Open: experts in every layer."""

    types = ("solar_open",)
    converted = "glm4moe"
    output_bias = False
    qk_norm, qk_norm_key = "head", "use_qk_norm"

    def has_experts(self, index: int) -> bool:
        """Always."""
        return True


class Dots1(_FirstKeyAlone):
    """dots.llm1: norms of query and key, windows from max_window_layers on."""

    types = ("dots1",)
    gguf = ("dots1",)
    qk_norm = "head"

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it from max_window_layers on."""
        named = self.layer_type(index)
        if named is None:
            return index >= self.config.count("max_window_layers", default=self.n_layers)
        return named == "sliding_attention"


class ExaoneMoe(DenseFirst):
    """EXAONE mixtures: norms of query and key, windows by sliding_window_pattern."""

    types = ("exaone_moe",)
    gguf = ("exaone-moe",)
    gguf_files = Files(windows=Windows(4, tokens=128, asks=False))
    qk_norm = "head"
    qkv_bias = output_bias = ffn_bias = False

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it all but every sliding_window_pattern-th layer."""
        named = self.layer_type(index)
        if named is None:
            return (index + 1) % self.config.size("sliding_window_pattern", default=4) != 0
        return named == "sliding_attention"


class HunyuanV3(DenseFirst):
    """Hunyuan 3: norms of query and key, shared experts with biases as mlp_bias says."""

    types = ("hy_v3",)
    gguf = ("hy_v3",)
    qk_norm = "head"

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of the shared experts."""
        if not self.config.flag("mlp_bias") or not self.has_experts(index):
            return []
        return shared_biases(self.experts(index)["d_shared"], self.d_model)


class Laguna(DenseFirst):
    """Laguna: a gate for what attention puts out, heads by layer, a shared expert."""

    types = ("laguna",)
    gguf = ("laguna",)
    gguf_files = Files(windows=Windows(4, full_first=True))
    qk_norm = "head"
    balance, router_bias = False, True

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Heads as num_attention_heads_per_layer says."""
        name = "num_attention_heads_per_layer"
        own = {} if self.config.items(name) is None else {"n_heads": self.config.size_in(index, name)}
        return super().grouped_query(index, **own, **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gate: a value for each head, or for each value of each."""
        found = self.grouped_query(index)
        each = 1 if self.config.get("gating") in (True, "per-head") else found["head_dim"]
        return [extra("attn_gate", self.d_model, found["n_heads"] * each)]


class MiMoV2(DenseFirst):
    """MiMo-V2-Flash: windowed layers with heads and a learned sink of their own, values narrower than keys."""

    types = ("mimo_v2_flash", "mimo_v2")
    mtp_layer = 0  # dense
    like = "mimo_v2_flash"
    harmless = ("attention_chunk_size",)
    gguf = ("mimo2",)
    gguf_files = Files(windows=Windows())
    output_bias = False

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it all but the first and every sixth layer."""
        named, older = self.layer_type(index), self.config.item(index, "hybrid_layer_pattern")
        if named is None:
            return index > 0 and (index + 1) % 6 != 0 if older is None else bool(older)
        return named == "sliding_attention"

    def has_experts(self, index: int) -> bool:
        """Older files list them in moe_layer_freq."""
        older = self.config.item(index, "moe_layer_freq")
        return super().has_experts(index) if older is None else bool(older)

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Windowed layers have twice the key/value heads, or as many as older files state for them."""
        config = self.config
        found = super().grouped_query(index, v_head_dim=config.size("v_head_dim"), **more)
        if not self.is_windowed(index):
            return {**found, "sinks": config.flag("add_full_attention_sink_bias")}
        return {
            **found,
            "n_heads": config.size("swa_num_attention_heads", default=found["n_heads"]),
            "n_kv_heads": config.size("swa_num_key_value_heads", default=2 * found["n_kv_heads"]),
            "head_dim": config.size("swa_head_dim", default=found["head_dim"]),
            "v_head_dim": config.size("swa_v_head_dim", default=found["v_head_dim"]),
            "sinks": config.flag("add_swa_attention_sink_bias", default=True),
        }

    def window(self, index: int) -> dict[str, int]:
        """Older files state one token less, as sliding_window_size."""
        if self.config.given("sliding_window_size") and self.is_windowed(index):
            return {"window": self.config.size("sliding_window_size") + 1}
        return super().window(index)


class Kolibri(DenseFirst):
    """Kolibri: four norms, every fifth layer without a window, a shared expert."""

    types = ("kolibri1",)
    qk_norm = "head"
    norms = 4

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it all but every fifth layer."""
        named = self.layer_type(index)
        return (index + 1) % 5 != 0 if named is None else named == "sliding_attention"

    def has_experts(self, index: int) -> bool:
        """Always."""
        return True


class Afmoe(DenseFirst):
    """Arcee's AFMoE: four norms, a gate for what attention puts out, windows but in every fourth layer."""

    types = ("afmoe",)
    gguf = ("afmoe",)
    gguf_files = Files(windows=Windows(4))
    qk_norm = "head"
    norms = 4
    balance, router_bias = False, True

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it all but every global_attn_every_n_layers-th layer."""
        named = self.layer_type(index)
        if named is None:
            return (index + 1) % self.config.size("global_attn_every_n_layers", default=4) != 0
        return named == "sliding_attention"

    def has_experts(self, index: int) -> bool:
        """From num_dense_layers on."""
        return index >= self.config.count("num_dense_layers", default=0)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gate."""
        found = self.grouped_query(index)
        return [extra("attn_gate", self.d_model, found["n_heads"] * found["head_dim"])]


class Ernie45Moe(Family):
    """ERNIE 4.5 mixtures: experts from moe_layer_start_index to moe_layer_end_index, biases as use_bias says."""

    types = ("ernie4_5_moe",)
    mtp_layer = 0  # dense
    gguf = ("ernie4_5-moe",)
    tied = True
    router_bias = True
    bias_key = "use_bias"

    @property
    def n_experts(self) -> int:
        """Routed experts of a layer that has some."""
        return self.config.count("moe_num_experts", default=0)

    def model(self) -> dict[str, Any]:
        """The head has a bias, too."""
        return {**super().model(), "head_bias": self.config.flag(self.bias_key)}

    def has_experts(self, index: int) -> bool:
        """Every moe_layer_interval-th layer in that range."""
        start, end = self.config.count("moe_layer_start_index", default=0), self.config.get("moe_layer_end_index")
        last = self.n_layers - 1 if end in (None, -1) else self.config.count("moe_layer_end_index")
        return start <= index <= last and (index + 1) % self.config.size("moe_layer_interval", default=1) == 0

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """By keys that start with moe_."""
        width, shared = (
            self.config.size("moe_intermediate_size"),
            self.config.count("moe_num_shared_experts", default=0),
        )
        return {
            "kind": "experts", "n_experts": self.n_experts, "n_active": self.config.size("moe_k"), "d_expert": width,
            "router_bias": True, "n_shared": shared, "d_shared": shared * width, **more,
        }  # fmt: skip

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of the shared experts."""
        shared = self.experts(index)["d_shared"] if self.has_experts(index) else 0
        return shared_biases(shared, self.d_model) if self.config.flag(self.bias_key) and shared else []
