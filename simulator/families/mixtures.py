"""Mixtures of experts over ordinary attention whose layers all have experts, or all but a few."""

from __future__ import annotations

from typing import Any

from simulator.families.dense import Llama, Qwen2
from simulator.families.family import Family, extra, shared_biases
from simulator.families.files import Files, Windows


class Mixtral(Family):
    """Mixtral: every layer has experts."""

    types = ("mixtral",)
    converted = "llama"
    qkv_bias = output_bias = False
    uses_window = True


class PhiMoe(Family):
    """Phi-3.5-MoE: layer norms with biases."""

    types = ("phimoe",)
    gguf = ("phimoe",)
    norm_bias = uses_window = True


class Olmoe(Family):
    """OLMoE: norms of query and key over all heads."""

    types = ("olmoe",)
    gguf = ("olmoe",)
    qk_norm = "full"


class FlexOlmo(Olmoe):
    """FlexOlmo: OLMoE with the norms after each half."""

    types = ("flex_olmo",)


class GraniteMoe(Family):
    """Granite 3 mixtures."""

    types = ("granitemoe",)
    gguf = ("granitemoe",)


class GraniteMoeShared(GraniteMoe):
    """Granite mixtures with a shared expert of its own width."""

    types = ("granitemoeshared",)
    converted = "granitemoe"

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """A shared expert where shared_intermediate_size is not 0."""
        shared = self.config.count("shared_intermediate_size", default=0)
        return super().experts(index, n_shared=int(bool(shared)), d_shared=shared, **more)


class GraniteMoeSwa(GraniteMoeShared):
    """Granite mixtures with windows in three of four layers and a learned sink per head."""

    types = ("granitemoe_swa",)
    converted = "granite_swa"
    sinks = True

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it all but the first of four."""
        named = self.layer_type(index)
        return index % 4 != 0 if named is None else named == "sliding_attention"


class GptOss(Family):
    """gpt-oss: a learned sink per head, biases of experts and router, every second layer with a window."""

    types = ("gpt_oss",)
    gguf = ("gpt-oss",)
    gguf_also = {"gptoss": "gpt-oss"}  # of Ollama
    gguf_files = Files(windows=Windows(2))
    sinks = expert_bias = router_bias = True

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it every second layer from the first on."""
        named = self.layer_type(index)
        return index % 2 == 0 if named is None else named == "sliding_attention"


class MiniMaxM2(Family):
    """MiniMax-M2: norms of query and key over all heads, a bias that balances the experts."""

    types = ("minimax_m2",)
    gguf = ("minimax-m2",)
    harmless = ("attn_type_list",)
    qk_norm = "full"
    balance = True


