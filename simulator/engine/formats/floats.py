"""Formats of single elements: f32, f16, bf16."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from simulator.engine.layout import Layout, Plane
from simulator.engine.panel import Panel
from simulator.engine.simd import F32, I16


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

LAYOUTS = (
    Layout("f32", (Plane("values", 0, 4, 4),), _f32),
    Layout("f16", (Plane("values", 0, 2, 2),), _f16),
    Layout("bf16", (Plane("values", 0, 2, 2),), _bf16),
)
