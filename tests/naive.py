"""Decoding as the equations say it: float64, one position and one head at a time, from a GGUF file to its logits.

The reference for the engine. It shares no code with the package and is written to be read, not to be fast. The operations
stand in `equations.py`. Norms, biases and experts are used where the file has the tensor; what the tensors do not show stands
in `FAMILIES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import gguf
import naive_dense
import naive_experts
import naive_gemma4
import naive_recurrent
import numpy as np
from equations import (
    attention,
    choose_experts,
    gelu_tanh,
    keep_largest,
    matvec,
    rms_norm,
    rope,
    round_to_cache,
    round_to_int8,
    route,
    sigmoid,
    silu,
    softmax,
)

HEAD_ROWS = 8192  # rows of the output matrix held in float64 at a time


# ---- the file ----


@dataclass(frozen=True)
class Family:
    """What an architecture does that its tensors do not show."""

    adjacent: bool = False  # the converter permutes the rows of llama's q and k, so that rotary pairs lie side by side
    renormalise: bool = False  # weights of the chosen experts sum to 1
    gelu: bool = False  # gelu instead of silu on the gate
    scale_embedding: bool = False  # times sqrt(d_model)
    window_period: int | None = None  # of so many layers all but the last see only the window


# llama: dense, or with expert_count Mixtral; may have rope_freqs.weight (Llama 3) and biases.
# qwen2: biases on q, k and v. qwen3: each head's q and k normed before rope, and head_dim a number of its own.
# qwen3moe: qwen3 with experts. olmoe: q and k normed over all heads at once; its experts keep their share of all.
# qwen2moe: qwen2 with such experts, and a shared one times the sigmoid of its own gate.
# deepseek: the first DeepSeek MoE; leading blocks are dense, shared experts (one matrix for all) have no gate.
# gemma: a wide head for few heads, and the embedding as output.
# gemma3: norms before and after both; layers with a window turn with base 10000 and without linear scaling.
FAMILIES = {
    "llama": Family(adjacent=True, renormalise=True),
    "qwen2": Family(),
    "qwen3": Family(),
    "qwen3moe": Family(renormalise=True),
    "olmoe": Family(),
    "qwen2moe": Family(),
    "deepseek": Family(adjacent=True),
    "gemma": Family(gelu=True, scale_embedding=True),
    "gemma3": Family(gelu=True, scale_embedding=True, window_period=6),
}

TRAITS = naive_dense.TRAITS | naive_experts.TRAITS  # of those whose equations stand in modules of their own


@dataclass(frozen=True)
class Network:
    """A GGUF file: its keys, and its tensors in their own formats until they are asked for."""

    keys: dict
    tensors: dict[str, gguf.gguf_reader.ReaderTensor]
    round_inputs: bool = False  # of matrices in blocks, to int8
    round_cache: str | None = None  # the format that keys and values are rounded to

    @property
    def architecture(self) -> str:
        """What general.architecture says."""
        return self.keys["general.architecture"]

    @property
    def family(self) -> Family:
        """What this architecture does beside what its tensors show."""
        return FAMILIES[self.architecture]

    def key(self, name, default=None):
        """A key of the architecture."""
        return self.keys.get(f"{self.architecture}.{name}", default)

    def weight(self, name, rows=slice(None)):
        """A tensor in float64, rows first as in numpy, or some rows of it."""
        tensor = self.tensors[name]
        return gguf.quants.dequantize(tensor.data[rows], tensor.tensor_type).astype(np.float64)

    def block(self, layer):
        """The tensors of one layer in float64, by their names without the layer's prefix.

        Beside a matrix whose inputs are to be rounded stands `role.rounded`, once for each expert.
        """
        prefix = f"blk.{layer}."
        found = {name.removeprefix(prefix): self.weight(name) for name in self.tensors if name.startswith(prefix)}
        rounded = [name for name in found if self.rounds(prefix + name)]
        return found | {name.replace(".weight", ".rounded"): np.ones(len(found[name]), bool) for name in rounded}

    def rounds(self, name) -> bool:
        """Whether the inputs of a tensor are to be rounded: those of blocks, if at all."""
        is_block = gguf.GGML_QUANT_SIZES[self.tensors[name].tensor_type][0] > 1
        return self.round_inputs and is_block

    @property
    def n_layers(self) -> int:
        """Layers, but for those that predict further tokens."""
        return self.key("block_count") - self.key("nextn_predict_layers", 0)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.key("embedding_length")

    @property
    def n_heads(self) -> int:
        """Query heads."""
        return self.key("attention.head_count")

    @property
    def n_kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.key("attention.head_count_kv", self.n_heads)

    @property
    def head_dim(self) -> int:
        """Size of one query or key head."""
        return self.key("attention.key_length", self.d_model // self.n_heads)

    @property
    def n_rotated(self) -> int:
        """Dimensions of a query or key head that turn with the position: the first ones."""
        return self.key("rope.dimension_count", self.head_dim)

    @property
    def epsilon(self) -> float:
        """What every norm adds to the mean square."""
        return self.key("attention.layer_norm_rms_epsilon")

    @property
    def attention_scale(self) -> float:
        """What scores are multiplied by."""
        # Gemma 3 27B, known by its 62 layers, has 32 heads of 128 but scales by the 168 that 5376 / 32 would give.
        if self.architecture == "gemma3" and self.n_layers == 62:
            return (self.d_model // self.n_heads) ** -0.5
        return self.head_dim**-0.5

    def window(self, layer):
        """How many positions this layer sees, None for all."""
        window, pattern = self.key("attention.sliding_window"), self.key("attention.sliding_window_pattern")
        period = self.family.window_period
        if not period or not window:
            return None
        if isinstance(pattern, list):
            return window if pattern[layer] else None
        period = pattern or period
        return window if layer % period < period - 1 else None

    def rotation(self, layer):
        """How this layer turns queries and keys: the keyword arguments of `rope` beside x and the position."""
        if self.n_rotated % 2 or self.n_rotated > self.head_dim:
            raise ValueError(f"{self.n_rotated} of {self.head_dim} dimensions are turned, which is not known here")
        if self.window(layer):
            return {"base": self.key("rope.freq_base_swa", 10000.0), "adjacent": self.family.adjacent}
        return {
            "base": self.key("rope.freq_base", 10000.0),
            "adjacent": self.family.adjacent,
            "factors": naive_dense.factors(self),
            **naive_dense.scaling(self),
        }


def load_any(path) -> Network:
    """The keys and tensors of a GGUF file, whether or not its equations are known here."""
    reader = gguf.GGUFReader(path)
    keys = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer.")}
    return Network(keys, {tensor.name: tensor for tensor in reader.tensors})


def load(path) -> Network:
    """The network in a GGUF file."""
    network = load_any(path)
    if network.architecture not in (*FAMILIES, *TRAITS, *naive_recurrent.ARCHITECTURES, *naive_gemma4.ARCHITECTURES):
        raise ValueError(f"architecture {network.architecture} is not known here")
    return network


# ---- decoding ----


def linear(block, role, x, share=None):
    """What one matrix makes of x, with its scale and its bias if it has one; only the largest entries of x enter if a share is given."""
    x = keep_largest(x, share)
    out = matvec(block[f"{role}.weight"], round_to_int8(x) if np.any(block.get(f"{role}.rounded")) else x)
    out = out * block.get(f"{role}.scale", 1.0)
    return out + block[f"{role}.bias"] if f"{role}.bias" in block else out


def norm(network, block, role, rows):
    """Every row normed if there is such a norm, else as it was."""
    if f"{role}.weight" not in block:
        return rows
    return np.array([rms_norm(row, block[f"{role}.weight"], network.epsilon) for row in rows])


def heads(network, block, role, rows, share):
    """Queries, keys or values [n_tokens, heads, dim] of the rows, normed if the file has a norm for them.

    A norm of one head's size is each head's own (qwen3, gemma3); a wider one is for all heads together (olmoe, olmo2).
    """
    out = np.array([linear(block, role, row, share) for row in rows])
    n_heads = network.n_heads if role == "attn_q" else network.n_kv_heads
    is_wide = len(block.get(f"{role}_norm.weight", ())) == out.shape[1]
    if is_wide:
        out = norm(network, block, f"{role}_norm", out)
    out = out.reshape(len(rows), n_heads, -1)
    return out if is_wide else np.array([norm(network, block, f"{role}_norm", each) for each in out])


def turn(vectors, n_rotated, rotation):
    """Every head [n_tokens, heads, head_dim] turned by its position, but for what lies past the first `n_rotated`."""
    out = vectors.copy()
    for position, row in enumerate(vectors):
        for head, x in enumerate(row):
            out[position, head, :n_rotated] = rope(x[:n_rotated], position, **rotation)
    return out


def attend(network, block, layer, rows, share):
    """The attention of one layer for all positions of one sequence."""
    rotation = network.rotation(layer)
    queries = turn(heads(network, block, "attn_q", rows, share), network.n_rotated, rotation)
    keys = turn(heads(network, block, "attn_k", rows, share), network.n_rotated, rotation)
    values = heads(network, block, "attn_v", rows, share)
    if network.round_cache:
        keys, values = (round_to_cache(each, network.round_cache) for each in (keys, values))
    if network.round_cache in ("q8_0", "q4_0"):  # such keys meet queries of int8
        queries = round_to_int8(queries.reshape(-1)).reshape(queries.shape)
    read = attention(queries, keys, values, network.attention_scale, network.window(layer))
    return np.array([linear(block, "attn_output", row.reshape(-1), share) for row in read])


def gated(network, block, suffix, x, share):
    """down(act(gate(x)) * up(x)) of the matrices called ffn_gate, ffn_up and ffn_down, plus the suffix."""
    act = gelu_tanh if network.family.gelu else silu
    inner = act(linear(block, f"ffn_gate{suffix}", x, share)) * linear(block, f"ffn_up{suffix}", x, share)
    return linear(block, f"ffn_down{suffix}", inner, share)


def own_choice(network, block, x, experts=None):
    """The experts that the layer's router picks for x, or those given, and their weights."""
    # Of deepseek's files alone llama.cpp reads expert_weights_scale; it is 1 in all that were released.
    scale = (network.key("expert_weights_scale", 0) or 1.0) if network.architecture == "deepseek" else 1.0
    logits = linear(block, "ffn_gate_inp", x)
    n_active, renormalise = network.key("expert_used_count"), network.family.renormalise
    n_groups, n_used = network.key("expert_group_count", 1), network.key("expert_group_used_count", 1)
    if experts is None and n_groups > 1:
        experts = choose_experts(softmax(logits), n_active, n_groups, n_used)
    return route(logits, n_active, renormalise=renormalise, scale=scale, experts=experts)


