"""Blocks of 256 whose numbers stand in a codebook, each with a sign: iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from simulator.engine.formats.blocks import add_block
from simulator.engine.formats.byte_lookups import (
    RegisterBook,
    eight_signs,
    has_byte_lookups,
    inputs_across,
    negated,
    sevens_as_bytes,
)
from simulator.engine.formats.codebooks import Codebook, field, grid, negate, pick, spread_sevens, unit, with_eighth
from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel
from simulator.engine.simd import F32, I8, I32, I64, LANES, Emitter, lanes


@dataclass(frozen=True)
class Piece:
    """32 columns of 16 rows, as their block has them. What is not asked for, the compiler leaves out."""

    codes: list[ir.Value]  # which entries of the codebook: 16 words for each 8 or 4 columns
    low: list[ir.Value]  # the low bytes of codes, 64 at a time as RegisterBook takes them, and the conditions for each
    tops: list[list[ir.Value]]
    signs: ir.Value  # 16 words: a byte for each 8 columns, a bit for each
    scales: list[ir.Value]  # 16 words: one number s for all columns, or one for each half of them; 2 s + 1 is meant


def _signed_codes(codebook: str, factor: float, read: Callable[[Panel, ir.Value, ir.Value], Piece]) -> Callable:
    """A number of the codebook with its sign, times 2 s + 1, times *factor* times the scale of the block."""

    def multiply(panel: Panel, block: ir.Value) -> None:
        v, at = panel.v, panel.v.at
        is_in_registers = has_byte_lookups(v.path)
        # Where the dot product takes unsigned weights, the numbers have 128 added; what turns their sign leaves that so.
        numbers = grid(codebook) ^ (0 if v.path.signed else -128)
        table = RegisterBook(v, codebook, numbers) if is_in_registers else Codebook(v, f"codebook_{codebook}", numbers)
        scale = at.fmul(panel.scale("scale", block), v.constant(factor, F32))
        with v.loop(ir.Constant(I64, 8)) as number:
            small = at.add(v.times(block, 8), number)
            piece = read(panel, block, number)
            if is_in_registers:
                words, inputs = _across(panel, table, piece, small)
            else:
                words = [word for codes in piece.codes for word in table.words(codes)]
                words = [negate(v, word, piece.signs, four // 2, four % 2) for four, word in enumerate(words)]
                inputs = [[panel.four(t, small, four) for four in range(8)] for t in panel.tokens]
            _add_piece(panel, words, inputs, small, scale, piece.scales)

    return multiply


def _across(panel: Panel, table: RegisterBook, piece: Piece, small: ir.Value) -> tuple[list, list]:
    """Eight times 64 numbers, and for each token the eight words of activations that they meet."""
    if table.is_gathered:
        halves = table.gathered_words(piece.codes)
    else:
        halves = [words for low, tops in zip(piece.low, piece.tops, strict=True) for words in table.words(low, tops)]
    signs = panel.v.bytes_of(piece.signs)
    words = [word for half, numbers in enumerate(halves) for word in negated(panel.v, numbers, signs, half)]
    return words, [inputs_across(panel, t, small) for t in panel.tokens]


def _add_piece(panel: Panel, words: list, inputs: list, small: ir.Value, scale: ir.Value, own_scales: list) -> None:
    """The products of 32 columns, with one scale or one for each half."""
    v, at = panel.v, panel.v.at
    fours = 8 // len(own_scales)
    for part, own in enumerate(own_scales):
        sums = [_start(panel, t, small, part if fours == 4 else None) for t in panel.tokens]
        for four in range(part * fours, (part + 1) * fours):
            weights = v.bytes_of(words[four])
            sums = [v.dot(total, weights, inputs[t][four], False) for t, total in enumerate(sums)]
        odd = at.or_(at.shl(own, v.constant(1, I32)), v.constant(1, I32))
        add_block(panel, sums, small, at.fmul(scale, v.to_float(odd)))


def _start(panel: Panel, token: int, small: ir.Value, half: int | None) -> ir.Value:
    """Where the sum of 32 products, or of one half of them, starts."""
    if panel.v.path.signed:
        return panel.nothing()
    return panel.start(token, small, 7) if half is None else panel.start_of_half(token, small, half, 7)


_BY_ROW = [(row, group) for row in range(LANES) for group in range(4)]
# Row and group of each byte, so that two tables' bytes in turn are both halves of 32 columns.
_PAIRED = [
    (4 * quarter + row, 2 * half + group)
    for quarter in range(4)
    for half in range(2)
    for row in range(4)
    for group in range(2)
]


def _bytes(v: Emitter, words: ir.Value) -> list[ir.Value]:
    return [field(v, words, 8 * byte, 8) for byte in range(4)]


def _low_bytes(v: Emitter, words: ir.Value, order: list[tuple[int, int]]) -> ir.Value:
    """Four bytes of each row in an order."""
    own = v.bytes_of(words)
    return pick(v, own, own, [4 * row + group for row, group in order])


def _test(v: Emitter, source: ir.Value, bits: list[int]) -> ir.Value:
    """Which of 64 bytes have a bit, each its own, set."""
    found = v.at.and_(source, ir.Constant(lanes(I8, 64), bits))
    return v.at.icmp_unsigned("!=", found, v.constant(0, I8, 64))


def _signs(panel: Panel, words: ir.Value) -> ir.Value:
    """Four times 7 signs in the low bits of words, as bytes of 8."""
    v = panel.v
    if has_byte_lookups(v.path):
        return v.at.bitcast(eight_signs(v, sevens_as_bytes(v, words)), lanes(I32))
    return with_eighth(v, spread_sevens(v, words))


def _twice(panel: Panel, number: ir.Value, more: int) -> ir.Value:
    return panel.v.add(panel.v.times(number, 2), more)


def _nibbles(panel: Panel, block: ir.Value, number: ir.Value) -> list[ir.Value]:
    """The scales of two halves, in one byte."""
    both = unit(panel, "scales", block, number, I8)
    return [field(panel.v, both, 0, 4), field(panel.v, both, 4, 4)]


def _iq2_xxs(panel: Panel, block: ir.Value, number: ir.Value) -> Piece:
    """A word of four codes, and one of four times 7 signs and the scale."""
    v = panel.v
    codes, rest = (unit(panel, "quants", block, _twice(panel, number, k)) for k in range(2))
    low = _low_bytes(v, codes, _PAIRED)
    return Piece(_bytes(v, codes), [low], [[]], _signs(panel, rest), [field(v, rest, 28, 4)])


def _iq2_xs(panel: Panel, block: ir.Value, number: ir.Value) -> Piece:
    """Four times 9 bits of a code and 7 signs."""
    v, at = panel.v, panel.v.at
    first, second = (unit(panel, "quants", block, _twice(panel, number, k)) for k in range(2))
    codes = [field(v, words, start, 9) for words in (first, second) for start in (0, 16)]
    both = [v.bytes_of(words) for words in (first, second)]
    places = [64 * (group // 2) + 4 * row + 2 * (group % 2) for row, group in _PAIRED]
    low, high = (pick(v, *both, [place + byte for place in places]) for byte in range(2))
    places = [64 * (group // 2) + 4 * row + 2 * (group % 2) + 1 for row, group in _BY_ROW]
    signs = at.bitcast(pick(v, *both, places), lanes(I32))
    if has_byte_lookups(v.path):
        signs = at.bitcast(eight_signs(v, v.bytes_of(signs), 1), lanes(I32))
    else:
        signs = with_eighth(v, v.shift_bytes(signs, 1, 0x7F))
    return Piece(codes, [low], [[_test(v, high, [1] * 64)]], signs, _nibbles(panel, block, number))


def _iq2_s(panel: Panel, block: ir.Value, number: ir.Value) -> Piece:
    """8 low and 2 high bits of a code apart, and 8 signs."""
    v, at = panel.v, panel.v.at
    low, high = unit(panel, "quants", block, number), unit(panel, "high", block, number, I8)
    codes = [
        at.or_(byte, at.shl(field(v, high, 2 * group, 2), v.constant(8, I32)))
        for group, byte in enumerate(_bytes(v, low))
    ]
    spread = _low_bytes(v, high, [(row, 0) for row, _ in _PAIRED])
    tops = [_test(v, spread, [1 << (2 * group + bit) for _, group in _PAIRED]) for bit in range(2)]
    signs = unit(panel, "signs", block, number)
    return Piece(codes, [_low_bytes(v, low, _PAIRED)], [tops], signs, _nibbles(panel, block, number))


def _iq3_xxs(panel: Panel, block: ir.Value, number: ir.Value) -> Piece:
    """Two words of four codes, and one of four times 7 signs and the scale."""
    v = panel.v
    words = [unit(panel, "quants", block, _twice(panel, number, k)) for k in range(2)]
    codes = [code for word in words for code in _bytes(v, word)]
    rest = unit(panel, "signs", block, number)
    return Piece(codes, [v.bytes_of(word) for word in words], [[], []], _signs(panel, rest), [field(v, rest, 28, 4)])


def _iq3_s(panel: Panel, block: ir.Value, number: ir.Value) -> Piece:
    """8 low bits of a code and a ninth apart, and 8 signs; two scales in a byte."""
    v, at = panel.v, panel.v.at
    words = [unit(panel, "quants", block, _twice(panel, number, k)) for k in range(2)]
    high = unit(panel, "high", block, number, I8)
    codes = [
        at.or_(byte, at.shl(field(v, high, group, 1), v.constant(8, I32)))
        for group, byte in enumerate(code for word in words for code in _bytes(v, word))
    ]
    spread = _low_bytes(v, high, [(row, 0) for row, _ in _BY_ROW])
    tops = [[_test(v, spread, [1 << (4 * half + group) for _, group in _BY_ROW])] for half in range(2)]
    both = unit(panel, "scales", block, at.lshr(number, ir.Constant(I64, 1)), I8)
    shift = at.trunc(v.times(at.and_(number, ir.Constant(I64, 1)), 4), I32)
    own = at.and_(at.lshr(both, v.splat(shift)), v.constant(15, I32))
    return Piece(codes, [v.bytes_of(word) for word in words], tops, unit(panel, "signs", block, number), [own])


# Offsets are those of ggml's block structures.
_SCALE = Plane("scale", 0, 2, 2)
LAYOUTS = (
    Layout("iq2_xxs", (Plane("quants", 2, 64, 4), _SCALE), _signed_codes("iq2_xxs", 1 / 8, _iq2_xxs)),
    Layout(
        "iq2_xs",
        (Plane("quants", 2, 64, 4), Plane("scales", 66, 8, 1), _SCALE),
        _signed_codes("iq2_xs", 1 / 8, _iq2_xs),
    ),
    Layout(
        "iq2_s",
        (
            Plane("quants", 2, 32, 4),
            Plane("signs", 34, 32, 4),
            Plane("high", 66, 8, 1),
            Plane("scales", 74, 8, 1),
            _SCALE,
        ),
        _signed_codes("iq2_s", 1 / 8, _iq2_s),
    ),
    Layout(
        "iq3_xxs",
        (Plane("quants", 2, 64, 4), Plane("signs", 66, 32, 4), _SCALE),
        _signed_codes("iq3_xxs", 1 / 4, _iq3_xxs),
    ),
    Layout(
        "iq3_s",
        (
            Plane("quants", 2, 64, 4),
            Plane("signs", 74, 32, 4),
            Plane("high", 66, 8, 1),
            Plane("scales", 106, 4, 1),
            _SCALE,
        ),
        _signed_codes("iq3_s", 1.0, _iq3_s),
    ),
)
