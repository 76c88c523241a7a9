"""Everything that is timed on a machine to know it: which probes, over which sizes and thread counts, in which order.

It keeps to a budget of seconds and of memory: what matters most comes first, and what there is no time for is left out and named.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from simulator.engine import cpu
from simulator.engine.formats import LAYOUTS
from simulator.engine.team import Team
from simulator.engine.weights import check_room
from simulator.machine.host import Host
from simulator.machine.threads import most_threads
from simulator.probe import parts
from simulator.probe.bandwidth import KINDS, passing_probe, random_probe, stream_probe
from simulator.probe.clock import (
    Admitted,
    Clock,
    Deadline,
    Group,
    Probe,
    Progress,
    Sample,
    admit,
    in_seconds,
    join,
    measure,
    time_once,
)
from simulator.probe.compute import peak_probe
from simulator.probe.kernels import LOOK_FORMAT, MATRIX_BYTES, kernel_probe, passing_kernel_probe
from simulator.probe.knee import AGREES, SMALLEST, Knee, find_knee
from simulator.probe.memory import Memory, Ring
from simulator.probe.reference import References, reference_models
from simulator.probe.storage import measure_storage
from simulator.spec.quant import FORMATS
from simulator.units import GI, KI, MI, counted, format_capacity

SECONDS, QUICK_SECONDS = 60.0, 20.0  # of measuring
LEAST_SECONDS, MOST_SECONDS = 5.0, 3600.0
SHORT_SECONDS = 40.0  # less than that goes to fewer formats and a single pass
FREE_SHARE = 1 / 8  # of the free memory, for everything together
LEAST_BUFFER = 64 * MI  # what is read as main memory, unless there is less memory
MOST_BUFFER, MOST_SHORT_BUFFER = 4 * GI, 384 * MI
CHEAP_BUFFER = 256 * MI  # up to which it is four times the last cache, beyond which a little more than twice
UNKNOWN_CACHE = 32 * MI  # where the system does not tell
UNKNOWN_MEMORY = 512 * MI
LEAST_CACHED, MOST_CACHED = 128 * KI, MI  # weights: 16 rows of float32
MOST_SHARED = 32 * MI
MOST_COLUMNS = 96 * MI
LARGE_SET = 64 * MI  # working sets beyond take long to read, and tell little
PART_S = 4e-3  # of reading a part of the memory
LEAST_PART = 16 * MI
SWEEP_S = 0.05  # of reading so much that the caches hold nothing else
BLOCKS = (64, 256, 1024, 4096, 16 * KI, 64 * KI)  # bytes, read in random order
TOKENS = (1, 2, 4, 8, 16)  # at once
RANDOM_BYTES = 4 * MI  # a sample
MAIN_FORMATS = ("q8_0", "q4_0")
QUICK_FORMATS = (*MAIN_FORMATS, "q4_k", "q6_k", "f16", "bf16", "f32")
COLUMN_FORMATS = ("q8_0", "q4_0")  # Q-Sparse
MOST_ROUNDS = 60
KNEE_UNTIL, ROUNDS_UNTIL, COLUMNS_UNTIL, DISK_UNTIL = 0.12, 0.78, 0.86, 0.94  # shares of the budget
LEAST_DISK_S = 0.5
PARTS_SHARE = 0.3  # of what lies between the first two


@dataclass(frozen=True)
class Plan:
    """What to measure, and for how long."""

    threads: tuple[int, ...]  # counts; the last is all
    sizes: tuple[int, ...]  # bytes of working sets
    buffer_bytes: int  # more than the caches hold
    cache_bytes: int  # of the last cache
    cached_bytes: int  # weights that every core's own cache holds
    shared_bytes: int  # weights that the last cache holds, but no core's own
    formats: tuple[str, ...]
    columns: tuple[str, ...]
    tokens: tuple[int, ...] = TOKENS
    budget_s: float = SECONDS
    rounds: int = MOST_ROUNDS
    passes: int = 3  # so often everything is begun anew, so that no figure rests on one moment
    small_rounds: int = 3
    part_rounds: int = 2
    storage_bytes: int = 256 * MI
    is_cache_seen: bool = False  # or taken from what the system tells
    most_buffer: int = 0  # bytes that may be read in looking for the last cache; 0 where the sizes are known
    part_bytes: dict[int, int] = field(default_factory=dict)  # of the memory that are read at a time, by threads
    rate: float = 1e9  # bytes a second that all threads read of the memory, roughly

    def part(self, count: int) -> int:
        """Bytes of the memory that so many threads read at a time: all of it where nothing else is known."""
        return self.part_bytes.get(count, self.buffer_bytes)

    @property
    def sweep_bytes(self) -> int:
        """Bytes of memory that are read for the caches to hold nothing else, as far as there is time for that."""
        most = int(self.rate * SWEEP_S) // MI * MI
        return max(min(self.buffer_bytes, 2 * self.cache_bytes, most), min(self.buffer_bytes, LEAST_PART))


@dataclass(frozen=True)
class Readings:
    """What was timed on a machine."""

    host: Host
    plan: Plan
    path: str  # of the engine's kernels
    samples: dict[
        str, Sample
    ]  # with when each timing was begun: those of the reference models tell of a restless machine
    items: dict[int, dict[str, Sample]] = field(default_factory=dict)  # seconds of one, by threads and kind of work
    overheads: dict[int, dict[str, Sample]] = field(default_factory=dict)
    columns: dict[int, dict[str, dict[int, parts.PartSpeed]]] = field(default_factory=dict)  # threads, format, tokens
    attention: dict[int, parts.Attention] = field(default_factory=dict)  # by threads
    storage: Sample | None = None
    storage_how: str = ""
    seconds: float = 0.0
    began: float = 0.0  # by the clock of the samples
    left_out: tuple[str, ...] = ()  # for lack of time, in words
    remarks: tuple[str, ...] = ()  # sentences on the last cache

    @property
    def rounds(self) -> int:
        """How often everything was timed."""
        return max(sample.count for sample in self.samples.values())


def make_plan(host: Host, seconds: float = SECONDS, threads: int | None = None) -> Plan:
    """What suits a machine, as far as its system tells of it: where its last cache ends is still to be found."""
    told = max(host.cache_bytes.values(), default=UNKNOWN_CACHE)
    is_short = seconds < SHORT_SECONDS
    room = (host.available_bytes or (host.memory_bytes or 0) / 2 or UNKNOWN_MEMORY) * FREE_SHARE
    most = int(min(max(room / 2, 4 * MI), MOST_SHORT_BUFFER if is_short else MOST_BUFFER)) // MI * MI
    plan = Plan(
        threads=_thread_counts(threads or most_threads(host)),
        sizes=(),
        buffer_bytes=0,
        cache_bytes=0,
        cached_bytes=0,
        shared_bytes=0,
        formats=QUICK_FORMATS if is_short else (*QUICK_FORMATS, *(fmt for fmt in LAYOUTS if fmt not in QUICK_FORMATS)),
        columns=COLUMN_FORMATS[:1] if is_short else COLUMN_FORMATS,
        budget_s=seconds,
        passes=1 if is_short else 3,
        storage_bytes=(64 if is_short else 256) * MI,
        most_buffer=most,
    )
    return with_cache(plan, host, told, most)


def with_cache(plan: Plan, host: Host, cache_bytes: float, most: int) -> Plan:
    """The plan for a last cache of so many bytes, where at most so many can be read."""
    wanted = max(4 * cache_bytes if 4 * cache_bytes <= CHEAP_BUFFER else CHEAP_BUFFER, 2.2 * cache_bytes, LEAST_BUFFER)
    buffer = int(min(most, wanted)) // MATRIX_BYTES * MATRIX_BYTES or most
    n_sizes = int(np.floor(np.log2(buffer / SMALLEST) * 2)) + 1
    sizes = [int(SMALLEST * 2 ** (number / 2)) // 4096 * 4096 for number in range(n_sizes)]
    own = [cache.nbytes_each for cache in host.caches if cache.name == "L2"]
    cached = min(max(LEAST_CACHED, int(0.4 * own[0])), MOST_CACHED) if own else 256 * KI
    return replace(
        plan,
        sizes=tuple(dict.fromkeys([*sizes, buffer])),
        buffer_bytes=buffer,
        cache_bytes=int(cache_bytes),
        cached_bytes=min(cached, buffer),
        shared_bytes=min(max(int(cache_bytes / 6), 512 * KI), MOST_SHARED, buffer) // 4096 * 4096,
    )


def _thread_counts(n_threads: int) -> tuple[int, ...]:
    """All counts of a few cores; of more, powers of two, half of them and all."""
    if n_threads <= 4:
        return tuple(range(1, n_threads + 1))
    powers = [2**power for power in range(16) if 2**power < n_threads]
    return tuple(sorted({*powers, n_threads // 2, n_threads}))


# ---- the whole of it ----


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
    began, whole = clock(), in_seconds(plan.budget_s, clock)
    tell, remarks = progress or (lambda _share, _what: None), ()
    path = cpu.choose()
    check_room("profiling needs", room_for(plan))
    tell(0.0, "preparing")
    with ExitStack() as stack:
        teams = {count: Team(count) for count in plan.threads}
        for team in teams.values():
            stack.callback(team.close)
        memory = Memory(plan.most_buffer or plan.buffer_bytes)
        if plan.most_buffer:
            knee = _look(host, plan, memory, teams[plan.threads[-1]], whole.share(KNEE_UNTIL), _part(tell, 0.0, 0.1))
            plan, remarks = found_plan(host, plan, knee)
            memory.give_back(plan.buffer_bytes)
        ring = Ring(memory.first(plan.buffer_bytes))
        plan = _with_parts(plan, ring, teams, clock)
        found = _rounds(plan, teams, ring, path, replace(whole, at=began + ROUNDS_UNTIL * plan.budget_s), tell)
        columns, more = _columns(plan, teams, ring, replace(whole, at=began + COLUMNS_UNTIL * plan.budget_s), tell)
    tell(0.92, "the disk")
    storage, how = None, "not measured"
    if folder is not None:
        until = replace(whole, at=began + DISK_UNTIL * plan.budget_s)
        if until.left_s < LEAST_DISK_S:
            more = (*more, "the disk")
        else:
            storage, how = measure_storage(folder, plan.storage_bytes, 3, clock, until)
    tell(1.0, "done")
    return Readings(
        host,
        plan,
        path.name,
        found.samples,
        found.items,
        found.overheads,
        columns,
        found.attention,
        storage,
        how,
        seconds=clock() - began,
        began=began,
        left_out=(*found.left_out, *more),
        remarks=remarks,
    )


def room_for(plan: Plan) -> int:
    """Bytes of memory that measuring takes at most: what is read and in which order, the reference models; then matrices."""
    buffer = max(plan.buffer_bytes, plan.most_buffer)
    models = reference_models(plan.cache_bytes, plan.buffer_bytes).values()
    weights = sum(model.total_params * FORMATS["q8_0"].bits / 8 for model in models)
    return int(1.25 * buffer + weights + _columns_bytes(plan))


def _part(tell: Progress, start: float, end: float) -> Progress:
    return lambda share, what: tell(start + share * (end - start), what)


# ---- the last cache, and what to read as memory ----


def _look(host: Host, plan: Plan, memory: Memory, team: Team, deadline: Deadline, tell: Progress) -> Knee:
    levels = sorted(host.cache_bytes.values())

    def seconds_of(size: int) -> float:
        probe = stream_probe("read", "read", team, memory.first(size), size)
        return time_once(probe, max(1, 4 * MI // size), deadline.clock)

    def told(size: int) -> float:
        tell(min(1.0, size / plan.most_buffer), f"looking for the end of the caches: {format_capacity(size)}")
        return seconds_of(size)

    return find_knee(told, plan.most_buffer, max(levels, default=None), max(levels[:-1], default=0.0), deadline)


def found_plan(host: Host, plan: Plan, knee: Knee) -> tuple[Plan, tuple[str, ...]]:
    """The plan for the cache that was found, and what to say of it."""
    told, remarks = max(host.cache_bytes.values(), default=None), []
    cache = knee.cache_bytes
    is_seen = cache is not None and knee.is_memory
    if not is_seen or (told and 1 / AGREES < cache / told < AGREES):
        cache = min(told or UNKNOWN_CACHE, knee.largest / 2)
    else:
        cache = 2 ** (round(2 * np.log2(cache)) / 2)  # the same each time, as far as that goes
    if not knee.is_memory:
        what = f", and the system tells of a cache of {format_capacity(told)}" if told else ""
        remarks.append(
            f"reading did not get slower and then stay so up to {format_capacity(knee.largest)}{what}: the speed of the memory may be "
            "that of a cache; give profiling more seconds, and free more memory"
        )
    found = with_cache(plan, host, cache, min(plan.most_buffer, max(knee.largest, 4 * MI)))
    return replace(found, rate=knee.bytes_per_s, is_cache_seen=is_seen), tuple(remarks)


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


# ---- rounds ----


@dataclass(frozen=True)
class _Found:
    samples: dict[str, Sample]
    items: dict[int, dict[str, Sample]]
    overheads: dict[int, dict[str, Sample]]
    attention: dict[int, parts.Attention]
    left_out: tuple[str, ...]


def _rounds(
    plan: Plan, teams: dict[int, Team], ring: Ring, path: cpu.Path, deadline: Deadline, tell: Progress
) -> _Found:
    """Some passes: rounds of all probes that there is time for, then what the engine times inside itself."""
    clock, until_rounds = deadline.clock, deadline.share(1 - PARTS_SHARE)
    references = References(reference_models(plan.cache_bytes, plan.buffer_bytes), teams[plan.threads[-1]], clock)
    admitted = admit(groups_of(plan, teams, ring, references, path), until_rounds, _part(tell, 0.1, 0.3))
    rounds_s = max(0.0, until_rounds.left_s) / plan.passes
    passes = []
    for number in range(plan.passes):
        inside = _part(tell, 0.3 + 0.55 * number / plan.passes, 0.3 + 0.55 * (number + 1) / plan.passes)
        if number and deadline.left_s < rounds_s:
            break
        passes.append(_one_pass(plan, admitted, rounds_s, teams, ring, deadline, plan.passes - number, inside))
    if deadline.left_s > admitted.round_s:
        more = measure(admitted.probes, plan.rounds, clock, _part(tell, 0.84, 0.85), deadline.left_s, admitted.repeats)
        passes.append((more, {}, {}, {}))
    samples, items, overheads, attention = (_joined([each[part] for each in passes]) for part in range(4))
    missing = tuple(_missing_parts(plan, items, overheads, attention))
    return _Found(samples, items, overheads, attention, (*admitted.left_out, *missing))


def _one_pass(
    plan: Plan,
    admitted: Admitted,
    rounds_s: float,
    teams: dict[int, Team],
    ring: Ring,
    deadline: Deadline,
    passes_left: int,
    tell: Progress,
) -> tuple[dict, dict, dict, dict]:
    """Some rounds of all probes, then what the engine times inside itself; by threads where that counts."""
    rounds, clock = -(-plan.rounds // plan.passes), deadline.clock
    samples = measure(admitted.probes, rounds, clock, _part(tell, 0.0, 0.7), rounds_s, admitted.repeats)
    mine_s = (deadline.left_s - (passes_left - 1) * rounds_s) / passes_left  # for what follows, in this pass
    mine = in_seconds(max(0.0, mine_s), clock)
    items, overheads = {}, {}
    counts = _by_importance(kernel_threads(plan))
    for count in counts[:2]:
        tell(0.7, "the engine's other work")
        _measure_small(plan, teams[count], ring, mine.share(0.5), items, overheads)
    tell(0.85, "attention")
    sizes = parts.AttentionSizes(
        min(64 * MI, plan.buffer_bytes // 2),
        plan.shared_bytes,
        min(plan.part(plan.threads[-1]), LEAST_PART),
        plan.sweep_bytes,
    )
    attending = [teams[count] for count in counts]
    attention = parts.measure_attention(
        attending, ring.memory, ring, sizes, plan.part_rounds, clock, mine if len(counts) < 3 else mine.share(0.7)
    )
    for count in counts[2:]:
        _measure_small(plan, teams[count], ring, mine, items, overheads)
    return samples, items, overheads, attention


def _measure_small(plan: Plan, team: Team, ring: Ring, deadline: Deadline, items: dict, overheads: dict) -> None:
    """What a step takes beside its kernels, and what it does beside multiplying; nothing where the time is over."""
    if deadline.is_over:
        return
    sweep, count = passing_probe("sweep", "read", team, ring, plan.sweep_bytes), team.n_threads
    found = parts.measure_overheads(team, lambda: sweep.run(1), plan.small_rounds, deadline.clock, deadline.share(0.5))
    overheads[count] = found
    items[count] = parts.measure_items(team, plan.small_rounds, deadline.clock, deadline)


def _by_importance(counts: tuple[int, ...]) -> list[int]:
    """All threads, one, half of them."""
    return list(dict.fromkeys((counts[-1], counts[0], *counts)))


def _missing_parts(plan: Plan, items: dict, overheads: dict, attention: dict) -> Iterator[str]:
    everything = parts.small_models(1)
    for count in _by_importance(kernel_threads(plan)):
        with_threads = f"with {counted(count, 'thread')}"
        if count not in overheads:
            yield f"what a step takes outside its kernels, {with_threads}"
        lacking = [work for work in everything if work not in items.get(count, {})]
        if lacking:
            yield f"{', '.join(lacking)} {with_threads}"
        heads = [
            f"{queries}"
            for queries in parts.QUERIES
            if count not in attention or queries not in attention[count].speeds
        ]
        if heads:
            yield f"attention of {', '.join(heads)} heads to a key {with_threads}"


def _joined(found: list) -> dict:
    """What was found in each pass as one: mappings of samples, however deep; a later pass may have had no time for all."""
    first = found[0]
    if isinstance(first, dict):
        keys = dict.fromkeys(key for each in found for key in each)
        return {key: _joined([each[key] for each in found if key in each]) for key in keys}
    return join(found) if isinstance(first, Sample) else parts.join_attention(found)


# ---- zero inputs ----


def _columns_bytes(plan: Plan) -> int:
    """Weights of which zero inputs leave out half, such that no cache holds the others."""
    return min(plan.buffer_bytes // 2, max(2 * plan.cache_bytes, LEAST_PART), MOST_COLUMNS)


def _columns(
    plan: Plan, teams: dict[int, Team], ring: Ring, deadline: Deadline, tell: Progress
) -> tuple[dict, tuple[str, ...]]:
    columns, left_out, everyone = {}, [], plan.threads[-1]
    for number, fmt in enumerate(plan.columns):
        tell(0.86, f"{fmt} with zero inputs")
        if deadline.is_over:
            left_out.append(f"{fmt} with zero inputs")
            continue
        read = passing_probe("read", "read", teams[everyone], ring, plan.part(everyone))
        mine = deadline.share(1 / (len(plan.columns) - number))
        speeds = parts.measure_columns(
            fmt, read, teams[everyone], _columns_bytes(plan), plan.tokens, plan.part_rounds, deadline.clock, mine
        )
        columns.setdefault(everyone, {})[fmt] = speeds
    return columns, tuple(left_out)


# ---- probes, by importance ----


def groups_of(plan: Plan, teams: dict[int, Team], ring: Ring, references: References, path: cpu.Path) -> list[Group]:
    """All that is timed in rounds, what matters most first. What is compared with each other stands side by side."""
    everyone, counts, memory = plan.threads[-1], kernel_threads(plan), ring.memory
    most, few = counts[-1], _by_importance(counts)[1:]
    main = [fmt for fmt in plan.formats if fmt in MAIN_FORMATS]
    usual = [fmt for fmt in plan.formats if fmt in QUICK_FORMATS and fmt not in main]
    rare = [fmt for fmt in plan.formats if fmt not in QUICK_FORMATS]

    def reads() -> Iterator[Probe]:
        for count, team in teams.items():
            yield passing_probe(f"read {count} {plan.buffer_bytes}", "read", team, ring, plan.part(count))

    def peaks(count: int) -> list[Probe]:
        return [peak_probe(f"peak {kind} {count}", kind, teams[count], path) for kind in ("f32", "int8")]

    def sets(count: int, is_large: bool) -> list[Probe]:
        sizes = [size for size in plan.sizes[:-1] if (size > LARGE_SET) == is_large]
        probes = [stream_probe(f"read {count} {size}", "read", teams[count], memory, size) for size in sizes]
        return [replace(probe, is_warmed=True) for probe in probes]

    def looks(count: int) -> list[Probe]:
        found = references.probes_of(teams[count])
        return [replace(probe, name=f"reference {count} {name}") for name, probe in found.items()]

    def others() -> Iterator[Probe]:
        for count, team in teams.items():
            for kind in KINDS.keys() - {"read"}:
                yield passing_probe(f"{kind} {count}", kind, team, ring, plan.part(count))
            if count not in (1, everyone):
                yield from peaks(count)

    def kernels(count: int, fmt: str) -> Group:
        what = f"the kernels of {fmt} with {counted(count, 'thread')}"
        return Group(what, lambda: list(_kernel_probes(plan, teams[count], ring, path, fmt)))

    def begin(count: int) -> list[Group]:
        if count == everyone:
            return []
        return [
            Group(
                f"caches, peaks and reference models with {counted(count, 'thread')}",
                lambda: [
                    *(peaks(count) if count == 1 else []),
                    *(sets(count, False) if count == 1 else []),
                    *looks(count),
                ],
            )
        ]

    threads = counted(everyone, "thread")
    groups = [
        Group("reading memory", lambda: [*reads(), *peaks(everyone)]),
        *(kernels(most, fmt) for fmt in main[:1]),
        Group(f"reading from caches with {threads}", lambda: sets(everyone, False)),
        Group(f"reference models with {threads}", lambda: looks(everyone)),
        *(kernels(most, fmt) for fmt in main[1:]),
    ]
    for count in few[:1]:
        groups += [*begin(count), *(kernels(count, fmt) for fmt in main)]
    groups += [kernels(most, fmt) for fmt in usual]
    groups.append(Group("writing, copying and adding", lambda: list(others())))
    for count in few[1:]:
        groups += [*begin(count), *(kernels(count, fmt) for fmt in main)]
    groups += [kernels(count, fmt) for count in few for fmt in usual]
    groups += [kernels(count, fmt) for count in (most, *few) for fmt in rare]
    team = teams[everyone]
    groups.append(
        Group(
            "blocks in random order",
            lambda: [random_probe(f"random {block}", team, memory, block, RANDOM_BYTES) for block in BLOCKS],
        )
    )
    if any(size > LARGE_SET for size in plan.sizes[:-1]):
        large = f"working sets of more than {format_capacity(LARGE_SET)}"
        groups += [Group(f"{large} with {n}", lambda n=n: sets(n, True)) for n in dict.fromkeys((everyone, 1))]
    return groups


def _kernel_probes(plan: Plan, team: Team, ring: Ring, path: cpu.Path, fmt: str) -> Iterator[Probe]:
    """A format's kernel in a core's own cache, in the shared one and in memory, each beside a pure read."""
    count, memory, part = team.n_threads, ring.memory, plan.part(team.n_threads)
    if fmt == LOOK_FORMAT:
        for where in ("memory", "pieces"):
            yield passing_kernel_probe(f"start {count} {where}", fmt, 1, team, path, ring, part, where)
        for where in ("shared", "shared pieces"):
            yield kernel_probe(f"start {count} {where}", fmt, 1, team, path, memory[: plan.shared_bytes], where)
    for where, nbytes in (("cached", plan.cached_bytes), ("shared", plan.shared_bytes)):
        yield stream_probe(f"pair {count} {fmt} {where}", "read", team, memory, nbytes)
        for n in plan.tokens:
            yield kernel_probe(f"{where} {count} {fmt} {n}", fmt, n, team, path, memory[:nbytes], where)
    yield passing_probe(f"pair {count} {fmt} memory", "read", team, ring, part)
    for n in plan.tokens:
        yield passing_kernel_probe(f"memory {count} {fmt} {n}", fmt, n, team, path, ring, part, "memory")


def kernel_threads(plan: Plan) -> tuple[int, ...]:
    """Counts of threads that kernels are timed with: one, half of them, and all."""
    everyone = plan.threads[-1]
    return tuple(count for count in plan.threads if count in (1, everyone // 2, everyone))
