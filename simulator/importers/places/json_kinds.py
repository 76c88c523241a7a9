"""What a JSON file is that describes no model, and what to give instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from simulator.errors import printable

_CONFIG = "give the config.json beside it, or their folder"
_ORIGINAL = "give the folder of the same model with config.json, as transformers has it, or a GGUF file"

# By its name, where it is too large to be read or says nothing of itself.
_NAMED = {
    "tokenizer.json": "a tokenizer", "vocab.json": "a vocabulary", "tekken.json": "a tokenizer",
    "generation_config.json": "settings of sampling",
    "model.safetensors.index.json": "the list of which file holds which tensor",
    "pytorch_model.bin.index.json": "the list of which file holds which tensor",
}  # fmt: skip

# A key that only this kind has, and what it is.
_TOLD_BY = (
    ("weight_map", "the list of which file holds which tensor"),
    ("tokenizer_class", "settings of a tokenizer"), ("added_tokens_decoder", "settings of a tokenizer"),
    ("added_tokens", "a tokenizer"),
    ("image_processor_type", "settings of what reads pictures or sound"),
    ("feature_extractor_type", "settings of what reads pictures or sound"),
    ("processor_class", "settings of what reads pictures or sound"),
    ("chat_template", "the template of a chat"),
    ("additional_special_tokens", "a list of special tokens"),
    ("quant_method", "settings of a quantisation"), ("quant_algo", "settings of a quantisation"),
    ("w_bit", "settings of a quantisation"), ("group_size", "settings of a quantisation"),
)  # fmt: skip
_SAMPLING = ("do_sample", "temperature", "top_k", "top_p", "max_length", "max_new_tokens")
_TOKENS = ("bos_token", "eos_token", "bos_token_id", "eos_token_id", "pad_token_id")


def what_it_is(path: Path, data: Any) -> str | None:
    """What this JSON is that describes no model, and what to give instead; None for what may be a config.json."""
    if not isinstance(data, dict):
        return None
    special = _other_program(data)
    if special:
        return special
    if isinstance(data.get("model_type"), str) or "text_config" in data or "architectures" in data:
        return None
    found = next((what for key, what in _TOLD_BY if key in data), None) or _of_sampling(data)
    if found is None and isinstance(data.get("quantization"), dict):
        found = "settings of a quantisation" if "quant_algo" in data["quantization"] else None
    if found is None and len(data) > 100 and all(type(each) is int for each in data.values()):
        found = "a vocabulary"
    found = found or _NAMED.get(path.name.lower())
    return f"holds {found}, not the shapes of a model: {_CONFIG}" if found else None


def what_a_large_one_is(path: Path, head: bytes) -> str | None:
    """The same of a file that is too large to be a config.json, by its name and its beginning."""
    name = path.name.lower()
    found = _NAMED.get(name) or ("the list of which file holds which tensor" if name.endswith(".index.json") else None)
    if not found and re.search(rb'"weight_map"', head):
        found = "the list of which file holds which tensor"
    if not found and re.search(rb'"(truncation|added_tokens)"', head):
        found = "a tokenizer"
    return f"holds {found}, not the shapes of a model: {_CONFIG}" if found else None


def _of_sampling(data: dict) -> str | None:
    if "hidden_size" in data or "vocab_size" in data:
        return None
    names_tokens = "transformers_version" in data and any(key in data for key in _TOKENS)
    if names_tokens or any(key in data for key in _SAMPLING):
        return "settings of sampling"
    return "a list of special tokens" if data and data.keys() <= {*_TOKENS, "unk_token", "pad_token"} else None


def _other_program(data: dict) -> str | None:
    """Descriptions that belong to other programs or other formats of the same model."""
    if "peft_type" in data:
        return adapter(data)
    if "_diffusers_version" in data or "_class_name" in data:
        return "describes a pipeline that makes images: no tokens are decoded by it; give a language model"
    if "pretrained_config" in data:
        return f"describes an engine of TensorRT-LLM: {_ORIGINAL}"
    if "conv_template" in data or {"model_config", "quantization", "model_type"} <= data.keys():
        return f"describes a model that MLC has compiled: {_ORIGINAL}"
    if "hidden_size" not in data and {"dim", "n_layers", "n_heads"} <= data.keys():
        makers = "Mistral" if "hidden_dim" in data or "moe" in data else "Meta"
        return f"describes a model in {makers}'s own format: {_ORIGINAL}"
    if {"model_format", "model_family"} <= data.keys():
        return "is what Ollama keeps about a model: give the model's name in Ollama, as in ollama/llama3.1:8b"
    return None


def adapter(data: dict) -> str:
    """A PEFT adapter, with the model that it was made for."""
    base = data.get("base_model_name_or_path")
    named = f" ({printable(base, 100)})" if isinstance(base, str) and base.strip() else ""
    kind = data["peft_type"]
    sort = f" ({printable(kind, 20)})" if isinstance(kind, str) and kind.strip() else ""
    return f"describes an adapter{sort}, which changes a model and is none: give its base model{named}"
