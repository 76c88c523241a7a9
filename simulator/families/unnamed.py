"""Configs that do not say by model_type which architecture writes their text: what they are is told by their other keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe
from simulator.families.remote_defaults import REMOTE_DEFAULTS

# The part of MiniCPM-V and MiniCPM-o that writes, by version (vLLM 0.33, minicpmv.py and minicpmo.py).
_MINICPM_V = {"2.0": "minicpm", "2.5": "llama", "2.6": "qwen2", "4.0": "llama", "4.5": "qwen3"}
_MINICPM_O = {"2.6": "qwen2", "4.5": "qwen3"}
_OF_PICTURES = (
    "query_num",
    "slice_config",
    "slice_mode",
    "use_image_id",
    "batch_vision_input",
    "drop_vision_last_layer",
    "version",
)
_OF_WHOLE = ("model_type", "architectures", "tie_word_embeddings", "_name_or_path")
_CLASSES_OF_OTHERS = {("git", "Grok1ForCausalLM"): "grok-2"}  # Grok 2 states the type of a writer of captions


def named(file: Path, whole: dict[str, Any]) -> dict[str, Any]:
    """The same config with the model_type, and where need be the keys, of a family."""
    stated, classes = whole.get("model_type"), whole.get("architectures")
    if stated is None and isinstance(whole.get("ssm_cfg"), dict) and "d_model" in whole:
        return _of_mamba_package(file, whole)
    if stated in ("minicpmv", "minicpmo"):
        return _of_minicpm(file, whole)
    first = classes[0] if isinstance(classes, list) and classes else None
    if isinstance(stated, str) and isinstance(first, str) and (stated, first) in _CLASSES_OF_OTHERS:
        return {**whole, "model_type": _CLASSES_OF_OTHERS[stated, first]}
    return whole


def _of_minicpm(file: Path, whole: dict[str, Any]) -> dict[str, Any]:
    """A model that sees, around a decoder that its version tells."""
    by_version = _MINICPM_V if whole["model_type"] == "minicpmv" else _MINICPM_O
    version = whole.get("version")
    if version is None and whole["model_type"] == "minicpmv":
        version = "2.0" if (whole.get("hidden_size"), whole.get("query_num")) == (2304, 64) else "2.5"
    inner = by_version.get(str(version))
    if inner is None:
        raise InputError(
            f"{file}: version is {describe(version)}: of {whole['model_type']} {', '.join(by_version)} are known; "
            "describe the model in a YAML file like the shipped ones"
        )
    own = {key: value for key, value in whole.items() if key not in _OF_PICTURES and not key.endswith("_config")}
    kept = {key: value for key, value in whole.items() if key not in own or key in _OF_WHOLE}
    return {**kept, "text_config": {**own, "model_type": inner}}


def _of_mamba_package(file: Path, whole: dict[str, Any]) -> dict[str, Any]:
    """Mamba 1 and 2 as the package mamba-ssm saves them."""
    known = {**REMOTE_DEFAULTS["mamba-ssm"], **whole}
    own = {**REMOTE_DEFAULTS["mamba-ssm"], **whole["ssm_cfg"]}
    multiple, vocab = known["pad_vocab_size_multiple"], whole.get("vocab_size")
    if whole.get("attn_layer_idx") or whole.get("d_intermediate"):
        raise InputError(
            f"{file}: ssm_cfg with attn_layer_idx or d_intermediate: Mamba with attention or networks between is not known here"
        )
    if not all(isinstance(each, int) and not isinstance(each, bool) and each > 0 for each in (multiple, vocab)):
        raise InputError(f"{file}: vocab_size and pad_vocab_size_multiple need to be whole numbers from 1")
    is_second = own["layer"] == "Mamba2"
    found = {
        "model_type": "mamba2" if is_second else "mamba",
        "hidden_size": whole["d_model"],
        "num_hidden_layers": whole.get("n_layer"),
        "vocab_size": -(-vocab // multiple) * multiple,
        "state_size": own.get("d_state", 128 if is_second else 16),
        "conv_kernel": own["d_conv"],
        "expand": own["expand"],
        "use_conv_bias": own["conv_bias"],
        "use_bias": own["bias"],
        "tie_word_embeddings": known["tie_embeddings"],
    }
    if not all(
        isinstance(each, int) and not isinstance(each, bool) for each in (found["expand"], found["hidden_size"])
    ):
        raise InputError(f"{file}: d_model and expand of ssm_cfg need to be whole numbers")
    expanded = found["expand"] * found["hidden_size"]
    if not is_second:
        return {**found, "intermediate_size": expanded, "time_step_rank": own["dt_rank"]}
    head_dim = own["headdim"]
    if not isinstance(head_dim, int) or isinstance(head_dim, bool) or head_dim < 1 or expanded % head_dim:
        raise InputError(
            f"{file}: headdim of ssm_cfg is {describe(head_dim)}, it must divide the {expanded:,} channels"
        )
    return {**found, "head_dim": head_dim, "num_heads": expanded // head_dim, "n_groups": own["ngroups"]}
