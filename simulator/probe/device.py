"""Everything that is timed on a machine to know it: which probes, over which sizes and thread counts, in which order."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from simulator.engine import cpu
from simulator.engine.formats import LAYOUTS
from simulator.engine.team import Team
from simulator.engine.weights import check_room
from simulator.host import Host
from simulator.probe import parts
from simulator.probe.bandwidth import KINDS, random_probe, stream_probe
from simulator.probe.clock import Clock, Probe, Progress, Sample, calibrate, join, measure
from simulator.probe.compute import peak_probe
from simulator.probe.kernels import LOOK_FORMAT, filled, kernel_probe
from simulator.probe.reference import References, reference_models
from simulator.probe.storage import measure_storage
from simulator.quant import FORMATS
from simulator.units import KI, MI

SMALLEST = 16 * KI  # working set
LEAST_BUFFER = 64 * MI  # what is read as main memory, unless there is less memory
MOST_BUFFER = 4096 * MI
UNKNOWN_CACHE = 32 * MI  # where the system does not tell
UNKNOWN_MEMORY = 512 * MI
LEAST_CACHED = 128 * KI  # weights: 16 rows of float32
BLOCKS = (64, 256, 1024, 4096, 16 * KI, 64 * KI)  # bytes, read in random order
TOKENS = (1, 2, 4, 8, 16)  # at once
RANDOM_BYTES = 4 * MI  # a sample
QUICK_FORMATS = ("q8_0", "q4_0", "q4_k", "q6_k", "f16", "bf16", "f32")
COLUMN_FORMATS = ("q8_0", "q4_0")  # Q-Sparse
MOST_ROUNDS = 60


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
    budget_s: float = 30.0
    rounds: int = MOST_ROUNDS
    passes: int = 3  # so often everything is begun anew, so that no figure rests on one moment
    small_rounds: int = 3
    part_rounds: int = 2
    storage_bytes: int = 256 * MI


@dataclass(frozen=True)
class Readings:
    """What was timed on a machine."""

    host: Host
    plan: Plan
    path: str  # of the engine's kernels
    samples: dict[str, Sample]
    items: dict[int, dict[str, Sample]] = field(default_factory=dict)  # seconds of one, by threads and kind of work
    overheads: dict[int, dict[str, Sample]] = field(default_factory=dict)
    columns: dict[int, dict[str, dict[int, parts.PartSpeed]]] = field(default_factory=dict)  # threads, format, tokens
    attention: dict[int, parts.Attention] = field(default_factory=dict)  # by threads
    storage: Sample | None = None
    storage_how: str = ""
    seconds: float = 0.0

    @property
    def rounds(self) -> int:
        """How often everything was timed."""
        return max(sample.count for sample in self.samples.values())


def make_plan(host: Host, quick: bool = False, threads: int | None = None) -> Plan:
    """What suits a machine: sizes up to four times its last cache, as far as its memory goes, and threads as its quota allows."""
    last = max(host.cache_bytes.values(), default=UNKNOWN_CACHE)
    everyone = threads or max(1, int(min(host.n_threads, host.cpu_quota or host.n_threads)))
    free = host.available_bytes or UNKNOWN_MEMORY
    buffer = int(min(max(4 * last, LEAST_BUFFER), MOST_BUFFER, max(4 * MI, free / 8))) // 4096 * 4096
    n_sizes = int(np.floor(np.log2(buffer / SMALLEST) * 2)) + 1
    sizes = [int(SMALLEST * 2 ** (number / 2)) // 4096 * 4096 for number in range(n_sizes)]
    own = [cache.nbytes_each for cache in host.caches if cache.name == "L2"]
    return Plan(
        threads=_thread_counts(everyone),
        sizes=tuple(dict.fromkeys([*sizes, buffer])),
        buffer_bytes=buffer,
        cache_bytes=int(last),
        cached_bytes=min(max(LEAST_CACHED, int(0.4 * own[0])) if own else 256 * KI, buffer),
        shared_bytes=min(max(int(last / 6), 512 * KI), buffer) // 4096 * 4096,
        formats=QUICK_FORMATS if quick else tuple(LAYOUTS),
        columns=COLUMN_FORMATS[:1] if quick else COLUMN_FORMATS,
        budget_s=5.0 if quick else 30.0,
        passes=1 if quick else 3,
        storage_bytes=(64 if quick else 256) * MI,
    )


def _thread_counts(n_threads: int) -> tuple[int, ...]:
    """All counts of a few cores; of more, powers of two, half of them and all."""
    if n_threads <= 4:
        return tuple(range(1, n_threads + 1))
    powers = [2**power for power in range(16) if 2**power < n_threads]
    return tuple(sorted({*powers, n_threads // 2, n_threads}))


def read_device(
    host: Host,
    plan: Plan,
    folder: Path | None,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
) -> Readings:
    """Everything in the plan; *folder* is where a test file for the disk may lie, None to leave the disk out."""
    start = time.perf_counter()
    tell = progress or (lambda _share, _what: None)
    path = cpu.choose()
    check_room("profiling needs", room_for(plan))
    tell(0.0, "preparing")
    with ExitStack() as stack:
        teams = {}
        for count in plan.threads:
            teams[count] = Team(count)
            stack.callback(teams[count].close)
        memory = filled(plan.buffer_bytes)
        tell(0.02, "compiling kernels (only the first time)")
        probes = device_probes(plan, teams, memory, path)
        for count in kernel_threads(plan):
            references = References(reference_models(plan.cache_bytes, plan.buffer_bytes), teams[count], clock)
            probes += [replace(probe, name=f"reference {count} {name}") for name, probe in references.probes.items()]
        repeats = calibrate(probes, clock)
        passes = []
        for number in range(plan.passes):
            inside = _part(tell, 0.1 + 0.75 * number / plan.passes, 0.1 + 0.75 * (number + 1) / plan.passes)
            passes.append(_one_pass(plan, probes, repeats, memory, inside, clock))
    samples, items, overheads, attention = (_joined([each[part] for each in passes]) for part in range(4))
    columns = {}
    for fmt in plan.columns:
        tell(0.86, f"{fmt} with zero inputs")
        everyone = plan.threads[-1]
        speeds = parts.measure_columns(fmt, everyone, memory, plan.tokens, plan.part_rounds, clock)
        columns.setdefault(everyone, {})[fmt] = speeds
    tell(0.9, "the disk")
    storage, how = None, "not measured"
    if folder is not None:
        storage, how = measure_storage(folder, plan.storage_bytes, 3, clock)
    tell(1.0, "done")
    seconds = time.perf_counter() - start
    return Readings(host, plan, path.name, samples, items, overheads, columns, attention, storage, how, seconds)


def room_for(plan: Plan) -> int:
    """Bytes of memory that measuring takes at most: what is read, and models for each team; then matrices as large."""
    models = reference_models(plan.cache_bytes, plan.buffer_bytes).values()
    weights = sum(model.total_params * FORMATS["q8_0"].bits / 8 for model in models)
    return int(2.2 * plan.buffer_bytes + len(kernel_threads(plan)) * weights)  # 0.2: the order of blocks read at random


def _one_pass(
    plan: Plan, probes: list[Probe], repeats: dict[str, int], memory: np.ndarray, tell: Progress, clock: Clock
) -> tuple[dict, dict, dict, dict]:
    """Some rounds of all probes, then what the engine times inside itself; by threads where that counts."""
    rounds, budget_s = -(-plan.rounds // plan.passes), plan.budget_s / plan.passes
    samples = measure(probes, rounds, clock, _part(tell, 0.0, 0.7), budget_s, repeats)
    counts = kernel_threads(plan)
    tell(0.7, "the engine's other work")
    items = {count: parts.measure_items(count, plan.small_rounds, clock) for count in counts}
    overheads = {count: parts.measure_overheads(count, memory, plan.small_rounds, clock) for count in counts}
    tell(0.85, "attention")
    attention = {
        count: parts.measure_attention(count, memory, plan.shared_bytes, plan.part_rounds, clock) for count in counts
    }
    return samples, items, overheads, attention


def _joined(found: list) -> dict:
    """What was found in each pass as one: mappings of samples, however deep."""
    first = found[0]
    if isinstance(first, dict):
        return {key: _joined([each[key] for each in found]) for key in first}
    return join(found) if isinstance(first, Sample) else parts.join_attention(found)


def _part(tell: Progress, start: float, end: float) -> Progress:
    return lambda share, what: tell(start + share * (end - start), what)


def device_probes(plan: Plan, teams: dict[int, Team], memory: np.ndarray, path: cpu.Path) -> list[Probe]:
    """All that is timed in rounds. What is compared with each other stands side by side."""
    everyone = plan.threads[-1]
    probes = []
    for count in dict.fromkeys((1, everyone)):
        team = teams[count]
        for size in plan.sizes[:-1]:
            probes.append(stream_probe(f"read {count} {size}", "read", team, memory, size))
        probes += [peak_probe(f"peak {kind} {count}", kind, team, path) for kind in ("f32", "int8")]
    for count, team in teams.items():
        for kind in KINDS:
            name = f"read {count} {plan.buffer_bytes}" if kind == "read" else f"{kind} {count}"
            probes.append(stream_probe(name, kind, team, memory, plan.buffer_bytes))
        if count not in (1, everyone):
            probes += [peak_probe(f"peak {kind} {count}", kind, team, path) for kind in ("f32", "int8")]
    team = teams[everyone]
    for block in BLOCKS:
        probes.append(random_probe(f"random {block}", team, memory, block, RANDOM_BYTES))
    sets = {"cached": plan.cached_bytes, "shared": plan.shared_bytes, "memory": plan.buffer_bytes}
    for count in kernel_threads(plan):
        for where in ("memory", "pieces", "shared", "shared pieces"):
            weights = memory[: plan.shared_bytes] if where.startswith("shared") else memory
            probes.append(kernel_probe(f"start {count} {where}", LOOK_FORMAT, 1, teams[count], path, weights, where))
        for fmt in plan.formats:
            for where, nbytes in sets.items():
                weights = memory[:nbytes]
                probes.append(stream_probe(f"pair {count} {fmt} {where}", "read", teams[count], memory, nbytes))
                for n in plan.tokens:
                    name = f"{where} {count} {fmt} {n}"
                    probes.append(kernel_probe(name, fmt, n, teams[count], path, weights, where))
    return probes


def kernel_threads(plan: Plan) -> tuple[int, ...]:
    """Counts of threads that kernels are timed with: one, half of them, and all."""
    everyone = plan.threads[-1]
    return tuple(count for count in plan.threads if count in (1, everyone // 2, everyone))
