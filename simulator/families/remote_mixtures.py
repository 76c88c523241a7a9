"""Mixtures of experts whose code comes with the checkpoint, as llama.cpp b11549 and vLLM 0.11 and 0.33 read them."""

from __future__ import annotations

from typing import Any

from simulator.errors import describe
from simulator.families.config import Config
from simulator.families.dense import Llama
from simulator.families.family import Family, extra
from simulator.families.files import Files, Windows
from simulator.families.latent import DeepSeek2, DeepSeek3
from simulator.families.mixtures import Hunyuan, QwenMoe


class DeepSeek1(DeepSeek2):
    """DeepSeek-MoE 16B: keys and values in place of latents."""

    types = ("deepseek",)
    classes = ("DeepseekForCausalLM",)
    gguf = ("deepseek",)
    expert_width_keys = ("moe_intermediate_size",)
    ffn_bias = False

    def attention(self, index: int) -> dict[str, Any] | None:
        """Keys and values for each head."""
        return self.grouped_query(index)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Nothing further."""
        return []


class Bailing(Family):
    """Ling and Ring 1 and 2: norms of query and key as use_qk_norm says, a bias that balances the experts where the router has one."""

    types = ("bailing_moe", "bailing_moe_v2")
    classes = (
        "BailingMoeForCausalLM",
        "BailingMoeV2ForCausalLM",
    )
    gguf = ("bailingmoe", "bailingmoe2")
    harmless = ("norm_head", "norm_softmax", "use_rmsnorm")
    fused_qkv = True
    bias_key = "use_bias"
    qk_norm, qk_norm_key = "head", "use_qk_norm"
    expert_width_keys = ("moe_intermediate_size",)

    def model(self) -> dict[str, Any]:
        """Those with linear attention have other layers."""
        if self.config.given("layer_group_size"):
            raise self.config.wrong("layer_group_size", "Ling with linear attention is known as bailing_hybrid alone")
        return super().model()

    def architecture(self) -> str:
        """The second has norms of query and key."""
        return "bailingmoe2" if self.config.flag("use_qk_norm") else "bailingmoe"

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Biases of query, key and value by a key of their own, or by that of all."""
        config = self.config
        bias = config.flag("use_bias") or config.flag("use_qkv_bias")
        return super().grouped_query(index, **{"qkv_bias": bias, **more})

    def has_experts(self, index: int) -> bool:
        """From first_k_dense_replace on."""
        return bool(self.n_experts) and index >= self.config.count("first_k_dense_replace", default=0)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """Shared experts may have a width of their own."""
        config = self.config
        if config.flag("use_bias"):
            raise config.wrong("use_bias", "experts with biases are not known here")
        n_shared = config.count("num_shared_experts", default=0)
        width = config.size("moe_shared_expert_intermediate_size", "moe_intermediate_size")
        own = {"d_shared": n_shared * width, "balance": config.flag("moe_router_enable_expert_bias")}
        return super().experts(index, **{**own, **more})


class Param2Moe(Bailing):
    """BharatGen's Param 2: Ling 2, biases of query, key and value by use_qkv_bias alone."""

    types = ("param2moe",)
    classes = ("Param2MoEForCausalLM",)
    ffn_bias = False

    def architecture(self) -> None:
        """GGUF files have no name for it."""

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Biases by two keys."""
        return super().grouped_query(index, **{"qkv_bias": self.config.flag("use_qkv_bias"), **more})

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """The router has a bias that balances, where nothing says otherwise; experts have none."""
        config = self.config
        n_shared = config.count("num_shared_experts", default=0)
        width = config.size(
            "moe_shared_expert_intermediate_size", default=n_shared * config.size("moe_intermediate_size")
        )
        own = {
            "d_shared": width if n_shared else 0,
            "balance": config.flag("moe_router_enable_expert_bias", default=True),
        }
        return super(Bailing, self).experts(index, **{**own, **more})


class Grok(Family):
    """Grok 1, and Grok 2 with a dense network beside the experts: four norms."""

    types = ("grok-1", "grok-2")  # "git" in Grok 2's own config
    classes = (
        "Grok1ForCausalLM",
        "GrokForCausalLM",
    )
    gguf = ("grok",)
    gguf_files = Files(roles={"attn_output_norm": "post_attention_norm"})
    harmless = ("max_attn_value", "global_attn_every_n", "sliding_window_size")
    norms = 4
    qkv_bias = output_bias = ffn_bias = False

    @property
    def has_residual(self) -> bool:
        """Whether a dense network stands beside the experts."""
        return self.config.flag("residual_moe")

    @property
    def expert_width_keys(self) -> tuple[str, ...]:  # type: ignore[override]
        """intermediate_size is that of the dense network where there is one."""
        return ("moe_intermediate_size",) if self.has_residual else ("moe_intermediate_size", "intermediate_size")

    @property
    def tied(self) -> bool:  # type: ignore[override]
        """Grok 1 alone."""
        return not self.has_residual

    def model(self) -> dict[str, Any]:
        """Windows are stated and off."""
        if self.config.get("sliding_window_size", default=-1) not in (-1, 0):
            raise self.config.wrong("sliding_window_size", "Grok with windows is not known here")
        return super().model()

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The dense network."""
        if not self.has_residual:
            return []
        width = self.config.size("intermediate_size")
        return [
            *(extra(role, self.d_model, width) for role in ("ffn_gate", "ffn_up")),
            extra("ffn_down", width, self.d_model),
        ]


