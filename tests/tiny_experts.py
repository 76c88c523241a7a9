"""What the small files of further mixtures, and of latent attention, hold: tensors and keys as their converters write them.

A latent stands for the keys and values of all heads: `kv_rank` numbers of each token, and the part of the keys that turns. Of a head
`head_dim - rotated` dimensions do not turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field

YARN = {
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 4.0,
    "rope.scaling.original_context_length": 4096,
}
SOFTMAX, SIGMOID = 1, 2  # of expert_gating_func


@dataclass(frozen=True)
class Parts:
    """The tensors and keys of an architecture that others have not."""

    norms: tuple[str, str] = ("attn_norm", "ffn_norm")
    fused_qkv: bool = False
    biases: tuple[str, ...] = ()  # of attention's matrices
    qk_norm: bool = False
    sinks: bool = False
    balance: bool = False  # a bias of the choice
    expert_bias: bool = False  # of the router and of all matrices of experts
    factors: tuple[str, ...] = ()  # tables of factors of the rotation
    tied: bool = False
    keys: dict = field(default_factory=dict)


PARTS = {
    "gpt-oss": Parts(
        norms=("attn_norm", "post_attention_norm"),
        biases=("attn_q", "attn_k", "attn_v", "attn_output"),
        sinks=True,
        expert_bias=True,
        keys=YARN,
    ),
    "glm4moe": Parts(
        norms=("attn_norm", "post_attention_norm"),
        biases=("attn_q", "attn_k", "attn_v"),
        qk_norm=True,
        balance=True,
        keys={"expert_gating_func": SIGMOID, "expert_weights_norm": True, "expert_weights_scale": 1.5},
    ),
    "granitemoe": Parts(
        tied=True,
        keys={"attention.scale": 0.125, "embedding_scale": 6.0, "residual_scale": 0.25, "logit_scale": 2.0},
    ),
    "ernie4_5-moe": Parts(balance=True, keys={"interleave_moe_layer_step": 1}),
    "bailingmoe2": Parts(
        fused_qkv=True,
        qk_norm=True,
        balance=True,
        keys={
            "expert_gating_func": SIGMOID, "expert_weights_norm": True, "expert_weights_scale": 2.5,
            "expert_group_count": 4, "expert_group_used_count": 2,
        },
    ),
    "hunyuan-moe": Parts(qk_norm=True),
    "deepseek2": Parts(
        balance=True,
        keys={
            **YARN, "rope.scaling.yarn_log_multiplier": 0.0707, "expert_gating_func": SIGMOID, "expert_weights_norm": True,
            "expert_weights_scale": 2.5, "expert_group_count": 4, "expert_group_used_count": 2,
        },
    ),
    "minicpm3": Parts(tied=True, factors=("rope_factors_short", "rope_factors_long")),
}  # fmt: skip
ARCHITECTURES = tuple(PARTS)

_EXPERTS = {"n_experts": 8, "n_active": 3}
_LATENT = {"n_kv_heads": 4, "head_dim": 48, "rotated": 16, "value_dim": 32, "q_rank": 32, "kv_rank": 64}
SHAPES = {
    "gpt-oss": {**_EXPERTS, "head_dim": 32, "window": 4},
    "glm4moe": {**_EXPERTS, "rotated": 8, "d_shared": 32, "n_leading_dense": 1},
    "granitemoe": {**_EXPERTS, "d_shared": 64},
    "ernie4_5-moe": {**_EXPERTS, "d_shared": 64, "n_leading_dense": 1},
    "bailingmoe2": {**_EXPERTS, "n_experts": 16, "rotated": 8, "d_shared": 32, "n_leading_dense": 1},
    "hunyuan-moe": {**_EXPERTS, "d_expert": 96, "d_shared": 64},
    "deepseek2": {**_EXPERTS, **_LATENT, "n_experts": 16, "d_shared": 64, "n_leading_dense": 1},
    "minicpm3": {**_LATENT, "d_model": 256},
}
WIDE_LATENT = {"head_dim": 272, "value_dim": 256, "q_rank": 256, "kv_rank": 256}  # for blocks of 256
_COUNTS_SHARED = ("glm4moe", "bailingmoe2", "deepseek2")


def keys(arch, shape) -> dict:
    """Keys of an architecture, without its name before them, beside those that all have."""
    found = dict(PARTS[arch].keys)
    found["rope.dimension_count"] = shape.rotated or shape.head_dim
    if shape.n_leading_dense:
        found["leading_dense_block_count"] = shape.n_leading_dense
    if shape.d_shared and arch in _COUNTS_SHARED:
        found["expert_shared_count"] = shape.d_shared // shape.d_expert
    elif shape.d_shared:
        found["expert_shared_feed_forward_length"] = shape.d_shared
    return found | (latent_keys(arch, shape) if shape.kv_rank else {})


def latent_keys(arch, shape) -> dict:
    """Ranks and widths; files that keep the latent say the widths of a cache in which it serves all heads."""
    found = {"attention.kv_lora_rank": shape.kv_rank}
    if shape.q_rank:
        found["attention.q_lora_rank"] = shape.q_rank
    if arch == "minicpm3" or shape.joined_latent:
        return found
    return found | {
        "attention.head_count_kv": 1,
        "attention.key_length": shape.kv_rank + shape.rotated,
        "attention.value_length": shape.kv_rank,
        "attention.key_length_mla": shape.head_dim,
        "attention.value_length_mla": shape.value_dim,
    }


def outside_tensors(arch, shape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what stands beside the layers and is not in every file."""
    return {f"{name}.weight": ((shape.rotated or shape.head_dim) // 2,) for name in PARTS[arch].factors}


def block_tensors(arch, shape, layer) -> dict[str, tuple[int, ...]]:
    """Names, without the layer's prefix, and shapes, rows first, of one layer."""
    parts = PARTS[arch]
    found = {f"{name}.weight": (shape.d_model,) for name in parts.norms}
    found |= latent_tensors(arch, shape) if shape.kv_rank else attention_tensors(parts, shape)
    if not shape.n_experts or layer < shape.n_leading_dense:
        return found | gated_tensors("", shape.d_model, shape.d_ff)
    found["ffn_gate_inp.weight"] = (shape.n_experts, shape.d_model)
    experts = gated_tensors("_exps", shape.d_model, shape.d_expert, shape.n_experts)
    found |= experts
    if parts.balance:
        found["exp_probs_b.bias"] = (shape.n_experts,)
    if parts.expert_bias:
        found["ffn_gate_inp.bias"] = (shape.n_experts,)
        found |= {name.replace(".weight", ".bias"): size[:2] for name, size in experts.items()}
    if shape.d_shared:
        found |= gated_tensors("_shexp", shape.d_model, shape.d_shared)
    return found


def gated_tensors(suffix, d_model, d_ff, *experts) -> dict[str, tuple[int, ...]]:
    """The three matrices of a gated feed-forward, with a leading number of experts if given."""
    found = {f"ffn_{role}{suffix}.weight": (*experts, d_ff, d_model) for role in ("gate", "up")}
    return {**found, f"ffn_down{suffix}.weight": (*experts, d_model, d_ff)}


def attention_tensors(parts, shape) -> dict[str, tuple[int, ...]]:
    """Queries, keys and values of heads."""
    queries, shared = shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim
    rows = {"attn_q": queries, "attn_k": shared, "attn_v": shared}
    if parts.fused_qkv:
        rows = {"attn_qkv": queries + 2 * shared}
    found = {f"{name}.weight": (count, shape.d_model) for name, count in rows.items()}
    found["attn_output.weight"] = (shape.d_model, queries)
    found |= {f"{name}.bias": found[f"{name}.weight"][:1] for name in parts.biases}
    if parts.qk_norm:
        found |= {f"attn_{each}_norm.weight": (shape.head_dim,) for each in "qk"}
    if parts.sinks:
        found["attn_sinks.weight"] = (shape.n_heads,)
    return found


def latent_tensors(arch, shape) -> dict[str, tuple[int, ...]]:
    """Queries, through a narrow layer where there is a rank; the latent; what makes keys and values of it, together or by head."""
    n, rank, still = shape.n_heads, shape.kv_rank, shape.head_dim - shape.rotated
    found = {
        "attn_kv_a_mqa.weight": (rank + shape.rotated, shape.d_model),
        "attn_kv_a_norm.weight": (rank,),
        "attn_output.weight": (shape.d_model, n * shape.value_dim),
    }
    if arch == "minicpm3" or shape.joined_latent:
        found["attn_kv_b.weight"] = (n * (still + shape.value_dim), rank)
    else:
        found |= {"attn_k_b.weight": (n, rank, still), "attn_v_b.weight": (n, shape.value_dim, rank)}
    if not shape.q_rank:
        return found | {"attn_q.weight": (n * shape.head_dim, shape.d_model)}
    return found | {
        "attn_q_a.weight": (shape.q_rank, shape.d_model),
        "attn_q_a_norm.weight": (shape.q_rank,),
        "attn_q_b.weight": (n * shape.head_dim, shape.q_rank),
    }
