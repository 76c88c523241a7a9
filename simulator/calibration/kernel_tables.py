"""Measured seconds of single kernels, from the tables of the package `aiconfigurator-core` (NVIDIA, Apache-2.0).

One file for each system, kind of kernel, runtime and version of it. Kernels were timed in CUDA graphs, one after the other, so
that a latency holds what a launch costs; weights alternate among copies that no cache holds.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from simulator.errors import InputError
from simulator.units import MILLI

PACKAGE = "aiconfigurator_core"
INSTALL = "pip install '.[tables]' in a checkout"
SYSTEMS = {"a100_sxm": "a100-80gb-sxm", "h100_sxm": "h100-sxm", "h200_sxm": "h200", "b200_sxm": "b200"}  # their devices
RUNTIMES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt-llm"}
# Others (one scale for a tensor that is computed anew, several mixes of formats) have no format of ours to stand for.
FORMATS = {
    "bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8", "int8_wo": "int8", "int4_wo": "int4-g128", "nvfp4": "nvfp4",
    "w4a16_mxfp4": "mxfp4",
}  # fmt: skip

Columns = Mapping[str, np.ndarray]
Read = Callable[[Path], Columns]


@dataclass(frozen=True)
class Table:
    """Kernels of one kind as one version of a runtime has them on one system."""

    system: str  # a key of SYSTEMS
    runtime: str  # a key of RUNTIMES
    version: str
    columns: Columns  # one entry a measurement, by the names that the package gives them

    @property
    def seconds(self) -> np.ndarray:
        """Of each measurement."""
        return self.columns["latency"] * MILLI

    def where(self, chosen: np.ndarray) -> Table:
        """The same with the *chosen* measurements only."""
        return Table(
            self.system, self.runtime, self.version, {name: each[chosen] for name, each in self.columns.items()}
        )


def package_folder(given: str | None) -> Path:
    """Where the package lies; InputError with what to do where it is not installed, or *given* is no such folder."""
    if given is None:
        found = importlib.util.find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise InputError(f"the kernel tables are not installed: {INSTALL} brings them")
        return Path(next(iter(found.submodule_search_locations)))
    if not (Path(given) / "systems" / "data").is_dir():
        raise InputError(f"--package {given}: has no folder systems/data, the package {PACKAGE} has one")
    return Path(given)


def read_parquet(path: Path) -> Columns:
    """All columns of a file; InputError where what reads such files is not installed."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(f"{path}: reading it needs pyarrow: {INSTALL} brings it") from None
    table = parquet.read_table(path)
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def tables(package: Path, kind: str, read: Read = read_parquet) -> Iterator[Table]:
    """Every version of each system and runtime that has kernels of a *kind* (gemm, moe), the oldest first."""
    for system in SYSTEMS:
        for runtime in RUNTIMES:
            files = (package / "systems" / "data" / system / kind / runtime).glob(f"*/{kind}_perf.parquet")
            for path in sorted(files, key=lambda path: _version(path.parent.name)):
                yield Table(system, runtime, path.parent.name, read(path))


def _version(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def touched_experts(n_tokens: int, n_experts: int, n_active: int, distribution: str) -> float:
    """Mean number of distinct experts that the tables' tokens touch.

    `balanced`: no two tokens share an expert until all are in use. `power_law_A`: experts' loads are drawn from a power law
    with exponent A, rounded to whole tokens, and what is left over goes to the experts that have least.
    """
    if n_tokens == 1 or distribution == "balanced":
        return float(min(n_tokens * n_active, n_experts))
    return _drawn(n_tokens, n_experts, n_active, float(distribution.removeprefix("power_law_")))


_DRAWS = 64  # the mean of so many draws is within 2 % of that of many


@cache
def _drawn(n_tokens: int, n_experts: int, n_active: int, exponent: float) -> float:
    total = n_tokens * n_active
    least, most = (1.0, 0.8 * n_tokens) if total > n_experts else (0.01, 2.0)
    uniform = np.random.default_rng(0).random((_DRAWS, n_experts))
    low, high = least ** (1 - exponent), most ** (1 - exponent)
    loads = ((high - low) * uniform + low) ** (1 / (1 - exponent))
    counts = np.round(loads * (total / loads.sum(axis=1, keepdims=True)))
    kept = np.minimum(counts, n_tokens)  # a token uses an expert once
    found = (kept > 0).sum(axis=1) + np.maximum(total - kept.sum(axis=1), 0)
    return float(np.minimum(found, min(total, n_experts)).mean())
