"""Further dense architectures as their equations say it: part of the reference in `naive.py`, in the same float64 and as plain.

Norms, biases and fused matrices are used where the file has the tensor; what the tensors do not show stands in `TRAITS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import naive
import numpy as np
from equations import (
    attention,
    gelu_tanh,
    layer_norm,
    relu_squared,
    rms_norm,
    rope,
    silu,
    yarn_kept,
    yarn_magnitude,
)


@dataclass(frozen=True)
class Traits:
    """What an architecture does that its tensors do not show."""

    adjacent: bool = False  # rotary pairs lie side by side
    layer_norm: bool = False  # the mean is taken out, too
    activation: str = "silu"
    is_parallel: bool = False  # attention and feed-forward read the same input and add to the same sum
    sqrt_embedding: bool = False  # times sqrt(d_model)
    window_period: int = 0  # of so many layers all but the last see only the window
    window_layers: int = 0  # a window counts only in a model of so many layers
    straight_period: int = 0  # every such layer does not turn its heads
    straight_if_all: bool = False  # layers that see everything do not turn theirs, in models that have windows
    norm_turned: bool = False  # queries and keys are normed after they are turned
    scaling_in_windows: bool = True  # layers with a window scale positions as the others do
    divides_logits: bool = False  # by logit_scale, instead of multiplying
    post_norm_before: bool = False  # what the file calls the norm after attention is the one before the feed-forward
    ignores_window: bool = False  # the key is there, and llama.cpp does not go by it


_COHERE = {"adjacent": True, "layer_norm": True, "is_parallel": True}
_GELU = {"layer_norm": True, "activation": "gelu"}
TRAITS = {
    "olmo2": Traits(window_period=4, scaling_in_windows=False),
    "gemma2": Traits(activation="gelu", sqrt_embedding=True, window_period=2),
    "phi3": Traits(ignores_window=True),
    "mistral3": Traits(adjacent=True),
    "granite": Traits(adjacent=True, divides_logits=True),
    "minicpm": Traits(adjacent=True, divides_logits=True),
    "smollm3": Traits(adjacent=True, straight_period=4),
    "exaone": Traits(),
    "exaone4": Traits(window_period=4, window_layers=64, straight_if_all=True),
    "starcoder2": Traits(**_GELU),
    "starcoder": Traits(**_GELU),
    "gpt2": Traits(**_GELU),
    "codeshell": Traits(**_GELU),
    "glm4": Traits(adjacent=True),
    "hunyuan-dense": Traits(norm_turned=True),
    "ernie4_5": Traits(adjacent=True),
    "internlm2": Traits(adjacent=True),
    "xverse": Traits(adjacent=True),
    "baichuan": Traits(adjacent=True),
    "seed_oss": Traits(post_norm_before=True),
    "qwen": Traits(),
    "arcee": Traits(adjacent=True, activation="relu_squared"),
    "orion": Traits(layer_norm=True),
    "nemotron": Traits(layer_norm=True, activation="relu_squared"),
    "olmo": Traits(adjacent=True, layer_norm=True),
    "stablelm": Traits(layer_norm=True),
    "phi2": Traits(**_GELU, is_parallel=True),
    "gptneox": Traits(**_GELU, is_parallel=True),
    "falcon": Traits(**_GELU, is_parallel=True),
    "command-r": Traits(**_COHERE),
    "cohere2": Traits(**_COHERE, window_period=4, straight_if_all=True),
    "plamo": Traits(is_parallel=True),
}
ACTIVATIONS = {"silu": silu, "gelu": gelu_tanh, "relu_squared": relu_squared}
CONTEXT = 256  # tokens that a sequence may have here: the table of long factors holds beyond a file's original length


def traits_of(network) -> Traits:
    """What its architecture does; a GPT-NeoX may say that it does one half after the other."""
    traits = naive.TRAITS[network.architecture]
    if network.architecture == "gptneox" and not network.key("use_parallel_residual"):
        return Traits(**_GELU)
    return traits


# ---- rotation ----


def scaling(network) -> dict:
    """How positions are stretched: keyword arguments of `rope`, for every architecture of the reference."""
    kind = network.key("rope.scaling.type", "linear")
    if kind not in ("none", "linear", "yarn", "longrope"):
        raise ValueError(f"rope.scaling.type {kind} is not known here")
    factor = network.key("rope.scaling.factor", network.key("rope.scale_linear", 0)) or 1.0
    magnitude = network.key("rope.scaling.attn_factor", 1.0)
    if kind == "none":
        return {"linear": 1.0, "magnitude": magnitude}
    if kind != "yarn":
        return {"linear": factor, "magnitude": magnitude}
    # llama.cpp reads the other three keys in this architecture's files only.
    own = network.key if network.architecture == "mistral3" else lambda _, default: default
    kept = yarn_kept(
        network.n_rotated,
        network.key("rope.freq_base", 10000.0),
        network.key("rope.scaling.original_context_length", network.key("context_length")),
        fast=own("rope.scaling.yarn_beta_fast", 32.0),
        slow=own("rope.scaling.yarn_beta_slow", 1.0),
    )
    magnitude *= yarn_magnitude(factor, own("rope.scaling.yarn_log_multiplier", 0.0))
    return {"linear": factor, "magnitude": magnitude, "kept": kept}


def factors(network):
    """A number for each pair that its angle is divided by, or None: of the long contexts where this one is."""
    if "rope_freqs.weight" in network.tensors:
        return network.weight("rope_freqs.weight")
    if "rope_factors_long.weight" not in network.tensors:
        return None
    original = network.key("rope.scaling.original_context_length", network.key("context_length"))
    return network.weight(f"rope_factors_{'long' if original < CONTEXT else 'short'}.weight")


def rotation(network, layer):
    """How this layer turns queries and keys, or None where it does not."""
    traits = traits_of(network)
    sees_all = window(network, layer) is None
    has_windows = any(window(network, each) for each in range(network.n_layers))
    if "position_embd.weight" in network.tensors or network.key("rope.scaling.finetuned", True) is False:
        return None
    if traits.straight_period and (layer + 1) % traits.straight_period == 0:
        return None
    if traits.straight_if_all and has_windows and sees_all:
        return None
    base, alpha = network.key("rope.freq_base", 10000.0), network.key("rope.scaling.alpha", 0.0)
    if alpha:  # Hunyuan's way to stretch
        base *= alpha ** (network.head_dim / (network.head_dim - 2))
    found = {"base": base, "adjacent": traits.adjacent}
    if not sees_all and not traits.scaling_in_windows:
        return found
    return found | {"factors": factors(network)} | scaling(network)


def window(network, layer):
    """How many positions this layer sees, None for all."""
    traits, size = traits_of(network), network.key("attention.sliding_window")
    if not size or not traits.window_period or traits.ignores_window:
        return None
    if traits.window_layers not in (0, network.n_layers):
        return None
    pattern = network.key("attention.sliding_window_pattern", traits.window_period)
    if isinstance(pattern, list):
        return size if pattern[layer] else None
    return size if layer % pattern < pattern - 1 else None


# ---- one layer ----


def norm(network, block, role, rows, *, always=False):
    """Every row normed if there is such a norm, or *always*, else as it was; olmo's norms have no weights."""
    if f"{role}.weight" not in block and not always:
        return rows
    weight, bias = block.get(f"{role}.weight", 1.0), block.get(f"{role}.bias", 0.0)
    if traits_of(network).layer_norm:
        epsilon = network.key("attention.layer_norm_epsilon")
        return np.array([layer_norm(row, weight, bias, epsilon) for row in rows])
    return np.array([rms_norm(row, weight, network.epsilon) for row in rows])


