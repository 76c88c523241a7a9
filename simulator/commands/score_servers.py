"""The command `score` on a file of servers under constant load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.errors import InputError, printable
from simulator.importers.serving import load_serving
from simulator.judge.serving import ServingScore, serving_score
from simulator.report.record import as_csv, check_target, write_json, write_whole
from simulator.report.serving_score import print_serving, row_records, serving_record
from simulator.units import counted


def run(file: str, n_worst: int, csv: str | None, json: str | None, others: Mapping[str, Any]) -> None:
    """Score, print, write; InputError before anything where something cannot be read or written.

    Of the *others*, options by name, none is for servers.
    """
    path, shown = Path(file), printable(file)
    for name, given in others.items():
        if given:
            raise InputError(f"{name}: not for {shown}, which is of servers: leave it out; --csv has every row")
    for target, name in ((json, "--json"), (csv, "--csv")):
        check_target(target, name, file)
    measured = load_serving(path)
    scored = serving_score(measured.published)
    found = ServingScore(scored.rows, (*measured.skipped, *scored.skipped))
    if not found.rows:
        ((reason, n),) = Counter(each.reason for each in found.skipped).most_common(1)
        raise InputError(f"{shown}: nothing of it can be forecast: {counted(n, 'row')}: {reason}")
    if csv is not None:
        rows = [row | {"assumed": "; ".join(row["assumed"])} for row in row_records(found)]
        write_whole(Path(csv), as_csv(rows))
    if json is not None:
        write_json(serving_record(found), json)
    if json != "-":
        print_serving(found, shown, n_worst)
