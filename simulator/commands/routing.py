"""The command `routing`: what a record of a router's choices says, in a table or as JSON."""

from __future__ import annotations

from pathlib import Path

from simulator.commands.line import options
from simulator.commands.line.parser import argument, subcommand


@subcommand("routing")
@argument("file", "A record of generate --record-routing.")
@options.json_file
@options.picture
def command(file: str, json: str | None, plot: str | None) -> None:
    """Say how a router picks experts: skew, reuse, batches, caches."""
    options.refuse_empty({"file": file, "json": json, "plot": plot})
    options.refuse_both(plot, json)
    from simulator.commands.picture import check_path, show
    from simulator.importers.routing_record import read_record
    from simulator.report.charts.recorded import recorded_chart
    from simulator.report.record import write_json
    from simulator.report.routing import RoutingReport, print_routing, routing_record

    picture = check_path(plot, "--plot") if plot is not None else None
    found = RoutingReport(read_record(Path(file)))
    if json is not None:
        write_json(routing_record(found), json)
    if json != "-":
        print_routing(found)
    if plot is not None:
        show(recorded_chart(found.recorded), picture, json == "-")
