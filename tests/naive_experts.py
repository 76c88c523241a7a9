"""Further mixtures of experts, and latent attention, as their equations say it: part of the reference in `naive.py`.

What is as in dense networks stands in `naive_dense.py`. Norms, biases and shared experts are used where the file has the tensor;
what the tensors do not show stands in `TRAITS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import naive
import naive_dense
import numpy as np
from equations import (
    attention,
    choose_experts,
    clipped_swiglu,
    rope,
    round_to_cache,
    round_to_int8,
    sigmoid,
    silu,
    softmax,
)

SIGMOID = 2  # of expert_gating_func


@dataclass(frozen=True)
class Traits(naive_dense.Traits):
    """What an architecture does that its tensors do not show."""

    renormalise: bool | None = None  # weights of the chosen experts sum to 1; None: the file says
    sigmoid: bool = False  # an expert's share is the sigmoid of its own logit, where the file does not say
    is_clipped: bool = False  # gpt-oss's activation, and its router: the softmax of those chosen
    embedding: float = 1.0
    residual_depth: float = 0.0  # what a block puts out counts this over the root of the number of layers
    base_width: int = 0  # logits are as of a network of this width


TRAITS = {
    "gpt-oss": Traits(window_period=2, post_norm_before=True, is_clipped=True, renormalise=True),
    "glm4moe": Traits(post_norm_before=True, sigmoid=True),
    "granitemoe": Traits(adjacent=True, divides_logits=True, renormalise=True),
    "ernie4_5-moe": Traits(adjacent=True, renormalise=True),
    "bailingmoe2": Traits(),
    "hunyuan-moe": Traits(norm_turned=True, renormalise=True),
    "deepseek2": Traits(adjacent=True),
    "minicpm3": Traits(embedding=12.0, residual_depth=1.4, base_width=256),
}


# ---- latent attention ----


def yarn(network):
    """(what turned parts are multiplied by, what scores are) of deepseek2, whose YaRN also scales what does not turn."""
    factor = network.key("rope.scaling.factor", 1.0)
    if network.key("rope.scaling.type") != "yarn" or factor <= 1:
        return 1.0, 1.0
    grown = math.log(factor) / 10
    multiplier = network.key("rope.scaling.yarn_log_multiplier", 0.0) * 10
    turned = 1.0 if multiplier else 1 + grown
    return turned, (turned * (1 + multiplier * grown)) ** 2


def by_head(network, block):
    """What makes of a latent each head's keys that do not turn [heads, rank, dim], and its values [heads, dim, rank]."""
    if "attn_k_b.weight" in block:
        return block["attn_k_b.weight"], block["attn_v_b.weight"]
    still = network.head_dim - network.n_rotated
    both = block["attn_kv_b.weight"].reshape(network.n_heads, -1, network.key("attention.kv_lora_rank"))
    return both[:, :still].transpose(0, 2, 1), both[:, still:]


def latent_attend(network, block, rows, share):
    """Attention whose cache holds for each token a latent and one turned part of the keys, for all heads alike.

    A query that meets keys made of a latent is a query made by the same matrix that meets the latent itself; what is read is
    the latent, of which each head makes its values.
    """
    head_dim, n_rotated = network.key("attention.key_length_mla", network.head_dim), network.n_rotated
    rank, still = network.key("attention.kv_lora_rank"), head_dim - n_rotated
    magnitude, grown = yarn(network) if network.architecture == "deepseek2" else (1.0, 1.0)
    turned = naive_dense.rotation(network, 0) | {"magnitude": magnitude}
    k_b, v_b = by_head(network, block)
    meet_keys = (
        round_to_int8 if "attn_k_b.rounded" in block else np.asarray
    )  # turned over, one matrix for both is none of blocks
    meet_values = round_to_int8 if {"attn_v_b.rounded", "attn_kv_b.rounded"} & block.keys() else np.asarray
    queries, cached = [], []
    for position, row in enumerate(rows):
        if "attn_q_a.weight" in block:
            narrow = naive_dense.norm(network, block, "attn_q_a_norm", [naive.linear(block, "attn_q_a", row, share)])[0]
            query = naive.linear(block, "attn_q_b", narrow, share)
        else:
            query = naive.linear(block, "attn_q", row, share)
        made = [
            np.append(k_b[head] @ meet_keys(each[:still]), rope(each[still:], position, **turned))
            for head, each in enumerate(query.reshape(network.n_heads, head_dim))
        ]
        queries.append(made)
        both = naive.linear(block, "attn_kv_a_mqa", row, share)
        latent = naive_dense.norm(network, block, "attn_kv_a_norm", [both[:rank]])[0]
        cached.append([np.append(latent, rope(both[rank:], position, **turned))])
    queries, cached = np.array(queries), np.array(cached)
    if network.round_cache:
        cached = round_to_cache(cached, network.round_cache)
    read = attention(queries, cached, cached[:, :, :rank], grown * head_dim**-0.5)
    values = [np.concatenate([v_b[head] @ meet_values(each) for head, each in enumerate(row)]) for row in read]
    return np.array([naive.linear(block, "attn_output", each, share) for each in values])


