"""A file of benchmark output as measurements: the runs of every program in it, each compared or listed with the reason why not."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import InputError
from simulator.importers.benchmarks.programs import PROGRAMS
from simulator.importers.benchmarks.runs import Given, Run, listed
from simulator.importers.benchmarks.source import Source, take_apart
from simulator.importers.records import MAX_ROWS, Measurements, Published, Skipped


def load_benchmark(text: str, path: Path, given: Given) -> Measurements | None:
    """The measurements in a text that any of the programs wrote to *path*; None where there is nothing of theirs."""
    source = take_apart(text, path)
    runs = _runs(source)
    if not runs:
        if source.broken:
            raise InputError(f"{path}:{source.broken[0].line}: {source.broken[0].reason}")
        return None
    runs += [Run(each.line, source.record(each.line, {}), listed(each.reason)) for each in source.broken]
    read = [run.read(given) for run in sorted(runs, key=lambda run: run.line)]
    return Measurements(
        tuple(each for each in read if isinstance(each, Published)),
        tuple(each for each in read if isinstance(each, Skipped)),
        _made_with(runs),
    )


def _runs(source: Source) -> list[Run]:
    """Every run of every program; what several programs log at their end is taken where nothing else is there."""
    found: list[Run] = []
    for program in sorted(PROGRAMS, key=lambda each: each.is_last):
        if program.is_last and found:
            continue
        for run in program.find(source):
            found.append(run)
            if len(found) > MAX_ROWS:
                raise InputError(f"{source.path}: more than {MAX_ROWS:,} runs are too many")
    return found


def _made_with(runs: list[Run]) -> str:
    """Programs, builds and machines, as far as the file tells."""
    found = list(dict.fromkeys(run.made_with for run in runs if run.made_with))
    shown = "; ".join(found[:2])
    return f"{shown}; and {len(found) - 2} more" if len(found) > 2 else shown
