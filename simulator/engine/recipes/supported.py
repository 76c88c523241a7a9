"""Which models the engine runs: the first thing of one that it does not, by name."""

from __future__ import annotations

from simulator.engine.recipes.recipe import NORMS
from simulator.errors import InputError
from simulator.spec.layers.attention import GroupedQuery
from simulator.spec.layers.ffn import Experts, Gated, Plain
from simulator.spec.model import Layer, Model

TABLES = ("rope_freqs", "rope_factors_short", "rope_factors_long")  # of factors of the rotation


def check_runs(name: str, model: Model, norms: tuple[str, ...] = NORMS) -> None:
    """InputError that names the first thing of a model that the engine does not run.

    *norms* are those that its recipe knows; of the usual ones a model may leave out the last two.
    """
    counts = {len(list(filter(None, norms)))} | ({2} if norms == NORMS else set())
    reason = _reason(model) or _reason_of_norms(model, counts)
    if reason:
        raise InputError(f"{name}: the engine does not run {reason}; a forecast needs no engine (roofcast simulate)")


def _reason(model: Model) -> str | None:
    if model.encoder:
        return "a model with an encoder"
    if not model.has_head or model.n_logits != model.vocab or model.embedding_width != model.d_model:
        return "a model without head, or whose embedding and head have sizes of their own"
    if model.per_layer_input or model.streams:
        return "a model with inputs of each layer's own, or with several residual streams"
    further = [each.role for each in model.beside if not each.idle and each.role not in TABLES]
    if further:
        return f"the further tensor {further[0]}"
    for index, layer in enumerate(model.stack):
        if layer.beside:
            return f"the further tensor blk.{index}.{layer.beside[0].role}"
        reason = _reason_of_layer(layer)
        if reason:
            return f"{reason} (layer {index})"
    return None


def _reason_of_norms(model: Model, counts: set[int]) -> str | None:
    for index, layer in enumerate(model.stack):
        if layer.norms not in counts:
            return f"{layer.norms} norms in a layer (layer {index}), only {' or '.join(map(str, sorted(counts)))}"
    return None


def _reason_of_layer(layer: Layer) -> str | None:
    attention, ffn = layer.attention, layer.ffn
    if layer.cross_attention or not isinstance(attention, GroupedQuery):
        return f"attention of kind {attention.kind}" if attention else "a layer without attention"
    unusual = ("chunk", "output_gate", "sinks", "value_is_key", "shares_cache", "listed", "picks")
    odd = [name for name in unusual if getattr(attention, name)]
    if odd:
        return f"attention with {odd[0]}"
    width = attention.v_head_dim or attention.head_dim
    if width % 16 or attention.head_dim % 2:
        return f"heads of width {width}"
    if attention.fused_qkv and (
        attention.n_heads * attention.head_dim % 16 or attention.n_kv_heads * attention.head_dim % 16
    ):
        return "queries, keys and values in one matrix whose widths do not divide into 16"
    if isinstance(ffn, Experts):
        return _reason_of_experts(ffn)
    if ffn is None:
        return "a layer without feed-forward network"
    if not isinstance(ffn, Gated | Plain):
        return f"a feed-forward network of kind {ffn.kind}"
    if isinstance(ffn, Gated) and ffn.fused and ffn.d_ff % 16:
        return f"gate and up in one matrix with a width of {ffn.d_ff}, which does not divide into 16"
    return None


def _reason_of_experts(ffn: Experts) -> str | None:
    odd = [name for name in ("fused", "bias", "router_bias", "latent", "n_zero") if getattr(ffn, name)]
    if odd:
        return f"experts with {odd[0]}"
    return None if ffn.gated else "experts without gate"
