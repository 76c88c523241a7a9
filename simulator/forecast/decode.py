"""One decode step of a model, taken apart: every matrix, the cache, the router, the head, each as an operation.

Left out: embedding lookup (a row per token), sampling, and the encoder of an encoder-decoder model, which has run before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.forecast.ops import Cost, Op, Work
from simulator.forecast.parallel import copies_held
from simulator.spec.cache_rules import AS_ARCHITECTURE, CacheRules
from simulator.spec.layers.attention import CrossAttention, Latent
from simulator.spec.layers.cached import Cached
from simulator.spec.layers.ffn import Experts
from simulator.spec.layers.layer import Attention, Layer
from simulator.spec.layers.listed import Mixer, mixers_of
from simulator.spec.layers.sparse import Compressed
from simulator.spec.layers.tensor import Tensor
from simulator.spec.model import Model, StoredTensor, store, store_of
from simulator.spec.placement import Group, Placement, whole
from simulator.spec.quant import FORMATS, Format, cache_bytes
from simulator.spec.routing import mean_read, mean_used
from simulator.spec.sparsity import COLUMN_TILES, column_tile
from simulator.spec.workload import Workload

ACTIVATION_VALUE_BYTES = 4  # llama.cpp keeps activations in float32
FLOPS_PER_NORM_VALUE = 8  # square, sum, scale, weight; rotary embedding and residual are of that order
ACTIVATION = "activation function"
FINAL_NORM = "final norm"
SAMPLES = 64  # depths at which attention is looked at, of the many tokens of a prompt
LAUNCHES_PER_NORM = 2  # the norm and the residual sum before it
# Matrices between the layers' halves and around them count with the feed-forward networks.
_MIXING = ("per_layer", "inp_gate", "proj", "altup", "laurel", "hc_", "output_hc")


def decode_ops(
    model: Model, load: Workload, rules: CacheRules = AS_ARCHITECTURE, placement: Placement | None = None
) -> tuple[Op, ...]:
    """Every operation of one step, the cache kept by *rules*; equal ones of different layers are one Op with a count.

    Each on the part of the machine where its *placement* puts it; None: all on the first.
    """
    by_shape = worked_with(model, load)
    heads = head_ops(model, load, by_shape[0])
    if placement is None:
        ops = [op for group in whole(model) for op in layer_ops(model, load, rules, group, by_shape[group.shape])]
        return (*ops, *heads)
    ops = []
    for group in placement.groups(model):
        found = [each for each in store_of(model, load.weights, group.shape, group.indices) if not each.tensor.is_idle]
        ops += [_placed(op, group) for op in layer_ops(model, load, rules, group, found)]
    return (*ops, *(replace(op, place=placement.head) for op in heads))


def worked_with(model: Model, load: Workload) -> dict[int, list[StoredTensor]]:
    """The tensors that a step computes with, by the shape of their layers."""
    found: dict[int, list[StoredTensor]] = defaultdict(list)
    for stored in store(model, load.weights):
        if not stored.tensor.is_idle:
            found[stored.shape].append(stored)
    return found


def _placed(op: Op, group: Group) -> Op:
    """On the part that computes it."""
    return replace(op, place=place_of(op, group))


def place_of(op: Op, group: Group) -> int:
    """The part that computes an operation: what is no matrix of its own, with the matrices that it stands between."""
    is_between = op.part == "experts" and op.name == ACTIVATION
    return group.experts_place if is_between else group.place_of(op.name)


def layer_ops(model: Model, load: Workload, rules: CacheRules, group: Group, found: list[StoredTensor]) -> list[Op]:
    """Of equal layers, with what was *found* of their tensors."""
    layer, indices, count = model.shapes[group.shape][0], group.indices, len(group.indices)
    where = _name_layers(indices)
    if rules.skips_shared and getattr(layer.attention, "shares_cache", False):
        load = _last_token_of(load)
    vectors = [stored for stored in found if _is_small(stored.tensor)]
    copies = _copies(load, layer)
    ops = [
        _tensor_op(load, copies, stored, where, pieces_of(layer, stored.tensor))
        for stored in found
        if not _is_small(stored.tensor)
    ]
    ops.append(_vectors_op(model, load, layer, sum(stored.total_bytes for stored in vectors) / count, count, where))
    ops += _small_ops(load, layer, found, count, where)
    if layer.attention is not None:
        ops += _cache_ops(model, load, rules, layer, count, where)
    if layer.cross_attention is not None:
        ops.append(_cross_op(load, layer, count, where))
    return ops


def _last_token_of(load: Workload) -> Workload:
    """What is left of a step where only the last new token of each sequence passes."""
    return replace(load, context=load.context + load.tokens - 1, tokens=1)


def _is_small(tensor: Tensor) -> bool:
    return tensor.is_vector and tensor.copies == 1


@dataclass(frozen=True)
class _Copies:
    """Of the experts of a layer."""

    ffn: Experts
    read: Any  # at least once in the step
    used: Any  # by each token
    sharers: Any  # tokens that one of them serves


def _copies(load: Workload, layer: Layer) -> _Copies | None:
    if not isinstance(layer.ffn, Experts):
        return None
    read, used = (count(load.routing, layer.ffn, load.new_tokens) for count in (mean_read, mean_used))
    return _Copies(layer.ffn, read, used, load.new_tokens * used / read)


def _tensor_op(load: Workload, copies: _Copies | None, stored: StoredTensor, where: str, pieces: int | None) -> Op:
    tensor, tokens = stored.tensor, load.new_tokens
    if tensor.copies > 1:
        assert copies is not None  # only experts come in copies
        read_copies, used_copies, sharers = copies.read, copies.used, copies.sharers
    else:
        read_copies = used_copies = 1
        sharers = tokens
    read_share = load.sparsity.read_share(tensor.role, sharers) if load.sparsity else 1.0
    flop_share = load.sparsity.flop_share(tensor.role) if load.sparsity else 1.0
    weights_of_one = 0 if tensor.is_vector else tensor.rows * tensor.columns
    flops = 2.0 * weights_of_one * used_copies * tokens
    cost = Cost(
        flops=flops if flop_share == 1.0 else flops * flop_share,
        weight_bytes=stored.nbytes / tensor.copies * read_copies * read_share,
        activation_bytes=ACTIVATION_VALUE_BYTES * (tensor.rows + tensor.columns) * used_copies * tokens,
    )
    return Op(
        where,
        part_of(tensor),
        tensor.role,
        stored.format,
        stored.count,
        cost,
        launches=0 if tensor.is_vector else 1,
        sharers=sharers,
        touched=read_copies / tensor.copies,
        by_column=bool(load.sparsity and load.sparsity.zeros(tensor.role)),
        in_small_tiles=column_tile(tensor.rows) != COLUMN_TILES[0],
        matrices=read_copies,
        pieces=pieces,
        experts=copies.ffn if copies and tensor.copies > 1 else None,
    )


def pieces_of(layer: Layer, tensor: Tensor) -> int | None:
    """In how many parts devices can share a matrix: one of keys or values by heads, routers and down-projections not at all."""
    role = tensor.role
    if role in ("attn_k", "attn_v"):
        return cache_pieces(layer.attention)
    return 1 if role.startswith("ffn_gate_inp") or role in ("attn_q_a", "attn_kv_a_mqa") else None


def cache_pieces(attention: Attention | None) -> int | None:
    """In how many parts devices can share the main store of a cache: by heads of keys; a state in any number."""
    return next((each.pieces for part in mixers_of(attention) for each in part.cached), None)


def part_of(tensor: Tensor) -> str:
    """The part of a model that a layer's tensor belongs to, as `Op.part` has it."""
    role = tensor.role
    if tensor.copies > 1:
        return "experts"
    if role.startswith(_MIXING):
        return "ffn"
    if role.startswith("ffn_gate_inp"):
        return "router"
    if role.endswith("_shexp"):
        return "shared"
    return "ffn" if role.startswith("ffn") else "attention"


