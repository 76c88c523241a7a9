"""Layers with a state as their equations say it: float64, a token and a head at a time. Part of the reference for the engine.

What a layer computes from its normed inputs [n_tokens, d_model]; *project(role, x)* is the product with one of its matrices.
"""

from __future__ import annotations

import math

import numpy as np
from equations import attention, rms_norm, rope, sigmoid, silu


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


def short_convolution(network, block, rows, project):  # noqa: ARG001 - as of all mixers
    """LFM2's: of three parts b, c and x of a projection, c * convolution(b * x)."""
    before, after, x = (
        np.array([project("shortconv.in_proj", row) for row in rows]).reshape(len(rows), 3, -1).transpose(1, 0, 2)
    )
    out = after * convolution(before * x, block["shortconv.conv.weight"])
    return np.array([project("shortconv.out_proj", row) for row in out])


def gated_attention(network, block, rows, project):
    """Attention whose query projection yields for each head a query, then a gate for what the head puts out."""
    n_heads, n_kv, dim = network.n_heads, network.n_kv_heads, network.head_dim
    both = np.array([project("attn_q", x) for x in rows]).reshape(len(rows), n_heads, 2, dim)
    keys = np.array([project("attn_k", x) for x in rows]).reshape(len(rows), n_kv, dim)
    values = np.array([project("attn_v", x) for x in rows]).reshape(len(rows), n_kv, -1)
    queries, keys = (
        np.array(
            [
                [turned(network, x, position, block[f"{role}_norm.weight"]) for x in row]
                for position, row in enumerate(heads)
            ]
        )
        for role, heads in (("attn_q", both[:, :, 0]), ("attn_k", keys))
    )
    if network.round_cache:
        keys, values = (each.astype(np.float16).astype(np.float64) for each in (keys, values))
    read = attention(queries, keys, values, dim**-0.5) * sigmoid(both[:, :, 1])
    return np.array([project("attn_output", row.reshape(-1)) for row in read])


def turned(network, x, position, weight):
    """A head normed, and its first dimensions turned by their position, pairs a half apart."""
    n = network.n_rotated
    x = rms_norm(x, weight, network.epsilon)
    return np.concatenate([rope(x[:n], position, network.key("rope.freq_base"), adjacent=False), x[n:]])


# By a tensor that no other kind of layer has.
MIXERS = {
    "attn_qkv.weight": delta_net,
    "ssm_in.weight": mamba2,
    "shortconv.in_proj.weight": short_convolution,
}


def mixer(network, block):
    """What mixes the tokens of a layer, if it is one of these; None for attention as everywhere else."""
    gated = network.architecture in ("qwen3next", "qwen35", "qwen35moe") and "attn_q.weight" in block
    return gated_attention if gated else next((each for role, each in MIXERS.items() if role in block), None)
