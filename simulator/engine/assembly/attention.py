"""Attention of queries in groups: projections, the cache of keys and values, and what each layer reads of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simulator.engine.assembly.kind import Kind
from simulator.engine.assembly.parts import Parts, Phase, bits, split
from simulator.engine.column_matrix import ColumnMatrix
from simulator.engine.kernels.attention import CHUNK, chunk_of
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import QUANTISED_BLOCK, record_bytes
from simulator.engine.memory import whole_lines
from simulator.engine.network import Network
from simulator.engine.simd import LANES
from simulator.engine.team import Entry
from simulator.engine.weights import Matrix
from simulator.errors import InputError
from simulator.spec.layers.attention import GroupedQuery

TABLE = 64  # positions whose angles are worked out at a time


@dataclass(frozen=True)
class Angles:
    """How some layers turn their heads, and how many slots of the cache they keep."""

    frequencies: tuple[float, ...]  # radians a position, of each pair
    magnitude: float  # what turns is also multiplied by it
    capacity: int  # slots of a sequence
    window: int  # tokens seen; 0 is all


class GroupedAttention(Kind):
    """Layers with a cache of keys and values."""

    def __init__(self, network: Network, layers: list[int]):
        super().__init__(network, layers)
        self._attention = {index: network.model.stack[index].attention for index in layers}
        self._sources = {index: self._source_of(index) for index in layers}  # whose cache each reads
        self._own = [index for index in layers if self._sources[index] == index]
        self.layer_angles = {index: self._angles_of(index) for index in layers}
        self.angles = list(dict.fromkeys(self.layer_angles.values()))
        for attention in self._attention.values():
            _check_cache(network, attention)

    def _source_of(self, index: int) -> int:
        """The layer whose keys and values a layer reads: its own, or of the earlier ones the last with the same window."""
        own = self._attention[index]
        if not own.shares_cache:
            return index
        for earlier in range(index - 1, -1, -1):
            found = self._attention.get(earlier)
            if found and not found.shares_cache and found.window == own.window:
                if (found.n_kv_heads, found.head_dim, value_width(found)) == (
                    own.n_kv_heads, own.head_dim, value_width(own)
                ):  # fmt: skip
                    return earlier
                break
        raise InputError(
            f"{self.network.model.name}: layer {index} reads the keys and values of an earlier one, and none has such heads"
        )

    def _angles_of(self, index: int) -> Angles:
        attention, limits = self._attention[index], self.network.limits
        rotation, window = self.network.recipe.layers[index].rotation, attention.window or 0
        frequencies: tuple[float, ...] = ()
        if rotation:
            table = self.network.loaded.vectors.get((-1, rotation.table_for(limits.context)))
            frequencies = tuple(rotation.frequencies(attention.head_dim, table).tolist())
        # A window's slots are reused in turn; a step of several tokens of one sequence needs all of theirs at once, and a run of
        # positions that are attended to together lies in one piece.
        slots = -(-limits.context // LANES) * LANES
        if window:
            slots = min(slots, -(-(window + limits.rows - 1) // chunk_of(window)) * chunk_of(window))
        return Angles(frequencies, rotation.magnitude if rotation else 1.0, slots, window)

    # ---- memory ----

    @property
    def kept_bytes(self) -> int:
        """Bytes that the cache has room for."""
        return sum(sum(self._slot_bytes(index)) for index in self._own) * self.network.limits.sequences

    def _slot_bytes(self, index: int) -> tuple[int, int]:
        """Bytes of all keys and of all values of a sequence in one layer."""
        a, kept = self._attention[index], self.network.cache
        heads = a.n_kv_heads * self.layer_angles[index].capacity
        return int(kept.nbytes(heads, a.head_dim)), int(kept.nbytes(heads, value_width(a)))

    @property
    def scratch_bytes(self) -> int:
        """Scores and results of a group of queries, or a head while it turns."""
        attentions = self._attention.values()
        group = max(a.queries_per_kv for a in attentions)
        return max(8 * group + 64 + 128 * group + 4 * group * CHUNK, 4 * max(a.head_dim for a in attentions))

    def allocate(self) -> None:
        """Projections, angles, parts of results, and the cache."""
        network, rows, new = self.network, self.network.limits.rows, self.network.buffers.new
        attentions = self._attention.values()
        queries = max(a.n_heads * max(a.head_dim, value_width(a)) for a in attentions)
        network.activations("q", rows, queries)
        new("turned", (rows, queries))
        if any(a.output_gate for a in attentions):
            new("both", (rows, 2 * queries))  # a query and a gate for each head
        new("factors", (rows,))
        new("k", (rows, max(a.n_kv_heads * a.head_dim for a in attentions)))
        new("v", (rows, max(a.n_kv_heads * value_width(a) for a in attentions)))
        for number, angles in enumerate(self.angles):
            half = len(angles.frequencies)
            new(f"cos_{number}", (rows, half))
            new(f"sin_{number}", (rows, half))
            new(f"chunks_{number}", (8,), np.int64)
        chunks = max(-(-angles.capacity // chunk_of(angles.window)) + 1 for angles in self.angles)
        stride = whole_lines(8 + 4 * max(value_width(a) for a in attentions))
        new("partial", (rows * max(a.n_heads for a in attentions) * chunks, stride), np.uint8)
        for index in self._own:
            for name, nbytes in zip(("keys", "values"), self._slot_bytes(index), strict=True):
                new(f"{name}_{index}", (network.limits.sequences, nbytes), np.uint8)

    def fill(self) -> None:
        """Small numbers in every slot, as half and as float."""
        for index in self._own:
            for name in ("keys", "values"):
                self.network.buffers[f"{name}_{index}"][:] = 0x2C

    def place(self, sequences: np.ndarray, positions: np.ndarray) -> None:  # noqa: ARG002
        """Angles of each token, and how many runs of slots there are to attend to."""
        buffers, temperature = self.network.buffers, self.network.recipe.temperature
        if temperature:
            buffers["factors"][: len(positions)] = temperature.at(positions)
        for number, angles in enumerate(self.angles):
            chunk = chunk_of(angles.window)
            first = np.maximum(0, positions - angles.window + 1) // chunk if angles.window else 0
            buffers[f"chunks_{number}"][0] = (positions // chunk - first).max() + 1
            blocks = set((positions // TABLE).tolist())
            for block in blocks:
                rows = np.flatnonzero(positions // TABLE == block) if len(blocks) > 1 else slice(len(positions))
                for name, table in zip(("cos", "sin"), turns_of(angles.frequencies, block), strict=True):
                    buffers[f"{name}_{number}"][rows] = angles.magnitude * table[positions[rows] % TABLE]

    def check_taken_back(self, n_tokens: int) -> None:
        """InputError unless the cache still has all that is seen by those that come in place of so many last tokens.

        n tokens came to stand where there were some of at most capacity before the last of them; the first in their place sees
        window - 1 before itself.
        """
        for angles in self.angles:
            most = angles.capacity - angles.window + 1
            if angles.capacity < self.network.limits.context and n_tokens > most:
                raise InputError(
                    f"{self.network.model.name}: {n_tokens:,} tokens cannot be taken back, a window of {angles.window:,} tokens "
                    f"keeps room for {most:,}; take back fewer, or give a larger ubatch"
                )

    # ---- phases ----

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """From the norm before it to what is still to be added to the residual stream."""
        before, _, after, _ = parts.recipe.norms
        projections, gate = self._projections(parts, index), self._attention[index].output_gate
        yield [parts.prepare(index, before)]
        yield from parts.select("h", {role: matrix for role, (matrix, _) in projections.items()})
        yield [
            parts.multiply(matrix, "h", "both" if gate and role == "attn_q" else role[-1], "attention", bias=bias)
            for role, (matrix, bias) in projections.items()
        ]
        (out,) = parts.matrices(index, "attn_output")
        shared = self._fields(parts, index, out)
        records = {name: shared[name] for name in ("records", "record_stride")}
        if gate:
            shared["records"] = 0
            yield [Entry(kernel("take_apart"), self._gate(parts, index, {}), "store")]
        stored = shared | ({"n_kv": 0} if self._sources[index] != index else {})
        yield [Entry(kernel("store", self.network.cache.name, parts.target), task("A", **stored), "store")]
        claims = task("A", **shared, claimed=parts.claim())
        yield [Entry(kernel("attend", self.network.cache.name, parts.target), claims, "cache")]
        yield [Entry(kernel("merge"), task("A", **shared), "merge")]
        if gate:
            yield [Entry(kernel("gate_heads"), self._gate(parts, index, records), "merge")]
        yield from parts.select("q", {"attn_output": out})
        yield [parts.multiply(out, "q", "y", "attention", bias=parts.vector(index, "attn_output.bias"))]
        parts.pending = {"y": parts.buffers.at("y"), "post_norm": parts.vector(index, after)}

    def _gate(self, parts: Parts, index: int, records: dict[str, int]) -> np.ndarray:
        """What tells queries from gates, where the projection yields both."""
        a, at = self._attention[index], parts.buffers.at
        numbers = {"n_heads": a.n_heads, "head": a.head_dim, "queries": at("q"), "output": at("q")}
        return task("G", state=at("state"), both=at("both"), **numbers, **records)

    def _projections(self, parts: Parts, index: int) -> dict[str, tuple[Matrix | ColumnMatrix, int]]:
        """The matrices of queries and, where a layer has them, of keys and values, each with the address of its bias or 0."""
        a, roles = self._attention[index], ("attn_q", "attn_k", "attn_v")
        if not a.fused_qkv:
            roles = roles[:1] if a.shares_cache else roles[:2] if a.value_is_key else roles
            biases = [parts.vector(index, f"{role}.bias") for role in roles]
            return dict(zip(roles, zip(parts.matrices(index, *roles), biases, strict=True), strict=True))
        widths = (a.n_heads * a.head_dim, a.n_kv_heads * a.head_dim, a.n_kv_heads * value_width(a))
        (whole,), bias = parts.matrices(index, "attn_qkv"), parts.vector(index, "attn_qkv.bias")
        places = (0, widths[0], widths[0] + widths[1])
        biases = [bias + 4 * place if bias else 0 for place in places]
        return dict(zip(roles, zip(split(whole, "attn_qkv", widths), biases, strict=True), strict=True))

    def _fields(self, parts: Parts, index: int, out: Matrix | ColumnMatrix) -> dict[str, int]:
        """What all kernels of attention need."""
        at, recipe = parts.buffers.at, parts.recipe
        own, a, angles = recipe.layers[index], self._attention[index], self.layer_angles[index]
        wants_records = isinstance(out, Matrix) and out.layout.is_quantised
        if wants_records and a.queries_per_kv * value_width(a) % QUANTISED_BLOCK:
            raise InputError(f"heads of width {value_width(a)} are not run with an output matrix in {out.layout.name}")
        number = self.angles.index(angles)
        return {
            **{name: at(name) for name in ("state", "positions", "sequences", "q", "k", "turned")},
            "v": at("k" if a.value_is_key else "v"),
            **parts.scratch(),
            "n_heads": a.n_heads,
            "n_kv": a.n_kv_heads,
            "head": a.head_dim,
            "value": value_width(a),
            "q_norm": parts.vector(index, "attn_q_norm"),
            "k_norm": parts.vector(index, "attn_k_norm"),
            "norm_width": 0 if a.qk_norm == "full" else a.head_dim,
            "epsilon": bits(recipe.epsilon),
            "cos": at(f"cos_{number}"),
            "sin": at(f"sin_{number}"),
            "rotated": 2 * len(angles.frequencies),
            "halves": bool(own.rotation and own.rotation.halves),
            "scale": bits(own.attention_scale or a.head_dim**-0.5),
            "keys": at(f"keys_{self._sources[index]}"),
            "values": at(f"values_{self._sources[index]}"),
            "capacity": angles.capacity,
            "window": angles.window,
            "chunk": chunk_of(angles.window),
            "partial": at("partial"),
            "partial_stride": parts.buffers.stride("partial"),
            "read": parts.counter("cache"),
            "records": at("q_records") if wants_records else 0,
            "record_stride": record_bytes(a.n_heads * value_width(a)),
            "chunks": at(f"chunks_{number}"),
            "cap": bits(recipe.attention_cap),
            "clamp": bits(recipe.clamp),
            "factors": at("factors") if recipe.temperature else 0,
            "norms_turned": recipe.norms_turned,
            "values_normed": recipe.values_normed,
            "sinks": parts.vector(index, "attn_sinks"),
        }


def _check_cache(network: Network, attention: GroupedQuery) -> None:
    """InputError unless the blocks of the cache's format divide the heads."""
    for width in (attention.head_dim, value_width(attention)):
        if width % network.cache.block:
            raise InputError(
                f"{network.model.name}: a cache in {network.cache.name} has blocks of {network.cache.block}, which heads of "
                f"width {width} do not fill; take --cache f16"
            )


@lru_cache(maxsize=128)
def turns_of(frequencies: tuple[float, ...], block: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of the angles of 64 positions: float32 [64, pairs]. All at once, as what numpy makes of an angle may depend
    on those beside it."""
    turn = np.outer(np.arange(block * TABLE, (block + 1) * TABLE), frequencies)
    return np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)


def value_width(attention: GroupedQuery) -> int:
    """Width of a head's values."""
    return attention.v_head_dim or attention.head_dim