def _vectors_op(model: Model, load: Workload, layer: Layer, vector_bytes: float, count: int, where: str) -> Op:
    values = layer.norms * model.d_model * load.new_tokens
    cost = Cost(
        flops=FLOPS_PER_NORM_VALUE * values,
        weight_bytes=vector_bytes,
        activation_bytes=2 * ACTIVATION_VALUE_BYTES * values,
    )
    # An activation function follows the up-projection; a router adds softmax, selection and the weighted sum.
    extra = 0 if layer.ffn is None else _launches_of_experts(layer.ffn) if isinstance(layer.ffn, Experts) else 1
    launches = LAUNCHES_PER_NORM * layer.norms + extra + model.launches_beside
    name, tokens = "norms, biases, residuals", load.new_tokens
    work: tuple[Work, ...] = (Work("norm", values, tokens),)
    if isinstance(layer.ffn, Experts):
        work = (*work, Work("sum", layer.ffn.n_active * model.d_model * tokens, tokens))
    return Op(where, "vectors", name, FORMATS["f32"], count, cost, launches, work=work, pieces=1)


def _launches_of_experts(ffn: Experts) -> int:
    """Activation, and softmax, selection and sum of the router; a shared expert's activation and sum, and its gate."""
    return 4 + (2 if ffn.d_shared else 0) + (2 if ffn.shared_gate else 0)


