"""Attention over a cache of past tokens: what it stores for each, and what a new token reads and computes."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from simulator.spec.layers.cached import Cached
from simulator.spec.layers.extra import Extra
from simulator.spec.layers.sparse import Index
from simulator.spec.layers.tensor import Count, Tensor, Width, matrix, vector
from simulator.spec.schema import Field, Spec, rule

# Kernels of plain attention beside its matrices. All such counts are those of llama.cpp's graphs (src/models, b11549), where views
# cost nothing and what all its backends fuse is one.
LAUNCHES = 4


class GroupedQuery(Spec):
    """Softmax attention; `n_kv_heads` equals `n_heads` for multi-head, 1 for multi-query attention.

    `window` limits it to the last so many tokens, `chunk` to those since the last multiple of so many.
    """

    kind: Literal["grouped_query"] = "grouped_query"
    n_heads: Width
    n_kv_heads: Width
    head_dim: Width
    v_head_dim: Width | None = None
    window: Width | None = None
    chunk: Width | None = None
    qk_norm: Literal["head", "full"] | None = None
    qkv_bias: bool = False
    output_bias: bool = False
    output_gate: bool = False  # the query projection also yields a gate for each output
    sinks: bool = False  # a learned logit per head
    fused_qkv: bool = False  # one stored matrix for query, key and value
    value_is_key: bool = False  # no value projection: the key serves as value too (Gemma 4), and both are cached
    # An earlier layer's keys and values are attended to; projections of its own lie unused in the file (Gemma 3n and 4).
    shares_cache: bool = False
    lacks_kv: bool = False  # with shares_cache: the file does not even hold those
    listed: tuple[Extra, ...] = Field((), max_length=50)  # all its tensors, where they are not the usual ones
    # An index over all past tokens, `index_keys` keys of `index_dim` values for each, chooses `picks` of them at most (MiniMax-M3).
    picks: Width | None = None
    index_heads: Width | None = None
    index_dim: Width | None = None
    index_keys: Width = 1

    @rule
    def _check(self) -> None:
        if self.shares_cache and self.fused_qkv:
            raise ValueError("shares_cache leaves key and value unused, which fused_qkv cannot; give one")
        if self.lacks_kv and not self.shares_cache:
            raise ValueError("lacks_kv needs shares_cache: keys and values come from an earlier layer then")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads ({self.n_kv_heads}) must divide n_heads ({self.n_heads})")
        if self.window and self.chunk:
            raise ValueError("window and chunk exclude each other, give one")
        if len({self.picks is None, self.index_heads is None, self.index_dim is None}) > 1:
            raise ValueError("picks, index_heads and index_dim belong together, give all three or none")

    @property
    def queries_per_kv(self) -> int:
        """Query heads that share one key and value head."""
        return self.n_heads // self.n_kv_heads

    @property
    def _v_dim(self) -> int:
        return self.v_head_dim or self.head_dim

    @property
    def cache_width(self) -> int:
        """Values read for each token: a key and a value per key/value head."""
        return self.n_kv_heads * (self.head_dim + self._v_dim)

    @property
    def cached(self) -> tuple[Cached, ...]:
        """Keys and values, of the window where there is one."""
        values = self.n_kv_heads * self._v_dim
        reach = self.window or self.chunk
        own = Cached(self.cache_width, 1, reach, self.picks, values, self.n_kv_heads, not self.shares_cache)
        return (own, Cached(self.index_keys * self.index_dim)) if self.index_dim else (own,)

    state_bytes: ClassVar[int] = 0  # attention keeps nothing beside its cache; recurrent layers do
    waiting_bytes: ClassVar[int] = 0

    @property
    def launches(self) -> int:
        """Kernels beside those of its matrices: positions of query and key, storing, attention; norms, biases and gates of its own."""
        more = (2 if self.qk_norm else 0) + (3 if self.output_gate else 0)
        more += (1 if self.fused_qkv else 3) * self.qkv_bias + self.output_bias
        return LAUNCHES + more + (12 if self.index_dim else 0) - (2 if self.shares_cache else 0)

    def seen_tokens(self, context):
        """Cached tokens that a new token at depth *context* attends to, itself included.

        A chunked layer is counted as a window of its chunk: runtimes keep and read the chunk's cache whole.
        """
        return np.minimum(context + 1, min(self.window or self.chunk or np.inf, self.picks or np.inf))

    def held_tokens(self, context):
        """Tokens whose keys and values must stay in memory at depth *context*."""
        return self.cached[0].held(context)

    def flops(self, context):
        """Scores and weighted values for one new token: a multiply-add each per head, token and value."""
        attended = 2 * self.n_heads * (self.head_dim + self._v_dim) * self.seen_tokens(context)
        return attended + 2 * self.index_heads * self.index_dim * (context + 1) if self.index_dim else attended

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Projections, and the norms and biases that belong to them."""
        if self.listed:
            return tuple(each.tensor() for each in self.listed)
        q = self.n_heads * self.head_dim * (2 if self.output_gate else 1)
        k, v = self.n_kv_heads * self.head_dim, self.n_kv_heads * self._v_dim
        if self.fused_qkv:
            found = [matrix("attn_qkv", q + k + v, d_model)]
            found += [vector("attn_qkv.bias", q + k + v)] if self.qkv_bias else []
        else:
            found = [matrix("attn_q", q, d_model), matrix("attn_k", k, d_model, is_idle=self.shares_cache)]
            found += [] if self.value_is_key else [matrix("attn_v", v, d_model, is_idle=self.shares_cache)]
            if self.qkv_bias:
                found += [vector("attn_q.bias", q), vector("attn_k.bias", k, is_idle=self.shares_cache)]
                found += [] if self.value_is_key else [vector("attn_v.bias", v, is_idle=self.shares_cache)]
        found.append(matrix("attn_output", d_model, self.n_heads * self._v_dim))
        if self.output_bias:
            found.append(vector("attn_output.bias", d_model))
        if self.qk_norm:
            full = self.qk_norm == "full"
            found.append(vector("attn_q_norm", self.n_heads * self.head_dim if full else self.head_dim))
            found.append(vector("attn_k_norm", k if full else self.head_dim, is_idle=self.shares_cache))
        if self.sinks:
            found.append(vector("attn_sinks", self.n_heads))
        return tuple(each for each in found if not (self.lacks_kv and each.is_idle))