def mix_experts(network, block, x, choice, share):
    """The weighted sum of the chosen experts, plus the shared one if there is one."""
    out = np.zeros(len(x))
    for expert, weight in zip(*choice, strict=True):
        own = {name: tensor[expert] for name, tensor in block.items() if "_exps." in name}
        out += weight * gated(network, own, "_exps", x, share)
    if "ffn_up_shexp.weight" in block:
        shared = gated(network, block, "_shexp", x, share)
        if "ffn_gate_inp_shexp.weight" in block:  # one row, stored as a vector
            shared = shared * sigmoid(np.dot(block["ffn_gate_inp_shexp.weight"].reshape(-1), x))
        out += shared
    return out


def run_block(network, layer, block, rows, choose, share):
    """One layer for all positions of one sequence; `choose` gives the experts of a position."""
    normed = norm(network, block, "attn_norm", rows)
    rows = rows + norm(network, block, "post_attention_norm", attend(network, block, layer, normed, share))
    normed = norm(network, block, "ffn_norm", rows)
    if "ffn_gate_inp.weight" in block:
        out = [mix_experts(network, block, x, choose(position, x), share) for position, x in enumerate(normed)]
    else:
        out = [gated(network, block, "", x, share) for x in normed]
    return rows + norm(network, block, "post_ffw_norm", np.array(out))


