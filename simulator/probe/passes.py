"""All that is timed, in some passes: rounds of probes, then what the engine times inside itself, so that no figure rests on one moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from simulator.probe.attention import QUERIES, Attention, AttentionSizes, join_attention, measure_attention
from simulator.probe.bandwidth import passing_probe, stream_probe
from simulator.probe.clock import Admitted, Deadline, Sample, admit, in_seconds, join, measure
from simulator.probe.groups import Rig, groups_of
from simulator.probe.items import measure_items, small_models
from simulator.probe.overheads import measure_overheads
from simulator.probe.plan import LEAST_PART, by_importance, kernel_threads
from simulator.probe.reference import References, reference_models
from simulator.progress import Progress, part_of
from simulator.units import MI, counted

PARTS_SHARE = 0.3  # of the time, for what the engine times inside itself
MOST_ATTENDED = 64 * MI  # keys and values that attention reads


@dataclass(frozen=True)
class Timed:
    """What was timed in a pass, or in several together."""

    samples: dict[str, Sample]  # of probes, by name
    items: dict[int, dict[str, Sample]] = field(default_factory=dict)  # this and what follows by threads
    overheads: dict[int, dict[str, Sample]] = field(default_factory=dict)
    attention: dict[int, Attention] = field(default_factory=dict)


def measure_passes(rig: Rig, deadline: Deadline, tell: Progress) -> tuple[Timed, tuple[str, ...]]:
    """What there is time for, and in words what there is none for."""
    plan, clock, until_rounds = rig.plan, deadline.clock, deadline.share(1 - PARTS_SHARE)
    references = References(reference_models(plan.cache_bytes, plan.buffer_bytes), rig.everyone, clock)
    admitted = admit(groups_of(rig, references), until_rounds, part_of(tell, 0.1, 0.3))
    rounds_s = max(0.0, until_rounds.left_s) / plan.passes
    passes = []
    for number in range(plan.passes):
        inside = part_of(tell, 0.3 + 0.55 * number / plan.passes, 0.3 + 0.55 * (number + 1) / plan.passes)
        if number and deadline.left_s < rounds_s:
            break
        passes.append(_one_pass(rig, admitted, rounds_s, deadline, plan.passes - number, inside))
    if deadline.left_s > admitted.round_s:
        inside = part_of(tell, 0.84, 0.85)
        passes.append(Timed(measure(admitted.probes, plan.rounds, clock, inside, deadline.left_s, admitted.repeats)))
    timed = _together(passes)
    return timed, (*admitted.left_out, *_missing(rig, timed))


def _one_pass(
    rig: Rig, admitted: Admitted, rounds_s: float, deadline: Deadline, passes_left: int, tell: Progress
) -> Timed:
    """Some rounds of all probes, then what the engine times inside itself; by threads where that counts."""
    plan, clock = rig.plan, deadline.clock
    rounds = -(-plan.rounds // plan.passes)
    samples = measure(admitted.probes, rounds, clock, part_of(tell, 0.0, 0.7), rounds_s, admitted.repeats)
    mine_s = (deadline.left_s - (passes_left - 1) * rounds_s) / passes_left  # for what follows, in this pass
    mine = in_seconds(max(0.0, mine_s), clock)
    items, overheads = {}, {}
    counts = by_importance(kernel_threads(plan))
    for count in counts[:2]:
        tell(0.7, "the engine's other work")
        _measure_small(rig, count, mine.share(0.5), items, overheads)
    tell(0.85, "attention")
    attention = _measure_attention(rig, counts, mine if len(counts) < 3 else mine.share(0.7))
    for count in counts[2:]:
        _measure_small(rig, count, mine, items, overheads)
    return Timed(samples, items, overheads, attention)


def _measure_small(rig: Rig, count: int, deadline: Deadline, items: dict, overheads: dict) -> None:
    """What a step takes beside its kernels, and what it does beside multiplying; nothing where the time is over."""
    if deadline.is_over:
        return
    plan, team, clock = rig.plan, rig.teams[count], deadline.clock
    sweep = passing_probe("sweep", "read", team, rig.ring, plan.sweep_bytes)
    shared = stream_probe("shared", "read", team, rig.memory, plan.shared_bytes)
    sweeps = {"cold": lambda: sweep.run(1), "shared": lambda: shared.run(2)}
    overheads[count] = measure_overheads(team, sweeps, plan.small_rounds, clock, deadline.share(0.5))
    items[count] = measure_items(team, plan.small_rounds, clock, deadline)


def _measure_attention(rig: Rig, counts: list[int], deadline: Deadline) -> dict[int, Attention]:
    plan = rig.plan
    sizes = AttentionSizes(
        cache_bytes=min(MOST_ATTENDED, plan.buffer_bytes // 2),
        shared_bytes=plan.shared_bytes,
        part_bytes=min(plan.part(rig.everyone.n_threads), LEAST_PART),
        sweep_bytes=plan.sweep_bytes,
    )
    teams = [rig.teams[count] for count in counts]
    return measure_attention(teams, rig.memory, rig.ring, sizes, plan.part_rounds, deadline.clock, deadline)


def _missing(rig: Rig, timed: Timed) -> Iterator[str]:
    """What the engine would have timed inside itself, had there been more time."""
    everything = small_models(1)
    for count in by_importance(kernel_threads(rig.plan)):
        with_threads = f"with {counted(count, 'thread')}"
        if count not in timed.overheads:
            yield f"what a step takes outside its kernels, {with_threads}"
        lacking = [work for work in everything if work not in timed.items.get(count, {})]
        if lacking:
            yield f"{', '.join(lacking)} {with_threads}"
        speeds = timed.attention[count].speeds if count in timed.attention else {}
        heads = [f"{queries}" for queries in QUERIES if queries not in speeds]
        if heads:
            yield f"attention of {', '.join(heads)} heads to a key {with_threads}"


def _together(passes: list[Timed]) -> Timed:
    return Timed(
        _joined([each.samples for each in passes]),
        _joined([each.items for each in passes]),
        _joined([each.overheads for each in passes]),
        _joined([each.attention for each in passes]),
    )


def _joined(found: list) -> dict:
    """What was found in each pass as one: mappings of samples, however deep; a later pass may have had no time for all."""
    first = found[0]
    if isinstance(first, dict):
        keys = dict.fromkeys(key for each in found for key in each)
        return {key: _joined([each[key] for each in found if key in each]) for key in keys}
    return join(found) if isinstance(first, Sample) else join_attention(found)