class Arctic(Family):
    """Snowflake Arctic: a dense network as wide as the residual stream beside the experts, with a norm of its own."""

    types = ("arctic",)
    classes = ("ArcticForCausalLM",)
    gguf = ("arctic",)
    harmless = (
        "use_residual",
        "moe_eval_capacity_factor",
        "moe_train_capacity_factor",
        "moe_min_capacity",
        "moe_token_dropping",
    )
    ffn_bias = False

    def has_experts(self, index: int) -> bool:
        """Every moe_layer_frequency-th layer."""
        return bool(self.n_experts) and (index + 1) % self.config.size("moe_layer_frequency", default=2) == 0

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The dense network, with its norm."""
        if not self.has_experts(index) or not self.config.flag("parallel_attn_mlp_res"):
            return []
        wide = [extra(role, self.d_model, self.d_model) for role in ("ffn_gate", "ffn_up", "ffn_down")]
        return [extra("ffn_norm_exps", self.d_model), *wide]


class Dbrx(Family):
    """Databricks' DBRX: keys in attn_config and ffn_config."""

    types = ("dbrx",)
    gguf = ("dbrx",)
    harmless = ("moe_normalize_expert_weights",)
    fused_qkv = True
    head_dim_key = kv_heads_key = qkv_bias = output_bias = False

    def _part(self, name: str) -> Config:
        part = self.config.part(name)
        if part is None:
            raise self.config.wrong(name, "a mapping is needed")
        return part

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """kv_n_heads keys and values."""
        n_heads, n_kv = self.config.size("n_heads"), self._part("attn_config").size("kv_n_heads", default=1)
        if n_heads % n_kv:
            raise self.config.wrong("attn_config", f"kv_n_heads {n_kv} must divide n_heads {n_heads}")
        return super().grouped_query(index, **{"n_heads": n_heads, "n_kv_heads": n_kv, **more})

    def has_experts(self, index: int) -> bool:
        """Always."""
        return True

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """By the keys of ffn_config, with its class's defaults."""
        part = self._part("ffn_config")
        return {
            "kind": "experts",
            "n_experts": part.size("moe_num_experts", default=4),
            "n_active": part.size("moe_top_k", default=1),
            "d_expert": part.size("ffn_hidden_size", default=3584),
        }


