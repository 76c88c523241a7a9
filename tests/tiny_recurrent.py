"""Small files of architectures whose layers carry a state: their keys, and the tensors of each kind of layer, as converters write them."""

from __future__ import annotations

import numpy as np
import tiny

DELTA_NETS = ("qwen3next", "qwen35", "qwen35moe")
MAMBA2 = ("mamba2", "nemotron_h", "nemotron_h_moe", "granitehybrid")
SHORT_CONVOLUTIONS = ("lfm2", "lfm2moe")
ARCHITECTURES = (*DELTA_NETS, *MAMBA2, *SHORT_CONVOLUTIONS)
ALONE = ("mamba2", "nemotron_h", "nemotron_h_moe")  # a layer is one block, with one norm
KINDS = {"mamba2": "M", "nemotron_h": "M-*", "nemotron_h_moe": "M-*"}  # of layers in turn; else M*
CONV, GROUPS, D_STATE, SHORT = 4, 2, 16, 3

_EXPERTS = {"n_experts": 8, "n_active": 3}
_QWEN = {"head_dim": 32, "rotated": 8, "epsilon": 1e-6}
OWN = {
    "qwen3next": {**_EXPERTS, **_QWEN, "d_shared": 64},
    "qwen35": _QWEN,
    "qwen35moe": {**_EXPERTS, **_QWEN, "d_shared": 64},
    "nemotron_h_moe": {**_EXPERTS, "d_shared": 64},
    "granitehybrid": {**_EXPERTS, "d_shared": 64},
    "lfm2moe": {**_EXPERTS, "n_leading_dense": 1},
}
TIED = ("mamba2", "granitehybrid", "lfm2", "lfm2moe")


def kind(arch, layer) -> str:
    """What a layer is: M has a state, * is attention, - a network alone."""
    kinds = KINDS.get(arch, "M*")
    return kinds[layer % len(kinds)]


