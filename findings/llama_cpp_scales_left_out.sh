#!/usr/bin/env bash
# llama.cpp b11549 (in xllamacpp 2026.10.11549) loads the scale that NVFP4 files have beside a matrix (blk.0.ffn_down.scale: a number, or one
# for each expert, that its results are to be multiplied by) in each of the architectures below. All use that of attention's output, but
# only some that of a network or of experts: elsewhere it is left out without a word, though tensors of unknown names are refused, and the
# model computes with other weights than its file has.
# Small random models, each run three times: without a scale; with a scale of 2; without, but with the matrix doubled, which is exact (its
# blocks' exponents plus one). "yes": the scale does what doubling does; "no": it does nothing.
# Seen with Python 3.11 on x86-64 (both equal to the last bit; doubling moves logarithms of probabilities by 0.3 to 1.2):
#   attn_output.scale and ffn_down.scale are used: llama yes yes, qwen3 yes yes, mistral3 yes yes, qwen2 yes no, phi3 yes no, gemma yes no, granite yes no;
#   attn_output.scale and ffn_down_exps.scale: llama yes yes, qwen3moe yes yes, qwen2moe yes no, olmoe yes no
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check gguf==0.19.0 numpy==2.4.6 xllamacpp==2026.10.11549
cd "$work"
seen=$(venv/bin/python - 2> errors <<'PY'
import gguf
import numpy as np
import xllamacpp

VOCAB, WIDTH, HEADS, NETWORK, EXPERTS = 90, 64, 4, 128, 4
NVFP4 = gguf.GGMLQuantizationType.NVFP4  # 64 weights in 36 bytes, of which four are scales: unsigned, 4 bits of exponent, 3 of fraction
DENSE, MIXTURES = ("llama", "qwen3", "mistral3", "qwen2", "phi3", "gemma", "granite"), ("llama", "qwen3moe", "qwen2moe", "olmoe")


def tensors_of(arch, experts):
    """Random tensors of one layer: float32, rows first."""
    draw = np.random.default_rng(0)

    def matrix(*shape):
        return (draw.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    def ones(width=WIDTH):
        return np.ones(width, np.float32)

    def network(end="", *copies):
        rows = {"up": 2 * NETWORK} if arch == "phi3" else {"gate": NETWORK, "up": NETWORK}
        found = {f"ffn_{role}{end}.weight": matrix(*copies, count, WIDTH) for role, count in rows.items()}
        return found | {f"ffn_down{end}.weight": matrix(*copies, WIDTH, NETWORK)}

    rows = {"qkv": 3 * WIDTH} if arch == "phi3" else dict.fromkeys("qkv", WIDTH)
    layer = {f"attn_{role}.weight": matrix(count, WIDTH) for role, count in rows.items()}
    layer |= {"attn_norm.weight": ones(), "ffn_norm.weight": ones(), "attn_output.weight": matrix(WIDTH, WIDTH)}
    layer |= network("_exps", EXPERTS) | {"ffn_gate_inp.weight": matrix(EXPERTS, WIDTH)} if experts else network()
    if arch.startswith("qwen2"):
        layer |= {f"attn_{role}.bias": matrix(WIDTH) for role in "qkv"}
    if arch.startswith("qwen3") or arch == "olmoe":
        layer |= {f"attn_{role}_norm.weight": ones(WIDTH if arch == "olmoe" else WIDTH // HEADS) for role in "qk"}
    if arch == "qwen2moe":
        layer |= network("_shexp") | {"ffn_gate_inp_shexp.weight": matrix(WIDTH)}
    found = {f"blk.0.{name}": values for name, values in layer.items()}
    found |= {"token_embd.weight": matrix(VOCAB, WIDTH), "output_norm.weight": ones()}
    return found if arch == "gemma" else found | {"output.weight": matrix(VOCAB, WIDTH)}


def write(arch, tensors):
    """The file of a model."""
    writer = gguf.GGUFWriter("model.gguf", arch)
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_feed_forward_length(NETWORK)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    if "blk.0.ffn_gate_inp.weight" in tensors:
        writer.add_expert_count(EXPERTS)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(NETWORK)
        writer.add_expert_shared_feed_forward_length(NETWORK)
    if arch == "granite":
        for add in (writer.add_logit_scale, writer.add_embedding_scale, writer.add_residual_scale):
            add(1.0)
        writer.add_attention_scale((WIDTH // HEADS) ** -0.5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([chr(33 + token) for token in range(VOCAB)])
    writer.add_token_types([gguf.TokenType.NORMAL] * VOCAB)
    writer.add_token_merges(["! !"])
    writer.add_eos_token_id(0)
    for name, values in tensors.items():
        writer.add_tensor(name, values, raw_dtype=NVFP4 if values.dtype == np.uint8 else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def log_probabilities():
    """Of each token, after five."""
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers, params.warmup = "model.gguf", 256, 1, 0, False
    answer = xllamacpp.Server(params).handle_completions({"prompt": [1, 2, 3, 4, 5], "n_predict": 1, "n_probs": VOCAB, "temperature": 0})
    found = {each["id"]: each["logprob"] for each in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]}
    return np.array([found[token] for token in range(VOCAB)])


def is_used(arch, role, experts):
    """Whether the scale of a matrix does what doubling it does."""
    tensors, name = tensors_of(arch, experts), f"blk.0.{role}"
    shape = tensors[f"{name}.weight"].shape
    draw = np.random.default_rng(1)
    blocks = draw.integers(0, 256, (*shape[:-1], shape[-1] // 64, 36), np.uint8)
    blocks[..., :4] = draw.integers(16, 40, blocks[..., :4].shape)
    doubled = blocks + np.array([8] * 4 + [0] * 32, np.uint8)
    scale = {f"{name}.scale": np.full(EXPERTS if len(shape) == 3 else 1, 2, np.float32)}
    results = []
    for values, further in ((blocks, {}), (blocks, scale), (doubled, {})):
        write(arch, tensors | {f"{name}.weight": values.reshape(*shape[:-1], -1)} | further)
        results.append(log_probabilities())
    without, scaled, meant = results
    assert np.abs(meant - without).max() > 0.1
    close = [np.allclose(scaled, each, rtol=0, atol=1e-5) for each in (meant, without)]
    return {(True, False): "yes", (False, True): "no"}.get(tuple(close), "otherwise")


def told(archs, *roles):
    """What becomes of the scales of these matrices."""
    return ", ".join(" ".join((arch, *(is_used(arch, role, "exps" in roles[-1]) for role in roles))) for arch in archs)


print(f"attn_output.scale and ffn_down.scale are used: {told(DENSE, 'attn_output', 'ffn_down')};")
print(f"attn_output.scale and ffn_down_exps.scale: {told(MIXTURES, 'attn_output', 'ffn_down_exps')}")
PY
) || { tail -n 20 errors >&2; exit 1; }
echo "$seen"
[ "$seen" = "attn_output.scale and ffn_down.scale are used: llama yes yes, qwen3 yes yes, mistral3 yes yes, qwen2 yes no, phi3 yes no, gemma yes no, granite yes no;
attn_output.scale and ffn_down_exps.scale: llama yes yes, qwen3moe yes yes, qwen2moe yes no, olmoe yes no" ] ||
  { echo "this has changed" >&2; exit 1; }
