"""Seconds that a step waits for weights that lie in a file and not in memory, operation by operation.

The threads that need a page wait for it and compute nothing meanwhile, so that these seconds come on top of the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from simulator.errors import InputError, printable
from simulator.forecast.fit import memory_of_parts
from simulator.forecast.interval import Z80, expected_spread
from simulator.forecast.ops import Op
from simulator.forecast.paging import (
    PAGE,
    REQUEST,
    ExpertGroup,
    Missing,
    Pages,
    read_in_vain,
    reads_at_once,
)
from simulator.forecast.placed import threads_of
from simulator.forecast.roofline import TimedOp
from simulator.forecast.wait import NO_WAIT, Wait
from simulator.spec.arguments import expect
from simulator.spec.hardware import Hardware
from simulator.spec.layers.ffn import Experts
from simulator.spec.library import names, shelf
from simulator.spec.machine import written_with_host
from simulator.spec.model import Model
from simulator.spec.placement import Placement
from simulator.spec.recorded import Recorded
from simulator.spec.routing import Popular, Routing, Same, Trace, all_choices
from simulator.spec.runtime import Runtime
from simulator.spec.storage import KINDS, Storage, find_storage, usual_storage
from simulator.spec.workload import Workload


def reading(
    hardware: Hardware, runtime: Runtime, load: Workload, storage: str | None, routing: Routing | None = None
) -> Hardware:
    """A machine where weights that memory has no room for are read from a drive of a CPU, or of GPUs' host; None: from none.

    `auto` is the fastest drive of it that its maker supports. *routing*: how often each expert is used, whatever the token
    before; None: as while a text is written. InputError where they cannot be read so.
    """
    expect("storage", storage, (str, type(None)), "the name of a drive, GB/s, 'auto' or None")
    if storage is None:
        return hardware
    part, text = hardware.host or hardware, storage
    _refuse(part, runtime, load, f"storage {printable(text.strip())}")
    if text.strip().lower() == "auto":
        text = usual_storage(part.storage)
        if not text:
            whose = f"its host {part.name}" if hardware.host else part.name
            raise InputError(
                f"storage auto: the file of {whose} names no drive: give its GB/s, as in --storage 7.0, or its kind: {', '.join(KINDS)}"
            )
    return hardware.reading_from(find_storage(text, part.storage, routing))


# ggml-org/llama.cpp#19360 and #18888 (q6_k: Raspberry Pi 5 0.93 to 0.98, Apple M4 1.03 to 1.29), #18096 (q8_0: M4 1.00 to 1.07).
REPACKING = (
    "decoding then takes 0.93 to 1.29 times as long where both were measured, prompts two and a half to four times"
)


def told_unpacked(runtime: Runtime) -> str:
    """Why a runtime is told to copy no weights."""
    return f"{runtime.title or runtime.name} runs with --no-repack, or its copies would not fit: {REPACKING}"


def _refuse(part: Hardware, runtime: Runtime, load: Workload, what: str) -> None:
    name = runtime.title or runtime.name
    if not runtime.maps_file:
        raise InputError(
            f"{what}: {name} holds all weights in memory of its own and reads none while it decodes; take llama.cpp on a CPU"
        )
    if part.kind != "cpu":
        twin = f"{part.name}-cpu"
        remedy = f"take a CPU, such as {twin}" if twin in names(shelf("hardware")) else "take a CPU"
        machine = written_with_host(part)
        remedy = f"name its host, as in {machine}, whose memory may be too small" if machine else remedy
        raise InputError(
            f"{what}: on a GPU {name} copies weights to where it computes, the file's map serves loading only; {remedy}"
        )
    if part.n_devices > 1:
        raise InputError(f"{what}: of one device, not of {part.n_devices}: leave the number out")
    if load.sparsity is not None:
        raise InputError(f"{what}: pages are read whole, whatever inputs are zero: leave the sparsity out")


def with_waits(
    timed: Sequence[TimedOp],
    model: Model,
    hardware: Hardware,
    runtime: Runtime,
    load: Workload,
    placement: Placement | None,
) -> tuple[TimedOp, ...]:
    """Operations with what they wait for the drive that *hardware* reads from; as they are where it reads from none."""
    storage = hardware.reads_from
    if storage is None:
        return tuple(timed)
    place = len(hardware.parts) - 1  # the host's, or the only one
    part, held = hardware.parts[place], memory_of_parts(model, load, runtime, hardware, placement)[place]
    mine = {number: each.op for number, each in enumerate(timed) if each.op.home == place and not each.op.message}
    threads, kept = threads_of(part, load) or 1, runtime.repacked(part)
    smallest = PAGE if part.device_class == "phone" else REQUEST
    found = waits(tuple(mine.values()), storage, held.room_bytes, threads, load.new_tokens, kept, smallest)
    waiting = dict(zip(mine, found, strict=True))
    return tuple(
        replace(each, wait=waiting[number], storage_s=waiting[number].likely_s) if number in waiting else each
        for number, each in enumerate(timed)
    )


def ceiling_with_waits(seconds: Any, timed: Sequence[TimedOp], hardware: Hardware):
    """Seconds that no software undercuts, which may read ahead: what it has to read takes the drive its time at least."""
    storage = hardware.reads_from
    if storage is None:
        return seconds
    return np.maximum(seconds, sum(each.op.count * each.wait.least_bytes for each in timed) / storage.bytes_per_s)


def waits(
    ops: Sequence[Op],
    storage: Storage,
    room: Any,
    threads: int,
    new_tokens: Any,
    kept: Collection[str] = (),
    smallest: float = REQUEST,
) -> tuple[Wait, ...]:
    """Of each operation, where *room* bytes of memory can hold pages of the file; formats in *kept* are not in its map.

    Reads are of *smallest* bytes at worst.
    """
    varied, text, alike = (
        _missing(ops, routing, policy, room, new_tokens, kept)
        for routing, policy in zip(storage.keeps, ("lru", "lru", "best"), strict=True)
    )
    doubt = np.exp(Z80 * expected_spread(storage.gb_per_s))
    return tuple(
        _wait(op, storage, threads, (_share(op, varied), _share(op, text), _share(op, alike)), doubt, smallest)
        if op.format.kernel not in kept
        else NO_WAIT
        for op in ops
    )


def _wait(op: Op, storage: Storage, threads: int, missing: tuple[Any, Any, Any], doubt: float, smallest: float) -> Wait:
    bytes_of = _matrix_bytes(op)
    vain = read_in_vain(bytes_of, op.touched) if op.experts else 1.0
    most, likely, least = (op.cost.weight_bytes * share for share in missing)
    together = storage.read_bytes_per_s(REQUEST, reads_at_once(bytes_of, threads))
    alone = storage.read_bytes_per_s(smallest, 1.0)
    return Wait(
        likely_s=likely * vain / together,
        least_s=least / (together * doubt),
        most_s=most * vain * doubt / alone,
        n_bytes=likely * vain,
        least_bytes=least,
    )


def _matrix_bytes(op: Op) -> Any:
    """Bytes of a matrix that an operation reads: of one expert's."""
    whole = op.cost.weight_bytes / op.touched
    return whole / op.experts.n_experts if op.experts else whole


