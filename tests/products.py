"""Matrices and inputs given to the engine's kernels, one product at a time."""

import numpy as np

from simulator.engine import cpu
from simulator.engine.kernels.arithmetic import quantise
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import record_bytes
from simulator.engine.memory import aligned
from simulator.engine.team import Entry, Tape
from simulator.engine.tensors import Stored
from simulator.engine.weights import load

PATHS = [path.name for path in cpu.reachable()]  # under an emulator those of the emulated processor
BEST = cpu.choose().name
GUARD = 7.25  # stands where a kernel must not write


class Given:
    """One matrix as a source of weights."""

    name = "given"

    def __init__(self, raw, fmt, columns, copies=1):
        """*raw*: uint8 [copies * rows, bytes of a row]."""
        self._raw = raw
        self.tensors = (Stored("w", 0, fmt, len(raw) // copies, columns, copies, False),)

    def raw(self, tensor):
        """Its bytes."""
        return self._raw

    def release(self):
        """Nothing is held."""


def packed(team, path, raw, fmt, columns, copies=1, *, by_column=False):
    """The matrix in the form that the kernels of a path read."""
    source = Given(raw, fmt, columns, copies)
    return load(source, team, path, by_column=lambda _role: by_column).matrices[0, "w"]


def records(x):
    """Int8 records of rows of activations, as a matrix in blocks reads them."""
    out = aligned(len(x) * record_bytes(x.shape[1])).reshape(len(x), -1)
    for row, record in zip(x, out, strict=True):
        quantise(row, record.ctypes.data, x.shape[1], 0, x.shape[1])
    return out


def grouped(groups):
    """The table of groups, each (matrix number, rows), and the rows in its order."""
    order = np.array([row for _, rows in groups for row in rows], np.int64)
    firsts = np.cumsum([0, *(len(rows) for _, rows in groups)])
    table = [len(groups)]
    for (number, rows), first in zip(groups, firsts, strict=False):
        table += [number, first, len(rows)]
    return {"groups": np.array(table, np.int64), "sources": order, "targets": order}


def multiply(team, path, matrix, x, groups=None, bias=None):
    """Float32 [rows of x, rows of the matrix] through the kernel; groups: (matrix number, rows of x) for each.

    The output is wider than the matrix and guarded, the counter of bytes must be what was claimed.
    """
    groups = groups or [(0, range(len(x)))]
    held = {
        **grouped(groups),
        "input": records(x) if matrix.layout.is_quantised else np.ascontiguousarray(x),
        "output": np.full((len(x), matrix.rows + 16), GUARD, np.float32),
        "claimed": np.zeros((team.n_threads, 8), np.int64),
        "read": np.zeros((team.n_threads, 8), np.int64),
        "scratch": aligned(team.n_threads * (64 * (len(x) + 1) + 64 * len(x))).reshape(team.n_threads, -1),
    }
    if bias is not None:
        held["bias"] = bias
    fields = {name: array.ctypes.data for name, array in held.items()}
    fields |= {f"{name}_stride": held[name].strides[0] for name in ("input", "output", "scratch")}
    panel_bytes = matrix.layout.panel_bytes(matrix.columns)
    fields |= {"weights": matrix.address, "rows": matrix.rows, "columns": matrix.columns, "panel_bytes": panel_bytes}
    fields |= {"expert_bytes": matrix.copy_bytes}
    team.run(Tape([[Entry(kernel("matmul", matrix.layout.name, path.name), task("M", **fields))]]))
    assert held["read"].sum() == len(groups) * matrix.copy_bytes
    assert (held["output"][:, matrix.rows :] == GUARD).all()
    return held["output"][:, : matrix.rows]


def multiply_hidden(team, path, matrices, x, biases, activation):
    """What a gate and an up matrix, or an up matrix alone, make of rows of x: float32 [rows of x, rows], and int8 records."""
    first, *second = matrices
    has_records = first.rows % 32 == 0
    held = {
        **grouped([(0, range(len(x)))]),
        "input": records(x) if first.layout.is_quantised else np.ascontiguousarray(x),
        "output": np.zeros((len(x), first.rows), np.float32),
        "records": aligned(len(x) * record_bytes(first.rows)).reshape(len(x), -1),
        "claimed": np.zeros((team.n_threads, 8), np.int64),
        "read": np.zeros((team.n_threads, 8), np.int64),
        "scratch": aligned(team.n_threads * (64 + 128 * len(x))).reshape(team.n_threads, -1),
        "bias": biases[0],
        "second": np.zeros(5, np.int64),
    }
    names = [first.layout.name]
    if second:
        (up,) = second
        held["second"][:4] = up.address, up.layout.panel_bytes(up.columns), up.copy_bytes, biases[1].ctypes.data
        names.append(up.layout.name)
    fields = {name: array.ctypes.data for name, array in held.items()}
    fields |= {f"{name}_stride": held[name].strides[0] for name in ("input", "output", "scratch")}
    fields |= {"weights": first.address, "rows": first.rows, "columns": first.columns, "expert_bytes": first.copy_bytes}
    fields |= {"panel_bytes": first.layout.panel_bytes(first.columns), "activation": activation}
    fields |= {"record_stride": held["records"].strides[0]} if has_records else {"records": 0}
    kind = "gated" if second else "activated"
    team.run(Tape([[Entry(kernel(kind, *names, path.name), task("M", **fields))]]))
    assert held["read"].sum() == sum(matrix.copy_bytes for matrix in matrices)
    return held["output"], held["records"] if has_records else None


def multiply_columns(team, path, matrix, lists, groups=None, bias=None):
    """Float32 [rows, rows of the matrix] and the bytes that the kernel says it read; *bias*: float32 [copies * rows of the matrix]."""
    groups = groups or [(0, range(len(lists)))]
    held = {
        **grouped(groups),
        "input": lists,
        "output": np.full((len(lists), matrix.rows), GUARD, np.float32),
        "claimed": np.zeros((team.n_threads, 8), np.int64),
        "read": np.zeros((team.n_threads, 8), np.int64),
        "scratch": aligned(team.n_threads * (128 + 64 * len(lists) + 1024 + matrix.columns)).reshape(
            team.n_threads, -1
        ),
    }
    fields = {name: array.ctypes.data for name, array in held.items()}
    fields |= {f"{name}_stride": held[name].strides[0] for name in ("input", "output", "scratch")}
    fields |= {"weights": matrix.address, "rows": matrix.rows, "columns": matrix.columns, "tile": matrix.tile}
    fields |= {"expert_bytes": matrix.copy_bytes, "panel_bytes": matrix.tile_bytes}
    fields |= {"bias": 0 if bias is None else bias.ctypes.data}
    team.run(Tape([[Entry(kernel("columns", matrix.format, path.name), task("M", **fields))]]))
    return held["output"], int(held["read"].sum())
