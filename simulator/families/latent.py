"""Latent attention: DeepSeek-V2 and those that follow it, with an index over the past and without."""

from __future__ import annotations

from typing import Any, ClassVar

from simulator.families.config import Config
from simulator.families.family import Family, extra, shared_biases
from simulator.families.files import Files
from simulator.families.hybrid import further_blocks


class DeepSeek2(Family):
    """DeepSeek-V2: one latent for each token in place of keys and values, shared experts, dense layers first."""

    types = ("deepseek_v2",)
    gguf = ("deepseek2",)
    harmless = ("lm_head", "rm_head", "num_key_value_heads")
    expert_width_keys = ("moe_intermediate_size",)
    first_dense: ClassVar[int] = 0  # layers without experts at the start, where nothing says how many
    shared_bias: ClassVar[bool] = True  # mlp_bias holds for the shared experts too

    def attention(self, index: int) -> dict[str, Any] | None:
        """One latent for each token; keys and values for each head where kv_lora_rank is null (DeepSeek-VL2 tiny)."""
        return self.latent(index) if self.has_latents else self.grouped_query(index)

    @property
    def has_latents(self) -> bool:
        """But where kv_lora_rank is stated as null, or use_mla as false."""
        is_null = self.config.given("kv_lora_rank") and self.config.get("kv_lora_rank") is None
        return not is_null and self.config.flag("use_mla", default=True)

    def config_of(self, index: int) -> Config:
        """The keys of one layer."""
        return self.config.of_layer(index)

    def latent(self, index: int, **more: Any) -> dict[str, Any]:
        """Latent attention by the usual keys; *more* replaces fields."""
        config = self.config_of(index)
        n_heads = config.size("num_attention_heads")
        return {
            "kind": "latent",
            "n_heads": n_heads,
            "q_rank": config.count("q_lora_rank", default=0) or None,
            "kv_rank": config.size("kv_lora_rank"),
            "qk_nope_dim": config.size("qk_nope_head_dim"),
            "qk_rope_dim": config.count("qk_rope_head_dim"),
            "v_dim": config.size("v_head_dim", default=max(1, self.d_model // n_heads)),
            **more,
        }

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of what is projected down and out, and those of shared experts."""
        found = self.latent_biases(index) if self.has_latents and self.config.flag("attention_bias") else []
        if self.shared_bias and self.config.flag("mlp_bias") and self.has_experts(index):
            found += shared_biases(self.experts(index)["d_shared"], self.d_model)
        return found

    def latent_biases(self, index: int) -> list[dict[str, Any]]:
        """Of the projections to the compressed query and the latent, and of the output."""
        latent = self.latent(index)
        found = [extra("attn_q_a.bias", latent["q_rank"])] if latent["q_rank"] else []
        found.append(extra("attn_kv_a_mqa.bias", latent["kv_rank"] + latent["qk_rope_dim"]))
        return [*found, extra("attn_output.bias", self.d_model)]

    def has_experts(self, index: int) -> bool:
        """By mlp_layer_types, and without it every moe_layer_freq-th from first_k_dense_replace on."""
        named = self.config.item(index, "mlp_layer_types")
        if named is not None or not self.n_experts:
            return bool(self.n_experts) and named == "sparse"
        step = self.config.size("moe_layer_freq", default=1)
        return index >= self.config.count("first_k_dense_replace", default=self.first_dense) and index % step == 0

    def remarks(self) -> list[str]:
        """What the checkpoint holds beside these layers."""
        return further_blocks(self.config)


class DeepSeek3(DeepSeek2):
    """DeepSeek-V3, R1 and Kimi K2: experts chosen in groups, with a correction that balances them."""

    types = ("deepseek_v3", "kimi_k2")
    like = "deepseek_v3"
    converted = "deepseek2"
    first_dense = 3
    balance = True
    shared_bias = ffn_bias = False


class Glm4MoeLite(DeepSeek3):
    """GLM-4.7-Flash."""

    types = ("glm4_moe_lite",)
    converted = "deepseek2"
    gguf_also = {"glm4moelite": "deepseek2"}  # of Ollama, which gives its engine the widths of heads
    gguf_files = Files(keeps_latents=True)
    first_dense = 1


class Mistral4(DeepSeek3):
    """Mistral Small 4: experts in every layer."""

    types = ("mistral4",)
    gguf = ("mistral4",)
    first_dense = 0
    balance = False


class SarvamMla(DeepSeek3):
    """Sarvam 105B."""

    types = ("sarvam_mla",)
    converted = "deepseek2"
    first_dense = 1


class AxK1(DeepSeek3):
    """SKT's A.X-K1: a norm after the experts."""

    types = ("axk1",)
    first_dense = 1

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """And the norm after the experts."""
        more = [extra("post_ffw_norm", self.d_model)] if self.has_experts(index) else []
        return [*super().layer_beside(index), *more]


class Youtu(DeepSeek2):
    """Tencent's Youtu-LLM: dense, the head is the embedding."""

    types = ("youtu",)
    converted = "deepseek2"
    tied = True
    ffn_bias = False


class MiniCpm3(DeepSeek2):
    """MiniCPM3: dense, the head is the embedding."""

    types = ("minicpm3",)
    gguf = ("minicpm3",)
    tied = True


class DeepSeek32(DeepSeek3):
    """DeepSeek-V3.2: a small attention of its own picks the tokens that are attended to."""

    types = ("deepseek_v32",)
    gguf = ("deepseek32",)

    def attention(self, index: int) -> dict[str, Any] | None:
        """Latents of which an index picks."""
        return {**self.latent(index), "index": self.picks(index)}

    def picks(self, index: int) -> dict[str, Any]:
        """The index by the usual keys."""
        config = self.config
        return {
            "picks": config.size("index_topk"),
            "n_heads": config.size("index_n_heads"),
            "head_dim": config.size("index_head_dim"),
        }


class GlmDsa(DeepSeek32):
    """GLM-5: some layers attend to what an earlier one's index picked."""

    types = ("glm_moe_dsa",)
    gguf = ("glm-dsa",)
    gguf_files = Files(picks_every=(1_048_576, 2, 4))  # llama.cpp, src/models/glm-dsa.cpp

    def picks(self, index: int) -> dict[str, Any]:
        """With `is_shared` where the layer has no index of its own."""
        return {**super().picks(index), "is_shared": self.shares_index(index)}

    def shares_index(self, index: int) -> bool:
        """By indexer_types, index_topk_pattern (F and S), or index_topk_freq from index_skip_topk_offset on."""
        named = self.config.item(index, "indexer_types")
        if named is not None:
            return named == "shared"
        pattern = self.config.get("index_topk_pattern")
        if pattern is not None:
            if not isinstance(pattern, str | list) or index >= len(pattern):
                raise self.config.wrong("index_topk_pattern", f"an F or S for each of {self.n_layers} layers is needed")
            return pattern[index] in ("S", "shared")
        offset = self.config.count("index_skip_topk_offset", default=2)
        period = max(1, self.config.count("index_topk_freq", default=1))
        return max(index - offset + 1, 0) % period != 0


class AxK2(DeepSeek32):
    """SKT's A.X-K2: gates on norms and outputs, made at low rank."""

    types = ("axk2",)
    first_dense = 1

    def attention(self, index: int) -> dict[str, Any] | None:
        """The gate of the output is made with the queries, of the compressed query with its norm and without."""
        latent = self.latent(index)
        n, rank, kv_rank, v = (latent[key] for key in ("n_heads", "q_rank", "kv_rank", "v_dim"))
        nope, rope = latent["qk_nope_dim"], latent["qk_rope_dim"]
        if not rank:
            raise self.config.wrong("q_lora_rank", "the index and the output's gate need a rank of at least 1")
        picks = self.picks(index)
        listed = [
            extra("attn_q_a", self.d_model, rank),
            extra("attn_q_a_norm", rank),
            extra("attn_q_b", 2 * rank, n * (nope + rope + v)),
            extra("attn_kv_a_mqa", self.d_model, kv_rank + rope),
            extra("attn_kv_a_norm", kv_rank),
            extra("attn_k_b", nope, n * kv_rank),
            extra("attn_v_b", kv_rank, n * v),
            extra("indexer.attn_q_b", rank, picks["n_heads"] * picks["head_dim"]),
            extra("indexer.attn_k", self.d_model, picks["head_dim"]),
            extra("indexer.proj", self.d_model, picks["n_heads"]),
            extra("indexer.k_norm", picks["head_dim"]),
            extra("indexer.k_norm.bias", picks["head_dim"]),
            extra("attn_output", n * v, self.d_model),
        ]
        return {**latent, "index": picks, "listed": listed}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """And the gates of both norms, of the second only where experts follow."""
        rank = self.config.size("gated_norm_rank", default=16)
        found = super().layer_beside(index)
        for norm in ("attn_norm", "ffn_norm") if self.has_experts(index) else ("attn_norm",):
            found += [extra(f"{norm}.down", self.d_model, rank), extra(f"{norm}.up", rank, self.d_model)]
        return found


class MistralLarge4(GlmDsa):
    """Mistral Large 4: whole queries, layers without positions, learned scales of each head's scores, latents of earlier layers."""

    types = ("mistral_large4_text",)
    balance = False
    first_dense = 1

    def has_positions(self, index: int) -> bool:
        """By no_rope_layers, where 1 means that there are some, and without it all but every no_rope_layer_interval-th."""
        named = self.config.item(index, "no_rope_layers")
        if named is None:
            return (index + 1) % self.config.size("no_rope_layer_interval", default=4) != 0
        return bool(named)

    def attention(self, index: int) -> dict[str, Any] | None:
        """Told tensor by tensor: the index makes its queries of the token itself."""
        source = self.config.item(index, "kv_source_layers")
        shares, picks = source is not None and source != index, self.picks(index)
        latent = {**self.latent(index), "q_rank": None, "index": picks, "shares_cache": shares}
        if not self.has_positions(index):
            latent |= {"qk_nope_dim": latent["qk_nope_dim"] + latent["qk_rope_dim"], "qk_rope_dim": 0}
        n, rank, nope, rope, v = (latent[key] for key in ("n_heads", "kv_rank", "qk_nope_dim", "qk_rope_dim", "v_dim"))
        made = [extra("attn_kv_a_mqa", self.d_model, rank + rope), extra("attn_kv_a_norm", rank)]
        if self.config.flag("attention_bias"):
            made.append(extra("attn_kv_a_mqa.bias", rank + rope))
        listed = [
            extra("attn_q", self.d_model, n * (nope + rope)),
            *([] if shares else made),
            extra("attn_k_b", nope, n * rank),
            extra("attn_v_b", rank, n * v),
            extra("attn_output", n * v, self.d_model),
            extra("attn_score_scale", 2, n, small=True),
        ]
        return {**latent, "listed": listed + ([] if picks["is_shared"] else self.index_tensors(picks))}

    def index_tensors(self, picks: dict[str, Any]) -> list[dict[str, Any]]:
        """Of a layer with an index of its own."""
        n, width = picks["n_heads"], picks["head_dim"]
        return [
            extra("indexer.attn_q_b", self.d_model, n * width),
            extra("indexer.attn_k", self.d_model, width),
            extra("indexer.proj", self.d_model, n),
            extra("indexer.k_norm", width),
            extra("indexer.k_norm.bias", width),
            extra("indexer.q_norm", 2, self.d_model, small=True),
            extra("indexer.score_scale", 2, n, small=True),
        ]

    def latent_biases(self, index: int) -> list[dict[str, Any]]:
        """Of the output alone: those of the latent are listed with it."""
        return [extra("attn_output.bias", self.d_model)]

    def beside(self) -> list[dict[str, Any]]:
        """A factor for each rotary frequency."""
        return [extra("rope_alpha", max(1, self.config.size("qk_rope_head_dim") // 2))]