def projections(network, block, rows, share):
    """Queries, keys and values [n_tokens, heads, dim] before they are normed or turned, from three matrices or one."""
    counts = (network.n_heads, network.n_kv_heads, network.n_kv_heads)
    widths = [count * network.head_dim for count in counts]
    if "attn_qkv.weight" in block:
        whole = np.array([naive.linear(block, "attn_qkv", row, share) for row in rows])
        found = np.split(whole, np.cumsum(widths)[:2], axis=1)
    else:
        found = [np.array([naive.linear(block, f"attn_{each}", row, share) for row in rows]) for each in "qkv"]
    most = network.key("attention.clamp_kqv", 0.0)
    if most:
        found = [np.clip(each, -most, most) for each in found]
    return [each.reshape(len(rows), count, -1) for each, count in zip(found, counts, strict=True)]


def norm_heads(network, block, role, vectors):
    """Queries or keys normed: each head by itself, or all heads of a token together, as the norm is wide."""
    weight = block.get(f"{role}.weight")
    if weight is None:
        return vectors
    if len(weight) == vectors.shape[2]:
        return np.array([norm(network, block, role, each) for each in vectors])
    return norm(network, block, role, vectors.reshape(len(vectors), -1)).reshape(vectors.shape)


def place(network, block, layer, role, vectors):
    """Queries or keys as they meet: normed and turned by their positions, in the architecture's order."""
    turned = rotation(network, layer)
    n_rotated, traits = network.n_rotated, traits_of(network)
    if not traits.norm_turned:
        vectors = norm_heads(network, block, role, vectors)
    if turned:
        out = vectors.copy()
        for position, row in enumerate(vectors):
            for head, x in enumerate(row):
                out[position, head, :n_rotated] = rope(x[:n_rotated], position, **turned)
        vectors = out
    return norm_heads(network, block, role, vectors) if traits.norm_turned else vectors


