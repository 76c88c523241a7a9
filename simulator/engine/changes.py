"""What packing does to some planes beside moving them, and how it is taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from simulator.engine.simd import I32, Emitter


@dataclass(frozen=True)
class Change:
    """One way to write a plane otherwise than the file has it, in as many bytes."""

    # (emitter, the words of a block's plane, a sign flip) -> as many words. A word is a vector: four bytes of each of 16 rows. The
    # flip is one i32, 0x80808080 where the path takes weights with 128 added and 0 elsewhere.
    pack: Callable[[Emitter, list[ir.Value], ir.Value], list[ir.Value]]
    # (uint8 [n, bytes of the plane in a block], whether the path takes signed weights) -> the same as the file had it.
    restore: Callable[[np.ndarray, bool], np.ndarray]


# ---- signed bytes with 128 added, where the path wants them so ----


def _flip(v: Emitter, words: list, flip: ir.Value) -> list:
    flips = v.splat(flip)
    return [v.at.xor(word, flips) for word in words]


def _flip_back(field: np.ndarray, signed: bool) -> np.ndarray:
    return field if signed else field ^ 0x80


# ---- a bit for each of 32 columns: bit 4 j + k becomes bit 8 k + j, so that byte i holds columns i, 4 + i, 8 + i ... ----


def _transpose_bits(v: Emitter, words: list, _flip: ir.Value) -> list:
    return [_transposed(v, word) for word in words]


def _transposed(v: Emitter, word: ir.Value) -> ir.Value:
    at, result = v.at, v.constant(0, I32)
    for k in range(4):
        for j in range(8):
            shift = 8 * k + j - (4 * j + k)
            bit = at.and_(word, v.constant(1 << (4 * j + k), I32))
            if shift > 0:
                bit = at.shl(bit, v.constant(shift, I32))
            elif shift < 0:
                bit = at.lshr(bit, v.constant(-shift, I32))
            result = at.or_(result, bit)
    return result


def _transpose_bits_back(field: np.ndarray, _signed: bool) -> np.ndarray:
    bits = np.unpackbits(field.reshape(-1, 4, 1), axis=2, bitorder="little")  # [word, k, j]
    words = np.packbits(bits.transpose(0, 2, 1).reshape(-1, 32), axis=1, bitorder="little")
    return words.reshape(field.shape)


# ---- two bits for each of 16 columns: bits 8 i + 2 k become bits 8 k + 2 i, so that byte k holds columns k, 4 + k, 8 + k, 12 + k ----


def _transpose_pairs(v: Emitter, words: list, _flip: ir.Value) -> list:
    return [_pairs_transposed(v, word) for word in words]


def _pairs_transposed(v: Emitter, word: ir.Value) -> ir.Value:
    at, result = v.at, v.constant(0, I32)
    for away in range(-3, 4):  # k - i: all with the same move equally far
        mask = sum(3 << 8 * i + 2 * (i + away) for i in range(4) if 0 <= i + away < 4)
        pairs = at.and_(word, v.constant(mask, I32))
        move = at.shl if away > 0 else at.lshr
        result = at.or_(result, move(pairs, v.constant(6 * abs(away), I32)))
    return result


def _transpose_pairs_back(field: np.ndarray, _signed: bool) -> np.ndarray:
    pairs = field.reshape(-1, 4, 1) >> np.arange(0, 8, 2, dtype=np.uint8) & 3  # [word, k, i]
    back = pairs.transpose(0, 2, 1) << np.arange(0, 8, 2, dtype=np.uint8)
    return np.bitwise_or.reduce(back, axis=2).reshape(field.shape)


# ---- ggml's 12 bytes of 8 scales and 8 minima of 6 bits: five to a word, and two bits of the sixteenth above them ----


def _five_to_a_word(v: Emitter, words: list, _flip: ir.Value) -> list:
    numbers = _six_bits(v, words)
    results = []
    for word in range(3):
        two = v.at.and_(v.at.lshr(numbers[15], v.constant(2 * word, I32)), v.constant(3, I32))
        result = v.at.shl(two, v.constant(30, I32))
        for k in range(5):
            result = v.at.or_(result, v.at.shl(numbers[5 * word + k], v.constant(6 * k, I32)))
        results.append(result)
    return results


def _six_bits(v: Emitter, words: list) -> list:
    """The 16 numbers: of four of each kind all bits stand in a byte, of four the upper two above those and the lower four apart."""
    first, second, last = words
    at = v.at

    def bits(word: ir.Value, start: int, count: int) -> ir.Value:
        return at.and_(at.lshr(word, v.constant(start, I32)), v.constant((1 << count) - 1, I32))

    found = []
    for kind, word in enumerate((first, second)):
        found += [bits(word, 8 * j, 6) for j in range(4)]
        for j in range(4):
            upper = at.shl(bits(word, 8 * j + 6, 2), v.constant(4, I32))
            found.append(at.or_(bits(last, 8 * j + 4 * kind, 4), upper))
    return found


def _twelve_bytes(field: np.ndarray, _signed: bool) -> np.ndarray:
    words = np.ascontiguousarray(field).view("<u4")  # [n, 3]
    numbers = np.empty((len(words), 16), np.uint8)
    for number in range(15):
        numbers[:, number] = (words[:, number // 5] >> (6 * (number % 5))) & 63
    numbers[:, 15] = sum(((words[:, word] >> 30) & 3) << (2 * word) for word in range(3))
    scales, minima = numbers[:, :8], numbers[:, 8:]
    first = scales[:, :4] | (scales[:, 4:] >> 4) << 6
    second = minima[:, :4] | (minima[:, 4:] >> 4) << 6
    last = (scales[:, 4:] & 15) | (minima[:, 4:] & 15) << 4
    return np.concatenate([first, second, last], axis=1)


CHANGES = {
    "sign": Change(_flip, _flip_back),
    "bits": Change(_transpose_bits, _transpose_bits_back),
    "pairs": Change(_transpose_pairs, _transpose_pairs_back),
    "six": Change(_five_to_a_word, _twelve_bytes),
}
