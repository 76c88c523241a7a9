"""A model in memory, ready to decode: its weights, its cache, the buffers between kernels, and the tape of one step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulator.engine.kernels.active_inputs import list_bytes
from simulator.engine.kernels.attention import CHUNK
from simulator.engine.layout import record_bytes
from simulator.engine.memory import check_room, whole_lines, zeroed
from simulator.engine.recipe import Recipe
from simulator.engine.simd import LANES
from simulator.engine.weights import Loaded
from simulator.spec.layers.attention import GroupedQuery
from simulator.spec.layers.ffn import Experts
from simulator.spec.model import Model
from simulator.units import counted

COMPONENTS = ("attention", "ffn", "router", "experts", "shared", "head", "cache")  # what is counted while it is read


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
        """Zeroed memory under a name."""
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


@dataclass(frozen=True)
class Angles:
    """How some layers turn their heads, and how many slots of the cache they keep."""

    frequencies: tuple[float, ...]  # radians a position, of each pair
    capacity: int  # slots of a sequence
    window: int  # tokens seen; 0 is all


class Network:
    """The memory of a model: everything that a step reads and writes."""

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
        self.n_threads, self.cache = n_threads, cache
        self.buffers = Buffers()
        self._is_sparse = is_sparse
        self.layer_angles = [self._angles_of(layer.attention) for layer in model.stack]
        self.angles = list(dict.fromkeys(self.layer_angles))
        check_room(
            f"{model.name}: a cache of {limits.sequences:,} x {counted(limits.context, 'token')} needs",
            self.cache_bytes,
        )
        self._allocate_step()
        self._allocate_attention()
        self._allocate_ffn()
        self._allocate_cache()

    def _angles_of(self, attention: GroupedQuery) -> Angles:
        recipe, window = self.recipe, attention.window or 0
        rotated = recipe.rotated or attention.head_dim
        base, factor = recipe.rope_base, recipe.rope_factor
        if window and recipe.rope_base_window:
            base, factor = recipe.rope_base_window, 1.0
        frequencies = base ** (-np.arange(0, rotated, 2) / rotated) / factor
        table = self.loaded.vectors.get((-1, "rope_freqs"))
        if table is not None and not window:
            frequencies = frequencies / table[: len(frequencies)]
        # A window's slots are reused in turn; a step of several tokens of one sequence needs all of theirs at once.
        slots = min(self.limits.context, window + self.limits.rows - 1) if window else self.limits.context
        return Angles(tuple(frequencies.tolist()), -(-slots // LANES) * LANES, window)

    # ---- memory ----

    def _activations(self, name: str, rows: int, width: int) -> None:
        """Room for inputs of matrices: as float32, as int8 records, and as lists of those that are not 0."""
        new = self.buffers.new
        new(name, (rows, width))
        new(f"{name}_records", (rows, record_bytes(width)), np.uint8)
        if self._is_sparse:
            new(f"{name}_lists", (rows, list_bytes(width)), np.uint8)
            new(f"{name}_gate", (rows, width))

    def _allocate_step(self) -> None:
        model, rows, new = self.model, self.limits.rows, self.buffers.new
        new("state", (8,), np.int64)
        for name in ("positions", "newest", "sequences"):
            new(name, (rows,), np.int64)
        new("each", (rows,), np.int64)[:] = np.arange(rows)
        new("all", (4,), np.int64)[0] = 1  # one group: matrix 0, from row 0, all rows
        new("read", (len(COMPONENTS), self.n_threads, 8), np.int64)
        new("claims", (20 * len(model.stack) + 20, 8), np.int64)
        self._activations("h", rows, model.d_model)
        new("x", (rows, model.d_model))
        new("y", (rows, model.d_model))
        new("logits", (rows, model.vocab))
        new("scratch", (self.n_threads, whole_lines(self._scratch_bytes())), np.uint8)

    def _scratch_bytes(self) -> int:
        """The most that a thread needs beside the buffers."""
        rows, attentions = self.limits.rows, [layer.attention for layer in self.model.stack]
        group = max(a.queries_per_kv for a in attentions)
        widest = max(matrix.columns for matrix in self.loaded.matrices.values())
        matrices = 8 * rows + 64 + 2 * 64 * rows
        attention = 8 * group + 64 + 64 * group + 4 * group * CHUNK
        heads = 4 * max(a.head_dim for a in attentions)
        sparse = 8 * rows + 64 + 1024 + 64 + 8 * widest + record_bytes(widest) if self._is_sparse else 0
        return max(matrices, attention, heads, sparse)

    def _allocate_attention(self) -> None:
        rows, new = self.limits.rows, self.buffers.new
        attentions = [layer.attention for layer in self.model.stack]
        queries = max(a.n_heads * max(a.head_dim, value_width(a)) for a in attentions)
        self._activations("q", rows, queries)
        new("turned", (rows, queries))
        new("k", (rows, max(a.n_kv_heads * a.head_dim for a in attentions)))
        new("v", (rows, max(a.n_kv_heads * value_width(a) for a in attentions)))
        for number, angles in enumerate(self.angles):
            half = len(angles.frequencies)
            new(f"cos_{number}", (rows, half))
            new(f"sin_{number}", (rows, half))
            new(f"chunks_{number}", (8,), np.int64)
        chunks = max(-(-angles.capacity // CHUNK) for angles in self.angles)
        stride = whole_lines(8 + 4 * max(value_width(a) for a in attentions))
        new("partial", (rows * max(a.n_heads for a in attentions) * chunks, stride), np.uint8)

    def _allocate_ffn(self) -> None:
        model, rows, new = self.model, self.limits.rows, self.buffers.new
        experts = model.experts
        dense = [layer.ffn.d_ff for layer in model.stack if not isinstance(layer.ffn, Experts)]
        self._activations("hidden", rows, max([32, *dense, *(ffn.d_shared for ffn in experts)]))
        if not experts:
            return
        slots, most = rows * max(ffn.n_active for ffn in experts), max(ffn.n_experts for ffn in experts)
        self._activations("expert_hidden", slots, max(ffn.d_expert for ffn in experts))
        new("expert_out", (slots, model.d_model))
        new("router", (rows, most))
        new("forced", (8,), np.int64)
        new("groups", (1 + 3 * most,), np.int64)
        new("counts", (most,), np.int64)
        for name in ("tokens", "slots"):
            new(name, (slots,), np.int64)
        new("chosen", (len(model.stack), slots), np.int64)
        new("slot_weights", (slots,))
        new("shared_scale", (rows,))

    def _allocate_cache(self) -> None:
        kind = np.uint16 if self.cache == "f16" else np.float32
        for index, layer in enumerate(self.model.stack):
            a, capacity = layer.attention, self.layer_angles[index].capacity
            slots = a.n_kv_heads * capacity
            self.buffers.new(f"keys_{index}", (self.limits.sequences, slots * a.head_dim), kind)
            self.buffers.new(f"values_{index}", (self.limits.sequences, slots * value_width(a)), kind)

    @property
    def cache_bytes(self) -> int:
        """Bytes that the cache has room for."""
        per_slot = [
            layer.attention.n_kv_heads * (layer.attention.head_dim + value_width(layer.attention))
            for layer in self.model.stack
        ]
        slots = [angles.capacity * width for angles, width in zip(self.layer_angles, per_slot, strict=True)]
        return self.limits.sequences * sum(slots) * (2 if self.cache == "f16" else 4)

    # ---- what a step needs to know ----

    def place(self, sequences: np.ndarray, positions: np.ndarray) -> None:
        """Says which token stands where in which sequence, and starts the counters anew."""
        n, buffers = len(positions), self.buffers
        buffers["state"][0] = buffers["all"][3] = n
        buffers["positions"][:n], buffers["sequences"][:n] = positions, sequences
        newest = np.zeros(self.limits.sequences, np.int64)
        np.maximum.at(newest, sequences, positions)
        buffers["newest"][:n] = newest[sequences]
        for number, angles in enumerate(self.angles):
            turn = np.outer(positions, angles.frequencies)
            buffers[f"cos_{number}"][:n], buffers[f"sin_{number}"][:n] = np.cos(turn), np.sin(turn)
            slots = min(int(newest.max()) + 1, angles.capacity)
            buffers[f"chunks_{number}"][0] = -(-slots // CHUNK)
        buffers["claims"][:] = 0
        buffers["read"][:] = 0

    def expert_layers(self) -> Iterator[tuple[int, Experts]]:
        """Layers with experts: their index, and the experts."""
        for index, layer in enumerate(self.model.stack):
            if isinstance(layer.ffn, Experts):
                yield index, layer.ffn


def value_width(attention: GroupedQuery) -> int:
    """Width of a head's values."""
    return attention.v_head_dim or attention.head_dim
