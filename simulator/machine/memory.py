"""The memory: how much there is, how much of it is free, and its kind."""

from __future__ import annotations

import re

from simulator.machine.control_groups import memory_limits
from simulator.machine.files import Tree, fields, natural
from simulator.units import KI

MEMORY_OF_BOARD = {  # as their maker says of every one of them
    re.compile(r"Raspberry Pi (Compute Module )?5"): "LPDDR4X",
    re.compile(r"Raspberry Pi (Compute Module )?4"): "LPDDR4",
}


def read_memory(tree: Tree) -> tuple[int | None, int | None]:
    """Bytes of memory, and how many of them can be had without swapping; control groups may allow less than there are."""
    told = fields(tree.text("proc/meminfo"))
    total, available = (natural(told.get(name, "").removesuffix("kB")) for name in ("MemTotal", "MemAvailable"))
    limits = list(memory_limits(tree))
    return (
        min([total * KI, *(limit for limit, _ in limits)]) if total else None,
        min([available * KI, *(max(0, limit - used) for limit, used in limits)]) if available else None,
    )


def read_memory_type(tree: Tree, board: str | None) -> str | None:
    """Such as `DDR5`: told by servers with error correction, known of some boards."""
    for folder in tree.find("sys/devices/system/edac/mc/mc*/dimm*"):
        found = re.search("DDR[2-9]", tree.text(f"{folder}/dimm_mem_type"))
        if found:
            return ("LP" if "Low-Power" in tree.text(f"{folder}/dimm_mem_type") else "") + found[0]
    return next((name for pattern, name in MEMORY_OF_BOARD.items() if pattern.match(board or "")), None)
