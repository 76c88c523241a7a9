"""Google's Gemma: norms before and after each half, heads of their own width, windows, embeddings for each layer."""

from __future__ import annotations

from typing import Any

from simulator.families.config import Config
from simulator.families.family import Family, extra
from simulator.families.files import Files, Windows


class Gemma(Family):
    """Gemma 1: the head is the embedding."""

    types = ("gemma",)
    gguf = ("gemma",)
    tied = True
    ffn_bias = False


class Gemma2(Gemma):
    """Gemma 2: four norms, every second layer with a window."""

    types = ("gemma2",)
    gguf = ("gemma2",)
    gguf_files = Files(windows=Windows(2, tokens=4096, asks=False))
    norms = 4
    full_every = 2


class VaultGemma(Gemma2):
    """VaultGemma: Gemma 2 without the norms after each half."""

    types = ("vaultgemma",)
    norms = 2


class Gemma3(Gemma2):
    """Gemma 3: norms of query and key, five windowed layers to one that sees everything."""

    types = ("gemma3_text",)
    gguf = ("gemma3",)
    gguf_files = Files(windows=Windows(6))
    qk_norm = "head"

    @property
    def full_every(self) -> int:
        """One of so many layers sees everything."""
        return self.config.size("sliding_window_pattern", default=6)

    def window(self, index: int) -> dict[str, int]:
        """Half of it where tokens see what follows them, too: it reaches to both sides then."""
        return _halved(self.config.get("use_bidirectional_attention") is True, super().window(index))


class _Sharing(Gemma2):
    """The last num_kv_shared_layers layers attend to the keys and values of the last layer of their kind before those."""

    qk_norm = "head"

    def is_sharing(self, index: int) -> bool:
        """Whether layer *index* is one of them."""
        n_shared = self.config.count("num_kv_shared_layers", default=0)
        if n_shared > self.n_layers:
            raise self.config.wrong("num_kv_shared_layers", f"{self.n_layers} layers are there")
        return index >= self.n_layers - n_shared

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Those have no projections of key and value."""
        shares = self.is_sharing(index)
        return super().grouped_query(index, shares_cache=shares, lacks_kv=shares, **more)

    def model(self) -> dict[str, Any]:
        """With an embedding of its own for each layer, where it has a width."""
        width = self.config.count("hidden_size_per_layer_input", default=0)
        if not width:
            return super().model()
        rows = self.config.size("vocab_size_per_layer_input", default=self.vocab)
        return {**super().model(), "per_layer_input": {"width": width, "vocab": rows}}


class Gemma3n(_Sharing):
    """Gemma 3n: several residual streams, an embedding for each layer, the last layers without keys and values of their own."""

    types = ("gemma3n_text",)
    gguf = ("gemma3n",)
    gguf_files = Files(windows=Windows(5), own_layers=20)
    full_every = 5

    def model(self) -> dict[str, Any]:
        """With further residual streams."""
        streams = {
            "kind": "altup",
            "n": self.config.size("altup_num_inputs"),
            "laurel_rank": self.config.size("laurel_rank"),
        }
        return {**super().model(), "streams": streams}


class Gemma4(_Sharing):
    """Gemma 4: wider heads where everything is seen, an embedding for each layer, optionally experts beside the dense network."""

    types = ("gemma4_text", "gemma4_unified_text")
    gguf = ("gemma4",)
    # llama.cpp needs the list of windows; the period is that of transformers' config class.
    gguf_files = Files(windows=Windows(6), value_is_key=True)
    full_every = 6

    def is_windowed(self, index: int) -> bool:
        """The last layer never is."""
        return index != self.n_layers - 1 and super().is_windowed(index)

    def window(self, index: int) -> dict[str, int]:
        """Half of it where all tokens see what follows them, too: it reaches to both sides then."""
        return _halved(self.config.get("use_bidirectional_attention") == "all", super().window(index))

    def layer_config(self, index: int) -> Config:
        """By per_layer_config, and without it heads and their width where everything is seen by keys of their own."""
        if self.config.given("per_layer_config") or self.is_windowed(index):
            return super().layer_config(index)
        own = {"head_dim": self.config.size("global_head_dim", default=512)}
        n_kv = self.config.count("num_global_key_value_heads", default=0)
        if n_kv and self._keys_are_values:
            own["num_key_value_heads"] = n_kv
        return self.config.replaced(own)

    @property
    def _keys_are_values(self) -> bool:
        return self.config.flag("attention_k_eq_v")

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Where everything is seen, keys may serve as values."""
        value_is_key = self._keys_are_values and not self.is_windowed(index)
        return super().grouped_query(index, value_is_key=value_is_key, **more)

    def _width(self, index: int) -> int:
        doubled = self.config.flag("use_double_wide_mlp") and self.is_sharing(index)
        return self.config.size("intermediate_size") * (2 if doubled else 1)

    def has_experts(self, index: int) -> bool:
        """As enable_moe_block says."""
        return self.config.flag("enable_moe_block")

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """Twice as wide in layers without keys and values, where use_double_wide_mlp says so."""
        return super().dense(index, d_ff=self._width(index), **more)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """The dense network stands beside them, as a shared expert does; each expert has a factor, told as a bias of the router."""
        return {
            "kind": "experts",
            "n_experts": self.n_experts,
            "n_active": self.config.size("top_k_experts"),
            "d_expert": self.config.size("moe_intermediate_size"),
            "fused": True,
            "router_bias": True,
            "n_shared": 1,
            "d_shared": self._width(index),
            **more,
        }

    def layer(self, index: int) -> dict[str, Any]:
        """Three more norms around the experts."""
        return {**super().layer(index), "norms": 7 if self.has_experts(index) else 4}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """A scale of the router's input."""
        return [extra("ffn_gate_inp.scale", self.d_model)] if self.has_experts(index) else []


def _halved(is_two_sided: bool, window: dict[str, int]) -> dict[str, int]:
    return {"window": window["window"] // 2 + 1} if is_two_sided and window else window
