"""Networks some of whose layers carry a state, as their equations say it: part of the reference in `naive.py`, as plain as that.

What mixes the tokens of a layer gets its normed inputs [n_tokens, d_model]; *project(role, x)* is the product with one of its matrices.
"""

from __future__ import annotations

import math

import naive
import numpy as np
from equations import attention, keep_largest, matvec, rms_norm, rope, round_to_int8, route, sigmoid, silu

ARCHITECTURES = (
    "qwen3next", "qwen35", "qwen35moe", "mamba2", "nemotron_h", "nemotron_h_moe", "granitehybrid", "lfm2", "lfm2moe",
)  # fmt: skip
GATED = ("qwen3next", "qwen35", "qwen35moe")  # attention with a gate for its output
STILL = ("nemotron_h", "nemotron_h_moe", "granitehybrid")  # no head turns
ALONE = ("mamba2", "nemotron_h", "nemotron_h_moe")  # a layer is one block, with one norm


def softplus(x):
    """log(1 + exp(x))"""
    return math.log1p(math.exp(x)) if x < 30 else x


def convolution(rows, weights, bias=0.0):
    """out[t, c] = bias[c] + sum over k of weights[c, k] * rows[t - (width - 1) + k, c]; what lies before the first is 0."""
    width = weights.shape[1]
    out = np.zeros_like(rows)
    for t in range(len(rows)):
        for k in range(width):
            before = t - (width - 1) + k
            if before >= 0:
                out[t] += weights[:, k] * rows[before]
    return out + bias


def unit(x, epsilon):
    """x over its length."""
    return x / math.sqrt(np.sum(x * x) + epsilon)


def gated_delta_rule(queries, keys, values, decays, betas):
    """What one head reads: keys and queries [n, k], values [n, v], out [n, v].

    S = decay S; S = S + key (beta (value - S^T key))^T; out = S^T query.
    """
    state = np.zeros((keys.shape[1], values.shape[1]))
    out = []
    for query, key, value, decay, beta in zip(queries, keys, values, decays, betas, strict=True):
        state = decay * state
        state = state + np.outer(key, beta * (value - state.T @ key))
        out.append(state.T @ query)
    return np.array(out)


def selective_scan(inputs, entering, leaving, steps, decay_rate, skip):
    """What one head of Mamba 2 yields: inputs [n, width], entering and leaving [n, d_state], out [n, width].

    S = exp(step * rate) S + step * entering input^T; out = S^T leaving + skip * input.
    """
    state = np.zeros((entering.shape[1], inputs.shape[1]))
    out = []
    for x, b, c, step in zip(inputs, entering, leaving, steps, strict=True):
        state = math.exp(step * decay_rate) * state + np.outer(b, step * x)
        out.append(state.T @ c + skip * x)
    return np.array(out)


# ---- layers ----


def step_and_decay(network, block, x, project):
    """For each value head what its beta and its decay are made of; in Qwen3-Next's matrix both stand beside each other by key head."""
    if "ssm_ba.weight" not in block:
        return project("ssm_beta", x), project("ssm_alpha", x)
    both = project("ssm_ba", x).reshape(network.key("ssm.group_count"), 2, -1)
    return both[:, 0].reshape(-1), both[:, 1].reshape(-1)


def delta_net(network, block, rows, project):
    """A gated delta net: convolution, unit keys and queries, the state, a gated norm."""
    n_keys, n_values = network.key("ssm.group_count"), network.key("ssm.time_step_rank")
    k, v = network.key("ssm.state_size"), network.key("ssm.inner_size") // n_values
    mixed = np.array([project("attn_qkv", x) for x in rows])
    gates = np.array([project("attn_gate", x) for x in rows]).reshape(len(rows), n_values, v)
    mixed = silu(convolution(mixed, block["ssm_conv1d.weight"]))
    queries, keys = mixed[:, : 2 * n_keys * k].reshape(len(rows), 2, n_keys, k).transpose(1, 0, 2, 3)
    values = mixed[:, 2 * n_keys * k :].reshape(len(rows), n_values, v)
    made = [step_and_decay(network, block, x, project) for x in rows]
    out = np.zeros((len(rows), n_values, v))
    for head in range(n_values):
        # Qwen3.5's converter has put value heads in an order in which their key heads repeat.
        own = head // (n_values // n_keys) if network.architecture == "qwen3next" else head % n_keys
        decays = [
            math.exp(block["ssm_a"][head] * softplus(alpha[head] + block["ssm_dt.bias"][head])) for _, alpha in made
        ]
        out[:, head] = gated_delta_rule(
            np.array([unit(x, network.epsilon) for x in queries[:, own]]) / math.sqrt(k),
            np.array([unit(x, network.epsilon) for x in keys[:, own]]),
            values[:, head],
            decays,
            [sigmoid(beta[head]) for beta, _ in made],
        )
    normed = np.array([[rms_norm(x, block["ssm_norm.weight"], network.epsilon) for x in row] for row in out])
    return np.array([project("ssm_out", row.reshape(-1)) for row in normed * silu(gates)])


