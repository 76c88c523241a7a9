"""Attention that looks up what to attend to: an index over all past tokens, and DeepSeek-V4's attention over compressed ones."""

from __future__ import annotations

from typing import ClassVar, Literal

from simulator.spec.layers.cached import Cached
from simulator.spec.layers.tensor import Tensor, Width, matrix, vector
from simulator.spec.schema import Spec

STATE_VALUE_BYTES = 4  # runtimes gather what is not yet compressed in float32


class Index(Spec):
    """A small attention of its own over all past tokens, whose best `picks` the layer attends to (DeepSeek-V3.2, arXiv 2512.02556).

    `is_shared`: the layer takes what an earlier one picked, and has no index of its own (GLM-5.2).
    """

    picks: Width
    n_heads: Width
    head_dim: Width
    every: Width = 1  # tokens that share a key, and are picked together (GLM-5.3 Flash)
    is_shared: bool = False

    def tensors(self, d_model: int, q_rank: int) -> tuple[Tensor, ...]:
        """Queries from the layer's compressed query, one key for all heads, a weight for each head, the key's norm and its bias."""
        if self.is_shared:
            return ()
        return (
            matrix("indexer.attn_q_b", self.n_heads * self.head_dim, q_rank),
            matrix("indexer.attn_k", self.head_dim, d_model),
            matrix("indexer.proj", self.n_heads, d_model),
            vector("indexer.k_norm", self.head_dim),
            vector("indexer.k_norm.bias", self.head_dim),
        )

    @property
    def cached(self) -> tuple[Cached, ...]:
        """A key for each token or so many, all of which are read."""
        return () if self.is_shared else (Cached(self.head_dim, every=self.every),)

    @property
    def launches(self) -> int:
        """Turning query and key, storing, scores, the choice, and the mask that is made of it."""
        return 2 if self.is_shared else 12

    def flops(self, entries):
        """Scores of every head over *entries* keys, and their weighted sum."""
        return 0 * entries if self.is_shared else 2 * self.n_heads * (self.head_dim + 1) * entries


class Compressed(Spec):
    """DeepSeek-V4's attention: the last `window` tokens as they are, and everything before compressed, `ratio` tokens into one.

    With ratio 4 an index picks among the compressed, with 128 all are read, with none there is only the window. One vector of
    `head_dim` values serves as key and value of all heads. The output is projected in `o_groups` groups of rank `o_rank`.
    """

    kind: Literal["compressed"] = "compressed"
    n_heads: Width
    head_dim: Width
    q_rank: Width
    o_groups: Width
    o_rank: Width
    window: Width
    ratio: Width | None = None
    index: Index | None = None

    n_kv_heads: ClassVar[int] = 1
    chunk: ClassVar[None] = None

    @property
    def queries_per_kv(self) -> int:
        """All heads share one key."""
        return self.n_heads

    @property
    def cache_width(self) -> int:
        """Values stored for each token of the window."""
        return self.head_dim

    @property
    def cached(self) -> tuple[Cached, ...]:
        """The window, what is compressed, and the keys of the index."""
        found = [Cached(self.head_dim, window=self.window)]
        if self.ratio:
            picks = self.index.picks if self.index else None
            found.append(Cached(self.head_dim, every=self.ratio, picked=picks))
        if self.index:
            found.append(Cached(self.index.head_dim, every=self.ratio or 1))
        return tuple(found)

    @property
    def launches(self) -> int:
        """Norms and turning of query, key and output, storing, attention; to compress: positions, joining, weighing, storing."""
        compressing = 14 if self.ratio else 0
        return 9 + compressing + (self.index.launches + compressing if self.index else 0)

    @property
    def _overlap(self) -> int:
        """Entries of 4 tokens, and those among which an index picks, are made of overlapping stretches: each token enters two."""
        return 2 if self.index or self.ratio == 4 else 1

    @property
    def waiting_bytes(self) -> int:
        """Bytes of one sequence's tokens that wait to be compressed, with their scores; held, and read once in `ratio` tokens."""
        if not self.ratio:
            return 0
        widths = self.head_dim + (self.index.head_dim if self.index else 0)
        return STATE_VALUE_BYTES * 2 * self._overlap * widths * self._overlap * self.ratio

    state_bytes: ClassVar[int] = 0  # nothing is read and written whole in every step

    def seen_tokens(self, context):
        """Entries that a new token attends to."""
        return sum(each.seen(context) for each in self.cached[: 2 if self.ratio else 1])

    def held_tokens(self, context):
        """Entries of `head_dim` values that must stay in memory."""
        return sum(each.held(context) for each in self.cached[: 2 if self.ratio else 1])

    def flops(self, context):
        """Scores and weighted values over what is seen, and the index over what is compressed."""
        attended = 4 * self.n_heads * self.head_dim * self.seen_tokens(context)
        return attended + (self.index.flops((context + 1) // (self.ratio or 1)) if self.index else 0)

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Query down and up, the one key, both output projections, sinks; what compresses, and the index with its own compression."""
        width = self.n_heads * self.head_dim
        found = [
            matrix("attn_q_a", self.q_rank, d_model),
            vector("attn_q_a_norm", self.q_rank),
            matrix("attn_q_b", width, self.q_rank),
            matrix("attn_kv", self.head_dim, d_model),
            vector("attn_kv_norm", self.head_dim),
            matrix("attn_output_a", self.o_rank * self.o_groups, width // self.o_groups),
            matrix("attn_output_b", d_model, self.o_groups * self.o_rank),
            vector("attn_sinks", self.n_heads),
        ]
        if self.ratio:
            found += self._compressor("attn_compressor", self.head_dim, d_model)
        if self.index:
            found.append(matrix("indexer.proj", self.index.n_heads, d_model))
            found.append(matrix("indexer.attn_q_b", self.index.n_heads * self.index.head_dim, self.q_rank))
            found += self._compressor("indexer_compressor", self.index.head_dim, d_model)
        return tuple(found)

    def _compressor(self, name: str, width: int, d_model: int) -> list[Tensor]:
        assert self.ratio
        rows = self._overlap * width
        return [
            matrix(f"{name}_kv", rows, d_model),
            matrix(f"{name}_gate", rows, d_model),
            vector(f"{name}_ape", rows * self.ratio),
            vector(f"{name}_norm", width),
        ]
