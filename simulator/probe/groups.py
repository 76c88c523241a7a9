"""What is timed in rounds, in groups that are timed together or not at all, what matters most first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from simulator.engine import cpu
from simulator.engine.team import Team
from simulator.probe.bandwidth import KINDS, passing_probe, random_probe, stream_probe
from simulator.probe.clock import Group, Probe
from simulator.probe.compute import peak_probe
from simulator.probe.kernels import LOOK_FORMAT, MATRIX_BYTES, kernel_probe, passing_kernel_probe
from simulator.probe.memory import Ring
from simulator.probe.plan import MAIN_FORMATS, QUICK_FORMATS, Plan, by_importance, kernel_threads
from simulator.probe.reference import References
from simulator.units import KI, MI, counted, format_capacity

LARGE_SET = 64 * MI  # working sets beyond take long to read, and tell little
BLOCKS = (64, 256, 1024, 4096, 16 * KI, 64 * KI)  # bytes, read in random order
RANDOM_BYTES = 4 * MI  # a sample


@dataclass(frozen=True)
class Rig:
    """A plan with what carries it out."""

    plan: Plan
    teams: dict[int, Team]  # by their threads
    ring: Ring  # all of the memory that is read
    path: cpu.Path  # of the engine's kernels

    @property
    def everyone(self) -> Team:
        """All threads."""
        return self.teams[self.plan.threads[-1]]

    @property
    def memory(self) -> np.ndarray:
        """What the ring goes over: uint8."""
        return self.ring.memory


def groups_of(rig: Rig, references: References) -> list[Group]:
    """All that is timed in rounds, what matters most first. What is compared with each other stands side by side."""
    formats, (most, *fewer) = rig.plan.formats, by_importance(kernel_threads(rig.plan))
    main = [fmt for fmt in formats if fmt in MAIN_FORMATS]
    usual = [fmt for fmt in formats if fmt in QUICK_FORMATS and fmt not in main]
    rare = [fmt for fmt in formats if fmt not in QUICK_FORMATS]

    def begin(count: int) -> list[Group]:
        return [_caches_peaks_and_references(rig, references, count), *(_kernels(rig, count, fmt) for fmt in main)]

    groups = _first_groups(rig, references, main)
    for count in fewer[:1]:
        groups += begin(count)
    groups += [_many(rig, most, fmt) for fmt in main]
    groups += [_kernels(rig, most, fmt) for fmt in usual]
    groups.append(Group("writing, copying and adding", lambda: list(_writing(rig))))
    for count in fewer[1:]:
        groups += begin(count)
    groups += [_kernels(rig, count, fmt) for count in fewer for fmt in usual]
    groups += [_many(rig, most, fmt) for fmt in usual] + [_many(rig, count, fmt) for count in fewer for fmt in main]
    groups += [_kernels(rig, count, fmt) for count in (most, *fewer) for fmt in rare]
    groups += [_many(rig, most, fmt) for fmt in rare]
    return [*groups, Group("blocks in random order", lambda: _blocks(rig)), *_large_sets(rig)]


def _first_groups(rig: Rig, references: References, main: list[str]) -> list[Group]:
    """What no measuring is without, with all threads."""
    everyone = rig.everyone.n_threads
    threads = counted(everyone, "thread")
    return [
        Group("reading memory", lambda: [*_reads(rig), *_peaks(rig, everyone)]),
        *(_kernels(rig, everyone, fmt) for fmt in main[:1]),
        Group(f"reading from caches with {threads}", lambda: _sets(rig, everyone, is_large=False)),
        Group(f"reference models with {threads}", lambda: _references(rig, references, everyone)),
        *(_kernels(rig, everyone, fmt) for fmt in main[1:]),
    ]


def _caches_peaks_and_references(rig: Rig, references: References, count: int) -> Group:
    """What is measured first with fewer than all threads."""

    def build() -> list[Probe]:
        of_one = [*_peaks(rig, count), *_sets(rig, count, is_large=False)] if count == 1 else []
        return [*of_one, *_references(rig, references, count)]

    return Group(f"caches, peaks and reference models with {counted(count, 'thread')}", build)


def _kernels(rig: Rig, count: int, fmt: str) -> Group:
    what = f"the kernels of {fmt} with {counted(count, 'thread')}"
    return Group(what, lambda: list(_kernel_probes(rig, rig.teams[count], fmt)))


def _many(rig: Rig, count: int, fmt: str) -> Group:
    plan, team, path = rig.plan, rig.teams[count], rig.path
    n, part = plan.many_tokens, min(plan.part(count), MATRIX_BYTES)  # it computes: what it reads need not be much

    def build() -> list[Probe]:
        places = (("cached", plan.cached_bytes), ("shared", plan.shared_bytes))
        return [
            *(
                kernel_probe(f"{where} {count} {fmt} {n}", fmt, n, team, path, rig.memory[:nbytes], where)
                for where, nbytes in places
            ),
            passing_kernel_probe(f"memory {count} {fmt} {n}", fmt, n, team, path, rig.ring, part, "memory"),
        ]

    return Group(f"the kernels of {fmt} for {n} tokens with {counted(count, 'thread')}", build)


def _large_sets(rig: Rig) -> list[Group]:
    if all(size <= LARGE_SET for size in rig.plan.sizes[:-1]):
        return []
    counts = dict.fromkeys((rig.everyone.n_threads, 1))
    large = f"working sets of more than {format_capacity(LARGE_SET)}"
    return [Group(f"{large} with {count}", partial(_sets, rig, count, is_large=True)) for count in counts]


def _reads(rig: Rig) -> Iterator[Probe]:
    plan = rig.plan
    for count, team in rig.teams.items():
        yield passing_probe(f"read {count} {plan.buffer_bytes}", "read", team, rig.ring, plan.part(count))


def _peaks(rig: Rig, count: int) -> list[Probe]:
    return [peak_probe(f"peak {kind} {count}", kind, rig.teams[count], rig.path) for kind in ("f32", "int8")]


def _sets(rig: Rig, count: int, *, is_large: bool) -> list[Probe]:
    """Reading each working set short of all the memory."""
    sizes = [size for size in rig.plan.sizes[:-1] if (size > LARGE_SET) == is_large]
    probes = [stream_probe(f"read {count} {size}", "read", rig.teams[count], rig.memory, size) for size in sizes]
    return [replace(probe, is_warmed=True) for probe in probes]


def _references(rig: Rig, references: References, count: int) -> list[Probe]:
    found = references.probes_of(rig.teams[count])
    return [replace(probe, name=f"reference {count} {name}") for name, probe in found.items()]


def _writing(rig: Rig) -> Iterator[Probe]:
    """What writes memory, and peaks with those counts of threads that no other group has them of."""
    for count, team in rig.teams.items():
        for kind in (kind for kind in KINDS if kind != "read"):
            yield passing_probe(f"{kind} {count}", kind, team, rig.ring, rig.plan.part(count))
        if count not in (1, rig.everyone.n_threads):
            yield from _peaks(rig, count)


def _blocks(rig: Rig) -> list[Probe]:
    return [random_probe(f"random {block}", rig.everyone, rig.memory, block, RANDOM_BYTES) for block in BLOCKS]


def _kernel_probes(rig: Rig, team: Team, fmt: str) -> Iterator[Probe]:
    """A format's kernel in a core's own cache, in the shared one and in memory, each beside a pure read."""
    plan, path, ring, memory, count = rig.plan, rig.path, rig.ring, rig.memory, team.n_threads
    part = plan.part(count)
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