class MiniMaxM3(Family):
    """MiniMax-M3: some layers attend to the blocks of tokens that an index chooses; a shared expert."""

    types = ("minimax_m3_vl_text", "minimax_m3", "minimax_m3_text")
    gguf = ("minimax-m3",)
    like = "minimax_m3_vl_text"
    harmless = ("use_gemma_norm", "use_sparse_attention", "sparse_score_type", "first_k_dense_replace")
    qk_norm = "head"
    balance = True
    qkv_bias = output_bias = False

    def _sparse(self, name: str, older: str) -> int:
        return self._older.size(older) if self._older and self._older.given(older) else self.config.size(name)

    @property
    def _older(self):
        return self.config.part("sparse_attention_config")

    def layer_type(self, index: int) -> str | None:
        """By layer_types, and without it by sparse_attention_freq of the older sparse_attention_config."""
        named = super().layer_type(index)
        self.config.check_absence("sparse_attention_config", "layer_types")
        if named is None and self._older and self._older.item(index, "sparse_attention_freq"):
            return "minimax_m3_sparse"
        return named

    def attention(self, index: int) -> dict[str, Any] | None:
        """With an index, or without."""
        if self.layer_type(index) != "minimax_m3_sparse":
            return self.grouped_query(index)
        if self._older and self._older.item(index, "sparse_disable_index_value") in (0, False):
            raise self.config.wrong("sparse_attention_config", "an index with values of its own is not known here")
        blocks = self._sparse("index_topk_blocks", "sparse_topk_blocks") + self._sparse(
            "index_local_blocks", "sparse_local_block"
        )
        return self.grouped_query(
            index,
            picks=blocks * self._sparse("index_block_size", "sparse_block_size"),
            index_heads=self._sparse("index_n_heads", "sparse_num_index_heads"),
            index_dim=self._sparse("index_head_dim", "sparse_index_dim"),
        )

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Queries and key of the index with their norms."""
        if self.layer_type(index) != "minimax_m3_sparse":
            return []
        width = self._sparse("index_head_dim", "sparse_index_dim")
        heads = self._sparse("index_n_heads", "sparse_num_index_heads")
        return [
            extra("indexer.attn_q", self.d_model, heads * width),
            extra("indexer.attn_k", self.d_model, width),
            extra("indexer.q_norm", width),
            extra("indexer.k_norm", width),
        ]

    def has_experts(self, index: int) -> bool:
        """By mlp_layer_types, and without it by the older moe_layer_freq."""
        older = self.config.item(index, "moe_layer_freq")
        if self.config.items("mlp_layer_types") is not None:
            return super().has_experts(index)
        return index >= self.config.count("first_k_dense_replace", default=0) if older is None else bool(older)

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """The dense layers have a width of their own."""
        return super().dense(index, d_ff=self.config.size("dense_intermediate_size"), fused=True, bias=False, **more)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """And a shared expert of its own width."""
        return super().experts(
            index, d_expert=self.config.size("intermediate_size"), n_shared=1,
            d_shared=self.config.size("shared_intermediate_size"), **more,
        )  # fmt: skip


class QwenMoe(Qwen2):
    """Some layers are dense: those of mlp_only_layers, and but for each decoder_sparse_step-th all."""

    def has_experts(self, index: int) -> bool:
        """By mlp_only_layers and decoder_sparse_step."""
        step = self.config.size("decoder_sparse_step", default=1)
        only = self.config.items("mlp_only_layers") or []
        return bool(self.n_experts) and index not in only and (index + 1) % step == 0


class Qwen2Moe(QwenMoe):
    """Qwen 1.5 and 2 mixtures: a gated shared expert."""

    types = ("qwen2_moe",)
    gguf = ("qwen2moe",)
    shared_gate = True

    def is_windowed(self, index: int) -> bool:
        """With use_sliding_window by layer_types, and without it every second layer below max_window_layers."""
        if not self.config.flag("use_sliding_window"):
            return False
        named = self.layer_type(index)
        below = index % 2 == 0 and index < self.config.count("max_window_layers", default=0)
        return below if named is None else named == "sliding_attention"

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Biases of query, key and value as qkv_bias says."""
        return super().grouped_query(index, **{"qkv_bias": self.config.flag("qkv_bias", default=True), **more})


class Qwen3Moe(QwenMoe):
    """Qwen3 mixtures: no shared expert."""

    types = ("qwen3_moe",)
    gguf = ("qwen3moe",)
    qk_norm = "head"
    qkv_bias = output_bias = None


class Flint(QwenMoe):
    """Flint: windows but in every fourth layer and at both ends, a learned sink per head, a shared expert."""

    types = ("flint",)
    qk_norm = "head"
    qkv_bias = output_bias = None
    sinks = True

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it all but the first two, the last, and each fourth from the sixth on."""
        named = self.layer_type(index)
        is_full = index < 2 or index % 4 == 1 or index == self.n_layers - 1
        return not is_full if named is None else named == "sliding_attention"

    def has_experts(self, index: int) -> bool:
        """Without mlp_only_layers the first two are dense."""
        return super().has_experts(index) and (index > 1 or self.config.items("mlp_only_layers") is not None)


class Hunyuan(Llama):
    """Hunyuan-A13B: norms of query and key, shared experts of an expert's width; some sizes differ by layer."""

    types = ("hunyuan_v1_moe",)
    # What the hub's files say of latents, of keys shared by layers and of a tower for pictures, all of it off.
    harmless = (
        "kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "attention_head_dim", "cla_share_factor",
        "use_mixed_mlp_moe", "moe_drop_tokens", "dense_list", "norm_type", "num_media_embeds",
    )  # fmt: skip
    gguf = ("hunyuan-moe",)
    qk_norm = "head"

    def model(self) -> dict[str, Any]:
        """Latents are not known."""
        if self.config.flag("use_mla"):
            raise self.config.wrong("use_mla", "Hunyuan with latents is not known here")
        return super().model()

    def _of(self, index: int, name: str, default: int) -> int:
        value = self.config.get(name)
        value = self.config.item(index, name) if isinstance(value, list) else value
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.config.wrong(name, "a whole number from 1, or a list of such, is needed")
        return value

    def has_experts(self, index: int) -> bool:
        """Always, and be it one."""
        return True

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """One shared expert, which num_shared_expert makes wider."""
        width = self._of(index, "moe_intermediate_size", self.config.size("intermediate_size"))
        shared = self._of(index, "num_shared_expert", 1)
        n_experts, n_active = self._of(index, "num_experts", 1), self._of(index, "moe_topk", 1)
        return {
            "kind": "experts", "n_experts": n_experts, "n_active": n_active, "d_expert": width, "n_shared": shared,
            "d_shared": shared * width, **more,
        }  # fmt: skip


