"""What each part of a machine holds and does of a model, and what passes between them: in words, and as plain numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from simulator.forecast.prediction import Prediction
from simulator.spec.layers.ffn import Experts
from simulator.spec.placement import Placement
from simulator.units import counted, format_gib, format_seconds


def seconds_of_parts(point: Prediction) -> list[Any]:
    """Seconds of a step that each part takes, without what passes between them."""
    moved = [timed for timed in point.ops if timed.op.message is None]
    return [
        sum((timed.op.count * timed.seconds for timed in moved if timed.op.place == place), 0.0)
        for place in range(len(point.hardware.parts))
    ]


def moves(point: Prediction) -> tuple[float, Any]:
    """How often the work passes from part to part in a step, and the seconds of that."""
    found = [timed for timed in point.ops if timed.op.message is not None and timed.op.message.kind == "move"]
    return sum(timed.op.count for timed in found), sum((timed.op.count * timed.seconds for timed in found), 0.0)


def between_devices(point: Prediction) -> Any:
    """Seconds of a step in which the devices of one part tell each other what they found."""
    found = (timed for timed in point.ops if timed.op.message is not None and timed.op.message.kind != "move")
    return sum((timed.op.count * timed.seconds for timed in found), 0.0)


def told(point: Prediction) -> Iterator[str]:
    """A line for each part, and one for what passes between them; nothing of a device alone."""
    if point.placement is None:
        return
    seconds = seconds_of_parts(point)
    for place, (held, took) in enumerate(zip(point.held, seconds, strict=True)):
        what = _held_there(point, place)
        fills = f"{format_gib(float(held.needed_bytes))} of {format_gib(held.limit_bytes)}"
        yield f"{held.part.own_label}: {what}; {fills}, {_told_seconds(point, place, float(took))}"
    often, took = moves(point)
    if often:
        yield f"{counted(int(often), 'time')} a step the work passes from one to another, {format_seconds(float(took))} in all"
    told_s = between_devices(point)
    if np.any(told_s):
        yield f"{format_seconds(float(told_s))} a step for what equal devices tell each other"
    between_s = float(point.step_overhead_s)
    if between_s:
        yield f"{format_seconds(between_s)} between steps, which belong to no operation"


def _told_seconds(point: Prediction, place: int, seconds: float) -> str:
    host = place == len(point.hardware.parts) - 1 and point.hardware.host is not None
    here = f"{format_seconds(seconds)} a step"
    ops = [each for each in point.ops if each.op.message is None]
    crossing = float(sum(each.op.count * each.link_s for each in ops))
    if not (host and (crossing or point.placement.crosses)):
        return here
    brought = f"brought to {point.hardware.name} in each step, {format_seconds(crossing)}"
    return f"{here}, the rest {brought}" if any(each.op.place == place for each in ops) else brought


def _held_there(point: Prediction, place: int) -> str:
    placement, model = point.placement, point.model
    whole = [index for index, where in enumerate(placement.layers) if where == place]
    apart: dict[str, list[int]] = defaultdict(list)
    for (index, role), where in placement.apart.items():
        if where == place and placement.layers[index] != place and not role.endswith(".bias"):
            apart[role].append(index)
    away = {index for (index, _), where in placement.apart.items() if where != place}
    found = []
    full, partly = ([index for index in whole if (index in away) == is_away] for is_away in (False, True))
    if full:
        found.append(f"all of {_layers(full)}")
    if partly:
        rest = "all but experts" if isinstance(model.stack[partly[0]].ffn, Experts) else "the rest"
        found.append(f"{rest} of {_layers(partly)}")
    by_layers: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for role, indices in apart.items():
        by_layers[tuple(sorted(indices))].append(role)
    for indices, roles in by_layers.items():
        name = (
            "experts" if all(role.endswith("_exps") for role in roles) and len(roles) > 1 else ", ".join(sorted(roles))
        )
        found.append(f"{name} of {_layers(list(indices))}")
    if placement.head == place:
        found.append("the head")
    is_lookup = point.runtime.keeps_lookup_on_host and point.hardware.parts[place].kind == "cpu"
    held = point.held[place].scratch_bytes
    rest = "the embeddings" if is_lookup else "working memory" if np.any(held) else "nothing"
    return ", ".join(found) or rest


def _layers(indices: Sequence[int]) -> str:
    """`layers 0-23`, `24 layers of 0-46`."""
    if len(indices) == 1:
        return f"layer {indices[0]}"
    is_row = list(indices) == list(range(indices[0], indices[-1] + 1))
    return f"layers {indices[0]}-{indices[-1]}" if is_row else f"{len(indices)} layers of {indices[0]}-{indices[-1]}"


def record(point: Prediction) -> list[dict[str, Any]] | None:
    """The parts of a machine at one point as plain numbers, bytes and seconds; None for a device alone."""
    if point.placement is None:
        return None
    seconds = seconds_of_parts(point)
    return [
        {
            "name": held.part.own_label,
            "weight_bytes": float(held.weight_bytes),
            "cache_bytes": float(np.max(held.cache_bytes)),
            "memory_bytes": float(np.max(held.needed_bytes)),
            "memory_limit_bytes": float(held.limit_bytes),
            "seconds": float(np.max(took)) if np.all(point.fits) else None,
            "layers": [index for index, where in enumerate(point.placement.layers) if where == place],
            "tensors_apart": _tensors_apart(point.placement, place),
        }
        for place, (held, took) in enumerate(zip(point.held, seconds, strict=True))
    ]


def _tensors_apart(placement: Placement, place: int) -> dict[str, list[int]]:
    """Of each kind of tensor that lies on a part without the rest of its layer, the layers of those."""
    found: dict[str, list[int]] = defaultdict(list)
    for (index, role), where in sorted(placement.apart.items()):
        if where == place != placement.layers[index]:
            found[role].append(index)
    return dict(found)


def lacking(points: Iterable[Prediction]) -> Iterator[str]:
    """By how much what does not fit misses the memory of each part."""
    for point in points:
        for held in point.held if point.placement else point.held[:1]:
            if not held.fits:
                needed, more = (
                    format_gib(float(each)) for each in (held.needed_bytes, held.needed_bytes - held.limit_bytes)
                )
                limit = f"{format_gib(held.limit_bytes)} of {held.part.name}"
                yield f"does not fit: needs {needed}, {limit} can be had, {more} too much"
