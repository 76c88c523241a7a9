"""How fast the engine decodes: against reading the same weights and nothing more, and against llama.cpp on the same file."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from simulator.bench import synthetic
from simulator.bench.llama_cpp import PACKAGE, LlamaCpp
from simulator.bench.rows import row
from simulator.engine import cpu
from simulator.engine.step import Engine
from simulator.machine.threads import threads_here
from simulator.probe.read import ReadProbe
from simulator.progress import Progress
from simulator.report.leftovers import temporary_folder
from simulator.units import counted

BURST_S = 0.6  # of decoding between two looks at the memory
DEPTH = 64  # tokens that each sequence has before
BATCH = 8
PROMPT, PROMPT_ROUNDS = 256, 5
# Case: (model, format).
CASES = {
    "dense-q8_0": (synthetic.dense, "q8_0"),
    "dense-q4_0": (synthetic.dense, "q4_0"),
    "moe-q8_0": (synthetic.moe, "q8_0"),
    "moe-q4_0": (synthetic.moe, "q4_0"),
    "dense-q4_k": (synthetic.dense, "q4_k"),
    "dense-q6_k": (synthetic.dense, "q6_k"),
    "dense-iq4_xs": (synthetic.dense, "iq4_xs"),
    "dense-mxfp4": (synthetic.dense, "mxfp4"),
}
BATCH_CASE = "dense-q8_0"  # also with 8 sequences, and for loading
PROMPT_CASES = ("dense-q8_0", "dense-q4_0")
# Goals on the two kinds of machine that there were to measure on, an Intel Xeon with AVX-512 VNNI and an AMD Zen 4: the share of a pure
# read, and GB/s of loading.
GOALS = {
    "dense-q8_0": (0.92, 0.96),
    "dense-q4_0": (0.80, 0.95),
    "moe-q8_0": (0.85, 0.88),
    "moe-q4_0": (0.75, 0.90),
    "dense-q4_k": (0.70, 0.80),
    "dense-q6_k": (0.70, 0.80),
    "dense-iq4_xs": (0.70, 0.80),
    "dense-mxfp4": (0.70, 0.80),
    "load": (2.0, 3.0),
}
LLAMA_GOAL = 1.3


def decode_rows(
    rounds: int,
    threads: int | None,
    only: str | None,
    folder: str | None,
    llama_server: str | None = None,
    progress: Progress = lambda _share, _what: None,
) -> tuple[list[dict], list[str]]:
    """Every case with the spread of its rounds, and what to know beside them."""
    threads = threads_here(threads, "--threads")
    rows, notes = [], [f"{cpu.machine()}, {counted(threads, 'thread')}, kernels {cpu.choose().name}"]
    with _folder(folder) as place:
        chosen = {name: case for name, case in CASES.items() if not only or only in name}
        for number, (name, (make, weights)) in enumerate(chosen.items()):
            path = place / f"{name}.gguf"
            if not path.exists():
                progress(number / len(chosen), f"writing {path.name}")
                synthetic.write(make(), weights, path)
            progress((number + 0.3) / len(chosen), f"timing {name}")
            rows += _case(name, path, threads, max(1, rounds), notes, llama_server)
            if name == BATCH_CASE:
                rows += _start(path, threads)
            if not folder:
                path.unlink()
    return rows, notes


@contextmanager
def _folder(given: str | None) -> Iterator[Path]:
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        yield Path(given)
        return
    with temporary_folder("bench-decode") as place:
        yield place


def goal(name: str) -> float:
    """What a case should reach on this kind of machine."""
    intel, amd = GOALS[name]
    return amd if "AMD" in cpu.machine() else intel


def _case(name: str, path: Path, threads: int, rounds: int, notes: list[str], llama_server: str | None) -> list[dict]:
    """One file: our steps between looks at the memory's speed, and llama.cpp's in turn where it is installed."""
    rows = []
    with Engine(path, threads=threads, batch=BATCH, context=1024) as engine:
        is_there = llama_server or find_spec(PACKAGE)
        with LlamaCpp(path, threads, 1024, program=llama_server) if is_there else nullcontext() as theirs:
            rows += _decoding_rows(name, engine, theirs, rounds)
            if name in PROMPT_CASES:
                rows += _prompt_rows(name, engine, theirs, min(rounds, PROMPT_ROUNDS))
        note = (
            f"llama.cpp: {theirs.build}"
            if theirs
            else "llama.cpp was not compared: pip install '.[bench]' in a checkout"
        )
        if note not in notes:
            notes.append(note)
        if name == BATCH_CASE:
            rows.append(_batch_row(name, engine, rounds))
    return rows


def _decoding_rows(name: str, engine: Engine, theirs: LlamaCpp | None, rounds: int) -> list[dict]:
    """Decoding one sequence."""
    prompt = [1 + (7 * number) % 200 for number in range(DEPTH)]
    probe = ReadProbe([matrix.data for matrix in engine.loaded.matrices.values()], engine.team)
    ours = _Burst(engine, 1)
    befores, steps, afters, others = [], [], [], []
    for _ in range(rounds + 1):
        befores.append(_read_speed(probe))
        steps.append(ours.seconds())
        afters.append(_read_speed(probe))
        if theirs:
            others.append(theirs.decode(prompt, ours.n_steps + 1).seconds_per_token)
    reads = ours.bytes_read / np.array(steps[1:])
    around = (np.array(befores[1:]) + np.array(afters[1:])) / 2
    rows = [row(f"{name}-batch1", reads, reads / around, "pure-read", f">= {goal(name):.2f}", "B/s")]
    rows.append(row(f"{name}-batch1", reads, reads / max(befores + afters), "best pure-read", "", "B/s"))
    if theirs:
        rates = 1 / np.array(steps[1:])
        ratios = np.array(others[1:]) * rates
        rows.append(row(f"{name}-batch1", rates, ratios, "llama.cpp", f">= {LLAMA_GOAL:.2f}", "tokens/s"))
    return rows


def _prompt_rows(name: str, engine: Engine, theirs: LlamaCpp | None, rounds: int) -> list[dict]:
    """A prompt that neither has seen, another one each time."""
    ours, others = [], []
    for number in range(rounds + 1):
        prompt = [1 + (number + (7 + number) * place) % 200 for place in range(PROMPT)]
        engine.reset()
        start = time.perf_counter()
        engine.prompt(prompt)
        ours.append(PROMPT / (time.perf_counter() - start))
        if theirs:
            found = theirs.decode(prompt, 1)
            others.append(found.prompt_tokens / found.prompt_seconds)
    if not theirs:
        return []
    ratios = np.array(ours[1:]) / np.array(others[1:])
    return [row(f"{name}-prompt{PROMPT}", ours[1:], ratios, "llama.cpp", "", "tokens/s")]


def _batch_row(name: str, engine: Engine, rounds: int) -> dict:
    """Eight sequences at once against one, in turn."""
    one, many = _Burst(engine, 1), _Burst(engine, BATCH)
    pairs = [(one.seconds(), many.seconds()) for _ in range(rounds + 1)][1:]
    rates = BATCH / np.array([each for _, each in pairs])
    ratios = np.array([BATCH * alone / together for alone, together in pairs])
    return row(f"{name}-batch{BATCH}", rates, ratios, "batch 1", ">= 4.00", "tokens/s")


class _Burst:
    """So many steps in a row that they take about half a second."""

    def __init__(self, engine: Engine, batch: int):
        self._engine, self._batch = engine, batch
        self._tokens = np.arange(1, batch + 1)
        self.n_steps, self.bytes_read = 1, 0.0
        self.n_steps = max(4, int(BURST_S / self.seconds()))

    def seconds(self) -> float:
        """Median seconds of a step, all of them at the same depth give or take the burst."""
        self._engine.pretend(DEPTH)
        taken, read = [], []
        for number in range(self.n_steps):
            start = time.perf_counter()
            step = self._engine.decode((self._tokens * 31 + number) % self._engine.model.vocab)
            taken.append(time.perf_counter() - start)
            read.append(step.read.weights)
        self.bytes_read = statistics.fmean(read)
        return statistics.median(taken)


def _read_speed(probe: ReadProbe) -> float:
    seconds = [probe.seconds()]
    while sum(seconds) < BURST_S / 2:
        seconds.append(probe.seconds())
    return probe.nbytes / statistics.median(seconds)


_START = """
import json, resource, sys, time
begun = time.time()
from simulator.engine.step import Engine
from simulator.engine.assembly import tape
from simulator.engine.text import vocabulary
from simulator.commands import generation
import gguf
def resident():
    return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()
before = resident()
path, threads, began = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
start = time.perf_counter()
engine = Engine(path, threads=threads, context=1024)
loaded = time.perf_counter() - start
engine.decode([1])
print(json.dumps({"first_s": time.time() - began, "load_s": engine.load_seconds, "grown": resident() - before,
                  "buffers": engine.network.buffers.nbytes, "weights": engine.loaded.nbytes}))
"""


def _start(path: Path, threads: int) -> list[dict]:
    """Loading, the first token and the memory of a process that starts with warm caches."""
    found = []
    for _ in range(4):
        command = [sys.executable, "-c", _START, str(path), str(threads), str(time.time())]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    found = found[1:]
    size = path.stat().st_size
    rates = np.array([size / each["load_s"] for each in found])
    first = np.array([each["first_s"] for each in found])
    grown = np.array([each["grown"] - each["buffers"] for each in found], float)
    return [
        row("load", rates, rates / 1e9, "1 GB/s", f">= {goal('load'):.2f}", "B/s"),
        row("first-token", first, first / 5, "5 s", "<= 1.00", "s"),
        row("memory", grown, grown / size, "file size, buffers left out", "<= 1.05", "B"),
    ]