def _small_ops(load: Workload, layer: Layer, found: list[StoredTensor], count: int, where: str) -> list[Op]:
    """What a token needs beside matrices, norms and the cache: bytes and operations of it are too few to be counted."""
    tokens, ffn, plain = load.new_tokens, layer.ffn, FORMATS["f32"]
    ops = []
    if ffn is not None:
        hidden = ffn.n_active * ffn.d_expert + ffn.d_shared if isinstance(ffn, Experts) else ffn.d_ff
        part = "experts" if isinstance(ffn, Experts) else "ffn"
        ops.append(Op(where, part, ACTIVATION, plain, count, Cost(), 0, work=(Work("activation", hidden * tokens),)))
    if isinstance(ffn, Experts):
        items = ffn.n_experts * tokens
        ops.append(Op(where, "router", "choosing experts", plain, count, Cost(), 0, work=(Work("route", items, 1),)))
    if load.sparsity:
        # Matrices that read the same inputs share the choice among them.
        inputs = {stored.tensor.role: stored for stored in found if load.sparsity.zeros(stored.tensor.role)}
        for role in ("attn_q", "attn_output", "ffn_gate", "ffn_down", "ffn_gate_exps", "ffn_down_exps"):
            if role in inputs:
                copies = ffn.n_active if role == "ffn_down_exps" else 1
                items = inputs[role].tensor.columns * copies * tokens
                name, work = f"largest inputs of {role}", Work("select", items, copies * tokens)
                ops.append(Op(where, "select", name, plain, count, Cost(), 1, work=(work,)))
    return ops


def _cache_ops(model: Model, load: Workload, rules: CacheRules, layer: Layer, count: int, where: str) -> Iterator[Op]:
    """What each of a layer's mixers does with what it keeps; those side by side are summed, with a kernel each after the first."""
    for number, mixer in enumerate(mixers_of(rules.attention_of(model, layer.attention))):
        yield _cache_op(load, rules, mixer, count, where, mixer.launches + min(number, 1))


