"""A step on a machine of several parts: each operation on its part, one after the other, and what goes over the links between.

Weights in the host's memory are computed by the host, or brought to the GPU first, as the runtime does it: always (`crosses` of a
placement), or from so many tokens at once on (`brings_from` of a runtime, `spec.brought`), where reading them over the link once pays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from simulator.forecast.bandwidth import Bandwidth, bandwidth_of
from simulator.forecast.ops import Cost, Message, Op
from simulator.forecast.parallel import share
from simulator.forecast.roofline import (
    TimedOp,
    brought,
    ceiling_seconds,
    either,
    host_link,
    time_messages,
    time_moves,
    time_ops,
)
from simulator.spec.brought import is_brought
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model
from simulator.spec.placement import Move, Placement, Placements
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload
from simulator.units import GIGA

VALUE_BYTES = 4  # of what passes from part to part: llama.cpp keeps activations in float32


def time_placed(
    model: Model,
    hardware: Hardware,
    runtime: Runtime,
    load: Workload,
    ops: Sequence[Op],
    placement: Placement | Placements,
) -> tuple[TimedOp, ...]:
    """Forecast seconds of each operation of a step where its placement has it, and of what moves between the parts."""
    found: dict[int, TimedOp] = {}
    host = len(hardware.parts) - 1
    for place in range(len(hardware.parts)):
        mine = {number: op for number, op in enumerate(ops) if op.place == place}
        if not mine:
            continue
        is_host = place == host and hardware.host is not None
        on_gpu = {number: is_host and _on_gpu(runtime, load, placement, op) for number, op in mine.items()}
        if not all(map(np.all, on_gpu.values())):
            found |= _timed(model, mine, hardware.parts[place], runtime, load)
        if any(map(np.any, on_gpu.values())):
            link = host_link(hardware, host, 0)
            there = {number: replace(op, place=0, held_at=host) for number, op in mine.items()}
            for number, timed in _timed(model, there, hardware.parts[0], runtime, load).items():
                crossed = brought(timed, link, crossing_bytes(timed.op, placement) / _n_links(hardware, placement))
                found[number] = either(on_gpu[number], crossed, found[number]) if number in found else crossed
    moves = time_moves(moves_of(hardware, model, load, placement, runtime), hardware, runtime)
    told = [
        each for place in range(len(hardware.parts)) for each in _told(model, hardware, place, runtime, load, placement)
    ]
    return (*(found[number] for number in range(len(ops))), *moves, *told)


def _on_gpu(runtime: Runtime, load: Workload, placement: Placement, op: Op) -> Any:
    """Whether the first GPU computes an operation on weights in the host's memory: for each point of the grid."""
    return placement.crosses or is_brought(runtime, load.new_tokens, op.experts if op.part == "experts" else None)


def _n_links(hardware: Hardware, placement: Placement) -> int:
    """Over how many links weights come at once: each GPU of a group reads its own share over its own, or the first alone brings them."""
    return hardware.layout.n_at_once if placement.crosses else 1


def crossing_bytes(op: Op, placement: Placement) -> Any:
    """What of an operation on the host goes to the GPU that computes it: its weights, and caches where those lie in RAM, too."""
    return op.cost.weight_bytes if placement.crosses else op.cost.weight_bytes + op.cost.cache_bytes


def moves_of(
    hardware: Hardware, model: Model, load: Workload, placement: Placement, runtime: Runtime
) -> tuple[Op, ...]:
    """What passes through the layers at each change from part to part: none to and from the host where the GPU computes its layers."""
    host = len(hardware.parts) - 1 if hardware.host else None
    found = []
    for move, n_moves in _counted(model, load, placement, runtime, host):
        n_bytes = VALUE_BYTES * move.values * load.new_tokens
        message = Message("move", n_bytes, 2, to=move.to)
        found.append(
            Op(
                "model",
                "communication",
                "to another part",
                FORMATS["f32"],
                n_moves,
                Cost(),
                message=message,
                place=move.place,
            )
        )
    return tuple(found)


def _counted(
    model: Model, load: Workload, placement: Placement, runtime: Runtime, host: int | None
) -> Iterator[tuple[Move, Any]]:
    """Each move with how often it is made, for each point of the grid."""
    most = max(model.experts, key=lambda ffn: ffn.n_experts / ffn.n_active) if model.experts else None
    all_there = placement.crosses or is_brought(runtime, load.new_tokens, most)
    but_experts = is_brought(runtime, load.new_tokens) & ~np.asarray(all_there)
    counts = placement.moves(model)
    apart = _experts_left(model, placement, host).moves(model) if host is not None and np.any(but_experts) else {}
    for move in dict.fromkeys((*counts, *apart)):
        count, left = counts.get(move, 0) * 1.0, apart.get(move, 0) * 1.0
        is_of_host = host in (move.place, move.to)
        count = np.where(all_there, 0.0, count) if is_of_host else count
        yield move, np.where(but_experts, left, count)[()] if apart else np.asarray(count)[()]


