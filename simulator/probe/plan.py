"""What to time on a machine: working sets, counts of threads, formats, within a budget of seconds and of memory.

How much that is rests on the last cache: as the system tells it at first, and as it was found once memory has been read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from simulator.machine.host import Host
from simulator.machine.threads import usual_threads
from simulator.probe.kernels import MATRIX_BYTES
from simulator.probe.knee import AGREES, SMALLEST, Knee
from simulator.probe.reference import reference_models
from simulator.spec.quant import FORMATS
from simulator.units import GI, KI, MI, format_capacity

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
MOST_COLUMNS = 32 * MI
LEAST_PART = 16 * MI
SWEEP_S = 0.05  # of reading so much that the caches hold nothing else
TOKENS = (1, 2, 4, 8, 16)  # at once
MANY_TOKENS = 64  # of a prompt: each weight that was read serves all of them from a core's own cache
MAIN_FORMATS = ("q8_0", "q4_0")
QUICK_FORMATS = (*MAIN_FORMATS, "q4_k", "q6_k", "f16", "bf16", "f32")
RARE_FORMATS = ("iq4_xs", "mxfp4", "q5_k", "q4_1", "q5_0")  # all others would leave each too little time
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
    many_tokens: int = MANY_TOKENS
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


def make_plan(host: Host, seconds: float = SECONDS, threads: int | None = None) -> Plan:
    """What suits a machine, as far as its system tells of it: where its last cache ends is still to be found."""
    told = max(host.cache_bytes.values(), default=UNKNOWN_CACHE)
    is_short = seconds < SHORT_SECONDS
    room = (host.available_bytes or (host.memory_bytes or 0) / 2 or UNKNOWN_MEMORY) * FREE_SHARE
    most = int(min(max(room / 2, 4 * MI), MOST_SHORT_BUFFER if is_short else MOST_BUFFER)) // MI * MI
    plan = Plan(
        threads=_thread_counts(threads or usual_threads(host)),
        sizes=(),
        buffer_bytes=0,
        cache_bytes=0,
        cached_bytes=0,
        shared_bytes=0,
        formats=QUICK_FORMATS if is_short else (*QUICK_FORMATS, *RARE_FORMATS),
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


def kernel_threads(plan: Plan) -> tuple[int, ...]:
    """Counts of threads that kernels are timed with: one, half of them, and all."""
    everyone = plan.threads[-1]
    return tuple(count for count in plan.threads if count in (1, everyone // 2, everyone))


def by_importance(counts: tuple[int, ...]) -> list[int]:
    """Of `kernel_threads`: all threads, one, half of them."""
    return list(dict.fromkeys((counts[-1], counts[0], *counts)))


def room_for(plan: Plan) -> int:
    """Bytes of memory that measuring takes at most: what is read and in which order, the reference models; then matrices."""
    buffer = max(plan.buffer_bytes, plan.most_buffer)
    models = reference_models(plan.cache_bytes, plan.buffer_bytes).values()
    weights = sum(model.total_params * FORMATS["q8_0"].bits / 8 for model in models)
    return int(1.25 * buffer + weights + columns_bytes(plan))


def columns_bytes(plan: Plan) -> int:
    """Weights of which zero inputs leave out half."""
    return min(plan.buffer_bytes // 2, max(plan.cache_bytes, LEAST_PART), MOST_COLUMNS)
