"""Which models the engine runs: the first thing of one that it does not, by name."""

from __future__ import annotations

from simulator.engine.recipes.recipe import NORMS, ROUTER_SCALE, Recipe, usual_recipe
from simulator.engine.simd import LANES
from simulator.engine.tensors import SCALE, SCALED, UNREAD
from simulator.errors import InputError
from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.ffn import Experts, Gated, Plain
from simulator.spec.layers.layer import Attention, FeedForward
from simulator.spec.layers.recurrent import GatedDeltaNet, Mamba2, ShortConv
from simulator.spec.model import Layer, Model

TABLES = ("rope_freqs", "rope_factors_short", "rope_factors_long")  # of factors of the rotation


def check_runs(name: str, model: Model, recipe: Recipe | None = None) -> None:
    """InputError that names the first thing of a model that the engine does not run; *recipe*: its own, or what is usual."""
    reason = _reason(model, recipe) or _reason_of_norms(model, recipe or usual_recipe(model))
    if reason:
        raise InputError(f"{name}: the engine does not run {reason}; a forecast needs no engine (roofcast simulate)")


def _reason(model: Model, recipe: Recipe | None) -> str | None:
    is_drawn = recipe is None
    if model.encoder:
        return "a model with an encoder"
    if not model.has_head or model.n_logits != model.vocab or model.embedding_width != model.d_model:
        return "a model without head, or with an embedding or head of another size"
    if model.per_layer_input and (is_drawn or model.per_layer_input.vocab < model.vocab):
        return "a model with inputs of each layer's own, without a file of it that has them for all tokens"
    if model.streams:
        return "a model with several residual streams"
    known = TABLES if is_drawn or model.tied_head or not recipe.scaled else (*TABLES, "output.scale")
    further = [each.role for each in model.beside if not each.idle and each.role not in known]
    if further:
        return f"the further tensor {further[0]}"
    if len({type(layer.attention) for layer in model.stack} & {GatedDeltaNet, Mamba2, ShortConv}) > 1:
        return "a model whose layers have states of several kinds"
    for index, layer in enumerate(model.stack):
        known = set() if is_drawn else _further_roles(model, layer, recipe)
        odd = [each.role for each in layer.beside if each.role not in known]
        if odd:
            return _reason_of_tensor(index, odd[0])
        reason = _reason_of_layer(layer) or (_reason_of_cache(layer.attention) if is_drawn else None)
        if reason:
            return f"{reason} (layer {index})"
    return None


def _reason_of_tensor(index: int, role: str) -> str:
    if role.endswith(SCALE) and role.removesuffix(SCALE) in SCALED:
        return (
            f"the scale blk.{index}.{role}, as llama.cpp leaves such scales out in this architecture or beside a bias"
        )
    return f"the further tensor blk.{index}.{role}"


def _further_roles(model: Model, layer: Layer, recipe: Recipe) -> set[str]:
    """What a layer may have beside its parts: a scale of its output, scales of matrices' results, of inputs (which nobody reads),
    of what a router reads, and    a norm of queries alone where it has no keys."""
    tensors = layer.tensors(model.d_model, model.norm_bias)
    biased = {tensor.role.removesuffix(".bias") for tensor in tensors if tensor.role.endswith(".bias")}
    matrices = {tensor.role for tensor in tensors if not tensor.is_vector}
    # Of dense networks llama.cpp adds the bias before the scale, and refuses both together where weights are nvfp4.
    beside_bias = {role for role in biased if role.startswith("ffn") and not role.endswith("_exps")}
    scaled = (matrices & SCALED) - beside_bias if recipe.scaled else set()
    found = {"layer_output_scale", *(role + SCALE for role in scaled), *(role + UNREAD for role in matrices)}
    found |= {ROUTER_SCALE} if recipe.expert_norms else set()
    return found | ({"attn_q_norm"} if getattr(layer.attention, "shares_cache", False) else set())


def _reason_of_cache(attention: Attention | None) -> str | None:
    """What only files tell: whose keys and values are read, and what becomes of keys that serve as values."""
    odd = [name for name in ("value_is_key", "shares_cache") if getattr(attention, name, False)]
    return f"attention with {odd[0]}, without a file" if odd else None


def _reason_of_norms(model: Model, recipe: Recipe) -> str | None:
    """Of the usual norms a model may leave out the last two; those of other recipes are all there."""
    if not model.final_norm and not recipe.bare_norms:
        return "a model without last norm"
    named = len(list(filter(None, (*recipe.norms, *recipe.expert_norms))))
    counts = {2, 4} if recipe.norms == NORMS and not recipe.expert_norms else {named}
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
