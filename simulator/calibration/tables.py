"""`python -m simulator.calibration.tables`: our seconds of single matrices and layers of experts beside measured ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.calibration.kernel_tables import (
    FORMATS,
    RUNTIMES,
    SYSTEMS,
    Read,
    Table,
    package_folder,
    read_parquet,
    tables,
    touched_experts,
)
from simulator.errors import InputError
from simulator.forecast.ops import Cost, Op
from simulator.forecast.roofline import time_ops
from simulator.spec.machine import load_hardware
from simulator.spec.quant import FORMATS as OURS
from simulator.spec.runtime import load_runtime
from simulator.units import MICRO

ACTIVATION_BYTES = 2  # of a value that goes into a matrix or comes out
# Tokens of a step: decoding by few, by many, reading prompts.
RANGES = ((1, 16), (17, 256), (257, 8192))
N_FOLDS = 5
LAUNCHES_BESIDE = 2  # of a layer of experts beside its matrices, as a plain graph has them: activation and sum
LEAST_SIZE = 1024  # of matrices that models consist of; narrower ones are parts of them on many GPUs
UNCACHED = np.inf  # bytes that come round again: more than any cache holds


@dataclass(frozen=True)
class Kernel:
    """Measured kernels in one number format, and what they read."""

    table: Table
    written: str  # the number format as the table calls it
    n_tokens: np.ndarray
    n_bytes: np.ndarray  # of weights
    shapes: np.ndarray  # a number for each shape of the matrices
    ours: np.ndarray  # seconds

    def within(self, least: int, most: int) -> np.ndarray:
        """Which of them have so many tokens."""
        return (self.n_tokens >= least) & (self.n_tokens <= most)


def main(arguments: list[str] | None = None, read: Read = read_parquet) -> int:
    """Prints the errors; 2 with a sentence where the package is missing."""
    parser = argparse.ArgumentParser(prog="python -m simulator.calibration.tables", description=__doc__)
    parser.add_argument("--package", metavar="DIR", help="the package's folder, where it is not installed")
    options = parser.parse_args(arguments)
    try:
        package = package_folder(options.package)
        for kind, heading, kernels in (
            ("gemm", f"One matrix of {LEAST_SIZE:,} values and more each way", matrices),
            ("moe", "One layer of experts", layers),
        ):
            print("\n".join(report(heading, [each for one in tables(package, kind, read) for each in kernels(one)])))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def matrices(table: Table) -> Iterator[Kernel]:
    """Products of one matrix of each number format, as large as models have them, with few to many tokens."""
    large = table.where((table.columns["n"] >= LEAST_SIZE) & (table.columns["k"] >= LEAST_SIZE))
    for written, one in _by_format(large, "gemm_dtype"):
        columns = one.columns
        rows, width, n = (columns[name].astype(float) for name in ("n", "k", "m"))
        n_bytes = OURS[FORMATS[written]].bits / 8 * rows * width
        cost = Cost(2 * rows * width * n, n_bytes, activation_bytes=ACTIVATION_BYTES * (rows + width) * n)
        # A runtime launches fewer kernels than a plain graph has, but a product that it does launch is a whole one.
        ours = _seconds(one, written, [(cost, "ffn", n)], launches=0) + _launch_s(one)
        yield Kernel(one, written, n, n_bytes, rows * 1e6 + width, ours)


def layers(table: Table) -> Iterator[Kernel]:
    """Layers of all experts, or of one GPU's part of each, whose touched weights no cache holds."""
    alone = table.where(table.columns["moe_ep_size"] == 1)
    for written, one in _by_format(alone, "moe_dtype"):
        columns = one.columns
        n, width, whole = (columns[name].astype(float) for name in ("num_tokens", "hidden_size", "inter_size"))
        hidden = whole / columns["moe_tp_size"]  # of one of the GPUs that share each expert
        used, source = columns["topk"].astype(float), columns["kernel_source"].astype(str)
        names = ("num_tokens", "num_experts", "topk", "distribution")
        read = np.array([touched_experts(*each) for each in zip(*(columns[name] for name in names), strict=True)])
        has_gate = np.char.find(source, "nongated") < 0
        n_bytes = OURS[FORMATS[written]].bits / 8 * width * hidden * read
        cost = Cost(
            2 * width * hidden * n * used, n_bytes, activation_bytes=ACTIVATION_BYTES * (width + hidden) * n * used
        )
        each = (cost, "experts", n * used / read)
        ours = _seconds(one, written, [each, each], LAUNCHES_BESIDE) + has_gate * _seconds(one, written, [each], 0)
        n_bytes = n_bytes * (2 + has_gate)
        shapes = (columns["num_experts"] * 100 + columns["topk"]) * 1e8 + width * 1e4 + hidden
        found = Kernel(one, written, n, n_bytes, shapes, ours)
        yield _chosen(found, n_bytes > 2 * _cache_bytes(table))


