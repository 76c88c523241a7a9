"""What the small files of further dense architectures hold: tensors and keys as their converters write them.

Values of keys are such that a few tokens show them: caps near the scores, windows of 4 tokens, queries that are scaled from the
eighth token on.
"""

from __future__ import annotations

from dataclasses import dataclass

BEFORE = ("attn_norm", "ffn_norm")
AFTER = ("post_attention_norm", "post_ffw_norm")


@dataclass(frozen=True)
class Parts:
    """The tensors of one layer, and what stands beside the layers."""

    norms: tuple[str, ...] = BEFORE
    norm_bias: bool = False
    fused_qkv: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: str = ""  # "head": of each head's width; "full": of all heads'; "heads": each head has its own
    ffn: str = "gated"  # "fused": gate and up in ffn_up; "plain": no gate
    ffn_bias: bool = False
    positions: bool = False  # a learned vector for each
    head_bias: bool = False
    tied: bool = False
    last_norm: bool = True
    factors: tuple[str, ...] = ()  # tables of factors of the rotation


_BIASED = {"norm_bias": True, "qkv_bias": True, "output_bias": True, "ffn": "plain", "ffn_bias": True}
PARTS = {
    "gemma2": Parts(norms=BEFORE + AFTER, tied=True),
    "phi3": Parts(fused_qkv=True, ffn="fused", factors=("rope_factors_short", "rope_factors_long")),
    "mistral3": Parts(),
    "granite": Parts(tied=True),
    "minicpm": Parts(),
    "smollm3": Parts(tied=True),
    "exaone": Parts(factors=("rope_freqs",)),
    "exaone4": Parts(norms=AFTER, qk_norm="head"),
    "starcoder2": Parts(**_BIASED),
    "starcoder": Parts(**_BIASED, fused_qkv=True, positions=True),
    "gpt2": Parts(**_BIASED, fused_qkv=True, positions=True, tied=True),
    "codeshell": Parts(**_BIASED, fused_qkv=True),
    "glm4": Parts(norms=BEFORE + AFTER, qkv_bias=True, ffn="fused"),
    "hunyuan-dense": Parts(qk_norm="head"),
    "ernie4_5": Parts(),
    "internlm2": Parts(),
    "xverse": Parts(),
    "baichuan": Parts(),
    "seed_oss": Parts(norms=("attn_norm", "post_attention_norm"), qkv_bias=True),
    "qwen": Parts(fused_qkv=True, qkv_bias=True),
    "arcee": Parts(ffn="plain", factors=("rope_freqs",)),
    "orion": Parts(norm_bias=True),
    "nemotron": Parts(norm_bias=True, ffn="plain"),
    "olmo": Parts(norms=(), last_norm=False),
    "stablelm": Parts(norm_bias=True, qkv_bias=True),
    "phi2": Parts(**_BIASED | {"norms": ("attn_norm",), "head_bias": True}),
    "gptneox": Parts(**_BIASED, fused_qkv=True),
    "falcon": Parts(norms=("attn_norm",), norm_bias=True, fused_qkv=True, ffn="plain"),
    "command-r": Parts(norms=("attn_norm",), tied=True),
    "cohere2": Parts(norms=("attn_norm",), tied=True),
    "plamo": Parts(norms=("attn_norm",)),
}
ARCHITECTURES = tuple(PARTS)

