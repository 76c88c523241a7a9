"""From the file's rows of blocks to panels of 16 rows, and back."""

from __future__ import annotations

from functools import cache

import numpy as np

from simulator.engine.changes import CHANGES
from simulator.engine.compiled import compile_kernel, helper
from simulator.engine.kernels.panel_packing import pack_panel
from simulator.engine.layout import Layout
from simulator.engine.memory import LINE, zeroed
from simulator.engine.simd import LANES, fetch_add, integers_at
from simulator.engine.team import Entry, Tape, Team
from simulator.spec.quant import FORMATS

# Fields of a packing task. `ADDRESSES` is room for 16 addresses of each thread, `NOTHING` a row of zeros.
SOURCE, DESTINATION, COPIES, ROWS, ROW_BYTES, N_BLOCKS, CLAIMED, FLIP, ADDRESSES, NOTHING, FOUND, LENGTH = range(12)


@helper
def _name_rows(t, copy, panel, addresses):
    """Addresses of a panel's 16 rows; those that the matrix does not have are rows of zeros."""
    first = t[SOURCE] + (copy * t[ROWS] + panel * LANES) * t[ROW_BYTES]
    for lane in range(LANES):
        addresses[lane] = first + lane * t[ROW_BYTES] if panel * LANES + lane < t[ROWS] else t[NOTHING]


def _pack(format_name: str):
    """Panels of all copies of a matrix, claimed one after the other."""

    def pack(task, thread, n_threads):  # noqa: ARG001
        t = integers_at(task, LENGTH)
        n_panels = (t[ROWS] + LANES - 1) // LANES
        rows = t[ADDRESSES] + 8 * LANES * thread
        found = 0
        while True:
            number = fetch_add(t[CLAIMED], 1)
            if number >= t[COPIES] * n_panels:
                break
            _name_rows(t, number // n_panels, number % n_panels, integers_at(rows, LANES))
            panel = t[DESTINATION] + number * LANES * t[ROW_BYTES]
            found += pack_panel(format_name, rows, t[N_BLOCKS], t[FLIP], panel)
        if found:
            fetch_add(t[FOUND], found)

    return pack


@cache
def kernel(format_name: str) -> int:
    """Address of the compiled kernel that packs a format."""
    return compile_kernel(_pack(format_name), f"pack-{format_name}")


def pack_rows(
    team: Team, raw: np.ndarray, data: np.ndarray, layout: Layout, shape: tuple[int, int, int], signed: bool
) -> int:
    """Packs a matrix, all copies of it; returns how many of its scales or elements are infinite or no numbers.

    Args:
        team: who packs.
        raw: uint8 [copies * rows, bytes of a row].
        data: uint8 [copies * bytes of a packed copy]; written.
        layout: of the format.
        shape: copies, rows and columns.
        signed: whether the path that it is packed for takes signed weights.
    """
    copies, rows, columns = shape
    addresses, counters = zeroed(8 * LANES * team.n_threads), zeroed(2 * LINE).view(np.int64)
    nothing = np.zeros(layout.row_bytes(columns), np.uint8)
    task = np.zeros(LENGTH, np.int64)
    task[SOURCE], task[DESTINATION] = raw.ctypes.data, data.ctypes.data
    task[COPIES], task[ROWS], task[ROW_BYTES] = copies, rows, layout.row_bytes(columns)
    task[N_BLOCKS], task[FLIP] = columns // layout.block, 0 if signed else 0x80808080
    task[CLAIMED], task[FOUND] = counters.ctypes.data, counters.ctypes.data + LINE
    task[ADDRESSES], task[NOTHING] = addresses.ctypes.data, nothing.ctypes.data
    team.run(Tape([[Entry(kernel(layout.name), task)]]))
    return int(counters[LINE // 8])


def unpack_rows(packed: np.ndarray, layout: Layout, rows: np.ndarray, columns: int, signed: bool) -> np.ndarray:
    """Some rows as the file had them.

    Args:
        packed: uint8 [bytes], the panels of a matrix.
        rows: int64 [n], their numbers.
        columns: their length.
        signed: whether the path it was packed for takes signed weights.

    Returns:
        uint8 [n, row bytes].
    """
    panels, lane = np.divmod(rows, LANES)
    n_blocks, block_bytes = columns // layout.block, int(FORMATS[layout.name].block_bytes)
    blocks = np.empty((len(rows), n_blocks, block_bytes), np.uint8)
    size, start = layout.panel_bytes(columns), 0
    for plane in layout.planes:
        shape = (len(packed) // size, n_blocks, plane.nbytes // plane.unit, LANES, plane.unit)
        strides = (size, LANES * block_bytes, LANES * plane.unit, plane.unit, 1)
        field = np.ndarray(shape, np.uint8, packed, start, strides)[panels, :, :, lane].reshape(-1, plane.nbytes)
        if plane.change:
            field = CHANGES[plane.change].restore(field, signed)
        blocks[:, :, plane.offset : plane.offset + plane.nbytes] = field.reshape(len(rows), n_blocks, plane.nbytes)
        start += plane.nbytes * LANES
    return blocks.reshape(len(rows), -1)