def mamba2(network, block, rows, project):
    """Mamba 2: convolution, the state by heads, its gate and then a norm for each group."""
    n_heads, n_groups = network.key("ssm.time_step_rank"), network.key("ssm.group_count")
    inner, d_state = network.key("ssm.inner_size"), network.key("ssm.state_size")
    width, own = inner // n_heads, n_heads // n_groups
    made = np.array([project("ssm_in", x) for x in rows])
    gates, mixed, steps = made[:, :inner], made[:, inner:-n_heads], made[:, -n_heads:]
    mixed = silu(convolution(mixed, block["ssm_conv1d.weight"], block.get("ssm_conv1d.bias", 0.0)))
    inputs = mixed[:, :inner].reshape(len(rows), n_heads, width)
    entering, leaving = mixed[:, inner:].reshape(len(rows), 2, n_groups, d_state).transpose(1, 0, 2, 3)
    out = np.zeros((len(rows), n_heads, width))
    for head in range(n_heads):
        lengths = [softplus(step) for step in steps[:, head] + block["ssm_dt.bias"][head]]
        rate, skip = block["ssm_a"].reshape(-1)[head], block["ssm_d"].reshape(-1)[head]
        group = head // own
        out[:, head] = selective_scan(inputs[:, head], entering[:, group], leaving[:, group], lengths, rate, skip)
    out = out.reshape(len(rows), inner) * silu(gates)
    if "ssm_norm.weight" in block:
        weights = block["ssm_norm.weight"].reshape(n_groups, -1)
        grouped = out.reshape(len(rows), n_groups, -1)
        out = np.array(
            [[rms_norm(x, w, network.epsilon) for x, w in zip(row, weights, strict=True)] for row in grouped]
        )
    return np.array([project("ssm_out", row.reshape(-1)) for row in out])


def short_convolution(network, block, rows, project):
    """LFM2's: of three parts b, c and x of a projection, c * convolution(b * x)."""
    before, after, x = (
        np.array([project("shortconv.in_proj", row) for row in rows]).reshape(len(rows), 3, -1).transpose(1, 0, 2)
    )
    out = after * convolution(before * x, block["shortconv.conv.weight"])
    return np.array([project("shortconv.out_proj", row) for row in out])


def attend(network, block, rows, project):
    """Attention; where it is gated, the query projection yields for each head a query, then a gate for what the head puts out."""
    n_heads, dim = network.n_heads, network.head_dim
    both = np.array([project("attn_q", x) for x in rows]).reshape(len(rows), n_heads, -1, dim)
    keys = np.array([project("attn_k", x) for x in rows]).reshape(len(rows), -1, dim)
    values = np.array([project("attn_v", x) for x in rows]).reshape(len(rows), keys.shape[1], -1)
    queries, keys = (
        np.array(
            [[turned(network, x, at, block.get(f"{role}_norm.weight")) for x in row] for at, row in enumerate(heads)]
        )
        for role, heads in (("attn_q", both[:, :, 0]), ("attn_k", keys))
    )
    if network.round_cache:
        keys, values = (each.astype(np.float16).astype(np.float64) for each in (keys, values))
    read = attention(queries, keys, values, network.key("attention.scale") or dim**-0.5)
    if network.architecture in GATED:
        read = read * sigmoid(both[:, :, 1])
    return np.array([project("attn_output", row.reshape(-1)) for row in read])


def turned(network, x, position, weight):
    """A head normed, and its first dimensions turned by their position, pairs a half apart."""
    n = 0 if network.architecture in STILL else network.n_rotated
    x = x if weight is None else rms_norm(x, weight, network.epsilon)
    return np.concatenate([rope(x[:n], position, network.key("rope.freq_base", 10000.0), adjacent=False), x[n:]])


# By a tensor that no other kind of layer has.
MIXERS = {
    "attn_qkv.weight": delta_net,
    "ssm_in.weight": mamba2,
    "shortconv.in_proj.weight": short_convolution,
    "attn_q.weight": attend,
}