def _share(op: Op, missing: Missing) -> Any:
    return missing.experts if op.experts else missing.always


def _missing(
    ops: Sequence[Op], routing: Routing, policy: str, room: Any, new_tokens: Any, kept: Collection[str]
) -> Missing:
    """By a policy, over a grid of rooms and numbers of tokens."""
    room, new_tokens = np.broadcast_arrays(np.asarray(room, dtype=float), np.asarray(new_tokens, dtype=float))
    shape, room = room.shape, room.ravel()
    always, experts = np.zeros(room.shape), np.zeros(room.shape)
    numbers, which = np.unique(new_tokens.ravel(), return_inverse=True)
    pages = pages_of(ops, routing, 1.0, kept)
    alike = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    for n, points in zip(numbers.tolist(), alike, strict=True):
        found = getattr(replace(pages, new_tokens=n), policy)(room[points])
        always[points], experts[points] = found.always, found.experts
    return Missing(always.reshape(shape)[()], experts.reshape(shape)[()])


def pages_of(ops: Sequence[Op], routing: Routing, new_tokens: float, kept: Collection[str] = ()) -> Pages:
    """The pages of a file whose weights some operations read, as *routing* chooses experts."""
    always, sizes = 0.0, defaultdict(float)
    for op in ops:
        if op.format.kernel in kept:
            continue
        if op.experts is None:
            always += op.count * float(np.max(op.cost.weight_bytes))
        else:
            sizes[op.experts] += op.count * float(np.max(_matrix_bytes(op)))
    groups = (ExpertGroup(size, chances_of(routing, ffn)) for ffn, size in sizes.items())
    return Pages(always, tuple(groups), new_tokens, routing if isinstance(routing, Recorded) else None)


def chances_of(routing: Routing, ffn: Experts) -> tuple[float, ...]:
    """The chance of each expert with weights to serve a token: equal where a routing says nothing of single experts."""
    choices = all_choices(ffn)
    routing = routing.trace if isinstance(routing, Recorded) else routing
    if isinstance(routing, Popular):
        found = np.sort(routing.chances(choices))[::-1]
    elif isinstance(routing, Trace):
        counts = [sorted((*layer, *[0] * (choices.n_experts - len(layer))), reverse=True) for layer in routing.uses]
        found = np.mean(np.asarray(counts, dtype=float), axis=0) / routing.tokens
    elif isinstance(routing, Same):
        found = np.where(np.arange(choices.n_experts) < choices.n_active, 1.0, 0.0)
    else:
        found = np.full(choices.n_experts, choices.n_active / choices.n_experts)
    # Of those that a token can choose, zero experts have no weights: they are taken to be as popular as the others.
    places = np.linspace(0, choices.n_experts - 1, ffn.n_experts).round().astype(int)
    return tuple(found[places].tolist())