_LAYER_NORM = (
    "starcoder2", "starcoder", "gpt2", "codeshell", "orion", "nemotron", "olmo", "stablelm", "phi2", "gptneox", "falcon",
    "command-r", "cohere2",
)  # fmt: skip
_MANY_HEADS = {"n_kv_heads": 4}
SHAPES = {
    "gemma2": {"head_dim": 32, "window": 4, "epsilon": 1e-6},
    "phi3": _MANY_HEADS,
    "exaone": {},
    "starcoder": {"n_kv_heads": 1},
    "gpt2": _MANY_HEADS,
    "glm4": {"rotated": 8},
    "qwen": _MANY_HEADS,
    "baichuan": _MANY_HEADS,
    "nemotron": {"rotated": 8},
    "stablelm": {**_MANY_HEADS, "rotated": 4},
    "phi2": {**_MANY_HEADS, "rotated": 8},
    "gptneox": {**_MANY_HEADS, "rotated": 4},
    "falcon": {"n_kv_heads": 1},
    "cohere2": {"window": 4},
    "smollm3": {"rope_base": 5000.0},
}
_KEYS = {
    "gemma2": {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "phi3": {"rope.scaling.attn_factor": 1.19, "rope.scaling.original_context_length": 512},
    "mistral3": {
        "attention.temperature_scale": 0.3,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 8,
        "rope.scaling.yarn_beta_fast": 1.5,
        "rope.scaling.yarn_beta_slow": 0.25,
        "rope.scaling.yarn_log_multiplier": 1.0,
    },
    "granite": {"attention.scale": 0.125, "embedding_scale": 6.0, "residual_scale": 0.25, "logit_scale": 2.0},
    "minicpm": {"embedding_scale": 6.0, "residual_scale": 0.5, "logit_scale": 0.5},
    "olmo": {"attention.clamp_kqv": 1.5},
    "gptneox": {"use_parallel_residual": True},
    "command-r": {"logit_scale": 0.5},
    "cohere2": {"logit_scale": 0.5},
}
_QWEN_FF = 2  # qwen's key counts gate and up together


def keys(arch, shape) -> dict:
    """Keys of an architecture, without its name before them, beside those that all have."""
    found = dict(_KEYS.get(arch, {}))
    if arch in _LAYER_NORM:
        found["attention.layer_norm_epsilon"] = shape.epsilon
    if arch == "qwen":
        found["feed_forward_length"] = _QWEN_FF * shape.d_ff
    if not PARTS[arch].positions:
        found["rope.dimension_count"] = shape.rotated or shape.head_dim
    return found


def outside_tensors(arch, shape, vocab) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what stands beside the layers and is not in every file."""
    parts, turned = PARTS[arch], (shape.rotated or shape.head_dim) // 2
    found = {f"{name}.weight": (turned,) for name in parts.factors}
    if parts.norm_bias:
        found["output_norm.bias"] = (shape.d_model,)
    if parts.positions:
        found["position_embd.weight"] = (shape.context, shape.d_model)
    if parts.head_bias:
        found["output.bias"] = (vocab,)
    return found


def block_tensors(arch, shape) -> dict[str, tuple[int, ...]]:
    """Names, without the layer's prefix, and shapes, rows first, of one layer."""
    parts, d_model = PARTS[arch], shape.d_model
    queries, shared = shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim
    projections = {"attn_q": queries, "attn_k": shared, "attn_v": shared}
    if parts.fused_qkv:
        projections = {"attn_qkv": queries + 2 * shared}
    found = {f"{name}.weight": (rows, d_model) for name, rows in projections.items()}
    if parts.qkv_bias or (parts.fused_qkv and arch == "gptneox"):
        found |= {f"{name}.bias": (rows,) for name, rows in projections.items()}
    found["attn_output.weight"] = (d_model, queries)
    if parts.output_bias:
        found["attn_output.bias"] = (d_model,)
    for name in parts.norms:
        found[f"{name}.weight"] = (d_model,)
        if parts.norm_bias:
            found[f"{name}.bias"] = (d_model,)
    if parts.qk_norm == "head":
        found |= {f"attn_{each}_norm.weight": (shape.head_dim,) for each in "qk"}
    return found | _feed_forward(parts, shape)


def _feed_forward(parts, shape) -> dict[str, tuple[int, ...]]:
    wide = 2 * shape.d_ff if parts.ffn == "fused" else shape.d_ff
    found = {"ffn_up.weight": (wide, shape.d_model), "ffn_down.weight": (shape.d_model, shape.d_ff)}
    if parts.ffn == "gated":
        found["ffn_gate.weight"] = (shape.d_ff, shape.d_model)
    if parts.ffn_bias:
        found |= {"ffn_up.bias": (wide,), "ffn_down.bias": (shape.d_model,)}
    return found
