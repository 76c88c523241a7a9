"""What the small files of Gemma 4 hold: two widths of heads, inputs of each layer's own, caches that later layers share, or keys
that serve as values. Every other layer has a window."""

from __future__ import annotations

import numpy as np

ARCHITECTURES = ("gemma4",)
N_LAYERS = 6
SHAPES = {
    "gemma4": {"head_dim": 32, "n_kv_heads": 1, "window": 4, "epsilon": 1e-6, "per_layer": 32, "own_layers": 4},
}
WIDE = {"head_dim": 128, "per_layer": 256}  # for formats with blocks of 256


def sees_all(layer) -> bool:
    """Every second layer, so that the last sees all."""
    return layer % 2 == 1


def has_cache(shape, layer) -> bool:
    """Whether a layer has keys and values of its own."""
    return layer < shape.own_layers


def width(shape, layer) -> int:
    """Of a head: half of it in windows."""
    return shape.head_dim if sees_all(layer) else shape.head_dim // 2


def n_kv_heads(shape, layer) -> int:
    """Twice as many in windows where keys serve as values elsewhere."""
    return shape.n_kv_heads * (2 if shape.keys_are_values and not sees_all(layer) else 1)


def keys(shape, n_layers) -> dict:
    """Keys without the architecture before them, beside those that all have."""
    return {
        "attention.key_length_swa": shape.head_dim // 2,
        "attention.value_length_swa": shape.head_dim // 2,
        "attention.head_count_kv": [n_kv_heads(shape, layer) for layer in range(n_layers)],
        "attention.sliding_window_pattern": [not sees_all(layer) for layer in range(n_layers)],
        "attention.shared_kv_layers": max(0, n_layers - shape.own_layers),
        "embedding_length_per_layer_input": shape.per_layer,
        "rope.dimension_count": shape.head_dim,
        "rope.dimension_count_swa": shape.head_dim // 2,
        "rope.freq_base": 1000000.0,
        "rope.freq_base_swa": 5000.0,
        "final_logit_softcapping": 3.0,
    }


def outside_tensors(shape, n_layers, vocab) -> dict[str, tuple[int, ...]]:
    """What stands beside the layers and is not in every file."""
    found = {"rope_freqs.weight": (shape.head_dim // 2,)}
    if shape.per_layer:
        found["per_layer_token_embd.weight"] = (vocab, shape.per_layer * n_layers)
        found["per_layer_model_proj.weight"] = (shape.per_layer * n_layers, shape.d_model)
        found["per_layer_proj_norm.weight"] = (shape.per_layer,)
    return found


def block_tensors(shape, layer) -> dict[str, tuple[int, ...]]:
    """Names, without the layer's prefix, and shapes, rows first, of one layer."""
    d_model, head, shared = shape.d_model, width(shape, layer), n_kv_heads(shape, layer) * width(shape, layer)
    found = {"attn_q.weight": (shape.n_heads * head, d_model), "attn_output.weight": (d_model, shape.n_heads * head)}
    found["attn_q_norm.weight"] = (head,)
    if has_cache(shape, layer):
        found |= {"attn_k.weight": (shared, d_model), "attn_k_norm.weight": (head,)}
        if not (shape.keys_are_values and sees_all(layer)):
            found["attn_v.weight"] = (shared, d_model)
    norms = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")
    found |= {f"{norm}.weight": (d_model,) for norm in norms}
    found |= expert_tensors(shape) if shape.n_experts else {}
    found |= {"ffn_gate.weight": (shape.d_ff, d_model), "ffn_up.weight": (shape.d_ff, d_model)}
    found |= {"ffn_down.weight": (d_model, shape.d_ff), "layer_output_scale.weight": (1,)}
    if shape.per_layer:
        found |= {"inp_gate.weight": (shape.per_layer, d_model), "proj.weight": (d_model, shape.per_layer)}
        found["post_norm.weight"] = (d_model,)
    return found


def expert_tensors(shape) -> dict[str, tuple[int, ...]]:
    """Router, experts and norms that stand beside the dense network; gate and up are one, as the converter writes them, unless scaled."""
    n, d_model, d_expert = shape.n_experts, shape.d_model, shape.d_expert
    found = {f"{norm}.weight": (d_model,) for norm in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2")}
    found |= {"ffn_gate_inp.weight": (n, d_model), "ffn_gate_inp.scale": (d_model,), "ffn_down_exps.scale": (n,)}
    if shape.scaled:
        found |= {f"ffn_{role}_exps.weight": (n, d_expert, d_model) for role in ("gate", "up")}
    else:
        found["ffn_gate_up_exps.weight"] = (n, 2 * d_expert, d_model)
    return found | {"ffn_down_exps.weight": (n, d_model, d_expert)}


def fill(draw, arch, name, size):
    """Values of vectors that are not as elsewhere, else None: scores have no scale but what the norm of queries gives them, and with
    weights around 1 they would be so large that rounding of the last bits changes what is attended to; outputs are scaled by about 1.
    """
    if arch in ARCHITECTURES and name.endswith(
        "ffn_gate_inp.scale"
    ):  # what it meets is divided by the root of the width
        return (draw.uniform(0.5, 1.5, size) * size[0] ** 0.5).astype(np.float32)
    if arch not in ARCHITECTURES or not name.endswith(("attn_q_norm.weight", "layer_output_scale.weight")):
        return None
    values = (1 + 0.2 * draw.standard_normal(size)).astype(np.float32)
    return values * np.float32(size[0] ** -0.5) if "attn_q_norm" in name else values