def _experts_left(model: Model, placement: Placement | Placements, host: int) -> Placement | Placements:
    """As it is where all in RAM but experts is computed by the first GPU."""
    if isinstance(placement, Placements):
        key = ("experts left", host)
        if key not in placement.known:
            left = tuple(_experts_left(model, each, host) for each in placement.each)
            placement.known[key] = Placements(left, placement.which)
        return placement.known[key].on(placement.which)
    there = {index: 0 if place == host else place for index, place in enumerate(placement.layers)}
    stored = {
        (index, tensor.role)
        for _, indices, tensors in model.shapes[1:]
        for index in indices
        for tensor in tensors
        if tensor.copies > 1 and placement.apart.get((index, tensor.role), placement.layers[index]) == host
    }
    others = {key: place for key, place in placement.apart.items() if place != host}
    head = 0 if placement.head == host else placement.head
    return Placement(tuple(there.values()), head, MappingProxyType({**others, **dict.fromkeys(stored, host)}))


def ceiling_placed(
    hardware: Hardware, runtime: Runtime, load: Workload, ops: Sequence[Op], placement: Placement
) -> Any:
    """Seconds at datasheet bandwidths and peaks, each part in its turn and nothing told between them.

    What lies in RAM is computed by the host or brought to the GPU, whichever were faster and the runtime can do.
    """
    host, seconds = len(hardware.parts) - 1, 0.0
    for place, part in enumerate(hardware.parts):
        mine = [op for op in ops if op.place == place]
        if not mine:
            continue
        is_host = place == host and hardware.host is not None
        there = np.inf if is_host and placement.crosses else _ceiling(mine, part, runtime, load)
        if is_host and (placement.crosses or runtime.brings_from is not None):
            rate = host_link(hardware, host, 0).gb_per_s.value * GIGA * _n_links(hardware, placement)
            gpu = hardware.parts[0]
            there = np.minimum(there, _ceiling_over(rate, mine, gpu, runtime, load, placement))
            if runtime.brings_experts_by_use:
                experts = [op for op in mine if op.part == "experts"]
                rest = [op for op in mine if op.part != "experts"]
                brought_s = _ceiling_over(rate, rest, gpu, runtime, load, placement)
                there = np.minimum(there, brought_s + _ceiling(experts, part, runtime, load))
        seconds = seconds + there
    return seconds


def _ceiling_over(
    rate: float, ops: Sequence[Op], gpu: Hardware, runtime: Runtime, load: Workload, placement: Placement
) -> Any:
    """Of what is brought to a GPU over a link of *rate* bytes per second."""
    over_link = sum(op.count * crossing_bytes(op, placement) for op in ops) / rate
    return over_link + _ceiling(ops, gpu, runtime, load)


def _ceiling(ops: Sequence[Op], part: Hardware, runtime: Runtime, load: Workload) -> Any:
    return ceiling_seconds(ops, part, runtime.backend(part), threads_of(part, load), _working_set(ops, load))


def _timed(model: Model, ops: dict[int, Op], part: Hardware, runtime: Runtime, load: Workload) -> dict[int, TimedOp]:
    backend, threads = runtime.backend(part), threads_of(part, load)
    working_set = _working_set(ops.values(), load)
    if backend.kernels and any(np.ndim(op.count) for op in ops.values()):
        working_set = _one_of(working_set, bandwidth_of(part, threads))
    shared, _ = share(model, part, runtime, load, tuple(ops.values()))
    timed = time_ops(shared, part, backend, threads, working_set, working_set)
    return dict(zip(ops, timed, strict=True))


def _one_of(working_set: Any, curve: Bandwidth) -> Any:
    """A single size where all are streamed at one rate, so that only what differs by point is worked out for each; else all of them."""
    rates = curve.seconds_per_byte(working_set)
    return np.max(working_set) if np.min(rates) == np.max(rates) else working_set


def _told(
    model: Model, hardware: Hardware, place: int, runtime: Runtime, load: Workload, placement: Placement
) -> tuple[TimedOp, ...]:
    """What equal devices of one part tell each other: of the layers that they have."""
    part = hardware.parts[place]
    if part.n_devices == 1:
        return ()
    shares = [each.layers.count(place) / len(each.layers) for each in getattr(placement, "each", (placement,))]
    if not any(shares):
        return ()
    _, sent = share(model, part, runtime, load, ())
    share_here = placement.at(np.array(shares)) if isinstance(placement, Placements) else shares[0]
    here = [
        replace(op, place=place, count=op.count if op.message.kind == "send" else op.count * share_here) for op in sent
    ]
    return time_messages(here, part, runtime)


def _working_set(ops, load: Workload) -> Any:
    """Bytes that come round again on a part: all weights that lie there, and one sequence's cache."""
    held = sum(op.count * (op.cost.weight_bytes / op.touched + op.cost.cache_read_bytes / load.batch) for op in ops)
    return np.maximum(held, 1.0)


def threads_of(hardware: Hardware, load: Workload) -> int | None:
    """Threads that decode; None on a GPU."""
    return (load.threads or hardware.threads or hardware.cores) if hardware.kind == "cpu" else None
