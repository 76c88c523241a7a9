"""Attention's kernels step by step through a cache, against the reference: norms, rotations, windows, scores of any size."""

import math

import equations
import gguf
import numpy as np
import pytest
from products import PATHS

from simulator.engine import cpu
from simulator.engine.kernels.attention import CHUNK, chunk_of
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import record_bytes
from simulator.engine.memory import aligned
from simulator.engine.team import Entry, Tape

N_HEADS, N_KV, WIDTH, VALUE, ROTATED = 6, 2, 24, 32, 16
WIDTH_IN_BLOCKS = 64
BASE = 100.0
BYTES = {"f16": 2, "f32": 4, "q8_0": 34 / 32, "q4_0": 18 / 32}  # of an element


class Attention:
    """One layer's cache and the buffers around it, as a network has them."""

    def __init__(self, team, path, cache, capacity, window, rows, **recipe):
        """*recipe*: halves, norms of queries and keys, and sinks."""
        self.width = WIDTH_IN_BLOCKS if cache in ("q8_0", "q4_0") else WIDTH
        self.team, self.rows, self.capacity, self.window = team, rows, capacity, window
        self.halves, norms = recipe.get("halves", True), recipe.get("norms", (None, None))
        self.chunk = chunk_of(window)
        chunks = -(-capacity // self.chunk) + 1
        whole = N_HEADS * VALUE
        self.held = {
            "state": np.zeros(1, np.int64),
            "positions": np.zeros(rows, np.int64),
            "sequences": np.zeros(rows, np.int64),
            "q": np.zeros(rows * N_HEADS * max(self.width, VALUE), np.float32),
            "k": np.zeros((rows, N_KV * self.width), np.float32),
            "v": np.zeros((rows, N_KV * VALUE), np.float32),
            "cos": np.zeros((rows, ROTATED // 2), np.float32),
            "sin": np.zeros((rows, ROTATED // 2), np.float32),
            "keys": aligned(int(2 * N_KV * capacity * self.width * BYTES[cache])),
            "values": aligned(int(2 * N_KV * capacity * VALUE * BYTES[cache])),
            "partial": np.zeros((rows * N_HEADS * chunks, 64 * (1 + VALUE // 16)), np.uint8),
            "turned": np.zeros((rows, N_HEADS * self.width), np.float32),
            "chunks": np.zeros(1, np.int64),
            "claimed": np.zeros(8, np.int64),
            "read": np.zeros((team.n_threads, 8), np.int64),
            "scratch": aligned(team.n_threads * 8192).reshape(team.n_threads, -1),
            "records": aligned(rows * record_bytes(whole)).reshape(rows, -1),
        }
        held = self.held
        for name in ("keys", "values"):
            held[name][:] = 0x3C  # what nobody wrote must not count
        fields = {name: array.ctypes.data for name, array in held.items()}
        fields |= {
            "partial_stride": held["partial"].strides[0],
            "scratch_stride": held["scratch"].strides[0],
            "record_stride": record_bytes(whole),
            "n_heads": N_HEADS,
            "n_kv": N_KV,
            "head": self.width,
            "value": VALUE,
            "rotated": ROTATED,
            "halves": self.halves,
            "scale": int(np.float32(self.width**-0.5).view(np.int32)),
            "epsilon": int(np.float32(1e-5).view(np.int32)),
            "capacity": capacity,
            "window": window,
            "chunk": self.chunk,
        }
        for name, norm in zip(("q_norm", "k_norm"), norms, strict=True):
            if norm is not None:
                held[name], fields[name] = norm, norm.ctypes.data
                fields["norm_width"] = self.width if len(norm) == self.width else 0
        if "sinks" in recipe:
            fields["sinks"] = recipe["sinks"].ctypes.data
        numbers = task("A", **fields)
        names = [("store", cache, path.name), ("attend", cache, path.name), ("merge",)]
        self.tape = Tape([[Entry(kernel(*name), numbers)] for name in names])

    def step(self, q, k, v, positions, sequences, *, turns=True):
        """What one step's tokens read: float32 [rows, heads, VALUE]; the cache keeps theirs."""
        n, held = len(positions), self.held
        positions, sequences = np.array(positions), np.array(sequences)
        held["state"][0] = n
        held["positions"][:n], held["sequences"][:n] = positions, sequences
        angles = np.outer(positions, BASE ** (-np.arange(0, ROTATED, 2) / ROTATED)) * turns
        held["cos"][:n], held["sin"][:n] = np.cos(angles), np.sin(angles)
        oldest = np.maximum(0, positions - self.window + 1) if self.window else 0
        held["chunks"][0] = (positions // self.chunk - oldest // self.chunk).max() + 1
        held["claimed"][:], held["read"][:] = 0, 0
        held["q"][: q.size], held["k"][:n], held["v"][:n] = q.reshape(-1), k.reshape(n, -1), v.reshape(n, -1)
        self.team.run(self.tape)
        return held["q"][: n * N_HEADS * VALUE].reshape(n, N_HEADS, VALUE).copy()


def turned(vectors, position, norm, halves):
    """Heads [heads, width] in float64, normed over each or all of them, their first ROTATED dimensions turned."""
    out = vectors.astype(np.float64)
    if norm is not None:
        out = out.reshape(-1, len(norm))
        out = np.array([equations.rms_norm(row, norm, 1e-5) for row in out]).reshape(vectors.shape)
    for head in out:
        head[:ROTATED] = equations.rope(head[:ROTATED], position, BASE, adjacent=not halves)
    return out


def seen_by(queries, keys, values, window):
    """What the last of all positions reads: keys [positions, N_KV, width]."""
    oldest = max(0, len(keys) - window) if window else 0
    out = []
    for head, query in enumerate(queries):
        own = head // (N_HEADS // N_KV)
        weights = equations.softmax(keys[oldest:, own] @ query * len(query) ** -0.5)
        out.append(weights @ values[oldest:, own])
    return np.array(out)


# Tokens of each step by sequence: one of each, several of one, one alone, several of both in turn.
STEPS = ([0, 1], [0, 0, 0, 0], [1], [0, 1, 0, 1], [1, 1, 1], [0])


def kept(heads, cache):
    """Heads as the cache gives them back."""
    return heads if cache == "f32" else equations.round_to_cache(heads, cache)


def read_bytes(attention, positions, cache):
    """Keys in panels of 16 positions that are in sight; values in blocks likewise, else in strides of 4 up to the last."""
    total = 0
    for position in positions:
        oldest = max(0, position - attention.window + 1) if attention.window else 0
        keys = (position // 16 - oldest // 16 + 1) * 16
        values = position + 1 - oldest // 4 * 4 if cache in ("f16", "f32") else keys
        total += N_KV * (keys * attention.width + values * VALUE) * BYTES[cache]
    return total


def check_attention(attention, draw, n_steps, cache, *, turns=True, norms=(None, None)):
    """Steps through two sequences, each against the reference; the counter against its formula."""
    keys, values, found = [[], []], [[], []], []
    for number in range(n_steps):
        sequences = STEPS[number % len(STEPS)]
        n = len(sequences)
        q, k, v = (
            draw.standard_normal((n, heads, width)).astype(np.float32)
            for heads, width in ((N_HEADS, attention.width), (N_KV, attention.width), (N_KV, VALUE))
        )
        positions, expected = [], []
        for row, sequence in enumerate(sequences):
            position = len(keys[sequence])
            positions.append(position)
            own, query = (
                turned(each, position * turns, norm, attention.halves)
                for each, norm in ((k[row], norms[1]), (q[row], norms[0]))
            )
            if cache in ("q8_0", "q4_0"):
                query = equations.round_to_int8(query.reshape(-1)).reshape(query.shape)
            keys[sequence].append(kept(own, cache))
            values[sequence].append(kept(v[row], cache))
            history = [np.array(each[sequence], np.float64) for each in (keys, values)]
            expected.append(seen_by(query, *history, attention.window))
        out = attention.step(q, k, v, positions, sequences, turns=turns)
        found += np.abs(out - np.array(expected)).reshape(n, -1).max(axis=1).tolist()
        assert attention.held["read"].sum() == read_bytes(attention, positions, cache)
    # Where a value lies halfway between two steps of its block, float32 and float64 may round it apart.
    assert max(found) < (5e-6 if cache in ("f16", "f32") else 5e-3)
    assert np.median(found) < 5e-6


@pytest.mark.parametrize("path_name", PATHS)
def test_attention_reads_a_float16_cache(path_name, team, draw):
    """328 positions cross the run of 256 that one thread takes; keys and values are rounded to float16, nothing else."""
    attention = Attention(team, cpu.PATHS[path_name], "f16", 336, 0, 4)
    check_attention(attention, draw, 246, "f16", turns=False)
    assert attention.held["positions"].max() > CHUNK


@pytest.mark.parametrize("cache", ["q8_0", "q4_0"])
@pytest.mark.parametrize("path_name", PATHS)
def test_attention_reads_a_cache_in_blocks(path_name, cache, team, draw):
    """Keys and values rounded in blocks of 32 along the head as ggml rounds them, queries to int8; turned before that."""
    attention = Attention(team, cpu.PATHS[path_name], cache, 336, 0, 4)
    check_attention(attention, draw, 246, cache)
    assert attention.held["positions"].max() > CHUNK


@pytest.mark.parametrize("cache", ["q8_0", "q4_0"])
def test_blocks_are_those_of_ggml(cache, team, draw):
    """The bytes of a head's 64 keys and 32 values at positions 0 to 16: quants and scales as gguf makes them, and 0 stays 0."""
    attention = Attention(team, cpu.PATHS["portable"], cache, 32, 0, 17)
    q, k = (draw.standard_normal((17, heads, 64)).astype(np.float32) for heads in (N_HEADS, N_KV))
    v = draw.standard_normal((17, N_KV, VALUE)).astype(np.float32)
    k[3], v[5] = 0, 0
    attention.step(q, k, v, range(17), [1] * 17, turns=False)
    kind, size = gguf.GGMLQuantizationType[cache.upper()], int(32 * BYTES[cache])
    keys = gguf.quants.quantize(k, kind).reshape(17, N_KV, 2, size)  # a block: scale, quants
    values = gguf.quants.quantize(v, kind).reshape(17, N_KV, size)
    held_keys = attention.held["keys"].reshape(2, N_KV, 2, 2, -1)[1]  # of sequence 1: head, panel, block
    held_values = attention.held["values"].reshape(2, N_KV, 2, -1)[1]  # head, group
    for position in range(17):
        panel, lane = divmod(position, 16)
        for head in range(N_KV):
            for block in range(2):
                quants = held_keys[head, panel, block, :-32].reshape(-1, 16, 4)[:, lane].reshape(-1)
                scale = held_keys[head, panel, block, -32:].reshape(16, 2)[lane]
                assert np.concatenate([scale, quants]).tolist() == keys[position, head, block].tolist()
            group = held_values[head, panel]
            found = [group[:32].reshape(16, 2)[lane], group[32:].reshape(16, -1)[lane]]
            assert np.concatenate(found).tolist() == values[position, head].tolist()


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("norm_width", [None, WIDTH, "whole"])
def test_queries_and_keys_are_normed_and_turned(halves, norm_width, team, draw):
    """By their positions, 16 of 24 dimensions, pairs beside each other or a half apart; normed by head or all together."""
    norms = (None, None)
    if norm_width:
        widths = (WIDTH, WIDTH) if norm_width == WIDTH else (N_HEADS * WIDTH, N_KV * WIDTH)
        norms = tuple(draw.uniform(0.5, 2, width).astype(np.float32) for width in widths)
    attention = Attention(team, cpu.choose(), "f32", 64, 0, 4, halves=halves, norms=norms)
    check_attention(attention, draw, 24, "f32", norms=norms)


@pytest.mark.parametrize("cache", ["f32", "q8_0"])
@pytest.mark.parametrize(("window", "capacity"), [(1, 16), (13, 16), (20, 32), (300, 512)])
def test_a_window_is_seen_through_a_ring(window, capacity, cache, team, draw):
    """Slots are used again and again: with 4 tokens in a step a window of 13 just fits 16, and 300 spans two runs of 256."""
    attention = Attention(team, cpu.choose(), cache, capacity, window, 4)
    check_attention(attention, draw, 60 if window < 300 else 500, cache)


def test_sinks_take_their_shares(team, draw):
    """A further score of each head with nothing to read, among those of 300 positions and of one alone."""
    sinks = np.array([-3, 0, 1, 5, 40, 2], np.float32)
    attention = Attention(team, cpu.choose(), "f32", 304, 0, 1, sinks=sinks)
    k, v = (draw.standard_normal((300, N_KV, width)).astype(np.float32) for width in (WIDTH, VALUE))
    q = 3 * draw.standard_normal((300, 1, N_HEADS, WIDTH)).astype(np.float32)
    for position in range(300):
        out = attention.step(q[position], k[None, position], v[None, position], [position], [0], turns=False)
        if position in (0, 5, 299):
            seen = (q[: position + 1, 0], k[: position + 1], v[: position + 1])
            expected = equations.attention(*(each.astype(np.float64) for each in seen), WIDTH**-0.5, sinks=sinks)
            assert out[0] == pytest.approx(expected[-1], abs=5e-6)


def test_scores_of_any_size_make_finite_weights(team, draw):
    """Queries a hundred times too large leave one position its whole weight; equal scores give the mean."""
    attention = Attention(team, cpu.choose(), "f32", 32, 0, 4)
    k, v = draw.standard_normal((6, N_KV, WIDTH)).astype(np.float32), draw.standard_normal((6, N_KV, VALUE))
    v = v.astype(np.float32)
    for position in range(5):
        attention.step(np.ones((1, N_HEADS, WIDTH), np.float32), k[None, position], v[None, position], [position], [0])
    huge = np.full((1, N_HEADS, WIDTH), 1e4, np.float32)
    out = attention.step(huge, k[None, 5], v[None, 5], [5], [0], turns=False)[0]
    distances = np.abs(out[:, None] - v[None, :, [0, 0, 0, 1, 1, 1]].transpose(0, 2, 1, 3)[0]).max(axis=-1)
    assert (distances.min(axis=1) == 0).all()
    out = attention.step(0 * huge, k[None, 5], v[None, 5], [5], [0])[0]
    assert out[0] == pytest.approx(v[:, 0].mean(axis=0), abs=1e-6)
    assert math.isfinite(out.sum())
