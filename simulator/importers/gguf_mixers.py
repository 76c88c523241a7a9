"""How the layers of a GGUF file mix tokens: attention, latents, states, by the tensors that a block has."""

from __future__ import annotations

from math import prod
from typing import Any

from simulator.importers.gguf_file import GgufFile
from simulator.importers.gguf_header import FileTensor
from simulator.importers.gguf_latent import compressed, latent
from simulator.importers.gguf_states import delta_net, kda, lightning, mamba, mamba2, rwkv
from simulator.importers.gguf_windows import window_of
from simulator.units import counted

Block = dict[str, FileTensor]
_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")


def mixer_of(file: GgufFile, index: int, block: Block, n_layers: int) -> dict[str, Any] | None:
    """What mixes tokens in a block; None where nothing does. InputError where its tensors and keys do not go together."""
    if any(role.startswith("time_mix_") for role in block):
        return rwkv(file, block)
    if "attn_kv_a_mqa" in block:
        return latent(file, index, block, n_layers)
    if "attn_output_a" in block:
        return compressed(file, index)
    if "shortconv.conv" in block:
        conv = block["shortconv.conv"]
        return {"kind": "short_conv", "width": conv.columns, "channels": conv.rows}
    state = _state(file, block)
    if state is None and block.keys() & {"attn_q", "attn_qkv"}:
        return grouped_query(file, index, block, n_layers)
    if state and {"ssm_out", "attn_output"} <= block.keys():  # side by side (Falcon-H1)
        return {"kind": "parallel", "parts": [grouped_query(file, index, block, n_layers), state]}
    if state is None:
        _none_expected(file, index, block)
    return state


def _state(file: GgufFile, block: Block) -> dict[str, Any] | None:
    if "ssm_f_a" in block:
        return kda(file, block)
    if "ssm_x" in block:
        return mamba(file, block)
    if block.keys() & {"ssm_ba", "ssm_beta", "ssm_alpha"}:
        return delta_net(file, block)
    if "ssm_in" in block:
        return mamba2(file, block)
    if file.kind.files.lightning and "attn_gate" in block:
        return lightning(file, block)
    return None


def _none_expected(file: GgufFile, index: int, block: Block) -> None:
    """InputError where a block has a part of attention only."""
    found = [role for role in _ATTENTION if role in block]
    if not found and not any(role.startswith("ssm_") for role in block):
        return
    heads, kv_heads = file.count("attention.head_count", 0, index), file.count("attention.head_count_kv", 0, index)
    if found == ["attn_output"] and file.kind.files.bare_output and heads and not kv_heads:
        return  # a matrix stands in place of attention
    missing = "ssm_in" if not found else next(role for role in _ATTENTION if role not in block)
    raise file.damaged(f"tensor blk.{index}.{missing}.weight is missing")


def grouped_query(file: GgufFile, index: int, block: Block, n_layers: int) -> dict[str, Any]:
    """Softmax attention: heads by the keys, widths by the keys or else by the tensors."""
    if "attn_v_exps" in block:
        raise file.wrong(
            f"block {index} chooses among {block['attn_v_exps'].shape[-1]} value projections (attn_v_exps), which cannot be counted yet"
        )
    n_heads, n_kv = _heads(file, index)
    window = window_of(file, index, n_layers)
    narrow = (
        "_swa" if window and file.key("attention.key_length_swa") is not None else ""
    )  # heads of another width (Gemma 4)
    head_dim = file.count(f"attention.key_length{narrow}", _key_width(file, block, n_heads, n_kv))
    v_dim = file.count(f"attention.value_length{narrow}", _value_width(block, n_kv, head_dim))
    shares = _shares_cache(file, index)
    return {
        "kind": "grouped_query",
        "n_heads": n_heads,
        "n_kv_heads": n_kv,
        "head_dim": head_dim,
        "v_head_dim": v_dim if v_dim != head_dim else None,
        "qk_norm": _qk_norm(block, n_heads, n_kv, head_dim),
        "qkv_bias": {"attn_q.bias", "attn_k.bias", "attn_v.bias"} <= block.keys()
        or {"attn_qkv", "attn_qkv.bias"} <= block.keys(),
        "output_bias": "attn_output.bias" in block,
        "output_gate": "attn_q" in block and block["attn_q"].rows == 2 * n_heads * head_dim,
        "sinks": "attn_sinks" in block and block["attn_sinks"].columns == n_heads,
        "fused_qkv": "attn_qkv" in block,
        "value_is_key": file.kind.files.value_is_key and "attn_k" in block and "attn_v" not in block,
        "shares_cache": shares,
        "lacks_kv": shares and not block.keys() & {"attn_k", "attn_v", "attn_k_norm"},
        **_index(file, block),
        **window,
    }


def cross_attention(file: GgufFile, block: Block) -> dict[str, Any] | None:
    """A decoder's attention to what an encoder made (T5)."""
    if "cross_attn_q" not in block:
        return None
    n_heads = file.count("attention.head_count")
    head_dim = file.count("attention.key_length", file.count("embedding_length") // max(n_heads, 1))
    return {"kind": "cross", "n_heads": n_heads, "n_kv_heads": n_heads, "head_dim": head_dim}


def _index(file: GgufFile, block: Block) -> dict[str, Any]:
    """An index that picks blocks of tokens (MiniMax-M3), those near the new one among them."""
    if "indexer.q_proj" not in block:
        return {}
    return {
        "picks": file.count("attention.indexer.top_k") * file.count("attention.indexer.block_size"),
        "index_heads": file.count("attention.indexer.head_count"),
        "index_dim": file.count("attention.indexer.key_length"),
    }


def _heads(file: GgufFile, index: int) -> tuple[int, int]:
    n_heads = file.count("attention.head_count", layer=index)
    n_kv = file.count("attention.head_count_kv", n_heads, layer=index)
    if not n_heads or not n_kv or n_heads % n_kv:
        raise file.wrong(
            f"block {index} has attention tensors but {counted(n_heads, 'head')} to share "
            f"{counted(n_kv, 'key/value head')} (attention.head_count)"
        )
    return n_heads, n_kv


def _key_width(file: GgufFile, block: Block, n_heads: int, n_kv: int) -> int:
    if "attn_k" in block and block["attn_k"].rows % n_kv == 0:
        return block["attn_k"].rows // n_kv
    if "attn_qkv" in block and block["attn_qkv"].rows % (n_heads + 2 * n_kv) == 0:
        return block["attn_qkv"].rows // (n_heads + 2 * n_kv)
    return max(1, file.count("embedding_length") // n_heads)


def _value_width(block: Block, n_kv: int, head_dim: int) -> int:
    value = block.get("attn_v")
    return value.rows // n_kv if value and value.rows % n_kv == 0 else head_dim


def _qk_norm(block: Block, n_heads: int, n_kv: int, head_dim: int) -> str | None:
    """Norms of query and key, where both are of the usual kinds."""
    sizes = tuple(prod(block[role].shape) for role in ("attn_q_norm", "attn_k_norm") if role in block)
    if sizes == (head_dim, head_dim):
        return "head"
    return "full" if sizes == (n_heads * head_dim, n_kv * head_dim) else None


def _shares_cache(file: GgufFile, index: int) -> bool:
    """Whether an earlier layer's keys and values are attended to."""
    shared = file.count("attention.shared_kv_layers", 0)
    if file.kind.files.own_layers and not shared:
        return index >= file.kind.files.own_layers
    return bool(shared) and index >= file.count("block_count") - shared