def _cache_op(load: Workload, rules: CacheRules, attention: Mixer, count: int, where: str, launches: int) -> Op:
    """Attention over the cache, or the update of a recurrent state; one pass over the past serves all new tokens."""
    last = load.context + load.tokens - 1  # depth of the last new token
    state, new, pieces = load.batch * attention.state_bytes, load.new_tokens, cache_pieces(attention)
    moved = _store_cost(load, rules, attention.cached, last)
    cost = Cost(
        flops=_attended_flops(load, rules, attention),
        cache_read_bytes=moved.cache_read_bytes + state,
        cache_write_bytes=moved.cache_write_bytes + state * load.states_kept,
        # Copies are made and used at once, so they come from the nearest memory that holds them.
        activation_bytes=2.0 * rules.copies.get(attention.kind, 0) * (state + _joined_bytes(attention, load, last)),
    )
    name = "attention over the cache" if attention.cached else "recurrent state"
    heads, sharers = getattr(attention, "n_heads", 0), attention.queries_per_kv * load.tokens
    work = (Work("head", heads * new), Work("run", getattr(attention, "n_kv_heads", 0) * new))
    whole = _store_cost(load, rules, [each for each in attention.cached if each.pieces == 1 != pieces], last)
    passes = float(load.tokens) if attention.cached else 1.0
    more = {"passes": passes, "sequences": load.batch, "work": work, "pieces": pieces, "whole": whole}
    return Op(where, "cache", name, load.cache, count, cost, launches, sharers, **more)


def _attended_flops(load: Workload, rules: CacheRules, attention: Mixer) -> Any:
    """Of all new tokens: each attends to those before it."""
    if not (rules.expands_prompts and load.is_prompt and isinstance(attention, Latent)):
        return mean_over_tokens(load, attention.flops) * load.new_tokens
    whole = attention.model_copy(update={"expanded": True})
    made_again = 2.0 * attention.kv_rank * attention.n_heads * (attention.qk_nope_dim + attention.v_dim)
    return mean_over_tokens(load, whole.flops) * load.new_tokens + made_again * load.context * load.batch


def mean_over_tokens(load: Workload, per_token: Callable[[Any], Any]) -> Any:
    """The mean over a sequence's new tokens of what one costs at its depth.

    Of more than SAMPLES tokens, that of the middles of so many equal stretches: the same where the cost grows in a straight line.
    """
    n = min(load.tokens, SAMPLES)
    middles = (np.arange(n) + 0.5) * (load.tokens / n) - 0.5
    depths = np.expand_dims(np.asarray(load.context), -1) + middles
    return np.mean(per_token(depths), axis=-1)[()]


def _store_cost(load: Workload, rules: CacheRules, stores: Sequence[Cached], depth) -> Cost:
    """What is read of these stores by a token at *depth*, and written of them by all new ones."""
    read = sum(_entry_bytes(load.cache, each) * rules.read(each, depth) for each in stores)
    written = sum(_entry_bytes(load.cache, each) / each.every for each in stores if each.is_own)
    return Cost(cache_read_bytes=read * load.batch, cache_write_bytes=written * load.new_tokens)


def _joined_bytes(attention: Attention, load: Workload, depth) -> Any:
    """What is joined before it is attended to, where recent and compressed tokens lie apart: all entries of both."""
    if not isinstance(attention, Compressed) or not attention.ratio:
        return 0.0
    tokens, compressed = attention.cached[:2]
    return load.batch * cache_bytes(load.cache, attention.head_dim, 0) * (tokens.held(depth) + compressed.held(depth))


def _cross_op(load: Workload, layer: Layer, count: int, where: str) -> Op:
    cross = layer.cross_attention
    cost = Cost(
        flops=cross.flops(load.source_tokens) * load.new_tokens,
        cache_read_bytes=_source_bytes(load.cache, cross) * load.batch * load.source_tokens,
    )
    return Op(where, "cache", "attention over the source", load.cache, count, cost, 1, pieces=cross.n_kv_heads)


def _entry_bytes(fmt: Format, store: Cached) -> float:
    """Bytes of one entry of a layer's store."""
    return cache_bytes(fmt, store.width - store.n_values, store.n_values)


def _source_bytes(fmt: Format, cross: CrossAttention) -> float:
    """Bytes of the keys and values of a token of the source."""
    return cache_bytes(fmt, cross.cache_width / 2, cross.cache_width / 2)


