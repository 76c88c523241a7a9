"""What the command `profile` runs on a CPU: measures this machine with a bar, writes the hardware file, says what was found."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path

from simulator.commands.hardware_file import existing_fields, save
from simulator.commands.picture import check_path, show_device
from simulator.engine.compiled import when_compiling
from simulator.errors import InputError, printable
from simulator.machine.disturbances import describe_state, remark_on_others
from simulator.machine.read import read_host
from simulator.machine.threads import threads_here
from simulator.probe.compiling import compile_all
from simulator.probe.cuda.device import gpu_notes
from simulator.probe.describe import hardware_fields, identity
from simulator.probe.device import read_device
from simulator.probe.merge import refuse_stranger
from simulator.probe.plan import Plan, make_plan
from simulator.report.profile import print_profile
from simulator.report.progress import progress_bar
from simulator.report.screen import is_screen, print_line

COMPILING = "compiling kernels, once on this processor, about a minute"


def run_cpu(output: str, seconds: float, threads: int | None, plot: str | None = None) -> None:
    """Measure for some seconds, merge with what the file already holds, write, print a summary, and draw."""
    path = Path(output)
    picture = check_path(plot, "--plot") if plot is not None else None
    old = existing_fields(path)
    host = read_host()
    plan = make_plan(host, seconds, threads_here(threads, "--threads", host))
    if old:
        refuse_stranger(old, identity(host, plan.threads[-1]), output)
    for remark in (*remark_on_others(), *describe_state(host), *gpu_notes()):
        print_line(f"note: {remark}", stream=sys.stderr)
    try:
        compiling_s = _compile(plan)
        with progress_bar("measuring") as progress:
            readings = read_device(host, plan, _folder_of(path), progress)
    except MemoryError:  # there is some, but this process may not have it
        raise InputError(
            "profiling needs more memory than this process may have: raise its limit (ulimit -v)"
        ) from None
    fields = hardware_fields(readings, printable(path.stem), datetime.now())
    hardware = save(path, old, fields)
    print_profile(hardware, output, compiling_s)
    if plot is not None:
        show_device(hardware, picture)


def _compile(plan: Plan) -> float:
    """Seconds that compiling took, 0 where all was kept from before; where no bar is drawn, a line says what takes so long."""
    told, began = [], time.monotonic()

    def tell() -> None:
        told.append(True)
        if not is_screen(sys.stderr):
            print_line(COMPILING, stream=sys.stderr)

    with progress_bar("compiling") as progress, when_compiling(tell):
        compile_all(plan, progress)
    return time.monotonic() - began if told else 0.0


def _folder_of(path: Path) -> Path:
    return path.parent if str(path.parent) else Path()