class HunyuanOfHub(Hunyuan):
    """Hunyuan Large, and 7B by its first name: norms of query and key as use_qk_norm says, keys and values shared by pairs of layers."""

    types = ("hunyuan",)
    harmless = (*Hunyuan.harmless, "num_shared_expert", "moe_topk")
    tied = True

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """With use_cla, layers but each cla_share_factor-th attend to an earlier one's keys and values, and hold none."""
        shares = self.config.flag("use_cla") and index % self.config.size("cla_share_factor", default=1) != 0
        norm = "head" if self.config.flag("use_qk_norm") else None
        n_heads = self.config.size("num_attention_heads")
        head_dim = self.config.size("head_dim", "attention_head_dim", default=max(1, self.d_model // n_heads))
        own = {"head_dim": head_dim, "qk_norm": norm, "shares_cache": shares, "lacks_kv": shares}
        return super().grouped_query(index, **{**own, **more})

    def has_experts(self, index: int) -> bool:
        """Where there is more than one."""
        self.config.check_absence("num_experts")
        return self._of(index, "num_experts", 1) > 1


class SmallThinker(Family):
    """SmallThinker: experts in all layers, windows as sliding_window_layout lists them."""

    types = ("smallthinker",)
    classes = ("SmallThinkerForCausalLM",)
    gguf = ("smallthinker",)
    gguf_files = Files(windows=Windows(4, full_first=True, tokens=4096, is_fixed=True))
    harmless = ("rope_layout", "moe_enable_secondary_experts", "moe_enable_early_router", "moe_layer_layout")
    qkv_bias = output_bias = False

    @property
    def n_experts(self) -> int:
        """Primary experts; secondary ones are not known."""
        return self.config.size("moe_num_primary_experts")

    def window(self, index: int) -> dict[str, int]:
        """sliding_window_size where the layer's entry is 1."""
        is_windowed = self.config.item(index, "sliding_window_layout")
        return {"window": self.config.size("sliding_window_size")} if is_windowed else {}

    def has_experts(self, index: int) -> bool:
        """Always; a layout with dense layers is refused."""
        if self.config.item(index, "moe_layer_layout") in (0, False):
            raise self.config.wrong("moe_layer_layout", "dense layers of SmallThinker are not known here")
        return True

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """By names of their own."""
        if self.config.flag("moe_enable_secondary_experts"):
            raise self.config.wrong("moe_enable_secondary_experts", "secondary experts are not known here")
        n_active, width = self.config.size("moe_num_active_primary_experts"), self.config.size("moe_ffn_hidden_size")
        return {"kind": "experts", "n_experts": self.n_experts, "n_active": n_active, "d_expert": width}


class Step3(Llama):
    """Step 3: queries made at low rank for all heads of one wide key and value, a shared expert."""

    types = ("step3_text",)
    classes = ("Step3TextForCausalLM",)
    harmless = ("norm_expert_weight",)
    qkv_bias = output_bias = False

    @property
    def n_experts(self) -> int:
        """moe_num_experts."""
        return self.config.size("moe_num_experts")

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Multi-matrix factorization attention (arXiv 2412.19255), told tensor by tensor."""
        config = self.config
        if config.count("num_attention_groups", default=1) != 1:
            raise config.wrong("num_attention_groups", "Step 3 has one key and value")
        n_heads, head_dim = config.size("num_attention_heads"), config.size("head_dim")
        rank = config.count("share_q_dim", default=0) or head_dim
        listed = [
            extra("attn_qkv", self.d_model, rank + 2 * head_dim),
            extra("attn_q_norm", rank),
            extra("attn_q", rank, n_heads * head_dim),
            extra("attn_output", n_heads * head_dim, self.d_model),
        ]
        sizes = {"n_heads": n_heads, "n_kv_heads": 1, "head_dim": head_dim}
        return {"kind": "grouped_query", **sizes, "listed": listed}

    def has_experts(self, index: int) -> bool:
        """In the layers of moe_layers_enum, and without it in all but the first."""
        named = self.config.get("moe_layers_enum")
        if named is None:
            return index > 0
        listed = named.split(",") if isinstance(named, str) else named
        if not isinstance(listed, list):
            raise self.config.wrong("moe_layers_enum", f"numbers of layers are needed, not {describe(named)}")
        return str(index) in {str(each).strip() for each in listed}

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """By names of their own."""
        return {
            "kind": "experts",
            "n_experts": self.n_experts,
            "n_active": self.config.size("moe_top_k"),
            "d_expert": self.config.size("moe_intermediate_size"),
            "n_shared": 1,
            "d_shared": self.config.size("share_expert_dim"),
        }


class Maple(Family):
    """Deepgrove's Maple: norms of query and key, windows as layer_types says, experts in every layer."""

    types = ("maple",)
    gguf = ("maple",)
    gguf_files = Files(windows=Windows())
    classes = ("MapleForCausalLM",)
    harmless = ("nope_on_global_attention",)
    expert_width_keys = ("moe_intermediate_size",)
    qk_norm = "head"


class K2Horizon(QwenMoe):
    """IFM's K2 Horizon: norms of every query and key head, a gate for what attention puts out, experts as in Qwen's mixtures."""

    types = ("k2_horizon",)
    gguf = ("k2-horizon",)
    classes = ("K2HorizonForCausalLM",)
    harmless = ("layernorm_num_groups", "rope_head_dim", "num_dense_layers", "query_key_norm")
    expert_width_keys = ("moe_intermediate_size",)
    qkv_bias = None

    def model(self) -> dict[str, Any]:
        """Values that are chosen among experts are not known."""
        if self.config.count("mova_num_experts", default=0):
            raise self.config.wrong("mova_num_experts", "values that are chosen among experts are not known here")
        return super().model()

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Norms as query_key_norm says."""
        norm = "full" if self.config.flag("query_key_norm") else None
        return super().grouped_query(index, **{"qk_norm": norm, "output_bias": False, **more})

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """A bias of the router where moe_gate_bias says so."""
        return super().experts(index, router_bias=self.config.flag("moe_gate_bias"), **more)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gate, where attention_gate_func names one."""
        if self.config.get("attention_gate_func") is None:
            return []
        found = self.grouped_query(index)
        return [extra("attn_gate", self.d_model, found["n_heads"] * found["head_dim"])]


class PanguUltra(DeepSeek3):
    """Huawei's openPangu Ultra: DeepSeek-V3 with four norms where sandwich_norm says so."""

    types = ("pangu_ultra_moe",)
    classes = ("PanguUltraMoEForCausalLM",)
    like = "deepseek_v3"

    @property
    def norms(self) -> int:  # type: ignore[override]
        """Before the halves, and after them too."""
        return 4 if self.config.flag("sandwich_norm") else 2

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """A correction that balances them, where router_enable_expert_bias says so."""
        return super().experts(index, **{"balance": self.config.flag("router_enable_expert_bias"), **more})