class Cohere2Moe(Family):
    """Cohere's mixtures: one norm before both halves, windows in three of four layers, shared experts."""

    types = ("cohere2_moe",)
    gguf = ("cohere2moe",)
    gguf_also = {"cohere2_moe": "cohere2moe"}  # of ik_llama.cpp
    gguf_files = Files(windows=Windows(4, full_first=True))
    tied = True
    norms = 1

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it by the patterns of the dense layers in front and of the others."""
        named = self.layer_type(index)
        first = self.config.count("first_k_dense_replace", default=0)
        if named is not None:
            return named == "sliding_attention"
        if index < first:
            return (index + 1) % self.config.size("prefix_dense_sliding_window_pattern", default=1) != 0
        return (index - first + 1) % self.config.size("sliding_window_pattern", default=4) != 0

    def has_experts(self, index: int) -> bool:
        """By mlp_layer_types, and without it from first_k_dense_replace on."""
        if self.config.items("mlp_layer_types") is None:
            return index >= self.config.count("first_k_dense_replace", default=0)
        return super().has_experts(index)

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """The dense layers may have a width of their own."""
        width = self.config.size("prefix_dense_intermediate_size", default=self.config.size("intermediate_size"))
        return super().dense(index, d_ff=width, bias=False, **more)


class JetMoe(Family):
    """JetMoE: a mixture of attention heads, too, with keys and values for all of them."""

    types = ("jetmoe",)
    tied = True

    def attention(self, index: int) -> dict[str, Any] | None:
        """As many query heads as the chosen experts have; each expert projects its own queries and outputs."""
        n_kv, width = self.config.size("num_key_value_heads"), self.config.size("kv_channels")
        n_experts, n_active = self.n_experts, self.config.size("num_experts_per_tok")
        inner = n_kv * width
        return {
            "kind": "grouped_query", "n_heads": n_kv * n_active, "n_kv_heads": n_kv, "head_dim": width,
            "listed": [
                extra("attn_q_exps", self.d_model, inner, copies=n_experts),
                extra("attn_output_exps", inner, self.d_model, copies=n_experts),
                extra("attn_output.bias", self.d_model),
                extra("attn_gate_inp", self.d_model, n_experts, small=True),
                extra("attn_kv", self.d_model, 2 * inner),
            ],
        }  # fmt: skip

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """A bias of the sum of the experts."""
        return [extra("ffn_down.bias", self.d_model)]


class Aria(Llama):
    """Aria's text part: experts in every layer, shared experts with biases as mlp_bias says."""

    types = ("aria_text",)

    @property
    def n_experts(self) -> int:
        """Routed experts."""
        return self.config.count("moe_num_experts", "num_experts", default=0)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """By keys that start with moe_."""
        width, shared = self.config.size("intermediate_size"), self.config.count("moe_num_shared_experts", default=0)
        return {
            "kind": "experts", "n_experts": self.n_experts, "n_active": self.config.size("moe_topk"), "d_expert": width,
            "n_shared": shared, "d_shared": shared * width, **more,
        }  # fmt: skip

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of the shared experts."""
        shared = self.config.count("moe_num_shared_experts", default=0) * self.config.size("intermediate_size")
        return shared_biases(shared, self.d_model) if self.config.flag("mlp_bias") and shared else []


class Llama4(Llama):
    """Llama 4: chunks in three of four layers, a shared expert."""

    types = ("llama4_text",)
    gguf = ("llama4",)
    gguf_files = Files(windows=Windows(4, tokens=8192, is_fixed=True, asks=False, is_chunk=True))

    def window(self, index: int) -> dict[str, int]:
        """Chunks, as layer_types says, or no_rope_layers, or in all but every fourth layer."""
        named = self.layer_type(index)
        without_rope = self.config.items("no_rope_layers")
        if named is not None:
            is_chunked = named == "chunked_attention"
        elif without_rope:
            is_chunked = bool(self.config.item(index, "no_rope_layers"))
        else:
            is_chunked = (index + 1) % self.config.size("no_rope_layer_interval", default=4) != 0
        chunk = self.config.count("attention_chunk_size", default=0)
        return {"chunk": chunk} if is_chunked and chunk else {}

    def has_experts(self, index: int) -> bool:
        """As moe_layers lists them, or every interleave_moe_layer_step-th."""
        listed = self.config.items("moe_layers")
        step = self.config.size("interleave_moe_layer_step", default=1)
        return index in listed if listed is not None else (index + 1) % step == 0

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """The dense layers have a width of their own."""
        return super().dense(index, d_ff=self.config.size("intermediate_size_mlp"), **more)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """And one shared expert of an expert's width."""
        width = self.config.size("intermediate_size")
        return super().experts(index, d_expert=width, n_shared=1, d_shared=width, **more)
