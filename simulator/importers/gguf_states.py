"""Layers of GGUF files that carry a state: Mamba 1 and 2, RWKV, gated delta nets, Kimi's, lightning attention.

Sizes of states are those of llama_hparams::n_embd_r and n_embd_s in llama.cpp b11549 (src/llama-hparams.cpp).
"""

from __future__ import annotations

from typing import Any

from simulator.importers.gguf_file import GgufFile
from simulator.importers.gguf_header import FileTensor

Block = dict[str, FileTensor]
_MAMBA = ("ssm_in", "ssm_conv1d", "ssm_conv1d.bias", "ssm_x", "ssm_dt", "ssm_dt.bias", "ssm_a", "ssm_d", "ssm_dt_norm", "ssm_b_norm",
          "ssm_c_norm", "ssm_out")  # fmt: skip
_DELTA_NET = ("ssm_in", "attn_qkv", "attn_gate", "ssm_ba", "ssm_alpha", "ssm_beta", "ssm_conv1d", "ssm_dt.bias", "ssm_a", "ssm_norm",
              "ssm_out")  # fmt: skip
_KDA = ("attn_q", "attn_k", "attn_v", "attn_qkv", "ssm_conv1d_q", "ssm_conv1d_k", "ssm_conv1d_v", "ssm_f_a", "ssm_f_b", "ssm_beta",
        "ssm_a", "ssm_dt.bias", "ssm_g", "ssm_g_a", "ssm_g_b", "ssm_norm", "attn_output")  # fmt: skip
_LIGHTNING = ("attn_qkv", "attn_gate", "attn_norm_2", "attn_output")
# Kept in full precision: kernels of convolutions, decays, tables that mix a token with the one before it.
_SMALL = ("conv1d", "lerp", "_norm", "ssm_a", "time_mix_first", "time_mix_r_k")
_WKV_FLOPS, _DELTA_FLOPS = (
    6.0,
    8.0,
)  # of each value of a state: decay, outer product, query; the delta rule reads it once more


def _recurrence(of: str, state: int, block: Block, roles: tuple[str, ...], flops: float = 6.0) -> dict[str, Any]:
    return {
        "kind": "recurrence",
        "of": of,
        "state_values": state,
        "flops_per_value": flops,
        "listed": [as_listed(role, block[role]) for role in roles if role in block],
    }


def as_listed(role: str, tensor: FileTensor, idle: bool = False) -> dict[str, Any]:
    """A tensor as a layer lists it."""
    small = any(part in role for part in _SMALL) or role.endswith((".bias", ".scale", ".input_scale"))
    return {"role": role, "rows": tensor.rows, "columns": tensor.columns, "small": small, "idle": idle}


def mamba2(file: GgufFile, block: Block) -> dict[str, Any]:
    """State-space duality; Falcon-H1 may lack the norm."""
    n_heads = file.count("ssm.time_step_rank")
    return {
        "kind": "mamba2",
        "n_heads": n_heads,
        "head_dim": file.count("ssm.inner_size") // max(n_heads, 1),
        "n_groups": file.count("ssm.group_count"),
        "d_state": file.count("ssm.state_size"),
        "conv": file.count("ssm.conv_kernel"),
        "conv_bias": "ssm_conv1d.bias" in block,
        "norm": "ssm_norm" in block,
    }


def mamba(file: GgufFile, block: Block) -> dict[str, Any]:
    """Mamba 1, with the norms that Jamba and PLaMo 2 have inside."""
    inner, d_state = file.count("ssm.inner_size"), file.count("ssm.state_size")
    _meets(file, block, inner)
    groups = file.count("ssm.group_count", 0) if file.kind.files.state_groups else 0
    convolved = inner + 2 * groups * d_state
    state = d_state * inner + max(file.count("ssm.conv_kernel") - 1, 0) * convolved
    return _recurrence("mamba", state, block, _MAMBA)


def _meets(file: GgufFile, block: Block, inner: int) -> None:
    out = file.need(block, "ssm_out", "blk.*.")
    if out.columns != inner or not {"ssm_in", "ssm_conv1d", "ssm_a"} <= block.keys():
        raise file.damaged(f"tensor {out.name[:80]} has rows of {out.columns:,}, ssm.inner_size is {inner:,}")


def delta_net(file: GgufFile, block: Block) -> dict[str, Any]:
    """Gated delta rule; before December 2025 Qwen3-Next had one input projection (ssm_in) in place of two."""
    n_values, d_state, inner = (
        file.count("ssm.time_step_rank"),
        file.count("ssm.state_size"),
        file.count("ssm.inner_size"),
    )
    groups, conv = file.count("ssm.group_count"), file.count("ssm.conv_kernel")
    if "ssm_in" in block:
        _meets(file, block, inner)
        state = d_state * inner + max(conv - 1, 0) * (inner + 2 * groups * d_state)
        return _recurrence("gated delta net", state, block, _DELTA_NET, _DELTA_FLOPS)
    return {
        "kind": "gated_delta_net",
        "n_k_heads": groups,
        "n_v_heads": n_values,
        "k_dim": d_state,
        "v_dim": inner // max(n_values, 1),
        "conv": conv,
        "split_gates": "ssm_alpha" in block,
    }


def kda(file: GgufFile, block: Block) -> dict[str, Any]:
    """Kimi's delta attention: a decay for each channel, and a convolution each of query, key and value."""
    conv = file.need(block, "ssm_conv1d_q", "blk.*.")
    head_dim, inner = file.count("kda.head_dim"), conv.rows
    state = head_dim * inner + 3 * max(conv.columns - 1, 0) * inner
    return _recurrence("kimi delta attention", state, block, _KDA, _DELTA_FLOPS)


def lightning(file: GgufFile, block: Block) -> dict[str, Any]:
    """Lightning attention: a matrix of head_dim by head_dim for each head."""
    n_heads = file.count("attention.head_count")
    head_dim = file.count("attention.key_length", file.count("embedding_length") // max(n_heads, 1))
    return _recurrence("lightning", head_dim * head_dim * n_heads, block, _LIGHTNING)


def rwkv(file: GgufFile, block: Block) -> dict[str, Any]:
    """RWKV 6 and 7: time mix, and channel mix where the network is not an ordinary one."""
    width = file.count("embedding_length")
    state = width * file.count("wkv.head_size") + file.count("token_shift_count", 2) * width
    roles = tuple(role for role in block if role.startswith(("time_mix_", "channel_mix_")))
    is_seventh = "time_mix_a1" in block
    flops = _DELTA_FLOPS if is_seventh else _WKV_FLOPS
    return _recurrence("rwkv7" if is_seventh else "rwkv6", state, block, roles, flops)
