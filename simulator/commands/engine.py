"""What the engine runs on here: the processor, its instructions, and the formats that there are kernels for."""

from __future__ import annotations

from simulator.engine import cpu
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.recipes.table import ARCHITECTURES
from simulator.engine.team import cores


def print_engine() -> None:
    """Prints it."""
    chosen = cpu.choose()
    print(f"{cpu.machine()}, {cores()} cores")
    print(f"  kernels: {chosen.name} ({chosen.title})")
    for path in cpu.PATHS.values():
        if path is not chosen:
            lacking = sorted(path.needs - cpu.features())
            runs = path in cpu.reachable()
            print(f"    {path.name}: {'runs here too' if runs else 'not here, ' + ', '.join(lacking) + ' missing'}")
    print("  another path: set ROOFCAST_CPU_PATH to its name")
    print(f"  formats: {', '.join(LAYOUTS)}")
    print(f"  architectures of GGUF files: {', '.join(ARCHITECTURES)}")
