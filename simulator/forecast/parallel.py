"""How the operations of a step are shared among several devices, and what those have to tell each other for it.

Costs are those of all devices together: what each of them reads or computes for itself counts once for each, and what the busiest
of them does beyond its part counts as if all did it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.forecast.ops import Cost, Message, Op
from simulator.spec.layout import Layout
from simulator.spec.model import Layer, Model
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload


def copies_held(pieces: int | None, n_devices: int) -> float:
    """How often devices together hold what can be shared in *pieces* equal parts, None: in any number.

    8 key heads on 16 devices: each keeps one, so that there are two copies of each (vLLM: max(1, heads / devices)).
    """
    return 1.0 if pieces is None else n_devices * -(-pieces // n_devices) / pieces


def spread_ops(ops: Sequence[Op], layout: Layout, runtime: Runtime, n_experts: int = 1) -> tuple[Op, ...]:
    """The operations of a step with the costs of all devices; *n_experts* of a layer that has experts."""
    return tuple(_spread(op, layout, runtime, n_experts) for op in ops)


def _spread(op: Op, layout: Layout, runtime: Runtime, n_experts: int) -> Op:
    n_devices, cost = layout.n_devices, op.cost
    pieces = 1 if op.part == "head" and not runtime.exchange.splits_head else op.pieces
    # A group with sequences of its own shares attention and caches among its devices only, and has all of its weights.
    n_sharing = layout.tensor if op.part in ("attention", "cache") else n_devices
    groups = n_devices // n_sharing
    copies = copies_held(pieces, n_sharing)
    if op.part == "experts" and layout.expert > 1:
        copies = copies * busiest_share(op.touched, n_experts, layout.expert)
    changed = replace(
        cost,
        # Heads of queries are shared out where their keys are not; a token is computed in one group.
        flops=cost.flops * (1.0 if op.part == "cache" else copies),
        weight_bytes=cost.weight_bytes * copies * groups,
        cache_read_bytes=cost.cache_read_bytes * copies + op.whole.cache_read_bytes * (n_sharing - copies),
        cache_write_bytes=cost.cache_write_bytes * copies + op.whole.cache_write_bytes * (n_sharing - copies),
        # Of a matrix that is cut, each device reads all inputs and writes its part of the outputs, or the other way round.
        activation_bytes=cost.activation_bytes * ((1 + n_sharing) / 2 if pieces is None else copies),
    )
    return replace(op, cost=changed)


def busiest_share(touched, n_experts: int, groups: int):
    """What the busiest of *groups* reads of its own experts, over what all do in the mean, where a step touches the share *touched*.

    Each expert is taken as touched independently of the others, so that a group's number of them is binomial.
    """
    each = n_experts // groups
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
    busiest = (1 - at_most[..., :-1] ** groups).sum(axis=-1)
    return busiest / (each * chance)


def messages(model: Model, load: Workload, runtime: Runtime, layout: Layout) -> tuple[Op, ...]:
    """What the devices tell each other in a step, as operations."""
    sent, n_devices = FORMATS[runtime.exchange.values], layout.n_devices
    value_bytes = sent.block_bytes / sent.block
    row_bytes = value_bytes * model.d_model * load.new_tokens
    if runtime.split == "layers":
        return (_message("to the next device", n_devices - 1, Message("send", row_bytes, n_devices)),)
    layers = [(layer, len(indices)) for layer, indices, _ in model.shapes if layer is not None]
    found = []
    if layout.tensor > 1:
        sums = Message("sum", row_bytes / layout.data, layout.tensor)
        found.append(_message("sums of attention", sum(count * _n_mixers(layer) for layer, count in layers), sums))
    sums = Message("sum", row_bytes, n_devices)
    found.append(_message("sums of networks", sum(count for layer, count in layers if layer.ffn is not None), sums))
    if runtime.exchange.splits_head:
        parts = Message("gather", value_bytes * model.n_logits * load.logit_rows, n_devices)
        found.append(_message("parts of the head", 1, parts))
    return tuple(found)


def _n_mixers(layer: Layer) -> int:
    """Of tokens with each other: attentions and recurrences, whose outputs the devices have in parts."""
    return sum(each is not None for each in (layer.attention, layer.cross_attention))


def _message(name: str, count: int, message: Message) -> Op:
    return Op("model", "communication", name, FORMATS["f32"], count, Cost(), message=message)