def _chosen(kernel: Kernel, chosen: np.ndarray) -> Kernel:
    arrays = (each[chosen] for each in (kernel.n_tokens, kernel.n_bytes, kernel.shapes, kernel.ours))
    return Kernel(kernel.table.where(chosen), kernel.written, *arrays)


def _by_format(table: Table, column: str) -> Iterator[tuple[str, Table]]:
    for written in FORMATS:
        chosen = table.columns[column] == written
        if np.any(chosen):
            yield written, table.where(chosen)


def _seconds(table: Table, written: str, products: Sequence[tuple[Cost, str, np.ndarray]], launches: int) -> np.ndarray:
    """Ours, of some matrices in a step with so many more *launches* beside them."""
    hardware = load_hardware(SYSTEMS[table.system])
    backend = load_runtime(RUNTIMES[table.runtime]).backend(hardware)
    fmt = OURS[FORMATS[written]]
    each = 1 if launches else 0
    ops = [Op("one", part, part, fmt, 1, cost, each, sharers=n) for cost, part, n in products]
    timed = time_ops(ops, hardware, backend, None, UNCACHED)
    assert backend.kernels is not None  # all of RUNTIMES were fitted
    return sum(one.seconds for one in timed) + launches * backend.kernels.launch_s


def _launch_s(table: Table) -> float:
    """Of one kernel that this runtime launches."""
    hardware = load_hardware(SYSTEMS[table.system])
    kernels = load_runtime(RUNTIMES[table.runtime]).backend(hardware).kernels
    assert kernels is not None
    return kernels.launch_s / kernels.place.launches


def _cache_bytes(table: Table) -> float:
    return max(level.capacity_bytes for level in load_hardware(SYSTEMS[table.system]).memory[:-1])


@dataclass(frozen=True)
class Line:
    """Seconds as a start and bytes at a rate."""

    start_s: float
    bytes_per_s: float

    def seconds(self, n_bytes: np.ndarray) -> np.ndarray:
        """Of kernels that read so much."""
        return self.start_s + n_bytes / self.bytes_per_s


def nearest_line(n_bytes: np.ndarray, seconds: np.ndarray) -> Line:
    """The line whose relative errors are smallest, large ones counted less."""
    from scipy.optimize import least_squares

    def errors(logs: np.ndarray) -> np.ndarray:
        return np.log(Line(*np.exp(logs)).seconds(n_bytes) / seconds)

    begin = np.log([np.min(seconds) / 2, np.max(n_bytes / seconds)])
    return Line(*np.exp(least_squares(errors, begin, loss="soft_l1", f_scale=0.1).x))


def left_out_error(shapes: np.ndarray, n_bytes: np.ndarray, seconds: np.ndarray) -> float:
    """Median error of lines that were drawn through the kernels of other shapes; nan where all have one shape."""
    fold = np.unique(shapes, return_inverse=True)[1] % N_FOLDS
    errors = np.full(len(seconds), np.nan)
    for number in range(N_FOLDS):
        out = fold == number
        if np.any(out) and not np.all(out):
            errors[out] = nearest_line(n_bytes[~out], seconds[~out]).seconds(n_bytes[out]) / seconds[out] - 1
    return float(np.median(np.abs(errors)))


def report(heading: str, kernels: Sequence[Kernel]) -> list[str]:
    """A line for each system, runtime and number format."""
    spans = [f"{least} to {most}" for least, most in RANGES]
    columns = "".join(f"{span:>14}" for span in spans)
    head = f"{'':<10} {'':<13} {'':<9} {'':<12} {'kernels':>7} {columns}   up to {RANGES[0][1]} tokens: best line, left out"
    return [f"{heading}: median error of ours by tokens", head, *(line for each in kernels if (line := _line(each)))]


def _line(kernel: Kernel) -> str:
    few = kernel.within(*RANGES[0])
    if few.sum() < 3 * N_FOLDS:
        return ""
    off = np.abs(kernel.ours / kernel.table.seconds - 1)
    cells = []
    for span in RANGES:
        chosen = kernel.within(*span)
        cells.append(f"{np.median(off[chosen]):>14.1%}" if np.any(chosen) else f"{'':>14}")
    table, n_bytes, seconds = kernel.table, kernel.n_bytes[few], kernel.table.seconds[few]
    line, error = nearest_line(n_bytes, seconds), left_out_error(kernel.shapes[few], n_bytes, seconds)
    share = line.bytes_per_s / load_hardware(SYSTEMS[table.system]).main_memory.ceiling_bytes_per_s()
    return (
        f"{table.system:<10} {RUNTIMES[table.runtime]:<13} {table.version:<9} {kernel.written:<12} {few.sum():>7} {''.join(cells)}"
        f"   {line.start_s / MICRO:.1f} us + {share:.0%} of the datasheet's bandwidth: {error:.1%}"
    )


if __name__ == "__main__":
    sys.exit(main())
