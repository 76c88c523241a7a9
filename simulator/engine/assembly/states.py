"""What layers with a state share: the states of all sequences, the order of a step's tokens, and convolutions over the last ones."""

from __future__ import annotations

import numpy as np

from simulator.engine.assembly.kind import Kind
from simulator.engine.assembly.parts import Parts
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import QUANTISED_BLOCK, record_bytes
from simulator.engine.memory import whole_lines
from simulator.engine.team import Entry
from simulator.engine.weights import Matrix
from simulator.errors import InputError
from simulator.units import counted


class States(Kind):
    """Layers each of whose sequences has a state of fixed size, in float32.

    A step may hold several tokens of a sequence: they go through its state in order, whichever thread has it. A token at position 0
    finds an empty state, so that a sequence that begins anew needs nothing cleared. States lie one after the other, a sequence's
    matrices first and then the inputs that its convolution still needs.
    """

    def __init__(self, network, layers):
        super().__init__(network, layers)
        self.mixers = {index: network.model.stack[index].attention for index in layers}

    # ---- memory ----

    def _stride(self, index: int) -> int:
        return whole_lines(self.mixers[index].state_bytes)

    @property
    def kept_bytes(self) -> int:
        """Bytes of the states of all sequences."""
        return self.network.limits.sequences * sum(self._stride(index) for index in self.layers)

    def allocate(self) -> None:
        """The states, and which rows of a step are one sequence's."""
        limits, new = self.network.limits, self.network.buffers.new
        for index in self.layers:
            new(f"states_{index}", (limits.sequences, self._stride(index)), np.uint8)
        new("runs", (1 + 2 * limits.rows,), np.int64)
        new("run_rows", (limits.rows,), np.int64)

    def fill(self) -> None:
        """Small numbers."""
        for index in self.layers:
            self.network.buffers[f"states_{index}"][:] = 0x2C

    def place(self, sequences: np.ndarray, positions: np.ndarray) -> None:  # noqa: ARG002
        """The rows of each sequence, in order: how many sequences, then for each the place of its rows in `run_rows`, and their number."""
        buffers = self.network.buffers
        order = np.argsort(sequences, kind="stable")
        _, firsts, counts = np.unique(sequences[order], return_index=True, return_counts=True)
        buffers["run_rows"][: len(order)] = order
        buffers["runs"][0] = len(firsts)
        buffers["runs"][1 : 1 + 2 * len(firsts)] = np.column_stack((firsts, counts)).reshape(-1)

    def check_taken_back(self, n_tokens: int) -> None:
        """InputError but for none: what a token has changed, no other can undo."""
        if not n_tokens:
            return
        raise InputError(
            f"{self.network.model.name}: {counted(n_tokens, 'token')} cannot be taken back, as layers with a recurrent state keep "
            "that of the last token alone; leave out --speculate, or start the sequence anew"
        )

    # ---- what kernels are told ----

    def order(self, parts: Parts, index: int) -> dict[str, int]:
        """Which rows go through which states, and what counts the bytes."""
        at = parts.buffers.at
        return {
            **{name: at(name) for name in ("runs", "run_rows", "sequences", "positions")},
            "states": at(f"states_{index}"),
            "state_stride": parts.buffers.stride(f"states_{index}"),
            "read": parts.counter("state"),
            "claimed": self.network.claim(),
        }

    def add_convolution(self, index: int, role: str, channels: int, width: int) -> None:
        """The weights of a convolution side by side for each token back; files have them channel by channel."""
        weights = self.network.loaded.vectors[index, role].reshape(channels, width)
        self.network.buffers.new(f"convolution_{index}", (width, channels))[:] = weights.T

    def convolve(self, parts: Parts, index: int, bias: str, **fields: int) -> Entry:
        """The convolution of a layer; its kept inputs stand behind the matrices of a state."""
        width, channels = parts.buffers[f"convolution_{index}"].shape
        shared = self.order(parts, index)
        shared["states"] += self.mixers[index].state_bytes - 4 * (width - 1) * channels
        numbers = task(
            "C",
            **shared,
            channels=channels,
            width=width,
            weights=parts.buffers.at(f"convolution_{index}"),
            bias=parts.vector(index, bias),
            output_stride=4 * channels,
            **fields,
        )
        return Entry(kernel("convolve"), numbers, "state")


def records_of(parts: Parts, name: str, out: object, piece: int) -> dict[str, int]:
    """Where a kernel that writes *name*, *piece* values at a time, puts int8 records for the matrix *out*; InputError if it cannot."""
    if not (isinstance(out, Matrix) and out.layout.is_quantised):
        return {}
    if piece % QUANTISED_BLOCK:
        raise InputError(f"heads or groups of width {piece} are not run with an output matrix in {out.layout.name}")
    return {"records": parts.buffers.at(f"{name}_records"), "record_stride": record_bytes(out.columns)}
