"""How fast the engine's own kernels multiply: weights in cache or in memory, alone and for several tokens at once."""

from __future__ import annotations

import numpy as np

from simulator.engine.cpu import Path
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.kernels.matrices import M_EXPERT_BYTES, M_WEIGHTS
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import record_bytes
from simulator.engine.memory import LINE, aligned
from simulator.engine.simd import LANES
from simulator.engine.team import Entry, Tape, Team
from simulator.probe.clock import Probe, Sample
from simulator.probe.memory import FILL, Ring

COLUMNS = 2048
LOOK_FORMAT = "q8_0"  # whose kernel stands for all where a machine is only looked at
MATRIX_BYTES = 4 * 2**20  # of one matrix in memory: such as a model of a billion weights has
PIECE_BYTES = 2**19  # of a small matrix
_GROUPS = 16  # times that a matrix in cache is multiplied in a phase
_MOST_OUTPUTS = 256  # rows put out in such a phase: more of them would take the cache from the weights


class MatrixWork:
    """Matrices of a format that follow each other in *weights* (uint8), multiplied with some tokens as in a decode step.

    Each is a phase of its own: all threads share it, and wait for each other before the next. *groups* times it is multiplied
    in its phase, each with an output of its own.
    """

    def __init__(
        self, fmt: str, weights: np.ndarray, n_tokens: int, team: Team, path: Path, matrix_bytes: int, groups: int = 1
    ):
        layout = LAYOUTS[fmt]
        self._team = team
        nbytes = whole_panels(fmt, min(matrix_bytes, len(weights)))
        rows = nbytes // layout.panel_bytes(COLUMNS) * LANES
        n_matrices = len(weights) // nbytes
        if not n_matrices:
            raise ValueError(f"{len(weights)} bytes hold no 16 rows of {fmt}")
        input_stride = record_bytes(COLUMNS) if layout.is_quantised else 4 * COLUMNS
        inputs = aligned(input_stride * n_tokens)
        inputs[:] = FILL
        output = aligned(4 * rows * n_tokens * groups)
        # What is written has cache lines of its own: beside it, what is only read would be fetched again and again.
        sources, targets = _on_a_line(np.tile(np.arange(n_tokens), groups)), _on_a_line(np.arange(n_tokens * groups))
        each_group = [number for group in range(groups) for number in (0, group * n_tokens, n_tokens)]
        table = _on_a_line(np.array([groups, *each_group]))  # of each: number of the matrix, first row, rows
        scratch_stride = -(-(8 * n_tokens + 64 + 64 * n_tokens) // 64) * 64
        scratch = aligned(scratch_stride * team.n_threads)
        counters = _on_a_line(np.zeros((team.n_threads + 1, 8)))
        self._claims = _on_a_line(np.zeros((n_matrices, team.n_threads, LINE // 8)))
        self._held = (weights, inputs, output, sources, targets, table, scratch, counters)
        fields = {
            "groups": table.ctypes.data,
            "rows": rows,
            "columns": COLUMNS,
            "panel_bytes": layout.panel_bytes(COLUMNS),
            "expert_bytes": nbytes,
            "input": inputs.ctypes.data,
            "input_stride": input_stride,
            "output": output.ctypes.data,
            "output_stride": 4 * rows,
            "sources": sources.ctypes.data,
            "targets": targets.ctypes.data,
            "read": counters.ctypes.data,
            "scratch": scratch.ctypes.data,
            "scratch_stride": scratch_stride,
        }
        address = kernel("matmul", fmt, path.name)
        start = weights.ctypes.data
        self._tasks = [
            _on_a_line(task("M", **fields, weights=start + number * nbytes, claimed=claim.ctypes.data))
            for number, claim in enumerate(self._claims)
        ]
        self._tape = Tape([[Entry(address, each)] for each in self._tasks])
        self.bytes = nbytes * groups * n_matrices
        self.flops = 2.0 * rows * COLUMNS * n_tokens * groups * n_matrices

    def move(self, start: int) -> None:
        """Takes as many weights from another address on."""
        for number, each in enumerate(self._tasks):
            each[M_WEIGHTS] = start + number * each[M_EXPERT_BYTES]

    def run(self, repeats: int) -> None:
        """Multiplies."""
        for _ in range(repeats):
            self._claims[:] = 0
            self._team.run(self._tape)


def _on_a_line(numbers: np.ndarray) -> np.ndarray:
    """The same integers on cache lines that nothing else is on."""
    place = aligned(-(-8 * numbers.size // LINE) * LINE)
    copy = place[: 8 * numbers.size].view(np.int64).reshape(numbers.shape)
    copy[:] = numbers
    return copy


def kernel_probe(name: str, fmt: str, n_tokens: int, team: Team, path: Path, weights: np.ndarray, where: str) -> Probe:
    """The kernel of a format.

    *where* says what *weights* fit into: in a core's own cache ("cached") all threads read all of them, again and again; in
    the "shared" one each thread reads some, as in a decode step. Its "pieces" are the same in small matrices.
    """
    groups = min(_GROUPS, max(1, _MOST_OUTPUTS // n_tokens)) if where == "cached" else 1
    matrix_bytes = matrix_sizes(len(weights))[where]
    work = MatrixWork(fmt, weights, n_tokens, team, path, matrix_bytes, groups)
    return Probe(name, work.run, work.bytes, work.flops)


def passing_kernel_probe(
    name: str, fmt: str, n_tokens: int, team: Team, path: Path, ring: Ring, nbytes: int, where: str
) -> Probe:
    """The kernel of a format on weights in "memory", or in its "pieces": the next *nbytes* of a ring each time."""
    work = MatrixWork(fmt, ring.memory[:nbytes], n_tokens, team, path, matrix_sizes(nbytes)[where])

    def run(repeats: int) -> None:
        for _ in range(repeats):
            work.move(ring.next(nbytes))
            work.run(1)

    return Probe(name, run, work.bytes, work.flops)


def filled(nbytes: int) -> np.ndarray:
    """Memory that stands for weights of any format."""
    weights = aligned(nbytes)
    weights[:] = FILL
    return weights


def matrix_sizes(nbytes: int) -> dict[str, int]:
    """Bytes of each matrix in weights of *nbytes*, by where they are."""
    return {
        "cached": nbytes,
        "shared": nbytes // 4,
        "shared pieces": nbytes // 32,
        "memory": MATRIX_BYTES,
        "pieces": PIECE_BYTES,
    }


def whole_panels(fmt: str, nbytes: int) -> int:
    """Bytes of a matrix that is to have *nbytes*: it has whole panels of 16 rows, and one at least."""
    panel_bytes = LAYOUTS[fmt].panel_bytes(COLUMNS)
    return max(1, nbytes // panel_bytes) * panel_bytes


def start_seconds(
    large: Probe | Sample, large_s: float, small: Probe | Sample, small_s: float, sizes: tuple[int, int]
) -> float:
    """Seconds that each matrix takes beside its bytes, from about the same weights in matrices of two *sizes*, large and small."""
    more = small.bytes / sizes[1] - large.bytes / sizes[0]
    return max(0.0, small_s - large_s * small.bytes / large.bytes) / more
