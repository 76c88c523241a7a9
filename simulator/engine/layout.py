"""How the engine holds weights: GGUF's blocks, at their size, with 16 rows interleaved so that a lane is a row.

A matrix is cut into panels of 16 rows. A panel holds block after block, each with its planes (quants, high bits, scales ...),
and a plane holds for each unit of 1, 2 or 4 bytes the 16 rows' units side by side. So all of a matrix is read as one stream,
which memory gives twice as fast as scales and quants apart (measured: 32 against 17 GB/s for q4_0 on one core of Zen 4).
Nothing grows: a panel has the bytes of its 16 rows. A last panel that is not full is filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.engine.simd import LANES
from simulator.spec.quant import FORMATS

QUANTISED_BLOCK = 32  # activations: so many share a scale


@dataclass(frozen=True)
class Plane:
    """One field of a block, interleaved over the rows in units."""

    name: str
    offset: int  # in the block of the file
    nbytes: int  # of one row's block
    unit: int  # bytes interleaved at a time
    change: str = ""  # what packing does to it beside moving it


@dataclass(frozen=True)
class Layout:
    """How one format's blocks are interleaved, and how a panel of them is multiplied."""

    name: str
    planes: tuple[Plane, ...]
    multiply: Callable  # (panel, block) of one block of 16 rows, for every token

    def __post_init__(self):
        total = sum(plane.nbytes for plane in self.planes)
        if total != FORMATS[self.name].block_bytes:
            raise ValueError(f"the planes of {self.name} have {total} bytes")

    @property
    def block(self) -> int:
        """Elements of a block."""
        return FORMATS[self.name].block

    @property
    def is_quantised(self) -> bool:
        """Whether it is multiplied with int8 activations, rather than float32 ones."""
        return self.block > 1

    def row_bytes(self, columns: int) -> int:
        """Bytes of one row."""
        return int(FORMATS[self.name].nbytes(1, columns))

    def panel_bytes(self, columns: int) -> int:
        """Bytes of 16 rows."""
        return LANES * self.row_bytes(columns)

    def matrix_bytes(self, rows: int, columns: int) -> int:
        """Bytes of all panels of a matrix."""
        return -(-rows // LANES) * self.panel_bytes(columns)


# A row of int8 activations: the values, then per 32 of them the scale, the scale times the sum, and minus the sum, then
# minus the sum of each 16. Sums correct for offsets: 128 of unsigned storage, 8 of q4_0, 32 of q6_k, minima of q4_1 and q4_k.


def record_bytes(columns):
    """Bytes of a row of int8 activations with its scales and sums."""
    return columns + columns // 32 * 20
