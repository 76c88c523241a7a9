"""What `profile` found, of a CPU or of a GPU, and what to do with the file."""

from __future__ import annotations

from simulator.report.screen import print_line, print_next
from simulator.report.table import print_table
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.units import KI, TERA, counted, format_capacity, format_number, format_rate


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
    rows, is_shared_out = [], any(level.one_thread_share for level in hardware.memory)
    for level in hardware.memory:
        figures = [level.gb_per_s_by_threads.get(count) for count in counts]
        spreads = [figure.known_spread for figure in figures if figure and figure.known_spread is not None]
        cells = [format_number(figure.value) if figure else "" for figure in figures]
        told = f"{max(spreads):.0%}" if spreads else ""
        own = [format_capacity(level.bytes_for(1)) if level.one_thread_share else ""] if is_shared_out else []
        rows.append([level.name, format_capacity(level.capacity_bytes), *own, *cells, told])
    head = ["read", "holds together", *(["for one thread"] if is_shared_out else [])]
    print_table([*head, *(counted(n, "thread") for n in counts), "spread"], rows, left=("read",))
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
    most = min(max(speeds) for speeds in kernels.values())  # of tokens, that all were timed with
    rows = [
        [name, *(format_number(speeds[n].cached_gop_per_s.value) if n in speeds else "" for n in tokens),
         *(f"{speeds[n].memory_share.value:.2f}" for n in (1, most) if n in speeds)]
        for name, speeds in kernels.items()
    ]  # fmt: skip
    head = [f"engine ({engine.path})", *(f"{n} tok" for n in tokens), "share 1", f"share {most}"]
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


# ---- a GPU ----


def print_gpu_profile(hardware: Hardware, path: str) -> None:
    """What the figures are, and what to do with them."""
    run = hardware.runs[-1]
    print_line(hardware.title)
    print_line(hardware.description)
    print()
    rows = [[level.name, format_capacity(level.capacity_bytes), *_cells(level.gb_per_s)] for level in hardware.memory]
    print_table(["read", "holds", "GB/s", "spread"], rows, left=("read",))
    print()
    for line in _lines(hardware):
        print_line(line)
    for note in run.notes:
        print_line(f"note: {note}")
    times = f"{len(hardware.runs)} times, pooled" if len(hardware.runs) > 1 else "once"
    print()
    print_line(f"{path}: measured {times}; last in {run.seconds:.0f} s, {counted(run.rounds, 'round')}")
    print_next([f"roofcast simulate llama-3-8b {path}", f"roofcast show {path} --plot roofline.png"])


def _cells(figure: Figure | None) -> list[str]:
    if figure is None:
        return ["", ""]
    return [format_number(figure.value), "" if figure.known_spread is None else f"{figure.known_spread:.0%}"]


def _lines(hardware: Hardware) -> list[str]:
    """Other traffic at its largest, peaks, starting a kernel, and the way in."""
    traffic = {name.split()[0]: (name, figure) for name, figure in hardware.traffic.items()}  # the largest comes last
    told = {
        "memory, GB/s": [f"{name} {format_number(figure.value)}" for name, figure in traffic.values()],
        "operations": [f"{name} {format_rate(figure.value * TERA)}" for name, figure in hardware.peaks_tflops.items()],
        "starting a kernel": [f"{hardware.launch_us.value:g} us"] if hardware.launch_us else [],
        "host memory, GB/s": [f"{link.name} {format_number(link.gb_per_s.value)}" for link in hardware.links],
    }
    return [f"{label}: {', '.join(parts)}" for label, parts in told.items() if parts]
