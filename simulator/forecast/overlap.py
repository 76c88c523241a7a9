"""Passes of a prompt on several GPUs with other layers each: while one works on a pass, the one before it has the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.forecast.prediction import Prediction
from simulator.forecast.working_memory import takes_turns


def part_of_sum(passes: Sequence[Prediction]) -> float:
    """What the passes of a prompt take together, over the sum of what each takes; 1 where they do not overlap."""
    first = passes[0]
    if not takes_turns(first.runtime, first.hardware, first.placement):
        return 1.0
    seconds = np.concatenate([np.ravel(np.broadcast_to(each.seconds_given_memory, _shape(each))) for each in passes])
    return seconds_of_all(seconds, _stages(first), first.runtime.passes_at_once) / float(np.sum(seconds))


def seconds_of_all(passes: Sequence[float], stages: Sequence[float], at_once: int) -> float:
    """Until the last of *passes*, of so many seconds each, has gone through *stages*, each of which takes a share of them.

    A stage works on one pass at a time, in order; at most *at_once* are under way. Of P equal passes in S <= *at_once* equal stages
    that is P + S - 1 times what a stage takes.
    """
    free, done = [0.0] * len(stages), []
    for number, seconds in enumerate(passes):
        at = done[number - at_once] if number >= at_once else 0.0
        for stage, share in enumerate(stages):
            free[stage] = at = max(at, free[stage]) + share * float(seconds)
        done.append(at)
    return done[-1]


def _shape(point: Prediction) -> tuple[int, ...]:
    return np.shape(point.load.context)


def _stages(point: Prediction) -> list[float]:
    """The share of a pass that each GPU takes; those of a group have equal parts."""
    on_part = [0.0] * len(point.hardware.parts)
    for timed in point.ops:
        on_part[timed.op.place] += float(np.mean(timed.op.count * timed.seconds))
    counts = [part.count for part in point.hardware.parts]
    return [one / count / sum(on_part) for one, count in zip(on_part, counts, strict=True) for _ in range(count)]