def heads(arch, shape) -> tuple[int, int, int]:
    """Value heads or heads of a state, their width, and the width of a key or the size of a channel's state."""
    if arch in DELTA_NETS:
        width = max(32, shape.d_model // 4)
        return 4, width, width
    return 8, shape.d_model // 4, D_STATE


# ---- tensors ----


def block_tensors(arch, shape, layer) -> dict[str, tuple[int, ...]]:
    """Names and shapes, rows first, of one layer."""
    found = {"attn_norm.weight": (shape.d_model,)}
    if kind(arch, layer) != "-":
        found |= _attention(arch, shape) if kind(arch, layer) == "*" else state_tensors(arch, shape)
        if arch in ALONE:
            return found
        found["post_attention_norm.weight" if arch in DELTA_NETS else "ffn_norm.weight"] = (shape.d_model,)
    has_experts = shape.n_experts and layer >= shape.n_leading_dense
    found |= tiny.expert_tensors(arch, shape) if has_experts else tiny.gated_tensors("", shape.d_model, shape.d_ff)
    if has_experts and arch in ("nemotron_h_moe", "lfm2moe"):
        found["exp_probs_b.bias"] = (shape.n_experts,)
    if has_experts and arch in DELTA_NETS:
        found["ffn_gate_inp_shexp.weight"] = (shape.d_model,)
    if arch.startswith("nemotron"):
        found = {
            name: size
            for name, size in found.items()
            if not name.startswith(("ffn_gate.", "ffn_gate_exps", "ffn_gate_shexp"))
        }
    return found


def _attention(arch, shape) -> dict[str, tuple[int, ...]]:
    d, queries = shape.d_model, shape.n_heads * shape.head_dim
    kv = (shape.n_kv_heads * shape.head_dim, d)
    found = {
        "attn_q.weight": (2 * queries if arch in DELTA_NETS else queries, d),
        "attn_k.weight": kv,
        "attn_v.weight": kv,
    }
    if arch in (*DELTA_NETS, *SHORT_CONVOLUTIONS):
        found |= {f"attn_{each}_norm.weight": (shape.head_dim,) for each in "qk"}
    return found | {"attn_output.weight": (d, queries)}


def state_tensors(arch, shape) -> dict[str, tuple[int, ...]]:
    """Those of a layer with a state beside its norms."""
    d, (n, width, size) = shape.d_model, heads(arch, shape)
    if arch in SHORT_CONVOLUTIONS:
        return {
            "shortconv.in_proj.weight": (3 * d, d),
            "shortconv.conv.weight": (d, SHORT),
            "shortconv.out_proj.weight": (d, d),
        }
    inner = n * width
    mixed = inner + 2 * GROUPS * size
    found = {"ssm_conv1d.weight": (mixed, CONV), "ssm_dt.bias": (n,), "ssm_out.weight": (d, inner)}
    if arch in MAMBA2:
        found |= {"ssm_in.weight": (inner + mixed + n, d), "ssm_conv1d.bias": (mixed,)}
        return found | {"ssm_a": (n, 1), "ssm_d": (n, 1), "ssm_norm.weight": (GROUPS, inner // GROUPS)}
    found |= {"attn_qkv.weight": (mixed, d), "attn_gate.weight": (inner, d), "ssm_a": (n,), "ssm_norm.weight": (width,)}
    both = {"ssm_ba.weight": (2 * n, d)}
    return found | (both if arch == "qwen3next" else {"ssm_alpha.weight": (n, d), "ssm_beta.weight": (n, d)})


# ---- what is in them ----

FLOATS = ("ssm_conv1d.weight", "shortconv.conv.weight", "ssm_a", "ssm_d", "ssm_norm.weight")


def fill(draw, name, size):
    """Float32 values of what is never quantised: decays below 0, weights of a convolution of order 1; None for anything else."""
    if not name.endswith(FLOATS):
        return None
    if name.endswith("norm.weight"):
        return (1 + 0.2 * draw.standard_normal(size)).astype(np.float32)
    if name.endswith("ssm_a"):
        return -np.exp(draw.uniform(-2, 1, size)).astype(np.float32)
    return (draw.standard_normal(size) * (1.0 if name.endswith("ssm_d") else 0.5)).astype(np.float32)


# ---- keys ----


def keys(arch, shape, n_layers) -> dict:
    """Keys of an architecture, without its name before them, beside those that all have."""
    found = {"feed_forward_length": [shape.d_ff if kind(arch, layer) == "-" else 0 for layer in range(n_layers)]}
    found["attention.layer_norm_epsilon"] = shape.epsilon
    found = found if arch.startswith("nemotron") else {}
    if arch not in DELTA_NETS:
        kv = [shape.n_kv_heads if kind(arch, layer) == "*" else 0 for layer in range(n_layers)]
        found["attention.head_count_kv"] = kv
    if arch == "mamba2":
        found |= {"attention.head_count": 0, "attention.head_count_kv": 0, "feed_forward_length": 0}
    if arch.startswith("nemotron") or arch in DELTA_NETS:
        found |= {"attention.key_length": shape.head_dim, "attention.value_length": shape.head_dim}
    if shape.n_experts:
        found |= _expert_keys(arch, shape)
    if arch in SHORT_CONVOLUTIONS:
        return found | {"shortconv.l_cache": SHORT}
    n, width, size = heads(arch, shape)
    found |= {"ssm.conv_kernel": CONV, "ssm.state_size": size, "ssm.group_count": GROUPS}
    found |= {"ssm.time_step_rank": n, "ssm.inner_size": n * width}
    if arch in DELTA_NETS:
        found |= {"full_attention_interval": 2, "rope.dimension_count": shape.rotated}
    if arch in ("qwen35", "qwen35moe"):
        found["rope.dimension_sections"] = [shape.rotated // 2 - 2, 1, 1, 0]
    if arch == "granitehybrid":
        found |= {"attention.scale": 0.125, "embedding_scale": 6.0, "residual_scale": 0.25, "logit_scale": 4.0}
        found |= {"rope.scaling.finetuned": False, "rope.dimension_count": shape.head_dim}
    return found


def _expert_keys(arch, shape) -> dict:
    found = {"expert_feed_forward_length": shape.d_expert}
    if shape.d_shared:
        found["expert_shared_feed_forward_length"] = shape.d_shared
    if arch == "granitehybrid":
        found["feed_forward_length"] = shape.d_expert
    if arch == "nemotron_h_moe":
        found |= {"expert_shared_count": 1, "expert_weights_norm": True, "expert_weights_scale": 2.5}
    if arch == "lfm2moe":
        found |= {"expert_gating_func": 2, "leading_dense_block_count": shape.n_leading_dense}
    return found