def temperature(network, position):
    """What a query is multiplied by: more with every full length that the model was first trained with."""
    scale = network.key("attention.temperature_scale", 0.0)
    if not scale:
        return 1.0
    return 1 + scale * math.log(1 + math.floor(position / network.key("rope.scaling.original_context_length")))


def attention_scale(network):
    """What scores are multiplied by: Gemma 2 27B, known by its 46 layers, goes by d_model over its heads."""
    if network.architecture == "gemma2" and network.n_layers == 46:
        return (network.d_model // network.n_heads) ** -0.5
    return network.key("attention.scale", 0.0) or network.head_dim**-0.5


def attend(network, block, layer, rows, share):
    """The attention of one layer for all positions of one sequence."""
    queries, keys, values = projections(network, block, rows, share)
    queries = place(network, block, layer, "attn_q_norm", queries)
    queries = np.array([temperature(network, position) * each for position, each in enumerate(queries)])
    keys = place(network, block, layer, "attn_k_norm", keys)
    if network.round_cache:
        keys, values = (each.astype(np.float16).astype(np.float64) for each in (keys, values))
    cap = network.key("attn_logit_softcapping")
    sinks = block.get("attn_sinks.weight")
    read = attention(queries, keys, values, attention_scale(network), window(network, layer), cap, sinks)
    return np.array([naive.linear(block, "attn_output", row.reshape(-1), share) for row in read])


def feed_forward(network, block, x, share):
    """down(act(gate) * up), or without a gate down(act(up)); gate and up may be one matrix, the gate first."""
    act = ACTIVATIONS[traits_of(network).activation]
    up = naive.linear(block, "ffn_up", x, share)
    if "ffn_gate.weight" in block:
        inner = act(naive.linear(block, "ffn_gate", x, share)) * up
    elif len(up) == 2 * block["ffn_down.weight"].shape[1]:
        gate, up = np.split(up, 2)
        inner = act(gate) * up
    else:
        inner = act(up)
    return naive.linear(block, "ffn_down", inner, share)


def run_block(network, layer, block, rows, share):
    """One layer for all positions of one sequence."""
    traits, scale = traits_of(network), network.key("residual_scale", 0.0) or 1.0
    plain = network.architecture == "olmo"  # its norms have no weights
    normed = norm(network, block, "attn_norm", rows, always=plain)
    read = attend(network, block, layer, normed, share)
    before = "ffn_norm"
    if traits.post_norm_before:
        before = "post_attention_norm"
    else:
        read = norm(network, block, "post_attention_norm", read)
    after = rows + scale * read
    if not traits.is_parallel:
        normed = norm(network, block, before, after, always=plain)
    elif "ffn_norm.weight" in block:
        normed = norm(network, block, "ffn_norm", rows)
    out = np.array([feed_forward(network, block, x, share) for x in normed])
    return after + scale * norm(network, block, "post_ffw_norm", out)


# ---- from tokens to logits ----


def embed(network, tokens):
    """The rows of the embedding [n_tokens, d_model], scaled, and with the positions' own where there are such."""
    rows = network.weight("token_embd.weight", np.asarray(tokens, dtype=np.int64))
    rows = rows * (network.key("embedding_scale", 0.0) or 1.0)
    if traits_of(network).sqrt_embedding:
        rows = rows * math.sqrt(network.d_model)
    if "position_embd.weight" in network.tensors:
        rows = rows + network.weight("position_embd.weight", slice(len(rows)))
    return rows


def finish(network, logits):
    """Logits scaled and capped as the file says."""
    scale = network.key("logit_scale", 0.0) or 1.0
    logits = logits / scale if traits_of(network).divides_logits else logits * scale
    cap = network.key("final_logit_softcapping")
    return cap * np.tanh(logits / cap) if cap else logits


def decode(network, sequences, share=None, head_share=None):
    """Logits [n_tokens, vocab] at every position of every sequence, as `naive.decode` gives them."""
    hidden = [embed(network, tokens) for tokens in sequences]
    for layer in range(network.n_layers):
        block = network.block(layer)
        hidden = [run_block(network, layer, block, rows, share) for rows in hidden]
    names = ("output_norm.weight", "output_norm.bias")
    outside = {each: network.weight(each) for each in names if each in network.tensors}
    hidden = [norm(network, outside, "output_norm", rows, always=True) for rows in hidden]
    return [finish(network, each) for each in naive.head(network, hidden, head_share)]
