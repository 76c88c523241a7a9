"""A model in memory, ready to decode: its weights, and the buffers between kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulator.engine.cache_formats import cache_format
from simulator.engine.kernels.active_inputs import list_bytes
from simulator.engine.layout import record_bytes
from simulator.engine.memory import LINE, whole_lines, zeroed
from simulator.engine.recipes.recipe import Recipe
from simulator.engine.weights import Loaded
from simulator.spec.layers.ffn import Experts
from simulator.spec.model import Model

COMPONENTS = ("attention", "ffn", "router", "experts", "shared", "head", "cache", "state")  # what is counted
_CLAIMS_PER_LAYER = 20


@dataclass(frozen=True)
class Limits:
    """What a network has room for."""

    rows: int  # tokens in one step
    sequences: int
    context: int  # tokens of a sequence


class Buffers:
    """Named memory between kernels, each piece on a cache line."""

    def __init__(self):
        self._held: dict[str, np.ndarray] = {}

    def new(self, name: str, shape: tuple[int, ...], kind: type = np.float32) -> np.ndarray:
        """Zeroed memory under a name, which is no other piece's: tasks hold the addresses of both. ValueError where it is."""
        if name in self._held:
            raise ValueError(f"there is a buffer {name} already")
        nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        self._held[name] = zeroed(nbytes).view(kind).reshape(shape)
        return self._held[name]

    def __getitem__(self, name: str) -> np.ndarray:
        return self._held[name]

    def at(self, name: str) -> int:
        """The address of a piece."""
        return self._held[name].ctypes.data

    def stride(self, name: str) -> int:
        """Bytes from one row of a piece to the next."""
        return self._held[name].strides[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all pieces."""
        return sum(piece.nbytes for piece in self._held.values())


class Network:
    """The memory of a model that all its layers share; what each kind of block needs beside it is that kind's."""

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        loaded: Loaded,
        limits: Limits,
        n_threads: int,
        cache: str,
        *,
        is_sparse: bool = False,
    ):
        self.model, self.recipe, self.loaded, self.limits = model, recipe, loaded, limits
        self.n_threads, self.cache = n_threads, cache_format(cache)
        self.buffers = Buffers()
        self._is_sparse = is_sparse
        self._n_claims = 0
        self._allocate()

    def activations(self, name: str, rows: int, width: int) -> None:
        """Room for inputs of matrices: as float32, as int8 records, and as lists of those that are not 0."""
        new = self.buffers.new
        new(name, (rows, width))
        new(f"{name}_records", (rows, record_bytes(width)), np.uint8)
        if self._is_sparse:
            new(f"{name}_lists", (rows, list_bytes(width)), np.uint8)
            new(f"{name}_gate", (rows, width))

    def _allocate(self) -> None:
        model, rows, new = self.model, self.limits.rows, self.buffers.new
        new("state", (8,), np.int64)
        for name in ("positions", "sequences"):
            new(name, (rows,), np.int64)
        new("each", (rows,), np.int64)[:] = np.arange(rows)
        new("all", (4,), np.int64)[0] = 1  # one group: matrix 0, from row 0, all rows
        new("read", (len(COMPONENTS), self.n_threads, 8), np.int64)
        new("claims", (_CLAIMS_PER_LAYER * (len(model.stack) + 1), self.n_threads, LINE // 8), np.int64)
        self.activations("h", rows, model.d_model)
        new("x", (rows, model.d_model))
        new("y", (rows, model.d_model))
        new("logits", (rows, model.vocab))

    def allocate_scratch(self, nbytes: int) -> None:
        """What each thread has for itself: enough for matrices, and *nbytes* at least, the most that a kind of block needs."""
        rows, widest = self.limits.rows, max(matrix.columns for matrix in self.loaded.matrices.values())
        matrices = 8 * rows + 64 + 2 * 64 * rows
        sparse = 8 * rows + 64 + 1024 + 64 + 8 * widest + record_bytes(widest) if self._is_sparse else 0
        self.buffers.new("scratch", (self.n_threads, whole_lines(max(matrices, sparse, nbytes))), np.uint8)

    def claim(self) -> int:
        """The address of what counts how far a kernel's work is claimed, a cache line for each thread; 0 when a step starts."""
        self._n_claims += 1
        return self.buffers["claims"][self._n_claims - 1].ctypes.data

    def place(self, sequences: np.ndarray, positions: np.ndarray) -> None:
        """Says which token stands where in which sequence, and starts the counters anew."""
        n, buffers = len(positions), self.buffers
        buffers["state"][0] = buffers["all"][3] = n
        buffers["positions"][:n], buffers["sequences"][:n] = positions, sequences
        buffers["claims"][: self._n_claims] = 0
        buffers["read"][:] = 0

    def expert_layers(self) -> Iterator[tuple[int, Experts]]:
        """Layers with experts: their index, and the experts."""
        for index, layer in enumerate(self.model.stack):
            if isinstance(layer.ffn, Experts):
                yield index, layer.ffn
