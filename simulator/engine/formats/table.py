"""The formats that there is a kernel for."""

from __future__ import annotations

from simulator.engine.formats import floats, k_blocks, small_blocks

LAYOUTS = {layout.name: layout for family in (floats, small_blocks, k_blocks) for layout in family.LAYOUTS}