def embed(network, tokens):
    """The rows of the embedding [n_tokens, d_model], in gemma times sqrt(d_model)."""
    rows = network.weight("token_embd.weight", np.asarray(tokens, dtype=np.int64))
    return rows * math.sqrt(network.d_model) if network.family.scale_embedding else rows


def head(network, hidden, share):
    """Logits [n_tokens, vocab] of each sequence's last hidden states, normed; without a matrix of its own the embedding's."""
    name = "output.weight" if "output.weight" in network.tensors else "token_embd.weight"
    bias = network.weight("output.bias") if "output.bias" in network.tensors else 0
    inputs = [[keep_largest(x, share) for x in rows] for rows in hidden]
    if network.rounds(name):
        inputs = [[round_to_int8(x) for x in rows] for rows in inputs]
    vocab = len(network.tensors[name].data)
    logits = [np.empty((len(rows), vocab)) for rows in inputs]
    for start in range(0, vocab, HEAD_ROWS):
        rows = slice(start, start + HEAD_ROWS)
        matrix = network.weight(name, rows)
        for sequence, vectors in enumerate(inputs):
            for position, x in enumerate(vectors):
                logits[sequence][position, rows] = matvec(matrix, x)
    scale = network.weight("output.scale") if "output.scale" in network.tensors else 1
    return [each * scale + bias for each in logits]


