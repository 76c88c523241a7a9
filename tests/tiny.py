"""Small GGUF files with random weights, of every architecture and format that the engine decodes.

Matrices are drawn with a standard deviation of 1/sqrt(columns) and norms around 1, so that logits are of order 1. Keys,
shapes and what stays in float32 are as a converter writes them; the vocabulary is a small byte-level one, so that other
programs open the files too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import gguf
import numpy as np
import tiny_blocks
import tiny_dense
import tiny_experts
import tiny_gemma4
import tiny_recurrent

FORMATS = ("f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "mxfp4", *tiny_blocks.FORMATS)
# Of each kind one, and those of the real files.
KINDS = (
    "f32", "f16", "q8_0", "q4_0", "q4_1", "q4_k", "q6_k", "q2_k", "iq4_xs", "mxfp4", "nvfp4", "tq1_0", "q2_0", "iq2_xs", "iq3_s", "iq1_m"
)  # fmt: skip
_FIRST = ("llama", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "olmoe", "olmo2", "deepseek", "gemma", "gemma3")
ARCHITECTURES = (
    *_FIRST,
    *tiny_dense.ARCHITECTURES,
    *tiny_experts.ARCHITECTURES,
    *tiny_recurrent.ARCHITECTURES,
    *tiny_gemma4.ARCHITECTURES,
)

_FILE_TYPES = {
    "f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q4_0": "MOSTLY_Q4_0", "q4_1": "MOSTLY_Q4_1",
    "q5_0": "MOSTLY_Q5_0", "q5_1": "MOSTLY_Q5_1", "q8_0": "MOSTLY_Q8_0", "q4_k": "MOSTLY_Q4_K_M",
    "q5_k": "MOSTLY_Q5_K_M", "q6_k": "MOSTLY_Q6_K", "q2_k": "MOSTLY_Q2_K", "q3_k": "MOSTLY_Q3_K_M", "iq4_nl": "MOSTLY_IQ4_NL",
    "iq4_xs": "MOSTLY_IQ4_XS", "tq1_0": "MOSTLY_TQ1_0", "tq2_0": "MOSTLY_TQ2_0", "mxfp4": "MOSTLY_MXFP4_MOE",
    "iq2_xxs": "MOSTLY_IQ2_XXS", "iq2_xs": "MOSTLY_IQ2_XS", "iq2_s": "MOSTLY_IQ2_S", "iq3_xxs": "MOSTLY_IQ3_XXS",
    "iq3_s": "MOSTLY_IQ3_S", "iq1_s": "MOSTLY_IQ1_S", "iq1_m": "MOSTLY_IQ1_M",
}  # fmt: skip
_LATER_FILE_TYPES = {"nvfp4": 39, "q1_0": 40, "q2_0": 41}  # llama.cpp's numbers, not all of which gguf has


@dataclass(frozen=True)
class Shape:
    """Sizes of a network; the default suits formats with blocks of up to 32."""

    d_model: int = 64
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 16
    value_dim: int = 0  # of a head's values; 0 is as wide as its keys
    rotated: int = 0  # dimensions of a head that turn; 0 is all
    d_ff: int = 96
    n_experts: int = 0
    n_active: int = 2
    d_expert: int = 32
    d_shared: int = 0
    n_leading_dense: int = 0
    window: int = 0
    context: int = 512
    rope_base: float = 10000.0
    rope_linear: float = 1.0
    rope_factors: bool = False  # a table of one factor per frequency, as Llama 3.1 has
    epsilon: float = 1e-5
    per_layer: int = 0  # width of inputs of each layer's own
    own_layers: int = 1000  # first layers with a cache, whose keys and values later ones read, too
    keys_are_values: bool = False  # in layers that see everything
    biases: tuple[str, ...] = ()  # of matrices that have none by default, by role
    scaled: bool = False  # results of matrices have scales, and inputs, which nobody reads
    q_rank: int = 0  # of queries; 0 is no narrow layer before them
    kv_rank: int = 0  # of the latent; 0 is heads of their own
    joined_latent: bool = (
        False  # as files of before 2025 have it: what makes keys and values of the latent in one matrix
    )


SCALED = (
    "attn_q", "attn_k", "attn_v", "attn_output", "attn_qkv", "ssm_in", "ssm_out",
    *(f"ffn_{role}{end}" for role in ("gate", "up", "down") for end in ("", "_shexp", "_exps")),
)  # fmt: skip
_WIDE = {"d_model": 256, "n_heads": 4, "head_dim": 64, "d_ff": 512, "d_expert": 256}
_EXPERTS = {"n_experts": 8, "n_active": 3}
_OWN = {
    "qwen2moe": {**_EXPERTS, "d_shared": 64},
    "qwen3": {"head_dim": 32},
    "qwen3moe": {**_EXPERTS, "head_dim": 32},
    "olmoe": {**_EXPERTS, "n_kv_heads": 4},
    "deepseek": {**_EXPERTS, "n_kv_heads": 4, "d_shared": 64, "n_leading_dense": 1},
    "gemma": {"head_dim": 32, "n_kv_heads": 1, "epsilon": 1e-6},
    "gemma3": {"head_dim": 32, "n_kv_heads": 1, "window": 4, "rope_base": 1000000.0, "epsilon": 1e-6},
}


def shape_of(arch, fmt, **changes) -> Shape:
    """The sizes of a network of that architecture, wide enough for the format, with changes by name."""
    own = dict((_OWN | tiny_dense.SHAPES | tiny_experts.SHAPES | tiny_recurrent.OWN | tiny_gemma4.SHAPES).get(arch, {}))
    if fmt in tiny_blocks.FORMATS:
        own |= _WIDE | ({"d_shared": 512} if own.get("d_shared") else {})
        own |= tiny_experts.WIDE_LATENT if own.get("kv_rank") else {}
        own |= tiny_gemma4.WIDE if arch in tiny_gemma4.ARCHITECTURES else {}
    return replace(Shape(), **(own | changes))


# ---- which tensors ----


def block_tensors(arch, shape: Shape, layer) -> dict[str, tuple[int, ...]]:
    """Names, without the layer's prefix, and shapes, rows first, of one layer; what names mean is the reader's."""
    if arch in tiny_dense.ARCHITECTURES:
        return tiny_dense.block_tensors(arch, shape)
    if arch in tiny_experts.ARCHITECTURES:
        return tiny_experts.block_tensors(arch, shape, layer)
    if arch in tiny_recurrent.ARCHITECTURES:
        return tiny_recurrent.block_tensors(arch, shape, layer)
    if arch in tiny_gemma4.ARCHITECTURES:
        return tiny_gemma4.block_tensors(shape, layer)
    queries, shared = shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim
    value_dim = shape.value_dim or shape.head_dim
    found = {
        "attn_q.weight": (queries, shape.d_model),
        "attn_k.weight": (shared, shape.d_model),
        "attn_v.weight": (shape.n_kv_heads * value_dim, shape.d_model),
        "attn_output.weight": (shape.d_model, shape.n_heads * value_dim),
    }
    if arch != "olmo2":
        found |= {"attn_norm.weight": (shape.d_model,), "ffn_norm.weight": (shape.d_model,)}
    if arch in ("olmo2", "gemma3"):
        found |= {"post_attention_norm.weight": (shape.d_model,), "post_ffw_norm.weight": (shape.d_model,)}
    if arch in ("qwen2", "qwen2moe"):
        found |= {"attn_q.bias": (queries,), "attn_k.bias": (shared,), "attn_v.bias": (shape.n_kv_heads * value_dim,)}
    if arch in ("qwen3", "qwen3moe", "gemma3"):
        found |= {"attn_q_norm.weight": (shape.head_dim,), "attn_k_norm.weight": (shape.head_dim,)}
    if arch in ("olmoe", "olmo2"):
        found |= {"attn_q_norm.weight": (queries,), "attn_k_norm.weight": (shared,)}
    has_experts = shape.n_experts and layer >= shape.n_leading_dense
    return found | (expert_tensors(arch, shape) if has_experts else gated_tensors("", shape.d_model, shape.d_ff))


def gated_tensors(suffix, d_model, d_ff, *experts) -> dict[str, tuple[int, ...]]:
    """The three matrices of a gated feed-forward, with a leading number of experts if given."""
    found = {f"ffn_{role}{suffix}.weight": (*experts, d_ff, d_model) for role in ("gate", "up")}
    return {**found, f"ffn_down{suffix}.weight": (*experts, d_model, d_ff)}


def expert_tensors(arch, shape: Shape) -> dict[str, tuple[int, ...]]:
    """Router, experts and shared experts of one layer."""
    found = {"ffn_gate_inp.weight": (shape.n_experts, shape.d_model)}
    found |= gated_tensors("_exps", shape.d_model, shape.d_expert, shape.n_experts)
    if shape.d_shared:
        found |= gated_tensors("_shexp", shape.d_model, shape.d_shared)
    if arch == "qwen2moe":
        found |= {"ffn_gate_inp_shexp.weight": (shape.d_model,)}
    return found


def all_tensors(arch, shape: Shape, n_layers, vocab, tied) -> dict[str, tuple[int, ...]]:
    """Every tensor of the file and its shape."""
    last = "token_embd_norm.weight" if arch in tiny_recurrent.SHORT_CONVOLUTIONS else "output_norm.weight"
    found = {"token_embd.weight": (vocab, shape.d_model), last: (shape.d_model,)}
    if not tied:
        found["output.weight"] = (vocab, shape.d_model)
    if shape.rope_factors:
        found["rope_freqs.weight"] = (shape.head_dim // 2,)
    for layer in range(n_layers):
        found |= {f"blk.{layer}.{name}": size for name, size in block_tensors(arch, shape, layer).items()}
    if arch in tiny_dense.ARCHITECTURES:
        found |= tiny_dense.outside_tensors(arch, shape, vocab)
        if not tiny_dense.PARTS[arch].last_norm:
            del found["output_norm.weight"]
    if arch in tiny_gemma4.ARCHITECTURES:
        found |= tiny_gemma4.outside_tensors(shape, n_layers, vocab)
    if arch in tiny_experts.ARCHITECTURES:
        found |= tiny_experts.outside_tensors(arch, shape)
    biased = {name: size for name, size in found.items() if name.split(".")[-2] in shape.biases}
    found |= {name.replace(".weight", ".bias"): size[:1] for name, size in biased.items()}
    return found | (scale_tensors(found) if shape.scaled else {})


def scale_tensors(tensors) -> dict[str, tuple[int, ...]]:
    """A number for each matrix, or for each expert's, of those that llama.cpp knows to have one; both kinds."""
    scaled = {name: size for name, size in tensors.items() if name.split(".")[-2] in SCALED and name.startswith("blk.")}
    return {
        name.replace(".weight", end): (size[0] if len(size) > 2 else 1,)
        for name, size in scaled.items()
        for end in (".scale", ".input_scale")
        if name.endswith(".weight")
    }


