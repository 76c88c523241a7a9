"""The command `profile`: measures this machine with a bar, writes the hardware file, and says what was found."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from simulator.commands.plot import check_path, show_device
from simulator.engine.compiled import when_compiling
from simulator.errors import InputError, printable
from simulator.machine.disturbances import describe_state, remark_on_others
from simulator.machine.read import read_host
from simulator.machine.threads import threads_here
from simulator.probe.compiling import compile_all
from simulator.probe.cuda_device import gpu_notes
from simulator.probe.describe import hardware_fields, identity, with_doubts
from simulator.probe.device import read_device
from simulator.probe.merge import fields_of, merge, refuse_stranger
from simulator.probe.plan import Plan, make_plan
from simulator.report.progress import progress_bar
from simulator.report.record import check_target, write_whole
from simulator.report.screen import is_screen, print_line, print_next
from simulator.report.table import print_table
from simulator.spec.hardware import Hardware, load_hardware
from simulator.spec.schema import check
from simulator.units import KI, counted, format_capacity, format_number

DEFAULT_FILE = "mine.yaml"
COMPILING = "compiling kernels, once on this processor, about a minute"
HEAD = """\
# Measured by `roofcast profile`, which may be run again: its figures (source: profile) are pooled, all else stays.
# To keep a figure of your own, write it as a bare number or give it another source; comments are not kept.
"""


def run(output: str, seconds: float, threads: int | None, plot: str | None = None) -> None:
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


def save(path: Path, old: dict[str, Any], fields: dict[str, Any]) -> Hardware:
    """Writes what was measured, together with what the file held before; where that does not go together, beside it."""
    try:
        fields = with_doubts(fields, check(fields, Hardware, str(path)))
        together = merge(old, fields, str(path)) if old else fields
        hardware = check(together, Hardware, str(path))
    except InputError as reason:
        beside = next(name for name in _names_beside(path) if not name.exists())
        write_whole(beside, to_yaml(fields))
        raise InputError(f"{reason}; what was measured is in {printable(beside)}") from None
    write_whole(path, to_yaml(together))
    return hardware


def _names_beside(path: Path) -> Iterator[Path]:
    return (path.with_stem(f"{path.stem}-new{number or ''}") for number in count())


def existing_fields(path: Path) -> dict[str, Any]:
    """What the file holds already; InputError if it cannot be gone on with, or not be written, before time is spent."""
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"-o {printable(path)}: a hardware file ends in .yaml, as in {DEFAULT_FILE}")
    if not path.parent.is_dir():
        raise InputError(f"-o {printable(path)}: there is no folder {printable(path.parent)}")
    old = _read_old(path) if path.exists() else {}
    check_target(str(path), "-o")
    return old


def _read_old(path: Path) -> dict[str, Any]:
    if not path.is_file() and not path.is_dir():  # reading a pipe would wait for ever
        raise InputError(f"-o {printable(path)}: is a pipe or a device, a hardware file is needed")
    old = fields_of(load_hardware(path))
    check(merge(old, old, str(path)), Hardware, f"{path}: pooled with another measuring")
    return old


def _folder_of(path: Path) -> Path:
    return path.parent if str(path.parent) else Path()


# ---- writing ----


class _Flow(dict):
    """A mapping written on one line."""


class _FlowList(list):
    """A list written on one line."""


class _Dumper(yaml.SafeDumper):
    """Figures on a line each, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Equal figures are written out each time."""
        return True


_Dumper.add_representer(
    _Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)
)
_Dumper.add_representer(
    _FlowList, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)


def to_yaml(fields: dict[str, Any]) -> str:
    """The text of a hardware file."""
    return HEAD + yaml.dump(_flowing(fields), Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)


def _flowing(data: Any) -> Any:
    if isinstance(data, dict):
        inner = {key: _flowing(value) for key, value in data.items()}
        is_short = "value" in data or "working_set_kib" in data or "memory_share" in data
        return _Flow(inner) if is_short else inner
    if isinstance(data, list | tuple):
        is_table = bool(data) and all(isinstance(each, list | tuple) for each in data)
        return _FlowList(_FlowList(each) for each in data) if is_table else [_flowing(each) for each in data]
    return data


# ---- telling ----


def print_profile(hardware: Hardware, path: str, compiling_s: float = 0.0) -> None:
    """What the figures are, and what to do with them; *compiling_s*: what compiling took before, if anything was compiled."""
    run, everyone = hardware.runs[-1], hardware.threads or 1
    print_line(hardware.title)
    if hardware.description:
        print_line(hardware.description)
    print()
    _print_levels(hardware)
    _print_traffic(hardware)
    _print_kernels(hardware)
    for storage in hardware.storage:
        print_line(f"{storage.name}: {format_number(storage.gb_per_s.value)} GB/s, {storage.gb_per_s.how}")
    for note in run.notes:
        print_line(f"note: {note}")
    times = f"{len(hardware.runs)} times, pooled" if len(hardware.runs) > 1 else "once"
    print()
    before = f", after {compiling_s:.0f} s of compiling" if compiling_s else ""
    print_line(
        f"{path}: measured {times}; last with {counted(everyone, 'thread')} in {run.seconds:.0f} s, {counted(run.rounds, 'round')}{before}"
    )
    commands = ("simulate qwen3-30b-a3b {}", "validate {}", "show {} --plot roofline.png")
    print_next([f"roofcast {command.format(path)}" for command in commands])


def _print_levels(hardware: Hardware) -> None:
    counts = sorted({n for level in hardware.memory for n in level.gb_per_s_by_threads})
    rows = []
    for level in hardware.memory:
        figures = [level.gb_per_s_by_threads.get(count) for count in counts]
        spreads = [figure.known_spread for figure in figures if figure and figure.known_spread is not None]
        cells = [format_number(figure.value) if figure else "" for figure in figures]
        told = f"{max(spreads):.0%}" if spreads else ""
        rows.append([level.name, format_capacity(level.capacity_bytes), *cells, told])
    print_table(["read", "holds together", *(counted(n, "thread") for n in counts), "spread"], rows, left=("read",))
    print_line("(GB/s; spread: the standard deviation of a reading)")
    print()


def _print_traffic(hardware: Hardware) -> None:
    everyone = hardware.threads or 1
    kinds = {name: figure for name, figure in hardware.traffic.items() if name.endswith(f" {everyone} threads")}
    told = ", ".join(f"{name.split()[0]} {format_number(figure.value)}" for name, figure in kinds.items())
    random = [(name.split()[1], figure) for name, figure in hardware.traffic.items() if name.startswith("random")]
    blocks = ", ".join(f"{_block(int(block))} {format_number(figure.value)}" for block, figure in random)
    for start, rest in (("memory, GB/s: ", told), ("in random blocks, GB/s: of ", blocks)):
        if rest:  # there may have been no time for it
            print_line(start + rest)
    peaks = ", ".join(
        f"{name} {format_number(figure.value * 1000)} Gop/s" for name, figure in hardware.peaks_tflops.items()
    )
    print_line(f"multiply-adds in registers: {peaks}")
    print()


def _block(nbytes: int) -> str:
    return format_capacity(nbytes) if nbytes >= KI else f"{nbytes} B"


def _print_kernels(hardware: Hardware) -> None:
    engine = hardware.engine
    if engine is None or not engine.kernels:
        return
    kernels = engine.kernels[max(engine.kernels)]
    tokens = sorted({n for speeds in kernels.values() for n in speeds})
    rows = [
        [name, *(format_number(speeds[n].cached_gop_per_s.value) if n in speeds else "" for n in tokens),
         *(f"{speeds[n].memory_share.value:.2f}" for n in (1, tokens[-1]) if n in speeds)]
        for name, speeds in kernels.items()
    ]  # fmt: skip
    head = [f"engine ({engine.path})", *(f"{n} tok" for n in tokens), "share 1", f"share {tokens[-1]}"]
    print_table(head, rows, left=(head[0],))
    print_line(
        "(Gop/s with the weights in cache, by tokens at once; share of a pure read's speed with the weights in memory)"
    )
    if engine.phase_us and engine.step_us:
        phase = engine.phase_us[max(engine.phase_us)]
        print_line(
            f"starting a kernel on all threads {phase.value:.2f} us, a step outside its kernels {engine.step_us.value:.0f} us"
        )
        print()