def head_ops(model: Model, load: Workload, outside: list[StoredTensor]) -> list[Op]:
    """Of what lies outside the layers."""
    tokens = load.logit_rows
    ops = [_tensor_op(load, None, stored, "model", None) for stored in outside if _is_beside(stored.tensor)]
    ops += [_head_op(head, tokens) for head in _heads(model, load)]
    vector_bytes = sum(stored.total_bytes for stored in outside if stored.tensor.is_vector)
    if vector_bytes:
        values = model.d_model * tokens
        cost = Cost(FLOPS_PER_NORM_VALUE * values, vector_bytes, activation_bytes=2 * ACTIVATION_VALUE_BYTES * values)
        ops.append(Op("model", "vectors", FINAL_NORM, FORMATS["f32"], 1, cost, pieces=1))
    return ops


def _is_beside(tensor: Tensor) -> bool:
    """Whether it is a matrix outside the layers that is no head: it makes the layers' own inputs, or joins residual streams."""
    return not tensor.is_vector and tensor.role != "output"


def _heads(model: Model, load: Workload) -> list[StoredTensor]:
    role = "token_embd" if model.tied_head else "output"
    return [stored for stored in store(model, load.weights) if stored.shape == 0 and stored.tensor.role == role]


def _head_op(head: StoredTensor, tokens) -> Op:
    rows, columns = head.tensor.rows, head.tensor.columns
    cost = Cost(
        flops=2.0 * rows * columns * tokens,
        weight_bytes=head.nbytes,
        activation_bytes=ACTIVATION_VALUE_BYTES * (rows + columns) * tokens,
    )
    return Op("model", "head", head.tensor.role, head.format, 1, cost, sharers=tokens)


def streamed_weight_bytes(model: Model, load: Workload) -> float:
    """Bytes of every weight that steps ever read: all experts, the head, but not the embedding's other rows."""
    found = [each for each in store(model, load.weights) if not (each.tensor.is_idle or each.tensor.is_again)]
    tied = _heads(model, load) if model.tied_head else []
    return sum(stored.total_bytes for stored in (*found, *tied))


def cache_bytes_held(
    model: Model,
    load: Workload,
    rules: CacheRules = AS_ARCHITECTURE,
    n_devices: int = 1,
    groups: Sequence[Group] | None = None,
):
    """Bytes that the caches and states of the whole batch occupy after the step, kept by *rules*.

    On all of *n_devices* that share each layer; of the layers of some *groups*, None: of all.
    """
    depth = load.context + load.tokens
    held = 0.0
    for group in whole(model) if groups is None else groups:
        layer, count = model.shapes[group.shape][0], len(group.indices)
        if layer.attention is not None:
            attention = rules.attention_of(model, layer.attention)
            for each in attention.cached:
                kept = count * copies_held(each.pieces, n_devices)
                held = held + kept * _entry_bytes(load.cache, each) * rules.held(each, depth)
            states = attention.state_bytes * load.states_kept
            held = held + count * (states + n_devices * attention.waiting_bytes)
        if layer.cross_attention is not None:
            held = held + count * _source_bytes(load.cache, layer.cross_attention) * load.source_tokens
    return held * load.batch


def cache_bytes_per_token(model: Model, fmt: Format) -> float:
    """Bytes that one more token adds to a sequence's cache, windows not yet full."""
    stores = (each for layer in model.stack if layer.attention is not None for each in layer.attention.cached)
    return sum(_entry_bytes(fmt, each) / each.every for each in stores if each.is_own)


def _name_layers(indices: tuple[int, ...]) -> str:
    if len(indices) == 1:
        return f"layer {indices[0]}"
    if indices == tuple(range(indices[0], indices[-1] + 1)):
        return f"layers {indices[0]}-{indices[-1]}"
    return f"{len(indices)} layers of {indices[0]}-{indices[-1]}"
