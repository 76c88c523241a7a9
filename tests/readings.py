"""Machines that were never measured: hosts of all sorts, and what a formula says would have been timed on them."""

import math
from datetime import datetime

from simulator.machine.host import Cache, Host
from simulator.probe.attention import QUERIES, Attention
from simulator.probe.clock import Sample
from simulator.probe.columns import Columns
from simulator.probe.describe import hardware_fields
from simulator.probe.groups import BLOCKS, RANDOM_BYTES
from simulator.probe.items import small_models
from simulator.probe.kernels import matrix_sizes
from simulator.probe.part_speed import PartSpeed
from simulator.probe.plan import MAIN_FORMATS, QUICK_SECONDS, SECONDS, Plan, kernel_threads, make_plan
from simulator.probe.readings import Readings
from simulator.units import GI, KI, MI

PI5 = Host(
    n_threads=4,
    cpu="Cortex-A76",
    vendor="arm",
    architecture="aarch64",
    board="Raspberry Pi 5 Model B Rev 1.0",
    n_cores=4,
    caches=(Cache("L1 data", 64 * KI, 4), Cache("L2", 512 * KI, 4), Cache("L3", 2 * MI, 1)),
    memory_bytes=8 * GI,
    available_bytes=7 * GI,
    memory_type="LPDDR4X",
    device_class="sbc",
)
SERVER = Host(
    n_threads=96,
    cpu="AMD EPYC 9654 96-Core Processor",
    vendor="amd",
    n_cores=96,
    caches=(Cache("L1 data", 32 * KI, 96), Cache("L2", MI, 96), Cache("L3", 32 * MI, 12)),
    memory_bytes=384 * GI,
    available_bytes=380 * GI,
    device_class="server-cpu",
)
HOSTS = {
    "pi5": PI5,
    "one core": Host(n_threads=1, caches=(Cache("L1 data", 32 * KI, 1), Cache("L2", 256 * KI, 1)), memory_bytes=2 * GI),
    "server": SERVER,
    "unknown": Host(n_threads=2),
    "small": Host(n_threads=4, n_cores=4, caches=PI5.caches, memory_bytes=GI, available_bytes=600 * MI),
    "nearly full": Host(
        n_threads=2, n_cores=2, memory_bytes=GI, available_bytes=100 * MI,
        caches=(Cache("L1 data", 64 * KI, 2), Cache("L2", 512 * KI, 2), Cache("L3", 2 * MI, 1)),
    ),
    "quota": Host(
        n_threads=8, n_cores=8, cpu_quota=2.5, memory_bytes=4 * GI, available_bytes=3 * GI,
        caches=(Cache("L1 data", 32 * KI, 8), Cache("L2", MI, 8), Cache("L3", 32 * MI, 1)),
    ),
    "hybrid": Host(
        n_threads=20, n_cores=14, memory_bytes=32 * GI, available_bytes=30 * GI, device_class="laptop-cpu",
        caches=(Cache("L1 data", 48 * KI, 6), Cache("L1 data", 32 * KI, 8), Cache("L2", 2 * MI, 2), Cache("L2", MI, 6),
                Cache("L3", 24 * MI, 1)),
    ),
}  # fmt: skip

# A normal variable's values at 10, 25, 50, 75 and 90 %: their spread, by quartiles, is 1 and their mean 0.
QUANTILES = (0.6745, -1.2816, 0.0, 1.2816, -0.6745)
RATES = (100e9, 60e9, 30e9, 25e9)  # bytes a second of each thread, from the nearest cache on


def timed(seconds, noise=0.0, **amount):
    """Five timings around *seconds* that scatter by *noise*."""
    return Sample(tuple(seconds * math.exp(noise * z) for z in QUANTILES), **amount)


def bytes_per_s(host, threads, size):
    """Of reading: from the nearest level of caches whose part for so many threads holds the working set, or from memory."""
    for (name, nbytes), rate in zip(host.cache_bytes.items(), RATES, strict=False):
        n = max(cache.n for cache in host.caches if cache.name == name)
        if size <= nbytes * (min(1.0, threads / host.n_threads) if n > 1 else 1.0):
            return rate * threads
    return 20e9 * threads / (threads + 1)


