"""Gemma 4 as its equations say it: part of the reference in `naive.py`, in the same float64 and as plain."""

from __future__ import annotations

import math

import naive
import naive_dense
import numpy as np
from equations import attention, gelu_tanh, rms_norm, rope, round_to_cache, route

ARCHITECTURES = ("gemma4",)


def sees_all(network, layer) -> bool:
    """Whether a layer has no window."""
    return not network.key("attention.sliding_window_pattern")[layer]


def head_dim(network, layer) -> int:
    """Of queries, keys and values."""
    return network.key("attention.key_length" + ("" if sees_all(network, layer) else "_swa"))


def source(network, layer) -> int:
    """The layer whose keys and values a layer reads: its own, or of the last layers that have any the one with the same window."""
    n_own = network.n_layers - network.key("attention.shared_kv_layers", 0)
    return layer if layer < n_own else n_own - (1 if sees_all(network, layer) else 2)


def turned(network, layer, vectors):
    """Every head turned by its position; with a table of factors, and stretched, where everything is seen."""
    is_wide = sees_all(network, layer)
    base = network.key("rope.freq_base" + ("" if is_wide else "_swa"))
    more = {"factors": network.weight("rope_freqs.weight"), **naive_dense.scaling(network)} if is_wide else {}
    return np.array([
        [rope(head, position, base, adjacent=False, **more) for head in row]
        for position, row in enumerate(vectors)
    ])  # fmt: skip


def heads(network, block, layer, role, rows, share):
    """Projections [n_tokens, heads, dim]."""
    found = np.array([naive.linear(block, role, row, share) for row in rows])
    return found.reshape(len(rows), -1, head_dim(network, layer))


def normed(vectors, weight, epsilon):
    """Each head normed by itself."""
    return np.array([[rms_norm(head, weight, epsilon) for head in row] for row in vectors])


def keys_and_values(network, block, layer, rows, share):
    """Of a layer that has them; without a matrix of values the keys serve, normed without weights."""
    plain = heads(network, block, layer, "attn_k", rows, share)
    values = heads(network, block, layer, "attn_v", rows, share) if "attn_v.weight" in block else plain
    keys = turned(network, layer, normed(plain, block["attn_k_norm.weight"], network.epsilon))
    found = keys, normed(values, 1.0, network.epsilon)
    return tuple(round_to_cache(each, network.round_cache) for each in found) if network.round_cache else found


def attend(network, block, layer, rows, cache, share):
    """The attention of one layer; scores are not scaled."""
    queries = heads(network, block, layer, "attn_q", rows, share)
    queries = turned(network, layer, normed(queries, block["attn_q_norm.weight"], network.epsilon))
    if source(network, layer) == layer:
        cache[layer] = keys_and_values(network, block, layer, rows, share)
    window = None if sees_all(network, layer) else network.key("attention.sliding_window")
    read = attention(queries, *cache[source(network, layer)], 1.0, window)
    return np.array([naive.linear(block, "attn_output", row.reshape(-1), share) for row in read])


def per_layer_inputs(network, tokens, rows):
    """An input for each layer [n_tokens, n_layers, width]: rows of a table and a projection of the embedding, over sqrt(2)."""
    width = network.key("embedding_length_per_layer_input", 0)
    if not width:
        return None
    outside = {f"per_layer_model_proj.{each}": value for each, value in projection(network).items()}
    table = network.weight("per_layer_token_embd.weight", np.asarray(tokens, dtype=np.int64)) * math.sqrt(width)
    made = np.array([naive.linear(outside, "per_layer_model_proj", row) for row in rows]) / math.sqrt(network.d_model)
    shape = (len(tokens), network.n_layers, width)
    made = normed(made.reshape(shape), network.weight("per_layer_proj_norm.weight"), network.epsilon)
    return (made + table.reshape(shape)) / math.sqrt(2)


def projection(network) -> dict:
    """The matrix of all layers' inputs, and whether what it meets is rounded."""
    name = "per_layer_model_proj.weight"
    return {"weight": network.weight(name)} | ({"rounded": np.ones(1, bool)} if network.rounds(name) else {})