# ---- what is in them ----


def quantised(values, fmt):
    """Float32 values as the format stores them, for the formats that gguf can write."""
    kind = gguf.GGMLQuantizationType[fmt.upper()]
    return gguf.quants.quantize(values, kind), kind


def fill_vector(draw, name, size):
    """Float32 values of a vector."""
    if name.endswith("scale"):
        return draw.uniform(0.5, 1.5, size).astype(np.float32)
    if name.startswith("rope_f"):
        return draw.uniform(1, 8, size).astype(np.float32)
    if name.endswith("norm.weight"):
        return (1 + 0.2 * draw.standard_normal(size)).astype(np.float32)
    return (0.3 * draw.standard_normal(size)).astype(np.float32)


def fill(draw, name, size, fmt, own=None):
    """The data of one tensor, and its type if it is not plain float32; vectors are float32 but for an *own* format."""
    values = tiny_recurrent.fill(draw, name, size)
    if values is not None:
        return values, None
    is_vector = len(size) == 1 and not name.endswith("ffn_gate_inp_shexp.weight")
    if is_vector or name.endswith(".bias"):
        values = fill_vector(draw, name, size)
        return quantised(values, own) if own else (values, None)
    fmt = own or fmt
    if fmt in tiny_blocks.FORMATS and "ffn_gate_inp" not in name:
        return tiny_blocks.random_blocks(draw, size, fmt)
    values = (draw.standard_normal(size) / np.sqrt(size[-1])).astype(np.float32)
    # Routers and the gates of shared experts are never quantised.
    return (values, None) if "ffn_gate_inp" in name else quantised(values, fmt)


