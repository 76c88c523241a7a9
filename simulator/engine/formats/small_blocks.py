"""Blocks of 32 with one scale: q8_0, q4_0, q4_1, q5_0, q5_1."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from simulator.engine.formats.blocks import add_block, dot_words, fifth, nibbles
from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel


def _q8_0(panel: Panel, block: ir.Value) -> None:
    """32 signed bytes and a scale."""
    signed = panel.v.path.signed
    sums = [panel.nothing() if signed else panel.start(t, block, 7) for t in panel.tokens]
    for group in range(8):
        sums = dot_words(panel, sums, panel.words("quants", block, group), block, group, False)
    add_block(panel, sums, block, panel.scale("scale", block))


def _q4_0(panel: Panel, block: ir.Value) -> None:
    """Value minus 8, times a scale."""
    sums = nibbles(panel, block, [panel.start(t, block, 3) for t in panel.tokens], lambda values, _: values)
    add_block(panel, sums, block, panel.scale("scale", block))


def _q4_1(panel: Panel, block: ir.Value) -> None:
    """Value times a scale, plus a minimum."""
    sums = nibbles(panel, block, [panel.nothing() for _ in panel.tokens], lambda values, _: values)
    add_block(panel, sums, block, panel.scale("scale", block))
    minimum = panel.scale("minimum", block)
    for t in panel.tokens:
        panel.accumulate(t, minimum, panel.scaled_sum(t, block))


def _with_fifth_bits(panel: Panel, block: ir.Value) -> Callable:
    bits = panel.words("high", block, 0)
    return lambda values, group: panel.v.at.or_(values, fifth(panel, bits, group))


def _q5_0(panel: Panel, block: ir.Value) -> None:
    """5-bit value minus 16, times a scale."""
    sums = [panel.start(t, block, 4) for t in panel.tokens]
    sums = nibbles(panel, block, sums, _with_fifth_bits(panel, block))
    add_block(panel, sums, block, panel.scale("scale", block))


def _q5_1(panel: Panel, block: ir.Value) -> None:
    """5-bit value times a scale, plus a minimum."""
    sums = nibbles(panel, block, [panel.nothing() for _ in panel.tokens], _with_fifth_bits(panel, block))
    add_block(panel, sums, block, panel.scale("scale", block))
    minimum = panel.scale("minimum", block)
    for t in panel.tokens:
        panel.accumulate(t, minimum, panel.scaled_sum(t, block))


# Offsets are those of ggml's block structures.
LAYOUTS = (
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
)
