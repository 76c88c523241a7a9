"""Latent attention in GGUF files: DeepSeek's, with an index where there is one, and the compressed attention of DeepSeek-V4."""

from __future__ import annotations

from typing import Any

from simulator.importers.gguf_file import GgufFile
from simulator.importers.gguf_header import FileTensor
from simulator.importers.gguf_windows import window_of
from simulator.units import counted

Block = dict[str, FileTensor]


def latent(file: GgufFile, index: int, block: Block, n_layers: int) -> dict[str, Any]:
    """One latent for each token; whole keys and values are kept where the file lacks what llama.cpp needs for latents."""
    window = window_of(file, index, n_layers)
    swa = "_swa" if window and file.key("attention.kv_lora_rank_swa") is not None else ""
    n_heads = file.count("attention.head_count", layer=index)
    down = file.need(block, "attn_kv_a_mqa", f"blk.{index}.")
    kv_rank = file.count(
        f"attention.kv_lora_rank{swa}", block["attn_kv_a_norm"].columns if "attn_kv_a_norm" in block else None
    )
    rope = file.count("rope.dimension_count", down.rows - kv_rank)
    query = block.get("attn_q_b") or file.need(block, "attn_q", f"blk.{index}.")
    value = file.need(block, "attn_output", f"blk.{index}.").columns
    if not n_heads or query.rows % n_heads or value % n_heads:
        rows = counted(query.rows, "query row")
        raise file.wrong(f"block {index}: {rows} cannot be divided among {counted(n_heads, 'head')}")
    return {
        "kind": "latent",
        "n_heads": n_heads,
        "q_rank": query.columns if "attn_q_b" in block else None,
        "kv_rank": kv_rank,
        "qk_nope_dim": query.rows // n_heads - rope,
        "qk_rope_dim": rope,
        "v_dim": value // n_heads,
        "split_kv_b": "attn_k_b" in block,
        "index": None if window else _index(file, index, block),
        "expanded": _keeps_whole_keys(file),
        **window,
    }


def _keeps_whole_keys(file: GgufFile) -> bool:
    # llama.cpp caches latents where the file has the widths of heads.
    return file.key("attention.key_length_mla") is None and not file.kind.files.keeps_latents


def _index(file: GgufFile, layer: int, block: Block) -> dict[str, Any] | None:
    picks = file.count("attention.indexer.top_k", 0)
    if not picks or "attn_q_b" not in block:
        return None
    return {
        "picks": picks,
        "n_heads": file.count("attention.indexer.head_count"),
        "head_dim": file.count("attention.indexer.key_length"),
        "is_shared": not _has_index(file, layer, block),
    }


def _has_index(file: GgufFile, layer: int, block: Block) -> bool:
    """Whether a layer picks by itself; else it takes what an earlier one picked."""
    types = file.key("attention.indexer.types")
    if isinstance(types, list):
        return layer < len(types) and bool(types[layer]) and "indexer.attn_k" in block
    if file.kind.files.picks_every:
        context, n_first, period = file.kind.files.picks_every
        if file.count("context_length", 0, at_most=10**10) >= context:
            return layer < n_first or (layer - n_first) % period == 0
    return "indexer.attn_k" in block


def compressed(file: GgufFile, layer: int) -> dict[str, Any]:
    """DeepSeek-V4: a window, and what is before it compressed by the ratio of the layer."""
    ratio = file.count("attention.compress_ratios", 0, layer=layer)
    index = {
        "picks": file.count("attention.indexer.top_k"),
        "n_heads": file.count("attention.indexer.head_count"),
        "head_dim": file.count("attention.indexer.key_length"),
    }
    return {
        "kind": "compressed",
        "n_heads": file.count("attention.head_count", layer=layer),
        "head_dim": file.count("attention.key_length"),
        "q_rank": file.count("attention.q_lora_rank"),
        "o_groups": file.count("attention.output_group_count"),
        "o_rank": file.count("attention.output_lora_rank"),
        "window": file.count("attention.sliding_window"),
        "ratio": ratio or None,
        "index": index if ratio == 4 else None,  # as in llama.cpp (src/models/deepseek4.cpp)
    }
