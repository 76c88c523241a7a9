"""The feed-forward networks of a GGUF file: two matrices, three, or experts, by the tensors that a block has."""

from __future__ import annotations

from typing import Any

from simulator.importers.gguf_file import GgufFile
from simulator.importers.gguf_header import FileTensor

Block = dict[str, FileTensor]


def network_of(file: GgufFile, index: int, block: Block) -> dict[str, Any] | None:
    """The network of a block; None where there is none."""
    if "ffn_gate_inp" in block:
        return _experts(file, index, block)
    where = f"blk.{index}."
    if not block.keys() & {"ffn_up", "ffn_gate", "ffn_down"}:
        return None
    up, down = file.need(block, "ffn_up", where), file.need(block, "ffn_down", where)
    if "ffn_gate" in block:
        bias = {"ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"} <= block.keys()
        return {"kind": "gated", "d_ff": down.columns, "bias": bias}
    if up.rows == 2 * down.columns:
        return {"kind": "gated", "d_ff": down.columns, "fused": True}
    return {"kind": "plain", "d_ff": down.columns, "bias": {"ffn_up.bias", "ffn_down.bias"} <= block.keys()}


def _experts(file: GgufFile, index: int, block: Block) -> dict[str, Any]:
    fused = "ffn_gate_up_exps" in block
    up = file.need(block, "ffn_gate_up_exps" if fused else "ffn_up_exps", f"blk.{index}.")
    if len(up.shape) != 3:
        raise file.wrong(f"tensor {up.name[:80]!r} holds experts, so it needs 3 dimensions, not {len(up.shape)}")
    gated = fused or "ffn_gate_exps" in block
    ups = ("ffn_gate_up_exps",) if fused else ("ffn_gate_exps", "ffn_up_exps") if gated else ("ffn_up_exps",)
    shared = _shared(block, gated)
    return {
        "kind": "experts",
        "n_experts": up.shape[2],
        "fused": fused,
        "n_active": file.count("expert_used_count", layer=index),
        "d_expert": up.shape[1] // (2 if fused else 1),
        "gated": gated,
        "bias": {f"{role}.bias" for role in (*ups, "ffn_down_exps")} <= block.keys(),
        "router_bias": "ffn_gate_inp.bias" in block,
        "n_shared": 1 if shared else 0,
        "d_shared": shared,
        "shared_gate": bool(shared) and "ffn_gate_inp_shexp" in block,
        "latent": block["ffn_latent_down"].rows if "ffn_latent_down" in block else None,
    }


def _shared(block: Block, gated: bool) -> int:
    """Width of the shared experts where they are built like the routed ones; 0 without any, or else they stand beside."""
    up, down = block.get("ffn_up_shexp"), block.get("ffn_down_shexp")
    if up is None or down is None or up.rows != down.columns or gated != ("ffn_gate_shexp" in block):
        return 0
    return up.rows
