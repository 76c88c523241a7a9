"""Which vector instructions this processor has, and which of our kernels' paths therefore runs here."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import lru_cache

from simulator.engine.remembered import recall, remember
from simulator.errors import InputError, hint, printable
from simulator.machine.read import read_host

VARIABLE = "ROOFCAST_CPU_PATH"  # of the environment, names a path
LEAST_GAIN = 0.03  # by which a path is faster than the usual one to be taken in its stead
_NAME = "cpu-path"  # of what is remembered


@dataclass(frozen=True)
class Path:
    """One way to write the kernels: the instruction for the int8 dot product and what it takes."""

    name: str
    needs: frozenset[str]  # LLVM's names of CPU features
    title: str
    signed: bool  # whether the dot product takes signed weights; otherwise they are stored with 128 added
    max_tokens: int  # tokens of a batch that share one pass over a panel: what fits the registers


PATHS = {
    path.name: path
    for path in (
        Path(
            "avx512-vnni",
            frozenset({"avx512f", "avx512bw", "avx512vl", "avx512vnni"}),
            "AVX-512 with VNNI: 64 int8 products an instruction",
            signed=False,
            max_tokens=8,
        ),
        Path("avx-vnni", frozenset({"avx2", "fma", "f16c", "avxvnni"}), "AVX2 with VNNI: 32 int8 products", False, 4),
        Path("avx2", frozenset({"avx2", "fma", "f16c"}), "AVX2: 32 int8 products in two instructions", True, 4),
        Path("neon-dotprod", frozenset({"dotprod"}), "NEON with dot product: 16 int8 products", True, 4),
        Path("portable", frozenset(), "no special instructions: the compiler's own vectors", True, 2),
    )
}


@lru_cache(maxsize=1)
def features() -> frozenset[str]:
    """LLVM's names of what the processor can do, as numba compiles for it (NUMBA_CPU_FEATURES overrules)."""
    from llvmlite import binding

    named = os.environ.get("NUMBA_CPU_FEATURES")
    if named:
        return frozenset(each[1:] for each in named.split(",") if each.startswith("+"))
    return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)


def reachable() -> tuple[Path, ...]:
    """The paths that run on this processor, best first."""
    here = features()
    found = [path for path in PATHS.values() if path.needs <= here]
    if "avx512vl" in here and "avx512vnni" in here:
        found.insert(1, PATHS["avx-vnni"])  # the same instruction, 32 bytes wide
    return tuple(dict.fromkeys(found))


def choose(name: str | None = None) -> Path:
    """The path called *name*, or the one that was measured to be the fastest here, or else the first of `reachable`.

    The environment variable ROOFCAST_CPU_PATH stands in for a missing *name*. InputError if what is asked for does not run here.
    """
    named = os.environ.get(VARIABLE) if not name else None
    where, name = (f"{VARIABLE}: " if named else ""), name or named
    runs = {path.name: path for path in reachable()}
    if not name:
        found = measured()
        return runs[found.path] if found else next(iter(runs.values()))
    if name not in PATHS:
        raise InputError(f"{where}CPU path {printable(name, 40)!r} is unknown, {hint(name, PATHS)}")
    if name not in runs:
        missing = ", ".join(sorted(PATHS[name].needs - features()))
        raise InputError(
            f"{where}CPU path {name} does not run on this processor, which lacks {missing}; {', '.join(runs)} do"
        )
    return runs[name]


# ---- what was measured ----


@dataclass(frozen=True)
class Measured:
    """The path that was measured to be the fastest, and all that were, with their speeds as shares of the first one's."""

    path: str
    speeds: dict[str, float]


def fastest(speeds: dict[str, float]) -> str:
    """The fastest path; the first one unless another is faster by more than measuring scatters."""
    first, best = next(iter(speeds)), max(speeds, key=speeds.get)
    return best if speeds[best] > (1 + LEAST_GAIN) * speeds[first] else first


def measured() -> Measured | None:
    """What is remembered of this processor; None where nothing is."""
    found = recall(_NAME, _processor())
    speeds = found and found.get("speeds")
    names = {path.name for path in reachable()}
    if not (isinstance(speeds, dict) and speeds and names.issuperset(speeds)):
        return None
    if not all(isinstance(speed, float) and speed > 0 for speed in speeds.values()):
        return None
    return Measured(fastest(speeds), speeds)


def keep_measured(speeds: dict[str, float]) -> bool:
    """Remembers speeds of paths, the first of `reachable` first; whether there is a place for it."""
    return remember(_NAME, _processor(), {"speeds": speeds}) is not None


def _processor() -> tuple:
    return machine(), sorted(features())


def for_short_runs(target: str) -> str:
    """A target, the name of a path, for memory that is read in short runs: what stands 16 KiB further on is something else."""
    return f"{target}:short"


def has_short_runs(target: str) -> bool:
    """Whether a target is for memory that is read in short runs."""
    return target.endswith(":short")


def path_of(target: str) -> Path:
    """The path that a target names."""
    return PATHS[target.split(":")[0]]


def machine() -> str:
    """The processor's name as people know it, as far as the system tells."""
    return read_host().cpu or platform.machine()


@dataclass(frozen=True)
class Ahead:
    """How far before its use memory is asked for, and into which level of the caches."""

    nbytes: int
    level: int


@lru_cache(maxsize=1)
def looks_ahead() -> Ahead:
    """What suits this processor's maker.

    Measured on two threads with one token: Zen 5, shares of a pure read, 4 KiB into the first level q4_k 0.88, q6_k 0.80, q4_0 1.00,
    8 KiB into it 0.86, 0.77, 0.96, into the second q4_k 0.75, q6_k 0.72; Emerald Rapids, into the second, 4 to 16 KiB about as good.
    """
    return Ahead(4 * 1024, 1) if prefetches_well() else Ahead(8 * 1024, 2)


def prefetches_well() -> bool:
    """Whether this processor fetches what is read in one stream better of its own accord than when it is asked to: AMD's do."""
    return "AMD" in machine()
