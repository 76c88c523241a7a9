"""Everything that is timed on a machine to know it, in the order in which that is done.

It keeps to a budget of seconds and of memory: what matters most comes first, and what there is no time for is left out and named.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from simulator.engine import cpu
from simulator.engine.memory import check_room
from simulator.engine.team import Team
from simulator.machine.host import Host
from simulator.probe.bandwidth import passing_probe, stream_probe
from simulator.probe.clock import Clock, Deadline, Sample, in_seconds, time_once
from simulator.probe.columns import Bench, Columns, measure_columns
from simulator.probe.groups import Rig
from simulator.probe.kernels import MATRIX_BYTES
from simulator.probe.knee import Knee, find_knee
from simulator.probe.memory import Memory, Ring
from simulator.probe.passes import measure_passes
from simulator.probe.plan import LEAST_PART, Plan, columns_bytes, found_plan, room_for
from simulator.probe.readings import Readings
from simulator.probe.storage import measure_storage
from simulator.progress import Progress, part_of
from simulator.units import MI, format_capacity

KNEE_UNTIL, ROUNDS_UNTIL, COLUMNS_UNTIL, DISK_UNTIL = 0.12, 0.78, 0.86, 0.94  # shares of the budget
LEAST_DISK_S = 0.5
PART_S = 4e-3  # of reading a part of the memory
COLUMN_ROUNDS = 5  # of each network with zero inputs


def read_device(
    host: Host,
    plan: Plan,
    folder: Path | None,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
) -> Readings:
    """Everything in the plan that there is time for; *folder* is where a test file for the disk may lie, None to leave the disk out.

    Kernels that have yet to be compiled take their time from the budget: see `compiling`.
    """
    budget_s = plan.budget_s
    began, whole = clock(), in_seconds(budget_s, clock)
    tell = progress or (lambda _share, _what: None)

    def until(share: float) -> Deadline:
        return replace(whole, at=began + share * budget_s)

    path = cpu.choose()
    check_room("profiling needs", room_for(plan))
    tell(0.0, "preparing")
    with _teams_of(plan) as teams:
        plan, ring, remarks = _prepare(host, plan, teams, whole.share(KNEE_UNTIL), part_of(tell, 0.0, 0.1))
        rig = Rig(plan, teams, ring, path)
        timed, left_out = measure_passes(rig, until(ROUNDS_UNTIL), tell)
        columns, without_columns = _measure_zero_inputs(rig, until(COLUMNS_UNTIL), tell)
    tell(0.92, "the disk")
    storage, how, without_disk = _measure_disk(plan, folder, until(DISK_UNTIL))
    tell(1.0, "done")
    return Readings(
        host,
        plan,
        path.name,
        timed.samples,
        timed.items,
        timed.overheads,
        columns,
        timed.attention,
        storage,
        how,
        seconds=clock() - began,
        began=began,
        left_out=(*left_out, *without_columns, *without_disk),
        remarks=remarks,
    )


@contextmanager
def _teams_of(plan: Plan) -> Iterator[dict[int, Team]]:
    """A team of each count of threads."""
    teams = {}
    try:
        for count in plan.threads:
            teams[count] = Team(count)
        yield teams
    finally:
        for team in reversed(teams.values()):
            team.close()


# ---- the last cache, and what to read as memory ----


def _prepare(
    host: Host, plan: Plan, teams: dict[int, Team], deadline: Deadline, tell: Progress
) -> tuple[Plan, Ring, tuple[str, ...]]:
    """The plan for the machine as it is found, the memory to be read, and what to say of its last cache."""
    memory, remarks = Memory(plan.most_buffer or plan.buffer_bytes), ()
    if plan.most_buffer:
        knee = _look(host, plan, memory, teams[plan.threads[-1]], deadline, tell)
        plan, remarks = found_plan(host, plan, knee)
        memory.give_back(plan.buffer_bytes)
    ring = Ring(memory.first(plan.buffer_bytes))
    return _with_parts(plan, ring, teams, deadline.clock), ring, remarks


def _look(host: Host, plan: Plan, memory: Memory, team: Team, deadline: Deadline, tell: Progress) -> Knee:
    levels = sorted(host.cache_bytes.values())

    def seconds_of(size: int) -> float:
        tell(min(1.0, size / plan.most_buffer), f"looking for the end of the caches: {format_capacity(size)}")
        probe = stream_probe("read", "read", team, memory.first(size), size)
        return time_once(probe, max(1, 4 * MI // size), deadline.clock)

    return find_knee(seconds_of, plan.most_buffer, max(levels, default=None), max(levels[:-1], default=0.0), deadline)


def _with_parts(plan: Plan, ring: Ring, teams: dict[int, Team], clock: Clock) -> Plan:
    """The plan with how much of the memory each number of threads reads in PART_S."""
    found = {}
    for count, team in teams.items():
        probe = passing_probe("read", "read", team, ring, min(plan.buffer_bytes, LEAST_PART))
        probe.run(1)
        wanted = int(probe.bytes / time_once(probe, 1, clock) * PART_S) // MATRIX_BYTES * MATRIX_BYTES
        part = max(wanted, LEAST_PART)
        found[count] = part if part <= plan.buffer_bytes / 2 else plan.buffer_bytes
    return replace(plan, part_bytes=found)


# ---- what stands alone ----


def _measure_zero_inputs(
    rig: Rig, deadline: Deadline, tell: Progress
) -> tuple[dict[int, dict[str, Columns]], tuple[str, ...]]:
    """By threads (all of them) and format; and what there is no time for."""
    plan, team, found, left_out = rig.plan, rig.everyone, {}, []
    for number, fmt in enumerate(plan.columns):
        what = f"{fmt} with zero inputs"
        tell(0.86, what)
        if deadline.is_over:
            left_out.append(what)
            continue
        read = passing_probe("read", "read", team, rig.ring, plan.part(team.n_threads))
        sweep = passing_probe("sweep", "read", team, rig.ring, plan.sweep_bytes)
        mine = deadline.share(1 / (len(plan.columns) - number))
        bench = Bench(team, read, sweep, COLUMN_ROUNDS, deadline.clock, mine)
        found[fmt] = measure_columns(fmt, columns_bytes(plan), plan.tokens, bench)
    return ({team.n_threads: found} if found else {}), tuple(left_out)


def _measure_disk(plan: Plan, folder: Path | None, deadline: Deadline) -> tuple[Sample | None, str, tuple[str, ...]]:
    """Reading a file of the folder, how it was read, and what there is no time for."""
    if folder is None:
        return None, "not measured", ()
    if deadline.left_s < LEAST_DISK_S:
        return None, "not measured", ("the disk",)
    return *measure_storage(folder, plan.storage_bytes, 3, deadline.clock, deadline), ()
