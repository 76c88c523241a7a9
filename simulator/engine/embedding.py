"""The embeddings of a step's tokens, looked up by the team where they lie.

Python's own way there takes some twenty calls into numpy. On caches that hold nothing but the last step's weights these took 1.2 ms of
a step of 30 (measured on two cores of an Intel Xeon).
"""

from __future__ import annotations

import numpy as np

from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import QUANTISED_BLOCK, Layout, record_bytes
from simulator.engine.memory import zeroed
from simulator.engine.network import Network
from simulator.engine.simd import LANES
from simulator.engine.team import Entry, Tape
from simulator.engine.weights import Matrix
from simulator.spec.quant import FORMATS


def unit_vectors(layout: Layout) -> np.ndarray:
    """A block's unit vectors as its format's activations, one after the other: float32 [1, 1], or records uint8 [block, bytes]."""
    if not layout.is_quantised:
        return np.ones((1, 1), np.float32)
    n, n_small = layout.block, layout.block // QUANTISED_BLOCK
    records = zeroed(n * record_bytes(n)).reshape(n, -1)
    for i in range(n):
        records[i, i] = 1
        floats, sums = (records[i, n:].view(kind) for kind in (np.float32, np.int32))
        small, half = i // QUANTISED_BLOCK, i // (QUANTISED_BLOCK // 2)
        floats[:n_small] = 1.0  # scales
        floats[n_small + small] = 1.0  # scale times sum
        sums[2 * n_small + small] = sums[3 * n_small + half] = -1
    return records


def embedding_tape(network: Network, matrix: Matrix, target: str, table: Matrix | None = None) -> Tape:
    """The tape that writes x: the rows of the tokens in `ids`; and those of a table of inputs of all layers."""
    network.buffers.new("ids", (network.limits.rows,), np.int64)
    entries = [_look_up(network, matrix, target, "x", "")]
    if table is not None:
        entries.append(_look_up(network, table, target, "layer_inputs", "_of_layers"))
    return Tape([entries])


def _look_up(network: Network, matrix: Matrix, target: str, output: str, end: str) -> Entry:
    """What writes the rows; *end* of its buffers' names."""
    layout, buffers = matrix.layout, network.buffers
    given = unit_vectors(layout)
    ones = buffers.new(f"unit_vectors{end}", given.shape, given.dtype.type)
    ones[:] = given
    buffers.new(f"units{end}", (len(ones),), np.int64)[:] = ones.ctypes.data + np.arange(len(ones)) * ones.strides[0]
    buffers.new(f"products{end}", (network.n_threads, layout.block * LANES))
    fields = task(
        "E",
        state=buffers.at("state"),
        tokens=buffers.at("ids"),
        weights=matrix.address,
        panel_bytes=layout.panel_bytes(matrix.columns),
        block_bytes=int(FORMATS[layout.name].block_bytes),
        block=layout.block,
        n_blocks=matrix.columns // layout.block,
        ones=buffers.at(f"units{end}"),
        scratch=buffers.at(f"products{end}"),
        scratch_stride=buffers.stride(f"products{end}"),
        output=buffers.at(output),
    )
    return Entry(kernel("look_up", layout.name, target), fields)