def readings_of(host, quick=True, threads=None, plan=None, noise=0.02, seen=None, faster=1.0, **more) -> Readings:
    """All that would be timed.

    Args:
        plan: what is measured, if not what suits the host.
        noise: spread of what is read from memory; half of it elsewhere.
        seen: the host whose caches are felt, where its system tells other ones.
        faster: factor of all speeds.
        more: other fields of the readings.
    """
    felt, half = seen or host, noise / 2
    plan = plan or make_plan(host, QUICK_SECONDS if quick else SECONDS, threads)
    everyone, counts = plan.threads[-1], kernel_threads(plan)
    samples = {}

    def read(name, count, size, part=1.0):
        scatter = noise if size == plan.buffer_bytes else half
        samples[name] = timed(size / bytes_per_s(felt, count, size) / part / faster, scatter, bytes=size)

    for count in plan.threads:
        for size in plan.sizes if count in (1, everyone) else plan.sizes[-1:]:
            read(f"read {count} {size}", count, size)
        for kind, part in (("write", 0.8), ("copy", 0.9), ("triad", 0.95)):
            read(f"{kind} {count}", count, plan.buffer_bytes, part)
        for kind, rate in (("f32", 50e9), ("int8", 200e9)):
            samples[f"peak {kind} {count}"] = timed(1e9 / (rate * count * faster), half, flops=1e9)
    for block in BLOCKS:
        seconds = RANDOM_BYTES / (20e9 * block / (block + 1000) * faster)
        samples[f"random {block}"] = timed(seconds, half, bytes=RANDOM_BYTES)
    for count in counts:
        _add_kernels(samples, plan, felt, count, faster, half)
    return Readings(
        host,
        plan,
        "portable",
        samples,
        items={count: {work: timed(5e-9 / faster, half) for work in small_models(1)} for count in counts},
        overheads={count: _overheads(count, faster, half) for count in counts},
        columns={everyone: {fmt: _columns(plan, everyone, faster, half) for fmt in plan.columns}},
        attention={count: _attention(plan, count, faster, half) for count in counts},
        storage=timed(0.5 / faster, half, bytes=64 * MI),
        storage_how="past the page cache (O_DIRECT)",
        seconds=17.3,
        **more,
    )


def _add_kernels(samples, plan, felt, count, faster, noise):
    everyone = plan.threads[-1]
    sets = {"cached": plan.cached_bytes, "shared": plan.shared_bytes, "memory": plan.buffer_bytes}
    for where, matrix in matrix_sizes(plan.shared_bytes).items():
        if where != "cached":
            size = sets[where.replace("pieces", "").strip() or "memory"]
            seconds = size / bytes_per_s(felt, count, size) / faster + size / matrix * 2e-6
            samples[f"start {count} {where}"] = timed(seconds, noise, bytes=size)
    for fmt in plan.formats:
        for where, size in sets.items():
            pure = size / bytes_per_s(felt, count, size) / faster
            samples[f"pair {count} {fmt} {where}"] = timed(pure, noise, bytes=size)
            many = [plan.many_tokens] if fmt in MAIN_FORMATS or count == everyone else []
            for n in (*plan.tokens, *many):
                flops = 2.0 * size * n
                seconds = max(pure / 0.9, flops / (40e9 * count * min(n, 4) * faster))
                samples[f"{where} {count} {fmt} {n}"] = timed(seconds, noise, bytes=size, flops=flops)
        for name in ("large 1", "large 16", "small 1", "small 16"):
            samples[f"reference {count} {name}"] = timed(5e-3 / count / faster, noise, at=(1.0, 2.0, 3.0, 4.0, 5.5))


def _overheads(count, faster, noise):
    seconds = {"phase": 1e-6 * count, "step": 1e-4, "token": 1e-6, "cold step": 3e-4, "cold token": 4e-6}
    seconds |= {"shared step": 2e-4, "shared token": 2e-6}
    return {name: timed(each / faster, noise) for name, each in seconds.items()}


def _columns(plan, count, faster, noise):
    read = timed(plan.buffer_bytes / 15e9 / faster, noise, bytes=plan.buffer_bytes)
    start = timed(5e-6 / faster, noise)
    speeds = {
        n: PartSpeed(timed(1e-3 / faster, noise, flops=2e7 * n * count), (0.5,) * 5, read, start=start)
        for n in plan.tokens
    }
    return Columns(speeds, speeds)


def _attention(plan, count, faster, noise):
    read = timed(plan.buffer_bytes / 15e9 / faster, noise, bytes=plan.buffer_bytes)
    speeds = {
        n: PartSpeed(
            timed(1e-4 / faster, noise, flops=1e6 * n * count),
            (0.4,) * 5,
            read,
            (0.5,) * 5,
            again=timed(8e-5 / faster, noise, flops=1e6 * n * count),
        )
        for n in QUERIES
    }
    return Attention(speeds, timed(1e-6 / faster, noise))


WHEN = datetime(2026, 11, 23, 4, 5)


def described(host=PI5, **how):
    """The fields of a host's file, of its readings as `readings_of` makes them."""
    return hardware_fields(readings_of(host, **how), "mine", WHEN)


def remarks_on(host, **how):
    """What is remarked on in a host's file."""
    return described(host, **how)["runs"][-1]["notes"]


def figure_of(value, spread=0.1, count=5, **more):
    """A figure as profiling writes it."""
    return {"value": value, "provenance": "measured", "source": "profile", "spread": spread, "count": count, **more}


def tiny_plan(**changes) -> Plan:
    """What can be measured in two seconds: two threads, a MiB of memory, two formats."""
    small = {"threads": (1, 2), "sizes": (16 * KI, 64 * KI, 256 * KI, MI), "buffer_bytes": MI, "cache_bytes": 256 * KI}
    small |= {"cached_bytes": 128 * KI, "shared_bytes": 512 * KI, "formats": ("f32", "q8_0"), "columns": ("q8_0",)}
    small |= {
        "tokens": (1, 2),
        "many_tokens": 4,
        "budget_s": 120.0,
        "rounds": 3,
        "passes": 1,
        "small_rounds": 1,
        "part_rounds": 1,
    }
    return Plan(**{**small, "storage_bytes": 16 * MI, **changes})