def decode(
    network: Network,
    sequences,
    routing: Callable | None = None,
    top_k_inputs: float | None = None,
    head_top_k_inputs: float | None = None,
    *,
    round_inputs: bool = False,
    round_cache: str | None = None,
) -> list[np.ndarray]:
    """Logits [n_tokens, vocab] at every position of every sequence of tokens, each on its own and from scratch.

    `routing(layer, sequence, position)` replaces the router's choice by its own (experts, weights); weights of None are
    the router's for these experts. `top_k_inputs` keeps only that share of the inputs of each matrix of a layer, those
    largest in size; routers and the gate of a shared expert see everything. `head_top_k_inputs` does the same to the
    output matrix. `round_inputs` rounds the inputs of matrices in blocks to int8, `round_cache` keys and values to a format
    of the cache, and with q8_0 and q4_0 queries to int8.
    """
    network = replace(network, round_inputs=round_inputs, round_cache=round_cache)
    if network.architecture in naive_gemma4.ARCHITECTURES:
        return naive_gemma4.decode(network, sequences, routing, top_k_inputs, head_top_k_inputs)
    if network.architecture in naive_dense.TRAITS:
        return naive_dense.decode(network, sequences, top_k_inputs, head_top_k_inputs)
    if network.architecture in naive_experts.TRAITS:
        return naive_experts.decode(network, sequences, routing, top_k_inputs, head_top_k_inputs)
    if network.architecture in naive_recurrent.ARCHITECTURES:
        return naive_recurrent.decode(network, sequences, routing, top_k_inputs, head_top_k_inputs)
    hidden = [embed(network, tokens) for tokens in sequences]
    for layer in range(network.n_layers):
        block = network.block(layer)
        for sequence, rows in enumerate(hidden):

            def choose(position, x, layer=layer, block=block, sequence=sequence):
                """The experts of one position, given or the router's."""
                if routing is None:
                    return own_choice(network, block, x)
                experts, weights = routing(layer, sequence, position)
                return own_choice(network, block, x, experts) if weights is None else (experts, weights)

            hidden[sequence] = run_block(network, layer, block, rows, choose, top_k_inputs)
    outside = {"output_norm.weight": network.weight("output_norm.weight")}
    hidden = [norm(network, outside, "output_norm", rows) for rows in hidden]
    return head(network, hidden, head_top_k_inputs)
