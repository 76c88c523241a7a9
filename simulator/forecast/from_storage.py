"""Seconds that a step waits for weights that lie in a file and not in memory, operation by operation.

The threads that need a page wait for it and compute nothing meanwhile, so that these seconds come on top of the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import InputError, printable
from simulator.forecast.fit import mapped_bytes, memory_limit, memory_needed, repacked_bytes
from simulator.forecast.interval import Z80, expected_spread
from simulator.forecast.ops import Op
from simulator.forecast.paging import REQUEST, ExpertGroup, Missing, Pages, read_in_vain, reads_at_once, step_chances
from simulator.spec.hardware import Hardware
from simulator.spec.layers.ffn import Experts
from simulator.spec.library import names, shelf
from simulator.spec.model import Model
from simulator.spec.routing import Popular, Routing, Same, Trace, all_choices
from simulator.spec.runtime import Runtime
from simulator.spec.storage import KINDS, Storage, find_storage, usual_storage
from simulator.spec.workload import Workload

if TYPE_CHECKING:
    from simulator.forecast.roofline import TimedOp


@dataclass(frozen=True)
class Wait:
    """Seconds that one of an operation's `count` waits for storage, and the bytes that it reads from there."""

    likely_s: Any = 0.0
    least_s: Any = 0.0  # what is used most often stays, reads are as many as threads, the drive a good one of its kind
    most_s: Any = 0.0  # what was used longest ago goes, one read at a time
    n_bytes: Any = 0.0
    least_bytes: Any = 0.0

    def __add__(self, other: Wait) -> Wait:
        return Wait(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, count: float) -> Wait:
        return Wait(*(each * count for each in astuple(self)))


NO_WAIT = Wait()


def reading(
    model: Model, hardware: Hardware, runtime: Runtime, load: Workload, text: str, routing: Routing | None = None
) -> tuple[Hardware, Runtime, tuple[str, ...]]:
    """Device and runtime where weights that memory has no room for are read from the drive *text*, and what to know of it.

    `auto` is the fastest drive of the device that its maker supports. InputError where they cannot be read so.
    """
    _refuse(hardware, runtime, load, f"storage {printable(text.strip())}")
    if text.strip().lower() == "auto":
        text = usual_storage(hardware.storage)
        if not text:
            raise InputError(f"storage auto: no drive is listed for {hardware.name}: name one of {', '.join(KINDS)}")
    told = []
    mapped = hardware.reading_from(find_storage(text, hardware.storage, routing))
    if room_for_pages(model, load, runtime, mapped) <= 0 and repacked_bytes(model, load, runtime, hardware):
        told.append(f"{runtime.title or runtime.name} runs with --no-repack, or its copies would not fit: {REPACKING}")
        runtime = runtime.without_repacking()
    return mapped, runtime, tuple(told)


# ggml-org/llama.cpp#19360 and #18888 (q6_k: Raspberry Pi 5 0.93 to 0.98, Apple M4 1.03 to 1.29), #18096 (q8_0: M4 1.00 to 1.07).
REPACKING = (
    "decoding then takes 0.93 to 1.29 times as long where both were measured, prompts two and a half to four times"
)


def _refuse(hardware: Hardware, runtime: Runtime, load: Workload, what: str) -> None:
    name = runtime.title or runtime.name
    if not runtime.maps_file:
        raise InputError(
            f"{what}: {name} holds all weights in memory of its own and reads none while it decodes; take llama.cpp on a CPU"
        )
    if hardware.kind != "cpu":
        twin = f"{hardware.name}-cpu"
        remedy = f", such as {twin}" if twin in names(shelf("hardware")) else ""
        raise InputError(
            f"{what}: on a GPU {name} copies weights to where it computes, the file's map serves loading only; take a CPU{remedy}"
        )
    if hardware.n_devices > 1:
        raise InputError(f"{what}: of one device, not of {hardware.n_devices}: leave the number out")
    if load.sparsity is not None:
        raise InputError(f"{what}: pages are read whole, whatever inputs are zero: leave the sparsity out")


def with_waits(
    timed: Sequence[TimedOp], model: Model, hardware: Hardware, runtime: Runtime, load: Workload, threads: int | None
) -> tuple[TimedOp, ...]:
    """Operations with what they wait for the drive that *hardware* reads from; as they are where it reads from none."""
    storage = hardware.reads_from
    if storage is None:
        return tuple(timed)
    room = room_for_pages(model, load, runtime, hardware)
    found = waits([each.op for each in timed], storage, room, threads or 1, load.new_tokens, runtime.repacked(hardware))
    return tuple(replace(each, wait=wait) for each, wait in zip(timed, found, strict=True))


def ceiling_with_waits(seconds: Any, timed: Sequence[TimedOp], hardware: Hardware):
    """Seconds that no software undercuts, which may read ahead: what it has to read takes the drive its time at least."""
    storage = hardware.reads_from
    if storage is None:
        return seconds
    return np.maximum(seconds, sum(each.op.count * each.wait.least_bytes for each in timed) / storage.bytes_per_s)


def room_for_pages(model: Model, load: Workload, runtime: Runtime, hardware: Hardware):
    """Bytes of memory that can hold pages of the file, beside what cannot be dropped: caches, working memory, copies."""
    held = memory_needed(model, load, runtime, hardware) - mapped_bytes(model, load, runtime, hardware)
    return np.maximum(memory_limit(hardware, runtime) - held, 0.0)


def waits(
    ops: Sequence[Op], storage: Storage, room: Any, threads: int, new_tokens: Any, kept: Collection[str] = ()
) -> tuple[Wait, ...]:
    """Of each operation, where *room* bytes of memory can hold pages of the file; formats in *kept* are not in its map."""
    varied, text, alike = (
        _missing(ops, routing, policy, room, new_tokens, kept)
        for routing, policy in zip(storage.keeps, ("lru", "lru", "best"), strict=True)
    )
    doubt = np.exp(Z80 * expected_spread(storage.gb_per_s))
    return tuple(
        _wait(op, storage, threads, (_share(op, varied), _share(op, text), _share(op, alike)), doubt)
        if op.format.kernel not in kept
        else NO_WAIT
        for op in ops
    )


def _wait(op: Op, storage: Storage, threads: int, missing: tuple[Any, Any, Any], doubt: float) -> Wait:
    bytes_of = _matrix_bytes(op)
    vain = read_in_vain(bytes_of) if op.experts else 1.0
    most, likely, least = (op.cost.weight_bytes * share for share in missing)
    together = storage.read_bytes_per_s(REQUEST, reads_at_once(bytes_of, threads))
    alone = storage.read_bytes_per_s(REQUEST, 1.0)
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
    always, experts = np.zeros(room.shape), np.zeros(room.shape)
    for n in np.unique(new_tokens):
        is_one = new_tokens == n
        found = getattr(pages_of(ops, routing, float(n), kept), policy)(room[is_one])
        always[is_one], experts[is_one] = found.always, found.experts
    return Missing(always[()], experts[()])


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
    groups = (ExpertGroup(size, step_chances(chances_of(routing, ffn), new_tokens)) for ffn, size in sizes.items())
    return Pages(always, tuple(groups))


def chances_of(routing: Routing, ffn: Experts) -> tuple[float, ...]:
    """The chance of each expert with weights to serve a token: equal where a routing says nothing of single experts."""
    choices = all_choices(ffn)
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