class CrossAttention(Spec):
    """A decoder's attention to the encoder's output, whose keys and values are made once per sequence."""

    kind: Literal["cross"] = "cross"
    n_heads: Width
    n_kv_heads: Width
    head_dim: Width

    @property
    def cache_width(self) -> int:
        """Values stored for each token of the source."""
        return 2 * self.n_kv_heads * self.head_dim

    def flops(self, source_tokens):
        """Scores and weighted values for one new token."""
        return 4 * self.n_heads * self.head_dim * source_tokens

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Projections; those of key and value rest while tokens are decoded."""
        q, kv = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        return (
            matrix("cross_attn_q", q, d_model),
            matrix("cross_attn_k", kv, d_model, is_idle=True),
            matrix("cross_attn_v", kv, d_model, is_idle=True),
            matrix("cross_attn_o", d_model, q),
        )


class Latent(Spec):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): one shared latent per token instead of keys and values.

    Counted as runtimes decode it, with the up-projections absorbed into queries and outputs.
    """

    kind: Literal["latent"] = "latent"
    n_heads: Width
    q_rank: Width | None = None
    kv_rank: Width
    qk_nope_dim: Width
    qk_rope_dim: Count  # 0 without positions
    v_dim: Width
    window: Width | None = None  # only the last so many tokens are attended to
    split_kv_b: bool = True  # the up-projection is stored as two tensors (key, value) rather than one
    index: Index | None = None  # picks the tokens that are attended to (DeepSeek-V3.2, GLM-5)
    shares_cache: bool = False  # an earlier layer's latents are attended to
    listed: tuple[Extra, ...] = Field((), max_length=50)  # all its tensors, where they are not the usual ones
    # Each head's whole keys and values are cached instead: a file lacks what its runtime needs to keep latents.
    expanded: bool = False

    @rule
    def _check(self) -> None:
        if self.index and not self.q_rank and not self.listed:
            raise ValueError("index needs q_rank: its queries are made of the compressed query")
        if self.index and self.window:
            raise ValueError("index and window exclude each other, give one")

    queries_per_kv: ClassVar[int] = 1
    state_bytes: ClassVar[int] = 0  # attention keeps nothing beside its cache; recurrent layers do
    waiting_bytes: ClassVar[int] = 0

    @property
    def cache_width(self) -> int:
        """Values stored for each token: the latent and the shared rotary key, or each head's key and value."""
        if self.expanded:
            return self.n_heads * (self.qk_nope_dim + self.qk_rope_dim + self.v_dim)
        return self.kv_rank + self.qk_rope_dim

    @property
    def cached(self) -> tuple[Cached, ...]:
        """Latents, and the keys of the index."""
        picked = self.index.picks if self.index else None
        values = self.n_heads * self.v_dim if self.expanded else 0
        own = not self.shares_cache
        pieces = self.n_heads if self.expanded else 1
        latents = Cached(self.cache_width, 1, self.window, picked, values, pieces, own)
        return (latents, *(self.index.cached if self.index else ()))

    def seen_tokens(self, context):
        """Cached tokens that a new token at depth *context* attends to, itself included."""
        return self.cached[0].seen(context)

    @property
    def launches(self) -> int:
        """Norms of query and latent, turning and joining both halves of query and key, storing, attention; and the index."""
        return LAUNCHES + 4 + (self.index.launches if self.index else 0)

    def held_tokens(self, context):
        """Tokens whose latents must stay in memory."""
        return self.cached[0].held(context)

    def flops(self, context):
        """Scores over latent and rotary part, values over the latent, per head and token; and those of the index."""
        per_head = self.kv_rank + self.qk_rope_dim + self.kv_rank
        if self.expanded:
            per_head = self.qk_nope_dim + self.qk_rope_dim + self.v_dim
        indexed = self.index.flops((context + 1) // self.index.every) if self.index else 0
        return 2 * self.n_heads * per_head * self.seen_tokens(context) + indexed

    def tensors(self, d_model: int) -> tuple[Tensor, ...]:
        """Down- and up-projections of queries and of the latent, the output, and their norms."""
        if self.listed:
            return tuple(each.tensor() for each in self.listed)
        n, qk = self.n_heads, self.qk_nope_dim + self.qk_rope_dim
        if self.q_rank:
            found = [
                matrix("attn_q_a", self.q_rank, d_model),
                vector("attn_q_a_norm", self.q_rank),
                matrix("attn_q_b", n * qk, self.q_rank),
            ]
        else:
            found = [matrix("attn_q", n * qk, d_model)]
        found += [
            matrix("attn_kv_a_mqa", self.kv_rank + self.qk_rope_dim, d_model),
            vector("attn_kv_a_norm", self.kv_rank),
        ]
        if self.split_kv_b:
            found.append(matrix("attn_k_b", n * self.kv_rank, self.qk_nope_dim))
            found.append(matrix("attn_v_b", n * self.v_dim, self.kv_rank))
        else:
            found.append(matrix("attn_kv_b", n * (self.qk_nope_dim + self.v_dim), self.kv_rank))
        if self.index and self.q_rank:
            found += self.index.tensors(d_model, self.q_rank)
        return (*found, matrix("attn_output", d_model, n * self.v_dim))
