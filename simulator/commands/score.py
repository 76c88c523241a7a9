"""The command `score`: published measurements, the forecasts beside them, and how far those can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.commands.line import options
from simulator.commands.line.parser import argument, flag, option, several, subcommand, target
from simulator.commands.line.values import whole_number
from simulator.errors import InputError, printable
from simulator.judge.left_out import runtime_for
from simulator.judge.only import Only, parse_only
from simulator.judge.paged import is_paged, paged_score
from simulator.judge.scored import Scored, score_file
from simulator.progress import Progress
from simulator.report.paged_score import paged_record, print_paged
from simulator.report.progress import progress_bar
from simulator.report.prompt_score import prompt_rows
from simulator.report.record import as_csv, flattened, write_json, write_whole
from simulator.report.scored import Told, print_scored
from simulator.report.scored_record import row_records, scored_record
from simulator.report.serving_score import served_rows
from simulator.report.speculation_score import speculation_rows
from simulator.report.split_score import split_rows
from simulator.units import counted

MAX_WORST = 1_000
SHIPPED = "the shipped set"
LEFT_OUT = "each forecast by parameters that neither its device nor its model had a part in"
IN_SAMPLE = "forecast by the shipped parameters"


@dataclass(frozen=True)
class Request:
    """What is to be scored, and what is to be shown of it."""

    file: str | None  # None: the shipped set
    only: tuple[Only, ...] = ()
    in_sample: bool = False
    n_worst: int = 10
    all_rows: bool = False
    csv: str | None = None
    json: str | None = None
    plot: str | None = None
    simulates: bool = False

    @property
    def basis(self) -> str:
        """By which parameters rows are forecast, in words."""
        return LEFT_OUT if self.is_left_out else IN_SAMPLE

    @property
    def is_left_out(self) -> bool:
        """Only the shipped set has a part in the shipped parameters."""
        return self.file is None and not self.in_sample


@subcommand("score")
@argument(
    "file",
    "A CSV as simulator/measured/README.md has it, or llama-bench output. [default: the shipped set]",
    required=False,
)
@several("--only", metavar="FIELD=VALUE", help="Of these alone: device_class=apple, runtime=vllm, batch=1.")
@flag("--rows", help="Show every row, not only the worst.")
@option("--worst", type=whole_number, metavar="INTEGER", default=10, help="So many rows that are furthest off.")
@flag("--simulate", help="Go through servers' requests one by one, too, as serve does; takes minutes.")
@flag("--in-sample", help="Forecast the shipped set by the parameters that were fitted to all of it.")
@target(
    "--csv",
    help="Write every row with its forecast (servers, prompts, split weights, drafts: of a file of them).",
)
@options.json_file
@target("--plot", help="Draw forecast against measured, and beside it FILE-errors: errors by group.")
def command(
    file: str | None,
    only: tuple[str, ...],
    rows: bool,
    worst: int,
    in_sample: bool,
    simulate: bool,
    csv: str | None,
    json: str | None,
    plot: str | None,
) -> None:
    """Set forecasts beside published measurements, and say how far they can be trusted."""
    options.refuse_empty({"file": file, "csv": csv, "json": json, "plot": plot})
    options.refuse_both(plot, json)
    if not 0 <= worst <= MAX_WORST:
        raise InputError(f"--worst {worst:,}: between 0 and {MAX_WORST:,} are shown; --rows shows all")
    if in_sample and file is not None:
        raise InputError("--in-sample: a file of your own is always forecast by the shipped parameters, leave it out")
    if file is not None and is_paged(Path(file)):
        _run_paged(file, {"--only": only, "--csv": csv, "--plot": plot, "--simulate": simulate}, json)
        return
    run(Request(file, tuple(map(parse_only, only)), in_sample, worst, rows, csv, json, plot, simulate))


def run(request: Request) -> None:
    """Score, print, write, draw; InputError before anything where something cannot be read or written."""
    pictures = _pictures(request.plot)
    with progress_bar("score") as progress:
        found = scored(request, progress)
    source = SHIPPED if request.file is None else printable(request.file)
    _refuse_nothing(found, source)
    if request.plot is not None and not found.decode.rows:
        raise InputError(
            f"--plot: not for {source}, which holds no decodes of one memory: leave it out; --csv has every row"
        )
    if request.csv is not None:
        rows = (
            row_records(found.decode)
            or served_rows(found.served)
            or split_rows(found.split)
            or prompt_rows(found.prompts)
            or speculation_rows(found.speculated)
        )
        write_whole(Path(request.csv), as_csv([flattened(_listed(row)) for row in rows]))
    if request.json is not None:
        write_json(scored_record(found, request.basis), request.json)
    if request.json != "-":
        print_scored(found, Told(source, request.basis, request.n_worst, request.all_rows))
    if pictures is not None:
        _draw(found, source, pictures, request.json == "-")


def _run_paged(file: str, others: dict[str, Any], json: str | None) -> None:
    """Of models read from a drive: few rows, all of which are shown."""
    given = next((name for name, value in others.items() if value), None)
    if given:
        raise InputError(f"{given}: not for {printable(file)}, whose rows are read from a drive: leave it out")
    found = paged_score(Path(file))
    if not found.rows:
        raise InputError(
            f"{printable(file)}: nothing of it can be forecast: {found.skipped[0].reason if found.skipped else 'no rows'}"
        )
    if json is not None:
        write_json(paged_record(found), json)
    if json != "-":
        print_paged(found, printable(file))


def scored(request: Request, progress: Progress = lambda _share, _what: None) -> Scored:
    """Every measurement with its forecast, the shipped ones left out of what they are forecast by."""
    path = None if request.file is None else Path(request.file)
    return score_file(path, request.only, runtime_for if request.is_left_out else None, progress, request.simulates)


def _refuse_nothing(found: Scored, source: str) -> None:
    kinds = (found.decode, found.served, found.split, found.prompts, found.speculated)
    if not any(each.rows for each in kinds):
        ((reason, n),) = Counter(each.reason for each in found.skipped).most_common(1)
        raise InputError(f"{source}: nothing of it can be forecast: {counted(n, 'row')}: {reason}")


def _listed(row: dict) -> dict:
    """The same with what was assumed in one text."""
    return row | {"assumed": "; ".join(row["assumed"])}


def _pictures(plot: str | None) -> tuple[Path | None, Path | None] | None:
    """Where both go: files, or None for the terminal; None where none is wanted."""
    if plot is None:
        return None
    from simulator.commands.picture import check_path

    first = check_path(plot, "--plot")
    second = first.with_name(f"{first.stem}-errors{first.suffix}") if first else None
    if second:
        check_path(str(second), "--plot")
    return first, second


def _draw(found: Scored, source: str, places: Sequence[Path | None], quiet: bool) -> None:
    from simulator.commands.picture import show
    from simulator.report.charts.errors import errors_chart, scatter_chart

    for chart, place in zip(
        (scatter_chart(found.decode, source), errors_chart(found.decode, source)), places, strict=True
    ):
        show(chart, place, quiet)
