"""Latent attention: a cache of one latent for each token, which serves all heads as their keys and as their values.

A token's place in the cache holds `rank` values that every head reads as they are, after them the part of the keys that turns; keys
are both, values the first. In blocks of 32, a place is a row of blocks as ggml has them: scale, then quants. A head's query that does
not turn is made to meet latents by a matrix of that head, and what it reads becomes its values by another; both are products of
`matrices.py`, a head in place of an expert.
"""

from __future__ import annotations

import numpy as np

from simulator.engine.cache_formats import cache_format
from simulator.engine.compiled import helper
from simulator.engine.kernels.arithmetic import as_float, bits_of, exp, float_of, half_of, norm_factor, quantise
from simulator.engine.kernels.cache_blocks import (
    BLOCK,
    byte_of,
    inverse_of,
    nibble_of,
    scale_of_bytes,
    scale_of_nibbles,
)
from simulator.engine.simd import bytes_at, fetch_add, floats_at, halves_at, integers_at

CHUNK = 256  # positions that are attended to at a time
HEADS = 8  # and heads
_PLACES = 16  # positions of a short format that are float32 at a time

# Fields of tasks. `K_STATE` is the address of [number of rows], `K_CHUNKS` that of [most chunks of any row]. `K_QUERIES` are [rows, heads,
# still + turning], `K_LATENTS` [rows, rank + turning]; `K_STILLS` becomes [rows * heads, still] and `K_MEETING` [rows * heads, rank +
# turning], of which `store` writes what turns; `K_OUT` is [rows * heads, rank].
K_STATE, K_POSITIONS, K_SEQUENCES, K_N_HEADS, K_STILL, K_TURNING, K_RANK, K_QUERIES, K_LATENTS, K_NORM, K_EPSILON, K_COS, K_SIN, \
    K_HALVES, K_SCALE, K_CACHE, K_CAPACITY, K_STILLS, K_STILL_RECORDS, K_STILL_STRIDE, K_MEETING, K_PARTIAL, K_PARTIAL_STRIDE, \
    K_CHUNKS, K_CLAIMED, K_SCRATCH, K_SCRATCH_STRIDE, K_READ, K_OUT, K_RECORDS, K_RECORD_STRIDE, K_LENGTH = range(32)  # fmt: skip

# Fields of tasks of `narrow`: rows of a width are normed in place, where there is a norm, and made into records, where there is room.
N_STATE, N_WIDTH, N_VALUES, N_NORM, N_EPSILON, N_RECORDS, N_RECORD_STRIDE, N_LENGTH = range(8)


def narrow(task, thread, n_threads):
    """Inputs of a matrix after another one: every row normed, as float32 and as int8."""
    t = integers_at(task, N_LENGTH)
    n = t[N_WIDTH]
    for row in range(thread, integers_at(t[N_STATE], 1)[0], n_threads):
        values = floats_at(t[N_VALUES] + row * n * 4, n)
        if t[N_NORM]:
            norm = floats_at(t[N_NORM], n)
            factor = norm_factor(values, n, float_of(t[N_EPSILON]))
            for i in range(n):
                values[i] = values[i] * factor * norm[i]
        if t[N_RECORDS]:
            quantise(values, t[N_RECORDS] + row * t[N_RECORD_STRIDE], n, 0, n)


@helper
def _turn(source_address, out_address, n, cosine, sine, halves, scale):
    """n values turned by their angles, in pairs (i, i + half) or (2 i, 2 i + 1), and scaled."""
    half, source, out = n // 2, floats_at(source_address, n), floats_at(out_address, n)
    for i in range(half):
        a, b = (i, i + half) if halves else (2 * i, 2 * i + 1)
        left, right = source[a], source[b]
        out[a] = (left * cosine[i] - right * sine[i]) * scale
        out[b] = (left * sine[i] + right * cosine[i]) * scale


@helper
def _store_query(t, row, head, cosine, sine):
    """A head's query, scaled: the part that does not turn by itself, the other where it meets the cache."""
    still, turning, rank = t[K_STILL], t[K_TURNING], t[K_RANK]
    scale, place = float_of(t[K_SCALE]), row * t[K_N_HEADS] + head
    address = t[K_QUERIES] + place * (still + turning) * 4
    query = floats_at(address, still)
    out = floats_at(t[K_STILLS] + place * still * 4, still)
    for i in range(still):
        out[i] = query[i] * scale
    if t[K_STILL_RECORDS]:
        quantise(out, t[K_STILL_RECORDS] + place * t[K_STILL_STRIDE], still, 0, still)
    met = t[K_MEETING] + (place * (rank + turning) + rank) * 4
    _turn(address + 4 * still, met, turning, cosine, sine, t[K_HALVES], scale)


