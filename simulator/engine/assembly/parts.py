"""What every block of a step is made of: where weights and buffers are, and the phases that all kinds of blocks share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.engine.column_matrix import ColumnMatrix
from simulator.engine.kernels.inputs import LAYER, NO_NORM, RMS
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import QUANTISED_BLOCK, record_bytes
from simulator.engine.network import COMPONENTS, Network
from simulator.engine.recipes.recipe import ACTIVATIONS
from simulator.engine.team import Entry
from simulator.engine.weights import Matrix
from simulator.errors import InputError
from simulator.spec.sparsity import Sparsity

Phase = list[Entry]


def bits(value: float) -> int:
    """A float32 as it travels among integers."""
    return int(np.float32(value).view(np.int32))


class Parts:
    """Puts phases together; every address in them points into the network."""

    def __init__(self, network: Network, target: str, sparsity: Sparsity | None = None):
        self.network, self.target, self._sparsity = network, target, sparsity
        self.buffers, self.model, self.recipe = network.buffers, network.model, network.recipe
        self.pending: dict[str, int] = {}  # what the last block put out, still to be added to x

    # ---- where things are ----

    def matrices(self, index: int, *roles: str) -> tuple[Matrix | ColumnMatrix, ...]:
        return tuple(self.network.loaded.matrices[index, role] for role in roles)

    def vector(self, index: int, role: str) -> int:
        """The address of a vector; 0 if the model has none of that role."""
        found = self.network.loaded.vectors.get((index, role))
        return 0 if found is None else found.ctypes.data

    def counter(self, component: str) -> int:
        return self.buffers["read"][COMPONENTS.index(component)].ctypes.data

    def scratch(self) -> dict[str, int]:
        return {"scratch": self.buffers.at("scratch"), "scratch_stride": self.buffers.stride("scratch")}

    def _rows(self, n_active: int, *, from_slots: bool) -> dict[str, int]:
        """Which rows meet which matrix: all of them the only one, or those of each expert."""
        at = self.buffers.at
        if not n_active:
            return {"groups": at("all"), "sources": at("each"), "targets": at("each")}
        return {"groups": at("groups"), "sources": at("slots" if from_slots else "tokens"), "targets": at("slots")}

    def _input(self, matrix: Matrix | ColumnMatrix, name: str) -> dict[str, int]:
        """Where a matrix finds its input: a list of what is not 0, int8 records, or float32."""
        if isinstance(matrix, ColumnMatrix):
            return {"input": self.buffers.at(f"{name}_lists"), "input_stride": list_stride(self.buffers, name)}
        if matrix.layout.is_quantised:
            return {"input": self.buffers.at(f"{name}_records"), "input_stride": record_bytes(matrix.columns)}
        return {"input": self.buffers.at(name), "input_stride": 4 * matrix.columns}

    # ---- matrices ----

    def multiply(
        self,
        matrix: Matrix | ColumnMatrix,
        source: str,
        output: str,
        component: str,
        *,
        bias: int = 0,
        n_active: int = 0,
        from_slots: bool = False,
        **own: int,
    ) -> Entry:
        """output = matrix * source (+ bias); with *n_active*, of the experts that the router chose. *own*: fields of the task that
        are others than usual."""
        fields = {
            **self._rows(n_active, from_slots=from_slots),
            **self._work(matrix, component),
            **self._input(matrix, source),
            "output": self.buffers.at(output),
            "output_stride": 4 * matrix.rows,
            "bias": bias,
            **own,
        }
        if isinstance(matrix, ColumnMatrix):
            return Entry(kernel("columns", matrix.format, self.target), task("M", **fields), component)
        return Entry(kernel("matmul", matrix.layout.name, self.target), task("M", **fields), component)

    def _work(self, matrix: Matrix | ColumnMatrix, component: str) -> dict[str, int]:
        """What all matrix kernels need."""
        fields = {
            "weights": matrix.address,
            "rows": matrix.rows,
            "columns": matrix.columns,
            "expert_bytes": matrix.copy_bytes,
            "scales": _scales_of(matrix),
            "claimed": self.network.claim(),
            "read": self.counter(component),
            **self.scratch(),
        }
        if isinstance(matrix, ColumnMatrix):
            return fields | {"panel_bytes": matrix.tile_bytes, "tile": matrix.tile}
        return fields | {"panel_bytes": matrix.layout.panel_bytes(matrix.columns)}

    def gated(
        self,
        gate: Matrix,
        up: Matrix,
        down: Matrix | ColumnMatrix,
        output: str,
        component: str,
        *,
        source: str = "h",
        n_active: int = 0,
        biases: tuple[int, int] = (0, 0),
    ) -> Entry:
        """output = act(gate * source (+ bias)) * (up * source (+ bias)), in one go, as the matrix after it wants it."""
        if gate.layout.is_quantised != up.layout.is_quantised:
            raise InputError(f"a gate in {gate.layout.name} beside an up matrix in {up.layout.name} is not run")
        second = self.buffers.new(f"second_{gate.address}", (5,), np.int64)
        second[:] = up.address, up.layout.panel_bytes(up.columns), up.copy_bytes, biases[1], _scales_of(up)
        fields = self._hidden(gate, down, source, output, component, n_active) | {
            "second": second.ctypes.data,
            "bias": biases[0],
        }
        return Entry(kernel("gated", gate.layout.name, up.layout.name, self.target), task("M", **fields), component)

    def activated(
        self, up: Matrix, down: Matrix | ColumnMatrix, output: str, component: str, *, n_active: int = 0, bias: int = 0
    ) -> Entry:
        """output = act(up * h (+ bias)), as the matrix after it wants it."""
        fields = self._hidden(up, down, "h", output, component, n_active) | {"bias": bias}
        return Entry(kernel("activated", up.layout.name, self.target), task("M", **fields), component)

    def _hidden(
        self, first: Matrix, down: Matrix | ColumnMatrix, source: str, output: str, component: str, n_active: int
    ) -> dict[str, int]:
        """What the kernels need that activate what a matrix puts out."""
        wants_records = isinstance(down, Matrix) and down.layout.is_quantised
        return {
            **self._rows(n_active, from_slots=False),
            **self._work(first, component),
            **self._input(first, source),
            "output": self.buffers.at(output),
            "output_stride": 4 * first.rows,
            "records": self.buffers.at(f"{output}_records") if wants_records else 0,
            "record_stride": record_bytes(first.rows),
            "activation": ACTIVATIONS.index(self.recipe.activation),
        }

    def select(self, source: str, consumers: dict[str, Matrix | ColumnMatrix], **fields: int) -> Iterator[Phase]:
        """The list of the largest inputs, where the matrices that read them are packed by column."""
        sparse = {role: matrix for role, matrix in consumers.items() if isinstance(matrix, ColumnMatrix)}
        if not sparse:
            return
        shares = {self._sparsity.zeros(role) for role in sparse}
        if len(sparse) != len(consumers) or len(shares) > 1 or len({m.is_quantised for m in sparse.values()}) > 1:
            raise InputError(
                f"sparsity: {', '.join(consumers)} share their inputs, so their zeros and kinds must be equal"
            )
        first = next(iter(sparse.values()))
        numbers = task(
            "S",
            state=self.buffers.at("state"),
            width=first.columns,
            values=self.buffers.at(source),
            activation=ACTIVATIONS.index(self.recipe.activation),
            keep=max(1, round(first.columns * (1 - shares.pop()))),
            lists=self.buffers.at(f"{source}_lists"),
            list_stride=list_stride(self.buffers, source),
            is_float=not first.is_quantised,
            **self.scratch(),
            **({"per_row": 1} | fields),
        )
        yield [Entry(kernel("select"), numbers, "select")]

    def prepare(self, index: int, role: str, output: str = "h", norm: int = 0) -> Entry:
        """x += what the last block put out; output = norm(x), by the norm of that role (or at that address), or x as it is where there
        is none."""
        at, recipe = self.buffers.at, self.recipe
        norm = norm or self.vector(index, role)
        kind = LAYER if recipe.norm == "layer" else RMS
        numbers = task(
            "P",
            state=at("state"),
            width=self.model.d_model,
            x=at("x"),
            norm=norm,
            bias=self.vector(index, f"{role}.bias"),
            norm_kind=kind if norm or recipe.bare_norms else NO_NORM,
            epsilon=bits(recipe.epsilon),
            scale=bits(recipe.residual_scale),
            h=at(output),
            records=at(f"{output}_records") if self.model.d_model % QUANTISED_BLOCK == 0 else 0,
            record_stride=record_bytes(self.model.d_model),
            **self.pending,
        )
        self.pending = {}
        return Entry(kernel("prepare"), numbers, "vectors")


def _scales_of(matrix: Matrix | ColumnMatrix) -> int:
    """The address of what results of a matrix are multiplied by; 0 where there is nothing."""
    return 0 if matrix.scales is None else matrix.scales.ctypes.data


def list_stride(buffers, name: str) -> int:
    """Bytes from one row's list to the next."""
    return buffers.stride(f"{name}_lists")


def split(matrix: Matrix | ColumnMatrix, role: str, widths: tuple[int, ...]) -> tuple[Matrix, ...]:
    """Matrices that are stored as one, one below the other."""
    if isinstance(matrix, ColumnMatrix):
        raise InputError(
            f"sparsity: the engine skips no inputs of {role}, which is several matrices in one; leave it dense"
        )
    ends = [sum(widths[: number + 1]) for number in range(len(widths))]
    return tuple(matrix.part(end - width, width) for end, width in zip(ends, widths, strict=True))
