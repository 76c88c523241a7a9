"""The formats that there is a kernel for."""

from __future__ import annotations

from simulator.engine.formats import floats, k_blocks, signed_codes, small_blocks, ternary_codes

LAYOUTS = {layout.name: layout for family in (floats, small_blocks, k_blocks, signed_codes, ternary_codes) for layout in family.LAYOUTS}
