#!/usr/bin/env bash
# llama.cpp b11549 (in xllamacpp 2026.10.11549) on the CPU takes gelu (its approximation by tanh, as in GPT-2 and Gemma) from a table by the
# float16 nearest to its argument, with results in float16, whatever the file and the cache are kept in. Logits of a model of float32 are so
# off by a thousandth of their spread, hundreds of times what float32 rounds, while silu is computed: comparisons with llama.cpp need a
# tolerance for each activation, or the table.
# A small random model of the same matrices in float32, once with silu (qwen2) and once with gelu (gemma), beside numpy in float64; largest
# difference of a logit over their standard deviation, after 40 tokens. Other draws give 9e-4 to 1.3e-3 for gelu.
# Seen with Python 3.11 on x86-64 (last digits may differ; it fails where silu or the table is beyond 5e-5, or gelu within 3e-4):
#   silu 1.8e-06; gelu 7.6e-04; gelu from a table of float16 3.5e-06
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check gguf==0.19.0 numpy==2.4.6 xllamacpp==2026.10.11549
cd "$work"
seen=$(venv/bin/python - 2> errors <<'PY'
import sys

import gguf
import numpy as np
import xllamacpp

VOCAB, WIDTH, HEADS, NETWORK, LAYERS, EPSILON, BASE = 90, 64, 4, 256, 2, 1e-5, 10_000.0
HEAD, PROMPT = WIDTH // HEADS, list(range(3, 43))


def tensors():
    """Random float32 tensors, rows first; norms of ones and biases of zeros stand only in the file."""
    draw = np.random.default_rng(0)
    shapes = {f"attn_{role}": (WIDTH, WIDTH) for role in ("q", "k", "v", "output")}
    shapes |= {"ffn_gate": (NETWORK, WIDTH), "ffn_up": (NETWORK, WIDTH), "ffn_down": (WIDTH, NETWORK)}
    shapes = {f"blk.{layer}.{role}": shape for layer in range(LAYERS) for role, shape in shapes.items()}
    shapes["token_embd"] = VOCAB, WIDTH
    return {name: (draw.standard_normal(shape) / np.sqrt(WIDTH)).astype(np.float32) for name, shape in shapes.items()}


def write(arch, weights):
    """The file of a model whose head is its embedding."""
    writer = gguf.GGUFWriter("model.gguf", arch)
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_feed_forward_length(NETWORK)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_freq_base(BASE)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([chr(33 + token) for token in range(VOCAB)])
    writer.add_token_types([gguf.TokenType.NORMAL] * VOCAB)
    writer.add_token_merges(["! !"])
    writer.add_eos_token_id(0)
    for name, values in weights.items():
        writer.add_tensor(f"{name}.weight", values)
    norms = [f"blk.{layer}.{role}_norm" for layer in range(LAYERS) for role in ("attn", "ffn")]
    for name in (*norms, "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    if arch == "qwen2":
        for name in (f"blk.{layer}.attn_{role}.bias" for layer in range(LAYERS) for role in "qkv"):
            writer.add_tensor(name, np.zeros(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def by_llama_cpp():
    """Logits after the prompt, less their mean: on the CPU, with a cache of float32 and attention step by step."""
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers, params.warmup = "model.gguf", 256, 1, 0, False
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    answer = xllamacpp.Server(params).handle_completions({"prompt": PROMPT, "n_predict": 1, "n_probs": VOCAB, "temperature": 0})
    found = {each["id"]: each["logprob"] for each in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]}
    logits = np.array([found[token] for token in range(VOCAB)])
    return logits - logits.mean()


def norm(x):
    """Over the root of the mean square."""
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON)


def turned(x):
    """Heads [tokens, heads, width], their halves turned by the position."""
    angles = np.arange(len(x))[:, None, None] * BASE ** (-np.arange(HEAD // 2) / (HEAD // 2))
    first, second = np.split(x, 2, -1)
    return np.concatenate([first * np.cos(angles) - second * np.sin(angles), first * np.sin(angles) + second * np.cos(angles)], -1)


def by_numpy(weights, activation, embedding_scale):
    """The same in float64."""
    weights = {name: values.astype(np.float64) for name, values in weights.items()}
    x = weights["token_embd"][PROMPT] * embedding_scale
    future = np.triu(np.full((len(PROMPT), len(PROMPT)), -np.inf), 1)
    for layer in range(LAYERS):
        matrix = {name.split(".")[-1]: values.T for name, values in weights.items() if name.startswith(f"blk.{layer}.")}
        query, key, value = ((norm(x) @ matrix[f"attn_{role}"]).reshape(-1, HEADS, HEAD) for role in "qkv")
        scores = np.einsum("thd,shd->hts", turned(query), turned(key)) / np.sqrt(HEAD) + future
        chances = np.exp(scores - scores.max(-1, keepdims=True))
        chances /= chances.sum(-1, keepdims=True)
        x = x + np.einsum("hts,shd->thd", chances, value).reshape(-1, WIDTH) @ matrix["attn_output"]
        inputs = norm(x)
        x = x + (activation(inputs @ matrix["ffn_gate"]) * (inputs @ matrix["ffn_up"])) @ matrix["ffn_down"]
    logits = norm(x[-1]) @ weights["token_embd"].T
    return logits - logits.mean()


def silu(x):
    """Of qwen2."""
    return x / (1 + np.exp(-x))


def gelu(x):
    """Of gemma."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_of_table(x):
    """The same from a table with a float16 for each float16."""
    return gelu(x.astype(np.float16).astype(np.float64)).astype(np.float16).astype(np.float64)


weights, off = tensors(), []
for arch, embedding_scale, activations in (("qwen2", 1, (silu,)), ("gemma", np.sqrt(WIDTH), (gelu, gelu_of_table))):
    write(arch, weights)
    logits = by_llama_cpp()
    for meant in (by_numpy(weights, activation, embedding_scale) for activation in activations):
        off.append(np.abs(logits - meant).max() / meant.std())
print("silu {:.1e}; gelu {:.1e}; gelu from a table of float16 {:.1e}".format(*off))
sys.exit(not (off[0] < 5e-5 and off[1] > 3e-4 and off[2] < 5e-5))
PY
) || { echo "$seen"; tail -n 20 errors >&2; echo "this has changed" >&2; exit 1; }
echo "$seen"
