"""All that profiling runs, compiled before its clock starts: on a machine that has not compiled it yet, that takes a minute or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import numpy as np

from simulator.engine import cpu
from simulator.engine.team import Team
from simulator.probe.attention import QUERIES, attention_engine
from simulator.probe.bandwidth import KINDS, random_probe, stream_probe
from simulator.probe.columns import columns_engine
from simulator.probe.compute import peak_probe
from simulator.probe.fastest_path import remember_fastest
from simulator.probe.items import small_engine, small_models
from simulator.probe.kernels import filled, kernel_probe
from simulator.probe.plan import Plan
from simulator.probe.reference import References, reference_models
from simulator.progress import Progress
from simulator.units import KI, MI

_ROOM = MI // 2  # bytes that are read on the way


def compile_all(plan: Plan, tell: Progress) -> None:
    """Whatever the plan runs, once, on as little as it takes; before it, which path that is, where nothing is remembered of it."""
    if cpu.measured() is None:
        remember_fastest(lambda what: tell(0.0, what))
    with closing(Team(1)) as team:
        jobs = list(_jobs(plan, team, filled(_ROOM)))
        for number, (what, job) in enumerate(jobs):
            tell(number / len(jobs), what)
            job()
    tell(1.0, "done")


def _jobs(plan: Plan, team: Team, memory: np.ndarray) -> Iterator[tuple[str, Callable[[], object]]]:
    path = cpu.choose()
    for kind in KINDS:
        yield kind, partial(_run, stream_probe, kind, kind, team, memory, 64 * KI)
    yield "random blocks", partial(_run, random_probe, "random", team, memory, 64, 64 * KI)
    for kind in ("f32", "int8"):
        yield f"multiply-adds of {kind}", partial(_run, peak_probe, kind, kind, team, path)
    for fmt in plan.formats:
        yield f"the kernel of {fmt}", partial(_run, kernel_probe, fmt, fmt, 1, team, path, memory, "cached")
    yield "a decode step", lambda: References(reference_models(MI, MI), team).seconds()
    for work, small in small_models(1).items():
        yield f"a step for {work}", partial(_decode, small_engine, small, team)
    for fmt in plan.columns:
        yield f"{fmt} with zero inputs", partial(_decode, columns_engine, fmt, team, 512, 512, 2)
    for queries in QUERIES:
        yield f"attention of {queries} heads to a key", partial(_decode, attention_engine, queries, team, 2, 64)


def _run(make: Callable, *arguments: object) -> None:
    make(*arguments).run(1)


def _decode(make: Callable, *arguments: object) -> None:
    with make(*arguments) as engine:
        engine.decode(np.zeros(1, np.int64))
