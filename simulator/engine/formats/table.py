"""The formats that there is a kernel for."""

from __future__ import annotations

from simulator.engine.formats import (
    few_bits,
    floats,
    k_blocks,
    low_k_blocks,
    nibble_tables,
    scaled_floats,
    signed_codes,
    small_blocks,
    ternary_codes,
)

_FAMILIES = (
    floats,
    small_blocks,
    k_blocks,
    low_k_blocks,
    nibble_tables,
    scaled_floats,
    few_bits,
    signed_codes,
    ternary_codes,
)
LAYOUTS = {layout.name: layout for family in _FAMILIES for layout in family.LAYOUTS}
