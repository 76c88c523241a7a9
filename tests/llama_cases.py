"""The small files whose logits llama.cpp gave, and what it gave: written by `recorded/llama_logits.py`, read by the engine's tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import naive
import numpy as np
import tiny

RECORDS = Path(__file__).parent / "recorded" / "llama_logits"  # a file for each case
TOKENS = (5, 9, 2, 40, 7, 63, 0, 1, 1, 30, 31, 12, 13, 50, 8, 44, 21, 9, 9, 60)

# Of a fourth block, which predicts the token after next and takes no part in a step.
PREDICTING = {
    "blk.3.nextn.eh_proj.weight": np.full((64, 128), 0.125, np.float32),
    "blk.3.nextn.enorm.weight": np.full(64, 2.0, np.float32),
    "blk.3.nextn.hnorm.weight": np.full(64, 3.0, np.float32),
}

# Beside one file of each architecture in `tiny.ARCHITECTURES`: what else is recorded, as (architecture, changes).
FURTHER = {
    "mixtral": ("llama", {"n_experts": 8}),
    "llama-3": ("llama", {"rope_factors": True, "rope_linear": 4.0}),
    "glm4moe-predicting": ("glm4moe", {"n_layers": 4, "keys": {"nextn_predict_layers": 1}, "extra": PREDICTING}),
    "deepseek2-joined": ("deepseek2", {"joined_latent": True}),
    "deepseek2-lite": (
        "deepseek2",
        {"q_rank": 0, "n_layers": 27, "keys": {"expert_gating_func": 1, "expert_weights_norm": False}},
    ),
}
_YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
_EVERY_BIAS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
_SMALL = {"d_model": 32, "n_heads": 2, "n_kv_heads": 1, "d_ff": 32}
FURTHER |= {
    "llama-yarn": ("llama", {"keys": _YARN}),
    "llama-linear": ("llama", {"rope_linear": 3.0}),
    "llama-biases": ("llama", {"biases": _EVERY_BIAS}),
    "qwen2-bias": ("qwen2", {"biases": ("output",)}),
    "phi3-long": ("phi3", {"keys": {"rope.scaling.original_context_length": 128}}),
    "olmo3": ("olmo2", {"n_layers": 5, "window": 4, "keys": _YARN | {"rope.scaling.attn_factor": 1.1}}),
    "exaone4-32b": ("exaone4", {"n_layers": 64, "window": 4, **_SMALL}),
    "granite-straight": ("granite", {"keys": {"rope.scaling.finetuned": False}}),
    "gemma4-keys-as-values": ("gemma4", {"per_layer": 0, "own_layers": 6, "keys_are_values": True, "rope_linear": 2.0}),
    "qwen3moe-other-router": (
        "qwen3moe",
        {"keys": {"expert_weights_norm": False, "expert_weights_scale": 3.0, "expert_gating_func": 2}},
    ),
    "qwen3moe-groups": ("qwen3moe", {"n_experts": 16, "keys": {"expert_group_count": 4, "expert_group_used_count": 2}}),
    "nemotron_h_moe-softmax": ("nemotron_h_moe", {"keys": {"expert_gating_func": 1}}),
    "qwen3-yarn-betas": (
        "qwen3",
        {
            "keys": _YARN
            | {
                "rope.scaling.yarn_beta_fast": 1.5,
                "rope.scaling.yarn_beta_slow": 0.25,
                "rope.scaling.yarn_log_multiplier": 1.0,
            }
        },
    ),
    "gemma4-experts": (
        "gemma4",
        {"n_experts": 8, "n_active": 3, "per_layer": 0, "own_layers": 6, "keys_are_values": True},
    ),
    "gemma4-experts-scales": ("gemma4", {"n_experts": 8, "scaled": True}),
    "gptneox-serial": ("gptneox", {"keys": {"use_parallel_residual": False}}),
}
OWN = {  # layers of each kind; Baichuan's small model is known by its 32 layers
    "gemma3": {"n_layers": 7},
    **{
        arch: {"n_layers": 3} for arch in ("deepseek", "gpt-oss", "glm4moe", "bailingmoe2", "ernie4_5-moe", "deepseek2")
    },
    "smollm3": {"n_layers": 5},
    "cohere2": {"n_layers": 5},
    "gemma2": {"n_layers": 3},
    "baichuan": {"n_layers": 32},
}
CASES = {**{arch: (arch, OWN.get(arch, {})) for arch in tiny.ARCHITECTURES}, **FURTHER}


# Those whose matrices' scales llama.cpp applies, every one of them; in others it leaves some out.
WITH_SCALES = (
    "llama", "qwen3", "qwen3moe", "mistral3", "cohere2", "qwen35", "qwen35moe", "mamba2", "nemotron_h", "nemotron_h_moe", "gemma4",
)  # fmt: skip
CASES |= {f"{arch}-scales": (arch, {"scaled": True}) for arch in WITH_SCALES}
CASES |= {"mixtral-scales": ("llama", {"n_experts": 8, "scaled": True})}


def write(name, folder) -> Path:
    """The file of a case, in float32."""
    arch, changes = CASES[name]
    return tiny.write(folder / f"{name}.gguf", arch, "f32", seed=7, **changes)


def digest(path) -> str:
    """What a file's keys and tensors are known by; how gguf orders and pads them does not enter."""
    network = naive.load_any(path)
    parts = [f"{name} {value}" for name, value in sorted(network.keys.items()) if not name.startswith("GGUF.")]
    for name, tensor in sorted(network.tensors.items()):
        parts.append(f"{name} {hashlib.sha256(np.ascontiguousarray(tensor.data)).hexdigest()}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def recorded(name) -> dict[str, np.ndarray]:
    """Of a case: `logits` [tokens, vocab], the `digest` of its file, and what it was `made_by`."""
    with np.load(RECORDS / f"{name}.npz") as held:
        return dict(held)
