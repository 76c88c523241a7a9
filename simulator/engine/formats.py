"""The formats that there is a kernel for: how each one's blocks are interleaved, and how a block of 16 rows is multiplied."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel
from simulator.engine.simd import F32, I8, I16, I32, lanes


def _dot_words(panel: Panel, sums: list, words: ir.Value, small: ir.Value, group: int, is_small: bool) -> list:
    weights = panel.v.bytes_of(words)
    return [panel.v.dot(total, weights, panel.four(t, small, group), is_small) for t, total in enumerate(sums)]


def _add_block(panel: Panel, sums: list, small: ir.Value, scale: ir.Value) -> None:
    """total += scale of the weights * scale of the activations * integer sum."""
    for t, value in enumerate(sums):
        product = panel.v.at.fmul(panel.v.to_float(value), panel.input_scale(t, small))
        panel.accumulate(t, product, scale)


def _q8_0(panel: Panel, block: ir.Value) -> None:
    """32 signed bytes and a scale."""
    signed = panel.v.path.signed
    sums = [panel.nothing() if signed else panel.start(t, block, 7) for t in panel.tokens]
    for group in range(8):
        sums = _dot_words(panel, sums, panel.words("quants", block, group), block, group, False)
    _add_block(panel, sums, block, panel.scale("scale", block))


def _nibbles(panel: Panel, block: ir.Value, sums: list, high: Callable) -> list:
    """32 values of 4 bits, value i in the low half of byte i or the high half of byte i - 16, and their fifth bits."""
    v = panel.v
    for group in range(4):
        words = panel.words("quants", block, group)
        for half in range(2):
            values = v.shift_bytes(words, 4 * half, 0x0F)
            values = high(values, group + 4 * half)
            sums = _dot_words(panel, sums, values, block, group + 4 * half, True)
    return sums


def _fifth(panel: Panel, words: ir.Value, bit: int) -> ir.Value:
    """Bit number *bit* of every byte, moved to bit 4."""
    return panel.v.shift_bytes(words, bit - 4, 0x10)


def _q4_0(panel: Panel, block: ir.Value) -> None:
    """Value minus 8, times a scale."""
    sums = _nibbles(panel, block, [panel.start(t, block, 3) for t in panel.tokens], lambda values, _: values)
    _add_block(panel, sums, block, panel.scale("scale", block))


def _q4_1(panel: Panel, block: ir.Value) -> None:
    """Value times a scale, plus a minimum."""
    sums = _nibbles(panel, block, [panel.nothing() for _ in panel.tokens], lambda values, _: values)
    _add_block(panel, sums, block, panel.scale("scale", block))
    minimum = panel.scale("minimum", block)
    for t in panel.tokens:
        panel.accumulate(t, minimum, panel.scaled_sum(t, block))


def _with_fifth_bits(panel: Panel, block: ir.Value) -> Callable:
    bits = panel.words("high", block, 0)
    return lambda values, group: panel.v.at.or_(values, _fifth(panel, bits, group))


def _q5_0(panel: Panel, block: ir.Value) -> None:
    """5-bit value minus 16, times a scale."""
    sums = [panel.start(t, block, 4) for t in panel.tokens]
    sums = _nibbles(panel, block, sums, _with_fifth_bits(panel, block))
    _add_block(panel, sums, block, panel.scale("scale", block))


def _q5_1(panel: Panel, block: ir.Value) -> None:
    """5-bit value times a scale, plus a minimum."""
    sums = _nibbles(panel, block, [panel.nothing() for _ in panel.tokens], _with_fifth_bits(panel, block))
    _add_block(panel, sums, block, panel.scale("scale", block))
    minimum = panel.scale("minimum", block)
    for t in panel.tokens:
        panel.accumulate(t, minimum, panel.scaled_sum(t, block))


def _k_scales(panel: Panel, block: ir.Value, number: int) -> ir.Value:
    """6-bit number *number* of 16 (8 scales, then 8 minima) as floats: five to a word, the last one spread over three."""
    v, at = panel.v, panel.v.at
    if number < 15:
        words = panel.words("scales", block, number // 5)
        shifted = at.lshr(words, v.constant(6 * (number % 5), I32))
        return v.to_float(at.and_(shifted, v.constant(63, I32)))
    value = panel.nothing()
    for word in range(3):
        two = at.lshr(panel.words("scales", block, word), v.constant(30, I32))
        value = at.or_(value, at.shl(two, v.constant(2 * word, I32)))
    return v.to_float(value)


def _k_block(panel: Panel, block: ir.Value, fifth: Callable) -> None:
    """256 values in 4 runs of 64: the low halves of 32 bytes, then the high ones; a scale and minimum for each 32."""
    v, at = panel.v, panel.v.at
    scale, minimum = panel.scale("scale", block), panel.scale("minimum", block)
    for run in range(4):
        for half in range(2):
            number = 2 * run + half
            small = panel.small(block, number)
            sums = [panel.nothing() for _ in panel.tokens]
            for group in range(8):
                values = v.shift_bytes(panel.words("quants", block, 8 * run + group), 4 * half, 0x0F)
                sums = _dot_words(panel, sums, fifth(values, group, number), small, group, True)
            _add_block(panel, sums, small, at.fmul(scale, _k_scales(panel, block, number)))
            least = at.fneg(at.fmul(minimum, _k_scales(panel, block, 8 + number)))
            for t in panel.tokens:
                panel.accumulate(t, least, panel.scaled_sum(t, small))


def _q4_k(panel: Panel, block: ir.Value) -> None:
    """Value times a scale of 6 bits times a scale, minus a minimum of the same kind."""
    _k_block(panel, block, lambda values, _group, _number: values)


def _q5_k(panel: Panel, block: ir.Value) -> None:
    """The same with a fifth bit."""
    _k_block(
        panel,
        block,
        lambda values, group, number: panel.v.at.or_(values, _fifth(panel, panel.words("high", block, group), number)),
    )


def _q6_k(panel: Panel, block: ir.Value) -> None:
    """6-bit value minus 32, times a scale of 8 bits for each 16, times a scale."""
    v, at = panel.v, panel.v.at
    scale = panel.scale("scale", block)
    for number in range(8):  # 32 values each: 4 to a half of 64 low bytes and 32 high ones
        half, quarter = divmod(number, 4)
        small = panel.small(block, number)
        for part in range(2):
            sums = [panel.start_of_half(t, small, part, 5) for t in panel.tokens]
            for group in range(4 * part, 4 * part + 4):
                low = panel.words("quants", block, 16 * half + 8 * (quarter % 2) + group)
                low = v.shift_bytes(low, 4 * (quarter // 2), 0x0F)
                high = v.shift_bytes(panel.words("high", block, 8 * half + group), 2 * quarter - 4, 0x30)
                sums = _dot_words(panel, sums, at.or_(low, high), small, group, True)
            own = at.sext(panel.field("scales", block, 2 * number + part, I8), lanes(I32))
            _add_block(panel, sums, small, at.fmul(scale, v.to_float(own)))


def _float(read: Callable) -> Callable:
    """A format of single elements: activations stay float32."""

    def multiply(panel: Panel, block: ir.Value) -> None:
        weights = read(panel, block)
        for t in panel.tokens:
            start = panel.v.add(panel.inputs[t], panel.v.times(block, 4))
            panel.accumulate(t, weights, panel.v.splat(panel.v.load(start, 0, F32)))

    return multiply


_f32 = _float(lambda panel, block: panel.field("values", block, 0, F32))
_f16 = _float(lambda panel, block: panel.v.half_to_float(panel.field("values", block, 0, I16)))
_bf16 = _float(lambda panel, block: panel.v.bfloat_to_float(panel.field("values", block, 0, I16)))

# Offsets are those of ggml's block structures.
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("f32", (Plane("values", 0, 4, 4),), _f32),
        Layout("f16", (Plane("values", 0, 2, 2),), _f16),
        Layout("bf16", (Plane("values", 0, 2, 2),), _bf16),
        Layout("q8_0", (Plane("quants", 2, 32, 4, "sign"), Plane("scale", 0, 2, 2)), _q8_0),
        Layout("q4_0", (Plane("quants", 2, 16, 4), Plane("scale", 0, 2, 2)), _q4_0),
        Layout("q4_1", (Plane("quants", 4, 16, 4), Plane("scale", 0, 2, 2), Plane("minimum", 2, 2, 2)), _q4_1),
        Layout("q5_0", (Plane("quants", 6, 16, 4), Plane("high", 2, 4, 4, "bits"), Plane("scale", 0, 2, 2)), _q5_0),
        Layout(
            "q5_1",
            (
                Plane("quants", 8, 16, 4),
                Plane("high", 4, 4, 4, "bits"),
                Plane("scale", 0, 2, 2),
                Plane("minimum", 2, 2, 2),
            ),
            _q5_1,
        ),
        Layout(
            "q4_k",
            (
                Plane("quants", 16, 128, 4),
                Plane("scales", 4, 12, 4, "six"),
                Plane("scale", 0, 2, 2),
                Plane("minimum", 2, 2, 2),
            ),
            _q4_k,
        ),
        Layout(
            "q5_k",
            (
                Plane("quants", 48, 128, 4),
                Plane("high", 16, 32, 4),
                Plane("scales", 4, 12, 4, "six"),
                Plane("scale", 0, 2, 2),
                Plane("minimum", 2, 2, 2),
            ),
            _q5_k,
        ),
        Layout(
            "q6_k",
            (
                Plane("quants", 0, 128, 4),
                Plane("high", 128, 64, 4),
                Plane("scales", 192, 16, 1),
                Plane("scale", 208, 2, 2),
            ),
            _q6_k,
        ),
    )
}
