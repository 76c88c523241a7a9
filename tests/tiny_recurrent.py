"""Small files of architectures whose layers carry a state: their keys, and the tensors of each kind of layer, as converters write them."""

from __future__ import annotations

import gguf
import numpy as np

DELTA_NETS = ("qwen3next", "qwen35", "qwen35moe")
MAMBA2 = ("mamba2", "nemotron_h", "granitehybrid")
SHORT_CONVOLUTIONS = ("lfm2", "lfm2moe")
ARCHITECTURES = (*DELTA_NETS, *MAMBA2, *SHORT_CONVOLUTIONS)
LETTERS = {
    "nemotron_h": "M-*"
}  # kinds of layers in turn: a state, a network alone, attention; else a state and attention
CONV, GROUPS, D_STATE, SHORT = 4, 2, 16, 3

_EXPERTS = {"n_experts": 8, "n_active": 3}
OWN = {
    "qwen3next": {**_EXPERTS, "d_shared": 64, "head_dim": 32, "rotated": 8, "epsilon": 1e-6},
    "qwen35": {"head_dim": 32, "rotated": 8, "epsilon": 1e-6},
    "qwen35moe": {**_EXPERTS, "d_shared": 64, "head_dim": 32, "rotated": 8, "epsilon": 1e-6},
    "granitehybrid": {**_EXPERTS, "d_shared": 64},
    "lfm2moe": {**_EXPERTS, "n_leading_dense": 1},
}


def kind(arch, layer) -> str:
    """What a layer is: M has a state, * is attention, - a network alone."""
    letters = "M" if arch == "mamba2" else LETTERS.get(arch, "M*")
    return letters[layer % len(letters)]


def default_layers(arch) -> int:
    """As many layers as have one of each kind."""
    return len(LETTERS.get(arch, "M*"))


def heads(arch, shape) -> tuple[int, int, int]:
    """Value heads or heads of a state, their width, and the width of a key or the size of a channel's state."""
    if arch in DELTA_NETS:
        width = max(32, shape.d_model // 4)
        return 4, width, width
    return 8, shape.d_model // 4, D_STATE


# ---- tensors ----


def mixer_tensors(arch, shape, layer) -> dict[str, tuple[int, ...]] | None:
    """What mixes the tokens of a layer, rows first; None where it is the usual attention."""
    d, (n, width, size) = shape.d_model, heads(arch, shape)
    if kind(arch, layer) == "-":
        return {}
    if kind(arch, layer) == "*":
        gate = {"attn_q.weight": (2 * shape.n_heads * shape.head_dim, d)}
        return (gate if arch in DELTA_NETS else None) and _attention(shape) | gate
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


def _attention(shape) -> dict[str, tuple[int, ...]]:
    kv = (shape.n_kv_heads * shape.head_dim, shape.d_model)
    found = {
        "attn_k.weight": kv,
        "attn_v.weight": kv,
        "attn_output.weight": (shape.d_model, shape.n_heads * shape.head_dim),
    }
    return found | {f"attn_{each}_norm.weight": (shape.head_dim,) for each in "qk"}


# ---- what is in them ----

FLOATS = ("ssm_conv1d.weight", "shortconv.conv.weight", "ssm_a", "ssm_d")  # never quantised


def fill(draw, name, size):
    """Float32 values of what is never quantised: decays below 0, weights of a convolution of order 1."""
    if name == "ssm_a":
        return -np.exp(draw.uniform(-2, 1, size)).astype(np.float32)
    return draw.standard_normal(size).astype(np.float32) * np.float32(0.5 if "conv" in name else 1.0)


# ---- keys ----


def add_keys(writer, arch, shape, n_layers):
    """What tells of states, and which layers have one."""
    writer.add_head_count_kv(_by_layer(arch, shape, n_layers))
    if arch in SHORT_CONVOLUTIONS:
        writer.add_shortconv_l_cache(SHORT)
        return
    n, width, size = heads(arch, shape)
    writer.add_ssm_conv_kernel(CONV)
    writer.add_ssm_state_size(size)
    writer.add_ssm_group_count(GROUPS)
    writer.add_ssm_time_step_rank(n)
    writer.add_ssm_inner_size(n * width)
    if arch in DELTA_NETS:
        writer.add_full_attention_interval(2)
        writer.add_rope_dimension_count(shape.rotated)
    if arch in ("qwen35", "qwen35moe"):
        writer.add_rope_dimension_sections([shape.rotated // 2 - 2, 1, 1, 0])
    if arch == "granitehybrid":
        writer.add_rope_dimension_count(shape.head_dim)
        writer.add_rope_scaling_finetuned(False)


def _by_layer(arch, shape, n_layers):
    """Heads of keys of each layer, 0 where there is no attention; one number where files have one."""
    if arch in DELTA_NETS:
        return shape.n_kv_heads
    return [shape.n_kv_heads if kind(arch, layer) == "*" else 0 for layer in range(n_layers)]
