"""How the operations of a step are shared among several devices, and what those have to tell each other for it.

Costs are those of all devices of a stage together: what each of them reads or computes for itself counts once for each, and what
the busiest of them does beyond its part counts as if all did it. Stages of layers work one after the other on a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from simulator.forecast.ops import Cost, Message, Op
from simulator.spec.exchange import Exchange
from simulator.spec.hardware import Hardware
from simulator.spec.layers.ffn import Experts
from simulator.spec.layers.layer import Layer
from simulator.spec.layout import Layout
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload


def one_pass(load: Workload, layout: Layout, runtime: Runtime) -> tuple[Workload, Any]:
    """What passes the stages at once, and how many of such passes a batch makes that fill them.

    Where stages work at once, a batch is cut into as many parts as there are stages, as far as it has sequences: each part
    gets its next token as soon as it has passed all of them, so that a step takes what one part takes from end to end.
    """
    if layout.pipeline == 1 or not runtime.exchange.fills_stages:
        return load, 1
    passes = np.minimum(layout.pipeline, load.batch)
    return replace(load, batch=-(-load.batch // passes)), passes


def share(
    model: Model, hardware: Hardware, runtime: Runtime, load: Workload, ops: Sequence[Op], layout: Layout | None = None
) -> tuple[Sequence[Op], tuple[Op, ...]]:
    """The operations *ops* as several devices share them, and what those tell each other; *layout* None: as the hardware has it."""
    layout = layout or hardware.layout
    if layout.n_devices == 1:
        return ops, ()
    n_experts = model.experts[0].n_experts if model.experts else 1
    shared = spread_ops(ops, layout, runtime, n_experts, load.batch) if layout.n_at_once > 1 else ops
    return shared, messages(model, load, runtime, layout, hardware)


def copies_held(pieces: int | None, n_devices: int) -> float:
    """How often devices together hold what can be shared in *pieces* equal parts, None: in any number.

    8 key heads on 16 devices: each keeps one, so that there are two copies of each (vLLM: max(1, heads / devices)).
    """
    return 1.0 if pieces is None else n_devices * -(-pieces // n_devices) / pieces


def sharing(part: str, layout: Layout, exchange: Exchange, has_experts: bool) -> int:
    """How many devices share what belongs to a *part* of a model: a group with sequences of its own, or all of a stage."""
    is_all = part == "experts" or (part not in ("attention", "cache") and has_experts and exchange.shares_dense)
    return layout.n_at_once if is_all else layout.tensor


def spread_ops(
    ops: Sequence[Op], layout: Layout, runtime: Runtime, n_experts: int = 1, batch: Any = None
) -> tuple[Op, ...]:
    """The operations of a step with the costs of all devices of a stage.

    Args:
        n_experts: of a layer that has experts.
        batch: sequences, of which groups of `data` may have unequal numbers; None: equal ones.
    """
    has_experts = any(op.part in ("router", "experts") for op in ops)
    fullest = 1.0 if batch is None or layout.data == 1 else -(-batch // layout.data) * layout.data / batch
    return tuple(_spread(op, layout, runtime.exchange, n_experts, has_experts, fullest) for op in ops)


def _spread(op: Op, layout: Layout, exchange: Exchange, n_experts: int, has_experts: bool, fullest: Any) -> Op:
    cost = op.cost
    pieces = 1 if op.part == "head" and not exchange.splits_head else op.pieces
    n_sharing = sharing(op.part, layout, exchange, has_experts)
    groups = layout.n_at_once // n_sharing
    fullest = fullest if groups > 1 else 1.0
    copies = copies_held(pieces, n_sharing)
    weight_copies = copies * groups
    if op.part == "experts" and layout.expert > 1:
        copies = copies * busiest_share(op.touched, n_experts, layout.expert)
        weight_copies = copies
    changed = replace(
        cost,
        # Heads of queries are shared out where their keys are not; a token is computed in one group.
        flops=cost.flops * (1.0 if op.part == "cache" else copies) * fullest,
        weight_bytes=cost.weight_bytes * weight_copies,
        cache_read_bytes=_cache_bytes(cost.cache_read_bytes, op.whole.cache_read_bytes, copies, n_sharing) * fullest,
        cache_write_bytes=_cache_bytes(cost.cache_write_bytes, op.whole.cache_write_bytes, copies, n_sharing) * fullest,
        # Of a matrix that is cut, each device reads all inputs and writes its part of the outputs, or the other way round.
        activation_bytes=cost.activation_bytes * ((1 + n_sharing) / 2 if pieces is None else copies) * fullest,
    )
    return replace(op, cost=changed)


def _cache_bytes(all_bytes: Any, whole: Any, copies: Any, n_sharing: int) -> Any:
    """What devices that share a cache read or write of it; *whole*: of what lies on each."""
    return all_bytes * copies + whole * (n_sharing - copies)


def busiest_share(touched, n_experts: int, groups: int):
    """What the busiest of *groups* reads of its own experts, over what all do in the mean, where a step touches the share *touched*.

    Each expert is taken as touched independently of the others, so that a group's number of them is binomial; the busiest has
    one at least.
    """
    each = -(-n_experts // groups)
    chance = np.clip(np.asarray(touched, dtype=float), 1e-9, 1.0)
    counts = np.arange(each + 1)
    ways = np.cumsum(np.log(np.concatenate(([1.0], (each - counts[1:] + 1) / counts[1:]))))  # ln of "each choose n"
    with np.errstate(divide="ignore"):
        logs = (
            ways
            + np.multiply.outer(np.log(chance), counts)
            + np.multiply.outer(np.log1p(-chance * (1 - 1e-12)), each - counts)
        )
    at_most = np.minimum(np.cumsum(np.exp(logs), axis=-1), 1.0)
    busiest = np.maximum((1 - at_most[..., :-1] ** groups).sum(axis=-1), 1.0)
    return busiest / (n_experts / groups * chance)


def messages(
    model: Model, load: Workload, runtime: Runtime, layout: Layout, hardware: Hardware | None = None
) -> tuple[Op, ...]:
    """What the devices tell each other in a step, as operations; *hardware* tells whether they stand on several boards."""
    exchange = runtime.exchange
    sent = FORMATS[exchange.values]
    value_bytes = sent.block_bytes / sent.block
    row_bytes = value_bytes * model.d_model * load.new_tokens
    layers = [(layer, len(indices)) for layer, indices, _ in model.shapes if layer is not None]
    found = []
    if layout.tensor > 1:
        sums = Message("sum", row_bytes / layout.data, layout.tensor)
        found.append(_message("sums of attention", sum(count * _n_mixers(layer) for layer, count in layers), sums))
    if layout.n_at_once > 1:
        found += _of_networks(model, layers, layout, exchange, row_bytes, hardware)
        found += _of_head(model, load, layout, exchange, value_bytes)
    if layout.pipeline > 1:
        hop = Message("send", row_bytes / layout.data, layout.pipeline, layout.n_at_once)
        found.append(_message("to the next device", layout.pipeline - 1, hop))
    return tuple(found)


def _of_networks(
    model: Model,
    layers: list[tuple[Layer, int]],
    layout: Layout,
    exchange: Exchange,
    row_bytes: Any,
    hardware: Hardware | None,
) -> list[Op]:
    """Of what follows attention: sums among those that share it, or tokens on their way to their experts and back."""
    have = [(layer, count) for layer, count in layers if layer.ffn is not None]
    mixed = sum(count for layer, count in have if isinstance(layer.ffn, Experts))
    plain = sum(count for _, count in have) - mixed
    n_plain = sharing("ffn", layout, exchange, bool(mixed))
    found = []
    is_apart = bool(mixed) and layout.data > 1 and layout.expert > 1 and _dispatches(exchange, layout, hardware)
    n_summed, among = (plain, n_plain) if n_plain != layout.n_at_once or is_apart else (plain + mixed, layout.n_at_once)
    if n_summed and among > 1:
        part = row_bytes * among / layout.n_at_once
        found.append(_message("sums of networks", n_summed, Message("sum", part, among)))
    if is_apart:
        k = max(ffn.n_active for ffn in model.experts)
        # Each device sends its tokens' values once to every expert that they chose, and gets as many back.
        sent = Message("dispatch", row_bytes * k / layout.n_at_once, layout.n_at_once)
        found.append(_message("tokens to experts and back", 2 * mixed, sent))
    elif n_summed == plain and mixed:
        found.append(_message("sums of experts", mixed, Message("sum", row_bytes, layout.n_at_once)))
    return found


def _dispatches(exchange: Exchange, layout: Layout, hardware: Hardware | None) -> bool:
    if exchange.dispatches != "across nodes" or hardware is None:
        return exchange.dispatches == "always"
    return any(link.is_network for _, link in hardware.links_among(layout.n_at_once))


def _of_head(model: Model, load: Workload, layout: Layout, exchange: Exchange, value_bytes: float) -> list[Op]:
    n_sharing = sharing("head", layout, exchange, bool(model.experts))
    if not exchange.splits_head or n_sharing == 1:
        return []
    n_bytes = value_bytes * model.n_logits * load.logit_rows * n_sharing / layout.n_at_once
    return [_message("parts of the head", 1, Message("gather", n_bytes, n_sharing))]


def _n_mixers(layer: Layer) -> int:
    """Of tokens with each other: attentions and recurrences, whose outputs the devices have in parts."""
    return sum(each is not None for each in (layer.attention, layer.cross_attention))


def _message(name: str, count: int, message: Message) -> Op:
    return Op("model", "communication", name, FORMATS["f32"], count, Cost(), message=message)
