"""Which models the engine runs: the first thing of one that it does not, by name."""

from __future__ import annotations

from simulator.engine.recipes.recipe import NORMS, Recipe, usual_recipe
from simulator.engine.simd import LANES
from simulator.errors import InputError
from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.ffn import Experts, Gated, Plain
from simulator.spec.layers.layer import Attention, FeedForward
from simulator.spec.layers.recurrent import GatedDeltaNet, Mamba2, ShortConv
from simulator.spec.model import Layer, Model

TABLES = ("rope_freqs", "rope_factors_short", "rope_factors_long")  # of factors of the rotation


def check_runs(name: str, model: Model, recipe: Recipe | None = None) -> None:
    """InputError that names the first thing of a model that the engine does not run; *recipe*: its own, or what is usual."""
    reason = _reason(model, is_drawn=recipe is None) or _reason_of_norms(model, recipe or usual_recipe(model))
    if reason:
        raise InputError(f"{name}: the engine does not run {reason}; a forecast needs no engine (roofcast simulate)")


def _reason(model: Model, *, is_drawn: bool) -> str | None:
    if model.encoder:
        return "a model with an encoder"
    if not model.has_head or model.n_logits != model.vocab or model.embedding_width != model.d_model:
        return "a model without head, or with an embedding or head of another size"
    if model.per_layer_input and (is_drawn or model.per_layer_input.vocab < model.vocab):
        return "a model with inputs of each layer's own, without a file of it that has them for all tokens"
    if model.streams:
        return "a model with several residual streams"
    further = [each.role for each in model.beside if not each.idle and each.role not in TABLES]
    if further:
        return f"the further tensor {further[0]}"
    if len({type(layer.attention) for layer in model.stack} & {GatedDeltaNet, Mamba2, ShortConv}) > 1:
        return "a model whose layers have states of several kinds"
    for index, layer in enumerate(model.stack):
        odd = [each.role for each in layer.beside if is_drawn or each.role not in _further_roles(layer)]
        if odd:
            return f"the further tensor blk.{index}.{odd[0]}"
        reason = _reason_of_layer(layer) or (_reason_of_cache(layer.attention) if is_drawn else None)
        if reason:
            return f"{reason} (layer {index})"
    return None


def _further_roles(layer: Layer) -> tuple[str, ...]:
    """What a layer may have beside its parts: a scale of its output, and a norm of queries alone where it has no keys."""
    has_keys = not getattr(layer.attention, "shares_cache", False)
    return ("layer_output_scale",) if has_keys else ("layer_output_scale", "attn_q_norm")


def _reason_of_cache(attention: Attention | None) -> str | None:
    """What only files tell: whose keys and values are read, and what becomes of keys that serve as values."""
    odd = [name for name in ("value_is_key", "shares_cache") if getattr(attention, name, False)]
    return f"attention with {odd[0]}, without a file" if odd else None


def _reason_of_norms(model: Model, recipe: Recipe) -> str | None:
    """Of the usual norms a model may leave out the last two; those of other recipes are all there."""
    if not model.final_norm and not recipe.bare_norms:
        return "a model without last norm"
    counts = {2, 4} if recipe.norms == NORMS else {len(list(filter(None, recipe.norms)))}
    for index, layer in enumerate(model.stack):
        if layer.norms not in counts:
            return f"{layer.norms} norms in a layer, {' or '.join(map(str, sorted(counts)))} (layer {index})"
        if layer.norms == len(NORMS) and isinstance(layer.ffn, Experts):
            return f"a norm of what experts put out (layer {index})"
    return None


def _reason_of_layer(layer: Layer) -> str | None:
    if layer.cross_attention:
        return "cross attention"
    reason = _reason_of_mixer(layer.attention) if layer.attention else None
    return reason or (_reason_of_network(layer.ffn) if layer.ffn else None)


def _reason_of_mixer(attention: Attention) -> str | None:
    if isinstance(attention, GatedDeltaNet | Mamba2 | ShortConv):
        return _reason_of_state(attention)
    if isinstance(attention, Latent):
        return _reason_of_latent(attention)
    if not isinstance(attention, GroupedQuery):
        return f"attention of kind {attention.kind}"
    unusual = ("chunk", "listed", "picks")
    odd = [name for name in unusual if getattr(attention, name)]
    if odd:
        return f"attention with {odd[0]}"
    if attention.value_is_key and (attention.qk_norm == "full" or attention.v_head_dim):
        return "keys that serve as values beside a norm of all heads together, or of another width"
    width = attention.v_head_dim or attention.head_dim
    if width % 16 or attention.head_dim % 2:
        return f"heads of width {width}"
    if attention.fused_qkv and (
        attention.n_heads * attention.head_dim % 16 or attention.n_kv_heads * attention.head_dim % 16
    ):
        return "queries, keys and values in one matrix whose widths do not divide into 16"
    return None


def _reason_of_latent(attention: Latent) -> str | None:
    odd = [name for name in ("window", "index", "shares_cache", "listed") if getattr(attention, name)]
    if odd:
        return f"latent attention with {odd[0]}"
    widths = (attention.qk_nope_dim, attention.kv_rank, attention.v_dim, attention.qk_rope_dim)
    if any(width % LANES for width in widths):
        return f"latent attention of widths {', '.join(map(str, widths))}, of which not all divide into {LANES}"
    return None


def _reason_of_state(mixer: GatedDeltaNet | Mamba2 | ShortConv) -> str | None:
    if (mixer.width if isinstance(mixer, ShortConv) else mixer.conv) < 2:
        return "a convolution over a single token"
    if isinstance(mixer, GatedDeltaNet) and (mixer.v_dim % LANES or mixer.n_v_heads % mixer.n_k_heads):
        return f"a delta net of {mixer.n_v_heads} heads of width {mixer.v_dim} for {mixer.n_k_heads} of keys"
    if isinstance(mixer, Mamba2) and (mixer.head_dim % LANES or mixer.n_heads % mixer.n_groups):
        return f"Mamba 2 of {mixer.n_heads} heads of width {mixer.head_dim} in {mixer.n_groups} groups"
    return None


def _reason_of_network(ffn: FeedForward) -> str | None:
    if isinstance(ffn, Experts):
        return _reason_of_experts(ffn)
    if not isinstance(ffn, Gated | Plain):
        return f"a feed-forward network of kind {ffn.kind}"
    if isinstance(ffn, Gated) and ffn.fused and ffn.d_ff % 16:
        return f"gate and up in one matrix with a width of {ffn.d_ff}, which does not divide into 16"
    return None


def _reason_of_experts(ffn: Experts) -> str | None:
    odd = [name for name in ("latent", "n_zero") if getattr(ffn, name)]
    if odd:
        return f"experts with {odd[0]}"
    if ffn.fused and ffn.d_expert % 16:
        return f"experts whose gate and up are one matrix with a width of {ffn.d_expert}, which does not divide into 16"
    if ffn.fused and ffn.bias:
        return "experts whose gate and up are one matrix with a bias"
    return None
