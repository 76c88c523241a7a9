"""Latent attention: queries, the latent of each token, and what every head makes of those that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from simulator.engine.assembly.attention import TABLE, turns_of
from simulator.engine.assembly.kind import Kind
from simulator.engine.assembly.parts import Parts, Phase, bits
from simulator.engine.column_matrix import ColumnMatrix
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.kernels.latent import CHUNK, scratch_bytes
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import QUANTISED_BLOCK, record_bytes
from simulator.engine.memory import whole_lines
from simulator.engine.network import Network
from simulator.engine.recipes.recipe import Rotation
from simulator.engine.simd import LANES
from simulator.engine.team import Entry
from simulator.engine.weights import Matrix
from simulator.errors import InputError
from simulator.spec.layers.attention import Latent


class LatentAttention(Kind):
    """Layers that keep one latent of each token for all heads; their shapes are the same in all of them."""

    def __init__(self, network: Network, layers: list[int]):
        super().__init__(network, layers)
        found = {network.model.stack[index].attention for index in layers}
        rotations = {network.recipe.layers[index].rotation for index in layers}
        if len(found) > 1 or len(rotations) > 1 or None in rotations:
            raise InputError(f"{network.model.name}: the engine runs latent attention of one shape and rotation only")
        self._a: Latent = found.pop()
        self._rotation: Rotation = rotations.pop()
        self._turned: dict[int, Matrix] = {}  # of files that have one matrix for keys and values
        if self._width % network.cache.block:
            raise InputError(
                f"{network.model.name}: a cache in {network.cache.name} has blocks of {network.cache.block}, which latents of width "
                f"{self._width} do not fill; give --cache f16"
            )
        self._capacity = -(-network.limits.context // LANES) * LANES
        table = network.loaded.vectors.get((-1, self._rotation.table_for(network.limits.context)))
        self._frequencies = tuple(self._rotation.frequencies(self._a.qk_rope_dim, table).tolist())

    @property
    def _width(self) -> int:
        return self._a.kv_rank + self._a.qk_rope_dim

    # ---- memory ----

    @property
    def kept_bytes(self) -> int:
        """Bytes that the cache has room for."""
        places = len(self.layers) * self.network.limits.sequences * self._capacity
        return int(self.network.cache.nbytes(places, self._width))

    @property
    def scratch_bytes(self) -> int:
        """Scores of some heads, and latents as float32."""
        return scratch_bytes(self._width, self._a.kv_rank)

    def allocate(self) -> None:
        """Queries and latents of a step, what heads read, and the cache."""
        network, a, rows = self.network, self._a, self.network.limits.rows
        new, by_head = network.buffers.new, rows * a.n_heads
        if a.q_rank:
            network.activations("narrow", rows, a.q_rank)
        new("whole_queries", (rows, a.n_heads * (a.qk_nope_dim + a.qk_rope_dim)))
        new("latent", (rows, self._width))
        network.activations("still", by_head, a.qk_nope_dim)
        new("meeting", (by_head, self._width))
        network.activations("read_latents", by_head, a.kv_rank)
        network.activations("head_values", rows, a.n_heads * a.v_dim)
        for name in ("latent_cos", "latent_sin"):
            new(name, (rows, a.qk_rope_dim // 2))
        new("latent_chunks", (8,), np.int64)
        chunks = -(-self._capacity // CHUNK)
        new("latent_partial", (by_head * chunks, whole_lines(8 + 4 * a.kv_rank)), np.uint8)
        new("heads", (1 + 3 * a.n_heads,), np.int64)
        new("by_head", (by_head,), np.int64)
        for index in self.layers:
            nbytes = int(network.cache.nbytes(self._capacity, self._width))
            new(f"latents_{index}", (network.limits.sequences, nbytes), np.uint8)
            if not a.split_kv_b:
                self._turn_over(index)

    def _turn_over(self, index: int) -> None:
        """Makes, of a file that has keys and values of the latent in one matrix, what queries meet latents by: the first, turned over."""
        a, kept = self._a, self.network.loaded.matrices[index, "attn_kv_b"]
        if isinstance(kept, ColumnMatrix):
            raise InputError(
                "sparsity: the engine skips no inputs of attn_kv_b, which is several matrices in one; leave it dense"
            )
        numbers = np.arange(kept.rows).reshape(a.n_heads, -1)[:, : a.qk_nope_dim]
        values = kept.rows_of(numbers.reshape(-1)).reshape(a.n_heads, a.qk_nope_dim, a.kv_rank)
        name = "f32" if kept.layout.name in ("f32", "bf16") else "f16"
        panels = values.reshape(a.n_heads, a.qk_nope_dim, a.kv_rank // LANES, LANES).transpose(0, 2, 1, 3)
        held = self.network.buffers.new(f"attn_k_b_{index}", panels.shape, np.float32 if name == "f32" else np.float16)
        held[:] = panels
        data = held.reshape(-1).view(np.uint8)
        self._turned[index] = Matrix(LAYOUTS[name], a.kv_rank, a.qk_nope_dim, a.n_heads, data, kept.signed)

    def _by_head(self, parts: Parts, index: int) -> tuple[Matrix, Matrix]:
        """Each head's matrix by which its queries meet latents, and that by which it makes values of those that it read."""
        a = self._a
        if a.split_kv_b:
            for_keys, for_values = parts.matrices(index, "attn_k_b", "attn_v_b")
            if isinstance(for_keys, ColumnMatrix) or isinstance(for_values, ColumnMatrix):
                raise InputError("sparsity: the engine skips no inputs of attn_k_b and attn_v_b; leave those dense")
            return (
                replace(for_keys, rows=a.kv_rank, copies=a.n_heads),
                replace(for_values, rows=a.v_dim, copies=a.n_heads),
            )
        (whole,) = parts.matrices(index, "attn_kv_b")
        heads = replace(whole, rows=a.qk_nope_dim + a.v_dim, copies=a.n_heads)
        return self._turned[index], heads.part(a.qk_nope_dim, a.v_dim)

    def fill(self) -> None:
        """Small numbers in every place, in any format."""
        for index in self.layers:
            self.network.buffers[f"latents_{index}"][:] = 0x2C

    def place(self, sequences: np.ndarray, positions: np.ndarray) -> None:  # noqa: ARG002
        """Angles of each token, which rows are whose, and how many runs of places there are to attend to."""
        buffers, n, n_heads = self.network.buffers, len(positions), self._a.n_heads
        buffers["latent_chunks"][0] = positions.max() // CHUNK + 1
        for block in set((positions // TABLE).tolist()):
            rows = np.flatnonzero(positions // TABLE == block)
            for name, table in zip(("cos", "sin"), turns_of(self._frequencies, block), strict=True):
                buffers[f"latent_{name}"][rows] = self._rotation.magnitude * table[positions[rows] % TABLE]
        buffers["by_head"][: n * n_heads] = np.arange(n * n_heads).reshape(n, n_heads).T.reshape(-1)
        groups = buffers["heads"][1:].reshape(n_heads, 3)
        buffers["heads"][0] = n_heads
        groups[:, 0], groups[:, 1], groups[:, 2] = np.arange(n_heads), n * np.arange(n_heads), n

    # ---- phases ----

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """From the norm before it to what is still to be added to the residual stream."""
        at, (before, _, after, _) = parts.buffers.at, parts.recipe.norms
        (out,) = parts.matrices(index, "attn_output")
        for_keys, for_values = self._by_head(parts, index)
        yield [parts.prepare(index, before)]
        yield from self._projections(parts, index)
        shared = self._fields(parts, index, for_keys, for_values)
        yield [Entry(kernel("latent_store", self.network.cache.name), task("K", **shared), "store")]
        heads = {"groups": at("heads"), "sources": at("by_head"), "targets": at("by_head")}
        yield [parts.multiply(for_keys, "still", "meeting", "attention", **heads, output_stride=4 * self._width)]
        claims = task("K", **shared, claimed=self.network.claim())
        yield [Entry(kernel("latent_attend", self.network.cache.name), claims, "cache")]
        yield [Entry(kernel("latent_merge"), task("K", **shared), "merge")]
        yield [parts.multiply(for_values, "read_latents", "head_values", "attention", **heads)]
        if isinstance(out, ColumnMatrix):
            yield from parts.select("head_values", {"attn_output": out})
        elif out.layout.is_quantised:
            yield [_narrow(parts, "head_values", out.columns)]
        yield [parts.multiply(out, "head_values", "y", "attention", bias=parts.vector(index, "attn_output.bias"))]
        parts.pending = {"y": at("y"), "post_norm": parts.vector(index, after)}

    def _projections(self, parts: Parts, index: int) -> Iterator[Phase]:
        """Queries, through a narrow layer where there is one, and latents."""
        names = ("attn_q_a" if self._a.q_rank else "attn_q", "attn_kv_a_mqa")
        first, latent = parts.matrices(index, *names)
        yield from parts.select("h", {names[0]: first, names[1]: latent})
        output = "narrow" if self._a.q_rank else "whole_queries"
        yield [
            parts.multiply(first, "h", output, "attention", bias=parts.vector(index, f"{names[0]}.bias")),
            parts.multiply(latent, "h", "latent", "attention", bias=parts.vector(index, f"{names[1]}.bias")),
        ]
        if not self._a.q_rank:
            return
        (second,) = parts.matrices(index, "attn_q_b")
        yield [_narrow(parts, "narrow", second.columns, parts.vector(index, "attn_q_a_norm"))]
        yield from parts.select("narrow", {"attn_q_b": second})
        yield [parts.multiply(second, "narrow", "whole_queries", "attention")]

    def _fields(self, parts: Parts, index: int, for_keys: Matrix, for_values: Matrix) -> dict[str, int]:
        """What all of its own kernels need."""
        at, a, recipe = parts.buffers.at, self._a, parts.recipe
        scale = recipe.layers[index].attention_scale or (a.qk_nope_dim + a.qk_rope_dim) ** -0.5
        return {
            **{name: at(name) for name in ("state", "positions", "sequences", "meeting")},
            **parts.scratch(),
            "n_heads": a.n_heads,
            "still": a.qk_nope_dim,
            "turning": a.qk_rope_dim,
            "rank": a.kv_rank,
            "queries": at("whole_queries"),
            "latents": at("latent"),
            "norm": parts.vector(index, "attn_kv_a_norm"),
            "epsilon": bits(recipe.epsilon),
            "cos": at("latent_cos"),
            "sin": at("latent_sin"),
            "halves": self._rotation.halves,
            "scale": bits(scale),
            "cache": at(f"latents_{index}"),
            "capacity": self._capacity,
            "stills": at("still"),
            "still_records": at("still_records") if for_keys.layout.is_quantised else 0,
            "still_stride": record_bytes(a.qk_nope_dim),
            "partial": at("latent_partial"),
            "partial_stride": parts.buffers.stride("latent_partial"),
            "chunks": at("latent_chunks"),
            "read": parts.counter("cache"),
            "out": at("read_latents"),
            "records": at("read_latents_records") if for_values.layout.is_quantised else 0,
            "record_stride": record_bytes(a.kv_rank),
        }


def _narrow(parts: Parts, name: str, width: int, norm: int = 0) -> Entry:
    """Rows normed in place, and as records where their width allows it."""
    numbers = task(
        "N",
        state=parts.buffers.at("state"),
        width=width,
        values=parts.buffers.at(name),
        norm=norm,
        epsilon=bits(parts.recipe.epsilon),
        records=0 if width % QUANTISED_BLOCK else parts.buffers.at(f"{name}_records"),
        record_stride=record_bytes(width),
    )
    return Entry(kernel("narrow"), numbers, "vectors")
