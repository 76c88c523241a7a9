"""One named array of weights: the unit in which models are stored, counted and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from simulator.spec.schema import Field

# Widths and counts as they may stand in a file: anything larger is a slip of the pen, not a model.
Width = Annotated[int, Field(ge=1, le=10_000_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class Tensor:
    """`copies` arrays of shape (rows, columns); a row is what one output value multiplies."""

    role: str  # GGUF's name, without the block number and ".weight"
    rows: int
    columns: int
    copies: int = 1  # the experts of a layer
    is_vector: bool = False  # norms, biases, small kernels: kept in full precision
    is_idle: bool = False  # resident, but not read to decode a token
    is_buffer: bool = False  # saved beside the parameters, and not counted as one
    is_again: bool = False  # an earlier layer's, read once more and stored with that

    @property
    def params(self) -> int:
        """Number of weights, all copies."""
        return self.rows * self.columns * self.copies


def matrix(role: str, rows: int, columns: int, **more) -> Tensor:
    """A weight matrix that maps *columns* inputs to *rows* outputs."""
    return Tensor(role, rows, columns, **more)


def vector(role: str, length: int, **more) -> Tensor:
    """Norm weights, a bias, or the like."""
    return Tensor(role, 1, length, is_vector=True, **more)