# ---- the keys ----


def byte_characters() -> list[str]:
    """The 256 characters that stand for bytes in a byte-level vocabulary: printable bytes first, as they are."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + at) for at, byte in enumerate(others)}
    order = [ord(" "), ord("\n"), *range(ord("a"), ord("z") + 1)]
    return [characters[byte] for byte in (*order, *(byte for byte in range(256) if byte not in order))]


def add_vocabulary(writer, vocab):
    """An end token, then single bytes, pairs of letters and unused tokens, for as long as the vocabulary goes on."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pairs = [(first, second) for first in letters for second in letters]
    tokens = ["<|endoftext|>", *byte_characters(), *(first + second for first, second in pairs)]
    n_unused = max(0, vocab - len(tokens))
    kinds = [gguf.TokenType.CONTROL, *[gguf.TokenType.NORMAL] * (len(tokens) - 1), *[gguf.TokenType.UNUSED] * n_unused]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*tokens, *(f"<unused{number}>" for number in range(n_unused))][:vocab])
    writer.add_token_types([int(kind) for kind in kinds[:vocab]])
    writer.add_token_merges([f"{first} {second}" for first, second in pairs[: max(1, vocab - 257)]])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    writer.add_add_bos_token(False)


def add_keys(writer, arch, fmt, shape: Shape, n_layers, vocab):
    """What the converter of that architecture writes about the network."""
    writer.add_type("model")
    # llama.cpp looks for further tokens where a name has "phi3" in it.
    writer.add_name(f"tiny {arch.replace('phi', 'phi ')} {fmt}")
    writer.add_file_type(_LATER_FILE_TYPES.get(fmt) or int(gguf.LlamaFileType[_FILE_TYPES[fmt]]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(n_layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.d_model)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.rope_base)
    if arch in ("llama", "deepseek"):
        writer.add_vocab_size(vocab)
        writer.add_rope_dimension_count(shape.rotated or shape.head_dim)
    is_usual = shape.head_dim * shape.n_heads == shape.d_model and not shape.value_dim
    if arch in ("qwen3", "qwen3moe", "gemma", "gemma3", "gemma4") or not is_usual:
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.value_dim or shape.head_dim)
    if shape.rope_linear != 1:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(shape.rope_linear)
    if shape.window:
        writer.add_sliding_window(shape.window)
    add_feed_forward_keys(writer, arch, shape)