def gated(network, block, suffix, x, share):
    """down(gelu(gate) * up), of matrices called so plus the suffix; of experts gate and up may be one."""
    if "ffn_gate_up_exps.weight" in block and suffix:
        gate, up = np.split(naive.linear(block, "ffn_gate_up_exps", x, share), 2)
    else:
        gate, up = (naive.linear(block, f"ffn_{role}{suffix}", x, share) for role in ("gate", "up"))
    return naive.linear(block, f"ffn_down{suffix}", gelu_tanh(gate) * up, share)


def choose(network, block, x, experts=None):
    """The experts of a token, best first, or those given, and their shares, which sum to 1; its router has a norm of its own."""
    scale = block["ffn_gate_inp.scale"] / math.sqrt(network.d_model)
    logits = block["ffn_gate_inp.weight"] @ rms_norm(x, scale, network.epsilon)
    return route(logits, network.key("expert_used_count"), renormalise=True, experts=experts)


def mix_experts(network, block, x, choice, share):
    """The dense network and the chosen experts, each normed before and after."""

    def norm(role, each):
        return rms_norm(each, block[f"{role}.weight"], network.epsilon)

    mixed = np.zeros(len(x))
    for expert, weight in zip(*choice, strict=True):
        own = {name: tensor[expert] for name, tensor in block.items() if "_exps." in name}
        mixed += weight * gated(network, own, "_exps", norm("pre_ffw_norm_2", x), share)
    dense = gated(network, block, "", norm("ffn_norm", x), share)
    return norm("post_ffw_norm_1", dense) + norm("post_ffw_norm_2", mixed)


def run_block(network, layer, block, rows, inputs, cache, share, chosen):
    """One layer for all positions of one sequence; `chosen` gives the experts of a position."""

    def norm(role, each):
        return np.array([rms_norm(row, block[f"{role}.weight"], network.epsilon) for row in each])

    read = attend(network, block, layer, norm("attn_norm", rows), cache, share)
    rows = rows + norm("post_attention_norm", read)
    if "ffn_gate_inp.weight" in block:
        out = [mix_experts(network, block, x, chosen(position, x), share) for position, x in enumerate(rows)]
    else:
        out = [gated(network, block, "", x, share) for x in norm("ffn_norm", rows)]
    rows = rows + norm("post_ffw_norm", np.array(out))
    if inputs is not None:
        made = [gelu_tanh(naive.linear(block, "inp_gate", x, share)) * own for x, own in zip(rows, inputs, strict=True)]
        rows = rows + norm("post_norm", np.array([naive.linear(block, "proj", x, share) for x in made]))
    return rows * block.get("layer_output_scale.weight", 1.0)


def decode(network, sequences, routing=None, share=None, head_share=None):
    """Logits [n_tokens, vocab] at every position of every sequence, as `naive.decode` gives them."""
    hidden = []
    for number, tokens in enumerate(sequences):
        rows = network.weight("token_embd.weight", np.asarray(tokens, dtype=np.int64)) * math.sqrt(network.d_model)
        inputs, cache = per_layer_inputs(network, tokens, rows), {}
        for layer in range(network.n_layers):
            own = None if inputs is None else inputs[:, layer]
            block = network.block(layer)

            def chosen(position, x, layer=layer, block=block, number=number):
                """The experts of one position, given or the router's."""
                if routing is None:
                    return choose(network, block, x)
                experts, weights = routing(layer, number, position)
                return choose(network, block, x, experts) if weights is None else (experts, weights)

            rows = run_block(network, layer, block, rows, own, cache, share, chosen)
        hidden.append(np.array([rms_norm(row, network.weight("output_norm.weight"), network.epsilon) for row in rows]))
    cap = network.key("final_logit_softcapping")
    logits = naive.head(network, hidden, head_share)
    return [cap * np.tanh(each / cap) for each in logits] if cap else logits
