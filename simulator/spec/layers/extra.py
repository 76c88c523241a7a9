"""A tensor told by its shape: what a few models have beside the parts that all have."""

from __future__ import annotations

from simulator.spec.layers.tensor import Tensor, Width
from simulator.spec.schema import Field, Spec


class Extra(Spec):
    """`rows` by `columns` weights; one row is a vector, which is never quantised, and so is more of them that is `small`."""

    role: str = Field(pattern=r"[a-z0-9_.]+", max_length=80)  # GGUF's name, without the block number and ".weight"
    rows: Width = 1
    copies: Width = 1  # one for each expert of the layer, of which a token uses as many as of the experts
    columns: Width
    small: bool = False  # a table of scales, biases or kernels of a convolution: kept in full precision
    idle: bool = False  # held, but not read to decode a token, or only a row of it
    again: bool = False  # an earlier layer's: read once more, stored with that

    def tensor(self) -> Tensor:
        """The same as the parts of a layer give it."""
        is_vector = self.rows == 1 or self.small
        rows, columns = (1, self.rows * self.columns) if is_vector else (self.rows, self.columns)
        return Tensor(
            self.role,
            rows,
            columns,
            self.copies,
            is_vector=is_vector,
            is_idle=self.idle,
            is_again=self.again,
        )