def store(cache_name: str):
    """Queries made ready, and each token's latent, normed, with its turned part put into the cache."""
    kept = cache_format(cache_name)
    block, block_bytes, keep = kept.block, int(kept.block_bytes), _keep(cache_name)

    def store(task, thread, n_threads):
        t = integers_at(task, K_LENGTH)
        turning, rank, n_heads = t[K_TURNING], t[K_RANK], t[K_N_HEADS]
        width = rank + turning
        for item in range(thread, integers_at(t[K_STATE], 1)[0] * (n_heads + 1), n_threads):
            row, head = item // (n_heads + 1), item % (n_heads + 1)
            cosine = floats_at(t[K_COS] + 4 * row * (turning // 2), turning // 2)
            sine = floats_at(t[K_SIN] + 4 * row * (turning // 2), turning // 2)
            if head < n_heads:
                _store_query(t, row, head, cosine, sine)
                continue
            made, kept = t[K_LATENTS] + row * width * 4, t[K_SCRATCH] + thread * t[K_SCRATCH_STRIDE]
            values, norm, out = floats_at(made, rank), floats_at(t[K_NORM], rank), floats_at(kept, width)
            factor = norm_factor(values, rank, float_of(t[K_EPSILON]))
            for i in range(rank):
                out[i] = values[i] * factor * norm[i]
            _turn(made + 4 * rank, kept + 4 * rank, turning, cosine, sine, t[K_HALVES], np.float32(1.0))
            position, sequence = integers_at(t[K_POSITIONS], row + 1)[row], integers_at(t[K_SEQUENCES], row + 1)[row]
            keep(t[K_CACHE] + (sequence * t[K_CAPACITY] + position) * (width // block * block_bytes), out, width)

    return store


def _keep(cache_name: str):
    """Writes a latent of some width to its place."""
    is_half, is_small, size = cache_name == "f16", cache_name == "q4_0", int(cache_format(cache_name).block_bytes)

    @helper
    def keep_floats(place, latent, width):
        if is_half:
            halves = halves_at(place, width)
            for i in range(width):
                halves[i] = half_of(latent[i])
        else:
            whole = floats_at(place, width)
            for i in range(width):
                whole[i] = latent[i]

    @helper
    def keep_blocks(place, latent, width):
        for number in range(width // BLOCK):
            first, block = BLOCK * number, place + number * size
            scale = scale_of_nibbles(latent, first) if is_small else scale_of_bytes(latent, first)
            inverse = inverse_of(scale)
            halves_at(block, 1)[0] = half_of(scale)
            quants = bytes_at(block + 2, size - 2)
            for i in range(size - 2):
                if is_small:
                    high = nibble_of(latent[first + 16 + i], inverse)
                    quants[i] = np.int8(nibble_of(latent[first + i], inverse) | high << np.int32(4))
                else:
                    quants[i] = np.int8(byte_of(latent[first + i], inverse))

    return keep_blocks if cache_format(cache_name).block > 1 else keep_floats


@helper
def _float_of_half(half):
    """A half that is finite as float32."""
    value = as_float((half & np.int32(0x7FFF)) << np.int32(13)) * np.float32(5.192296858534828e33)  # 2**112
    return as_float(bits_of(value) | ((half & np.int32(0x8000)) << np.int32(16)))


@helper
def _widen(source, out, n):
    """Halves as float32; there are none that are infinite."""
    for i in range(n):
        out[i] = _float_of_half(np.int32(source[i]))


def _widen_blocks(cache_name: str):
    """Blocks as float32."""
    is_small, size = cache_name == "q4_0", int(cache_format(cache_name).block_bytes)

    @helper
    def widen(place, out, n):
        for number in range(n // BLOCK):
            block, first = place + number * size, BLOCK * number
            scale = _float_of_half(np.int32(halves_at(block, 1)[0]))
            quants = bytes_at(block + 2, size - 2)
            for i in range(size - 2):
                code = np.int32(quants[i])
                if is_small:
                    out[first + i] = scale * np.float32((code & np.int32(15)) - np.int32(8))
                    out[first + 16 + i] = scale * np.float32(((code >> np.int32(4)) & np.int32(15)) - np.int32(8))
                else:
                    out[first + i] = scale * np.float32(code)

    return widen


@helper
def _score(first, second, keys, width, scores, other_scores):
    """Of four positions the products with two queries."""
    a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    e, f, g, h = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for i in range(width):
        q, r = first[i], second[i]
        k, m, n, p = keys[i], keys[width + i], keys[2 * width + i], keys[3 * width + i]
        a += q * k
        b += q * m
        c += q * n
        d += q * p
        e += r * k
        f += r * m
        g += r * n
        h += r * p
    scores[0], scores[1], scores[2], scores[3] = a, b, c, d
    other_scores[0], other_scores[1], other_scores[2], other_scores[3] = e, f, g, h


@helper
def _weigh(weights, other_weights, keys, width, rank, out, other_out):
    """Latents of four positions by their weights added to what two heads have read."""
    a, b, c, d = weights[0], weights[1], weights[2], weights[3]
    e, f, g, h = other_weights[0], other_weights[1], other_weights[2], other_weights[3]
    for i in range(rank):
        k, m, n, p = keys[i], keys[width + i], keys[2 * width + i], keys[3 * width + i]
        out[i] += (a * k + b * m) + (c * n + d * p)
        other_out[i] += (e * k + f * m) + (g * n + h * p)


@helper
def _softmax_part(scores, count, partial):
    """Scores as e to their distance from the largest, those after them up to whole fours as 0; the largest and the sum to *partial*."""
    largest, total = np.float32(-1e30), np.float32(0.0)
    for i in range(count):
        largest = max(largest, scores[i])
    for i in range(count):
        lower = scores[i] - largest
        value = exp(lower) if lower > np.float32(-80.0) else np.float32(0.0)
        scores[i] = value
        total += value
    for i in range(count, (count + 3) // 4 * 4):
        scores[i] = np.float32(0.0)
    partial[0], partial[1] = largest, total


@helper
def _score_heads(met, keys, width, first, last, scores):
    """Of a few positions, from *scores* on in each head's run, the products with the queries of the heads *first* to *last*."""
    for head in range(first, last, 2):
        other = min(head + 1, last - 1)
        query, second = floats_at(met + head * width * 4, width), floats_at(met + other * width * 4, width)
        for four in range(0, _PLACES, 4):
            own, others = scores + ((head - first) * CHUNK + four) * 4, scores + ((other - first) * CHUNK + four) * 4
            places = floats_at(keys + four * width * 4, 4 * width)
            _score(query, second, places, width, floats_at(own, 4), floats_at(others, 4))


@helper
def _weigh_heads(read, stride, keys, width, rank, first, last, scores, count, spare):
    """Of as many positions the latents by their weights added to what each head has read; *stride*: from one head's to the next's."""
    for head in range(first, last, 2):
        other = min(head + 1, last - 1)
        # An odd head is met twice, and what is read the second time is left where nobody looks.
        out, other_out = floats_at(read + head * stride, rank), floats_at(spare, rank)
        if other != head:
            other_out = floats_at(read + other * stride, rank)
        for four in range(0, count, 4):
            own, others = scores + ((head - first) * CHUNK + four) * 4, scores + ((other - first) * CHUNK + four) * 4
            places = floats_at(keys + four * width * 4, 4 * width)
            _weigh(floats_at(own, 4), floats_at(others, 4), places, width, rank, out, other_out)


def attend(cache_name: str):
    """For each row, some heads and a run of positions: the largest score, the sum of weights and the weighted latents."""
    kept, is_half = cache_format(cache_name), cache_name == "f16"
    elements, element_bytes = kept.block, int(kept.block_bytes)  # of a block
    is_blocks, widen_blocks = elements > 1, _widen_blocks(cache_name)

    @helper
    def keys_of(place, width, converted):
        """The address of a few positions as float32."""
        if is_blocks:
            widen_blocks(place, floats_at(converted, _PLACES * width), _PLACES * width)
            return converted
        if is_half:
            _widen(halves_at(place, _PLACES * width), floats_at(converted, _PLACES * width), _PLACES * width)
            return converted
        return place

    def attend(task, thread, n_threads):  # noqa: ARG001
        t = integers_at(task, K_LENGTH)
        n_rows = integers_at(t[K_STATE], 1)[0]
        positions, sequences = integers_at(t[K_POSITIONS], n_rows), integers_at(t[K_SEQUENCES], n_rows)
        n_heads, rank = t[K_N_HEADS], t[K_RANK]
        width, n_bands = rank + t[K_TURNING], (n_heads + HEADS - 1) // HEADS
        place_bytes = width // elements * element_bytes
        n_chunks = integers_at(t[K_CHUNKS], 1)[0]
        scores = t[K_SCRATCH] + thread * t[K_SCRATCH_STRIDE]
        converted = scores + HEADS * CHUNK * 4
        spare, stride = converted + _PLACES * width * 4, n_chunks * t[K_PARTIAL_STRIDE]
        read = 0
        while True:
            item = fetch_add(t[K_CLAIMED], 1)
            if item >= n_rows * n_bands * n_chunks:
                break
            chunk, band, row = item % n_chunks, item // n_chunks % n_bands, item // n_chunks // n_bands
            start, end = chunk * CHUNK, positions[row] + 1
            if start >= end:
                continue
            count, first = min(CHUNK, end - start), band * HEADS
            last = min(first + HEADS, n_heads)
            cache = t[K_CACHE] + (sequences[row] * t[K_CAPACITY] + start) * place_bytes
            met = t[K_MEETING] + row * n_heads * width * 4
            partial = t[K_PARTIAL] + (row * n_heads * n_chunks + chunk) * t[K_PARTIAL_STRIDE]
            for place in range(0, count, _PLACES):
                held = keys_of(cache + place * place_bytes, width, converted)
                _score_heads(met, held, width, first, last, scores + 4 * place)
            for head in range(first, last):
                own = floats_at(partial + head * stride, 2 + rank)
                _softmax_part(floats_at(scores + (head - first) * CHUNK * 4, CHUNK), count, own)
                for i in range(2, 2 + rank):
                    own[i] = np.float32(0.0)
            for place in range(0, count, _PLACES):
                held, some = keys_of(cache + place * place_bytes, width, converted), min(_PLACES, count - place)
                _weigh_heads(partial + 8, stride, held, width, rank, first, last, scores + 4 * place, some, spare)
            if band == 0:
                read += count * place_bytes
        integers_at(t[K_READ] + 64 * thread, 1)[0] += read

    return attend


def merge(task, thread, n_threads):
    """The runs of positions put together, for each row and head; also as int8."""
    t = integers_at(task, K_LENGTH)
    n_heads, rank = t[K_N_HEADS], t[K_RANK]
    most = integers_at(t[K_CHUNKS], 1)[0]
    n_rows = integers_at(t[K_STATE], 1)[0]
    positions = integers_at(t[K_POSITIONS], n_rows)
    for place in range(thread, n_rows * n_heads, n_threads):
        n_chunks = positions[place // n_heads] // CHUNK + 1
        partial = t[K_PARTIAL] + place * most * t[K_PARTIAL_STRIDE]
        out = floats_at(t[K_OUT] + place * rank * 4, rank)
        largest, total = np.float32(-1e30), np.float32(0.0)
        for chunk in range(n_chunks):
            largest = max(largest, floats_at(partial + chunk * t[K_PARTIAL_STRIDE], 1)[0])
        for i in range(rank):
            out[i] = np.float32(0.0)
        for chunk in range(n_chunks):
            part = floats_at(partial + chunk * t[K_PARTIAL_STRIDE], 2 + rank)
            share = exp(part[0] - largest)
            total += share * part[1]
            for i in range(rank):
                out[i] += share * part[2 + i]
        inverse = np.float32(1.0) / total
        for i in range(rank):
            out[i] *= inverse
        if t[K_RECORDS]:
            quantise(out, t[K_RECORDS] + place * t[K_RECORD_STRIDE], rank, 0, rank)


def scratch_bytes(width: int, rank: int) -> int:
    """What a thread needs for itself, for latents of *rank* in places of *width*."""
    return 4 * (HEADS * CHUNK + _PLACES * width + rank)