# ---- feed-forward ----


def feed_forward(suffix, x, project):
    """silu(gate) * up, or where there is no gate the square of what is positive of up."""
    up = project(f"ffn_up{suffix}", x)
    try:
        inner = silu(project(f"ffn_gate{suffix}", x)) * up
    except KeyError:
        inner = np.maximum(up, 0) ** 2
    return project(f"ffn_down{suffix}", inner)


def choose(network, block, x, experts=None):
    """The router's experts, or those given, and their weights: by a softmax, or by sigmoids that a bias helps to be chosen."""
    logits, scale = matvec(block["ffn_gate_inp.weight"], x), network.key("expert_weights_scale", 0) or 1.0
    n_active = network.key("expert_used_count")
    if "exp_probs_b.bias" not in block:
        return route(logits, n_active, renormalise=True, scale=scale, experts=experts)
    shares = sigmoid(logits)
    if experts is None:
        experts = np.argsort(-(shares + block["exp_probs_b.bias"]), kind="stable")[:n_active]
    weights = shares[experts]
    return experts, weights / np.sum(weights) * scale


def network_of_layer(network, block, x, chosen, share):
    """The dense network of a layer, or the sum of its experts and of what every token sees."""

    def project(role, x, part=block):
        """One matrix."""
        return naive.linear(part, role, x, share)

    if "ffn_gate_inp.weight" not in block:
        return feed_forward("", x, project)
    out = np.zeros(len(x))
    for expert, weight in zip(*chosen, strict=True):
        own = {name: tensor[expert] for name, tensor in block.items() if "_exps." in name}
        out += weight * feed_forward("_exps", x, lambda role, x, own=own: project(role, x, own))
    if "ffn_up_shexp.weight" in block:
        gate = block.get("ffn_gate_inp_shexp.weight")
        shared = feed_forward("_shexp", x, project)
        out += shared if gate is None else shared * sigmoid(np.dot(gate.reshape(-1), x))
    return out


# ---- the network ----


def run_layer(network, block, rows, chosen, share):
    """One layer for all positions of one sequence; *chosen(position, x)* gives the experts of a position."""

    def project(role, x):
        """One matrix."""
        return naive.linear(block, role, x, share)

    scale = network.key("residual_scale", 1.0)
    mix = next((each for role, each in MIXERS.items() if role in block), None)
    normed = naive.norm(network, block, "attn_norm", rows)
    if mix:
        rows = rows + scale * mix(network, block, normed, project)
    if network.architecture in ALONE and mix:
        return rows
    second = next((each for each in ("ffn_norm", "post_attention_norm") if f"{each}.weight" in block), None)
    if second:
        normed = naive.norm(network, block, second, rows)
    return rows + scale * np.array(
        [network_of_layer(network, block, x, chosen(position, x), share) for position, x in enumerate(normed)]
    )


def decode(network, sequences, routing=None, share=None, head_share=None):
    """Logits as `naive.decode` gives them."""
    factor = network.key("embedding_scale", 1.0)
    hidden = [network.weight("token_embd.weight", np.asarray(tokens)) * factor for tokens in sequences]
    for layer in range(network.n_layers):
        block = network.block(layer)
        for sequence, rows in enumerate(hidden):

            def chosen(position, x, layer=layer, block=block, sequence=sequence):
                """The experts of one position, given or the router's."""
                if "ffn_gate_inp.weight" not in block:
                    return None
                if routing is None:
                    return choose(network, block, x)
                experts, weights = routing(layer, sequence, position)
                return choose(network, block, x, experts) if weights is None else (experts, weights)

            hidden[sequence] = run_layer(network, block, rows, chosen, share)
    return [logits(network, rows, head_share) for rows in hidden]


def logits(network, rows, share):
    """What the head makes of the last hidden states, normed."""
    name = "output.weight" if "output.weight" in network.tensors else "token_embd.weight"
    last = "token_embd_norm.weight" if "token_embd_norm.weight" in network.tensors else "output_norm.weight"
    inputs = [keep_largest(rms_norm(x, network.weight(last), network.epsilon), share) for x in rows]
    if network.rounds(name):
        inputs = [round_to_int8(x) for x in inputs]
    matrix = network.weight(name)
    if "output.scale" in network.tensors:
        matrix = matrix * network.weight("output.scale")
    return np.array([matvec(matrix, x) for x in inputs]) / network.key("logit_scale", 1.0)
