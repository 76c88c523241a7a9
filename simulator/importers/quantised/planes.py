"""How a quantised matrix lies in a checkpoint: its values, scales and zero points, each an array packed into words."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.spec.quant import Format

ALL = 0  # of rows or columns that share one entry

_TYPICAL = 4096  # rows and columns of the matrix that tells a layout's bits per weight


def ceiling(count: float, per: float) -> int:
    """How many parts of *per* it takes to hold *count*."""
    return int(-(-count // per))


@dataclass(frozen=True, slots=True)
class Plane:
    """Entries of `bits`, one for each tile of `rows` x `columns` weights, packed into words of `word` bits.

    A line of words holds the entries of one row; with `is_upright` those of one column, with `is_flat` all.
    """

    bits: float
    rows: int = 1
    columns: int = 1
    word: int = 8
    is_upright: bool = False
    is_flat: bool = False
    pad: tuple[int, int] = (1, 1)  # the entries by rows and by columns are filled up to multiples of these

    def nbytes(self, rows: float, columns: int) -> float:
        """Bytes that it takes for a matrix of *rows* x *columns* weights."""
        if self.is_flat:
            return self._line(ceiling(rows * columns, self.columns))
        high = 1 if self.rows == ALL else ceiling(rows, self.rows)
        wide = 1 if self.columns == ALL else ceiling(columns, self.columns)
        high, wide = (ceiling(count, pad) * pad for count, pad in zip((high, wide), self.pad, strict=True))
        return wide * self._line(high) if self.is_upright else high * self._line(wide)

    def _line(self, entries: float) -> float:
        return ceiling(entries * self.bits, self.word) * self.word / 8


@dataclass(frozen=True)
class Layout(Format):
    """A format that is not made of blocks: so many planes of each matrix."""

    planes: tuple[Plane, ...] = ()

    def nbytes(self, rows: float, columns: int) -> float:
        """Bytes of a matrix of *rows* x *columns* weights."""
        return sum(plane.nbytes(rows, columns) for plane in self.planes)

    def and_also(self, *planes: Plane) -> Layout:
        """The same with more beside it."""
        return replace(self, planes=(*self.planes, *planes))


def layout(name: str, like: str, *planes: Plane) -> Layout:
    """A layout called *name* that kernels of the format *like* read."""
    n_bytes = sum(plane.nbytes(_TYPICAL, _TYPICAL) for plane in planes)
    return Layout(name, 1, n_bytes / _TYPICAL**2, like=like, planes=planes)


def constant(n_bytes: float) -> Plane:
    """So many bytes once a matrix."""
    return Plane(8 * n_bytes, ALL, ALL)


@dataclass(frozen=True)
class Exact(Format):
    """The format of one tensor in a file: so many bytes, whatever they hold."""

    total_bytes: float = 0.0  # of one of its copies

    def nbytes(self, rows: float, columns: int) -> float:  # noqa: ARG002 - the file says it
        """What the file holds."""
        return self.total_bytes


def exact(name: str, like: str, n_bytes: float, n_weights: float) -> Exact:
    """*n_bytes* for *n_weights*."""
    return Exact(name, 1, n_bytes / n_weights, like=like, total_bytes=n_bytes)