def add_feed_forward_keys(writer, arch, shape: Shape):
    """Widths and experts; Mixtral and olmoe call the width of an expert that of the feed-forward."""
    named_otherwise = shape.n_experts and arch in ("llama", "olmoe", "granitemoe")
    writer.add_feed_forward_length(shape.d_expert if named_otherwise else shape.d_ff)
    if not shape.n_experts:
        return
    writer.add_expert_count(shape.n_experts)
    writer.add_expert_used_count(shape.n_active)
    if not named_otherwise:
        writer.add_expert_feed_forward_length(shape.d_expert)
    if arch == "qwen2moe":
        writer.add_expert_shared_feed_forward_length(shape.d_shared)
    if arch == "deepseek":
        writer.add_leading_dense_block_count(shape.n_leading_dense)
        writer.add_expert_shared_count(shape.d_shared // shape.d_expert)
        writer.add_expert_weights_scale(1.0)


def add_own_keys(writer, arch, keys):
    """Keys of the caller's, without the architecture before them, in place of ours of that name; counts are uint32."""
    for name, value in keys.items():
        full = name if name.startswith("general.") else f"{arch}.{name}"
        writer.kv_data[0].pop(full, None)
        is_count = type(value) is int and value >= 0
        kind = gguf.GGUFValueType.UINT32 if is_count else gguf.GGUFValueType.get_type(value)
        writer.add_key_value(full, value, kind)


def group_keys(arch, shape: Shape, n_layers) -> dict:
    """Keys of the architecture's group."""
    if arch in tiny_recurrent.ARCHITECTURES:
        return tiny_recurrent.keys(arch, shape, n_layers)
    if arch in tiny_gemma4.ARCHITECTURES:
        return tiny_gemma4.keys(shape, n_layers)
    group = next((each for each in (tiny_dense, tiny_experts) if arch in each.ARCHITECTURES), None)
    return group.keys(arch, shape) if group else {}


def own_tied(arch) -> bool:
    """Whether files of an architecture use their embedding as output."""
    group = next((each for each in (tiny_dense, tiny_experts) if arch in each.ARCHITECTURES), None)
    return group.PARTS[arch].tied if group else arch.startswith("gemma") or arch in tiny_recurrent.TIED


def write(
    path,
    arch,
    fmt,
    *,
    n_layers=None,
    seed=0,
    vocab=64,
    tied=None,
    formats=None,
    keys=None,
    extra=None,
    leave_out=(),
    split=0,
    **changes,
):
    """A GGUF file of that architecture with every matrix in that format, except those that `formats` names by role.

    Changes are fields of `Shape`; n_experts makes a llama a Mixtral. Only gemmas use their embedding as output unless
    `tied` says otherwise. `keys` (see `add_own_keys`), `extra` tensors and names to `leave_out` make files that are not
    as they should be. With `split` tensors to a part, the parts are `path` with -00001-of-00003 and so on.
    """
    shape = shape_of(arch, fmt, **changes)
    own_depth = tiny_gemma4.N_LAYERS if arch in tiny_gemma4.ARCHITECTURES else 2
    n_layers = n_layers or max(own_depth, len(tiny_recurrent.KINDS.get(arch, "M*")))
    draw = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, arch, split_max_tensors=split)
    add_keys(writer, arch, fmt, shape, n_layers, vocab)
    add_vocabulary(writer, vocab)
    add_own_keys(writer, arch, group_keys(arch, shape, n_layers) | (keys or {}))
    is_tied = own_tied(arch) if tied is None else tied
    for name, size in all_tensors(arch, shape, n_layers, vocab, is_tied).items():
        role = name.removesuffix(".weight").split(".")[-1]
        data, kind = tiny_gemma4.fill(draw, arch, name, size), None
        if data is None:
            data, kind = fill(draw, name, size, fmt, (formats or {}).get(role))
        if name not in leave_out:
            writer.add_tensor(name, data, raw_dtype=kind)
    for name, data in (extra or {}).items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
