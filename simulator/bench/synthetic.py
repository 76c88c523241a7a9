"""GGUF files with random weights that every engine opens: what decoding speeds are compared on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.engine.drawn_source import DrawnSource
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS, uniform

CONTEXT = 4096
_FILE_TYPES = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k": 12, "q4_k": 15, "q5_k": 17,
    "q6_k": 18, "iq4_nl": 25, "iq4_xs": 30, "bf16": 32, "tq1_0": 36, "tq2_0": 37, "mxfp4": 38, "nvfp4": 39, "q1_0": 40,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A model of a size that no cache holds."""

    name: str
    architecture: str  # of the file
    model: Model


def _attention(n_heads: int, n_kv_heads: int, head_dim: int, qk_norm: str | None = None) -> dict:
    return {
        "kind": "grouped_query",
        "n_heads": n_heads,
        "n_kv_heads": n_kv_heads,
        "head_dim": head_dim,
        "qk_norm": qk_norm,
    }


def dense(n_layers: int = 16, vocab: int = 32_000) -> Case:
    """The layers of Llama 3.2 1B: width 2048, 32 heads, 8 of them with keys, hidden 8192."""
    layer = {"count": n_layers, "attention": _attention(32, 8, 64), "ffn": {"kind": "gated", "d_ff": 8192}}
    data = {"name": "dense", "d_model": 2048, "vocab": vocab, "tied_head": True, "layers": [layer]}
    return Case("dense", "llama", Model.model_validate(data | {"max_context": CONTEXT}))


def moe(n_layers: int = 8, vocab: int = 32_000) -> Case:
    """64 experts of width 1024, of which each token uses 8: as in OLMoE, in the arithmetic of Qwen3."""
    experts = {"kind": "experts", "n_experts": 64, "n_active": 8, "d_expert": 1024}
    layer = {"count": n_layers, "attention": _attention(16, 4, 128, "head"), "ffn": experts}
    data = {"name": "moe", "d_model": 2048, "vocab": vocab, "tied_head": True, "layers": [layer]}
    return Case("moe", "qwen3moe", Model.model_validate(data | {"max_context": CONTEXT}))


def write(case: Case, weights: str, path: Path, seed: int = 0) -> Path:
    """Writes the file with every matrix in one format; a complete one appears, or none."""
    import gguf

    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, case.architecture)
    _write_keys(writer, case, weights)
    _write_vocabulary(writer, case.model.vocab)
    source = DrawnSource(case.model, uniform(FORMATS[weights]), seed)
    for tensor in source.tensors:
        raw = source.raw(tensor)
        kind = gguf.GGMLQuantizationType[tensor.format.upper()]
        if tensor.copies > 1:
            raw = raw.reshape(tensor.copies, tensor.rows, -1)
        elif tensor.is_vector:
            raw = raw.reshape(-1)
        if tensor.format == "f32":
            writer.add_tensor(f"{tensor.place}.weight", raw.view(np.float32))
        else:
            writer.add_tensor(f"{tensor.place}.weight", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return part.replace(path)


def _write_keys(writer, case: Case, weights: str) -> None:
    model = case.model
    layer = model.stack[0]
    attention, ffn = layer.attention, layer.ffn
    writer.add_name(case.name)
    writer.add_file_type(_FILE_TYPES.get(weights, 0))
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(model.d_model)
    writer.add_block_count(len(model.stack))
    writer.add_head_count(attention.n_heads)
    writer.add_head_count_kv(attention.n_kv_heads)
    writer.add_key_length(attention.head_dim)
    writer.add_value_length(attention.head_dim)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(attention.head_dim)
    writer.add_vocab_size(model.vocab)
    if model.experts:
        writer.add_expert_count(ffn.n_experts)
        writer.add_expert_used_count(ffn.n_active)
        writer.add_expert_feed_forward_length(ffn.d_expert)
        writer.add_feed_forward_length(ffn.d_expert)
    else:
        writer.add_feed_forward_length(ffn.d_ff)


def _write_vocabulary(writer, size: int) -> None:
    """A byte-level vocabulary: the 256 bytes, then tokens that no text contains."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in shown}
    letters |= {byte: chr(256 + n) for n, byte in enumerate(b for b in range(256) if b not in letters)}
    tokens = [letters[byte] for byte in range(256)]
    tokens += [f"<unused{number}>" for number in range(size - 257)] + ["<end>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [5] * (size - 257) + [3])
    writer.add_token_merges([f"{letters[ord('a')]} {letters[ord('b')]}"])
    writer.add_eos_token_id(size - 1)
    writer.add_bos_token_id(size - 1)