# ---- experts ----


def own_choice(network, block, x, experts=None):
    """The experts that the layer's router picks for x, or those given, and their weights."""
    traits = TRAITS[network.architecture]
    logits = naive.linear(block, "ffn_gate_inp", x)
    has_sigmoid = network.key("expert_gating_func", SIGMOID if traits.sigmoid else 0) == SIGMOID
    shares = sigmoid(logits) if has_sigmoid else softmax(logits)
    if experts is None:
        worth = shares + block.get("exp_probs_b.bias", 0.0)
        groups = network.key("expert_group_count", 1), network.key("expert_group_used_count", 1)
        experts = choose_experts(worth, network.key("expert_used_count"), *groups)
    weights = shares[experts]
    renormalise = network.key("expert_weights_norm", False) if traits.renormalise is None else traits.renormalise
    if renormalise:
        weights = weights / np.sum(weights)
    return experts, weights * (network.key("expert_weights_scale", 0) or 1.0)


def gated(network, block, suffix, x, share):
    """down(act(gate, up)) of the matrices called ffn_gate, ffn_up and ffn_down, plus the suffix."""
    gate, up = (naive.linear(block, f"ffn_{role}{suffix}", x, share) for role in ("gate", "up"))
    is_clipped = TRAITS[network.architecture].is_clipped
    return naive.linear(block, f"ffn_down{suffix}", clipped_swiglu(gate, up) if is_clipped else silu(gate) * up, share)


def mix_experts(network, block, x, choice, share):
    """The weighted sum of the chosen experts, plus the shared one if there is one."""
    out = np.zeros(len(x))
    for expert, weight in zip(*choice, strict=True):
        own = {name: tensor[expert] for name, tensor in block.items() if "_exps." in name}
        out += weight * gated(network, own, "_exps", x, share)
    return out + gated(network, block, "_shexp", x, share) if "ffn_up_shexp.weight" in block else out


# ---- from tokens to logits ----


def run_block(network, layer, block, rows, choose, share):
    """One layer for all positions of one sequence; `choose` gives the experts of a position."""
    traits = TRAITS[network.architecture]
    scale = network.key("residual_scale", 0.0) or 1.0
    if traits.residual_depth:
        scale = traits.residual_depth / math.sqrt(network.n_layers)
    normed = naive_dense.norm(network, block, "attn_norm", rows)
    if "attn_kv_a_mqa.weight" in block:
        read = latent_attend(network, block, normed, share)
    else:
        read = naive_dense.attend(network, block, layer, normed, share)
    rows = rows + scale * read
    normed = naive_dense.norm(network, block, "post_attention_norm" if traits.post_norm_before else "ffn_norm", rows)
    if "ffn_gate_inp.weight" in block:
        out = [mix_experts(network, block, x, choose(position, x), share) for position, x in enumerate(normed)]
    else:
        out = [gated(network, block, "", x, share) for x in normed]
    return rows + scale * np.array(out)


def decode(network, sequences, routing=None, share=None, head_share=None):
    """Logits [n_tokens, vocab] at every position of every sequence, as `naive.decode` gives them."""
    traits = TRAITS[network.architecture]
    hidden = [traits.embedding * naive_dense.embed(network, tokens) for tokens in sequences]
    for layer in range(network.n_layers):
        block = network.block(layer)
        for sequence, rows in enumerate(hidden):

            def choose(position, x, layer=layer, block=block, sequence=sequence):
                """The experts of one position, given or the router's."""
                if routing is None:
                    return own_choice(network, block, x)
                experts, weights = routing(layer, sequence, position)
                return own_choice(network, block, x, experts) if weights is None else (experts, weights)

            hidden[sequence] = run_block(network, layer, block, rows, choose, share)
    outside = {"output_norm.weight": network.weight("output_norm.weight")}
    hidden = [naive_dense.norm(network, outside, "output_norm", rows) for rows in hidden]
    if traits.base_width:
        hidden = [rows * traits.base_width / network.d_model for rows in hidden]
    return [naive_dense.finish(network, each) for each in naive.head(network, hidden, head_share)]
