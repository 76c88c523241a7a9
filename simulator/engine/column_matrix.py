"""Matrices that are read column by column, so that an input of zero saves the reading of its weights (Q-Sparse).

A matrix is cut into tiles of rows. In a tile, the weights of one column lie side by side: 256 rows (or 128, or 64) of
int8 or 4-bit values, with the rows' scales before each block of 32 columns. What an inactive input would multiply is
never touched. Sizes are those of the file's blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.engine.tensors import dequantise
from simulator.errors import InputError
from simulator.spec.quant import FORMATS
from simulator.spec.sparsity import column_tile

FORMATS_BY_COLUMN = ("q8_0", "q4_0", "f32", "f16", "bf16")
SUB = 64  # rows whose four columns are interleaved at a time


def tile_rows(rows: int) -> int:
    """Rows of a tile: the most that divide a matrix of so many; InputError if none does."""
    size = column_tile(rows)
    if size is None:
        raise InputError(f"sparse inputs need matrices whose rows divide by {SUB}; one has {rows}")
    return size


@dataclass(frozen=True)
class ColumnMatrix:
    """A matrix packed by column, or as many of equal shape as there are experts."""

    format: str
    rows: int
    columns: int
    copies: int
    data: np.ndarray  # uint8
    scales: np.ndarray | None = None  # float32 [copies]: what results are multiplied by

    @property
    def address(self) -> int:
        """Where its first tile is."""
        return self.data.ctypes.data

    @property
    def tile(self) -> int:
        """Rows of a tile."""
        return tile_rows(self.rows)

    @property
    def tile_bytes(self) -> int:
        """Bytes of a tile."""
        return int(FORMATS[self.format].nbytes(self.tile, self.columns))

    @property
    def copy_bytes(self) -> int:
        """Bytes of one copy."""
        return self.rows // self.tile * self.tile_bytes

    @property
    def is_quantised(self) -> bool:
        """Whether inputs are int8."""
        return FORMATS[self.format].block > 1


def scales_of(raw: np.ndarray, name: str) -> np.ndarray:
    """The floats among a tensor's bytes, uint8 [rows, bytes of a row]: the scales of its blocks, or all its elements as float32."""
    if FORMATS[name].block == 1:
        return dequantise(raw, name)
    return np.ascontiguousarray(raw.reshape(-1, int(FORMATS[name].block_bytes))[:, :2]).view(np.float16)


def pack_columns(raw: np.ndarray, name: str, columns: int, out: np.ndarray, signed: bool) -> None:
    """Rows of blocks as tiles.

    Args:
        raw: uint8 [rows, bytes of a row].
        name: format, one of FORMATS_BY_COLUMN.
        columns: length of a row.
        out: uint8, as large as *raw*; written.
        signed: whether the CPU path takes signed weights.
    """
    if name not in FORMATS_BY_COLUMN:
        raise InputError(f"sparse inputs run with weights in {', '.join(FORMATS_BY_COLUMN)}, not in {name}")
    rows, size = len(raw), tile_rows(len(raw))
    if FORMATS[name].block == 1:
        element = FORMATS[name].block_bytes
        values = raw.reshape(rows // size, size, columns, int(element))
        out.reshape(rows // size, columns, size, int(element))[:] = values.transpose(0, 2, 1, 3)
        return
    n_blocks = columns // 32
    blocks = raw.reshape(rows // size, size, n_blocks, -1)
    tiles = out.reshape(rows // size, n_blocks, -1)
    scales = blocks[..., :2].reshape(rows // size, size // SUB, 4, 4, 4, n_blocks, 2)  # [tile, sub, chunk, k, i]
    tiles[..., : 2 * size] = scales.transpose(0, 5, 1, 3, 2, 4, 6).reshape(rows // size, n_blocks, 2 * size)
    quants = blocks[..., 2:]
    if name == "q4_0":
        quants = np.concatenate([quants & 15, quants >> 4], axis=-1)  # [tile, row, block, 32 columns]
        pairs = quants.reshape(rows // size, size // SUB, 2, 32, n_blocks, 32)  # rows i and i + 32 share a byte
        by_column = (pairs[:, :, 0] | pairs[:, :, 1] << 4).transpose(0, 3, 4, 1, 2)
    else:
        by_column = (quants if signed else quants ^ 0x80).transpose(0, 2, 3, 1)
    tiles[..., 2 * size :] = by_column.reshape(rows // size, n_blocks, -1)
