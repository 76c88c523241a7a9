"""Which models the engine runs: the first thing of one that it does not, by name."""

from __future__ import annotations

from simulator.errors import InputError
from simulator.spec.layers.attention import GroupedQuery
from simulator.spec.layers.ffn import Experts, Gated
from simulator.spec.model import Layer, Model


def check_runs(name: str, model: Model) -> None:
    """InputError that names the first thing of a model that the engine does not run."""
    reason = _reason(model)
    if reason:
        raise InputError(f"{name}: the engine does not run {reason}; a forecast needs no engine (roofcast simulate)")


def _reason(model: Model) -> str | None:
    if model.encoder:
        return "a model with an encoder"
    if not model.has_head or not model.final_norm or model.head_bias or model.norm_bias or model.learned_positions:
        return "a model without head or last norm, with biases there, or with learned positions"
    if model.per_layer_input or model.streams:
        return "a model with inputs of each layer's own, or with several residual streams"
    further = [each.role for each in model.beside if not each.idle and each.role != "rope_freqs"]
    if further:
        return f"the further tensor {further[0]}"
    for index, layer in enumerate(model.stack):
        if layer.beside:
            return f"the further tensor blk.{index}.{layer.beside[0].role}"
        reason = _reason_of_layer(layer)
        if reason:
            return f"{reason} (layer {index})"
    return None


def _reason_of_layer(layer: Layer) -> str | None:
    attention, ffn = layer.attention, layer.ffn
    if layer.cross_attention or not isinstance(attention, GroupedQuery):
        return f"attention of kind {attention.kind}" if attention else "a layer without attention"
    unusual = ("chunk", "output_gate", "sinks", "fused_qkv", "value_is_key", "shares_cache", "listed", "picks")
    odd = [name for name in unusual if getattr(attention, name)]
    if odd:
        return f"attention with {odd[0]}"
    width = attention.v_head_dim or attention.head_dim
    if width % 16 or attention.head_dim % 2:
        return f"heads of width {width}"
    if layer.norms not in (2, 4):
        return f"{layer.norms} norms in a layer, 2 or 4"
    if isinstance(ffn, Experts):
        return _reason_of_experts(ffn)
    if ffn is None:
        return "a layer without feed-forward network"
    if not isinstance(ffn, Gated) or ffn.fused or ffn.bias:
        return "a feed-forward network other than gate, up and down without biases"
    return None


def _reason_of_experts(ffn: Experts) -> str | None:
    odd = [name for name in ("fused", "bias", "router_bias", "latent", "n_zero") if getattr(ffn, name)]
    if odd:
        return f"experts with {odd[0]}"
    return None if ffn.gated else "experts without gate"
