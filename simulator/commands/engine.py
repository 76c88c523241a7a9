"""What the engine runs on here: the processor, its instructions, and the formats that there are kernels for."""

from __future__ import annotations

import os

from simulator.engine import cpu
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.recipes.table import ARCHITECTURES
from simulator.engine.team import cores
from simulator.errors import InputError
from simulator.probe.fastest_path import remember_fastest
from simulator.report.progress import progress_bar


def print_engine(*, anew: bool = False) -> None:
    """Prints it; *anew* measures first which path is the fastest. InputError where that cannot be measured, or not be remembered."""
    if anew:
        _measure()
    chosen = cpu.choose()
    print(f"{cpu.machine()}, {cores()} cores")
    print(f"  kernels: {chosen.name} ({chosen.title})")
    for path in cpu.PATHS.values():
        if path is not chosen:
            lacking = sorted(path.needs - cpu.features())
            runs = path in cpu.reachable()
            print(f"    {path.name}: {'runs here too' if runs else 'not here, ' + ', '.join(lacking) + ' missing'}")
    print(f"  chosen: {_why()}")
    print(f"  another path: set {cpu.VARIABLE} to its name")
    print(f"  formats: {', '.join(LAYOUTS)}")
    print(f"  architectures of GGUF files: {', '.join(ARCHITECTURES)}")


def _measure() -> None:
    if len(cpu.reachable()) < 3:
        raise InputError("--measure: there is one path for this processor, and nothing to choose from; leave it out")
    with progress_bar("measuring") as progress:
        if not remember_fastest(lambda what: progress(0.0, what)):
            raise InputError("--measure: no folder for what was measured can be written; NUMBA_CACHE_DIR can name one")


def _why() -> str:
    """Why this path is the one, and how it is measured."""
    if os.environ.get(cpu.VARIABLE):
        return f"by {cpu.VARIABLE}"
    found = cpu.measured()
    if found is None:
        again = "; roofcast show engine --measure measures which is the fastest" if len(cpu.reachable()) > 2 else ""
        return f"as the first that runs here{again}"
    speeds = ", ".join(f"{name} {speed:.2f}" for name, speed in found.speeds.items())
    return f"as measured, speeds {speeds}; roofcast show engine --measure measures again"
