"""Whether our probes of memory are as fast as plain C: the same arrays, threads and parts, in turn."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.bench.rows import row
from simulator.engine.memory import aligned
from simulator.engine.team import Team
from simulator.errors import InputError, printable
from simulator.machine.read import read_host
from simulator.machine.threads import threads_here
from simulator.probe.bandwidth import KINDS, ROUND, stream_probe
from simulator.probe.clock import Probe, repeats_of, time_once
from simulator.probe.plan import make_plan
from simulator.progress import Progress
from simulator.report.leftovers import temporary_folder
from simulator.units import counted, format_bytes

SOURCE = Path(__file__).with_name("stream.c")
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-std=gnu11", "-pthread")
OWN = (("-march=native",), ("-mcpu=native",), ())  # how a compiler is told to use all of this processor
TARGET = ">= 0.95"  # of C's speed; a compiler whose plain loop is slower than ours does no harm
BURST_S = 0.03
LOOKS = 7  # at either side in a round, of which the median counts
PAUSE_S = 0.03  # in which our threads, waiting for more work, go to sleep: they would disturb the other side
FILL, FILL_WORD = 1.1, 0x3F8CCCCD  # what the arrays in C hold, and the bits of it
COMPILE_S = 60


@dataclass(frozen=True)
class Case:
    """A working set, cut into as many arrays as the kind needs."""

    name: str
    kind: str
    nbytes: int


def bandwidth_rows(
    rounds: int,
    threads: int | None,
    only: str | None = None,
    cases: Sequence[Case] | None = None,
    progress: Progress = lambda _share, _what: None,
) -> tuple[list[dict], list[str]]:
    """Every case, and what to know beside them; InputError where there is no C to compare with."""
    threads = threads_here(threads, "--threads")
    chosen = [case for case in (cases or default_cases(threads)) if not only or only in case.name]
    with temporary_folder("bench-bandwidth") as folder:
        program, command = compile_c(folder)
        rows = []
        for number, case in enumerate(chosen):
            progress(number / len(chosen), f"timing {case.name}")
            rows.append(_case(case, program, threads, max(1, rounds)))
    sizes = ", ".join(dict.fromkeys(f"{case.name.split('-')[1]} {format_bytes(case.nbytes)}" for case in chosen))
    return rows, [f"{counted(threads, 'thread')}; {sizes}; C: {command}"]


def default_cases(threads: int) -> list[Case]:
    """Arrays that no cache holds, and such as each core's own holds."""
    plan = make_plan(read_host(), threads=threads)
    sizes = {"memory": plan.buffer_bytes, "cache": plan.cached_bytes * threads}
    return [Case(f"{kind}-{where}", kind, nbytes) for where, nbytes in sizes.items() for kind in ("read", "triad")]


def compile_c(folder: Path) -> tuple[Path, str]:
    """The C program, and how it was compiled; InputError in a sentence where that cannot be."""
    names = [*([os.environ["CC"]] if os.environ.get("CC") else []), *COMPILERS]
    compiler = next((name for name in names if shutil.which(name)), None)
    if compiler is None:
        raise InputError("no C compiler is there to compare with (cc, gcc or clang): install one, or set CC")
    program, said = folder / "stream", ""
    for own in OWN:
        flags = [*FLAGS, *own]
        command = [compiler, *flags, str(SOURCE), "-o", str(program)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_S, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            raise InputError(f"the C compiler {printable(compiler)} does not run ({printable(error)})") from None
        if done.returncode == 0 and program.exists():
            return program, f"{compiler} {' '.join(flags)}"
        said = said or next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
    raise InputError(
        f"the C compiler {printable(compiler)} does not compile what we compare with ({printable(said, 200)})"
    )


def _case(case: Case, program: Path, threads: int, rounds: int) -> dict:
    """Ours and C in rounds, of which the first does not count.

    Each round has memory of its own: which physical pages a program gets makes some per cent, and stays as it is.
    """
    pairs = []
    for _ in range(rounds + 1):
        with our_probe(case, threads) as probe, c_program(program, case, threads) as other:
            pairs.append(_round(probe, other))
    ours, theirs = np.array(pairs[1:]).T
    return row(case.name, probe.bytes / ours, theirs / ours, "C", TARGET, "B/s")


def _round(probe: Probe, other: Callable[[int], float]) -> tuple[float, float]:
    """Seconds of one pass by us and by C, looked at in turn, every other time the other way round."""
    repeats = repeats_of(probe, time.perf_counter)
    other(repeats)
    ours, theirs = [], []
    for number in range(LOOKS):
        for is_ours in (True, False) if number % 2 else (False, True):
            time.sleep(PAUSE_S)
            if is_ours:
                ours.append(time_once(probe, repeats, time.perf_counter))
            else:
                theirs.append(other(repeats))
    return statistics.median(ours), statistics.median(theirs)


@contextmanager
def our_probe(case: Case, threads: int) -> Iterator[Probe]:
    """Our side, whose threads also touch each array first."""
    team = Team(threads)
    try:
        each = case.nbytes // KINDS[case.kind] // ROUND * ROUND
        memory = aligned(case.nbytes)
        for number in range(KINDS[case.kind]):
            part = memory[number * each : (number + 1) * each]
            stream_probe("touch", "write", team, part, each).run(1)
        probe = stream_probe(case.name, case.kind, team, memory, case.nbytes)
        yield Probe(case.name, probe.run, probe.bytes, burst_s=BURST_S)
    finally:
        team.close()


@contextmanager
def c_program(path: Path, case: Case, threads: int) -> Iterator[Callable[[int], float]]:
    """The C side of a case, at work in a process of its own: a function from passes in a row to the seconds of one."""
    command = [str(path), case.kind, str(case.nbytes), str(threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    words = case.nbytes // KINDS[case.kind] // ROUND * ROUND // 4

    def seconds(passes: int) -> float:
        try:
            print(passes, file=process.stdin, flush=True)
            taken, result = process.stdout.readline().split()
        except (OSError, ValueError):
            raise InputError(f"the C program for {case.name} ended: is there memory enough?") from None
        expected = passes * words * FILL_WORD % 2**32 if case.kind == "read" else FILL + 3 * FILL
        if abs(float(result) - expected) > 1e-3:
            raise InputError(f"the C program for {case.name} computed {result}, not {expected:.10g}")
        return float(taken) / passes

    try:
        yield seconds
    finally:
        process.kill()
        process.communicate()
