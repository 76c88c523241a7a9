"""What `python -m simulator.bench` does: measures, and prints a table or JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from simulator.commands.line.ending import ending_in_words
from simulator.errors import InputError
from simulator.progress import Progress
from simulator.report.progress import progress_bar
from simulator.report.record import write_json
from simulator.report.screen import is_screen, print_line
from simulator.report.table import print_table


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m simulator.bench", description="Time roofcast itself.")
    parser.add_argument(
        "what", choices=["forecast", "reading", "decode", "bandwidth", "plan", "sweep", "serve", "validated"]
    )
    parser.add_argument("--rounds", type=int, default=9, help="pairs that count (default 9)")
    parser.add_argument("--json", help="write JSON to a file, or - for standard output")
    parser.add_argument("--threads", type=int, help="decode, bandwidth: CPU threads (default: all cores)")
    parser.add_argument("--points", type=int, help="sweep: about so many (default 2.5 million)")
    parser.add_argument("--requests", type=int, help="serve: so many in a day (default 100,000)")
    parser.add_argument("--only", help="decode, bandwidth: cases whose name contains this")
    parser.add_argument("--llama-server", help="decode: compare with this program of llama.cpp's, not with the package")
    parser.add_argument("--folder", help="decode: keep the model files here (default: a temporary folder)")
    parser.add_argument("--before", nargs="+", default=[], help="validated: files of validate --json of another build")
    parser.add_argument("--after", nargs="+", default=[], help="validated: those of this one")
    with ending_in_words():
        arguments = parser.parse_args()
        if arguments.what == "validated":
            _compare(arguments.before, arguments.after)
        else:
            _measure(arguments)


def _compare(before: list[str], after: list[str]) -> None:
    from simulator.bench.validated import validated_lines

    if not after:
        raise InputError("validated: give the files that roofcast validate --json wrote after --after")
    print("\n".join(validated_lines(before, after)))


def _measure(arguments: argparse.Namespace) -> None:
    with _telling() as progress:
        if arguments.what == "forecast":
            from simulator.bench.forecast import forecast_rows

            rows, notes = forecast_rows(arguments.rounds, progress), []
        elif arguments.what == "reading":
            from simulator.bench.reading import reading_rows

            rows, notes = reading_rows(arguments.rounds, progress), []
        elif arguments.what == "plan":
            from simulator.bench.plan import plan_rows

            rows, notes = plan_rows(arguments.rounds, progress), []
        elif arguments.what == "sweep":
            from simulator.bench.sweep import sweep_rows

            rows, notes = sweep_rows(arguments.rounds, arguments.points, progress), []
        elif arguments.what == "serve":
            from simulator.bench.serve import serve_rows

            rows, notes = serve_rows(arguments.rounds, arguments.requests, progress)
        elif arguments.what == "bandwidth":
            from simulator.bench.bandwidth import bandwidth_rows

            rows, notes = bandwidth_rows(arguments.rounds, arguments.threads, arguments.only, progress=progress)
        else:
            from simulator.bench.decode import decode_rows

            rows, notes = decode_rows(
                arguments.rounds,
                arguments.threads,
                arguments.only,
                arguments.folder,
                arguments.llama_server,
                progress=progress,
            )
    if arguments.json:
        write_json({"rows": rows, "notes": notes}, arguments.json)
    if arguments.json == "-":
        return
    print_table(
        ["case", "median", "ratio", "spread", "against", "target"],
        [
            [row["case"], f"{row['value']:.4g} {row['unit']}", f"{row['ratio']:.2f}", f"{row['ratio_low']:.2f}-{row['ratio_high']:.2f}",
             row["against"], row["target"]]
            for row in rows
        ],
        left=("case", "against"),
    )  # fmt: skip
    for note in notes:
        print_line(note)


@contextmanager
def _telling() -> Iterator[Progress]:
    """A bar on a terminal; elsewhere a line whenever something else is done."""
    if is_screen(sys.stderr):
        with progress_bar("timing") as progress:
            yield progress
        return
    told = ""

    def tell(_share: float, what: str) -> None:
        nonlocal told
        if what != told:
            print(what, file=sys.stderr)
        told = what

    yield tell
