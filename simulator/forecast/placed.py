"""A step on a machine of several parts: each operation on its part, one after the other, and what goes over the links between.

Weights in the host's memory are computed by the host, or brought to the GPU first, as the runtime does it: always (`crosses` of a
placement), or from so many tokens at once on (`brings_from` of a runtime), where reading them over the link once pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

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
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model
from simulator.spec.placement import Placement
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload
from simulator.units import GIGA

VALUE_BYTES = 4  # of what passes from part to part: llama.cpp keeps activations in float32


def time_placed(
    model: Model, hardware: Hardware, runtime: Runtime, load: Workload, ops: Sequence[Op], placement: Placement
) -> tuple[TimedOp, ...]:
    """Forecast seconds of each operation of a step where its placement has it, and of what moves between the parts."""
    found: dict[int, TimedOp] = {}
    on_gpu = is_brought(runtime, load, placement)
    host = len(hardware.parts) - 1
    for place in range(len(hardware.parts)):
        mine = {number: op for number, op in enumerate(ops) if op.place == place}
        if not mine:
            continue
        is_host = place == host and hardware.host is not None
        if not (is_host and np.all(on_gpu)):
            found |= _timed(model, mine, hardware.parts[place], runtime, load)
        if is_host and np.any(on_gpu):
            link = host_link(hardware, host, 0)
            there = {number: replace(op, place=0) for number, op in mine.items()}
            for number, timed in _timed(model, there, hardware.parts[0], runtime, load).items():
                crossed = brought(timed, link, crossing_bytes(timed.op, placement) / _n_links(hardware, placement))
                found[number] = either(on_gpu, crossed, found[number]) if number in found else crossed
    moves = time_moves(moves_of(hardware, model, load, placement, on_gpu), hardware, runtime)
    told = [
        each for place in range(len(hardware.parts)) for each in _told(model, hardware, place, runtime, load, placement)
    ]
    return (*(found[number] for number in range(len(ops))), *moves, *told)


def is_brought(runtime: Runtime, load: Workload, placement: Placement) -> Any:
    """Whether weights that lie in the host's memory are computed by the first GPU: for each point of the grid."""
    if placement.crosses:
        return True
    return False if runtime.brings_from is None else np.asarray(load.new_tokens) >= runtime.brings_from


def _n_links(hardware: Hardware, placement: Placement) -> int:
    """Over how many links weights come at once: each GPU of a group reads its own share over its own, or the first alone brings them."""
    return hardware.layout.n_at_once if placement.crosses else 1


def crossing_bytes(op: Op, placement: Placement) -> Any:
    """What of an operation on the host goes to the GPU that computes it: its weights, and caches where those lie in RAM, too."""
    return op.cost.weight_bytes if placement.crosses else op.cost.weight_bytes + op.cost.cache_bytes


def moves_of(hardware: Hardware, model: Model, load: Workload, placement: Placement, on_gpu: Any) -> tuple[Op, ...]:
    """What passes through the layers at each change from part to part: none to and from the host where the GPU computes its layers."""
    host = len(hardware.parts) - 1 if hardware.host else None
    found = []
    for move, count in placement.moves(model).items():
        n_moves = np.where(on_gpu, 0.0, float(count))[()] if host in (move.place, move.to) else float(count)
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
            over_link = sum(op.count * crossing_bytes(op, placement) for op in mine) / rate
            there = np.minimum(there, over_link + _ceiling(mine, hardware.parts[0], runtime, load))
        seconds = seconds + there
    return seconds


def _ceiling(ops: Sequence[Op], part: Hardware, runtime: Runtime, load: Workload) -> Any:
    return ceiling_seconds(ops, part, runtime.backend(part), threads_of(part, load), _working_set(ops, load))


def _timed(model: Model, ops: dict[int, Op], part: Hardware, runtime: Runtime, load: Workload) -> dict[int, TimedOp]:
    working_set = _working_set(ops.values(), load)
    shared, _ = share(model, part, runtime, load, tuple(ops.values()))
    timed = time_ops(shared, part, runtime.backend(part), threads_of(part, load), working_set, working_set)
    return dict(zip(ops, timed, strict=True))


def _told(
    model: Model, hardware: Hardware, place: int, runtime: Runtime, load: Workload, placement: Placement
) -> tuple[TimedOp, ...]:
    """What equal devices of one part tell each other: of the layers that they have."""
    part, n_layers = hardware.parts[place], placement.layers.count(place)
    if part.n_devices == 1 or not n_layers:
        return ()
    _, sent = share(model, part, runtime, load, ())
    share_here = n_layers / len(placement.layers)
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
