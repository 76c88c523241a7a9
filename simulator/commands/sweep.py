"""The command `sweep`: every combination of a file's lists, forecast into a folder that outlives a kill."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from simulator.commands.line import options
from simulator.commands.line.parser import argument, flag, option, subcommand
from simulator.commands.line.targets import named_files
from simulator.commands.line.values import whole_number
from simulator.errors import InputError, plain_line, printable
from simulator.interrupts import saying
from simulator.machine.threads import threads_here
from simulator.report.charts.swept import MOST_LINES
from simulator.report.progress import progress_bar
from simulator.report.record import check_target, write_json
from simulator.report.screen import print_line, print_next, print_section, with_command
from simulator.sweeping.axes import Sweep, load_sweep
from simulator.sweeping.run import Swept, refuse_without_arrow, run_sweep
from simulator.units import counted

MOST_TOLD = 5  # reasons why points are refused


@subcommand("sweep")
@argument("file", "YAML with lists of models, devices, formats ... (docs/sweep.md).")
@option(
    "-o",
    "--output",
    metavar="FOLDER",
    help="Where the rows go; what an earlier run finished there is kept.  [required]",
)
@option("--processes", type=whole_number, metavar="INTEGER", help="That work on it here. [default: one for each core]")
@option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster that works on it instead: tcp://host:8786.")
@flag("--check", help="Read what an earlier run finished, and make anew what of it is damaged.")
@options.json_file
def command(
    file: str, output: str | None, processes: int | None, scheduler: str | None, check: bool, json: str | None
) -> None:
    """Forecast every combination of the lists in FILE, into a folder of Parquet files."""
    options.refuse_empty({"output": output, "scheduler": scheduler, "json": json})
    if output is None:
        raise InputError(f"sweep: say where the rows go, as in: roofcast sweep {printable(file, 100)} -o OUT/")
    if scheduler is not None and processes is not None:
        raise InputError("--processes work here, --scheduler has a cluster do it: leave one of them out")
    threads_here(processes, "--processes")  # refused before anything is read or told
    refuse_without_arrow()
    sweep = load_sweep(file)
    check_target(json, "--json", *named_files(sweep.asked))
    print_line(_told(sweep), stream=sys.stderr if json == "-" else sys.stdout)
    how = {"-o": output, "--processes": processes, "--scheduler": scheduler, "--check": check, "--json": json}
    with _resumable(file, how) as count, progress_bar("sweep") as bar:

        def progress(share: float, what: str) -> None:
            count(what)
            bar(share, what)

        found = run_sweep(sweep, output, scheduler=scheduler, processes=processes, check=check, progress=progress)
    if json is not None:
        write_json(found.record(), json)
    if json != "-":
        _show(sweep, found, output)


@contextmanager
def _resumable(file: str, how: Mapping[str, Any]) -> Iterator[Callable[[str], None]]:
    """In the block an end by a signal is told with what is kept, as far as it was counted, and with the command that goes on."""
    kept = "all that is finished"
    words = ["roofcast", "sweep", file]
    for name, value in how.items():
        words += [name] if value is True else [name, str(value)] if value else []

    def count(what: str) -> None:
        nonlocal kept
        kept = what

    def told() -> str:
        text = f"interrupted: {printable(how['-o'], 100)} keeps {kept}; this goes on with the rest:"
        return with_command(text, plain_line(shlex.join(words)), sys.stderr)

    with saying(told):
        yield count


def _told(sweep: Sweep) -> str:
    """How many points there are, and of what."""
    lists = ("model", "device", "runtime", "format", "cache", "routing", "placement", "batch", "context")
    axes = (sweep.models, *sweep.settings, sweep.batches, sweep.contexts)
    lengths = zip(lists, map(len, axes), strict=True)
    factors = (f"{n:,} {name}{'es' if name == 'batch' else 's'}" for name, n in lengths if n > 1)
    return f"{counted(sweep.n_points, 'point')}: {' x '.join(factors) or 'one of each list'}"


def _show(sweep: Sweep, found: Swept, output: str) -> None:
    shown = printable(output, 100)
    before = f", {found.n_found:,} of them there before" if found.n_found else ""
    parts = ", ".join(f"{n:,} {words}" for n, words in _statuses(found))
    print_line(f"{shown}: {parts}; in {counted(found.n_parts, 'file')}{before}")
    reasons = list(found.refused.items())[:MOST_TOLD]
    print_section("refused", [f"{counted(n, 'point')}: {reason}" for reason, n in reasons])
    rest = found.by_status["refused"] - sum(n for _, n in reasons)
    if rest:
        print_line(f"          and {counted(rest, 'point')} for other reasons, which stand in the column reason")
    if found.by_status["ok"]:
        chosen = _few(sweep)
        print_next([f"roofcast plot {kind} {shown}{chosen}" for kind in ("batch", "context")])


def _few(sweep: Sweep) -> str:
    """What chooses few enough combinations for a picture: the first of one list after another."""
    told, n = "", len(sweep.models) * sweep.parts.n_combinations
    _, *others = sweep.settings
    lists = {"": [each.model.name for each in sweep.models]}
    lists |= dict(zip(("--runtime", "--weights", "--cache", "--routing"), others, strict=False))
    for name, values in lists.items():
        if n > MOST_LINES and len(values) > 1:
            n //= len(values)
            told += f" {name} {values[0] if isinstance(values[0], str) else values[0].name}".replace("  ", " ")
    return told


def _statuses(found: Swept) -> Iterator[tuple[int, str]]:
    words = {"ok": "forecast", "does_not_fit": "that do not fit", "refused": "refused"}
    for status, n in found.by_status.items():
        if n or status == "ok":
            yield n, f"{'point' if n == 1 else 'points'} {words[status]}" if status == "ok" else words[status]
