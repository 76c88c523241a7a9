"""Models that run some of their layers several times for a token: stored once, read each time."""

from __future__ import annotations

from typing import Any

from simulator.families.config import Config
from simulator.families.family import Family, extra
from simulator.families.files import Files
from simulator.spec.model import MAX_LAYERS


def check_runs(config: Config, key: str, n_layers: int) -> None:
    """InputError where *key* makes more layers run than a model can have."""
    if n_layers > MAX_LAYERS:
        raise config.wrong(key, f"with it {n_layers:,} layers run for a token, {MAX_LAYERS} are possible")


class Dory(Family):
    """NVIDIA's Dory: layers in the middle run n_recurrent_loops times, norms without weights and learned scales in their place."""

    types = ("dory",)
    norms, final_norm = 0, False

    @property
    def _is_split(self) -> bool:
        """Whether the file counts networks as layers of their own, as transformers writes it."""
        return "mlp" in (self.config.items("layer_types") or [])

    def _half(self, name: str) -> int:
        return self.config.count(name) // (2 if self._is_split else 1)

    @property
    def n_layers(self) -> int:
        """Layers with weights."""
        return max(1, self._half("num_hidden_layers"))

    def layer_type(self, index: int) -> str:
        """By layer_types, and without it every fourth layer sees everything."""
        named = super().layer_type(2 * index if self._is_split else index)
        if named is None:
            return "full_attention" if (index + 1) % 4 == 0 else "sliding_attention"
        return named

    def model(self) -> dict[str, Any]:
        """The layers, and after them those that run again."""
        data = super().model()
        first, last = self._half("n_input_layers"), self.n_layers - self._half("n_output_layers")
        if self.config.get("n_recurrent_layers") is not None:
            last = first + self._half("n_recurrent_layers")
        n_again, again = self.config.size("n_recurrent_loops") - 1, data["layers"][first:last]
        check_runs(self.config, "n_recurrent_loops", len(data["layers"]) + n_again * len(again))
        if self.config.text("recurrent_kv_cache_mode", default="per_loop") == "last_loop":
            again = [{**layer, "attention": {**layer["attention"], "shares_cache": True}} for layer in again]
        repeated = [{**layer, "shares_weights": True} for layer in again]
        layers = [*data["layers"], *(n_again * repeated)]
        return {**data, "layers": layers, "repeats": n_again * [*range(self.n_layers)][first:last]}

    def attention(self, index: int) -> dict[str, Any] | None:
        """Told tensor by tensor: a layer that runs again makes keys and values, wherever they are kept."""
        found = self.grouped_query(index)
        q, kv = found["n_heads"] * found["head_dim"], found["n_kv_heads"] * found["head_dim"]
        shapes = (("attn_q", self.d_model, q), ("attn_k", self.d_model, kv), ("attn_v", self.d_model, kv))
        shapes = (*shapes, ("attn_output", q, self.d_model))
        listed = [extra(role, columns, rows) for role, columns, rows in shapes]
        if found["qkv_bias"]:
            listed += [extra(f"{role}.bias", rows) for role, _, rows in shapes]
        listed += [extra("attn_gate", self.d_model, q), extra("attn_qk_scale", q), extra("attn_gate_scale", q)]
        return {**found, "listed": listed}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Scales of both halves and of what the network multiplies."""
        width = self.dense(index)["d_ff"]
        return [extra("lambda", 2, self.d_model, small=True), extra("ffn_scale", 2, width, small=True)]

    def beside(self) -> list[dict[str, Any]]:
        """A scale for each logit."""
        return [extra("logit_scale", self.vocab)]

    def remarks(self) -> list[str]:
        """What runs again."""
        n_loops = self.config.size("n_recurrent_loops")
        return [f"the layers in the middle run {n_loops} times for each token: their weights are read as often"]


class HrmText(Family):
    """HRM-Text: a low stack that runs L_cycles times before each of H_cycles runs of a high one, norms without weights."""

    types = ("hrm_text",)
    gguf = ("hrm_text",)
    gguf_files = Files(stacks=True)
    norms, final_norm = 0, False

    @property
    def n_layers(self) -> int:
        """Of one stack."""
        return self.config.count("num_layers_per_stack", default=0) or super().n_layers

    def model(self) -> dict[str, Any]:
        """Both stacks, as often as they run."""
        data = super().model()
        n_high, n_low = self.config.size("H_cycles"), self.config.size("L_cycles")
        check_runs(self.config, "H_cycles", self.n_layers * n_high * (n_low + 1))
        stack = data["layers"]
        again = [{**layer, "shares_weights": True} for layer in stack]
        runs = [stack, *((n_low - 1) * [again]), stack, *((n_high - 1) * (n_low + 1) * [again])]
        layers = [layer for run in runs for layer in run]
        low, high = [*range(self.n_layers)], [*range(self.n_layers, 2 * self.n_layers)]
        return {**data, "layers": layers, "repeats": (n_low - 1) * low + (n_high - 1) * (n_low * low + high)}

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """As many keys as queries."""
        return super().grouped_query(index, n_kv_heads=self.config.size("num_attention_heads"), **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gate of what attention puts out."""
        found = self.grouped_query(index)
        width = found["n_heads"] * found["head_dim"]
        gate = [extra("attn_gate", self.d_model, width)]
        return gate + ([extra("attn_gate.bias", width)] if found["qkv_bias"] else [])

    def beside(self) -> list[dict[str, Any]]:
        """Where the low stack starts."""
        return [extra("z_l_init", self.d_model)]

    def remarks(self) -> list[str]:
        """What runs again."""
        n_high, n_low = self.config.size("H_cycles"), self.config.size("L_cycles")
        return [
            f"for each token the low stack runs {n_high * n_low} times and the high one {n_high}: read as often, cached for each"
        ]
