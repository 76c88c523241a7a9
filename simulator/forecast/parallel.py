"""How the operations of a step are shared among several devices, and what those have to tell each other for it.

Costs are those of all devices together: what each of them reads or computes for itself counts once for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simulator.forecast.ops import Cost, Message, Op
from simulator.spec.model import Layer, Model
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload


def copies_held(pieces: int | None, n_devices: int) -> float:
    """How often devices together hold what can be shared in *pieces* equal parts, None: in any number.

    8 key heads on 16 devices: each keeps one, so that there are two copies of each (vLLM: max(1, heads / devices)).
    """
    return 1.0 if pieces is None else n_devices * -(-pieces // n_devices) / pieces


def spread_ops(ops: Sequence[Op], n_devices: int, runtime: Runtime) -> tuple[Op, ...]:
    """The operations of a step with the costs of all devices that share its matrices, heads and experts.

    An expert's matrices are cut like any other, so that each device has a part of every expert.
    """
    return tuple(_spread(op, n_devices, runtime) for op in ops)


def _spread(op: Op, n_devices: int, runtime: Runtime) -> Op:
    pieces = 1 if op.part == "head" and not runtime.exchange.splits_head else op.pieces
    copies, cost = copies_held(pieces, n_devices), op.cost
    changed = replace(
        cost,
        # Heads of queries are shared out where their keys are not.
        flops=cost.flops * (1.0 if op.part == "cache" else copies),
        weight_bytes=cost.weight_bytes * copies,
        cache_read_bytes=cost.cache_read_bytes * copies,
        cache_write_bytes=cost.cache_write_bytes * copies,
        # Of a matrix that is cut, each device reads all inputs and writes its part of the outputs, or the other way round.
        activation_bytes=cost.activation_bytes * ((1 + n_devices) / 2 if pieces is None else copies),
    )
    return replace(op, cost=changed)


def messages(model: Model, load: Workload, runtime: Runtime, n_devices: int) -> tuple[Op, ...]:
    """What the devices tell each other in a step, as operations."""
    sent = FORMATS[runtime.exchange.values]
    value_bytes = sent.block_bytes / sent.block
    row_bytes = value_bytes * model.d_model * load.new_tokens
    if runtime.split == "layers":
        return (_message("to the next device", "send", n_devices - 1, row_bytes),)
    n_sums = sum(_n_sums(layer) * len(indices) for layer, indices, _ in model.shapes if layer is not None)
    found = [_message("sums over devices", "sum", n_sums, row_bytes)]
    if runtime.exchange.splits_head:
        found.append(_message("parts of the head", "gather", 1, value_bytes * model.vocab * load.batch))
    return tuple(found)


def _n_sums(layer: Layer) -> int:
    """One after each output that the devices have in parts: attention's or a recurrence's, and the feed-forward network's."""
    return sum(each is not None for each in (layer.attention, layer.cross_attention, layer.ffn))


def _message(name: str, kind: str, count: int, n_bytes) -> Op:
    return Op("model", "communication", name, FORMATS["f32"], count, Cost(), message=Message(kind, n_bytes))
